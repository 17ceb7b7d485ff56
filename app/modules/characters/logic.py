"""Making people: seats, names, natures, facts; judged, and drawn again where anything contradicts. Pure.

The same library, canon and wish give the same people in any process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from app.core.errors import Conflict, Invalid, NotFound, nearest
from app.core.messages import Change
from app.modules.characters import nature
from app.modules.characters.canon import CHILDREN, TIES, Canon, Member
from app.modules.characters.dice import Dice
from app.modules.characters.library import CHILD, HOME_CULTURE, TRAITS, Culture, Library
from app.modules.characters.messages import Character, Finding, Tie
from app.modules.characters.naming import alike, family_name, first_name, folded, given_name
from app.modules.characters.plans import Seat, Wish, seats
from app.modules.characters.portrait import SECRETS, Painter
from app.modules.characters.rules import WEDDED, inverses, judge, knowable
from app.world.entities import Fact, Item, Npc
from app.world.events import EntityUpserted, FactAsserted, RelationChanged, ScheduleSet

FEELINGS: Mapping[str, float] = {
    "spouse": 0.7, "mother": 0.6, "father": 0.6, "friend": 0.5, "captain": 0.2, "employer": 0.2, "rival": -0.25,
    **dict.fromkeys(CHILDREN, 0.7),
}  # fmt: skip
"""How somebody feels about another to begin with; a rival is disliked and not yet an enemy."""
BEGINS = 14
"""At which age one begins in a trade, at the earliest."""
_SLUG = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Made:
    """People who contradict nothing, and after how many casts."""

    members: tuple[Member, ...]
    tries: int


def require(library: Library, canon: Canon, wish: Wish) -> None:
    """Raise NotFound, Invalid or Conflict for a wish that no cast could meet."""
    if wish.place and wish.place not in canon.locations:
        raise NotFound(f"place {wish.place!r} is no location", hint=nearest(wish.place, canon.locations))
    if wish.place and not canon.locations[wish.place].open:
        raise Conflict(f"place {wish.place!r} is closed", hint="open it, or choose another")
    if wish.place and wish.plan in ("person", "household") and canon.room(wish.place) < wish.count:
        has = f"{canon.name(wish.place)!r} has room for {max(0, canon.room(wish.place))} more"
        raise Conflict(f"{has}, and {wish.count} would live there", hint="give it more `beds`, or choose another")
    if wish.faction and wish.faction not in canon.factions:
        raise NotFound(f"faction {wish.faction!r} is not in the world", hint=nearest(wish.faction, canon.factions))
    if wish.archetype and wish.plan != "person":
        raise Invalid(f"plan {wish.plan!r} has trades of its own", hint="leave archetype out, or use plan `person`")
    if wish.archetype and wish.archetype not in library.trades:
        raise Invalid(f"no trade {wish.archetype!r} ships", hint=nearest(wish.archetype, library.trades))
    if wish.culture and wish.culture not in library.cultures:
        raise Invalid(f"no culture {wish.culture!r} ships", hint=nearest(wish.culture, library.cultures))
    if not any(place.open for place in canon.locations.values()):
        raise Conflict("the world has no open place to live in", hint="put locations into it with world.upsert")
    if len(canon.npcs) + wish.count > canon.settings.npcs_max:
        most = canon.settings.npcs_max
        raise Conflict(f"the world would pass {most} NPCs", hint="raise modules.characters.npcs_max")


def generate(library: Library, canon: Canon, wish: Wish) -> Made:
    """People for a wish; raises as `require` does, and Conflict with what stood in the way of every cast."""
    require(library, canon, wish)
    against: Finding | None = None
    for turn in range(canon.settings.tries_max):
        dice = Dice(wish.seed, canon.seq, wish.plan, wish.place, turn)
        members = _cast(library, canon, wish, dice)
        findings = judge(canon, members, library.trades)
        if not findings:
            return Made(members=members, tries=turn + 1)
        against = findings[0]
    text, mend = (against.text, against.mend) if against is not None else ("nothing was drawn", "")
    raise Conflict(f"none of {canon.settings.tries_max} casts fits the world: {text}", hint=mend)


def _cast(library: Library, canon: Canon, wish: Wish, dice: Dice) -> tuple[Member, ...]:
    drawn = seats(canon, library, wish, dice)
    names = _names(library, canon, wish, drawn, dice)
    ids = _ids(canon, names)
    voices: list[str] = []
    bare: list[Member] = []
    for number, seat in enumerate(drawn):
        npc = _npc(library, wish, seat, ids[number], names[number], dice.of("npc", number), voices)
        bare.append(Member(npc=npc, facts=_tie_facts(seat, ids, number), schedule=seat.schedule))
    painter = Painter(library, canon.joined(bare), wish.language)
    told: dict[tuple[str, str], Fact] = {}
    return tuple(
        _whole(library, painter, member, voices[number], dice.of("whole", number), told)
        for number, member in enumerate(bare)
    )


def _npc(library: Library, wish: Wish, seat: Seat, id: str, name: str, dice: Dice, voices: list[str]) -> Npc:
    """Everybody's nature, without words yet; the voice joins `voices`."""
    trade = library.trades[seat.archetype]
    mind = nature.traits(trade, dice)
    low, high = (max(1, wish.level - 1), wish.level + 1) if wish.level and seat.archetype != CHILD else trade.level
    voices.append(nature.voice(trade, mind, dice, voices))
    needs = nature.needs(trade, mind, dice)
    level = dice.between(low, high, "level")
    years = max(0, round((seat.age - BEGINS) * (0.3 + 0.6 * dice.unit("years")))) if seat.archetype != CHILD else 0
    teaches = {"teaches": trade.teaches} if trade.teaches and years >= 5 else {}
    return Npc(
        id=id,
        name=name,
        archetype=seat.archetype,
        faction=seat.faction,
        location=seat.home,
        home=seat.home,
        work=seat.work,
        level=level,
        tags=("unique",) if trade.unique else (),
        attributes={
            "age": float(seat.age),
            "gender": seat.gender,
            "culture": wish.culture or HOME_CULTURE[wish.language],
            "rises_h": nature.rises(trade, mind, dice),
            "years_in_trade": float(years),
            "schedule": seat.schedule,
            **teaches,
            **mind,
            **{f"need_{motive}": felt for motive, felt in needs.items()},
        },
    )


