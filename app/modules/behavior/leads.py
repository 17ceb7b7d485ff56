"""Who is led by which authored brain, or by which rung alone, and what these decide before the ladder does.

By NPC, else by archetype, else by nobody: then the ladder decides. It holds the memories that trees keep of
NPCs, and knows neither files nor messages.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Deadline
from app.core.errors import Unavailable
from app.core.messages import Event
from app.modules.behavior.asking import Question
from app.modules.behavior.brains import RUNGS, Answer, Brains, in_spans
from app.modules.behavior.goals.brain import Explanation, Goals
from app.modules.behavior.logic import Choice
from app.modules.behavior.programs import Program, Programs
from app.modules.behavior.schema import F32, NONE, U8
from app.modules.behavior.trees.memory import I16, Memory, Moments, Outcome
from app.world.entities import Npc
from app.world.events import BoardWritten, BrainAssigned, EntityRemoved, EntityUpserted
from app.world.state import World

LED = ("tree", "goals")
"""Rungs before those of the ladder, where somebody is led."""
ALONE = ("utility", "reflex")
"""Rungs that can lead alone; whom the policy leads follows the ladder, which begins with it and knows its health."""
DT_S_MAX = 60.0
"""An NPC that was not asked for longer than this many seconds of game time goes on as if it were this long."""


@dataclass(frozen=True, slots=True)
class Led:
    """What an authored brain decided of some rows of a tick, with all that would decide the same again."""

    name: str
    program: Program
    rows: NDArray[np.intp]
    leaf: I16
    before: Moments
    seed: int
    number: int
    dt_s: float

    def of(self, row: int) -> Led | None:
        """The same for one row of the tick, None where another brain decided that."""
        at = np.flatnonzero(self.rows == row)
        if not len(at):
            return None
        before = Moments(self.before.bits[at], self.before.floats[at])
        return replace(self, rows=self.rows[at], leaf=self.leaf[at], before=before)

    @property
    def path(self) -> str:
        """The node or action that decided the first row."""
        return self.program.paths[int(self.leaf[0])] if self.leaf[0] >= 0 else ""

    def steps(self, obs: F32, mask: U8, handle: int) -> tuple[str, ...]:
        """How one NPC's row came about, a line each: nodes that were ticked, or facts, goals and the plan."""
        told = self.program.explain(obs, mask, handle, self.before, self.seed, self.number, self.dt_s)
        if not isinstance(told, Explanation):
            return tuple(f"{visit.path}: {visit.status.name.lower()}" for visit in told)
        facts = [f"fact {name}: {'yes' if holds else 'no'}" for name, holds in told.facts.items()]
        goals = [f"goal {each.name}: {each.verdict}, wanted {each.priority:.3f}" for each in told.goals]
        return (*facts, *goals, *(f"plan: {name}, cost {cost}" for name, cost in told.plan))

    @property
    def rung(self) -> str:
        return "goals" if isinstance(self.program, Goals) else "tree"


