"""The brains of the ladder behind one face: policy, utility, reflex.

Each answers a whole tick; rows that a brain may not or cannot answer go to the next one by themselves. It
meets the network as a port and knows nothing of worlds or messages.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock, Deadline
from app.core.errors import EngineDown
from app.core.ladder import Ladder, Rung, Watcher
from app.core.ports import Arrays, Network
from app.modules.behavior import logic
from app.modules.behavior.considerations import Rules
from app.modules.behavior.logic import UTILITY_SHARPNESS, Choice, Taste
from app.modules.behavior.memory import Memory
from app.modules.behavior.passes import Passes, Slow
from app.modules.behavior.schema import F32, U8, Schema
from app.modules.behavior.settings import Settings
from app.modules.behavior.shedding import Shedding, most_important

T = TypeVar("T")
STATE_IN, STATE_OUT = "state_in", "state_out"
"""A recurrent policy's arrays (n, width) float32: what it remembered of each NPC, and what it will."""
RUNGS = ("policy", "utility", "reflex")
ANY_ROLE = np.empty(0, np.intp)


@dataclass(frozen=True, slots=True)
class Question:
    """A tick as the brains see it: clean rows."""

    obs: F32
    mask: U8
    taste: Taste
    importance: NDArray[np.generic] | None = None
    """(n,) whom the policy decides for first when it cannot decide for all; None: in the order of the rows"""
    memory: Memory | None = None
    """What a recurrent policy remembers of this world's NPCs; None: nothing."""

    def at(self, rows: NDArray[np.intp]) -> Question:
        """The same for these rows alone."""
        importance = None if self.importance is None else self.importance[rows]
        return Question(self.obs[rows], self.mask[rows], self.taste.at(rows), importance, self.memory)


@dataclass(frozen=True, slots=True)
class Answer:
    """Decisions of all rows; `rung_of` (n,) indexes the brains' `names`, `lead` is the one that led."""

    choice: Choice
    rung_of: U8
    lead: str


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a policy's metadata means for this schema."""

    metadata: Mapping[str, str]
    led: NDArray[np.intp]
    """The role columns that the policy leads, none of them meaning all."""
    state_width: int
    """Numbers that it remembers of each NPC; 0 for none."""


async def off_loop(rows: int, work: Callable[[], T]) -> T:
    """Run `work` of numpy here when `rows` are few, else in a thread."""
    return work() if rows <= Slow.loop_rows_max else await asyncio.to_thread(work)


async def in_spans(rows: int, here_max: int, work: Callable[[int, int], int]) -> int:
    """Run `work(first, last)` over all rows, `here_max` of them on the loop at most; its results or-ed together.

    More rows are halved with a thread (the kernels let go of the interpreter), far more go to two threads.
    """
    if rows <= here_max:
        return work(0, rows)
    half = rows // 2
    other = asyncio.get_running_loop().run_in_executor(None, work, half, rows)
    mine = work(0, half) if half <= here_max else await asyncio.to_thread(work, 0, half)
    return mine | await other


