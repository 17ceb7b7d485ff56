"""What a world holds to be so, as far as a character can contradict it: a frozen view with ties, ages, homes and ways.

It reads and never judges: rules.py does. Facts are those that hold now.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import msgspec

from app.modules.characters.messages import Tie
from app.modules.characters.naming import first_name, folded
from app.modules.characters.nature import number
from app.modules.characters.settings import Settings
from app.world.entities import AnyEntity, Fact, Faction, Item, Location, Npc, Player
from app.world.state import State

CHILDREN = (
    "child", "second_child", "third_child", "fourth_child", "fifth_child", "sixth_child", "seventh_child",
    "eighth_child",
)  # fmt: skip
PARENTS = ("mother", "father")
MUTUAL = ("spouse", "rival", "friend")
"""Ties that hold both ways under the same word."""
SUPERIORS = ("captain", "employer")
TIES = (*PARENTS, *CHILDREN, *MUTUAL, *SUPERIORS)
"""Predicates of facts whose value is the id of an NPC."""
GENDERS = ("female", "male")
BEASTS = frozenset({"beast", "predator", "prey", "animal", "wolf", "deer", "livestock", "monster", "undead"})
"""Archetypes with whom nobody keeps company."""

_WORD = re.compile(r"[^\W\d_]+")


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody to be judged or put into the world; `facts` may speak of others too, who then know of the tie."""

    npc: Npc
    facts: tuple[Fact, ...] = ()
    items: tuple[Item, ...] = ()
    schedule: str = ""


@dataclass(slots=True, frozen=True)
class _Tables:
    npcs: Mapping[str, Npc]
    players: Mapping[str, Player]
    items: Mapping[str, Item]
    locations: Mapping[str, Location]
    factions: Mapping[str, Faction]
    facts: Mapping[tuple[str, str], Fact]


