"""What fields say at points, and where agents flee, over random maps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.modules.pathfinding.grids import fields, flee, flow
from app.modules.pathfinding.grids.subgoals import DX, DY, STRAIGHT
from tests.modules.pathfinding.grids.test_fields import SEEDS, Ground, built, drawn_goals, ground_of


def middle(ground: Ground, cell: int) -> tuple[float, float]:
    return cell % ground.stride - 0.5, cell // ground.stride - 0.5


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS)
def test_no_direction_leads_out_of_a_cell_into_a_wall(seed: int) -> None:
    ground = ground_of(seed, weighted=bool(seed % 2))
    random = np.random.default_rng(seed)
    field = built(ground, drawn_goals(ground, random))
    rows = ground.free.size // ground.stride
    points = (random.random((64, 2)) * (ground.stride - 2, rows - 2)).astype(np.float32)
    directions, _ = flow.sample(field, points)
    for (x, y), (dx, dy) in zip(points.astype(float).tolist(), directions.astype(float).tolist(), strict=True):
        cell = (int(y) + 1) * ground.stride + int(x) + 1
        if not ground.free[cell]:
            assert (dx, dy) == (0.0, 0.0)
            continue
        at_x, at_y = x, y
        while (dx or dy) and (math.floor(at_x), math.floor(at_y)) == (int(x), int(y)):
            at_x, at_y = at_x + 1e-3 * dx, at_y + 1e-3 * dy
        assert ground.free[(math.floor(at_y) + 1) * ground.stride + math.floor(at_x) + 1]


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_the_middle_of_a_cell_has_its_own_direction_and_distance(seed: int) -> None:
    ground = ground_of(seed, weighted=bool(seed % 2))
    field = built(ground, drawn_goals(ground, np.random.default_rng(seed)))
    cells = ground.cells()
    points = np.array([middle(ground, cell) for cell in cells.tolist()], np.float32).reshape(-1, 2)
    directions, distances = flow.sample(field, points)
    for cell, direction, distance in zip(cells.tolist(), directions, distances, strict=True):
        assert distance == pytest.approx(field.reach[cell] / STRAIGHT, rel=1e-6)
        way = field.flow[cell]
        own = (DX[way], DY[way]) if way != fields.NONE else (0, 0)
        np.testing.assert_allclose(direction, np.array(own) / max(math.hypot(*own), 1), atol=1e-5)


def open_field() -> fields.Field:
    """Seven by seven free cells with a goal in the middle."""
    free = np.pad(np.ones((7, 7), np.uint8), 1)
    return fields.build(free.ravel(), fields.UNIFORM, 9, np.array([4 * 9 + 4], np.int32))


def test_between_cells_directions_are_blended_and_stay_unit_vectors() -> None:
    directions, _ = flow.sample(open_field(), np.array([[0.5, 0.5], [0.5, 0.9], [0.5, 1.5]], np.float32))
    np.testing.assert_allclose(np.hypot(*directions.T), 1.0, rtol=1e-6)
    assert directions[0, 1] > directions[1, 1] > directions[2, 1] == 0.0


def test_points_outside_the_map_and_not_numbers_are_not_reached() -> None:
    points = np.array([[-0.1, 0], [7, 0], [0, 7], [math.nan, 0], [math.inf, 0], [1e30, 0]], np.float32)
    directions, distances = flow.sample(open_field(), points)
    assert not directions.any()
    assert np.isinf(distances).all()


def test_packed_directions_are_two_bytes() -> None:
    small = flow.packed(np.array([[1.0, 0.0], [-(0.5**0.5), 0.5**0.5]], np.float32))
    assert (small.dtype, small.tolist()) == (np.int8, [[127, 0], [-90, 90]])


@pytest.mark.parametrize("weighted", [False, True])
@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_agents_flee_where_the_twin_does_and_no_threat_is_there_first(weighted: bool, seed: int) -> None:
    ground = ground_of(seed, weighted=weighted)
    if weighted:  # few values, so that the twin's sums and ours are ordered alike
        ground = ground._replace(cost=np.random.default_rng(seed).choice([1, 2, 4], ground.free.size).astype("f4"))
    cells = ground.cells()
    if not cells.size:
        return
    random = np.random.default_rng(seed)
    threats = random.choice(cells, random.integers(1, 4)).astype(np.int32)
    agents = random.choice(cells, 5).astype(np.int32)
    radius, sight = float(random.integers(1, 12)), float(random.choice([3.0, 100.0]))
    found = flee.flee(
        ground.free, ground.cost, ground.stride, threats, agents, radius=radius, sight=sight, steps=4
    )  # fmt: skip
    danger = ground.distances(dict.fromkeys(threats.tolist(), 0.0), within=sight + 1e-6)
    for index, agent in enumerate(agents.tolist()):
        walked = flood(ground, agent, danger, radius)

        def rank(cell: int) -> tuple[float, float, int]:
            straight = min(
                (cell % ground.stride - t % ground.stride) ** 2 + (cell // ground.stride - t // ground.stride) ** 2
                for t in threats.tolist()
            )
            return (-round(min(danger[cell], sight), 6), -straight, cell)

        target = min(walked, key=rank)
        assert found.targets[index] == target
        assert found.away[index] == pytest.approx(min(danger[target], sight), rel=1e-6)
        assert found.length[index] == pytest.approx(walked[target], rel=1e-6)
        check_path(ground, agent, target, found.paths[index].tolist(), danger, walked)


def flood(ground: Ground, agent: int, danger: np.ndarray, radius: float) -> dict[int, float]:
    """The slow twin: what the agent reaches within the radius before every threat, and how far it is."""
    walked = {agent: 0.0}
    changed = True
    while changed:
        changed = False
        for cell, here in list(walked.items()):
            for _, to, cost in ground.steps(cell):
                there = here + cost
                first = there < danger[to] - 1e-6 and there <= radius + 1e-6
                if first and there < walked.get(to, math.inf) - 1e-6:
                    walked[to] = there
                    changed = True
    return walked


def check_path(
    ground: Ground, agent: int, target: int, path: list[int], danger: np.ndarray, walked: dict[int, float]
) -> None:
    """The first steps are legal and shortest, ahead of the threats, and stop at the target."""
    cell, here = agent, 0.0
    for to in path:
        if to == -1:
            assert cell == target
            continue
        here += next(cost for _, other, cost in ground.steps(cell) if other == to)
        assert here == pytest.approx(walked[to], rel=1e-6)
        assert here < danger[to]
        cell = to


def test_an_agent_in_a_dead_end_does_not_run_past_the_threat() -> None:
    free = np.pad(np.ones((1, 9), np.uint8), 1).ravel()
    found = flee.flee(
        free, fields.UNIFORM, 11, np.array([11 + 5], np.int32), np.array([11 + 3, 11 + 6], np.int32),
        radius=8, sight=50, steps=3,
    )  # fmt: skip
    assert found.targets.tolist() == [11 + 1, 11 + 9]
    assert found.paths.tolist() == [[13, 12, -1], [18, 19, 20]]


def test_an_agent_on_a_blocked_cell_flees_nowhere_and_bad_radii_are_refused() -> None:
    free = np.pad(np.ones((3, 3), np.uint8), 1).ravel()
    threats, agents = np.array([6], np.int32), np.array([0], np.int32)
    found = flee.flee(free, fields.UNIFORM, 5, threats, agents, radius=3, sight=9, steps=2)
    assert (found.targets.tolist(), found.paths.tolist()) == ([-1], [[-1, -1]])
    assert math.isnan(found.away[0])
    for radius, sight in ((0.0, 9.0), (math.inf, 9.0), (math.nan, 9.0), (3.0, math.nan)):
        with pytest.raises(Invalid, match="a flight within"):
            flee.flee(free, fields.UNIFORM, 5, threats, agents, radius=radius, sight=sight, steps=2)
    with pytest.raises(Invalid, match="outside the map"):
        flee.flee(free, fields.UNIFORM, 5, threats, np.array([25], np.int32), radius=3, sight=9, steps=2)


@given(count=st.integers(1, 8))
@settings(max_examples=5, deadline=None)
def test_a_batch_flees_as_each_agent_does_alone(count: int) -> None:
    ground = ground_of(11, weighted=False)
    cells = ground.cells()
    threats, agents = cells[:2], np.random.default_rng(count).choice(cells, count).astype(np.int32)

    def ask(some: np.ndarray) -> flee.Flights:
        return flee.flee(ground.free, ground.cost, ground.stride, threats, some, radius=9, sight=40, steps=5)

    together, alone = ask(agents), [ask(agents[i : i + 1]) for i in range(count)]
    assert together.targets.tolist() == [one.targets[0] for one in alone]
    assert together.paths.tolist() == [one.paths[0].tolist() for one in alone]


def test_a_long_flight_over_open_ground_ends_in_the_farthest_corner() -> None:
    free = np.pad(np.ones((120, 120), np.uint8), 1).ravel()
    threat, agent = np.array([122 * 2 + 2], np.int32), np.array([122 * 20 + 20], np.int32)
    found = flee.flee(free, fields.UNIFORM, 122, threat, agent, radius=500, sight=500, steps=200)
    assert found.targets[0] == 122 * 120 + 120
    assert found.length[0] == pytest.approx(100 * math.sqrt(2), rel=1e-6)
    assert (found.paths[0] >= 0).sum() == 100
