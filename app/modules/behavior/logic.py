"""From scores to decisions: masks, targets, seeded taste, and what is wrong with a row.

Pure and vectorized over the NPCs of a tick: no clock, no chance beyond the seed it is given, no await.
It does not know who scored. `kernels.py` does the same at speed, bit for bit; this is what it must equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior.considerations import Rules
from app.modules.behavior.schema import F32, NONE, U8, Schema

UTILITY_SHARPNESS = 8.0
"""Utilities lie in about [0, 1.5]; times this, a softmax over them reads as a confidence."""
TASTES = 512
"""Rows in the table of preferences; a power of two, and small enough for a core's first cache."""
EXP_2 = tuple(math.log(2.0) ** power / math.factorial(power) for power in range(1, 7))
"""Taylor's coefficients of 2**x - 1, enough for float32 where |x| <= 1/2."""
ROUND = 1.5 * 2.0**23
"""Added to a float32 below 2**22 and taken away again, it leaves the nearest whole number."""


class Flag(IntFlag):
    """What is wrong with a row."""

    UNKNOWN = 1
    """The handle names no NPC."""
    NOT_FINITE = 2
    IDLE = 4
    """The mask allows nothing."""
    OUTSIDE = 8
    """A finite value lies outside its feature's range."""
    ROLELESS = 16
    """No role column says who the NPC is."""


@dataclass(frozen=True, slots=True)
class Taste:
    """What makes two NPCs in one situation differ: preferences picked by seed and handle, never by the batch."""

    table: F32
    """(a power of two, intents); one row of zeros is no taste"""
    seed: int
    """below 2**63"""
    handles: NDArray[np.uint32]
    """(n,)"""

    def of(self, first: int, last: int) -> F32:
        """The preferences of some rows (last - first, intents)."""
        mixed = mix(self.handles[first:last].astype(np.uint64) + np.uint64(self.seed))
        found: F32 = self.table[(mixed & np.uint64(len(self.table) - 1)).astype(np.intp)]
        return found

    def at(self, rows: NDArray[np.intp]) -> Taste:
        """The same for these rows alone."""
        return Taste(self.table, self.seed, self.handles[rows])


@dataclass(frozen=True, slots=True)
class Choice:
    """Decisions of n NPCs; NONE where there is none."""

    intents: U8
    """(n,) uint8"""
    targets: U8
    """(n,) uint8 slot"""
    confidence: F32
    """(n,) in [0, 1]"""
    scores: F32
    """(n, intents) as scored, before mask and taste"""
    aim: F32
    """(n, slots) as scored"""

    @classmethod
    def over(cls, scores: F32, aim: F32) -> Choice:
        """Room for the decisions over these scores."""
        rows = len(scores)
        return cls(np.empty(rows, np.uint8), np.empty(rows, np.uint8), np.empty(rows, np.float32), scores, aim)

    @classmethod
    def room(cls, rows: int, intents: int, slots: int) -> Choice:
        """Room for scores and decisions."""
        return cls.over(np.empty((rows, intents), np.float32), np.empty((rows, slots), np.float32))

    def at(self, rows: NDArray[np.intp]) -> Choice:
        """The same for these rows alone."""
        return Choice(self.intents[rows], self.targets[rows], self.confidence[rows], self.scores[rows], self.aim[rows])

    def put(self, rows: NDArray[np.intp], part: Choice) -> None:
        """Take `part`'s decisions for `rows`, in place."""
        self.intents[rows] = part.intents
        self.targets[rows] = part.targets
        self.confidence[rows] = part.confidence
        self.scores[rows] = part.scores
        self.aim[rows] = part.aim


def choose(schema: Schema, obs: F32, mask: U8, scores: F32, aim: F32, *, sharpness: float, taste: F32 | None) -> Choice:
    """The best allowed intent of each row and the best slot that it may aim at.

    `obs` (n, features), `mask` (n, intents) uint8, `scores` (n, intents), `aim` (n, slots) scores of the
    slots, `taste` (n, intents) added to the scores. Confidence is the softmax of `sharpness` times the scores.
    """
    allowed = mask != 0
    tasted = scores if taste is None else scores + taste
    legal = np.where(allowed, tasted * np.float32(sharpness), np.float32(-1e30))
    best = legal.argmax(axis=1)
    rows = np.arange(len(obs))
    top = legal[rows, best]
    confidence = np.float32(1.0) / _total(exp(legal - top[:, None]))
    some = top > np.float32(-1e30)
    open_slots = (schema.aims[best] != 0) & (obs[:, schema.slot_columns] > 0.0)  # (n, slots)
    slot = np.where(open_slots, aim, np.float32(-np.inf)).argmax(axis=1)
    aimed = some & open_slots[rows, slot]
    return Choice(
        intents=np.where(some, best, NONE).astype(np.uint8),
        targets=np.where(aimed, slot, NONE).astype(np.uint8),
        confidence=np.where(some, confidence, 0.0).astype(np.float32),
        scores=scores,
        aim=aim,
    )


