"""Fields lead everyone to the nearest goal and follow the ground; flights and crowds keep clear of what they should."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Conflict, EngineDown, Invalid, NotFound
from app.modules.pathfinding import messages
from app.modules.pathfinding.settings import Settings
from app.modules.pathfinding.surfaces import AgentClass
from app.world.entities import Box, CellSet, Obstacle
from tests.doubles import ManualClock
from tests.modules.pathfinding.bench import Bench, packed
from tests.modules.pathfinding.grids import twin

OPEN = b"\n".join([b"." * 12] * 9)


async def field_of(bench: Bench, *goals: messages.Place, agent_class: str = "") -> str:
    request = messages.Field(map="valley", goals=(goals,), agent_class=agent_class)
    return (await bench.ask(request, messages.FieldReady)).fields[0]


async def sample(bench: Bench, field: str, *points: tuple[float, float]) -> messages.Sampled:
    request = messages.Sample(map="valley", field=field, points=points, format="lists")
    return await bench.ask(request, messages.Sampled)


async def put(bench: Bench, *obstacles: Obstacle) -> None:
    await bench.ask(messages.AddObstacles(map="valley", obstacles=obstacles), messages.ObstaclesAccepted)


async def test_a_field_leads_to_the_nearest_of_its_goals(bench: Bench) -> None:
    await bench.upload(OPEN)
    request = messages.Field(map="valley", goals=(((0, 4), (11, 4)), packed((3, 3))))
    ready = await bench.ask(request, messages.FieldReady)
    assert ready.reached_cells == (108, 108)
    assert len(set(ready.fields)) == 2
    sampled = await sample(bench, ready.fields[0], (2.5, 4.5), (9.5, 4.5), (0.5, 4.5))
    assert sampled.direction == ((-1.0, 0.0), (1.0, 0.0), (0.0, 0.0))
    assert sampled.cost == (2.0, 2.0, 0.0)
    assert await field_of(bench, (11, 4), (0, 4)) == ready.fields[0], "the same goals are the same field"
    raw = await bench.ask(
        messages.Sample(map="valley", field=ready.fields[0], points=np.array([[2.5, 4.5]], "<f4").tobytes()),
        messages.Sampled,
    )
    assert raw.direction == np.array([-1, 0], "<f4").tobytes()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
async def test_a_kept_field_follows_obstacles_for_agents_of_every_size(seed: int) -> None:
    random = np.random.default_rng(seed)
    bench = Bench()
    rows = ["".join(".#"[cell] for cell in row) for row in (random.random((9, 12)) < 0.1).astype(int)]
    request = messages.Upload(
        map="valley", format="rows", data="\n".join(rows).encode(), agent_classes={"ogre": AgentClass(size=2)}
    )
    await bench.ask(request, messages.Uploaded)
    goal = tuple(int(n) for n in random.integers(0, (12, 9)))
    names = {name: await field_of(bench, goal, agent_class=name) for name in ("", "ogre")}
    for step in range(4):
        x, y = (float(n) for n in random.integers(0, (12, 9)))
        await put(bench, Obstacle(id=str(step % 3), shape=Box(width=2, height=1), x=x, y=y, clears=bool(step % 2)))
        for name, field in names.items():
            start = tuple(int(n) for n in random.integers(0, (12, 9)))
            asked = messages.Distance(map="valley", starts=(start,), goals=(goal,), agent_class=name, format="lists")
            expected = (await bench.ask(asked, messages.DistanceAnswer)).cost
            found = (await sample(bench, field, (start[0] + 0.5, start[1] + 0.5))).cost
            assert isinstance(expected, tuple)
            assert isinstance(found, tuple)
            assert found[0] == (None if expected[0] is None else pytest.approx(expected[0], rel=1e-5))
    await bench.close()


class Brute:
    """A network of fields as slow as can be: relaxes until nothing changes; `down` makes it fail."""

    def __init__(self) -> None:
        self.runs = 0
        self.down = False

    def compute(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self.down:
            raise EngineDown("the network is down", hint="try the kernels")
        self.runs += 1
        reached = np.pad(inputs["distance"].astype(np.float64), ((0, 0), (1, 1), (1, 1)), constant_values=1e9)
        free = np.pad(inputs["free"], 1)
        while True:
            before = reached.copy()
            for dx, dy in twin.MOVES:
                ok = free * np.roll(free, (dy, dx), (0, 1)) * np.roll(free, dx, 1) * np.roll(free, dy, 0)
                step = np.where(ok > 0, math.hypot(dx, dy), 1e9)
                reached = np.minimum(reached, np.roll(reached, (dy, dx), (1, 2)) + step)
            if (reached == before).all():
                return {"reached": reached[:, 1:-1, 1:-1].astype(np.float32)}


async def test_many_fields_at_once_are_filled_by_a_network_and_by_the_kernels_when_it_fails() -> None:
    brute = Brute()
    bench = Bench(settings=Settings(fields_together_min=2), fields=brute)
    await bench.upload(b"......\n.##...\n......")

    async def costs(*goals: messages.Place) -> list[list[float]]:
        ready = await bench.ask(
            messages.Field(map="valley", goals=tuple((goal,) for goal in goals)), messages.FieldReady
        )
        points = tuple((x + 0.5, y + 0.5) for y in range(3) for x in range(6))
        found = [(await sample(bench, name, *points)).cost for name in ready.fields]
        return [[math.inf if cost is None else float(cost) for cost in each or ()] for each in found]

    together = await costs((0, 0), (5, 2))
    assert brute.runs == 1
    brute.down = True
    alone = await costs((0, 0), (5, 2), (4, 0), (3, 2))
    for one, other in zip(together, alone, strict=False):
        assert one == pytest.approx(other, rel=1e-5)
    await put(bench, Obstacle(id="wall", shape=CellSet(cells=((0, 0),)), x=3, y=0))
    mended = await costs((0, 0))
    assert mended[0] != together[0], "a field of the network follows obstacles too"
    await bench.close()


async def test_a_field_that_nobody_asks_is_dropped() -> None:
    clock = ManualClock()
    bench = Bench(clock=clock, settings=Settings(field_idle_s=10.0))
    await bench.upload(OPEN)
    first = await field_of(bench, (0, 0))
    clock.now_s += 11.0
    await field_of(bench, (5, 5))
    with pytest.raises(NotFound, match="no field"):
        await sample(bench, first, (1.5, 1.5))
    await bench.close()


async def test_nobody_flees_towards_a_threat_or_through_a_wall(bench: Bench) -> None:
    await bench.upload(b"......#..\n......#..\n.........")
    request = messages.Flee(map="valley", starts=((4, 1), (6, 0)), threats=((1, 1),), radius_cells=6, format="lists")
    fled = await bench.ask(request, messages.Fled)
    assert isinstance(fled.refuge, tuple)
    assert fled.refuge[0][0] is not None
    assert fled.refuge[0][0] >= 7, "behind the wall the threat has farthest to walk"
    assert fled.refuge[1] == (-1, -1)
    assert isinstance(fled.waypoints, tuple)
    way = [(4, 1), *((int(x), int(y)) for x, y in fled.waypoints[0])]
    rows = ["......@..", "......@..", "........."]
    assert all(max(abs(b[0] - a[0]), abs(b[1] - a[1])) == 1 for a, b in pairwise(way))
    assert isinstance(fled.cost, tuple)
    assert twin.walk(rows, way) == pytest.approx(fled.cost[0], rel=1e-5)
    assert isinstance(fled.away, tuple)
    shortest = twin.shortest(rows, (1, 1), way[-1])
    assert fled.away[0] == pytest.approx(shortest, rel=1e-5)


def vectors(*pairs: tuple[float, float]) -> bytes:
    return np.array(pairs, "<f4").tobytes()


async def test_two_who_walk_at_each_other_pass_and_nobody_enters_a_wall(bench: Bench) -> None:
    await bench.upload(b"........\n........\n########")
    positions = np.array([[1.5, 1.0], [6.5, 1.02]], np.float32)
    preferred = vectors((1.5, 0), (-1.5, 0))
    velocities = preferred
    for _ in range(60):
        request = messages.Steer(
            map="valley",
            positions=positions.astype("<f4").tobytes(),
            velocities=velocities,
            preferred=preferred,
            radii=np.array([0.3], "<f4").tobytes(),
            speeds_max=np.array([2, 2], "<f4").tobytes(),
        )
        velocities = (await bench.ask(request, messages.Steered)).velocities
        positions = positions + 0.1 * np.frombuffer(velocities, "<f4").reshape(2, 2)
        assert math.dist(*positions.tolist()) > 0.55
        assert (positions[:, 1] < 2).all()
    assert positions[0, 0] > 6 > 2 > positions[1, 0]


async def test_crowds_that_cannot_be_are_refused(bench: Bench) -> None:
    def crowd(**other: bytes) -> messages.Steer:
        one = vectors((1, 1))
        number = np.array([0.5], "<f4").tobytes()
        given = {"positions": one, "velocities": one, "preferred": one, "radii": number, "speeds_max": number}
        return messages.Steer(**{**given, **other})

    for name, value in (
        ("positions", vectors((math.nan, 0))),
        ("velocities", vectors((0, 0), (1, 1))),
        ("radii", np.array([-1], "<f4").tobytes()),
        ("speeds_max", b"123"),
    ):
        with pytest.raises(Invalid, match=name):
            await bench.ask(crowd(**{name: value}), messages.Steered)


async def test_rays_end_before_walls_and_smooth_ways_go_straight(bench: Bench) -> None:
    await bench.upload(b".....\n...#.\n.....")
    request = messages.Raycast(map="valley", starts=((0, 1), (0, 0)), ends=((4, 1), (4, 0)), format="lists")
    seen = await bench.ask(request, messages.RaycastAnswer)
    assert seen.clear == (False, True)
    assert seen.last == ((2, 1), (4, 0))
    await bench.upload(OPEN)
    straight = messages.Find(map="valley", starts=((0, 0),), goals=((11, 5),), smooth=True, format="lists")
    found = await bench.ask(straight, messages.Found)
    assert found.waypoints == (((0, 0), (11, 5)),)
    assert found.cost == (pytest.approx(math.hypot(11, 5)),)
    await put(bench, Obstacle(id="pillar", shape=CellSet(cells=((0, 0),)), x=5, y=2))
    around = await bench.ask(straight, messages.Found)
    assert isinstance(around.cost, tuple)
    assert around.cost[0] is not None
    assert math.hypot(11, 5) < around.cost[0] < 14


async def test_what_grids_can_and_navmeshes_cannot_is_said(bench: Bench) -> None:
    mesh = b'{"vertices":[[0,0,0],[4,0,0],[4,0,4],[0,0,4]],"polygons":[[0,1,2,3]]}'
    await bench.ask(messages.Upload(map="valley", format="godot", data=mesh), messages.Uploaded)
    with pytest.raises(Conflict, match="navmesh"):
        await bench.ask(
            messages.Flee(map="valley", starts=((1.0, 0.0, 1.0),), threats=((2.0, 0.0, 2.0),)), messages.Fled
        )
