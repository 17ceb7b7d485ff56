"""The slow twin: a textbook A* over a list of rows, and what it means to walk a path."""

from __future__ import annotations

import heapq
import math

Cell = tuple[int, int]
Rows = list[str]

MOVES = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]


def is_free(rows: Rows, x: int, y: int) -> bool:
    """Whether one can stand on the cell."""
    return 0 <= y < len(rows) and 0 <= x < len(rows[0]) and rows[y][x] == "."


def may_step(rows: Rows, x: int, y: int, dx: int, dy: int) -> bool:
    """Whether the step is legal: its end and, beside a diagonal, both corners are free."""
    return is_free(rows, x + dx, y + dy) and is_free(rows, x + dx, y) and is_free(rows, x, y + dy)


def shortest(rows: Rows, start: Cell, goal: Cell) -> float | None:
    """The cost of a shortest path, or None."""

    def ahead(x: int, y: int) -> float:
        dx, dy = abs(x - goal[0]), abs(y - goal[1])
        return max(dx, dy) + (math.sqrt(2) - 1) * min(dx, dy)

    if not is_free(rows, *start) or not is_free(rows, *goal):
        return None
    so_far = {start: 0.0}
    heap = [(ahead(*start), start)]
    done = set()
    while heap:
        _, (x, y) = heapq.heappop(heap)
        if (x, y) == goal:
            return so_far[goal]
        if (x, y) in done:
            continue
        done.add((x, y))
        for dx, dy in MOVES:
            if may_step(rows, x, y, dx, dy):
                cost = so_far[x, y] + math.hypot(dx, dy)
                if cost < so_far.get((x + dx, y + dy), math.inf) - 1e-12:
                    so_far[x + dx, y + dy] = cost
                    heapq.heappush(heap, (cost + ahead(x + dx, y + dy), (x + dx, y + dy)))
    return None


def walk(rows: Rows, waypoints: list[Cell]) -> float:
    """The cost of walking along the waypoints; fails on a step that is not legal or legs that are not straight."""
    cost = 0.0
    x, y = waypoints[0]
    assert is_free(rows, x, y)
    for to_x, to_y in waypoints[1:]:
        wide, tall = abs(to_x - x), abs(to_y - y)
        assert wide == 0 or tall == 0 or wide == tall, (
            f"the leg {x, y} .. {to_x, to_y} is neither straight nor diagonal"
        )
        assert (wide, tall) != (0, 0), "a waypoint repeats"
        dx, dy = (to_x > x) - (to_x < x), (to_y > y) - (to_y < y)
        while (x, y) != (to_x, to_y):
            assert may_step(rows, x, y, dx, dy), f"the step {dx, dy} from {x, y} is not legal"
            cost += math.hypot(dx, dy)
            x, y = x + dx, y + dy
    return cost
