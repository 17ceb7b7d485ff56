"""What holds in a world, as lore reads it: asserted facts, what entities say of themselves, years, contradictions.

It reads a world and changes nothing. A fact is named by its key, `SUBJECT PREDICATE`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from app.modules.content.lore.tables import DERIVED, Predicate, Tables
from app.world.entities import AnyEntity, Fact, Item, Location, Npc, Value
from app.world.state import World

WORLD, YEAR = "world", "year"
"""Subject and predicate of the fact that says which year it is."""
FEUD_MAX, ALLY_MIN = -0.3, 0.5
"""Relations of factions at which they are at odds, and friends."""
Source = Literal["canon", "derived", "founded"]


class Held(NamedTuple):
    """A fact, and where it comes from: asserted before, said by an entity, or new."""

    fact: Fact
    source: Source

    @property
    def key(self) -> str:
        """`SUBJECT PREDICATE`."""
        return key_of(self.fact.subject, self.fact.predicate)


def key_of(subject: str, predicate: str) -> str:
    """The name of a fact."""
    return f"{subject} {predicate}"


class Canon:
    """The facts that hold about entities; new ones are taken up with `add`."""

    def __init__(self, world: World, tables: Tables) -> None:
        self.world = world
        self._tables = tables
        self._new: dict[str, Held] = {}

    def add(self, fact: Fact) -> Held:
        """Take up a new fact."""
        held = Held(fact, "founded")
        self._new[held.key] = held
        return held

    def get(self, subject: str, predicate: str) -> Held | None:
        """The fact that holds, under this predicate alone."""
        if (new := self._new.get(key_of(subject, predicate))) is not None:
            return new
        if (fact := self.world.fact(subject, predicate)) is not None:
            return Held(fact, "canon")
        if predicate in DERIVED and (entity := self.world.entity(subject)) is not None:
            for name, value in derived(self.world, entity):
                if name == predicate:
                    return Held(Fact(subject=subject, predicate=name, value=value), "derived")
        return None

    def said(self, subject: str, predicate: str) -> bool:
        """Whether the matter is settled already, under the predicate or another word for it."""
        defined = self._tables.predicates.get(predicate)
        names = (predicate, *(defined.aliases if defined is not None else ()))
        entity = self.world.entity(subject)
        own = entity.attributes if entity is not None else {}
        return any(self.get(subject, name) is not None or name in own for name in names)

    def about(self, subject: str) -> list[Held]:
        """Every fact about it under a predicate that lore can tell, in the order of the tables."""
        names = (*self._tables.predicates, *DERIVED)
        return [held for name in names if (held := self.get(subject, name)) is not None]

    def year(self, subject: str, predicate: str) -> int | None:
        """The year that a fact names; None where it is unknown, or no number."""
        held = self.get(subject, predicate)
        return _whole(held.fact.value) if held is not None else None

    def now(self) -> int | None:
        """The present year, where the world has one."""
        return self.year(WORLD, YEAR)

    def linked(self, subject: str, predicate: str) -> str:
        """The id of the entity that a fact names; empty where there is none."""
        held = self.get(subject, predicate)
        return named(self.world, str(held.fact.value)) if held is not None else ""

    def partner(self, subject: str, link: str) -> str:
        """The entity that a subject is linked to and that is linked to it; empty where there is none."""
        other = self.linked(subject, link) if link else ""
        return other if other and self.linked(other, link) == subject else ""

    def shared(self, subject: str, predicate: str) -> Held | None:
        """What the one on the other side says of the same matter."""
        defined = self._tables.predicates.get(predicate)
        if defined is None or not defined.shared:
            return None
        other = self.partner(subject, defined.link)
        return self.get(other, predicate) if other else None


def derived(world: World, entity: AnyEntity) -> Iterator[tuple[str, str]]:
    """(predicate, name) of what an entity says of itself by its fields."""
    if isinstance(entity, Npc):
        fields = (("works_at", entity.work), ("lives_at", entity.home), ("member_of", entity.faction))
        for predicate, id in fields:
            if id and world.entity(id) is not None:
                yield predicate, called(world, id)
    elif entity.id in world.state.factions:
        relations = sorted(world.state.factions[entity.id].relations.items(), key=lambda row: (row[1], row[0]))
        relations = [(id, felt) for id, felt in relations if id in world.state.factions]
        if relations and relations[0][1] <= FEUD_MAX:
            yield "feud_with", called(world, relations[0][0])
        if relations and relations[-1][1] >= ALLY_MIN:
            yield "ally_of", called(world, relations[-1][0])
        works = Counter(npc.work for npc in world.state.npcs.values() if npc.faction == entity.id and npc.work)
        most = sorted(works.items(), key=lambda row: (-row[1], row[0]))
        if most and most[0][0] in world.state.locations:
            yield "seat", called(world, most[0][0])


def called(world: World, id: str) -> str:
    """The name of an entity, its id where it has none."""
    entity = world.entity(id)
    return entity.name if entity is not None and entity.name else id


def named(world: World, name: str) -> str:
    """The id of the entity of that name or id; empty where there is none."""
    if world.entity(name) is not None:
        return name
    state = world.state
    tables: tuple[Mapping[str, AnyEntity], ...] = (state.factions, state.locations, state.npcs, state.items)
    return next((id for table in tables for id, entity in table.items() if entity.name == name), "")


def contradictions(world: World, tables: Tables, facts: Sequence[Fact]) -> list[tuple[Fact, str]]:
    """Facts that cannot be so, with the reason: of another kind, already otherwise, out of order in time, or dead.

    They are judged in their order, each together with those before it.
    """
    canon = Canon(world, tables)
    found: list[tuple[Fact, str]] = []
    for fact in facts:
        reason = _against(canon, tables, fact)
        if reason:
            found.append((fact, reason))
        else:
            canon.add(fact)
    return found


def _against(canon: Canon, tables: Tables, fact: Fact) -> str:
    predicate = tables.predicates.get(fact.predicate)
    for rival in _rivals(tables, fact.predicate):
        held = canon.get(fact.subject, rival)
        if held is not None and (held.fact.value != fact.value or rival != fact.predicate):
            return f"{held.key!r} is {held.fact.value!r} already"
    if predicate is None:
        return ""
    if (other := canon.shared(fact.subject, fact.predicate)) is not None and other.fact.value != fact.value:
        return f"{other.key!r} is {other.fact.value!r}, and both sides share it"
    entity = canon.world.entity(fact.subject)
    if entity is None or kind_of(entity) not in predicate.of:
        return f"{fact.predicate!r} is said of {' or '.join(predicate.of)}, and {fact.subject!r} is none"
    if predicate.value == "member":
        return _no_ruler(canon.world, fact)
    if predicate.value == "year":
        return _no_year(canon, tables, fact, predicate)
    return "" if isinstance(fact.value, str) else f"{fact.predicate!r} is said in words"


def _rivals(tables: Tables, predicate: str) -> Iterable[str]:
    """The predicates that settle the same matter; none for one that is not closed, whose value may change."""
    for name, defined in tables.predicates.items():
        if predicate == name or predicate in defined.aliases:
            return (name, *defined.aliases)
    return ()


def _no_ruler(world: World, fact: Fact) -> str:
    npc = world.state.npcs.get(named(world, str(fact.value)))
    if npc is None or not npc.alive:
        return f"{fact.value!r} is nobody who lives"
    return "" if npc.faction == fact.subject else f"{fact.value!r} does not belong to {fact.subject!r}"


def _no_year(canon: Canon, tables: Tables, fact: Fact, predicate: Predicate) -> str:
    year, now = _whole(fact.value), canon.now()
    if year is None:
        return f"{fact.value!r} is no year"
    if now is not None and year > now:
        return f"{year} is after the present year {now}"
    least, most = bounds(canon, tables, fact.subject, fact.predicate)
    if least is not None and year < least:
        return f"{year} is too early: {fact.predicate} cannot be before {least}"
    return f"{year} is too late: {fact.predicate} cannot be after {most}" if most is not None and year > most else ""


def bounds(canon: Canon, tables: Tables, subject: str, name: str) -> tuple[int | None, int | None]:
    """(least, most) year that the other years about the subject, and about what it is linked to, leave to this one."""
    predicate = tables.predicates[name]
    subjects = [subject, *([other] if (other := canon.linked(subject, predicate.link)) else [])]
    before = [
        (year + gap)
        for each in subjects
        for earlier, gap in predicate.after.items()
        if (year := canon.year(each, earlier)) is not None
    ]
    own = [year for earlier in predicate.after if (year := canon.year(subject, earlier)) is not None]
    after = [
        year - later.after[name]
        for other, later in tables.predicates.items()
        if name in later.after
        for each in (subject, canon.partner(subject, later.link))
        if each and (year := canon.year(each, other)) is not None
    ]
    after += [max(own) + predicate.within] if own and predicate.within else []
    return max(before, default=None), min(after, default=None)


def kind_of(entity: AnyEntity) -> str:
    """The kind of an entity, such as `npc` or `location`."""
    return str(entity.__struct_config__.tag)


def keepers_of(world: World, entity: AnyEntity) -> tuple[str, ...]:
    """The living NPCs who work at a place."""
    if not isinstance(entity, Location):
        return ()
    return tuple(sorted(npc.id for npc in world.state.npcs.values() if npc.work == entity.id and npc.alive))[:16]


def storied(entity: AnyEntity) -> bool:
    """Whether an item is one that a tale may be told of."""
    return not isinstance(entity, Item) or bool({"unique", "precious", "relic", "artifact"} & set(entity.tags))


def _whole(value: Value) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if value.strip().isdigit() else None
    return int(value) if float(value).is_integer() else None
