"""The slow twin on weighted ground: a textbook Dijkstra with links, and what it costs to walk a path."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tests.modules.pathfinding.grids.twin import MOVES

Cell = tuple[int, int]
Link = tuple[Cell, Cell, float, bool]
Field = NDArray[np.float64]
"""(height, width): cost of a straight step on each cell, infinite where blocked."""


def is_free(field: Field, x: int, y: int) -> bool:
    """Whether one can stand on the cell."""
    return 0 <= y < field.shape[0] and 0 <= x < field.shape[1] and math.isfinite(field[y, x])


def step(field: Field, x: int, y: int, dx: int, dy: int) -> float | None:
    """What a step costs, None where it is not legal."""
    if not (is_free(field, x + dx, y + dy) and is_free(field, x + dx, y) and is_free(field, x, y + dy)):
        return None
    return math.hypot(dx, dy) * (float(field[y, x]) + float(field[y + dy, x + dx])) / 2.0


def ways(field: Field, links: list[Link], cell: Cell) -> Iterator[tuple[Cell, float]]:
    """Where one can go from a cell at once, and for what."""
    for dx, dy in MOVES:
        cost = step(field, *cell, dx, dy)
        if cost is not None:
            yield (cell[0] + dx, cell[1] + dy), cost
    for start, end, cost, one_way in links:
        if cell == start and is_free(field, *end):
            yield end, cost
        if cell == end and is_free(field, *start) and not one_way:
            yield start, cost


def costs_from(field: Field, links: list[Link], start: Cell) -> dict[Cell, float]:
    """The least cost to every cell in reach."""
    costs = {start: 0.0}
    heap = [(0.0, start)]
    while heap:
        spent, cell = heapq.heappop(heap)
        if spent > costs[cell]:
            continue
        for other, cost in ways(field, links, cell):
            if spent + cost < costs.get(other, math.inf):
                costs[other] = spent + cost
                heapq.heappush(heap, (spent + cost, other))
    return costs


def walk(field: Field, links: list[Link], waypoints: list[Cell]) -> float:
    """The cost of walking along the waypoints; fails on a leg that is neither straight, diagonal nor a link."""
    total = 0.0
    for here, there in itertools.pairwise(waypoints):
        wide, tall = there[0] - here[0], there[1] - here[1]
        jumps = [cost for cell, cost in ways(field, links, here) if cell == there]
        if wide == 0 or tall == 0 or abs(wide) == abs(tall):
            along = _along(field, here, there)
            jumps += [along] if along is not None else []
        assert jumps, f"nothing leads from {here} to {there}"
        total += min(jumps)
    return total


def _along(field: Field, here: Cell, there: Cell) -> float | None:
    """What the straight or diagonal leg costs, None where a step of it is not legal."""
    dx, dy = np.sign(there[0] - here[0]), np.sign(there[1] - here[1])
    total = 0.0
    while here != there:
        cost = step(field, *here, int(dx), int(dy))
        if cost is None:
            return None
        total += cost
        here = here[0] + int(dx), here[1] + int(dy)
    return total
