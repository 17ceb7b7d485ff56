"""The brains of the ladder behind one face: policy, utility, reflex.

Each answers a whole tick; rows that a brain may not or cannot answer go to the next one by themselves. It
meets the network as a port and knows nothing of worlds or messages.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock, Deadline, within
from app.core.errors import DeadlineExceeded, EngineDown, NotFound, nearest
from app.core.ladder import Ladder, Rung, Watcher
from app.core.ports import Network
from app.modules.behavior.asking import MENDED, Asked, Question
from app.modules.behavior.considerations import Rules
from app.modules.behavior.logic import UTILITY_SHARPNESS, Choice
from app.modules.behavior.passes import Passes, Slow
from app.modules.behavior.reflexes import Reflexes
from app.modules.behavior.schema import F32, U8, Schema
from app.modules.behavior.settings import Settings
from app.modules.behavior.shedding import Shedding, most_important

T = TypeVar("T")
STATE_IN, STATE_OUT = "state_in", "state_out"
"""A recurrent policy's arrays (n, width) float32: what it remembered of each NPC, and what it will."""
RUNGS = ("policy", "utility", "reflex")
ANY_ROLE = np.empty(0, np.intp)
BLOCK_ROWS = 1_024
"""Rows whose observations and scores fit a core's second cache together."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Decisions of all rows over `obs`; `rung_of` (n,) indexes the brains' `names`, `lead` is the one that led."""

    obs: F32
    choice: Choice
    rung_of: U8
    lead: str
    remembered: F32 | None = None
    """(n, width) what a recurrent policy knew of each NPC when it decided"""
    rungs: tuple[str, ...] = ()
    """What `rung_of` counts, where that is not the brains' `names`."""


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
        self.schema, self.rules, self.reflexes = schema, rules, Reflexes(schema)
        self.passes: Passes = Slow(schema, rules)
        self.policy = _fitting(policy, schema, watcher)
        self.provider = self.policy.status().provider if self.policy is not None else ""
        answers = {"policy": self._think, "utility": self._weigh}
        named = [rung for rung in rungs if rung in answers and (rung != "policy" or self.policy is not None)]
        self.names = (*named, "reflex")
        self._reading = _reading({} if self.policy is None else self.policy.metadata, schema)
        self._shedding = Shedding(watcher, clock, rest_ms=settings.policy_rest_ms)
        self._reserve_ms = settings.policy_reserve_ms
        reserve = {"policy": settings.policy_reserve_ms}
        self._ladder: Ladder[Question, Answer] = Ladder(
            "behavior",
            [
                *(Rung(name, answers[name], reserve_ms=reserve.get(name, 0.0)) for name in named),
                Rung("reflex", self._flinch, last=True),
            ],
            clock=clock,
            watcher=self._shedding,
            failures_max=settings.policy_failures_max,
            rest_ms=settings.policy_rest_ms,
        )

    def warm(self) -> None:
        """Load the compiled passes, or compile them; for a worker thread. Until then numpy answers the same."""
        from app.modules.behavior import kernels

        self.passes = kernels.Fast(self.schema, self.rules)

    @property
    def remembers(self) -> bool:
        """Whether the policy is recurrent."""
        return self.policy is not None and self._read(self.policy).state_width > 0

    async def decide(self, question: Question, deadline: Deadline) -> tuple[Answer, str]:
        """Everyone's decisions in time, and the rung that led; rows that needed mending are decided again.

        A row's decision does not depend on others, so that it is the same as if all had been mended before.
        """
        answer, _ = await self._ladder.run(question, deadline)
        look = question.look
        if look is None or answer.obs is not question.obs or not look.seen & MENDED:
            return answer, answer.lead
        obs = await off_loop(len(question.obs), look.mend)
        rows = np.flatnonzero(look.flags & MENDED)
        part, _ = await self._ladder.run(replace(question, obs=obs).at(rows), deadline)
        answer.choice.put(rows, part.choice)
        answer.rung_of[rows] = part.rung_of
        return replace(answer, obs=obs), answer.lead

    async def answer_as(self, rung: str, question: Question, deadline: Deadline) -> Answer:
        """What one rung answers by itself, for replays; raises NotFound for a rung that these brains lack."""
        found = next((each for each in self._ladder.rungs if each.name == rung), None)
        if found is None:
            raise NotFound(f"no rung {rung!r} here", hint=nearest(rung, self.names))
        return await found.answer(question, deadline)

    async def clean(self, question: Question) -> Question:
        """The question with every row looked at and mended."""
        look, passes = question.look, self.passes
        if look is None:
            return question
        obs, mask, handles = question.obs, question.mask, question.taste.handles

        def work(first: int, last: int) -> int:  # The lightest of the passes.
            return passes.survey(obs, mask, handles, look.known, look.flags, first, last)

        look.seen = await in_spans(len(obs), 2 * passes.loop_rows_max, work)
        mended = await off_loop(len(obs), look.mend) if look.seen & MENDED else obs
        return replace(question, obs=mended, look=None)

    async def logits(self, obs: F32, deadline: Deadline, remembered: F32 | None = None) -> F32:
        """The policy's raw output (n, intents + slots), with what it `remembered` of each NPC, by default nothing.

        Raises EngineDown when there is no policy.
        """
        policy = self._led_by()
        self._read(policy)
        found: F32 = (await policy.run(self._inputs(obs, remembered), deadline))["logits"]
        if found.shape != (len(obs), len(self.schema.intents) + self.schema.slots):
            raise EngineDown(f"the policy gave shape {found.shape!r}", hint="check the model's catalog entry")
        return found

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

    async def _think(self, question: Question, deadline: Deadline) -> Answer:
        """The policy's choice for as many as it can decide for in time, the rules' choice for the others."""
        policy, rows = self._led_by(), len(question.obs)
        fit = min(rows, policy.rows_by(deadline.less_ms(self._reserve_ms)))
        if fit == rows:
            return await self._ask(policy, question, deadline)
        self._shedding.note(rows, rows - fit)
        question = await self.clean(question)
        if not fit:
            rung_of = np.full(rows, self._index("utility"), np.uint8)
            return Answer(question.obs, await self._stand_in(question), rung_of, self.names[rung_of[0]])
        chosen, others = most_important(question.importance, rows, fit)
        asked = asyncio.ensure_future(self._ask(policy, question.at(chosen), deadline))
        try:
            ruled = await self._stand_in(question.at(others))
            answer = await asked
        finally:
            asked.cancel()
        choice = Choice.room(rows, len(self.schema.intents), self.schema.slots)
        choice.put(chosen, answer.choice)
        choice.put(others, ruled)
        rung_of = np.full(rows, self._index("utility"), np.uint8)
        rung_of[chosen] = answer.rung_of
        return Answer(question.obs, choice, rung_of, "policy")

    async def _ask(self, policy: Network, question: Question, deadline: Deadline) -> Answer:
        """The policy's choice where it came in time, is sound and its role is led by it, the rules' choice elsewhere.

        Rows that need mending are left to the caller, who asks for them again. Raises DeadlineExceeded when nothing
        came in time.
        """
        reading, memory, rows = self._read(policy), question.memory, len(question.obs)
        asked = Asked(question, self.passes, reading.led, len(self.schema.intents), self.schema.slots)
        remembered, handles = None, question.taste.handles
        if memory is not None and reading.state_width:
            remembered = memory.recall(handles, reading.state_width)
        mine, in_time = deadline.less_ms(self._reserve_ms), True
        try:
            run = policy.run(self._inputs(question.obs, remembered), mine, after=asked.after)
            await within(mine.left_s(), run)
        except TimeoutError as error:
            in_time = False
            if not asked.done:
                raise DeadlineExceeded("the policy was late for everyone") from error
        stands, seen = asked.stands()
        if memory is not None and remembered is not None:
            memory.keep(handles[stands], asked.outputs[STATE_OUT][stands])
        if not in_time:
            self._shedding.note(rows, rows - int(np.count_nonzero(stands)))
            return await self._rescue(question, asked.over(asked.outputs), stands, remembered)
        self._shedding.note(rows, 0)
        if question.look is not None:
            question.look.seen = seen
        choice, rung_of = asked.over(asked.outputs), np.full(rows, self._index("policy"), np.uint8)
        if not stands.all():
            others = np.flatnonzero(~stands if question.look is None else ~stands & (question.look.flags & MENDED == 0))
            choice.put(others, await self._stand_in(question.at(others)))
            rung_of[others] = self._index("utility")
        return Answer(question.obs, choice, rung_of, "policy", remembered)

    async def _rescue(
        self, question: Question, late: Choice, stands: NDArray[np.bool_], remembered: F32 | None
    ) -> Answer:
        """What came in time, copied out of where a late worker may still write, and the rules' choice elsewhere."""
        question = await self.clean(question)
        choice = Choice.room(len(stands), len(self.schema.intents), self.schema.slots)
        kept, others = np.flatnonzero(stands), np.flatnonzero(~stands)
        choice.put(kept, late.at(kept))
        choice.put(others, await self._stand_in(question.at(others)))
        rung_of = np.where(stands, self._index("policy"), self._index("utility")).astype(np.uint8)
        return Answer(question.obs, choice, rung_of, "policy", remembered)

    def _read(self, policy: Network) -> _Reading:
        """What the live model's metadata says; read anew when another model has taken its place."""
        if policy.metadata is not self._reading.metadata:
            self._reading = _reading(policy.metadata, self.schema)
        return self._reading

    async def _follow_rules(self, question: Question) -> Choice:
        """The rules' choice, in blocks whose scores are still in the cache when they are decided over."""
        obs, mask, taste, bonus, passes = question.obs, question.mask, question.taste, question.bonus, self.passes
        choice = Choice.room(len(obs), len(self.schema.intents), self.schema.slots)
        sound = np.empty(len(obs), np.uint8)

        def work(first: int, last: int) -> int:
            for start in range(first, last, BLOCK_ROWS):
                end = min(last, start + BLOCK_ROWS)
                passes.weigh(obs, choice, start, end)
                if bonus is not None:
                    choice.scores[start:end] += bonus[start:end]
                passes.choose(obs, mask, taste, ANY_ROLE, UTILITY_SHARPNESS, choice, sound, start, end)
            return 0

        await in_spans(len(obs), passes.loop_rows_max, work)
        return choice

    async def _stand_in(self, question: Question) -> Choice:
        """For rows that the policy may not decide: the rules, where there are any."""
        if "utility" in self.names:
            return await self._follow_rules(question)
        return self.reflexes.follow(question.obs, question.mask)

    async def _weigh(self, question: Question, deadline: Deadline) -> Answer:
        question = await self.clean(question)
        choice = await self._follow_rules(question)
        return Answer(question.obs, choice, np.full(len(question.obs), self._index("utility"), np.uint8), "utility")

    async def _flinch(self, question: Question, deadline: Deadline) -> Answer:
        question = await self.clean(question)
        rows = len(question.obs)
        work = functools.partial(self.reflexes.follow, question.obs, question.mask)
        return Answer(
            question.obs, await off_loop(rows, work), np.full(rows, self._index("reflex"), np.uint8), "reflex"
        )

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
