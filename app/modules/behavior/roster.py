"""What stands for each NPC of a world, by handle: directive, schedule, squad, spirit; so that a tick gathers it.

Made of the world's state once, then kept up by committed events, each of which touches a few rows. It decides
nothing, and writes no event.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.messages import Event
from app.modules.behavior.rule import SteeringRule
from app.modules.behavior.squads import UNKNOWN, is_shaken
from app.modules.behavior.steering import Steering, unpack
from app.world import events
from app.world.entities import Npc, Squad
from app.world.reducers import PROPOSING
from app.world.state import State, World

S = TypeVar("S", bound=np.generic)


class Roster:
    """One world. Arrays have a row for each handle, and some to spare.

    `told` int16 points into `intents` (-1 none) and holds until `until_s` (float64, game seconds); `proposed` is 1
    where a planner told it. `schedule` int16 points into the module's schedules, `squad` int32 into `squads`.
    """

    def __init__(self, world: World, schedules: Mapping[str, int], owners: Mapping[str, int]) -> None:
        self.world = world
        self.seq = world.state.seq
        self.intents: dict[str, int] = {}
        self.steering: dict[str, SteeringRule] = {}
        self.rules: Steering | None = None
        self.stale = True
        """Whether `rules` are to be laid out anew from the world's steering."""
        self.squads: list[str] = []
        """Index -> squad, empty where one was disbanded."""
        self._schedules, self._owners = schedules, owners
        self._index: dict[str, int] = {}
        self._make()

    def learn(self, changed: Sequence[Event]) -> None:
        """Take committed events in; those that were there when this was made change nothing."""
        self._grow()  # the state may be ahead of what is committed
        for event in changed:
            if event.seq > self.seq:
                self.seq = event.seq
                self._take(event.change)

    def fallen(self, squad: Squad) -> frozenset[str]:
        """The dead members of a squad."""
        npcs = self.world.state.npcs
        return frozenset(id for id in squad.members if not npcs[id].alive)

    def _make(self) -> None:
        state = self.world.state
        rows = max(64, len(state.handles))
        self.told, self.until_s = np.full(rows, -1, np.int16), np.full(rows, np.inf, np.float64)
        self.proposed, self.shaken = np.zeros(rows, np.uint8), np.zeros(rows, np.uint8)
        self.schedule, self.squad = np.full(rows, -1, np.int16), np.full(rows, -1, np.int32)
        self.focus = np.empty(0, np.uint32)
        if self._owners or state.schedules:
            for npc in state.npcs:
                self._assign(npc)
        for told in state.intents.values():
            self._direct(told)
        for name, body in state.steering.items():
            self._steer(name, body)
        for squad in state.squads:
            self._muster(squad)
        self._note()

    def _take(self, change: object) -> None:
        match change:
            case events.IntentSet():
                self._direct(change)
            case events.EntityUpserted(entity=Npc() as npc):
                self._assign(npc.id)
                self._rally(npc.id)
            case events.EntityRemoved(entity_kind="npc"):
                self._forget(change.id)
            case events.Happened(verb="killed" | "died"):
                self._rally(change.actor)
                self._rally(change.target)
            case events.ScheduleSet(npc=npc_id):
                self._assign(npc_id)
            case events.SteeringSet():
                self._steer(change.name, change.rule)
            case events.SquadSet() | events.SquadDisbanded():
                self._muster(change.squad.id if isinstance(change, events.SquadSet) else change.id)
            case events.SubjectErased():
                self._index, self.squads = {}, []
                self._make()
            case _:
                return
        self._note()

    def _note(self) -> None:
        """What there is at all, so that a world without any costs its ticks nothing."""
        self.tells = bool((self.told >= 0).any())
        self.schedules = bool((self.schedule >= 0).any())
        self.breaks = bool(self.shaken.any())

    def _grow(self) -> None:
        rows, have = len(self.world.state.handles), len(self.told)
        if rows <= have:
            return
        more = max(rows, 2 * have)
        self.told, self.schedule = _longer(self.told, more, -1), _longer(self.schedule, more, -1)
        self.until_s, self.squad = _longer(self.until_s, more, np.inf), _longer(self.squad, more, -1)
        self.proposed, self.shaken = _longer(self.proposed, more, 0), _longer(self.shaken, more, 0)

    def _direct(self, told: events.IntentSet) -> None:
        handle = self.world.state.handles[told.npc]
        self.told[handle] = self.intents.setdefault(told.intent, len(self.intents))
        self.until_s[handle] = np.inf if told.until_s is None else told.until_s
        self.proposed[handle] = told.source in PROPOSING

    def _assign(self, id: str) -> None:
        """The schedule that an NPC was given, else its archetype's."""
        state = self.world.state
        npc, named = state.npcs.get(id), state.schedules.get(id, "")
        own = self._owners.get(npc.archetype, -1) if npc is not None else -1
        self.schedule[state.handles[id]] = self._schedules.get(named, -1) if named else own

    def _forget(self, id: str) -> None:
        """A removed NPC; its squad is made anew from what is left of it."""
        handle = self.world.state.handles[id]
        squad = int(self.squad[handle])
        self.told[handle], self.schedule[handle] = -1, -1
        if squad >= 0:
            self._muster(self.squads[squad])

    def _steer(self, name: str, body: bytes) -> None:
        rule = unpack(body) if body else None
        self.steering.pop(name, None)
        if rule is not None:
            self.steering[name] = rule
        self.stale = True

    def _rally(self, id: str) -> None:
        """Somebody fell or stood up: its squad's spirit may be another."""
        squad = self.world.state.squad_of.get(id)
        if squad is not None:
            self._muster(squad)

    def _muster(self, id: str) -> None:
        """A squad as the state has it now; one that is gone leaves its place free."""
        state = self.world.state
        squad, at = state.squads.get(id), self._index.get(id, -1)
        if at >= 0:
            mine = np.flatnonzero(self.squad == at)
            self.squad[mine], self.shaken[mine] = -1, 0
        if squad is None:
            if at >= 0:
                del self._index[id]
                self.squads[at], self.focus[at] = "", UNKNOWN
            return
        if at < 0:
            at = self._seat(id)
        rows = [state.handles[member] for member in squad.members]
        self.squad[rows], self.shaken[rows] = at, is_shaken(squad, self.fallen(squad))
        self.focus[at] = _handle(state, squad.focus)

    def _seat(self, id: str) -> int:
        at = self.squads.index("") if "" in self.squads else len(self.squads)
        if at == len(self.squads):
            self.squads.append(id)
            self.focus = np.append(self.focus, np.uint32(UNKNOWN)).astype(np.uint32)
        self.squads[at], self._index[id] = id, at
        return at