@dataclass(slots=True)
class _Home:
    """One world: who is led by what, and what was remembered of them."""

    world: World
    which: I16 = field(default_factory=lambda: np.full(0, -1, np.int16))
    """(handles,) points into `names`, -1 nobody"""
    names: list[str] = field(default_factory=list)
    memories: dict[str, Memory] = field(default_factory=dict)
    game_s: float = 0.0
    """At the last tick."""
    stale: bool = True
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Ticks of one world are decided one after another: each goes on from what the one before remembered."""


class Leads:
    """The led NPCs of one schema in the last `worlds_max` worlds; for the event loop."""

    def __init__(self, programs: Programs, usual: Mapping[str, str], *, worlds_max: int) -> None:
        """`usual` gives archetypes a brain; raises NotFound for one that is not there."""
        self._programs, self._usual, self._worlds_max = programs, dict(usual), worlds_max
        for name in self._usual.values():
            if name not in RUNGS:
                programs.compile(name)
        self._homes: OrderedDict[tuple[str, str], _Home] = OrderedDict()

    def observe(self, world: World, events: Sequence[Event]) -> None:
        """Learn of committed events that change who is led, or what a board says."""
        home = self._homes.get((world.tenant, world.id))
        if home is None or home.world is not world:
            return
        for event in events:
            match event.change:
                case BrainAssigned():
                    home.stale = True
                case EntityRemoved(entity_kind="npc", id=npc):
                    home.stale = True
                    for memory in home.memories.values():
                        memory.clear(np.array([world.state.handles[npc]], np.uint32))
                case EntityUpserted(entity=Npc()):
                    home.stale = home.stale or bool(self._usual)
                case BoardWritten(npc=npc, values=values):
                    for memory in home.memories.values():
                        _write(memory, world.state.handles[npc], values)

    def leads(self, world: World) -> bool:
        """Whether an authored brain leads anyone here."""
        return bool(self._usual or world.state.brains)

    async def decide(
        self, world: World, brains: Brains, question: Question, deadline: Deadline, *, number: int, dt_s: float | None
    ) -> tuple[Answer, tuple[Led, ...]]:
        """Everyone's decisions: of whom an authored brain leads by that, of all others by the ladder.

        Whoever the authored brain is unsure of, and the second row of an NPC, goes to the ladder as well. `dt_s` is
        the game time since the last tick, by default that of the world's clock.
        """
        question = await brains.clean(question)
        home = await self._home(world)
        handles = question.taste.handles
        spent_s = min(DT_S_MAX, max(0.0, world.state.game_s - home.game_s)) if dt_s is None else dt_s
        home.game_s = world.state.game_s
        known = handles < len(home.which)
        which = np.where(known, home.which[np.where(known, handles, 0)], np.int16(-1))
        choice = Choice.room(len(handles), len(brains.schema.intents), brains.schema.slots)
        rung_of, rest = np.zeros(len(handles), np.uint8), np.ones(len(handles), np.bool_)
        led = []
        names = home.names
        async with home.turn:
            for at in np.unique(which[which >= 0]).tolist():
                rows = np.flatnonzero(which == at)
                rows = rows[np.unique(handles[rows], return_index=True)[1]]
                if names[at] in ALONE:
                    answer = await _alone(brains, names[at], question.at(rows), deadline)
                    if answer is not None:
                        choice.put(rows, answer.choice)
                        rung_of[rows], rest[rows] = answer.rung_of + np.uint8(len(LED)), False
                elif names[at] not in RUNGS:
                    one = await self._lead(home, names[at], question, rows, number, spent_s, choice)
                    rung_of[one.rows], rest[one.rows] = LED.index(one.rung), False
                    led.append(one)
        rungs = (*LED, *brains.names)
        others = np.flatnonzero(rest)
        if not len(others):
            lead = rungs[rung_of[0]] if len(rung_of) else rungs[-1]
            return Answer(question.obs, choice, rung_of, lead, rungs=rungs), tuple(led)
        answer, lead = await brains.decide(question.at(others), deadline)
        choice.put(others, answer.choice)
        rung_of[others] = answer.rung_of + np.uint8(len(LED))
        remembered = None
        if answer.remembered is not None:
            remembered = np.zeros((len(handles), answer.remembered.shape[1]), np.float32)
            remembered[others] = answer.remembered
        return Answer(question.obs, choice, rung_of, lead, remembered, rungs), tuple(led)

    async def _lead(
        self, home: _Home, name: str, question: Question, rows: NDArray[np.intp], number: int, dt_s: float,
        choice: Choice,
    ) -> Led:  # fmt: skip
        """Let one brain decide for `rows`, into `choice`; what comes back holds those that it is sure of."""
        program = self._programs.loaded(name) or await self._programs.load(name)
        memory = self._memory(home, name, program)
        part = question.at(rows)
        handles, seed = part.taste.handles, question.taste.seed
        before, out = memory.take(handles), Outcome.of(len(rows))

        def work(first: int, last: int) -> int:
            program.tick(part.obs, part.mask, handles, memory, seed, number, dt_s, out, first, last)
            return 0

        await in_spans(len(rows), program.ticker.loop_rows_max, work)
        sure = np.flatnonzero(out.intents != NONE)
        _put(choice, rows[sure], out.intents[sure], out.targets[sure])
        kept = Moments(before.bits[sure], before.floats[sure])
        return Led(name, program, rows[sure], out.leaf[sure], kept, seed, number, dt_s)

    async def _home(self, world: World) -> _Home:
        key = (world.tenant, world.id)
        home = self._homes.get(key)
        if home is None or home.world is not world:
            home = self._homes[key] = _Home(world, game_s=world.state.game_s)
        self._homes.move_to_end(key)
        while len(self._homes) > self._worlds_max:
            self._homes.popitem(last=False)
        if home.stale or len(home.which) < len(world.state.handles):
            await self._learn(home)
        return home

    async def _learn(self, home: _Home) -> None:
        """Read anew who is led by what. A brain whose file is gone, or is of another schema, leads nobody."""
        state, home.stale = home.world.state, False
        home.names, which = [], np.full(len(state.handles), -1, np.int16)
        numbers: dict[str, int] = {}
        names = self._programs.names
        for npc, handle in state.handles.items():
            entity = state.npcs.get(npc)
            if entity is None:
                continue
            name = state.brains.get(npc) or self._usual.get(entity.archetype, "")
            if name in names or name in RUNGS:
                which[handle] = numbers.setdefault(name, len(numbers))
        home.which, home.names = which, list(numbers)
        for name in home.names:
            if name not in RUNGS:
                await self._programs.load(name)

    def _memory(self, home: _Home, name: str, program: Program) -> Memory:
        """What a brain remembers in a world, with room for everyone; a new one begins with the boards' values."""
        memory, known = home.memories.get(name), len(home.world.state.handles)
        if memory is None:
            memory = home.memories[name] = program.memory(known)
            for npc, values in home.world.state.boards.items():
                _write(memory, home.world.state.handles[npc], values)
        memory.grow(known)
        return memory


async def _alone(brains: Brains, rung: str, question: Question, deadline: Deadline) -> Answer | None:
    """What one rung of the ladder says by itself; None where it is not there or fails."""
    if rung not in brains.names:
        return None
    try:
        return await brains.answer_as(rung, question, deadline)
    except Unavailable:
        return None


def _write(memory: Memory, handle: int, values: Mapping[str, float]) -> None:
    for key, value in values.items():
        if key in memory.names and handle < memory.capacity:
            memory.write(np.array([handle], np.uint32), key, value)


def _put(choice: Choice, rows: NDArray[np.intp], intents: U8, targets: U8) -> None:
    """Decisions without doubt: the intent's score is 1, all others are 0."""
    choice.intents[rows], choice.targets[rows], choice.confidence[rows] = intents, targets, 1.0
    choice.scores[rows], choice.aim[rows] = 0.0, 0.0
    choice.scores[rows, intents] = 1.0
