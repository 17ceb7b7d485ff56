"""A world in RAM: its state, which the event log rebuilds, and its crowd, which the game reports each tick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import NotFound, nearest
from app.world.entities import AnyEntity, Fact, Faction, Item, Location, Npc, Obstacle, Player, Squad, StoredMap, Value
from app.world.events import IntentSet, ProposalOffered, QuestRecorded, StoryMoved
from app.world.usage import Table


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of a person and not used: the content of their entity, and the facts by their key."""

    name: str = ""
    tags: tuple[str, ...] = ()
    attributes: dict[str, Value] = {}
    facts: dict[str, tuple[Fact, ...]] = {}
    quests: dict[str, QuestRecorded] = {}
    stories: dict[str, StoryMoved] = {}


class State(msgspec.Struct, kw_only=True):
    """Everything that events decide. `facts` lists each (subject, predicate) newest last."""

    seq: int = 0
    game_s: float = 0.0
    npcs: dict[str, Npc] = {}
    players: dict[str, Player] = {}
    items: dict[str, Item] = {}
    locations: dict[str, Location] = {}
    factions: dict[str, Faction] = {}
    facts: dict[str, tuple[Fact, ...]] = {}
    relations: dict[str, float] = {}
    maps: dict[str, StoredMap] = {}
    obstacles: dict[str, Obstacle] = {}
    """By `pair` of the map's name and the obstacle's id."""
    obstacle_changes: dict[str, int] = {}
    """Map -> how often its obstacles have changed."""
    proposals: dict[str, ProposalOffered] = {}
    quests: dict[str, QuestRecorded] = {}
    stories: dict[str, StoryMoved] = {}
    """By `pair` of an NPC and a player."""
    intents: dict[str, IntentSet] = {}
    schedules: dict[str, str] = {}
    """NPC -> the schedule that it was given."""
    brains: dict[str, str] = {}
    """NPC -> the brain that it was given."""
    boards: dict[str, dict[str, float]] = {}
    """NPC -> the keys of its blackboard that the game has written."""
    steering: dict[str, bytes] = {}
    """Name -> an author's rule, as SteeringSet has it."""
    squads: dict[str, Squad] = {}
    squad_of: dict[str, str] = {}
    """NPC -> its squad."""
    handles: dict[str, int] = {}
    """NPC id -> a small number that stands for it in binary frames; never reused."""
    usage: Table = {}
    """What models cost, by period; rows are replaced and never changed in place."""
    since_seq: int = 0
    """The event since which time has run on without being turned back..."""
    branches: tuple[tuple[int, int], ...] = ()
    """...and (first, last) of each stretch of earlier events that the state comes from; see `belongs`."""
    withheld: dict[str, Withheld] = {}
    """Persons of whom nothing may be used now, by id."""


def copied(state: State) -> State:
    """The state with tables of its own; what is in them is frozen and shared."""
    tables = {name: dict(value) for name in State.__struct_fields__ if isinstance(value := getattr(state, name), dict)}
    return msgspec.structs.replace(state, **tables)


def belongs(state: State, seq: int) -> bool:
    """Whether an event is in the past of this state, and not in one that a restored save has undone."""
    return seq >= state.since_seq or any(first <= seq <= last for first, last in state.branches)


def pair(a: str, b: str) -> str:
    """The key of an ordered pair of ids or of a fact's subject and predicate."""
    return f"{a}\x1f{b}"


