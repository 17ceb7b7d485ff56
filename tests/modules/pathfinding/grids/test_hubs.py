"""Answers by hub labels against those by search, which test_search.py holds against the slow twin."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.modules.pathfinding.grids import hubs, search, subgoals
from app.modules.pathfinding.grids.graph import LINK_BITS, LINK_MASK, NO_HUBS, Answers, Graph
from tests.modules.pathfinding.bench import bordered
from tests.modules.pathfinding.grids import twin
from tests.modules.pathfinding.grids.test_search import free_cells, graph_of, maps, waypoints

MAPS = Path(__file__).resolve().parents[4].parent / "shared" / "data" / "maps"
PUBLISHED = ("arena", "AR0011SR", "brc202d", "AcrosstheCape", "32room_000", "maze512-8-0")


def refined(graph: Graph) -> Graph:
    return hubs.refine(graph, 10**7, 10**7)


def noise(side: int, seed: int) -> twin.Rows:
    random = np.random.default_rng(seed)
    return ["".join(".@"[cell] for cell in row) for row in (random.random((side, side)) < 0.25).astype(int)]


def find(graph: Graph, pairs: list[tuple[twin.Cell, twin.Cell]], *, max_cost: float = math.inf) -> Answers:
    cells = np.array(pairs, np.int16).reshape(-1, 4)
    starts, goals = np.ascontiguousarray(cells[:, :2]), np.ascontiguousarray(cells[:, 2:])
    return search.answers(graph, starts, goals, max_cost, True, 10**6)


@settings(max_examples=250, deadline=None)
@given(rows=maps(), seed=st.integers(0, 2**32 - 1))
def test_every_path_is_legal_and_as_short_as_that_of_a_search(rows: twin.Rows, seed: int) -> None:
    cells = free_cells(rows)
    if not cells:
        return
    random = np.random.default_rng(seed)
    pairs = [(cells[a], cells[b]) for a, b in random.integers(0, len(cells), (16, 2))]
    graph = graph_of(rows)
    searched, answers = find(graph, pairs), find(refined(graph), pairs)
    np.testing.assert_array_equal(answers.status, searched.status)
    np.testing.assert_allclose(answers.cost, searched.cost, atol=1e-9)
    for query, (start, _) in enumerate(pairs):
        path = waypoints(answers, query)
        assert (path[0], path[-1]) == (start, waypoints(searched, query)[-1])
        assert twin.walk(rows, path) == pytest.approx(answers.cost[query], abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(rows=maps())
def test_links_lead_to_the_subgoals_that_a_cell_is_joined_to(rows: twin.Rows) -> None:
    graph = graph_of(rows)
    links = hubs.link_cells(graph.stride, graph.clear)
    near = np.empty((8 * (graph.stride + len(rows) + 2), 3), np.int32)
    for x, y in free_cells(rows):
        cell = (y + 1) * graph.stride + x + 1
        count = subgoals.connect(cell, graph.stride, graph.clear, graph.node_of, near)
        slanted = [row for row in near[:count].tolist() if row[2] % 2 and row[1] % subgoals.DIAGONAL]
        assert sorted(linked(graph, links, cell)) == sorted((node, cost) for node, cost, _ in slanted)


def linked(graph: Graph, links: np.ndarray[tuple[int, int], np.dtype[np.int32]], cell: int) -> list[tuple[int, int]]:
    """Nodes and costs that the links lead to."""
    found = []
    for column in range(8):
        quadrant, side = column // 2, (column // 2 + column % 2) % 4
        step = subgoals.DX[4 + quadrant] + subgoals.DY[4 + quadrant] * graph.stride
        across = subgoals.DX[side] + subgoals.DY[side] * graph.stride
        at, taken, link = cell, 0, int(links[cell, column])
        while link:
            seen = link >> LINK_BITS & LINK_MASK
            taken += link & LINK_MASK
            at += (link & LINK_MASK) * step
            found.append((int(graph.node_of[at + seen * across]), taken * subgoals.DIAGONAL + seen * subgoals.STRAIGHT))
            assert (link >> 2 * LINK_BITS == 1) == bool(links[at, column])
            link = int(links[at, column])
    return found


def test_labels_are_the_same_each_time() -> None:
    graph = graph_of(noise(40, 5))
    for one, other in zip(refined(graph).hubs, refined(graph).hubs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_looked_up_path_expands_nothing_and_keeps_to_max_cost() -> None:
    rows = [".@...", ".@.@.", "...@."]
    graph = refined(graph_of(rows))
    pairs = [((0, 0), (4, 2))]
    answers = find(graph, pairs)
    assert (answers.status[0], answers.expansions[0]) == (search.FOUND, 0)
    assert find(graph, pairs, max_cost=answers.cost[0]).status[0] == search.FOUND
    assert find(graph, pairs, max_cost=answers.cost[0] - 1e-6).status[0] == search.OVER_BUDGET


def test_labels_beyond_a_budget_leave_the_graph_as_it_was() -> None:
    graph = graph_of(noise(40, 6))
    nodes, entries = len(graph.nodes), len(refined(graph).hubs.labels)
    assert hubs.refine(graph, entries, 10**7).hubs.labels.shape == (entries, 2)
    assert hubs.refine(graph, entries - 1, 10**7) is graph
    assert hubs.refine(graph, 10**7, nodes) is graph


def test_a_map_without_subgoals_is_answered_as_before() -> None:
    graph = refined(graph_of(["....", "...."]))
    assert find(graph, [((0, 0), (3, 1))]).cost[0] == pytest.approx(2 + math.sqrt(2))


def test_a_graph_can_go_on_without_its_labels() -> None:
    graph = graph_of(noise(30, 8))
    cells = free_cells(noise(30, 8))
    pairs = list(zip(cells[:50], cells[-50:], strict=True))
    for one, other in zip(find(graph, pairs), find(refined(graph)._replace(hubs=NO_HUBS), pairs), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(not MAPS.is_dir(), reason="the shared data folder is not beside this repository")
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_problems_cost_by_labels_what_they_cost_by_search(name: str) -> None:
    graph = subgoals.prepare(bordered((MAPS / f"{name}.map").read_bytes()))
    rows = [line.split() for line in (MAPS / f"{name}.map.scen").read_text().splitlines()[1:]]
    pairs = [((int(row[4]), int(row[5])), (int(row[6]), int(row[7]))) for row in rows]
    searched, answers = find(graph, pairs), find(refined(graph), pairs)
    np.testing.assert_array_equal(answers.status, searched.status)
    np.testing.assert_allclose(answers.cost, searched.cost, atol=1e-9)
