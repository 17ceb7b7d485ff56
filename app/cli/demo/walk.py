"""Walking: each NPC's way from the server's pathfinding, and steps along it that never touch a wall.

It asks for ways in batches, one batch under way at a time, and moves everyone on what it has. It does not
know why anyone walks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.cli.demo.client import Link
from app.cli.demo.ground import Cell
from app.core.errors import Error
from app.modules.pathfinding import messages

PAIRS_MAX = 64
"""Ways asked for in one batch."""
FIND_MS = 250
AGAIN_S = 0.6
"""How soon the way to a goal that moves may be asked for again."""
GIVE_UP_S = 3.0
"""How long a goal that cannot be reached is left alone."""
Point = tuple[float, float]


def clear(walkable: NDArray[np.bool_], start: Point, end: Point) -> bool:
    """Whether the straight line between two points stays on walkable cells.

    Visits every cell that the line touches (Amanatides and Woo 1987); through a corner, both cells beside
    it must be walkable as well.
    """
    x, y = int(start[0]), int(start[1])
    goal_x, goal_y = int(end[0]), int(end[1])
    dx, dy = end[0] - start[0], end[1] - start[1]
    step_x, step_y = (1 if dx > 0 else -1), (1 if dy > 0 else -1)
    per_x, per_y = (abs(1.0 / dx) if dx else math.inf), (abs(1.0 / dy) if dy else math.inf)
    next_x = (x + (step_x > 0) - start[0]) / dx if dx else math.inf
    next_y = (y + (step_y > 0) - start[1]) / dy if dy else math.inf
    while True:
        if not walkable[y, x]:
            return False
        if (x, y) == (goal_x, goal_y) or min(next_x, next_y) > 1.0:
            return True
        if abs(next_x - next_y) < 1e-9:
            if not (walkable[y, x + step_x] and walkable[y + step_y, x]):
                return False
            x, y, next_x, next_y = x + step_x, y + step_y, next_x + per_x, next_y + per_y
        elif next_x < next_y:
            x, next_x = x + step_x, next_x + per_x
        else:
            y, next_y = y + step_y, next_y + per_y


async def find(link: Link, map: str, pairs: Sequence[tuple[Cell, Cell]]) -> list[list[Cell]]:
    """The way of each (start, goal) as cells; empty where there is none. Raises what the link raises."""
    starts = np.array([start for start, _ in pairs], "<i2")
    ends = np.array([goal for _, goal in pairs], "<i2")
    request = messages.Find(map=map, starts=starts.tobytes(), goals=ends.tobytes(), partial=True)
    found = await link.ask(request, messages.Found, deadline_ms=FIND_MS)
    packed = found.waypoints if isinstance(found.waypoints, bytes) else b""
    points = np.frombuffer(packed, "<i2").reshape(-1, 2)
    ways = [points[first:last].tolist() for first, last in pairwise(np.frombuffer(found.offsets, "<i4"))]
    return [[(x, y) for x, y in way] for way in ways]


@dataclass(slots=True)
class Walkers:
    """The ways of n NPCs on one map. `paths` counts the ways that the server gave."""

    link: Link
    map: str
    walkable: NDArray[np.bool_]
    count: int
    paths: int = 0
    walking: int = 0
    """How many moved in the last step."""
    _ways: list[deque[Point]] = field(default_factory=list)
    _ends: list[Cell] = field(default_factory=list)
    _not_before_s: list[float] = field(default_factory=list)
    _next: int = 0

    def __post_init__(self) -> None:
        self._ways = [deque() for _ in range(self.count)]
        self._ends = [(-1, -1)] * self.count
        self._not_before_s = [0.0] * self.count

    def halt(self, row: int) -> None:
        """Forget the way of one who was put elsewhere."""
        self._ways[row].clear()
        self._ends[row] = (-1, -1)

    def wanted(
        self, x: NDArray[np.float32], y: NDArray[np.float32], goals: NDArray[np.int32], speed: NDArray[np.float32],
        now_s: float,
    ) -> list[tuple[int, Cell, Cell]]:  # fmt: skip
        """(row, start, goal) of those who need a way now, at most a batch, each in turn; all arrays are (n,)."""
        found: list[tuple[int, Cell, Cell]] = []
        for row in (*range(self._next, self.count), *range(self._next)):
            if speed[row] <= 0.0 or self._not_before_s[row] > now_s:
                continue
            start, goal = (int(x[row]), int(y[row])), (int(goals[row, 0]), int(goals[row, 1]))
            if goal == start or self._good_enough(row, start, goal):
                continue
            found.append((row, start, goal))
            if len(found) == PAIRS_MAX:
                self._next = (row + 1) % self.count
                break
        return found

    async def seek(
        self, wanted: Sequence[tuple[int, Cell, Cell]], x: NDArray[np.float32], y: NDArray[np.float32], now_s: float
    ) -> None:
        """Ask for ways and take those whose walker still stands where it was asked for."""
        try:
            ways = await find(self.link, self.map, [(start, goal) for _, start, goal in wanted])
        except Error:
            return
        for (row, start, goal), way in zip(wanted, ways, strict=True):
            self._not_before_s[row] = now_s + (AGAIN_S if way else GIVE_UP_S)
            if not way or (int(x[row]), int(y[row])) != start:
                continue
            self.paths += 1
            self._ends[row] = goal
            self._ways[row] = self._straighten((float(x[row]), float(y[row])), way)

    def step(self, x: NDArray[np.float32], y: NDArray[np.float32], speed: NDArray[np.float32], dt: float) -> None:
        """Move everyone along their way for `dt` seconds, in place; arrays are (n,)."""
        self.walking = 0
        for row, way in enumerate(self._ways):
            if not way or speed[row] <= 0.0:
                continue
            self.walking += 1
            left = float(speed[row]) * dt
            at_x, at_y = float(x[row]), float(y[row])
            while way and left > 0.0:
                to_x, to_y = way[0]
                far = math.hypot(to_x - at_x, to_y - at_y)
                if far <= left:
                    at_x, at_y = way.popleft()
                    left -= far
                else:
                    at_x, at_y = at_x + (to_x - at_x) * left / far, at_y + (to_y - at_y) * left / far
                    left = 0.0
            x[row], y[row] = at_x, at_y

    def _good_enough(self, row: int, start: Cell, goal: Cell) -> bool:
        """Whether the present way ends near enough to a goal that may have moved a little since."""
        end = self._ends[row]
        if not self._ways[row]:
            return False
        far = max(abs(goal[0] - start[0]), abs(goal[1] - start[1]))
        return max(abs(goal[0] - end[0]), abs(goal[1] - end[1])) <= far // 6

    def _straighten(self, at: Point, way: Sequence[Cell]) -> deque[Point]:
        """Way points from where the walker stands; the first ones are left out where the line past them is clear."""
        points = deque((cell_x + 0.5, cell_y + 0.5) for cell_x, cell_y in way)
        while len(points) > 1 and clear(self.walkable, at, points[1]):
            points.popleft()
        return points