def exp(values: F32) -> F32:
    """The exponential of values of 0 or less in float32, to 1e-5 of itself, the same bits wherever it is computed."""
    scaled = np.maximum(values, np.float32(-87.0)) * np.float32(math.log2(math.e))
    whole = (scaled + np.float32(ROUND)) - np.float32(ROUND)
    part = scaled - whole
    curve: F32 = np.full_like(part, EXP_2[-1])
    for coefficient in EXP_2[-2::-1]:
        curve = np.float32(coefficient) + part * curve
    power = ((whole.astype(np.int32) + np.int32(127)) << np.int32(23)).view(np.float32)
    found: F32 = power * (np.float32(1.0) + part * curve)
    return found


def _total(values: F32) -> F32:
    """The sum of each row, added from left to right: numpy's own order depends on the length."""
    found = np.zeros(len(values), np.float32)
    for column in values.T:
        found += column
    return found


def nearest_slots(schema: Schema, obs: F32) -> F32:
    """Slot scores for brains without an opinion: who trades first, then the nearest; (n, slots)."""
    trades, distance = schema.aim_columns.T
    scores: F32 = np.float32(2.0) * obs[:, trades] - obs[:, distance]
    return scores


def follow_rules(rules: Rules, obs: F32, mask: U8, taste: F32 | None = None) -> Choice:
    """What the utility brain does."""
    aim = nearest_slots(rules.schema, obs)
    return choose(rules.schema, obs, mask, rules.score(obs), aim, sharpness=UTILITY_SHARPNESS, taste=taste)


def rule_brain(rules: Rules) -> Callable[[F32, U8], tuple[NDArray[np.int8], NDArray[np.int8]]]:
    """The utility brain in the learner's terms: (obs, mask) -> (intents, slots) as int8, -1 for none."""

    def decide(obs: F32, mask: U8) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        choice = follow_rules(rules, obs, mask)
        return choice.intents.view(np.int8), choice.targets.view(np.int8)

    return decide


def taste_table(intents: int, share: float) -> F32:
    """(TASTES, intents) preferences in [0, share], the same in every process."""
    cells = np.arange(TASTES * intents, dtype=np.uint64)
    return (mix(cells) >> np.uint64(40)).astype(np.float32).reshape(TASTES, intents) * np.float32(share / (1 << 24))


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Splitmix64's finalizer (Steele, Lea and Flood 2014), over an array."""
    z = (values + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def survey(schema: Schema, obs: F32, mask: U8, handles: NDArray[np.uint32], known: int) -> U8:
    """What is wrong with each row (n,), as flags; `known` handles name an NPC."""
    finite = np.isfinite(obs).all(axis=1)
    inside = ((obs >= schema.low) & (obs <= schema.high)).all(axis=1)  # NaN is never inside
    flags = np.where(finite, 0, Flag.NOT_FINITE)
    flags += np.where(finite & ~inside, Flag.OUTSIDE, 0)
    flags += np.where(mask.max(axis=1, initial=0) == 0, Flag.IDLE, 0)
    flags += np.where(handles >= known, Flag.UNKNOWN, 0)
    flags += np.where((obs[:, schema.role_columns] == 0.0).all(axis=1), Flag.ROLELESS, 0)
    return flags.astype(np.uint8)


def clip(schema: Schema, obs: F32, flags: U8) -> tuple[F32, int]:
    """The rows with every value in its range, and how many values were clipped.

    The input is returned as it is when no row is flagged. A row that is not finite comes back as zeros.
    """
    outside = np.flatnonzero(flags & Flag.OUTSIDE)
    broken = np.flatnonzero(flags & Flag.NOT_FINITE)
    if not len(outside) and not len(broken):
        return obs, 0
    clean = obs.copy()
    clean[broken] = 0.0
    part = obs[outside]
    clean[outside] = np.clip(part, schema.low, schema.high)
    return clean, int((clean[outside] != part).sum())
