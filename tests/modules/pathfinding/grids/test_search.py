"""The compiled search against its slow twin, over random maps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.modules.pathfinding.grids import labels, search, subgoals
from app.modules.pathfinding.grids.graph import Answers, Graph
from app.modules.pathfinding.messages import STATUSES
from tests.modules.pathfinding.grids import twin


def graph_of(rows: twin.Rows) -> Graph:
    return subgoals.prepare(np.pad(np.array([[letter == "." for letter in row] for row in rows], np.uint8), 1))


def find(
    rows: twin.Rows,
    pairs: list[tuple[twin.Cell, twin.Cell]],
    *,
    max_cost: float = math.inf,
    partial: bool = False,
    expansions_max: int = 10**6,
) -> Answers:
    cells = np.array(pairs, np.int16).reshape(-1, 4)
    starts, goals = np.ascontiguousarray(cells[:, :2]), np.ascontiguousarray(cells[:, 2:])
    return search.answers(graph_of(rows), starts, goals, max_cost, partial, expansions_max)


def waypoints(answers: Answers, query: int) -> list[twin.Cell]:
    rows = answers.waypoints[answers.offsets[query] : answers.offsets[query + 1]].tolist()
    return [(x, y) for x, y in rows]


def status(answers: Answers) -> list[str]:
    return [STATUSES[code] for code in answers.status]


def free_cells(rows: twin.Rows) -> list[twin.Cell]:
    return [(x, y) for y, row in enumerate(rows) for x, letter in enumerate(row) if letter == "."]


@st.composite
def maps(draw: st.DrawFn) -> twin.Rows:
    """Noise, rooms with doors, or scattered blocks: what corners are made of."""
    width, height = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    seed, kind = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from(["noise", "blocks", "rooms"]))
    random = np.random.default_rng(seed)
    if kind == "noise":
        free = random.random((height, width)) > random.choice([0.05, 0.2, 0.35, 0.5])
    else:
        free = np.ones((height, width), bool)
        for _ in range(random.integers(1, 12)):
            y, x = random.integers(height), random.integers(width)
            if kind == "blocks":
                free[y : y + random.integers(1, 6), x : x + random.integers(1, 6)] = False
            elif random.random() < 0.5:
                free[y, :] = random.random(width) < 0.15
            else:
                free[:, x] = random.random(height) < 0.15
    return ["".join(".@"[not cell] for cell in row) for row in free]


@settings(max_examples=250, deadline=None)
@given(rows=maps(), seed=st.integers(0, 2**32 - 1))
def test_every_path_is_legal_and_as_short_as_the_twins(rows: twin.Rows, seed: int) -> None:
    cells = free_cells(rows)
    if not cells:
        return
    random = np.random.default_rng(seed)
    pairs = [(cells[a], cells[b]) for a, b in random.integers(0, len(cells), (8, 2))]
    answers = find(rows, pairs)
    for query, (start, goal) in enumerate(pairs):
        expected = twin.shortest(rows, start, goal)
        if expected is None:
            assert status(answers)[query] == "unreachable"
            assert math.isnan(answers.cost[query])
            assert waypoints(answers, query) == []
            continue
        path = waypoints(answers, query)
        assert status(answers)[query] == "found"
        assert (path[0], path[-1]) == (start, goal)
        assert answers.cost[query] == pytest.approx(expected, abs=1e-9)
        assert twin.walk(rows, path) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(rows=maps(), seed=st.integers(0, 2**32 - 1))
def test_a_partial_path_ends_at_the_nearest_cell_in_reach(rows: twin.Rows, seed: int) -> None:
    cells = free_cells(rows)
    if not cells:
        return
    random = np.random.default_rng(seed)
    start = cells[random.integers(len(cells))]
    goal = (int(random.integers(len(rows[0]))), int(random.integers(len(rows))))
    answers = find(rows, [(start, goal)], partial=True)
    reach = [cell for cell in cells if twin.shortest(rows, start, cell) is not None]
    nearest = min(reach, key=lambda cell: ((cell[0] - goal[0]) ** 2 + (cell[1] - goal[1]) ** 2, cell[1], cell[0]))
    assert waypoints(answers, 0)[-1] == nearest
    assert status(answers) == ["found" if nearest == goal else "partial"]
    assert answers.cost[0] == pytest.approx(twin.shortest(rows, start, nearest), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(rows=maps())
def test_regions_are_what_can_be_walked(rows: twin.Rows) -> None:
    graph = graph_of(rows)
    grid = graph.labels.reshape(-1, graph.stride)[1:-1, 1:-1]
    assert ((grid > 0) == (np.array([list(row) for row in rows]) == ".")).all()
    assert graph.regions == len(np.unique(grid[grid > 0]))
    for x, y in free_cells(rows):
        for dx, dy in twin.MOVES:
            if twin.may_step(rows, x, y, dx, dy):
                assert grid[y, x] == grid[y + dy, x + dx]


@settings(max_examples=60, deadline=None)
@given(rows=maps(), x=st.integers(-30, 50), y=st.integers(-30, 50))
def test_the_nearest_cell_equals_a_look_at_all_cells(rows: twin.Rows, x: int, y: int) -> None:
    graph = graph_of(rows)
    found = labels.nearest_cells(graph.labels, graph.stride, np.array([[x, y]], np.int16), 0)[0].tolist()
    cells = free_cells(rows)
    expected = min(
        cells, key=lambda cell: ((cell[0] - x) ** 2 + (cell[1] - y) ** 2, cell[1], cell[0]), default=(-1, -1)
    )
    assert tuple(found) == expected


def test_edges_of_the_graph_lead_both_ways_at_one_cost() -> None:
    random = np.random.default_rng(7)
    rows = ["".join(".@"[cell] for cell in row) for row in (random.random((40, 40)) < 0.2).astype(int)]
    graph = graph_of(rows)
    edges = {
        (node, int(other) & subgoals.NODE_MASK, int(cost))
        for node in range(len(graph.nodes))
        for other, cost in graph.edges[graph.first[node, 0] : graph.first[node, 8]]
    }
    assert edges
    assert edges == {(other, node, cost) for node, other, cost in edges}


def test_a_diagonal_does_not_cut_a_corner() -> None:
    answers = find([".@", ".."], [((0, 0), (1, 1))])
    assert answers.cost[0] == 2.0
    assert waypoints(answers, 0) == [(0, 0), (0, 1), (1, 1)]


def test_two_cells_that_touch_at_a_corner_only_are_apart() -> None:
    assert status(find([".@", "@."], [((0, 0), (1, 1))])) == ["unreachable"]


def test_start_and_goal_on_one_cell_cost_nothing() -> None:
    answers = find(["..."], [((1, 0), (1, 0))])
    assert (status(answers), answers.cost[0], waypoints(answers, 0)) == (["found"], 0.0, [(1, 0)])


def test_cells_outside_and_blocked_starts_are_invalid() -> None:
    pairs = [((-1, 0), (0, 0)), ((0, 0), (3, 0)), ((0, 1), (0, 0)), ((1, 0), (0, 0)), ((0, 0), (32767, -32768))]
    assert status(find([".@."], pairs)) == ["invalid"] * 5


def test_a_blocked_goal_is_unreachable_or_partial() -> None:
    assert status(find(["..@"], [((0, 0), (2, 0))])) == ["unreachable"]
    answers = find(["..@"], [((0, 0), (2, 0))], partial=True)
    assert (status(answers), waypoints(answers, 0)) == (["partial"], [(0, 0), (1, 0)])


def test_max_cost_is_inclusive() -> None:
    rows = ["...", "@@.", "..."]
    pairs = [((0, 0), (0, 2)), ((0, 0), (2, 0))]
    cost = find(rows, pairs).cost[0]
    assert status(find(rows, pairs, max_cost=cost)) == ["found", "found"]
    answers = find(rows, pairs, max_cost=cost - 1e-6)
    assert status(answers) == ["over_budget", "found"]
    assert math.isnan(answers.cost[0])
    assert waypoints(answers, 1) == [(0, 0), (2, 0)]


def test_a_search_past_its_expansions_is_over_budget() -> None:
    rows = [".@...", ".@.@.", "...@."]
    assert status(find(rows, [((0, 0), (4, 2))])) == ["found"]
    assert status(find(rows, [((0, 0), (4, 2))], expansions_max=1)) == ["over_budget"]


def test_a_batch_answers_as_its_queries_do_alone_and_again() -> None:
    random = np.random.default_rng(3)
    rows = ["".join(".@"[cell] for cell in row) for row in (random.random((30, 30)) < 0.3).astype(int)]
    cells = free_cells(rows)
    pairs = [(cells[a], cells[b]) for a, b in random.integers(0, len(cells), (100, 2))]
    first, again = find(rows, pairs), find(rows, pairs)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    for query in range(0, 100, 9):
        alone = find(rows, [pairs[query]])
        assert waypoints(alone, 0) == waypoints(first, query)
        assert alone.expansions[0] == first.expansions[query]


def test_a_map_without_a_free_cell_has_no_regions() -> None:
    assert graph_of(["@@", "@@"]).regions == 0
    assert status(find(["@@", "@@"], [((0, 0), (1, 1))])) == ["invalid"]
