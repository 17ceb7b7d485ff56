"""The brains of the ladder behind one face: policy, utility, reflex.

Each answers a whole tick; rows that a brain may not or cannot answer go to the next one by themselves. It
meets the network as a port and knows nothing of worlds or messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock, Deadline
from app.core.errors import EngineDown
from app.core.ladder import Ladder, Rung, Watcher
from app.core.ports import Network
from app.modules.behavior import logic
from app.modules.behavior.considerations import Rules
from app.modules.behavior.logic import Choice
from app.modules.behavior.schema import F32, U8, Schema
from app.modules.behavior.settings import Settings

T = TypeVar("T")
RUNGS = ("policy", "utility", "reflex")
INLINE_ROWS_MAX = 2_048
"""Rows that numpy answers in well under a millisecond; more go to a thread."""


@dataclass(frozen=True, slots=True)
class Question:
    """A tick as the brains see it: clean rows."""

    obs: F32
    mask: U8
    taste: F32 | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Decisions of all rows; `rung_of` (n,) indexes the brains' `names`."""

    choice: Choice
    rung_of: U8


async def off_loop(rows: int, work: Callable[[], T]) -> T:
    """Run `work` here when `rows` are few, else in a thread."""
    return work() if rows <= INLINE_ROWS_MAX else await asyncio.to_thread(work)


class Brains:
    """The ladder of one schema; `names` are its rungs, best first, reflex always last."""

    def __init__(
        self, schema: Schema, rules: Rules, *, policy: Network | None, rungs: Sequence[str], settings: Settings,
        clock: Clock, watcher: Watcher,
    ) -> None:  # fmt: skip
        self.schema, self.rules = schema, rules
        self.policy = _fitting(policy, schema, watcher)
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

    async def decide(self, question: Question, deadline: Deadline) -> tuple[Answer, str]:
        """Everyone's decisions in time, and the rung that led."""
        return await self._ladder.run(question, deadline)

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
        logits = await self.logits(question.obs, deadline)
        return await off_loop(len(logits), lambda: self._judge(question, logits))

    def _judge(self, question: Question, logits: F32) -> Answer:
        """The policy's choice where it is sound and its role is led by it, the rules' choice elsewhere."""
        split = len(self.schema.intents)
        sound = np.isfinite(logits).all(axis=1)
        if self._led is not None:
            sound &= question.obs[:, self._led].any(axis=1)
        rung_of = np.full(len(logits), self.names.index("policy"), np.uint8)
        scores, aim = logits[:, :split], logits[:, split:]
        obs, mask = question.obs, question.mask
        choice = logic.choose(self.schema, obs, mask, scores, aim, sharpness=1.0, taste=question.taste)
        if not sound.all():
            others = np.flatnonzero(~sound)
            taste = question.taste[others] if question.taste is not None else None
            choice.put(others, logic.follow_rules(self.rules, obs[others], mask[others], taste))
            rung_of[others] = self._index("utility")
        return Answer(choice, rung_of)

    async def _weigh(self, question: Question, deadline: Deadline) -> Answer:
        rows = len(question.obs)
        choice = await off_loop(
            rows, lambda: logic.follow_rules(self.rules, question.obs, question.mask, question.taste)
        )
        return Answer(choice, np.full(rows, self._index("utility"), np.uint8))

    async def _flinch(self, question: Question, deadline: Deadline) -> Answer:
        rows = len(question.obs)
        choice = await off_loop(rows, lambda: logic.follow_reflexes(self.schema, question.obs, question.mask))
        return Answer(choice, np.full(rows, self._index("reflex"), np.uint8))

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


def _led_roles(policy: Network | None, schema: Schema) -> NDArray[np.intp] | None:
    """The role columns that the policy leads, or None for all."""
    named = policy.metadata.get("roles") if policy is not None else None
    if named is None:
        return None
    led = [schema.columns[f"is_{role}"] for role in named.split(",") if role in schema.roles]
    return None if len(led) == len(schema.roles) else np.array(led, np.intp)