class Rosters:
    """The rosters of the last `worlds_max` worlds that were asked for."""

    def __init__(self, schedules: Mapping[str, int], owners: Mapping[str, int], *, worlds_max: int) -> None:
        self._schedules, self._owners, self._worlds_max = schedules, owners, worlds_max
        self._rosters: OrderedDict[tuple[str, str], Roster] = OrderedDict()

    def of(self, world: World) -> Roster:
        """The roster of a world, made now where it is not known; for the event loop alone."""
        key = (world.tenant, world.id)
        found = self._rosters.get(key)
        if found is None or found.world is not world:
            found = self._rosters[key] = Roster(world, self._schedules, self._owners)
        self._rosters.move_to_end(key)
        while len(self._rosters) > self._worlds_max:
            self._rosters.popitem(last=False)
        return found

    def observe(self, world: World, changed: Sequence[Event]) -> None:
        """See app.core.module.Module.observe."""
        found = self._rosters.get((world.tenant, world.id))
        if found is not None and found.world is world:
            found.learn(changed)


def _longer(array: NDArray[S], rows: int, fill: float) -> NDArray[S]:
    more = np.full(rows, fill, array.dtype)
    more[: len(array)] = array
    return more


def _handle(state: State, id: str) -> int:
    return state.handles.get(id, UNKNOWN)
