"""From whom an NPC sees to the slots of its observation: the best of each kind, in order.

A candidate is a row of numbers: 0 or 1 + its kind's place in `schema.kinds`, then the features of a slot, encoded.
Pure numpy; `candidate_kernels.py` does the same at speed, bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior import logic
from app.modules.behavior.schema import F32, NONE, U8, Schema

EACH_MAX = 254
"""Candidates of one NPC that a uint8 can name."""
SLOW_ROWS_MAX, FAST_ROWS_MAX = 64, 512
"""Rows that the loop may fill in numpy and compiled: well under a millisecond with a dozen candidates each."""


@dataclass(frozen=True, slots=True)
class Seats:
    """A schema's rule as arrays."""

    kinds: NDArray[np.intp]
    """(slots,) the kind of each slot, from 1"""
    table: NDArray[np.intp]
    """(slots, slot features) columns"""
    empty: F32
    """(slot features,) what an empty slot holds"""
    ends: NDArray[np.intp]
    """(3,) which slot features are presence, distance and who goes first"""
    log_high: np.float32
    """log1p of the distance's highest value on a log scale, 0 on a linear one"""
    nearer: np.float32
    """Who goes first counts as this share as far."""
    last_kind: int

    @classmethod
    def of(cls, schema: Schema) -> Seats:
        """The rule of `schema`."""
        ends = [schema.slot_features.index(getattr(schema.slot_ends, end)) for end in ("present", "distance", "first")]
        distance = schema.features[schema.slot_table[0, ends[1]]]
        return cls(
            kinds=np.array([1 + schema.kinds.index(place.kind) for place in schema.places], np.intp),
            table=schema.slot_table, empty=schema.empty_slot, ends=np.array(ends, np.intp),
            log_high=np.float32(math.log1p(distance.high) if distance.scale == "log" else 0.0),
            nearer=np.float32(schema.slot_ends.first_counts), last_kind=len(schema.kinds),
        )  # fmt: skip


def fill(seats: Seats, candidates: F32, obs: F32, picks: U8, broken: U8, first: int, last: int) -> None:
    """Write the slots of rows `first` to `last` into `obs` (n, features), and who is in them, in place.

    `candidates` (n, k, 1 + slot features); `picks` (n, slots) gets the candidate in each slot, NONE where it is empty;
    `broken` (n,) the first candidate that is no number or of no kind, which is left out, NONE where all are sound.
    Of equals the first goes first.
    """
    seen, rows = candidates[first:last], np.arange(last - first)
    kind = seen[:, :, 0]
    with np.errstate(invalid="ignore"):
        known = (kind >= 0.0) & (kind <= seats.last_kind) & (kind == np.floor(kind))
        sound = known & np.isfinite(seen).all(axis=2)
        broken[first:last] = np.where(sound.all(axis=1), NONE, (~sound).argmax(axis=1))
        present, distance, goes_first = (seen[:, :, 1 + end] for end in seats.ends)
        far = natural(distance, seats.log_high)
        far = np.where(goes_first > 0.5, far * seats.nearer, far)
        far = np.where(sound & (kind > 0.0) & (present > 0.0), far, np.float32(np.inf))
    for slot, wanted in enumerate(seats.kinds):
        ours = np.where(kind == wanted, far, np.float32(np.inf))
        pick = ours.argmin(axis=1)
        some = ours[rows, pick] < np.inf
        picks[first:last, slot] = np.where(some, pick, NONE)
        obs[first:last, seats.table[slot]] = np.where(some[:, None], seen[rows, pick, 1:], seats.empty)
        far[rows[some], pick[some]] = np.inf


def natural(encoded: F32, log_high: np.float32) -> F32:
    """Encoded distances in some unit in which twice as far is twice as much; beyond the highest all are as far."""
    if not log_high:
        return encoded
    here = logic.exp(np.array([-log_high], np.float32))
    found: F32 = logic.exp(np.minimum(encoded - np.float32(1.0), np.float32(0.0)) * log_high) - here
    return found
