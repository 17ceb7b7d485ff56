"""Distances from landmarks over weighted ground, which bound the cost between any two cells from below.

It knows how they are measured and kept in 16 bits; what they are good for is said in hierarchy.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from app.modules.pathfinding.compiled import compiled
from app.modules.pathfinding.grids.graph import F32, F64, I32, I64, U16
from app.modules.pathfinding.grids.heap import NODE_MASK, pop, push
from app.modules.pathfinding.grids.hierarchy import key_of
from app.modules.pathfinding.grids.overlay import DX, DY, FAR, LANDMARKS, LENGTH, UNKNOWN, Weighted

UNITS = 65_000
"""The greatest distance from a landmark, in whole units."""

Progress = Callable[[int, int], None]
"""Told how much is done, and of how much."""


class Landmarks(NamedTuple):
    """What was measured, and on which ground."""

    away: U16
    """(cells, LANDMARKS), as Weighted.away."""
    floor: F32
    """(cells,), as Weighted.floor."""
    unit: float
    """Cost of a unit."""


@compiled
def _spread(weighted: Weighted, origin: I32, sources: I64, distance: F64, heap: I64) -> None:
    """Dijkstra over cells from all sources at once, -1 for none; links lead both ways. FAR: no way.

    `origin` (links,) is the cell that each link leads from.
    """
    stride, free, cost, node_of = weighted.stride, weighted.free, weighted.cost, weighted.node_of
    cells, links, link_costs = weighted.cells, weighted.links, weighted.link_costs
    distance[:] = FAR
    size = 0
    for source in sources:
        if source >= 0:
            distance[source] = 0.0
            size = push(heap, size, key_of(0.0, source))
    while size > 0:
        key = heap[0]
        size = pop(heap, size)
        cell = key & NODE_MASK
        here = distance[cell]
        if key_of(here, cell) != key:
            continue
        for direction in range(8):
            wide, tall = DX[direction], DY[direction] * stride
            other = cell + wide + tall
            if free[other] & free[cell + wide] & free[cell + tall] != 0:
                there = here + 0.5 * LENGTH[direction] * (np.float64(cost[cell]) + cost[other])
                if there < distance[other]:
                    distance[other] = there
                    size = push(heap, size, key_of(there, other))
        if origin.size > 0 and node_of[cell] >= 0:
            for link in range(origin.size):
                target = cells[links[link]]
                if cell == origin[link] or cell == target:
                    other = target if cell == origin[link] else origin[link]
                    there = here + link_costs[link]
                    if free[other] != 0 and there < distance[other]:
                        distance[other] = there
                        size = push(heap, size, key_of(there, other))


@compiled
def _choose(labels: I32, group_of: I32, nearest: F64, chosen: I64) -> None:
    """The cell of each group, -1 for none, that is farthest from the landmarks before it."""
    chosen[:] = -1
    for cell in range(nearest.size):
        group = group_of[labels[cell]]
        if labels[cell] != 0 and (chosen[group] < 0 or nearest[cell] > nearest[chosen[group]]):
            chosen[group] = cell


@compiled
def _keep(distance: F64, nearest: F64, away: U16, column: int, unit: float) -> None:
    """Note distances in whole units, rounded down, and how near the nearest landmark is."""
    for cell in range(distance.size):
        known = distance[cell] < FAR
        away[cell, column] = int(distance[cell] / unit) if known else UNKNOWN
        nearest[cell] = distance[cell] if column == 0 else min(nearest[cell], distance[cell])


def measure(weighted: Weighted, group_of: I32, progress: Progress) -> Landmarks:
    """Choose landmarks in each group of regions and measure from them; a slow pass over all cells for each.

    Each is the cell farthest from those before (Goldberg, Harrelson 2005); the first, from any cell.
    `group_of` (regions + 1,) numbers the regions that links join. What is below works on copies, so that
    repairs may go on meanwhile; `adopt` counts what they have changed.
    """
    fixed = weighted._replace(free=weighted.free.copy(), cost=weighted.cost.copy(), labels=weighted.labels.copy())
    cells = fixed.free.size
    origin: I32 = np.repeat(fixed.cells, np.diff(fixed.link_first))
    distance, nearest = np.empty(cells), np.full(cells, FAR)
    heap = np.empty(9 * cells, np.int64)
    chosen = np.empty(int(group_of.max()) + 1, np.int64)
    away = np.empty((cells, LANDMARKS), np.uint16)
    _choose(fixed.labels, group_of, nearest, chosen)
    _spread(fixed, origin, chosen, distance, heap)
    reached = distance[distance < FAR]
    # Twice the farthest from one cell is at least the farthest from any.
    unit = max(2.0 * float(reached.max(initial=0.0)) / UNITS, 1e-9)
    nearest[:] = np.where(distance < FAR, distance, -1.0)
    for column in range(LANDMARKS):
        _choose(fixed.labels, group_of, nearest, chosen)
        _spread(fixed, origin, chosen, distance, heap)
        _keep(distance, nearest, away, column, unit)
        progress(column + 1, LANDMARKS)
    return Landmarks(away, np.where(fixed.free != 0, fixed.cost, np.float32(np.inf)), unit)
