"""Paths over navmeshes against their slow twin, over random meshes with holes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.modules.pathfinding.meshes import queries, search
from app.modules.pathfinding.meshes.graph import (
    BLIND,
    FOUND,
    INVALID,
    OVER_BUDGET,
    PARTIAL,
    UNREACHABLE,
    Answers,
    Prepared,
)
from app.modules.pathfinding.meshes.prepare import prepare
from app.modules.pathfinding.surfaces import AgentClass, Link, Mesh
from tests.modules.pathfinding.meshes.twin import GROUND, Twin, mesh_of, unpinched

SHEARS = ((1, 0, 0, 1), (3, 1, 1, 2), (1, 0, 2, 1), (-2, 1, 0, 3))
ANYONE = AgentClass()


def points(rows: list[tuple[float, float]], up: int = 2) -> np.ndarray:
    placed = np.zeros((len(rows), 3), np.float32)
    placed[:, [axis for axis in range(3) if axis != up]] = np.array(rows, np.float32).reshape(-1, 2)
    return placed


def find(
    prepared: Prepared, starts: np.ndarray, goals: np.ndarray, *, max_cost: float = math.inf, partial: bool = False,
    expansions_max: int = 10**6, snap: float = 0.01,
) -> Answers:  # fmt: skip
    return search.answers(prepared, starts, goals, max_cost, partial, expansions_max, snap)


@st.composite
def meshes(draw: st.DrawFn) -> tuple[np.ndarray, Mesh, np.ndarray]:
    """Free cells, the mesh of them, and points in it: inside, on edges and on corners."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = int(random.integers(1, 6)), int(random.integers(1, 7))
    free = (random.random((height, width)) > random.choice([0.0, 0.15, 0.3, 0.45])).astype(np.int32)
    free[0, 0] = 1
    free = unpinched(free)
    a, b, c, d = shear = SHEARS[draw(st.integers(0, len(SHEARS) - 1))]
    cells = np.argwhere(free > 0)[random.integers(0, int(free.sum()), 12)][:, ::-1]
    inside = cells + random.choice([0.0, 0.25, 0.5, 0.5, 0.625, 1.0], (12, 2))
    places = np.column_stack([a * inside[:, 0] + b * inside[:, 1], c * inside[:, 0] + d * inside[:, 1]])
    up = draw(st.sampled_from([1, 2]))
    return free, mesh_of(free, triangles=draw(st.booleans()), shear=shear, up=up), points(places.tolist(), up)


def walked(answers: Answers, query: int, up: int) -> list[tuple[float, float]]:
    rows = answers.waypoints[answers.offsets[query] : answers.offsets[query + 1]]
    return [(float(u), float(v)) for u, v in rows[:, [axis for axis in range(3) if axis != up]]]


@settings(max_examples=80, deadline=None)
@given(case=meshes())
def test_every_path_lies_on_the_mesh_and_is_as_short_as_the_twins(case: tuple[np.ndarray, Mesh, np.ndarray]) -> None:
    _, mesh, places = case
    twin = Twin(mesh)
    prepared = prepare(mesh, ANYONE)
    starts, goals = places[:4], places[4:8]
    answers = find(prepared, starts, goals)
    blind = find(prepared._replace(sights=BLIND), starts, goals)
    np.testing.assert_array_equal(answers.status, blind.status)
    np.testing.assert_allclose(answers.cost, blind.cost, rtol=1e-9)
    plane = [axis for axis in range(3) if axis != mesh.up]
    for query in range(4):
        start, goal = tuple(starts[query, plane].tolist()), tuple(goals[query, plane].tolist())
        expected = twin.shortest(start, goal)
        assert answers.status[query] == (FOUND if expected < math.inf else UNREACHABLE)
        for some in (answers, blind):
            path = walked(some, query, mesh.up)
            if expected == math.inf:
                assert path == []
                continue
            assert (path[0], path[-1]) == (start, goal)
            assert some.cost[query] == pytest.approx(expected, rel=1e-9, abs=1e-9)
            assert sum(math.dist(a, b) for a, b in pairwise(path)) == pytest.approx(expected, rel=1e-6)
            assert all(twin.sees(a, b) for a, b in pairwise(path))


