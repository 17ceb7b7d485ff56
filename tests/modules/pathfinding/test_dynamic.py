"""Maps that change under queries: the published dynamic track, and ten thousand obstacles against a slow twin."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.modules.pathfinding import messages
from app.modules.pathfinding.grids import search, subgoals
from app.modules.pathfinding.grids.mending import Repaired
from app.world.entities import Box, Circle, Obstacle
from tests.modules.pathfinding.bench import Bench
from tests.modules.pathfinding.grids import twin
from tests.modules.pathfinding.test_obstacles import covered

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "dynamic"
ROWS, COLUMNS = 30, 40


def patches(lines: list[str]) -> list[NDArray[np.uint8]]:
    """Each patch as 1 for passable, 0 for blocked."""
    found = []
    for index, line in enumerate(lines):
        if line.startswith("patch "):
            height = int(lines[index + 1].split()[1])
            rows = lines[index + 4 : index + 4 + height]
            found.append(np.array([[letter in ".GS" for letter in row] for row in rows], np.uint8))
    return found


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data folder is not beside this repository")
def test_every_query_of_the_dynamic_track_has_its_published_length() -> None:
    parts = patches((DATA / "dao_arena2.patch").read_text().splitlines()[2:])
    lines = [line.split() for line in (DATA / "dao_arena2.scen").read_text().splitlines()]
    size = {line[0]: int(line[1]) for line in lines if line[0] in ("height", "width")}
    # The scenario names no map: it begins with open ground of its size, and its patches build the walls.
    mended = Repaired(subgoals.prepare(np.pad(np.ones((size["height"], size["width"]), np.uint8), 1)))
    asked = 0
    for line in lines:
        if line[0] == "P":
            number, x, y = (int(field) for field in line[2:5])
            mended.set_cells(x + 1, y + 1, parts[number])
        elif line[0] == "Q":
            ends, length = np.array([[int(field) for field in line[2:6]]], np.int16), float(line[6])
            starts, goals = np.ascontiguousarray(ends[:, :2]), np.ascontiguousarray(ends[:, 2:])
            answers = search.answers(mended.graph, starts, goals, math.inf, False, 10**6)
            assert answers.cost[0] == pytest.approx(length, abs=0.02 + 1e-4 * length)
            asked += 1
    assert asked == 2_000


async def test_ten_thousand_changes_between_queries_leave_what_a_slow_twin_finds() -> None:
    random = np.random.default_rng(11)
    bench = Bench()
    base = random.random((ROWS, COLUMNS)) > 0.1
    await bench.upload("\n".join("".join(".#"[not cell] for cell in row) for row in base).encode())
    standing: dict[str, Obstacle] = {}
    changes = 0
    while changes < 10_000:
        changes += await change(bench, random, standing)
        now = base.copy()
        for obstacle in standing.values():
            now &= ~covered(obstacle, ROWS, COLUMNS)
        rows = ["".join(".@"[not cell] for cell in row) for row in now]
        ends = random.integers(0, (COLUMNS, ROWS), (6, 2)).tolist()
        request = messages.Find(
            map="valley", starts=tuple(map(tuple, ends[:3])), goals=tuple(map(tuple, ends[3:])), format="lists"
        )
        found = await bench.ask(request, messages.Found)
        assert isinstance(found.cost, tuple)
        assert isinstance(found.waypoints, tuple)
        for query in range(3):
            start, goal = tuple(ends[query]), tuple(ends[query + 3])
            expected = twin.shortest(rows, start, goal)
            assert found.cost[query] == (None if expected is None else pytest.approx(expected))
            if expected is not None:
                way = [(int(x), int(y)) for x, y in found.waypoints[query]]
                assert twin.walk(rows, way) == pytest.approx(expected)
    await bench.close()


async def change(bench: Bench, random: np.random.Generator, standing: dict[str, Obstacle]) -> int:
    """Add, move or remove some obstacles at once; how many."""
    count = int(random.integers(20, 80))
    kind = random.integers(3) if len(standing) > 100 else 0
    if kind == 0:
        added = tuple(obstacle(str(random.integers(400)), random) for _ in range(count))
        await bench.ask(messages.AddObstacles(map="valley", obstacles=added), messages.ObstaclesAccepted)
        standing |= {one.id: one for one in added}
        return count
    chosen = [str(id) for id in random.choice(sorted(standing), min(count, len(standing)), replace=False)]
    if kind == 1:
        await bench.ask(messages.RemoveObstacles(map="valley", ids=tuple(chosen)), messages.ObstaclesAccepted)
        for id in chosen:
            del standing[id]
        return len(chosen)
    moves = []
    for id in chosen:
        moved = obstacle(id, random)
        moves.append(messages.ObstacleMove(id=id, x=moved.x, y=moved.y, closed=moved.closed))
        standing[id] = Obstacle(id=id, shape=standing[id].shape, x=moved.x, y=moved.y, closed=moved.closed)
    await bench.ask(messages.MoveObstacles(map="valley", moves=tuple(moves)), messages.ObstaclesAccepted)
    return len(chosen)


def obstacle(id: str, random: np.random.Generator) -> Obstacle:
    x, y = random.uniform(-1, COLUMNS), random.uniform(-1, ROWS)
    width, height = random.uniform(0.1, 1.2, 2)
    shape = Circle(radius=float(width)) if random.random() < 0.5 else Box(width=float(width), height=float(height))
    return Obstacle(id=id, shape=shape, x=float(x), y=float(y), closed=bool(random.random() < 0.7))
