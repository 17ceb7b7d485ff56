"""From scores to decisions: masks, targets, seeded taste, and what is wrong with a row.

Pure and vectorized over the NPCs of a tick: no clock, no chance beyond the seed it is given, no await.
It does not know who scored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior.considerations import Rules
from app.modules.behavior.schema import F32, NONE, U8, Schema

UTILITY_SHARPNESS = 8.0
"""Utilities lie in about [0, 1.5]; times this, a softmax over them reads as a confidence."""
TASTES = 4_096
"""Rows in the table of preferences; a power of two."""


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

    def put(self, rows: NDArray[np.intp], part: Choice) -> None:
        """Take `part`'s decisions for `rows`, in place."""
        self.intents[rows] = part.intents
        self.targets[rows] = part.targets
        self.confidence[rows] = part.confidence
        self.scores[rows] = part.scores


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
    confidence = 1.0 / np.exp(legal - top[:, None]).sum(axis=1, dtype=np.float32)
    some = allowed[rows, best]
    open_slots = (schema.aims[best] != 0) & (obs[:, schema.slot_columns] > 0.0)  # (n, slots)
    slot = np.where(open_slots, aim, np.float32(-np.inf)).argmax(axis=1)
    aimed = some & open_slots[rows, slot]
    return Choice(
        intents=np.where(some, best, NONE).astype(np.uint8),
        targets=np.where(aimed, slot, NONE).astype(np.uint8),
        confidence=np.where(some, confidence, 0.0).astype(np.float32),
        scores=scores,
    )


def nearest_slots(schema: Schema, obs: F32) -> F32:
    """Slot scores for brains without an opinion: who trades first, then the nearest; (n, slots)."""
    distance = np.array([schema.columns[f"slot{slot}_distance"] for slot in range(schema.slots)], np.intp)
    trades = np.array([schema.columns[f"slot{slot}_trades"] for slot in range(schema.slots)], np.intp)
    scores: F32 = 2.0 * obs[:, trades] - obs[:, distance]
    return scores


def follow_rules(rules: Rules, obs: F32, mask: U8, taste: F32 | None = None) -> Choice:
    """What the utility brain does."""
    aim = nearest_slots(rules.schema, obs)
    return choose(rules.schema, obs, mask, rules.score(obs), aim, sharpness=UTILITY_SHARPNESS, taste=taste)


def follow_reflexes(schema: Schema, obs: F32, mask: U8) -> Choice:
    """A safe default per role: fight or flee from a near foe, else rest; people at work by day, home by night.

    Needs no engine and no file beside the schema; a row of zeros (nothing known) rests or goes home.
    """
    scores = np.zeros((len(obs), len(schema.intents)), np.float32)
    index, column = schema.intent_index, schema.columns

    def seen(name: str) -> F32:
        found: F32 = obs[:, column[name]]
        return found

    foe = (seen("slot0_hp") > 0.0).astype(np.float32)
    night = seen("is_night")
    fighter = np.maximum(seen("is_guard"), seen("is_predator"))
    scores[:, index["rest"]] = 0.2
    scores[:, index["home"]] = 0.1 + 0.2 * night
    scores[:, index["work"]] = 0.3 * (1.0 - night) * np.maximum(seen("is_villager"), seen("is_merchant"))
    scores[:, index["patrol"]] = 0.3 * seen("is_guard")
    scores[:, index["eat"]] = 0.8 * (seen("hunger") > 0.6)
    scores[:, index["attack"]] = foe * fighter * (seen("hp") > 0.4)
    scores[:, index["flee"]] = foe * (1.0 - scores[:, index["attack"]])
    aim = nearest_slots(schema, obs)
    return choose(schema, obs, mask, scores, aim, sharpness=UTILITY_SHARPNESS, taste=None)


def rule_brain(rules: Rules) -> Callable[[F32, U8], tuple[NDArray[np.int8], NDArray[np.int8]]]:
    """The utility brain in the learner's terms: (obs, mask) -> (intents, slots) as int8, -1 for none."""

    def decide(obs: F32, mask: U8) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        choice = follow_rules(rules, obs, mask)
        return choice.intents.view(np.int8), choice.targets.view(np.int8)

    return decide


def taste_table(intents: int, share: float) -> F32:
    """(TASTES, intents) preferences in [0, share], the same in every process."""
    cells = np.arange(TASTES * intents, dtype=np.uint64)
    return (_mix(cells) >> np.uint64(40)).astype(np.float32).reshape(TASTES, intents) * np.float32(share / (1 << 24))


def tastes(table: F32, seed: int, handles: NDArray[np.uint32]) -> F32:
    """The preferences of NPCs (n, intents): a function of seed and handle alone, never of the batch."""
    picked = _mix(handles.astype(np.uint64) + np.uint64(seed & ((1 << 63) - 1))) & np.uint64(TASTES - 1)
    found: F32 = table[picked.astype(np.intp)]
    return found


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Splitmix64's finalizer (Steele, Lea and Flood 2014), over an array."""
    z = (values + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def clip(schema: Schema, obs: F32) -> tuple[F32, NDArray[np.bool_], int]:
    """Values inside the schema's range, which rows were finite, and how many values were clipped.

    The input is returned as it is when nothing had to be changed. A row that is not finite comes back as zeros.
    """
    inside = (obs >= schema.low) & (obs <= schema.high)  # NaN is never inside
    if inside.all():
        return obs, np.ones(len(obs), np.bool_), 0
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(obs).all(axis=1))
    clean = np.clip(obs, schema.low, schema.high)
    clean[~finite] = 0.0
    return clean, finite, int((~inside[finite]).sum())
