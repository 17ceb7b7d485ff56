"""Weighted ground against its slow twin, over random fields, links and changes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.modules.pathfinding.grids import costs, weighted
from app.modules.pathfinding.grids.graph import F32, U8, Answers
from app.modules.pathfinding.grids.overlay import Weighted
from app.modules.pathfinding.messages import STATUSES
from tests.modules.pathfinding.grids import weighted_twin as twin

seeds = st.integers(0, 2**32 - 1)


def random_field(random: np.random.Generator, *, side_max: int = 56) -> twin.Field:
    """Ground of random costs with walls, noise or neither."""
    height, width = int(random.integers(1, side_max)), int(random.integers(1, side_max))
    low, high = [(1.0, 9.0), (0.05, 1_000.0), (3.0, 3.0)][random.integers(3)]
    field = random.uniform(low, high, (height, width)).astype(np.float32).astype(float)
    field[random.random((height, width)) < random.choice([0.0, 0.1, 0.35])] = math.inf
    for _ in range(random.integers(0, 4)):
        field[random.integers(height), random.random(width) > 0.1] = math.inf
        field[random.random(height) > 0.1, random.integers(width)] = math.inf
    return field


def flat(field: twin.Field) -> tuple[U8, F32, int]:
    """The bordered arrays of a field, and their stride."""
    bordered = np.pad(field, 1, constant_values=math.inf)
    free = np.isfinite(bordered)
    return free.astype(np.uint8).ravel(), np.where(free, bordered, 1.0).astype(np.float32).ravel(), bordered.shape[1]


def random_links(random: np.random.Generator, field: twin.Field, count: int) -> list[twin.Link]:
    links: list[twin.Link] = []
    for _ in range(count):
        ends = [(int(random.integers(field.shape[1])), int(random.integers(field.shape[0]))) for _ in range(2)]
        if ends[0] != ends[1]:
            links.append((ends[0], ends[1], float(random.uniform(0.05, 60.0)), bool(random.integers(2))))
    return links


def prepare(field: twin.Field, links: list[twin.Link]) -> Weighted:
    free, cost, stride = flat(field)
    ends = np.array([[(y + 1) * stride + x + 1 for x, y in link[:2]] for link in links], np.int32).reshape(-1, 2)
    return costs.prepare(
        free, cost, stride,
        links=costs.Links(
            np.ascontiguousarray(ends[:, 0]), np.ascontiguousarray(ends[:, 1]),
            np.array([link[2] for link in links], np.float64), np.array([link[3] for link in links], np.uint8),
        ),
    )  # fmt: skip


def find(
    prepared: Weighted, pairs: list[tuple[twin.Cell, twin.Cell]], *, weight: float = math.inf, exact: bool = False,
    max_cost: float = math.inf, partial: bool = False, expansions_max: int = 10**6,
) -> tuple[Answers, U8, F32]:  # fmt: skip
    cells = np.array(pairs, np.int16).reshape(-1, 4)
    return weighted.find_paths(
        prepared, np.ascontiguousarray(cells[:, :2]), np.ascontiguousarray(cells[:, 2:]), max_cost=max_cost,
        partial=partial, weight=weight, expansions_max=expansions_max, exact=exact,
    )  # fmt: skip


def free_cells(field: twin.Field) -> list[twin.Cell]:
    return [(int(x), int(y)) for y, x in np.argwhere(np.isfinite(field))]


def random_pairs(random: np.random.Generator, field: twin.Field, count: int) -> list[tuple[twin.Cell, twin.Cell]]:
    cells = free_cells(field)
    return [(cells[a], cells[b]) for a, b in random.integers(0, len(cells), (count, 2))] if cells else []


def waypoints(answers: Answers, query: int) -> list[twin.Cell]:
    return [(x, y) for x, y in answers.waypoints[answers.offsets[query] : answers.offsets[query + 1]].tolist()]


def check(
    prepared: Weighted, field: twin.Field, links: list[twin.Link], pairs: list[tuple[twin.Cell, twin.Cell]],
    *, weight: float, exact: bool,
) -> None:  # fmt: skip
    """Every answer is as legal, cheap and honest as it says."""
    answers, rungs, bounds = find(prepared, pairs, weight=weight, exact=exact)
    for query, (start, goal) in enumerate(pairs):
        expected = twin.costs_from(field, links, start).get(goal)
        if expected is None:
            assert STATUSES[answers.status[query]] == "unreachable"
            continue
        path = waypoints(answers, query)
        assert STATUSES[answers.status[query]] == "found"
        assert (path[0], path[-1]) == (start, goal)
        assert twin.walk(field, links, path) == pytest.approx(answers.cost[query], rel=1e-9)
        assert answers.cost[query] >= expected * (1 - 1e-9)
        assert answers.cost[query] <= expected * float(bounds[query]) * (1 + 1e-6)
        if exact or rungs[query] == weighted.EXACT:
            assert answers.cost[query] == pytest.approx(expected, rel=1e-6)
        assert bounds[query] <= (1.0 if exact else weight) * (1 + 1e-6)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, links=st.sampled_from([0, 0, 3, 12]))
def test_exact_paths_cost_what_the_twins_do(seed: int, links: int) -> None:
    random = np.random.default_rng(seed)
    field = random_field(random)
    joined = random_links(random, field, links)
    check(prepare(field, joined), field, joined, random_pairs(random, field, 5), weight=1.0, exact=True)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, links=st.sampled_from([0, 0, 3, 12]), weight=st.sampled_from([1.01, 1.1, 2.0, 3.0, math.inf]))
def test_no_path_costs_more_than_its_weight_or_its_bound_allows(seed: int, links: int, weight: float) -> None:
    random = np.random.default_rng(seed)
    field = random_field(random, side_max=90)
    joined = random_links(random, field, links)
    pairs = random_pairs(random, field, 5)
    check(prepare(field, joined), field, joined, pairs, weight=weight, exact=False)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, links=st.sampled_from([0, 4]))
def test_a_repaired_grid_answers_as_a_fresh_one(seed: int, links: int) -> None:
    random = np.random.default_rng(seed)
    field = random_field(random, side_max=70)
    joined = random_links(random, field, links)
    prepared = prepare(field, joined)
    for _ in range(3):
        height, width = field.shape
        x, y = int(random.integers(width)), int(random.integers(height))
        wide, tall = int(random.integers(1, min(20, width - x) + 1)), int(random.integers(1, min(20, height - y) + 1))
        patch = random.uniform(1.0, 9.0, (tall, wide)).astype(np.float32).astype(float)
        patch[random.random((tall, wide)) < random.choice([0.0, 0.4, 1.0])] = math.inf
        field[y : y + tall, x : x + wide] = patch
        prepared = costs.repair(prepared, (x, y, wide, tall), *flat(field)[:2])
    pairs = random_pairs(random, field, 5)
    fresh = prepare(field, joined)
    assert (prepared.gates == fresh.gates).all()
    ours, theirs = find(prepared, pairs), find(fresh, pairs)
    np.testing.assert_array_equal(ours[0].status, theirs[0].status)
    check(prepared, field, joined, pairs, weight=1.0, exact=True)
    if prepared.landmarks_hold:
        check(prepared, field, joined, pairs, weight=1.2, exact=False)
    refreshed = costs.refresh(prepared)
    assert refreshed.landmarks_hold
    check(refreshed, field, joined, pairs, weight=1.2, exact=False)


def test_a_cheaper_cell_puts_landmarks_out_of_date_until_refreshed_and_a_dearer_one_does_not() -> None:
    field = np.full((100, 100), 5.0)
    prepared = prepare(field, [])
    field[50, 50] = 7.0
    prepared = costs.repair(prepared, (50, 50, 1, 1), *flat(field)[:2])
    assert prepared.landmarks_hold
    field[50, 50] = 2.0
    prepared = costs.repair(prepared, (50, 50, 1, 1), *flat(field)[:2])
    assert not prepared.landmarks_hold
    _, rungs, bounds = find(prepared, [((0, 0), (99, 99))])
    assert (rungs[0], bounds[0]) == (weighted.HIERARCHICAL, math.inf)
    field[50, 50] = 5.0
    assert costs.repair(prepared, (50, 50, 1, 1), *flat(field)[:2]).landmarks_hold


def test_a_door_shut_and_opened_again_leaves_landmarks_true() -> None:
    field = np.full((60, 60), 2.0)
    field[:, 30] = math.inf
    field[20, 30] = 2.0
    prepared = prepare(field, [])
    pair = [((0, 0), (59, 59))]
    open_cost = find(prepared, pair)[0].cost[0]
    field[20, 30] = math.inf
    prepared = costs.repair(prepared, (30, 20, 1, 1), *flat(field)[:2])
    assert STATUSES[find(prepared, pair)[0].status[0]] == "unreachable"
    field[20, 30] = 2.0
    prepared = costs.repair(prepared, (30, 20, 1, 1), *flat(field)[:2])
    assert prepared.landmarks_hold
    assert find(prepared, pair)[0].cost[0] == open_cost


@settings(max_examples=40, deadline=None)
@given(seed=seeds, links=st.sampled_from([0, 6]))
def test_a_partial_path_ends_at_the_nearest_cell_in_reach(seed: int, links: int) -> None:
    random = np.random.default_rng(seed)
    field = random_field(random, side_max=30)
    joined = random_links(random, field, links)
    cells = free_cells(field)
    if not cells:
        return
    start = cells[random.integers(len(cells))]
    goal = (int(random.integers(field.shape[1])), int(random.integers(field.shape[0])))
    answers, _, _ = find(prepare(field, joined), [(start, goal)], partial=True)
    reach = twin.costs_from(field, joined, start)
    nearest = min(reach, key=lambda cell: ((cell[0] - goal[0]) ** 2 + (cell[1] - goal[1]) ** 2, cell[1], cell[0]))
    assert waypoints(answers, 0)[-1] == nearest
    assert STATUSES[answers.status[0]] == ("found" if nearest == goal else "partial")


def test_waypoints_stand_at_turns_only() -> None:
    answers, _, _ = find(prepare(np.full((80, 120), 3.0), []), [((2, 2), (110, 60)), ((5, 5), (5, 70))])
    for query in range(2):
        path = np.array(waypoints(answers, query))
        ways = np.sign(np.diff(path, axis=0))
        assert (ways[1:] != ways[:-1]).any(axis=1).all()


def test_a_one_way_link_leads_one_way_and_stands_in_the_path() -> None:
    field = np.full((5, 60), 1.0)
    field[:, 30] = math.inf
    prepared = prepare(field, [((10, 2), (50, 2), 4.0, True)])
    answers, _, _ = find(prepared, [((0, 2), (59, 2)), ((59, 2), (0, 2))])
    assert [STATUSES[code] for code in answers.status] == ["found", "unreachable"]
    assert waypoints(answers, 0) == [(0, 2), (10, 2), (50, 2), (59, 2)]
    assert answers.cost[0] == pytest.approx(23.0)


def test_start_and_goal_on_one_cell_cost_nothing() -> None:
    answers, _, bounds = find(prepare(np.ones((3, 3)), []), [((1, 1), (1, 1))])
    assert (answers.cost[0], waypoints(answers, 0), bounds[0]) == (0.0, [(1, 1)], 1.0)


def test_cells_outside_and_blocked_starts_are_invalid() -> None:
    field = np.ones((1, 3))
    field[0, 1] = math.inf
    pairs = [((-1, 0), (0, 0)), ((0, 0), (3, 0)), ((0, 1), (0, 0)), ((1, 0), (0, 0)), ((0, 0), (32767, -32768))]
    assert [STATUSES[code] for code in find(prepare(field, []), pairs)[0].status] == ["invalid"] * 5


def test_max_cost_is_inclusive_and_expansions_are_bounded() -> None:
    field = np.random.default_rng(5).uniform(1.0, 9.0, (90, 90)).astype(np.float32).astype(float)
    prepared = prepare(field, [])
    pair = [((0, 0), (89, 89))]
    cost = float(find(prepared, pair, exact=True)[0].cost[0])
    assert STATUSES[find(prepared, pair, exact=True, max_cost=cost)[0].status[0]] == "found"
    answers, _, _ = find(prepared, pair, exact=True, max_cost=cost * 0.999)
    assert STATUSES[answers.status[0]] == "over_budget"
    assert math.isnan(answers.cost[0])
    assert STATUSES[find(prepared, pair, exact=True, expansions_max=5)[0].status[0]] == "over_budget"


def test_a_batch_answers_as_its_queries_do_alone_and_with_used_scratch() -> None:
    random = np.random.default_rng(3)
    field = random.uniform(1.0, 9.0, (90, 90))
    prepared = prepare(field, [])
    pairs = random_pairs(random, field, 40)
    first, again = find(prepared, pairs), find(prepared, pairs)
    for one, other in zip(first[0], again[0], strict=True):
        np.testing.assert_array_equal(one, other)
    for query in range(0, 40, 9):
        assert waypoints(find(prepared, [pairs[query]])[0], 0) == waypoints(first[0], query)


def test_bad_input_is_told_and_changes_nothing() -> None:
    free, cost, stride = flat(np.full((4, 4), 2.0))
    prepared = costs.prepare(free, cost, stride)
    with pytest.raises(Invalid, match=r"costs 0\.0"):
        costs.repair(prepared, (0, 0, 2, 2), free, np.zeros_like(cost))
    with pytest.raises(Invalid, match="does not lie on the map"):
        costs.repair(prepared, (3, 3, 2, 2), free, cost)
    assert (prepared.cost == cost).all()
    with pytest.raises(Invalid, match="costs nan"):
        costs.prepare(free, np.full_like(cost, np.nan), stride)
    with pytest.raises(Invalid, match="no bordered grid"):
        costs.prepare(free, cost, stride + 1)
    with pytest.raises(Invalid, match="not 0 all around"):
        costs.prepare(np.ones_like(free), cost, stride)
    with pytest.raises(Invalid, match="free is int64"):
        costs.prepare(free.astype(np.int64), cost, stride)
    with pytest.raises(Invalid, match="link 0 leads"):
        costs.prepare(free, cost, stride, links=costs.Links(*(np.ones(1, a.dtype) for a in costs.NO_LINKS)))
    with pytest.raises(Invalid, match=r"weight is 0\.5"):
        find(prepared, [((0, 0), (1, 1))], weight=0.5)


def test_preparation_tells_how_far_it_is() -> None:
    free, cost, stride = flat(np.full((40, 300), 2.0))
    told: list[tuple[int, int]] = []
    costs.prepare(free, cost, stride, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