class Brains:
    """The ladder of one schema; `names` are its rungs, best first, reflex always last."""

    def __init__(
        self, schema: Schema, rules: Rules, *, policy: Network | None, rungs: Sequence[str], settings: Settings,
        clock: Clock, watcher: Watcher,
    ) -> None:  # fmt: skip
        self.schema, self.rules = schema, rules
        self.passes: Passes = Slow(schema, rules)
        self.policy = _fitting(policy, schema, watcher)
        self.provider = self.policy.status().provider if self.policy is not None else ""
        answers = {"policy": self._think, "utility": self._weigh}
        named = [rung for rung in rungs if rung in answers and (rung != "policy" or self.policy is not None)]
        self.names = (*named, "reflex")
        self._reading = _reading({} if self.policy is None else self.policy.metadata, schema)
        self._shedding = Shedding(watcher, clock, rest_ms=settings.policy_rest_ms)
        reserve = {"policy": settings.policy_reserve_ms}
        self._ladder: Ladder[Question, Answer] = Ladder(
            "behavior",
            [
                *(Rung(name, answers[name], reserve_ms=reserve.get(name, 0.0)) for name in named),
                Rung("reflex", self._flinch, last=True),
            ],
            clock=clock,
            watcher=watcher,
            failures_max=settings.policy_failures_max,
            rest_ms=settings.policy_rest_ms,
        )

    def warm(self) -> None:
        """Load the compiled passes, or compile them; for a worker thread. Until then numpy answers the same."""
        from app.modules.behavior import kernels

        self.passes = kernels.Fast(self.schema, self.rules)

    async def decide(self, question: Question, deadline: Deadline) -> tuple[Answer, str]:
        """Everyone's decisions in time, and the rung that led."""
        answer, _ = await self._ladder.run(question, deadline)
        return answer, answer.lead

    async def logits(self, obs: F32, deadline: Deadline) -> F32:
        """The policy's raw output (n, intents + slots), of NPCs that it does not remember.

        Raises EngineDown when there is no policy.
        """
        policy = self._led_by()
        self._read(policy)
        return self._checked(await policy.run(self._inputs(obs, None), deadline), len(obs))

    def _led_by(self) -> Network:
        if self.policy is None:
            raise EngineDown("no policy is loaded", hint="see `manage.py doctor`")
        return self.policy

    def _inputs(self, obs: F32, remembered: F32 | None) -> dict[str, F32]:
        """What the network is given: of a recurrent one also what it remembers, by default nothing."""
        width = self._reading.state_width
        if not width:
            return {"obs": obs}
        return {"obs": obs, STATE_IN: np.zeros((len(obs), width), np.float32) if remembered is None else remembered}

    def _checked(self, outputs: Arrays, rows: int) -> F32:
        found: F32 = outputs["logits"]
        if found.shape != (rows, len(self.schema.intents) + self.schema.slots) or found.dtype != np.float32:
            raise EngineDown(f"the policy gave {found.shape!r} {found.dtype}", hint="check the model's catalog entry")
        return found

    async def _think(self, question: Question, deadline: Deadline) -> Answer:
        """The policy's choice for as many as it can decide for in time, the rules' choice for the others."""
        policy, rows = self._led_by(), len(question.obs)
        fit = min(rows, policy.rows_by(deadline))
        self._shedding.note(rows, rows - fit)
        if fit == rows:
            return await self._ask(policy, question, deadline)
        if not fit:
            return await self._weigh(question, deadline)
        chosen, others = most_important(question.importance, rows, fit)
        asked = asyncio.ensure_future(self._ask(policy, question.at(chosen), deadline))
        try:
            ruled = await self._follow_rules(question.at(others))
            answer = await asked
        finally:
            asked.cancel()
        choice = Choice.room(rows, len(self.schema.intents), self.schema.slots)
        choice.put(chosen, answer.choice)
        choice.put(others, ruled)
        rung_of = np.full(rows, self._index("utility"), np.uint8)
        rung_of[chosen] = answer.rung_of
        return Answer(choice, rung_of, "policy")

    async def _ask(self, policy: Network, question: Question, deadline: Deadline) -> Answer:
        """The policy's choice where it is sound and its role is led by it, the rules' choice elsewhere.

        Each chunk of rows is decided over by the worker that has just computed its scores, which lie in its cache.
        """
        rows, split, reading, passes = len(question.obs), len(self.schema.intents), self._read(policy), self.passes
        intents, targets, sound = (np.empty(rows, np.uint8) for _ in range(3))
        confidence = np.empty(rows, np.float32)
        unsound: list[int] = []

        def over(outputs: Arrays) -> Choice:
            logits = self._checked(outputs, rows)
            return Choice(intents, targets, confidence, logits[:, :split], logits[:, split:])

        def after(first: int, last: int, outputs: Arrays) -> None:
            some = passes.choose(
                question.obs, question.mask, question.taste, reading.led, 1.0, over(outputs), sound, first, last
            )
            unsound.append(some)

        memory = question.memory if reading.state_width else None
        handles = question.taste.handles
        remembered = None if memory is None else memory.recall(handles, reading.state_width)
        outputs = await policy.run(self._inputs(question.obs, remembered), deadline, after=after)
        if memory is not None:
            memory.keep(handles, outputs[STATE_OUT])
        choice, rung_of = over(outputs), np.full(rows, self._index("policy"), np.uint8)
        if any(unsound):
            others = np.flatnonzero(sound == 0)
            choice.put(others, await self._follow_rules(question.at(others)))
            rung_of[others] = self._index("utility")
        return Answer(choice, rung_of, "policy")

    def _read(self, policy: Network) -> _Reading:
        """What the live model's metadata says; read anew when another model has taken its place."""
        if policy.metadata is not self._reading.metadata:
            self._reading = _reading(policy.metadata, self.schema)
        return self._reading

    async def _choose(
        self, question: Question, choice: Choice, led: NDArray[np.intp], *, sharpness: float
    ) -> U8 | None:
        """Decide over the choice's scores; which rows are sound, or None when all are."""
        sound = np.empty(len(question.obs), np.uint8)
        passes, obs, mask, taste = self.passes, question.obs, question.mask, question.taste

        def work(first: int, last: int) -> int:
            return passes.choose(obs, mask, taste, led, sharpness, choice, sound, first, last)

        return sound if await in_spans(len(obs), passes.loop_rows_max, work) else None

    async def _follow_rules(self, question: Question) -> Choice:
        obs, passes = question.obs, self.passes
        rows = len(obs)
        choice = Choice.room(rows, len(self.schema.intents), self.schema.slots)

        def work(first: int, last: int) -> int:
            passes.weigh(obs, choice, first, last)
            return 0

        await in_spans(rows, passes.loop_rows_max, work)
        await self._choose(question, choice, ANY_ROLE, sharpness=UTILITY_SHARPNESS)
        return choice

    async def _weigh(self, question: Question, deadline: Deadline) -> Answer:
        choice = await self._follow_rules(question)
        return Answer(choice, np.full(len(question.obs), self._index("utility"), np.uint8), "utility")

    async def _flinch(self, question: Question, deadline: Deadline) -> Answer:
        rows = len(question.obs)
        work = functools.partial(logic.follow_reflexes, self.schema, question.obs, question.mask)
        return Answer(await off_loop(rows, work), np.full(rows, self._index("reflex"), np.uint8), "reflex")

    def _index(self, rung: str) -> int:
        return self.names.index(rung) if rung in self.names else len(self.names) - 1


def _fitting(policy: Network | None, schema: Schema, watcher: Watcher) -> Network | None:
    """The policy, unless it was trained for another layout, or leads no role; then it is left out, visibly."""
    if policy is None:
        return None
    found = policy.metadata.get("fingerprint", "")
    if found != schema.fingerprint:
        watcher.rung_fell("behavior", "policy", f"trained for schema {found!r}, not {schema.fingerprint!r}")
        return None
    if policy.metadata.get("roles") == "":
        watcher.rung_fell("behavior", "policy", "the policy leads no role")
        return None
    return policy


def _reading(metadata: Mapping[str, str], schema: Schema) -> _Reading:
    named = metadata.get("roles")
    led = ANY_ROLE
    if named is not None:
        columns = [schema.columns[f"is_{role}"] for role in named.split(",") if role in schema.roles]
        led = ANY_ROLE if len(columns) == len(schema.roles) else np.array(columns, np.intp)
    return _Reading(metadata, led, int(metadata.get("state", "0")))