class Crowd:
    """Where NPCs stand and what they last did; told each tick, never logged.

    Arrays are indexed by handle and grow in steps: `positions` (handles, 2) float32 in map cells,
    `seen_s` (handles,) float64 game seconds of the last report.
    """

    def __init__(self) -> None:
        self.positions: NDArray[np.float32] = np.full((64, 2), np.nan, np.float32)
        self.seen_s: NDArray[np.float64] = np.zeros(64, np.float64)
        self.version = 0

    def report(self, handles: NDArray[np.uint32], positions: NDArray[np.float32], game_s: float) -> None:
        """Store `positions` (n, 2) of `handles` (n,)."""
        if len(handles) == 0:
            return
        self._reserve(int(handles.max()) + 1)
        self.positions[handles] = positions
        self.seen_s[handles] = game_s
        self.version += 1

    def _reserve(self, rows: int) -> None:
        have = len(self.positions)
        if rows <= have:
            return
        more = max(rows, 2 * have) - have
        self.positions = np.vstack([self.positions, np.full((more, 2), np.nan, np.float32)])
        self.seen_s = np.concatenate([self.seen_s, np.zeros(more, np.float64)])


@dataclass(slots=True)
class World:
    """One shard of a game, owned by this process."""

    tenant: str
    id: str
    state: State = field(default_factory=State)
    crowd: Crowd = field(default_factory=Crowd)
    fence: int = 0
    """How often the world has changed its owner when this process took it; every commit shows it."""

    def npc(self, id: str) -> Npc:
        """The NPC of that id; raises NotFound naming the nearest known one."""
        found = self.state.npcs.get(id)
        if found is None:
            raise NotFound(f"no NPC {id!r} in world {self.id!r}", hint=nearest(id, self.state.npcs))
        return found

    def entity(self, id: str) -> AnyEntity | None:
        """The entity of any kind with that id, or None."""
        state = self.state
        return (
            state.npcs.get(id)
            or state.players.get(id)
            or state.items.get(id)
            or state.locations.get(id)
            or state.factions.get(id)
        )

    def fact(self, subject: str, predicate: str) -> Fact | None:
        """The fact that holds now, or None."""
        for fact in reversed(self.state.facts.get(pair(subject, predicate), ())):
            if fact.from_s <= self.state.game_s and (fact.until_s is None or self.state.game_s < fact.until_s):
                return fact
        return None

    def facts_about(self, subject: str) -> Iterator[Fact]:
        """Every fact about `subject` that holds now."""
        prefix = pair(subject, "")
        for key in self.state.facts:
            if key.startswith(prefix):
                found = self.fact(subject, key[len(prefix) :])
                if found is not None:
                    yield found

    def relation(self, npc: str, other: str) -> float:
        """How `npc` feels about `other`, in [-1, 1]; 0 for strangers."""
        return self.state.relations.get(pair(npc, other), 0.0)

    def directive(self, npc: str) -> IntentSet | None:
        """The slow goal that `npc` follows now, or None."""
        told = self.state.intents.get(npc)
        return told if told is not None and (told.until_s is None or self.state.game_s < told.until_s) else None

    def held_by(self, holder: str) -> list[Item]:
        """The items that `holder` has."""
        return [item for item in self.state.items.values() if item.holder == holder]


class Worlds:
    """The worlds that this process owns."""

    def __init__(self) -> None:
        self._worlds: dict[tuple[str, str], World] = {}

    def add(self, world: World) -> None:
        self._worlds[world.tenant, world.id] = world

    def drop(self, world: World) -> bool:
        """Forget a world that is another process's now; whether it was still kept here."""
        if self._worlds.get((world.tenant, world.id)) is not world:
            return False
        del self._worlds[world.tenant, world.id]
        return True

    def get(self, tenant: str, id: str) -> World:
        """The tenant's world of that id; raises NotFound."""
        world = self._worlds.get((tenant, id))
        if world is None:
            hint = nearest(id, (known for owner, known in self._worlds if owner == tenant))
            raise NotFound(f"no world {id!r}", hint=f"{hint}; create one with world.create")
        return world

    def has(self, tenant: str, id: str) -> bool:
        return (tenant, id) in self._worlds

    def of(self, tenant: str) -> list[World]:
        """The tenant's worlds, by id."""
        return [world for (owner, _), world in sorted(self._worlds.items()) if owner == tenant]

    def all(self) -> list[World]:
        return list(self._worlds.values())
