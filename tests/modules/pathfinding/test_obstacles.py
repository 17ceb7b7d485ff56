"""Obstacles take effect with the next query, for agents of every size, and tell whom they stand in the way of."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Conflict, NotFound
from app.modules.pathfinding import messages
from app.modules.pathfinding.board import Board, Rectangle, merged, raster
from app.modules.pathfinding.settings import Settings
from app.modules.pathfinding.surfaces import AgentClass
from app.modules.pathfinding.walkers import Walkers
from app.world.entities import Box, CellSet, Circle, Obstacle
from tests.modules.pathfinding.bench import Bench
from tests.modules.pathfinding.grids import sight_twin, twin

OPEN = b"\n".join([b"." * 12] * 9)
SHAPES = st.one_of(
    st.builds(Circle, radius=st.floats(0.1, 3)),
    st.builds(Box, width=st.floats(0.1, 5), height=st.floats(0.1, 5)),
    st.builds(CellSet, cells=st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1).map(tuple)),
)
OBSTACLES = st.builds(
    Obstacle,
    id=st.sampled_from("abcdefgh"),
    shape=SHAPES,
    x=st.floats(-3, 15),
    y=st.floats(-3, 12),
    closed=st.sampled_from([True, True, True, False]),
    clears=st.sampled_from([False, False, True]),
)


async def put(bench: Bench, *obstacles: Obstacle) -> messages.ObstaclesAccepted:
    return await bench.ask(messages.AddObstacles(map="valley", obstacles=obstacles), messages.ObstaclesAccepted)


async def cost(bench: Bench, start: messages.Place, goal: messages.Place, agent_class: str = "") -> float | None:
    request = messages.Find(map="valley", starts=(start,), goals=(goal,), agent_class=agent_class, format="lists")
    found = await bench.ask(request, messages.Found)
    assert isinstance(found.cost, tuple)
    return found.cost[0]


async def test_a_wall_is_walked_around_from_the_next_query_on(bench: Bench) -> None:
    await bench.upload(OPEN)
    assert await cost(bench, (0, 4), (11, 4)) == pytest.approx(11)
    accepted = await put(bench, Obstacle(id="wall", shape=Box(width=1, height=8), x=5, y=0))
    assert (accepted.obstacles, accepted.hit) == (1, ())
    assert await cost(bench, (0, 4), (11, 4)) == pytest.approx(
        twin.shortest([".....@......"] * 8 + ["." * 12], (0, 4), (11, 4))
    )
    assert await cost(bench, (5, 4), (11, 4)) is None
    await put(bench, Obstacle(id="rest", shape=CellSet(cells=((0, 0),)), x=5.7, y=8.2))
    assert await cost(bench, (0, 4), (11, 4)) is None
    removed = messages.RemoveObstacles(map="valley", ids=("wall", "rest"))
    assert (await bench.ask(removed, messages.ObstaclesAccepted)).obstacles == 0
    assert await cost(bench, (0, 4), (11, 4)) == pytest.approx(11)


async def test_a_door_opens_and_closes(bench: Bench) -> None:
    await bench.upload(b"...#...\n...#...\n.......")
    await put(bench, Obstacle(id="door", shape=CellSet(cells=((0, 0),)), x=3, y=2))
    assert await cost(bench, (0, 0), (6, 0)) is None
    for closed, reached in ((False, True), (True, False), (False, True)):
        move = messages.MoveObstacles(map="valley", moves=(messages.ObstacleMove(id="door", closed=closed),))
        await bench.ask(move, messages.ObstaclesAccepted)
        assert (await cost(bench, (0, 0), (6, 0)) is not None) == reached


async def test_a_bridge_clears_what_the_map_blocks(bench: Bench) -> None:
    await bench.upload(b"..#..\n..#..\n..#..")
    assert await cost(bench, (0, 1), (4, 1)) is None
    await put(bench, Obstacle(id="bridge", shape=CellSet(cells=((0, 0),)), x=2, y=1, clears=True))
    assert await cost(bench, (0, 1), (4, 1)) == pytest.approx(4)
    await put(bench, Obstacle(id="cart", shape=Circle(radius=0.2), x=2.5, y=1.5))
    assert await cost(bench, (0, 1), (4, 1)) is None


async def test_walkers_are_told_when_an_obstacle_comes_into_their_way(bench: Bench) -> None:
    await bench.upload(OPEN)
    starts, goals = ((0, 1), (0, 7), (0, 4)), ((11, 1), (11, 7), (0, 4))
    walk = messages.Find(map="valley", starts=starts, goals=goals, walkers=("ada", "bob", "cid"))
    await bench.ask(walk, messages.Found)
    accepted = await put(bench, Obstacle(id="crate", shape=Box(width=1, height=1), x=6, y=7))
    assert accepted.hit == ("bob",)
    assert bench.pushes() == [messages.PathBlocked(map="valley", walkers=("bob",))]
    move = messages.MoveObstacles(map="valley", moves=(messages.ObstacleMove(id="crate", x=0.0, y=4.0),))
    assert (await bench.ask(move, messages.ObstaclesAccepted)).hit == ("cid",)
    around = messages.Find(map="valley", starts=((0, 7),), goals=((0, 7),), walkers=("bob",))
    await bench.ask(around, messages.Found)
    assert (await put(bench, Obstacle(id="crate", shape=Box(width=1, height=1), x=6, y=7))).hit == ()


async def test_obstacles_stand_after_a_restart_and_on_the_next_version_of_the_map(bench: Bench) -> None:
    await bench.upload(OPEN)
    await put(bench, Obstacle(id="wall", shape=Box(width=1, height=9), x=5, y=0))
    await bench.close()
    bench.module = bench.build()
    assert await cost(bench, (0, 4), (11, 4)) is None
    await bench.upload(OPEN + b"\n" + b"." * 12)
    assert await cost(bench, (0, 4), (11, 4)) == pytest.approx(
        twin.shortest([".....@......"] * 9 + ["." * 12], (0, 4), (11, 4))
    )


async def test_a_change_whose_call_died_after_the_commit_counts_all_the_same(bench: Bench) -> None:
    from app.world.events import ObstaclesChanged

    await bench.upload(OPEN)
    assert await cost(bench, (0, 4), (11, 4)) == pytest.approx(11)
    wall = Obstacle(id="wall", shape=Box(width=1, height=9), x=5, y=0)
    await bench.journal.append("studio", "vale", [ObstaclesChanged(map="valley", put=(wall,))])
    assert await cost(bench, (0, 4), (11, 4)) is None


async def test_what_is_not_there_is_named() -> None:
    bench = Bench(settings=Settings(obstacles_max=1))
    await bench.upload(OPEN)
    with pytest.raises(NotFound, match="'crate'"):
        await bench.ask(
            messages.MoveObstacles(map="valley", moves=(messages.ObstacleMove(id="crate"),)), messages.ObstaclesAccepted
        )
    with pytest.raises(NotFound, match="'crate'"):
        await bench.ask(messages.RemoveObstacles(map="valley", ids=("crate",)), messages.ObstaclesAccepted)
    with pytest.raises(NotFound, match="no map 'vally'"):
        await bench.ask(messages.RemoveObstacles(map="vally", ids=("crate",)), messages.ObstaclesAccepted)
    await put(bench, Obstacle(id="a", shape=Circle(radius=1)))
    await put(bench, Obstacle(id="a", shape=Circle(radius=2)))
    with pytest.raises(Conflict, match="1 obstacles"):
        await put(bench, Obstacle(id="b", shape=Circle(radius=1)))
    await bench.close()


async def test_tables_beyond_the_memory_limit_are_made_anew_with_their_obstacles() -> None:
    bench = Bench(settings=Settings(lives_bytes_max=0))
    wall = Obstacle(id="wall", shape=Box(width=1, height=9), x=5, y=0)
    for map in ("valley", "hill"):
        await bench.upload(OPEN, map=map)
        await bench.ask(messages.AddObstacles(map=map, obstacles=(wall,)), messages.ObstaclesAccepted)
    assert await cost(bench, (0, 4), (11, 4)) is None
    assert await cost(bench, (0, 4), (4, 4)) == pytest.approx(4)
    await bench.close()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), changes=st.lists(st.lists(OBSTACLES, min_size=1, max_size=3), max_size=8))
async def test_agents_of_every_size_walk_as_on_the_edited_map(seed: int, changes: list[list[Obstacle]]) -> None:
    random = np.random.default_rng(seed)
    base = random.random((9, 12)) > 0.15
    bench = Bench()
    sizes = {"": 1, "ogre": 2, "giant": 3}
    data = "\n".join("".join(".#"[not cell] for cell in row) for row in base).encode()
    classes = {name: AgentClass(size=size) for name, size in sizes.items() if name}
    await bench.ask(messages.Upload(map="valley", format="rows", data=data, agent_classes=classes), messages.Uploaded)
    for change in changes:
        await put(bench, *change)
        blocked, cleared = np.zeros_like(base), np.zeros_like(base)
        for obstacle in bench.worlds.get("studio", "vale").state.obstacles.values():
            (cleared if obstacle.clears else blocked)[covered(obstacle, 9, 12)] = True
        now = (base | cleared) & ~blocked
        for name, size in sizes.items():
            room = roomy(now, size)
            rows = ["".join(".@"[not cell] for cell in row) for row in room]
            ends = [tuple(int(n) for n in random.integers(0, (12, 9))) for _ in range(2)]
            shortest = twin.shortest(rows, ends[0], ends[1])
            assert await cost(bench, ends[0], ends[1], name) == pytest.approx(shortest)
            if shortest is not None:
                await walk_smoothly(bench, rows, ends[0], ends[1], name, shortest)
    await bench.close()


async def walk_smoothly(
    bench: Bench, rows: twin.Rows, start: twin.Cell, goal: twin.Cell, agent_class: str, longest: float
) -> None:
    """A smoothed way crosses no blocked cell and is no longer than the shortest way by steps."""
    request = messages.Find(
        map="valley", starts=(start,), goals=(goal,), agent_class=agent_class, smooth=True, format="lists"
    )
    found = await bench.ask(request, messages.Found)
    assert isinstance(found.waypoints, tuple)
    assert isinstance(found.cost, tuple)
    way = [(int(x), int(y)) for x, y in found.waypoints[0]]
    assert (way[0], way[-1]) == (start, goal)
    assert all(sight_twin.sees(rows, a, b) for a, b in pairwise(way))
    assert found.cost[0] == pytest.approx(sum(math.dist(a, b) for a, b in pairwise(way)))
    assert found.cost[0] <= longest + 1e-9


@lru_cache(maxsize=4_096)
def covered(obstacle: Obstacle, rows: int, columns: int) -> np.ndarray:
    """The cells that an obstacle overlaps, one by one."""
    mask = np.zeros((rows, columns), bool)
    if not obstacle.closed:
        return mask
    shape = obstacle.shape
    for y in range(rows):
        for x in range(columns):
            near = (min(max(obstacle.x, x), x + 1), min(max(obstacle.y, y), y + 1))
            if isinstance(shape, Circle):
                inside = (near[0] - obstacle.x) ** 2 + (near[1] - obstacle.y) ** 2 < shape.radius**2
            elif isinstance(shape, Box):
                wide = x < obstacle.x + shape.width and obstacle.x < x + 1
                inside = wide and y < obstacle.y + shape.height and obstacle.y < y + 1
            else:
                inside = (x - int(np.floor(obstacle.x)), y - int(np.floor(obstacle.y))) in shape.cells
            mask[y, x] = inside
    return mask


def roomy(free: np.ndarray, size: int) -> np.ndarray:
    """Where an agent of that size fits, cell by cell."""
    room = np.zeros_like(free)
    rows, columns = free.shape
    before, after = (size - 1) // 2, size // 2
    for y in range(before, rows - after):
        for x in range(before, columns - after):
            room[y, x] = free[y - before : y + after + 1, x - before : x + after + 1].all()
    return room


@given(obstacle=OBSTACLES)
def test_an_obstacle_covers_the_cells_that_it_overlaps(obstacle: Obstacle) -> None:
    left, top, mask = raster(obstacle, 9, 12)
    whole = np.zeros((9, 12), bool)
    whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    closed = covered(obstacle, 9, 12) if obstacle.closed else whole
    assert (whole == closed).all()


def test_a_board_counts_what_overlaps() -> None:
    board, base = Board(4, 4), np.ones((4, 4), np.uint8)
    everything = Rectangle(0, 0, 4, 4)
    crate = Obstacle(id="a", shape=Box(width=2, height=2), x=1, y=1)
    for other in ("a", "b"):
        board.change(None, Obstacle(id=other, shape=Box(width=2, height=2), x=1, y=1))
    board.change(crate, None)
    assert board.passable(base, everything).sum() == 12
    board.change(crate, None)
    assert board.passable(base, everything).all()


def test_areas_that_touch_are_one_as_long_as_they_stay_small() -> None:
    near = [Rectangle(0, 0, 2, 2), Rectangle(2, 0, 4, 2), Rectangle(9, 9, 10, 10)]
    assert merged(near, 100) == [Rectangle(0, 0, 4, 2), Rectangle(9, 9, 10, 10)]
    assert merged(near, 4) == near


def test_walkers_beyond_the_limit_are_forgotten_oldest_first() -> None:
    walkers = Walkers(2)
    for name in ("ada", "bob", "cid"):
        walkers.walk(name, np.array([[0.5, 0.5], [5.5, 0.5]], np.float32))
    assert walkers.hit([(2, 0, 3, 1)]) == ("bob", "cid")
    assert walkers.hit([(2, 1, 3, 2)]) == ()
