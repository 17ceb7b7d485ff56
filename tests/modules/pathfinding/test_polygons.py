"""Navmeshes answer the same questions as grids, in points of the engine that exported them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from app.core.errors import Invalid
from app.modules.pathfinding import messages
from app.modules.pathfinding.surfaces import AgentClass
from app.world.entities import Box, CellSet, Circle, Obstacle
from tests.modules.pathfinding.bench import Bench

# A square room of 10 by 10 with a wall in the middle that leaves a gap at one side, in Godot's form (y is up).
ROOM = b"""{"vertices": [[0,0,0],[4,0,0],[4,0,8],[0,0,8],[4,0,10],[0,0,10],
[6,0,8],[6,0,10],[6,0,0],[10,0,0],[10,0,8],[10,0,10]],
"polygons": [[0,1,2,3],[3,2,4,5],[2,6,7,4],[6,10,11,7],[8,9,10,6]]}"""


async def upload(bench: Bench, data: bytes = ROOM, **classes: AgentClass) -> messages.Uploaded:
    request = messages.Upload(map="room", format="godot", data=data, agent_classes=classes)
    return await bench.ask(request, messages.Uploaded)


async def find(bench: Bench, start: messages.Place, goal: messages.Place, agent_class: str = "") -> messages.Found:
    request = messages.Find(map="room", starts=(start,), goals=(goal,), agent_class=agent_class, format="lists")
    return await bench.ask(request, messages.Found)


async def test_a_way_goes_straight_from_corner_to_corner(bench: Bench) -> None:
    uploaded = await upload(bench)
    assert (uploaded.polygons, uploaded.components, uploaded.width) == (5, 1, 0)
    found = await find(bench, (1, 0, 1), (9, 0, 1))
    assert found.status == ("found",)
    assert found.waypoints == (((1, 0, 1), (4, 0, 8), (6, 0, 8), (9, 0, 1)),)
    assert found.cost == (pytest.approx(2 * math.hypot(3, 7) + 2),)
    assert (found.rung, found.bound) == (("exact",), (1.0,))
    packed = messages.Find(
        map="room", starts=np.array([1, 0, 1], "<f4").tobytes(), goals=np.array([9, 0, 1], "<f4").tobytes()
    )
    raw = await bench.ask(packed, messages.Found)
    assert isinstance(raw.waypoints, bytes)
    assert np.frombuffer(raw.waypoints, "<f4").reshape(-1, 3).tolist()[1] == [4, 0, 8]


async def test_obstacles_are_walked_around_by_the_width_of_who_walks(bench: Bench) -> None:
    await upload(bench, wide=AgentClass(radius=1.2))
    crate = Obstacle(id="crate", shape=Box(width=1, height=1), x=4.5, y=8.5)
    await bench.ask(messages.AddObstacles(map="room", obstacles=(crate,)), messages.ObstaclesAccepted)
    around = await find(bench, (1, 0, 9), (9, 0, 9))
    assert around.status == ("found",)
    assert isinstance(around.cost, tuple)
    assert around.cost[0] is not None
    assert 8 < around.cost[0] < 8.3
    assert (await find(bench, (1, 0, 9), (9, 0, 9), "wide")).status == ("unreachable",)
    barrel = Obstacle(id="barrel", shape=Circle(radius=1.5), x=5, y=9)
    await bench.ask(messages.AddObstacles(map="room", obstacles=(barrel,)), messages.ObstaclesAccepted)
    assert (await find(bench, (1, 0, 9), (9, 0, 9))).status == ("unreachable",)
    gone = messages.RemoveObstacles(map="room", ids=("crate", "barrel"))
    await bench.ask(gone, messages.ObstaclesAccepted)
    assert (await find(bench, (1, 0, 9), (9, 0, 9), "wide")).cost == (pytest.approx(8),)


async def test_walkers_on_a_mesh_are_told(bench: Bench) -> None:
    await upload(bench)
    walk = messages.Find(map="room", starts=((1, 0, 9),), goals=((9, 0, 9),), walkers=("ada",))
    await bench.ask(walk, messages.Found)
    far = Obstacle(id="far", shape=Circle(radius=0.5), x=2, y=2)
    near = Obstacle(id="near", shape=Circle(radius=0.5), x=5, y=9.2)
    for obstacle, hit in ((far, ()), (near, ("ada",))):
        request = messages.AddObstacles(map="room", obstacles=(obstacle,))
        assert (await bench.ask(request, messages.ObstaclesAccepted)).hit == hit


async def test_what_cannot_stand_on_a_mesh_is_refused_and_changes_nothing(bench: Bench) -> None:
    await upload(bench)
    for obstacle in (
        Obstacle(id="a", shape=CellSet(cells=((0, 0),))),
        Obstacle(id="a", shape=Circle(radius=1), clears=True),
    ):
        with pytest.raises(Invalid, match="navmesh"):
            await bench.ask(messages.AddObstacles(map="room", obstacles=(obstacle,)), messages.ObstaclesAccepted)
    assert len(bench.journal.events) == 1


async def test_the_other_questions_are_answered_too(bench: Bench) -> None:
    await upload(bench)
    nearest = messages.Nearest(map="room", cells=((5, 0, 4), (-3, 0, 5)), format="lists")
    cells = (await bench.ask(nearest, messages.PlacesAnswer)).cells
    assert cells in (((4, 0, 4), (0, 0, 5)), ((6, 0, 4), (0, 0, 5)))
    inside = messages.Nearest(map="room", cells=((-3, 0, 5),), reach_from=(1, 0, 1), format="lists")
    assert (await bench.ask(inside, messages.PlacesAnswer)).cells == ((0, 0, 5),)
    ray = messages.Raycast(map="room", starts=((1, 0, 4), (1, 0, 4)), ends=((9, 0, 4), (3, 0, 7)), format="lists")
    seen = await bench.ask(ray, messages.RaycastAnswer)
    assert seen.clear == (False, True)
    assert isinstance(seen.last, tuple)
    assert seen.last[0] == pytest.approx((4, 0, 4))
    reach = messages.Reachable(map="room", starts=((1, 0, 1),), goals=((9, 0, 1),), format="lists")
    assert (await bench.ask(reach, messages.ReachableAnswer)).reachable == (True,)
    draw = messages.RandomPoint(map="room", count=50, around=(1, 0, 1), radius_cells=2, format="lists")
    points = (await bench.ask(draw, messages.PlacesAnswer)).cells
    assert isinstance(points, tuple)
    for x, _, z in points:
        assert x is not None
        assert z is not None
        assert math.hypot(x - 1, z - 1) <= 2.001
        assert x <= 4
    picture = await bench.ask(messages.Preview(map="room", path="1,1;9,1"), messages.Previewed)
    assert picture.data.startswith(b"\x89PNG")