def _tie_facts(seat: Seat, ids: Sequence[str], number: int) -> tuple[Fact, ...]:
    """What is publicly known of who is what to whom; people of the world get their side of a mutual tie."""
    own = [Fact(subject=ids[number], predicate=kind, value=ids[other]) for kind, other in seat.ties.items()]
    for kind, other in seat.known.items():
        own.append(Fact(subject=ids[number], predicate=kind, value=other))
        if inverses(kind):
            own.append(Fact(subject=other, predicate=kind, value=ids[number]))
    return tuple(own)


def _whole(
    library: Library, painter: Painter, member: Member, voice: str, dice: Dice, told: dict[tuple[str, str], Fact]
) -> Member:
    """The member with its words, what it carries, keeps to itself and knows of others."""
    npc, trade = member.npc, library.trades[member.npc.archetype]
    traits = {name: float(npc.attributes[name]) for name in TRAITS}
    needs = {
        name.removeprefix("need_"): float(value) for name, value in npc.attributes.items() if name.startswith("need_")
    }
    npc = msgspec.structs.replace(npc, persona=painter.persona(npc, voice, traits, needs, dice))
    facts = [*member.facts, *_private(painter, npc, dice), *_let_in(painter.canon, npc, dice, told)]
    ware = dice.pick(trade.items, "item")
    item = Item(
        id=f"{npc.id}-{ware.kind}", name=ware.de if painter.language == "de" else ware.en, item_kind=ware.kind,
        holder=npc.id, value=ware.value,
    )  # fmt: skip
    return msgspec.structs.replace(member, npc=npc, facts=tuple(facts), items=(item,))


def _private(painter: Painter, npc: Npc, dice: Dice) -> Iterator[Fact]:
    """What the trade knows, and a secret that a confidant may share."""
    yield Fact(subject=npc.id, predicate="craft", value=painter.craft(npc.archetype, dice), known_by=(npc.id,))
    canon = painter.canon
    near = [*canon.residents.get(npc.home, ()), *canon.workers.get(npc.work, ())]
    spouse, friend = canon.tie(npc.id, "spouse"), canon.tie(npc.id, "friend")
    kin = canon.kin(npc.id)
    others = [id for id in dict.fromkeys(near) if id not in (npc.id, spouse) and id not in kin and _grown(canon, id)]
    other = dice.pick(others, "other") if others else ""
    kinds = ["childish"] if not _grown(canon, npc.id) else dice.shuffled(SECRETS, "kind")
    for kind in kinds:
        told = painter.secret(npc, kind, other, dice)
        if told:
            ears = (npc.id, friend) if friend and friend != other and dice.unit("told") < 0.4 else (npc.id,)
            yield Fact(subject=npc.id, predicate=kind if kind != "childish" else "secret", value=told, known_by=ears)
            return


def _grown(canon: Canon, id: str) -> bool:
    """Whether somebody has a name and is of age, or of an age that the world does not tell and no child by trade."""
    npc, age = canon.npcs[id], canon.age(id)
    return bool(npc.name) and npc.archetype != CHILD and (age is None or age >= WEDDED)


