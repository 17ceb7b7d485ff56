"""Villages to learn in: one decision for everyone, then half a second of life, then its reward.

It moves NPCs in straight lines, and shares the villages among threads; it does not learn. All chance lies in each
village's own `draws`, so the same state and decisions give the same run for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.learning.envs.compiled import compiled
from app.learning.envs.effects import draw, goals, move, resolve
from app.learning.envs.rewards import REMEMBERED, Moment, Rewards, crimes, judge, moment, remember
from app.learning.envs.sensing import Senses, look
from app.learning.envs.village import (
    F32,
    FEATURES,
    FOLLOW,
    GUARD,
    HOME,
    I8,
    I32,
    INTENTS,
    PATROL,
    REST,
    STAND,
    TALK,
    VILLAGER,
    WANDER,
    WORK,
    Village,
    allocate,
    deal_roles,
    populate,
    settle,
)  # fmt: skip

Brain = Callable[[F32, NDArray[np.uint8]], tuple[I8, I8]]
"""(obs (rows, 64), mask (rows, 12)) -> (intents (rows,), slots (rows,)) int8, -1 for none."""

DT_S = 0.5
DIRECTIVES = (HOME, WORK, WANDER, REST, PATROL, STAND, TALK, FOLLOW)
DIRECTIVE_SHARE_S = 0.004
"""Chance per second that an NPC is told something."""
DIRECTIVE_LEAST_S, DIRECTIVE_MOST_S = 15.0, 60.0


def draw_villages(villages: int, npcs: int, seed: int) -> Village:
    """Settled and populated villages, the same for the same seed."""
    generator = np.random.Generator(np.random.PCG64(seed))
    village = allocate(villages, npcs)
    village.role[:] = deal_roles(npcs)
    settle(village, generator)
    populate(village, generator)
    return village


class Environment:
    """V villages of n NPCs; the same seed and decisions give the same run, however many `threads` live it."""

    def __init__(
        self, villages: int, npcs: int, seed: int, *, threads: int = 1, rewards: Rewards | None = None
    ) -> None:
        self._begin(draw_villages(villages, npcs, seed), threads, rewards or Rewards())

    @classmethod
    def over(cls, village: Village, *, threads: int = 1, rewards: Rewards | None = None) -> Environment:
        """Go on from a state: what an environment keeps beside it follows from it."""
        found = cls.__new__(cls)
        found._begin(village, threads, rewards or Rewards())
        return found

    def _begin(self, village: Village, threads: int, rewards: Rewards) -> None:
        villages, npcs = village.x.shape
        self.village = village
        self.senses = Senses(villages, npcs)
        self.senses.look(village)
        self._moment = moment(villages, npcs)
        self._rewards = Rewards(*map(float, rewards))
        edges = np.linspace(0, villages, min(threads, villages) + 1).astype(int).tolist()
        self._spans = [slice(first, last) for first, last in pairwise(edges)]
        self._parts = [self._part(span) for span in self._spans]
        self._others = ThreadPoolExecutor(len(self._spans) - 1) if len(self._spans) > 1 else None

    def _part(self, span: slice) -> tuple[Any, ...]:
        """The arguments of a step for some villages: views of the same arrays."""
        senses = (self.senses.order, self.senses.targets, self.senses.obs, self.senses.mask)
        return (
            _some(self.village, span), *(array[span] for array in senses),
            Moment._make(array[span] for array in self._moment), self._rewards,
        )  # fmt: skip

    @property
    def rows(self) -> int:
        """Decisions in a step."""
        return int(self.village.x.size)

    def split(self, shares: int) -> list[Environment]:
        """The same villages in `shares` parts or fewer, each to be lived by a thread of its own."""
        edges = np.linspace(0, len(self.village.x), min(shares, len(self.village.x)) + 1).astype(int).tolist()
        found = []
        for first, last in pairwise(edges):
            found.append(Environment.over(_some(self.village, slice(first, last)), rewards=self._rewards))
        return found

    def observe(self) -> tuple[F32, NDArray[np.uint8]]:
        """Flat views of what everyone sees (rows, 64) and may do (rows, 12); the next step writes into them."""
        return self.senses.obs.reshape(-1, FEATURES), self.senses.mask.reshape(-1, len(INTENTS))

    def step(self, intents: I8, slots: I8) -> Moment:
        """Live `DT_S` seconds; `intents` and `slots` are (rows,) int8. The next step writes into what it returns."""
        shape = self.village.x.shape
        intents, slots = np.ascontiguousarray(intents).reshape(shape), np.ascontiguousarray(slots).reshape(shape)
        works = [
            (*part[:5], intents[span], slots[span], *part[5:])
            for span, part in zip(self._spans, self._parts, strict=True)
        ]
        pending = [self._others.submit(live, *work) for work in works[1:]] if self._others is not None else []
        live(*works[0])
        for each in pending:
            each.result()
        return self._moment


def _some(village: Village, span: slice) -> Village:
    """Some villages: views of the same arrays."""
    return Village._make(array[span] for array in village)


@compiled
def live(
    village: Village, order: I32, targets: I32, obs: F32, mask: NDArray[np.uint8], intents: I8, slots: I8,
    out: Moment, rewards: Rewards,
) -> None:  # fmt: skip
    """One step of villages, in place: `intents` and `slots` (V, n) int8, the rest as in Senses and Moment."""
    villages, npcs = village.x.shape
    before, aims = np.empty((villages, npcs, REMEMBERED), np.float32), np.empty((villages, npcs, 3), np.float32)
    lived, did, killed = village.alive.copy(), village.intent.copy(), np.empty(villages, np.float32)
    remember(village, obs, before)
    crimes(village, killed)
    goals(village, intents, slots, targets, aims)
    move(village, aims, DT_S)
    resolve(village, intents, slots, targets, DT_S)
    judge(village, before, lived, did, intents, killed, rewards, DT_S, out)
    tell(village)
    look(village, order, targets, obs, mask)


@compiled
def tell(village: Village) -> None:
    """Give a few people a directive that suits them, for 15 to 60 seconds."""
    villages, npcs = village.x.shape
    for v in range(villages):
        for i in range(npcs):
            if draw(village.draws, v) >= DIRECTIVE_SHARE_S * DT_S:
                continue
            intent = DIRECTIVES[int(draw(village.draws, v) * len(DIRECTIVES))]
            seconds = DIRECTIVE_LEAST_S + draw(village.draws, v) * (DIRECTIVE_MOST_S - DIRECTIVE_LEAST_S)
            role = village.role[v, i]
            suits = role <= VILLAGER and (role == GUARD or (intent != PATROL and intent != STAND))
            if suits and village.told[v, i] < 0:
                village.told[v, i], village.told_s[v, i] = intent, seconds
