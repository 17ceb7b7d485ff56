"""What one listener may be told, as rows in the order of their threads, so that neighbors stand side by side.

It knows audiences, threads and time, no words. Everything that ranking counts is counted within a view, so that a
memory outside it leaves no trace: not in a frequency, not in a mean length, not between two neighbors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.modules.memory.index.columns import F32, F64, I32, Flags

Shares = tuple[tuple[int, float], ...]
"""What a neighbor counts, by its distance; a distance below 0 is earlier."""


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
        self._rows: I32 = np.zeros(0, np.int32)

    def rows(self, threads: I32) -> I32:
        """(rows,) of the numbers 0 to len(threads) - 1, thread by thread."""
        known = self._keys.shape[0]
        if known < threads.shape[0]:
            late = np.arange(known, threads.shape[0], dtype=np.int64)
            keys = np.sort((threads[known:].astype(np.int64) << 32) | late)
            self._keys = np.insert(self._keys, np.searchsorted(self._keys, keys), keys)
            self._rows = (self._keys & 0xFFFFFFFF).astype(np.int32)
        return self._rows


@dataclass(frozen=True, slots=True)
class View:
    """What may be told: n rows. A place is a position among them.

    `rows` (n,) by place, `places` (all rows,) with -1 outside, `lengths` (n,) in terms with the neighbors' share,
    beside their mean. `steps` has for each distance to a neighbor its share and (n - distance,) whether both are of
    one thread.
    """

    rows: I32
    places: I32
    lengths: F32
    steps: tuple[tuple[int, F32], ...]

    def spread(self, values: F32) -> F32:
        """(n,): each value plus the shares of its neighbors' in the same thread."""
        found = values.copy()
        for distance, share in self.steps:
            if distance < 0:
                found[-distance:] += share * values[:distance]
            else:
                found[:-distance] += share * values[distance:]
        return found

    def around(self, places: I32, distance: int, threads: I32) -> tuple[I32, Flags]:
        """(k,) the neighbors of these places, and whether there is one in the same thread."""
        near = np.clip(places + distance, 0, self.rows.shape[0] - 1)
        rows = self.rows
        return near, (near == places + distance) & (threads[rows[near]] == threads[rows[places]])


def view(order: I32, allowed: Flags, threads: I32, lengths: F32, shares: Shares) -> View:
    """The view of the `allowed` rows of `order`."""
    rows = order[allowed[order]]
    count = rows.shape[0]
    places = np.full(allowed.shape[0], -1, np.int32)
    places[rows] = np.arange(count, dtype=np.int32)
    threads = threads[rows]
    together = {apart: threads[apart:] == threads[:-apart] for apart in {abs(distance) for distance, _ in shares}}
    steps = []
    for distance, share in shares:
        if share > 0.0 and abs(distance) < count:
            steps.append((distance, together[abs(distance)] * np.float32(share)))
    own = lengths[rows]
    mean = float(own.sum(dtype=np.float64)) / max(count, 1) * (1.0 + sum(share for _, share in shares))
    found = View(rows, places, own, tuple(steps))
    return View(rows, places, found.spread(own) / np.float32(max(mean, 1.0)), tuple(steps))


def freshness(ages_s: F64, half_life_s: float) -> F64:
    """(n,) in (0, 1]: halves with every half-life."""
    return np.exp2(-np.maximum(ages_s, 0.0) / half_life_s)


def best(scores: F32, rows: I32, most: int) -> I32:
    """(k <= most,) the places of the best scores above 0, best first; among equals the newest first."""
    places = np.flatnonzero(scores > 0.0)
    if places.shape[0] > most:
        near = scores[places]
        least = np.partition(near, near.shape[0] - most)[near.shape[0] - most]
        level = places[near == least]
        above = places[near > least]
        newest = level[np.argsort(-rows[level], kind="stable")][: most - above.shape[0]]
        places = np.concatenate((above, newest))
    found: I32 = places[np.lexsort((-rows[places], -scores[places]))].astype(np.int32)
    return found


def shares(before: Sequence[float], after: Sequence[float]) -> Shares:
    """What neighbors count, from the nearest outwards on each side."""
    earlier = [(-at, share) for at, share in enumerate(before, 1)]
    return (*earlier, *((at, share) for at, share in enumerate(after, 1)))