@settings(max_examples=60, deadline=None)
@given(case=meshes())
def test_a_ray_reaches_its_end_exactly_where_the_twin_sees_it(case: tuple[np.ndarray, Mesh, np.ndarray]) -> None:
    _, mesh, places = case
    twin, prepared = Twin(mesh), prepare(mesh, ANYONE)
    shares, ends = queries.raycast(prepared, places[:6], places[6:], 0.01)
    plane = [axis for axis in range(3) if axis != mesh.up]
    for a, b, share, end in zip(places[:6, plane].tolist(), places[6:, plane].tolist(), shares, ends, strict=True):
        if share == 1.0:
            assert twin.sees(tuple(a), tuple(b))
        elif not any(v[0] == a[0] and v[1] == a[1] for v in twin.points):
            np.testing.assert_allclose(end[plane], np.array(a) + share * (np.array(b) - a), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(case=meshes(), seed=st.integers(0, 2**32))
def test_random_points_lie_on_the_mesh_and_repeat(case: tuple[np.ndarray, Mesh, np.ndarray], seed: int) -> None:
    _, mesh, places = case
    prepared = prepare(mesh, ANYONE)
    drawn = queries.random_points(prepared, 20, seed)
    np.testing.assert_array_equal(drawn, queries.random_points(prepared, 20, seed))
    assert (queries.nearest_points(prepared, drawn, 1e-4)[1] >= 0).all()
    center = tuple(places[0].tolist())
    near = queries.random_points(prepared, 20, seed, around=center, radius=1.0)
    assert (np.linalg.norm(near - places[0], axis=1) <= 1.0 + 1e-5).all()


@settings(max_examples=40, deadline=None)
@given(case=meshes())
def test_costs_by_area_lie_between_those_of_the_cheapest_and_the_dearest_ground(
    case: tuple[np.ndarray, Mesh, np.ndarray],
) -> None:
    _, mesh, places = case
    areas = np.where(np.arange(len(mesh.areas)) % 3 == 0, 2, 1).astype(np.int32)
    prepared = prepare(mesh._replace(areas=areas), ANYONE)
    answers = find(prepared, places[:6], places[6:])
    plain = find(prepare(mesh, ANYONE), places[:6], places[6:])
    np.testing.assert_array_equal(answers.status, plain.status)
    found = answers.status == FOUND
    assert (answers.cost[found] >= plain.cost[found] * (1.0 - 1e-5) - 1e-6).all()
    assert (answers.cost[found] <= plain.cost[found] * 3.0 * 1.01 + 1e-6).all()


def corridor() -> Mesh:
    return mesh_of(np.array([[1, 1, 1], [0, 0, 1], [1, 1, 1]]), triangles=False)


def test_parts_that_touch_at_a_corner_only_are_apart() -> None:
    prepared = prepare(mesh_of(np.array([[1, 0], [0, 1]]), triangles=True), ANYONE)
    assert find(prepared, points([(0.5, 0.5)]), points([(1.5, 1.5)])).status[0] == UNREACHABLE


def test_max_cost_is_inclusive_and_expansions_are_bounded() -> None:
    prepared = prepare(corridor(), ANYONE)
    start, goal = points([(0.5, 0.5)]), points([(0.5, 2.5)])
    cost = find(prepared, start, goal).cost[0]
    assert find(prepared, start, goal, max_cost=cost).status[0] == FOUND
    assert find(prepared, start, goal, max_cost=cost - 1e-6).status[0] == OVER_BUDGET
    assert find(prepared, start, goal, expansions_max=1).status[0] == OVER_BUDGET
    assert cost == pytest.approx(2.0 * math.hypot(1.5, 0.5) + 1.0)


def test_a_start_off_the_mesh_snaps_within_reach_and_is_invalid_beyond() -> None:
    prepared = prepare(corridor(), ANYONE)
    starts = points([(-0.2, 0.5), (-0.6, 0.5), (math.nan, 0.5)])
    answers = find(prepared, starts, points([(2.5, 0.5)] * 3), snap=0.5)
    assert answers.status.tolist() == [FOUND, INVALID, INVALID]
    assert walked(answers, 0, 2)[0] == (0.0, 0.5)


def test_a_goal_out_of_reach_is_unreachable_or_partial() -> None:
    prepared = prepare(mesh_of(np.array([[1, 0, 1]]), triangles=True), ANYONE)
    start, goal = points([(0.5, 0.5)]), points([(2.5, 0.5)])
    assert find(prepared, start, goal).status[0] == UNREACHABLE
    assert not queries.reachable(prepared, start, goal, 0.1)[0]
    answers = find(prepared, start, goal, partial=True)
    assert (answers.status[0], walked(answers, 0, 2)) == (PARTIAL, [(0.5, 0.5), (1.0, 0.5)])


def test_a_one_way_link_is_walked_as_a_pair_of_waypoints_and_never_back() -> None:
    mesh = mesh_of(np.array([[1, 0, 1]]), triangles=False)
    prepared = prepare(mesh._replace(links=(Link((0.75, 0.5, 0.0), (2.25, 0.5, 0.0), 4.0, one_way=True),)), ANYONE)
    left, right = points([(0.25, 0.5)]), points([(2.75, 0.5)])
    answers = find(prepared, left, right)
    assert (answers.status[0], answers.cost[0]) == (FOUND, pytest.approx(5.0))
    assert walked(answers, 0, 2) == [(0.25, 0.5), (0.75, 0.5), (2.25, 0.5), (2.75, 0.5)]
    assert find(prepared, right, left).status[0] == UNREACHABLE
    assert queries.reachable(prepared, left, right, 0.1)[0]
    assert not queries.reachable(prepared, right, left, 0.1)[0]


def test_a_cheap_way_around_is_taken_and_forbidden_ground_never() -> None:
    free = np.array([[1, 2, 1], [1, 1, 1]])
    mesh = mesh_of(free, triangles=False)
    start, goal = points([(0.5, 0.5)]), points([(2.5, 0.5)])
    around = 2.0 * math.hypot(0.5, 0.5) + 1.0
    assert find(prepare(mesh, ANYONE), start, goal).cost[0] == pytest.approx(around, rel=1e-3)
    light = AgentClass(costs={"mud": 1.0})
    assert find(prepare(mesh, light), start, goal).cost[0] == pytest.approx(2.0)
    barred = AgentClass(forbidden=("mud",))
    assert find(prepare(mesh, barred), start, goal).cost[0] == pytest.approx(around)


def test_two_storeys_are_told_apart_by_height() -> None:
    flat = mesh_of(np.array([[1, 1]]), triangles=False, up=1)
    upper = flat.vertices + np.array([0.0, 3.0, 0.0], np.float32)
    count = len(flat.vertices)
    both = Mesh(
        np.vstack([flat.vertices, upper]), np.array([0, 6, 12], np.int32),
        np.concatenate([flat.corners, flat.corners + count]).astype(np.int32), np.array([1, 1], np.int32), GROUND,
    )  # fmt: skip
    prepared = prepare(both, ANYONE)
    start = np.array([[0.5, 0.1, 0.5]] * 2, np.float32)
    goal = np.array([[1.5, 0.0, 0.5], [1.5, 2.9, 0.5]], np.float32)
    answers = find(prepared, start, goal, snap=0.5)
    assert answers.status.tolist() == [FOUND, UNREACHABLE]
    assert find(prepared, goal[1:], goal[1:], snap=0.5).waypoints[0, 1] == pytest.approx(3.0)


def test_slivers_and_repeated_corners_do_no_harm() -> None:
    vertices = np.array([[0, 0, 0], [2, 0, 0], [4, 0, 0], [4, 2, 0], [0, 2, 0], [0, -2, 0], [4, -2, 0]], np.float32)
    first = np.array([0, 4, 7, 11, 14], np.int32)
    corners = np.array([0, 2, 3, 4, 0, 1, 2, 5, 6, 2, 1, 5, 1, 0], np.int32)
    mesh = Mesh(vertices, first, corners, np.ones(4, np.int32), GROUND, (), 2)
    answers = find(prepare(mesh, ANYONE), points([(1.0, 1.0)]), points([(3.0, -1.0)]))
    assert (answers.status[0], answers.cost[0]) == (FOUND, pytest.approx(math.hypot(2.0, 2.0)))


def test_a_batch_answers_as_its_queries_do_alone_and_again() -> None:
    random = np.random.default_rng(3)
    prepared = prepare(mesh_of((random.random((12, 12)) > 0.25).astype(np.int32), triangles=True), ANYONE)
    drawn = queries.random_points(prepared, 80, 5)
    first, again = find(prepared, drawn[:40], drawn[40:]), find(prepared, drawn[:40], drawn[40:])
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    for query in range(0, 40, 7):
        alone = find(prepared, drawn[query : query + 1], drawn[40 + query : 41 + query])
        assert walked(alone, 0, 2) == walked(first, query, 2)


def test_a_mesh_without_ground_answers_invalid() -> None:
    mesh = mesh_of(np.array([[1]]), triangles=False)._replace(areas=np.zeros(1, np.int32))
    assert find(prepare(mesh, ANYONE), points([(0.5, 0.5)]), points([(0.5, 0.5)])).status[0] == INVALID


def test_a_polygon_that_is_not_convex_is_refused_with_its_number() -> None:
    vertices = np.array([[0, 0, 0], [4, 0, 0], [1, 1, 0], [0, 4, 0]], np.float32)
    mesh = Mesh(vertices, np.array([0, 4], np.int32), np.arange(4, dtype=np.int32), np.ones(1, np.int32), GROUND, (), 2)
    with pytest.raises(Invalid, match="polygon 0 of the mesh is not convex"):
        prepare(mesh, ANYONE)
