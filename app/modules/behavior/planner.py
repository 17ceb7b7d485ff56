"""The slow brain: every NPC gets an intent now and then, for whole batches, in the background.

It looks at the last ticks of a world, asks an engine of words about situations that are new to it, else rules, lets
the answer through the gate and commits it as directives of the planner. No tick waits for it, and an engine that is
slow, dead or lying changes nothing. What is asked and read lies in `plans`, how NPCs are alike in `situations`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock, Deadline
from app.core.errors import EngineDown, Error, Refused
from app.core.ladder import Ladder, Rung, Watcher
from app.core.messages import Change
from app.core.ports import Journal, Log
from app.core.prompts import Prompts
from app.core.words import Bill, Completion, Words, WordsDelta, WordsEnd
from app.modules.behavior import plans
from app.modules.behavior.considerations import Rules
from app.modules.behavior.nudges import Nudges
from app.modules.behavior.plans import Case, Plan
from app.modules.behavior.schema import F32, U8
from app.modules.behavior.settings import PlannerSettings
from app.modules.behavior.situations import Grades
from app.world.entities import Npc
from app.world.events import IntentSet
from app.world.state import World, Worlds
from app.world.usage import charged

TASK = "behavior.plan"
COMMITTED_MAX = 256
"""NPCs whose plans are committed at one look; the others wait for the next."""
CHARACTERS_PER_TOKEN_MAX = 12
"""An answer that is longer than its tokens allow is not read."""
TICKS_MAX = 64

Key = tuple[str, tuple[str, ...], tuple[str, ...], int]
"""Archetype, traits, targets at hand, situation: what makes two NPCs alike to the planner."""


@dataclass(slots=True)
class _Mind:
    """One world that is looked at."""

    world: World
    seen_s: float
    ticks: deque[tuple[NDArray[np.uint32], F32, U8]] = field(default_factory=lambda: deque(maxlen=TICKS_MAX))
    planned_s: NDArray[np.float64] = field(default_factory=lambda: np.full(64, -np.inf))
    codes: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(64, np.uint64))
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class _One:
    """An NPC that is due: its row of the last tick, and whom it is like."""

    npc: Npc
    handle: int
    row: int
    key: Key


@dataclass(frozen=True, slots=True)
class _Question:
    world: World
    cases: tuple[Case, ...]
    obs: F32
    mask: U8
    bill: Bill
    """Of who is asked about first in each case, one row each."""


class Planner:
    """The minds of all worlds that had a tick of late. Its methods run on the event loop; `saw` is quick."""

    def __init__(
        self, settings: PlannerSettings, *, worlds: Worlds, journal: Journal, nudges: Nudges, rules: Rules,
        words: Words | None, prompts: Prompts, clock: Clock, watcher: Watcher, log: Log,
    ) -> None:  # fmt: skip
        self._limits = settings
        self._worlds, self._journal, self._nudges, self._rules = worlds, journal, nudges, rules
        self._schema, self._grades = rules.schema, Grades.of(rules.schema)
        self._words, self._prompts, self._clock, self._log = words, prompts, clock, log
        self._minds: dict[tuple[str, str], _Mind] = {}
        self._answers: OrderedDict[Key, tuple[Plan, float]] = OrderedDict()
        self._whys: OrderedDict[tuple[str, str, str], tuple[str, str]] = OrderedDict()
        named = [Rung("words", self._ask, reserve_ms=0.0)] if words is not None else []
        self._ladder: Ladder[_Question, dict[str, Plan]] = Ladder(
            "planner",
            [*named, Rung("rules", self._follow_rules, last=True)],
            clock=clock,
            watcher=watcher,
            rest_ms=self._limits.rest_ms,
        )

    def saw(self, world: World, handles: NDArray[np.uint32], obs: F32, mask: U8) -> None:
        """Remember a tick's clean rows; the first one of a world begins to look at it."""
        key, now_s = (world.tenant, world.id), self._clock.monotonic_s()
        mind = self._minds.get(key)
        if mind is None or mind.world is not world or mind.task is None or mind.task.done():
            if mind is not None and mind.task is not None:
                mind.task.cancel()
            elif len(self._minds) >= self._limits.worlds_max:
                return
            mind = self._minds[key] = _Mind(world, now_s)
            mind.task = asyncio.create_task(self._mind(mind), name="behavior.planner")
        mind.seen_s = now_s
        mind.ticks.append((handles, obs, mask))
        rows = sum(len(tick[0]) for tick in mind.ticks)
        while rows > self._limits.npcs_max and len(mind.ticks) > 1:
            rows -= len(mind.ticks.popleft()[0])

    def why(self, world: World, npc: str) -> str:
        """What the engine gave as its reason for the directive that holds now; empty where there is none."""
        told = world.directive(npc)
        intent, why = self._whys.get((world.tenant, world.id, npc), ("", ""))
        return why if told is not None and told.source == "planner" and told.intent == intent else ""

    async def close(self) -> None:
        """End all looks."""
        tasks = [mind.task for mind in self._minds.values() if mind.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._minds.clear()

    async def _mind(self, mind: _Mind) -> None:
        """Look again and again, until the world has no ticks any more."""
        world = mind.world
        while self._clock.monotonic_s() - mind.seen_s <= self._limits.idle_s:
            await asyncio.sleep(self._limits.look_ms / 1000.0)
            if not self._worlds.has(world.tenant, world.id) or self._worlds.get(world.tenant, world.id) is not world:
                break
            try:
                await self._look(mind)
            except Error as error:
                self._log.warning("plans.failed", tenant=world.tenant, world=world.id, reason=error.message)
        if self._minds.get((world.tenant, world.id)) is mind:
            del self._minds[world.tenant, world.id]

    async def _look(self, mind: _Mind) -> None:
        """Plan for those who are due."""
        if self._journal.fault or not mind.ticks:
            return
        due, obs, mask = await self._due(mind)
        if not due:
            return
        groups: dict[Key, list[_One]] = {}
        for one in due:
            groups.setdefault(one.key, []).append(one)
        now_s = self._clock.monotonic_s()
        known = {key: held[0] for key in groups if (held := self._answers.get(key)) and held[1] > now_s}
        asked = [key for key in groups if key not in known][: self._limits.batch_npcs_max]
        bill, rung = Bill(), "cache"
        if asked:
            question = self._question(mind.world, [groups[key][0] for key in asked], obs, mask, bill)
            found, rung = await self._ladder.run(question, Deadline.after_ms(self._limits.deadline_ms, self._clock))
            fresh = {
                key: found[case.label] for key, case in zip(asked, question.cases, strict=True) if case.label in found
            }
            known |= fresh
            if rung == "words":
                self._remember(fresh)
        settled = [one for key in (*known, *asked) for one in groups[key]]
        for one in settled:
            mind.planned_s[one.handle], mind.codes[one.handle] = now_s, np.uint64(one.key[3])
        chosen = [(one, known[one.key]) for one in settled if one.key in known]
        await self._commit(
            mind.world, list({one.handle: (one, plan) for one, plan in chosen}.values()), mask, bill, rung
        )

    async def _due(self, mind: _Mind) -> tuple[list[_One], F32, U8]:
        """Who has not been planned for of late, lives, follows no author, and is in a new situation or told nothing."""
        roster = self._nudges.rosters.of(mind.world)
        ticks = tuple(reversed(mind.ticks))
        squads = np.where(roster.squad >= 0, 1 + roster.shaken, 0).astype(np.uint8)
        handles, obs, mask, codes = await asyncio.to_thread(_newest, ticks, squads, self._grades)
        most = int(handles.max(initial=0)) + 1
        if most > len(mind.planned_s):
            more = 2 * most - len(mind.planned_s)
            mind.planned_s = np.concatenate([mind.planned_s, np.full(more, -np.inf)])
            mind.codes = np.concatenate([mind.codes, np.zeros(more, np.uint64)])
        held = (roster.told[handles] >= 0) & (roster.until_s[handles] > mind.world.state.game_s)
        authored = held & (roster.proposed[handles] == 0)
        waited = self._clock.monotonic_s() - mind.planned_s[handles] >= self._limits.every_s
        rows = np.flatnonzero(waited & ~authored & ((codes != mind.codes[handles]) | ~held))
        rows = rows[np.argsort(mind.planned_s[handles[rows]], kind="stable")][:COMMITTED_MAX]
        ids, due = tuple(mind.world.state.handles), []
        for row in rows.tolist():
            npc = mind.world.state.npcs.get(ids[handles[row]])
            if npc is not None and npc.alive:
                key = (npc.archetype, npc.persona.traits[:4], self._targets(mind.world, npc), int(codes[row]))
                due.append(_One(npc, int(handles[row]), row, key))
        return due, obs, mask

    def _targets(self, world: World, npc: Npc) -> tuple[str, ...]:
        return tuple(name for name in plans.TARGETS if _target(world, npc, name))

    def _question(self, world: World, firsts: Sequence[_One], obs: F32, mask: U8, bill: Bill) -> _Question:
        roster, names, rows = self._nudges.rosters.of(world), self._schema.intent_names, [one.row for one in firsts]
        cases = tuple(
            Case(
                label=f"n{number}",
                archetype=one.key[0],
                traits=one.key[1],
                words=self._grades.words(obs[one.row], _spirit(roster.squad, roster.shaken, one.handle)),
                may=tuple(names[intent] for intent in np.flatnonzero(mask[one.row]).tolist()),
                targets=one.key[2],
            )
            for number, one in enumerate(firsts, 1)
        )
        return _Question(world, cases, obs[rows], mask[rows], bill)

    async def _ask(self, question: _Question, deadline: Deadline) -> dict[str, Plan]:
        """One request for all cases; raises Unavailable where no engine answers in the shape that was asked for."""
        if self._words is None:
            raise EngineDown("no engine of words", hint="give a provider a key")
        rendered = self._prompts.render(
            question.world.tenant, TASK, plans.variables(question.cases, self._schema), unit=f"{question.world.id}/"
        )
        most = self._limits.output_tokens_max
        completion = Completion(
            task=TASK,
            parts=rendered.parts,
            output_tokens_max=min(rendered.output_tokens_max or most, most),
            sampling=rendered.sampling,
            prompt=rendered.version,
            prefer=rendered.model,
            tenant=question.world.tenant,
            world=question.world.id,
            bill=question.bill,
            schema=plans.shape(question.cases, self._schema),
        )
        text, ended = "", False
        async with aclosing(self._words.stream(completion, deadline)) as stream:
            async for event in stream:
                if isinstance(event, WordsDelta):
                    text += event.text
                    if len(text) > CHARACTERS_PER_TOKEN_MAX * self._limits.output_tokens_max:
                        raise EngineDown("the plans have no end")
                ended = ended or isinstance(event, WordsEnd)
        if not ended:
            raise EngineDown("the plans were cut off")
        return plans.read(text, question.cases)

    async def _follow_rules(self, question: _Question, deadline: Deadline) -> dict[str, Plan]:
        """Plans without words. Who keeps a schedule has one already."""
        limits = self._limits
        chosen = await asyncio.to_thread(
            plans.foresee, self._schema, self._rules, question.obs, question.mask, days=limits.foresight_days,
            hunger_per_day=limits.hunger_per_day, energy_per_day=limits.energy_per_day,
        )  # fmt: skip
        scheduled = question.obs[:, self._schema.block("told")].max(axis=1) > 0.0
        names = self._schema.intent_names
        return {
            case.label: Plan(names[intent])
            for case, intent, free in zip(question.cases, chosen.tolist(), (~scheduled).tolist(), strict=True)
            if intent >= 0 and free
        }

    def _remember(self, fresh: dict[Key, Plan]) -> None:
        until_s = self._clock.monotonic_s() + self._limits.answers_s
        for key, plan in fresh.items():
            self._answers[key] = (plan, until_s)
            self._answers.move_to_end(key)
        while len(self._answers) > self._limits.answers_max:
            self._answers.popitem(last=False)

    async def _commit(self, world: World, chosen: Sequence[tuple[_One, Plan]], mask: U8, bill: Bill, rung: str) -> None:
        """Let the plans through the gate and commit what is left of them, with what they have cost."""
        until_s, index = world.state.game_s + self._limits.hold_s, self._schema.intent_index
        paid = [charged(spent) for spent in bill.items]
        changes: list[Change] = []
        for one, plan in chosen:
            npc, told = world.state.npcs.get(one.npc.id), world.directive(one.npc.id)
            free = told is None or told.source == "planner"
            if npc is None or not npc.alive or not free or not mask[one.row, index[plan.intent]]:
                continue
            target = _target(world, npc, plan.target)
            changes.append(IntentSet(npc=npc.id, intent=plan.intent, target=target, until_s=until_s, source="planner"))
            self._whys[world.tenant, world.id, npc.id] = (plan.intent, plan.why)
            self._whys.move_to_end((world.tenant, world.id, npc.id))
        while len(self._whys) > self._limits.answers_max:
            self._whys.popitem(last=False)
        if not changes and not paid:
            return
        try:
            await self._journal.append(world.tenant, world.id, [*changes, *paid])
        except Refused as error:
            self._log.warning("plans.failed", tenant=world.tenant, world=world.id, reason=error.message)
            if paid:
                await self._journal.append(world.tenant, world.id, paid)
        self._log.info(
            "plans.made", tenant=world.tenant, world=world.id, npcs=len(changes), rung=rung,
            engine=bill.items[-1].engine if bill.items else rung,
            tokens=sum(spent.usage.tokens_in + spent.usage.tokens_out for spent in bill.items),
            cost_nano_usd=sum(spent.usage.cost_nano_usd for spent in bill.items),
        )  # fmt: skip


def _newest(
    ticks: Sequence[tuple[NDArray[np.uint32], F32, U8]], squads: U8, grades: Grades
) -> tuple[NDArray[np.intp], F32, U8, NDArray[np.uint64]]:
    """Handles (n,), rows and situations of the newest row of each NPC; `ticks` are newest first."""
    handles = np.concatenate([tick[0] for tick in ticks])
    handles, first = np.unique(handles, return_index=True)
    known = handles < len(squads)
    handles, first = handles[known].astype(np.intp), first[known]
    obs, mask = np.concatenate([tick[1] for tick in ticks])[first], np.concatenate([tick[2] for tick in ticks])[first]
    return handles, obs, mask, grades.codes(obs, mask, squads[handles])


def _spirit(squad: NDArray[np.int32], shaken: U8, handle: int) -> int:
    return 0 if squad[handle] < 0 else 1 + int(shaken[handle])


def _target(world: World, npc: Npc, name: str) -> str:
    """The id that a target's name means for this NPC; empty where it has none."""
    if name == "focus":
        squad = world.state.squads.get(world.state.squad_of.get(npc.id, ""))
        return squad.focus if squad is not None else ""
    place = {"home": npc.home, "work": npc.work}.get(name, "")
    return place if place in world.state.locations else ""
