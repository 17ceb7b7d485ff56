"""Walking in the demo: along the server's ways, and never through a wall."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from app.cli.demo.chart import draw
from app.cli.demo.ground import Cell
from app.cli.demo.walk import Walkers
from app.core.errors import Unavailable
from app.modules.pathfinding import messages


def way_of(walkable: np.ndarray[Any, np.dtype[np.bool_]], start: Cell, goal: Cell) -> list[Cell]:
    """A way by breadth first over the eight neighbors, each cell a way point."""
    came: dict[Cell, Cell] = {start: start}
    queue = deque([start])
    while queue and goal not in came:
        x, y = queue.popleft()
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            near = (x + dx, y + dy)
            if near not in came and walkable[near[1], near[0]] and walkable[y, near[0]] and walkable[near[1], x]:
                came[near] = (x, y)
                queue.append(near)
    way = [goal]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]


class Paths:
    """Stands in for the link: answers path.find by breadth first."""

    def __init__(self, walkable: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        self.walkable = walkable
        self.down = False

    async def ask(self, request: messages.Find, _reply: type[Any], *, deadline_ms: int) -> messages.Found:
        if self.down:
            raise Unavailable("down")
        assert isinstance(request.starts, bytes)
        assert isinstance(request.goals, bytes)
        starts = np.frombuffer(request.starts, "<i2").reshape(-1, 2).tolist()
        goals = np.frombuffer(request.goals, "<i2").reshape(-1, 2).tolist()
        ways = [way_of(self.walkable, (a, b), (c, d)) for (a, b), (c, d) in zip(starts, goals, strict=True)]
        offsets = np.cumsum([0, *(len(way) for way in ways)]).astype("<i4")
        points = np.array([cell for way in ways for cell in way], "<i2")
        return messages.Found(
            map=request.map, version=1, queries=len(ways), status=b"", cost=b"", expansions=b"",
            rung=b"", bound=b"", overlay_version=0,
            offsets=offsets.tobytes(), waypoints=points.tobytes(),
        )  # fmt: skip


def crowd(seed: int, count: int) -> tuple[Walkers, Paths, Any, Any, Any]:
    ground = draw(7, 80).ground
    generator = np.random.default_rng(seed)
    ys, xs = np.nonzero(ground.walkable)
    starts, ends = generator.integers(0, len(xs), (2, count))
    paths = Paths(ground.walkable)
    walkers = Walkers(paths, "m", ground.walkable, count)  # type: ignore[arg-type]  # a double of the link
    x, y = xs[starts].astype(np.float32) + 0.3, ys[starts].astype(np.float32) + 0.7
    return walkers, paths, x, y, np.stack((xs[ends], ys[ends]), axis=-1).astype(np.int32)


async def test_walkers_arrive_and_touch_no_wall() -> None:
    walkers, _, x, y, goals = crowd(1, 30)
    speed = np.full(30, 3.0, np.float32)
    for tick in range(1_200):
        wanted = walkers.wanted(x, y, goals, speed, tick * 0.1)
        if wanted:
            await walkers.seek(wanted, x, y, tick * 0.1)
        walkers.step(x, y, speed, 0.1)
        assert walkers.walkable[y.astype(int), x.astype(int)].all()
    assert (np.stack((x, y), axis=-1).astype(int) == goals).all()
    assert walkers.paths >= 30


async def test_nobody_moves_faster_than_their_speed() -> None:
    walkers, _, x, y, goals = crowd(2, 10)
    speed = np.full(10, 2.0, np.float32)
    await walkers.seek(walkers.wanted(x, y, goals, speed, 0.0), x, y, 0.0)
    for _ in range(100):
        before = np.stack((x, y))
        walkers.step(x, y, speed, 0.1)
        assert (np.hypot(*(np.stack((x, y)) - before)) <= 0.2 + 1e-4).all()


async def test_without_a_server_everyone_walks_on_along_the_way_they_have() -> None:
    walkers, paths, x, y, goals = crowd(3, 10)
    speed = np.full(10, 2.0, np.float32)
    await walkers.seek(walkers.wanted(x, y, goals, speed, 0.0), x, y, 0.0)
    paths.down = True
    goals[:] = goals[::-1]
    await walkers.seek(walkers.wanted(x, y, goals, speed, 1.0), x, y, 1.0)
    walkers.step(x, y, speed, 0.1)
    assert walkers.walking > 0


async def test_who_stands_still_asks_for_no_way() -> None:
    walkers, _, x, y, goals = crowd(4, 10)
    assert walkers.wanted(x, y, goals, np.zeros(10, np.float32), 0.0) == []
