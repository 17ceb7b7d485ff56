"""The slow twins: every event remembered and weighed by its age, and a textbook Dijkstra over weighted cells."""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray

Told = tuple[int, int, int, float, float]
"""kind, x, y, at_s, weight."""


def count(told: list[Told], kind: int, row: int, column: int, at_s: float, half_life_s: float) -> float:
    """What a tile's events of a kind still count at a time that is not before any of them."""
    mine = [(t, w) for k, x, y, t, w in told if (k, y // 8, x // 8) == (kind, row, column)]
    return sum(weight * 0.5 ** ((at_s - then_s) / half_life_s) for then_s, weight in mine)


def way(cost: NDArray[np.float32], start: tuple[int, int], goal: tuple[int, int]) -> list[tuple[int, int]]:
    """The cheapest way over (row, column) cells; 0 is blocked, a step costs its length times its cells' mean."""
    far, before, heap = {start: 0.0}, {start: start}, [(0.0, start)]
    while heap:
        so_far, (y, x) = heapq.heappop(heap)
        if (y, x) == goal:
            break
        for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)):
            there = (y + dy, x + dx)
            if not (0 <= there[0] < cost.shape[0] and 0 <= there[1] < cost.shape[1]):
                continue
            if 0.0 in (cost[there], cost[y, x + dx], cost[y + dy, x]):
                continue
            total = so_far + math.hypot(dy, dx) * float(cost[y, x] + cost[there]) / 2.0
            if total < far.get(there, math.inf):
                far[there], before[there] = total, (y, x)
                heapq.heappush(heap, (total, there))
    path = [goal]
    while path[-1] != start:
        path.append(before[path[-1]])
    return path[::-1]