def _let_in(canon: Canon, npc: Npc, dice: Dice, told: dict[tuple[str, str], Fact]) -> Iterator[Fact]:
    """Private facts that somebody who lives or works there would have come to know."""
    fit: list[tuple[str, str]] = []
    for key in dict.fromkeys(key for key in canon.facts if key[0] in (npc.home, npc.work)):
        fact = told.get(key) or canon.facts[key]
        shared = npc.id in fact.known_by or npc.faction in fact.known_by
        if (
            fact.known_by
            and not shared
            and canon.players.keys().isdisjoint(fact.known_by)
            and knowable(canon, npc, fact)
        ):
            fit.append(key)
    for key in sorted(fit, key=lambda key: (dice.unit("knows", *key), key))[: canon.settings.knows_max]:
        fact = told.get(key) or canon.facts[key]
        told[key] = msgspec.structs.replace(fact, known_by=(*fact.known_by, npc.id))
        yield told[key]


def _names(library: Library, canon: Canon, wish: Wish, drawn: Sequence[Seat], dice: Dice) -> list[str]:
    """A name for each seat; raises Conflict when the culture has none left that is unlike those of the world."""
    culture = library.cultures[wish.culture or HOME_CULTURE[wish.language]]
    taken = dict.fromkeys((*canon.first_names, *canon.things_named))
    families: dict[int, str] = {}
    names: list[str] = []
    for number, seat in enumerate(drawn):
        family = families.setdefault(seat.family, _family(culture, canon, dice.of("family", seat.family)))
        given = _given(culture, canon, seat, taken, dice.of("given", number))
        if not given:
            raise Conflict(
                "the culture has no name left that is unlike those of the world",
                hint="choose another culture, or lower modules.characters.name_edits_min",
            )
        taken[first_name(given)] = None
        names.append(f"{given} {family}".strip())
    return names


def _given(culture: Culture, canon: Canon, seat: Seat, taken: Mapping[str, None], dice: Dice) -> str:
    parts = culture.female if seat.gender == "female" else culture.male
    for turn in range(canon.settings.name_tries_max):
        name = given_name(parts, dice, turn)
        if name and not alike(name, taken, canon.settings.name_edits_min):
            return name
    return ""


def _family(culture: Culture, canon: Canon, dice: Dice) -> str:
    """A family name, one that nobody bears before one that somebody does."""
    spare = ""
    for turn in range(canon.settings.name_tries_max):
        name = family_name(culture, dice, turn)
        if name and folded(name) not in canon.things_named:
            if folded(name) not in canon.families:
                return name
            spare = spare or name
    return spare


def _ids(canon: Canon, names: Sequence[str]) -> list[str]:
    """An id for each name that the world does not have yet."""
    found: list[str] = []
    for name in names:
        stem = _SLUG.sub("-", folded(name)).strip("-") or "somebody"
        id, turn = stem, 1
        while canon.entity(id) is not None or id in found:
            turn += 1
            id = f"{stem}-{turn}"
        found.append(id)
    return found


def changes(members: Sequence[Member], schedules: Sequence[str]) -> list[Change]:
    """What puts the people into a world: entities first, then facts, feelings, and the schedules that may be set."""
    facts = {(fact.subject, fact.predicate): fact for member in members for fact in member.facts}
    feelings = {
        (fact.subject, str(fact.value)): FEELINGS[fact.predicate]
        for fact in facts.values()
        if fact.predicate in FEELINGS
    }
    return [
        *(EntityUpserted(entity=member.npc) for member in members),
        *(EntityUpserted(entity=item) for member in members for item in member.items),
        *(FactAsserted(fact=fact) for fact in facts.values()),
        *(RelationChanged(npc=npc, other=other, delta=delta) for (npc, other), delta in feelings.items()),
        *(
            ScheduleSet(npc=member.npc.id, schedule=member.schedule)
            for member in members
            if member.schedule in schedules
        ),
    ]


def shown(told: Sequence[Change]) -> tuple[Character, ...]:
    """The people that changes put into a world, as a reply shows them."""
    npcs = [change.entity for change in told if isinstance(change, EntityUpserted) and isinstance(change.entity, Npc)]
    items = [change.entity for change in told if isinstance(change, EntityUpserted) and isinstance(change.entity, Item)]
    facts = [change.fact for change in told if isinstance(change, FactAsserted)]
    return tuple(_shown(npc, items, facts) for npc in npcs)


def _shown(npc: Npc, items: Sequence[Item], facts: Sequence[Fact]) -> Character:
    own = tuple(fact for fact in facts if fact.subject == npc.id)
    schedule = str(npc.attributes.get("schedule", ""))
    return Character(
        npc=npc,
        facts=own,
        knows=tuple(fact for fact in facts if fact.subject != npc.id and npc.id in fact.known_by),
        items=tuple(item for item in items if item.holder == npc.id),
        ties=tuple(Tie(kind=fact.predicate, other=str(fact.value)) for fact in own if fact.predicate in TIES),
        schedule=schedule,
        hours=nature.hours(npc, schedule),
        summary=npc.persona.summary,
    )
