"""The brains of the ladder behind one face: policy, utility, reflex.

Each answers a whole tick; rows that a brain may not or cannot answer go to the next one by themselves. It
meets the network as a port and knows nothing of worlds or messages.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock, Deadline
from app.core.errors import EngineDown, NotFound, nearest
from app.core.ladder import Ladder, Rung, Watcher
from app.core.ports import Network
from app.modules.behavior import logic
from app.modules.behavior.considerations import Rules
from app.modules.behavior.logic import UTILITY_SHARPNESS, Choice, Taste
from app.modules.behavior.passes import Passes, Slow
from app.modules.behavior.schema import F32, U8, Schema
from app.modules.behavior.settings import Settings

T = TypeVar("T")
RUNGS = ("policy", "utility", "reflex")
ANY_ROLE = np.empty(0, np.intp)


@dataclass(frozen=True, slots=True)
class Question:
    """A tick as the brains see it: clean rows."""

    obs: F32
    mask: U8
    taste: Taste


@dataclass(frozen=True, slots=True)
class Answer:
    """Decisions of all rows; `rung_of` (n,) indexes the brains' `names`."""

    choice: Choice
    rung_of: U8


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
        self._led = _led_roles(self.policy, schema)
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
        return await self._ladder.run(question, deadline)

    async def answer_as(self, rung: str, question: Question, deadline: Deadline) -> Answer:
        """What one rung answers by itself, for replays; raises NotFound for a rung that these brains lack."""
        found = next((each for each in self._ladder.rungs if each.name == rung), None)
        if found is None:
            raise NotFound(f"no rung {rung!r} here", hint=nearest(rung, self.names))
        return await found.answer(question, deadline)

    async def logits(self, obs: F32, deadline: Deadline) -> F32:
        """The policy's raw output (n, intents + slots); raises EngineDown when there is no policy."""
        if self.policy is None:
            raise EngineDown("no policy is loaded", hint="see `manage.py doctor`")
        outputs = await self.policy.run({"obs": obs}, deadline)
        found: F32 = outputs["logits"]
        if found.shape != (len(obs), len(self.schema.intents) + self.schema.slots):
            raise EngineDown(f"the policy gave shape {found.shape!r}", hint="check the model's catalog entry")
        return found

    async def _think(self, question: Question, deadline: Deadline) -> Answer:
        """The policy's choice where it is sound and its role is led by it, the rules' choice elsewhere."""
        logits = await self.logits(question.obs, deadline)
        split = len(self.schema.intents)
        choice = Choice.over(logits[:, :split], logits[:, split:])
        sound = await self._choose(question, choice, self._led, sharpness=1.0)
        rung_of = np.full(len(logits), self.names.index("policy"), np.uint8)
        if sound is not None:
            others = np.flatnonzero(sound == 0)
            part = Question(question.obs[others], question.mask[others], question.taste.at(others))
            choice.put(others, await self._follow_rules(part))
            rung_of[others] = self._index("utility")
        return Answer(choice, rung_of)

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
        choice = Choice.over(
            np.empty((rows, len(self.schema.intents)), np.float32), np.empty((rows, self.schema.slots), np.float32)
        )

        def work(first: int, last: int) -> int:
            passes.weigh(obs, choice, first, last)
            return 0

        await in_spans(rows, passes.loop_rows_max, work)
        await self._choose(question, choice, ANY_ROLE, sharpness=UTILITY_SHARPNESS)
        return choice

    async def _weigh(self, question: Question, deadline: Deadline) -> Answer:
        choice = await self._follow_rules(question)
        return Answer(choice, np.full(len(question.obs), self._index("utility"), np.uint8))

    async def _flinch(self, question: Question, deadline: Deadline) -> Answer:
        rows = len(question.obs)
        work = functools.partial(logic.follow_reflexes, self.schema, question.obs, question.mask)
        return Answer(await off_loop(rows, work), np.full(rows, self._index("reflex"), np.uint8))

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


def _led_roles(policy: Network | None, schema: Schema) -> NDArray[np.intp]:
    """The role columns that the policy leads, none of them meaning all."""
    named = policy.metadata.get("roles") if policy is not None else None
    if named is None:
        return ANY_ROLE
    led = [schema.columns[f"is_{role}"] for role in named.split(",") if role in schema.roles]
    return ANY_ROLE if len(led) == len(schema.roles) else np.array(led, np.intp)
