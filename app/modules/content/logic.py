"""Decides what is made: changes to a world, and what a client is told of them. Pure.

A reply is read from the changes, so that a retry, which has only the events, is told the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import msgspec

from app.core.errors import Conflict, Invalid, NotFound, nearest
from app.core.ids import stable_hash
from app.core.messages import Change
from app.modules.content import messages
from app.modules.content.barks.grammar import Grammar, load_grammars
from app.modules.content.barks.making import Maker, Wanted
from app.modules.content.items import judging, making
from app.modules.content.items.tables import Band
from app.modules.content.items.tables import Tables as ItemTables
from app.modules.content.lore import telling
from app.modules.content.lore.canon import Canon, Held, called, storied
from app.modules.content.lore.founding import Founder
from app.modules.content.lore.tables import Tables as LoreTables
from app.modules.content.settings import Settings
from app.world import lore as lorebook
from app.world.barks import PREFIX, intent_of
from app.world.entities import AnyEntity, Fact, Item, Npc, Value
from app.world.events import EntityUpserted, FactAsserted
from app.world.gate.acts import may_know
from app.world.state import World

GRAMMAR = "grammar"
"""The rung that makes everything, and the last one."""
TAGS = ("de", "en")
"""The languages that ship."""
CITES, WRITTEN = "cites", "ai_generated"
"""Facts of an entry of lore: which facts its sentences tell, as JSON, and whether a model wrote them."""
_cites = msgspec.json.Decoder(list[tuple[int, tuple[str, ...]]])


@dataclass(frozen=True, slots=True)
class Library:
    """The tables that everything is made of."""

    items: ItemTables
    lore: LoreTables
    barks: Mapping[str, Grammar]


@dataclass(slots=True)
class Batch:
    """What was made, as changes; `lines` are barks, which need not be anybody's."""

    changes: list[Change] = field(default_factory=list)
    lines: tuple[messages.BarkLines, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of lore before it is kept: the sentences about one entity that the same people know."""

    id: str
    about: AnyEntity
    known_by: tuple[str, ...]
    sentences: tuple[telling.Told, ...]
    keys: tuple[str, ...]
    by_model: bool = False


def items(library: Library, world: World, make: messages.Items, seed: int, settings: Settings) -> Batch:
    """Items as an order wants them; raises Invalid and NotFound for what it names and is not there."""
    tables = library.items
    _require_count("items", make.count, settings.items_max)
    require_language(make.language)
    groups = {kind.group for kind in tables.kinds.values()}
    for name in make.kinds:
        if name not in tables.kinds and name not in groups:
            raise Invalid(f"no kind of item {name!r}", hint=nearest(name, (*groups, *tables.kinds)))
    if make.rarity and make.rarity not in tables.rarities:
        raise Invalid(f"no rarity {make.rarity!r}", hint=nearest(make.rarity, tables.rarities))
    for place in make.opens:
        if place not in world.state.locations:
            raise NotFound(f"no place {place!r} for a key", hint=nearest(place, world.state.locations))
    if make.holder and world.entity(make.holder) is None:
        raise NotFound(f"no entity {make.holder!r} in world {world.id!r}", hint="tell of it with world.upsert first")
    order = making.Order(
        level=make.level,
        count=make.count,
        kinds=make.kinds,
        rarity=make.rarity,
        opens=tuple((id, called(world, id)) for id in make.opens),
    )
    made = making.made_items(tables, order, seed, _names_taken(world))
    taken: set[str] = set()
    entities = [_item(tables, world, each, make, seed, taken) for each in made]
    return Batch(changes=[EntityUpserted(entity=entity) for entity in entities])


def note(tables: ItemTables, item: Item) -> messages.ItemNote:
    """What an item's power is made of, read from the item."""
    power = making.power_of(tables, judging.stats_of(tables, item))
    rarity = str(item.attributes["rarity"])
    band = tables.band(judging.level_of(item), rarity) if power else Band(0, 0)
    return messages.ItemNote(
        id=item.id,
        power=power,
        budget_min=band.least,
        budget_max=band.most,
        names={tag: str(item.attributes[f"name_{tag}"]) for tag in ("en", "de")},
        affixes=tuple(word for word in str(item.attributes.get("affixes", "")).split(",") if word),
    )


def entries(
    library: Library, world: World, make: messages.Lore, seed: int, settings: Settings
) -> tuple[Canon, list[Held], list[Entry]]:
    """(canon with what was founded, the new facts, entries that tell them and what held before).

    Raises NotFound for subjects that are not there, Invalid for those of whom no lore is made.
    """
    _require_count("subjects", len(make.subjects), settings.subjects_max)
    require_language(make.language)
    _require_circle(world, make.known_by)
    subjects = [_subject(world, id) for id in dict.fromkeys(make.subjects)]
    language = library.lore.language(make.language)
    tag = _tag(make.language)
    years = (settings.present_year_min, settings.present_year_max)
    founder = Founder(world, library.lore, language, seed, years=years)
    founded = founder.found(subjects, make.known_by)
    found: list[Entry] = []
    for entity in subjects:
        facts = founder.canon.about(entity.id)
        circles = dict.fromkeys(held.fact.known_by for held in facts)
        for number, circle in enumerate(circles):
            inside = [held for held in facts if held.fact.known_by == circle]
            sentences = tuple(telling.told(world, language, tag, entity, inside, seed))
            if sentences:
                id = f"{lorebook.PREFIX}made-{entity.id}"[:118] + (f"-{number}" if number else "")
                keys = _keys(world, entity, founder.canon)
                found.append(Entry(id, entity, circle, sentences, keys))
    _require_count("facts", len(founded), settings.facts_max)
    return founder.canon, founded, found


def kept(founded: Sequence[Held], found: Sequence[Entry]) -> Batch:
    """New facts and entries as changes: an entry is found in talk by its keys, as those of a lorebook are."""
    facts = [held.fact for held in founded]
    for entry in found:
        cites = [(len(sentence.text), sentence.cites) for sentence in entry.sentences]
        values: dict[str, Value] = {
            lorebook.TEXT: " ".join(sentence.text for sentence in entry.sentences),
            lorebook.KEYS: ", ".join(entry.keys),
            CITES: msgspec.json.encode(cites).decode(),
            WRITTEN: entry.by_model,
        }
        facts += [
            Fact(subject=entry.id, predicate=name, value=value, known_by=entry.known_by)
            for name, value in values.items()
        ]
    return Batch(changes=[FactAsserted(fact=fact) for fact in facts])


def barks(library: Library, world: World, make: messages.Barks, seed: int, settings: Settings) -> Batch:
    """Lines for every combination that is named, and the NPC with them; raises Invalid, NotFound, Conflict."""
    npc = world.npc(make.npc) if make.npc else None
    require_language(make.language or "en")
    language = make.language or (npc.persona.language if npc is not None else "en")
    grammar = library.barks.get(_tag(language), library.barks["en"])
    for event in make.events:
        if not grammar.family(event):
            raise Invalid(f"no barks for {event!r}", hint=nearest(event, (*grammar.families, *grammar.events())))
    combined = list(product(make.events, make.moods or ("",), make.relations or ("",), make.facts or ("",)))
    _require_count("barks", make.count * len(combined), settings.barks_max)
    facts = {key: _fact_told(library, world, npc, key, _tag(language), seed) for key in make.facts}
    trade = make.archetype or (npc.archetype if npc is not None else "")
    maker = Maker(grammar, stable_hash(seed, make.npc, trade))
    rows = []
    for event, mood, relation, fact in combined:
        wanted = Wanted(event=event, mood=mood, relation=relation, fact=facts.get(fact, ""), trade=trade)
        lines = tuple(maker.lines(wanted, make.count))
        rows.append(_row(event, mood, relation, fact, lines))
    batch = Batch(lines=tuple(rows))
    if npc is not None:
        batch.changes = [EntityUpserted(entity=_speaking(npc, rows, settings))]
    return batch


def renewed(world: World, batch: Batch) -> list[Change]:
    """The changes as they fit the world now, which may have gone on since they were made.

    Lines go to the NPC as it is; raises Conflict where a unique name or a fact was taken in the meantime.
    """
    names = _names_taken(world)
    changes: list[Change] = []
    for change in batch.changes:
        if isinstance(change, EntityUpserted) and isinstance(change.entity, Npc):
            npc, made = world.npc(change.entity.id), change.entity.persona.lines
            lines = {**npc.persona.lines, **{row.intent: made[row.intent] for row in batch.lines if row.lines}}
            persona = msgspec.structs.replace(npc.persona, lines=lines)
            change = EntityUpserted(entity=msgspec.structs.replace(npc, persona=persona))
        elif isinstance(change, EntityUpserted) and "unique" in change.entity.tags and change.entity.name in names:
            raise Conflict(f"there is a {change.entity.name!r} by now", hint="ask again")
        elif isinstance(change, FactAsserted) and not lorebook.is_lore(change.fact.subject):
            held = world.fact(change.fact.subject, change.fact.predicate)
            if held is not None and held.value != change.fact.value:
                raise Conflict(f"{held.subject!r} has its {held.predicate!r} by now", hint="ask again")
        changes.append(change)
    return changes


def barks_kept(make: messages.Barks, changes: Iterable[Change]) -> tuple[messages.BarkLines, ...]:
    """The lines of a request that was answered before, as its NPC got them."""
    lines = next(
        (c.entity.persona.lines for c in changes if isinstance(c, EntityUpserted) and isinstance(c.entity, Npc)), {}
    )
    combined = product(make.events, make.moods or ("",), make.relations or ("",), make.facts or ("",))
    return tuple(_row(*one, lines=tuple(lines.get(intent_of(*one), ()))) for one in combined)


def texts(changes: Iterable[Change]) -> list[messages.LoreText]:
    """The entries of lore among changes, sentence by sentence."""
    found: dict[str, dict[str, Fact]] = {}
    for change in changes:
        if isinstance(change, FactAsserted) and lorebook.is_lore(change.fact.subject):
            found.setdefault(change.fact.subject, {})[change.fact.predicate] = change.fact
    told = []
    for id, facts in found.items():
        text, sentences, at = str(facts[lorebook.TEXT].value), [], 0
        for length, keys in _cites.decode(str(facts[CITES].value)):
            sentences.append(messages.Sentence(text=text[at : at + length], cites=keys))
            at += length + 1
        words = tuple(str(facts[lorebook.KEYS].value).split(", "))
        about = sentences[0].cites[0].rpartition(" ")[0]
        told.append(
            messages.LoreText(
                id=id, about=about, keys=words, known_by=facts[lorebook.TEXT].known_by, sentences=tuple(sentences)
            )
        )
    return told


def facts_of(library: Library, world: World, changes: Sequence[Change]) -> list[messages.LoreFact]:
    """The facts among changes, which are new, and those that held before and are cited."""
    new = [change.fact for change in changes if isinstance(change, FactAsserted)]
    founded = [Held(fact, "founded") for fact in new if not lorebook.is_lore(fact.subject)]
    found = {held.key: held for held in founded}
    canon = Canon(world, library.lore)
    for text in texts(changes):
        for key in (key for sentence in text.sentences for key in sentence.cites if key not in found):
            subject, _, predicate = key.rpartition(" ")
            if (held := canon.get(subject, predicate)) is not None:
                found[key] = held
    return [messages.LoreFact(key=held.key, source=held.source, fact=held.fact) for held in found.values()]


def written(changes: Iterable[Change]) -> bool:
    """Whether a model wrote any of the entries."""
    return any(
        isinstance(change, FactAsserted) and change.fact.predicate == WRITTEN and change.fact.value is True
        for change in changes
    )


def reply(
    library: Library,
    world: World,
    request: messages.Generate,
    changes: Sequence[Change],
    seed: int,
    lines: tuple[messages.BarkLines, ...] = (),
    *,
    seq: int,
) -> messages.Generated:
    """What a client is told, read from the changes; `lines` where they are not in any."""
    make = request.make
    made = [each.entity for each in changes if isinstance(each, EntityUpserted) and isinstance(each.entity, Item)]
    by_model = written(changes)
    short = make.count - len(made) if isinstance(make, messages.Items) else 0
    if isinstance(make, messages.Barks):
        lines = lines or barks_kept(make, changes)
        short = sum(make.count - len(row.lines) for row in lines)
    return messages.Generated(
        seed=seed,
        seq=seq,
        committed=request.commit,
        ai_generated=by_model,
        rung="words" if by_model else GRAMMAR,
        short=short,
        items=tuple(made),
        notes=tuple(note(library.items, item) for item in made),
        lore=tuple(texts(changes)),
        facts=tuple(facts_of(library, world, changes)),
        barks=lines,
    )


def load_library() -> Library:
    """All tables, read once; raises Broken where one is at odds with itself."""
    from app.modules.content.items.tables import load_tables as load_items
    from app.modules.content.lore.tables import load_tables as load_lore

    return Library(items=load_items(), lore=load_lore(), barks=load_grammars())


def _item(
    tables: ItemTables, world: World, made: making.Made, make: messages.Items, seed: int, taken: set[str]
) -> Item:
    number = 0
    while True:
        id = f"{made.kind}-{stable_hash(seed, made.names['en'], made.rarity, number) % (1 << 40):010x}"
        if id not in taken and world.entity(id) is None:
            break
        number += 1
    taken.add(id)
    attributes: dict[str, Value] = {
        "level": float(made.level),
        "rarity": made.rarity,
        **{name: float(units) for name, units in made.stats.items()},
        **{f"name_{tag}": name for tag, name in made.names.items()},
        "gender_de": tables.kinds[made.kind].de[1],
    }
    attributes |= {"affixes": ",".join(made.affixes)} if made.affixes else {}
    attributes |= {"opens": made.opens} if made.opens else {}
    tags = (
        ("unique", "precious")
        if made.unique
        else ("precious", "tradeable")
        if made.rarity == "epic"
        else ("tradeable",)
    )
    return Item(
        id=id,
        name=made.names.get(_tag(make.language), made.names["en"]),
        item_kind=made.kind,
        holder=make.holder,
        value=made.value,
        tags=() if made.opens else tags,
        attributes=attributes,
    )


def _names_taken(world: World) -> set[str]:
    names = {item.name for item in world.state.items.values()}
    return names | {
        str(item.attributes[key])
        for item in world.state.items.values()
        for key in ("name_en", "name_de")
        if key in item.attributes
    }


def _subject(world: World, id: str) -> AnyEntity:
    entity = world.entity(id)
    if entity is None:
        raise NotFound(f"no entity {id!r} in world {world.id!r}", hint="tell of it with world.upsert first")
    if id in world.state.players:
        raise Invalid(f"{id!r} is a player", hint="no lore is made about persons who play")
    if not storied(entity):
        raise Invalid(f"item {id!r} has no tale", hint="tag it unique, precious, relic or artifact")
    return entity


def _keys(world: World, entity: AnyEntity, canon: Canon) -> tuple[str, ...]:
    """The words that call an entry: the entity's name, and the one that it had."""
    name = called(world, entity.id)
    head, _, rest = name.partition(" ")
    names = [rest if head.casefold() in ("the", "der", "die", "das") and rest else name]
    before = canon.get(entity.id, "old_name")
    names += [str(before.fact.value)] if before is not None and not before.fact.known_by else []
    return tuple(each.replace(",", " ") for each in names)


def _fact_told(library: Library, world: World, npc: Npc | None, key: str, tag: str, seed: int) -> str:
    """A fact as a sentence; raises NotFound where it does not hold, Conflict where it is not for this mouth."""
    subject, _, predicate = key.rpartition(" ")
    if subject in world.state.players:
        raise Invalid(f"{key!r} is about a player", hint="no barks are made about persons who play")
    held = Canon(world, library.lore).get(subject, predicate)
    if held is None:
        raise NotFound(f"no fact {key!r} in world {world.id!r}", hint="name it as SUBJECT PREDICATE")
    if held.fact.known_by and (npc is None or not may_know(npc, held.fact)):
        raise Conflict(f"{key!r} is known by some only", hint="name an NPC that may know it")
    entity = world.entity(subject)
    if entity is not None:
        told = telling.told(world, library.lore.language(tag), tag, entity, [held], seed)
        if told:
            return told[0].text
    value = telling.shown(held)
    if value[:1].isupper() and " " in value.strip():
        return value if value[-1:] in ".!?" else f"{value}."
    return f"{called(world, subject)}, {predicate.replace('_', ' ')}: {value}."


def _row(event: str, mood: str, relation: str, fact: str, lines: tuple[str, ...]) -> messages.BarkLines:
    intent = intent_of(event, mood, relation, fact)
    return messages.BarkLines(intent=intent, event=event, mood=mood, relation=relation, fact=fact, lines=lines)


def _speaking(npc: Npc, rows: Sequence[messages.BarkLines], settings: Settings) -> Npc:
    """The NPC with these lines; raises Conflict where they are more than a persona holds."""
    lines = {**npc.persona.lines, **{row.intent: row.lines for row in rows if row.lines}}
    size = sum(len(line.encode()) for intent, each in lines.items() if intent.startswith(PREFIX) for line in each)
    if size > settings.persona_bytes_max:
        raise Conflict(
            f"NPC {npc.id!r} would have {size} bytes of barks, and {settings.persona_bytes_max} is the most",
            hint="ask for fewer, or leave npc out and keep the table in the game",
        )
    return msgspec.structs.replace(npc, persona=msgspec.structs.replace(npc.persona, lines=lines))


def _tag(language: str) -> str:
    """The language that is written for a tag such as `de-AT`: an NPC may speak one that does not ship."""
    tag = _primary(language)
    return tag if tag in TAGS else "en"


def _primary(language: str) -> str:
    return language.partition("-")[0].lower()


def require_language(language: str) -> None:
    """Raise Invalid for a language that is asked for and does not ship."""
    if _primary(language) not in TAGS:
        raise Invalid(f"no content in language {language!r}", hint=nearest(language, TAGS))


def _require_circle(world: World, known_by: Sequence[str]) -> None:
    """Raise NotFound for somebody who is to know of it and is nobody."""
    state = world.state
    for id in known_by:
        if not (id in state.npcs or id in state.players or id in state.factions):
            hint = nearest(id, (*state.npcs, *state.factions, *state.players))
            raise NotFound(f"known_by names {id!r}, who is no NPC, player or faction", hint=hint)


def _require_count(what: str, count: int, most: int) -> None:
    if count > most:
        raise Invalid(f"{count} {what} at once", hint=f"{most} is the most; see modules.content.{what}_max")
