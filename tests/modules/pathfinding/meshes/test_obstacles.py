"""Doors that shut and ground that is cut away."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.clock import Deadline, SystemClock
from app.core.errors import Invalid
from app.modules.pathfinding.grounds import Wish
from app.modules.pathfinding.meshes import obstacles, queries
from app.modules.pathfinding.meshes.graph import FOUND, UNREACHABLE, Prepared
from app.modules.pathfinding.meshes.prepare import prepare, with_sights
from app.modules.pathfinding.polygons import MeshGround
from app.modules.pathfinding.settings import Settings
from tests.modules.pathfinding.meshes.test_search import ANYONE, find, points, walked
from tests.modules.pathfinding.meshes.twin import mesh_of, unpinched


def inside(outline: obstacles.Outline, x: float, y: float) -> float:
    """How deep a point lies in an outline; negative outside."""
    ring = [*outline.corners, outline.corners[0]]
    return min(((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / math.dist(a, b) for a, b in pairwise(ring))


def outlines_of(mesh: Prepared, random: np.random.Generator) -> list[obstacles.Outline]:
    """One to three circles and turned boxes, wherever they fall."""
    outlines = []
    for _ in range(int(random.integers(1, 4))):
        center = (float(random.uniform(0, 6)), float(random.uniform(0, 5)), 0.0)
        if random.random() < 0.5:
            outlines.append(obstacles.circle(mesh, center, float(random.uniform(0.1, 0.8)), 1.0, 0.1))
        else:
            half = (float(random.uniform(0.1, 0.8)), float(random.uniform(0.1, 0.8)), 1.0)
            outlines.append(obstacles.box(mesh, center, half, float(random.uniform(0, 3)), 0.1))
    return outlines


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_paths_go_around_what_is_cut_out_and_only_there(seed: int) -> None:
    random = np.random.default_rng(seed)
    free = unpinched((random.random((5, 6)) > 0.15).astype(np.int32))
    if free.sum() == 0:
        return
    mesh = prepare(mesh_of(free, triangles=bool(random.integers(2))), ANYONE)
    outlines = outlines_of(mesh, random)
    cut = obstacles.cut(mesh, tuple(outlines))
    drawn = queries.random_points(mesh, 40, 1)
    standing = np.array([max(inside(o, x, y) for o in outlines) < -1e-3 for x, y, _ in drawn.tolist()])
    # The ground left is what was there, less the outlines.
    on = queries.nearest_points(cut, drawn, 1e-3)[1] >= 0
    assert on[standing].all()
    deep = np.array([max(inside(o, x, y) for o in outlines) > 2e-3 for x, y, _ in drawn.tolist()])
    assert not on[deep].any()
    places = drawn[standing]
    half = len(places) // 2
    if half == 0:
        return
    before = find(mesh, places[:half], places[half : 2 * half])
    after = find(cut, places[:half], places[half : 2 * half])
    for query in range(half):
        if after.status[query] != FOUND:
            continue
        assert after.cost[query] >= before.cost[query] - 1e-4
        path = np.array(walked(after, query, 2))
        for a, b in pairwise(path):
            for share in np.linspace(0.0, 1.0, 9):
                x, y = a + share * (b - a)
                assert max(inside(o, float(x), float(y)) for o in outlines) < 1e-3


def test_a_crate_in_a_room_is_walked_around_and_taken_away_again() -> None:
    mesh = prepare(mesh_of(np.ones((4, 4), np.int32), triangles=True), ANYONE)
    crate = obstacles.box(mesh, (2.0, 2.0, 0.0), (0.5, 0.5, 1.0), 0.0, 0.25)
    start, goal = points([(0.5, 2.0)]), points([(3.5, 2.0)])
    assert find(mesh, start, goal).cost[0] == pytest.approx(3.0)
    around = 2.0 * math.hypot(0.75, 0.75) + 1.5
    assert find(obstacles.cut(mesh, (crate,)), start, goal).cost[0] == pytest.approx(around, rel=1e-6)
    assert obstacles.cut(mesh, ()) is mesh


def test_a_crate_on_another_storey_is_in_nobodys_way() -> None:
    mesh = prepare(mesh_of(np.ones((4, 4), np.int32), triangles=True), ANYONE)
    assert obstacles.cut(mesh, (obstacles.box(mesh, (2.0, 2.0, 9.0), (0.5, 0.5, 1.0), 0.0, 0.25),)) is mesh


def test_a_shut_door_parts_two_rooms_until_it_opens() -> None:
    mesh = prepare(mesh_of(np.array([[1, 0, 1], [1, 2, 1]]), triangles=False), ANYONE, np.array([3], np.int32))
    start, goal = points([(0.5, 0.5)]), points([(2.5, 0.5)])
    door = np.array([3], np.int32)
    shut = obstacles.shut(mesh, door, closed=True)
    assert find(mesh, start, goal).status[0] == FOUND
    assert find(shut, start, goal).status[0] == UNREACHABLE
    assert find(obstacles.shut(shut, door, closed=False), start, goal).status[0] == FOUND


def test_a_polygon_that_is_no_door_is_refused() -> None:
    mesh = prepare(mesh_of(np.ones((2, 2), np.int32), triangles=False), ANYONE)
    with pytest.raises(Invalid, match="polygon 0 is no door"):
        obstacles.shut(mesh, np.array([0], np.int32), closed=True)
    with pytest.raises(Invalid, match=r"a circle of radius -1\.0"):
        obstacles.circle(mesh, (0.0, 0.0, 0.0), -1.0, 1.0, 0.0)


def test_sights_that_miss_a_corner_are_not_trusted() -> None:
    """Cutting at odd angles leaves slivers, as some exports have them; here sights alone find a longer way."""
    random = np.random.default_rng(125)
    free = unpinched((random.random((5, 6)) > 0.15).astype(np.int32))
    mesh = prepare(mesh_of(free, triangles=bool(random.integers(2))), ANYONE)
    outlines = outlines_of(mesh, random)
    cut = obstacles.cut(mesh, tuple(outlines))
    drawn = queries.random_points(cut, 256, 1)
    starts, goals = drawn[::2].copy(), drawn[1::2].copy()
    ground = MeshGround(with_sights(cut), ANYONE, Settings())
    ground.refine(Settings())
    soon = Deadline.after_ms(60_000, SystemClock())
    found = ground.find(starts, goals, Wish(math.inf, False, 1.0, False, 10**6, 256), soon)
    np.testing.assert_allclose(found.cost, find(cut, starts, goals).cost, rtol=1e-9)