class Canon:
    """A world at one moment, or that world with people added."""

    def __init__(self, tables: _Tables, settings: Settings, *, seq: int, game_s: float) -> None:
        self.npcs, self.players, self.items = tables.npcs, tables.players, tables.items
        self.locations, self.factions, self.facts = tables.locations, tables.factions, tables.facts
        self.settings, self.seq, self.game_s = settings, seq, game_s
        self._tables = tables

    @classmethod
    def of(cls, state: State, settings: Settings) -> Canon:
        """The world as that state has it; a worker thread is given a copy (`app.world.state.copied`)."""
        tables = _Tables(state.npcs, state.players, state.items, state.locations, state.factions, dict(_holding(state)))
        return cls(tables, settings, seq=state.seq, game_s=state.game_s)

    def without(self, npc: str) -> Canon:
        """The world as if that NPC were not there yet; what is known of it stays."""
        tables = self._tables
        kept = {id: one for id, one in tables.npcs.items() if id != npc}
        less = _Tables(kept, tables.players, tables.items, tables.locations, tables.factions, tables.facts)
        return Canon(less, self.settings, seq=self.seq, game_s=self.game_s)

    def joined(self, members: Iterable[Member]) -> Canon:
        """The world with these people in it; where they say otherwise, they are believed."""
        tables, added = self._tables, list(members)
        grown = _Tables(
            {**tables.npcs, **{one.npc.id: one.npc for one in added}},
            tables.players,
            {**tables.items, **{item.id: item for one in added for item in one.items}},
            tables.locations,
            tables.factions,
            {**tables.facts, **{(fact.subject, fact.predicate): fact for one in added for fact in one.facts}},
        )
        return Canon(grown, self.settings, seq=self.seq, game_s=self.game_s)

    def entity(self, id: str) -> AnyEntity | None:
        """The entity of any kind with that id, or None."""
        return (
            self.npcs.get(id)
            or self.players.get(id)
            or self.items.get(id)
            or self.locations.get(id)
            or self.factions.get(id)
        )

    def name(self, id: str) -> str:
        """What it is called: its name, else its id."""
        entity = self.entity(id)
        return (entity.name if entity is not None else "") or id

    def told(self, subject: str, predicate: str) -> str:
        """The text that a fact holds; empty where there is none or it is no text."""
        fact = self.facts.get((subject, predicate))
        return fact.value if fact is not None and isinstance(fact.value, str) else ""

    def tie(self, npc: str, kind: str) -> str:
        """Whom a tie of that kind leads to; empty for nobody."""
        return self.told(npc, kind)

    def ties(self, npc: str) -> tuple[Tie, ...]:
        """All ties that facts about an NPC tell."""
        found = ((kind, self.tie(npc, kind)) for kind in TIES)
        return tuple(Tie(kind=kind, other=other) for kind, other in found if other)

    def kin(self, npc: str) -> set[str]:
        """Parents, children, and who shares a parent."""
        parents = {self.tie(npc, kind) for kind in PARENTS} - {""}
        children = {self.tie(npc, kind) for kind in CHILDREN} - {""}
        siblings = {self.tie(parent, kind) for parent in parents for kind in CHILDREN} - {"", npc}
        return parents | children | siblings

    def age(self, npc: str) -> float | None:
        """Years, where the world says so."""
        known = self.npcs.get(npc)
        return number(known.attributes, "age") if known is not None else None

    def opinion(self, one: str, other: str) -> float:
        """The worse of how two factions see each other, in [-1, 1]; 0 for the same, none or unknown ones."""
        if not one or not other or one == other:
            return 0.0
        told = [
            known.relations.get(to, 0.0) for of, to in ((one, other), (other, one)) if (known := self.factions.get(of))
        ]
        return min(told, default=0.0)

    def hostile(self, one: str, other: str) -> bool:
        """Whether two factions are enemies."""
        return self.opinion(one, other) <= self.settings.hostile_relation_max

    def beds(self, place: str) -> int:
        """For how many people a place has room: its `beds`, else the profile's `residents_max`."""
        told = number(self.locations[place].attributes, "beds")
        return int(told) if told is not None else self.settings.residents_max

    @cached_property
    def residents(self) -> Mapping[str, tuple[str, ...]]:
        """Place -> the living people whose home it is."""
        found: dict[str, list[str]] = {}
        for npc in self.npcs.values():
            if npc.alive and npc.home:
                found.setdefault(npc.home, []).append(npc.id)
        return {place: tuple(ids) for place, ids in found.items()}

    @cached_property
    def workers(self) -> Mapping[str, tuple[str, ...]]:
        """Place -> the living people who work there."""
        found: dict[str, list[str]] = {}
        for npc in self.npcs.values():
            if npc.alive and npc.work:
                found.setdefault(npc.work, []).append(npc.id)
        return {place: tuple(ids) for place, ids in found.items()}

    def room(self, place: str) -> int:
        """How many more people can live in a place."""
        return self.beds(place) - len(self.residents.get(place, ()))

    def owner(self, place: str) -> str:
        """The faction that holds a place, by its `faction` attribute; empty where nobody does."""
        told = self.locations[place].attributes.get("faction")
        return told if isinstance(told, str) and told in self.factions else ""

    def reach(self, start: str) -> frozenset[str]:
        """The open places to which open ways lead from an open one; it is among them."""
        cached = self._reached.get(start)
        if cached is None:
            cached = self._reached[start] = frozenset(self._walk(start))
        return cached

    @cached_property
    def _reached(self) -> dict[str, frozenset[str]]:
        return {}

    def _walk(self, start: str) -> dict[str, None]:
        found = {start: None} if start in self.locations and self.locations[start].open else {}
        queue = list(found)
        for place in queue:
            for near in self.locations[place].connects:
                if near in self.locations and near not in found and self.locations[near].open:
                    found[near] = None
                    queue.append(near)
        return found

    def named_for(self, place: str, words: tuple[str, ...]) -> bool:
        """Whether a place's name, id or tags hold one of the words, in the plural too, or a compound that ends so."""
        known = self._named.get((place, words))
        if known is None:
            at = self.locations[place]
            told = set(_WORD.findall(f"{at.name} {at.id} {' '.join(at.tags)}".casefold()))
            known = self._named[place, words] = any(_says(word, wanted) for word in told for wanted in words)
        return known

    @cached_property
    def _named(self) -> dict[tuple[str, tuple[str, ...]], bool]:
        return {}

    @cached_property
    def families(self) -> frozenset[str]:
        """The last names of the world's people, folded."""
        return frozenset(folded(npc.name).split(" ")[-1] for npc in self.npcs.values() if npc.name.strip())

    @cached_property
    def first_names(self) -> Mapping[str, str]:
        """Folded first name of each living NPC and each player -> its id."""
        people: list[Npc | Player] = [*(npc for npc in self.npcs.values() if npc.alive), *self.players.values()]
        return {first_name(one.name): one.id for one in people if one.name.strip()}

    @cached_property
    def things_named(self) -> Mapping[str, str]:
        """Folded name of each place, item and faction, and each word of it of more than three letters -> its id."""
        tables: tuple[Mapping[str, AnyEntity], ...] = (self.locations, self.items, self.factions)
        found: dict[str, str] = {}
        for table in tables:
            for id, entity in table.items():
                found.setdefault(first_name(entity.name.replace(" ", "")), id)
                for word in entity.name.split():
                    if len(word) > 3:
                        found.setdefault(first_name(word), id)
        found.pop("", None)
        return found


def _says(word: str, wanted: str) -> bool:
    return word in (wanted, f"{wanted}s") or (len(wanted) >= 4 and word.endswith(wanted))


def _holding(state: State) -> Iterable[tuple[tuple[str, str], Fact]]:
    """Of each (subject, predicate) the fact that holds now."""
    now = state.game_s
    for history in state.facts.values():
        for fact in reversed(history):
            if fact.from_s <= now and (fact.until_s is None or now < fact.until_s):
                yield (fact.subject, fact.predicate), fact
                break
