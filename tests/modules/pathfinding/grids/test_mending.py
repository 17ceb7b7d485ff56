"""A graph that was mended step by step against one prepared anew on the grid as it then is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.modules.pathfinding.grids import search, subgoals
from app.modules.pathfinding.grids.graph import Graph
from app.modules.pathfinding.grids.mending import Repaired
from tests.modules.pathfinding.grids import twin

Grid = NDArray[np.uint8]


def bordered(free: Grid) -> Grid:
    return np.pad(free, 1)


def edges_by_cell(graph: Graph) -> dict[int, set[tuple[int, int, int]]]:
    """Every node's edges as (direction, cell at the other end, cost)."""
    cells = graph.nodes[:, 1].astype(np.int64) * graph.stride + graph.nodes[:, 0]
    found = {}
    for cell in np.flatnonzero(graph.node_of >= 0).tolist():
        node = graph.node_of[cell]
        rows = graph.edges[graph.first[node, 0] : graph.first[node, 8]]
        found[cell] = {
            (int(key) >> 24, int(cells[int(key) & subgoals.NODE_MASK]), int(cost)) for key, cost in rows.tolist()
        }
    return found


def assert_same(mended: Graph, fresh: Graph) -> None:
    assert ((mended.labels > 0) == (fresh.labels > 0)).all()
    pairs = np.unique(np.stack([mended.labels, fresh.labels]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1], "regions are other than they were"
    assert (mended.clear == fresh.clear).all()
    assert ((mended.node_of >= 0) == (fresh.node_of >= 0)).all()
    assert edges_by_cell(mended) == edges_by_cell(fresh)


def random_edit(random: np.random.Generator, grid: Grid) -> tuple[int, int, Grid]:
    height, width = grid.shape
    y, x = int(random.integers(height)), int(random.integers(width))
    tall, wide = int(random.integers(1, 6)), int(random.integers(1, 6))
    part = grid[y : y + tall, x : x + wide]
    kind = random.integers(3)
    if kind == 0:
        return x, y, np.zeros_like(part)
    return x, y, np.ones_like(part) if kind == 1 else (random.random(part.shape) < 0.5).astype(np.uint8)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), density=st.sampled_from([0.0, 0.1, 0.3, 0.5]))
def test_a_mended_graph_is_what_one_prepared_anew_would_be(seed: int, density: float) -> None:
    random = np.random.default_rng(seed)
    grid = (random.random(random.integers(1, 30, 2)) >= density).astype(np.uint8)
    mended = Repaired(subgoals.prepare(bordered(grid)))
    for _ in range(8):
        x, y, part = random_edit(random, grid)
        changed = int((grid[y : y + part.shape[0], x : x + part.shape[1]] != part).sum())
        grid[y : y + part.shape[0], x : x + part.shape[1]] = part
        assert mended.set_cells(x + 1, y + 1, part) == changed
        assert_same(mended.graph, subgoals.prepare(bordered(grid)))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), opening=st.booleans())
def test_paths_on_a_mended_graph_are_as_short_as_the_twins(seed: int, opening: bool) -> None:
    random = np.random.default_rng(seed)
    grid = (random.random(random.integers(3, 20, 2)) >= 0.25).astype(np.uint8)
    mended = Repaired(subgoals.prepare(bordered(grid)))
    for _ in range(6):
        x, y, part = random_edit(random, grid)
        part = part if opening else part & grid[y : y + part.shape[0], x : x + part.shape[1]]
        grid[y : y + part.shape[0], x : x + part.shape[1]] = part
        mended.set_cells(x + 1, y + 1, part)
        rows = ["".join("@."[cell] for cell in row) for row in grid.tolist()]
        ends = np.stack([random.integers(0, grid.shape[1], 8), random.integers(0, grid.shape[0], 8)], axis=1)
        starts, goals = ends[:4].astype(np.int16), ends[4:].astype(np.int16)
        answers = search.answers(mended.graph, starts, goals, math.inf, False, 10**6)
        for query in range(4):
            start, goal = tuple(starts[query].tolist()), tuple(goals[query].tolist())
            expected = twin.shortest(rows, start, goal)
            if expected is None:
                assert math.isnan(answers.cost[query])
                continue
            path = answers.waypoints[answers.offsets[query] : answers.offsets[query + 1]].tolist()
            assert answers.cost[query] == pytest.approx(expected, abs=1e-9)
            assert twin.walk(rows, [(a, b) for a, b in path]) == pytest.approx(expected, abs=1e-9)
    assert mended.bounded or opening


def test_ten_thousand_edits_leave_the_graph_right_and_its_arrays_small() -> None:
    random = np.random.default_rng(5)
    grid = (random.random((48, 48)) >= 0.2).astype(np.uint8)
    mended = Repaired(subgoals.prepare(bordered(grid)))
    for edit in range(10_000):
        x, y, part = random_edit(random, grid)
        part = part if random.random() < 0.3 else np.ones_like(part)
        grid[y : y + part.shape[0], x : x + part.shape[1]] = part
        mended.set_cells(x + 1, y + 1, part)
        if edit % 500 == 499:
            assert_same(mended.graph, subgoals.prepare(bordered(grid)))
    assert len(mended.graph.edges) < 300_000
    assert len(mended.graph.nodes) < 10_000


def test_it_knows_when_nothing_is_other_than_in_the_beginning() -> None:
    mended = Repaired(subgoals.prepare(bordered(np.ones((5, 5), np.uint8))))
    assert mended.differing == 0
    mended.set_cells(2, 2, np.zeros((2, 2), np.uint8))
    mended.set_cells(3, 3, np.zeros((2, 2), np.uint8))
    assert mended.differing == 7
    mended.set_cells(1, 1, np.ones((5, 5), np.uint8))
    assert mended.differing == 0
