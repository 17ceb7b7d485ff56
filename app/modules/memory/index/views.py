"""What one listener may be told, as rows in the order of their threads, so that neighbors stand side by side.

It knows audiences, threads and time, no words. Everything that ranking counts is counted within a view, so that a
memory outside it leaves no trace: not in a frequency, not in a mean length, not between two neighbors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.modules.memory.index.columns import F32, F64, I32, Flags


class Audiences:
    """Interns who may be told: memories for the same ears share a number. Number 0 is anybody."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {(): 0}
        self._by_ear: dict[str, list[int]] = {}

    def number(self, known_by: tuple[str, ...]) -> int:
        """The number of this audience, whatever the order of its ids."""
        ears = tuple(sorted(set(known_by)))
        number = self._numbers.get(ears)
        if number is None:
            number = self._numbers[ears] = len(self._numbers)
            for ear in ears:
                self._by_ear.setdefault(ear, []).append(number)
        return number

    def open_to(self, listener: str) -> Flags:
        """(audiences,): which of them `listener` belongs to; all of them where it is empty."""
        if not listener:
            return np.ones(len(self._numbers), np.bool_)
        flags = np.zeros(len(self._numbers), np.bool_)
        flags[0] = True
        flags[self._by_ear.get(listener, [])] = True
        return flags


class Order:
    """All rows sorted by thread and then by age, kept while rows come in."""

    def __init__(self) -> None:
        self._keys: NDArray[np.int64] = np.zeros(0, np.int64)

    def rows(self, threads: I32) -> I32:
        """(rows,) of the numbers 0 to len(threads) - 1, thread by thread."""
        known = self._keys.shape[0]
        if known < threads.shape[0]:
            late = np.arange(known, threads.shape[0], dtype=np.int64)
            keys = np.sort((threads[known:].astype(np.int64) << 32) | late)
            self._keys = np.insert(self._keys, np.searchsorted(self._keys, keys), keys)
        return (self._keys & 0xFFFFFFFF).astype(np.int32)


@dataclass(frozen=True, slots=True)
class View:
    """What may be told: n rows. A place is a position among them.

    `rows` (n,) by place, `places` (all rows,) with -1 outside, `threads` (n,), `lengths` (n,) with the neighbors'
    share, `mean` of them.
    """

    rows: I32
    places: I32
    threads: I32
    lengths: F32
    mean: float


def view(order: I32, allowed: Flags, threads: I32, lengths: F32, shares: tuple[tuple[int, float], ...]) -> View:
    """The view of the `allowed` rows of `order`; `shares` says what a neighbor at each distance counts."""
    rows = order[allowed[order]]
    places = np.full(allowed.shape[0], -1, np.int32)
    places[rows] = np.arange(rows.shape[0], dtype=np.int32)
    threads = threads[rows]
    spread_lengths = spread(lengths[rows], threads, shares)
    return View(rows, places, threads, spread_lengths, float(spread_lengths.mean()) if rows.shape[0] else 1.0)


def spread(values: F32, threads: I32, shares: tuple[tuple[int, float], ...]) -> F32:
    """(n,): each value plus the shares of its neighbors' in the same thread; a distance below 0 is earlier."""
    found = values.copy()
    for distance, share in shares:
        if abs(distance) >= values.shape[0]:
            continue
        here, there = (slice(-distance, None), slice(None, distance)) if distance < 0 else (
            slice(None, -distance), slice(distance, None)
        )  # fmt: skip
        found[here] += share * values[there] * (threads[here] == threads[there])
    return found


def freshness(ages_s: F64, half_life_s: float) -> F64:
    """(n,) in (0, 1]: halves with every half-life."""
    return np.exp2(-np.maximum(ages_s, 0.0) / half_life_s)
