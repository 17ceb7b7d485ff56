"""How people walk a grid under costs: ways to one goal (Dijkstra 1959), and walks along them that fate may end.

It knows flat arrays of a square map, without a border: cell = row * side + column. Compiled with numba.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from app.learning.envs.compiled import compiled

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

TILE = 8
VISITED, ATTACKED, KILLED, STUCK = 0, 1, 2, 3
"""What a walk leaves behind on a tile."""


@compiled
def way_home(cost: F32, side: int, goal: int) -> tuple[I32, F64]:
    """The next cell from each cell (-1: none, or the goal) and what the way costs (infinite: none), (cells,) each.

    `cost` (cells,) is 0 where blocked. A step costs its length times the mean cost of its two cells; a diagonal
    needs both cells beside it free.
    """
    onward = np.full(cost.size, -1, np.int32)
    far = np.full(cost.size, np.inf, np.float64)
    far[goal] = 0.0
    heap = [(0.0, goal)]
    while len(heap) > 0:
        here_far, here = heapq.heappop(heap)
        if here_far > far[here]:
            continue
        row, column = here // side, here % side
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                y, x = row + dy, column + dx
                if not (0 <= y < side and 0 <= x < side) or (dx == 0 and dy == 0):
                    continue
                there = y * side + x
                if cost[there] == 0.0 or cost[row * side + x] == 0.0 or cost[y * side + column] == 0.0:
                    continue
                length = 2.0**0.5 if dx != 0 and dy != 0 else 1.0
                so_far = here_far + length * (cost[here] + cost[there]) / 2.0
                if so_far < far[there]:
                    far[there] = so_far
                    onward[there] = here
                    heapq.heappush(heap, (so_far, there))
    return onward, far


@compiled
def walk(onward: I32, side: int, starts: I32, attack: F32, death: F32, stuck: F32, chance: F32) -> tuple[I32, int]:
    """Walk from each start along `onward` (cells,); what happened, and cells walked.

    The first is (events, 2) int32 of a cell and what happened there. `attack`, `death`, `stuck` (tiles,) are the
    chances of each tile entered; `chance` (walks, tiles entered, 2) are the dice, and a walk ends with them.
    """
    tiles = side // TILE
    events = np.empty((starts.size * chance.shape[1] * 4, 2), np.int32)
    count, steps = 0, 0
    for index in range(starts.size):
        cell = starts[index]
        last, entered = -1, 0
        while cell >= 0 and entered < chance.shape[1]:
            tile = cell // side // TILE * tiles + cell % side // TILE
            if tile != last:
                last = tile
                fate = chance[index, entered, 0]
                events[count, 0], events[count, 1] = cell, VISITED
                count += 1
                if chance[index, entered, 1] < stuck[tile]:
                    events[count, 0], events[count, 1] = cell, STUCK
                    count += 1
                if fate < attack[tile]:
                    events[count, 0], events[count, 1] = cell, ATTACKED
                    count += 1
                if fate < death[tile]:
                    events[count, 0], events[count, 1] = cell, KILLED
                    count += 1
                    break
                entered += 1
            steps += 1
            cell = onward[cell]
    return events[:count], steps
