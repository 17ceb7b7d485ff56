"""What a sentence encoder makes of the memories of one mind, and how its ranking joins that of the words.

It knows vectors, rows and views; it computes no vector and decides nothing about who may be told. A memory without a
vector is not in its ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.memory import Recollection
from app.modules.memory.index.columns import F32, I32, Flags
from app.modules.memory.index.views import View, best

Meant = tuple[NDArray[np.int8], np.float32]
"""A vector in steps of its largest part / 127, (dimensions,), and its length in those steps."""
_FIRST = 64
_BLOCK_ROWS = 1_024
_EXACT = 1_040
"""Dimensions up to which float32 adds up products of int8 without rounding: 1,040 times 127 squared is below 2^24."""


def quantized(vector: F32) -> Meant | None:
    """The vector (dimensions,) in a byte for each number; None for one that has no direction."""
    largest = float(np.abs(vector).max(initial=0.0))
    if not 0.0 < largest < float("inf"):
        return None
    steps = np.rint(vector.astype(np.float64) / largest * 127.0).astype(np.int8)
    length = np.sqrt(np.square(steps, dtype=np.int64).sum())
    return steps, np.float32(length)


class Embedded:
    """The vectors of a mind's memories, a byte for each number, in slots of their own."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._rows: I32 = np.full(_FIRST, -1, np.int32)
        self._lengths: F32 = np.ones(_FIRST, np.float32)
        self._vectors: NDArray[np.int8] = np.zeros((0, 0), np.int8)

    def __contains__(self, id: str) -> bool:
        return id in self._slots

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, id: str, row: int, meant: Meant) -> None:
        """Keep what the memory of that id, which is the mind's row `row`, means."""
        steps, length = meant
        if not self._vectors.shape[0]:
            self._vectors = np.zeros((_FIRST, steps.shape[0]), np.int8)
        slot = self._slots.get(id)
        if slot is None:
            slot = self._slots[id] = self._free.pop() if self._free else len(self._slots)
            if slot == self._rows.shape[0]:
                self._rows = np.concatenate((self._rows, np.full_like(self._rows, -1)))
                self._lengths = np.concatenate((self._lengths, np.ones_like(self._lengths)))
                self._vectors = np.concatenate((self._vectors, np.zeros_like(self._vectors)))
        self._rows[slot], self._lengths[slot], self._vectors[slot] = row, length, steps

    def drop(self, id: str) -> None:
        """Forget a vector without a trace; an id that has none is passed over."""
        slot = self._slots.pop(id, None)
        if slot is not None:
            self._rows[slot], self._vectors[slot] = -1, 0
            self._free.append(slot)

    def renumber(self, rows: Mapping[str, int]) -> None:
        """Follow a mind that has written its rows anew."""
        for id, slot in self._slots.items():
            self._rows[slot] = rows[id]

    def nearest(
        self, sought: Meant, seen: View, out: Flags, *, likeness_min: float, most: int
    ) -> list[tuple[int, float]]:
        """Up to `most` rows of the view that mean the like, best first, with their cosine; none that is `out` (n,)."""
        slots = np.flatnonzero(self._rows >= 0)
        places = seen.places[self._rows[slots]]
        inside = places >= 0
        inside[inside] = ~out[places[inside]]
        slots = slots[inside]
        likeness = np.zeros(slots.shape[0], np.float32)
        steps, length = sought
        exact = np.float32 if steps.shape[0] <= _EXACT else np.float64
        for at in range(0, slots.shape[0], _BLOCK_ROWS):
            block = slots[at : at + _BLOCK_ROWS]
            # Whole numbers: the sums are exact, so no row depends on where it stands.
            likeness[at : at + _BLOCK_ROWS] = self._vectors[block].astype(exact) @ steps.astype(exact)
        likeness /= self._lengths[slots] * length
        likeness[likeness < likeness_min] = 0.0
        rows = self._rows[slots]
        return [(int(rows[at]), float(likeness[at])) for at in best(likeness, rows, most)]


def fused(
    said: Sequence[Recollection], alike: Sequence[tuple[Recollection, float]], *, constant: float, most: int
) -> list[Recollection]:
    """Two rankings of one view as one, by reciprocal rank (Cormack, Clarke and Büttcher 2009), best first.

    A memory's score is the sum of 1 / (`constant` + its rank) over the rankings that have it; among equals the words'
    order holds. `why` tells both shares and the cosine.
    """
    parts: dict[str, tuple[Recollection, dict[str, float]]] = {}
    for rank, memory in enumerate(said, 1):
        parts[memory.id] = memory, {**memory.why, "by_words": 1.0 / (constant + rank)}
    for rank, (memory, likeness) in enumerate(alike, 1):
        _, why = parts.setdefault(memory.id, (memory, {}))
        why |= {"likeness": likeness, "by_meaning": 1.0 / (constant + rank)}
    joined = [
        msgspec.structs.replace(memory, score=why.get("by_words", 0.0) + why.get("by_meaning", 0.0), why=why)
        for memory, why in parts.values()
    ]
    return sorted(joined, key=lambda memory: -memory.score)[:most]
