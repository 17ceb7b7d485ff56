"""Lines of sight and smoothed paths against exact fractions, over random maps."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.grids import sight
from tests.modules.pathfinding.grids import sight_twin, twin
from tests.modules.pathfinding.grids.test_search import find, free_cells, maps

Seeds = st.integers(0, 2**32 - 1)


def grid_of(rows: twin.Rows) -> tuple[NDArray[np.uint8], int]:
    free = np.pad(np.array([[letter == "." for letter in row] for row in rows], np.uint8), 1)
    return free.ravel(), free.shape[1]


def cast(rows: twin.Rows, lines: list[tuple[float, float, float, float]]) -> sight.Rays:
    return sight.cast(*grid_of(rows), np.array(lines, np.float32).reshape(-1, 4))


def centers(a: twin.Cell, b: twin.Cell) -> tuple[float, float, float, float]:
    return a[0] + 0.5, a[1] + 0.5, b[0] + 0.5, b[1] + 0.5


def paths(smoothed: sight.Smoothed) -> list[list[twin.Cell]]:
    points = [(x, y) for x, y in smoothed.waypoints.tolist()]
    return [points[a:b] for a, b in pairwise(smoothed.offsets)]


def some_pairs(rows: twin.Rows, seed: int, count: int) -> list[tuple[twin.Cell, twin.Cell]]:
    cells = free_cells(rows)
    random = np.random.default_rng(seed)
    return [(cells[a], cells[b]) for a, b in random.integers(0, len(cells), (count, 2))] if cells else []


@settings(max_examples=150, deadline=None)
@given(rows=maps(), seed=Seeds)
def test_a_line_between_centers_is_clear_as_its_twin_is_and_both_ways(rows: twin.Rows, seed: int) -> None:
    pairs = some_pairs(rows, seed, 8)
    rays = cast(rows, [centers(a, b) for a, b in pairs])
    back = cast(rows, [centers(b, a) for a, b in pairs])
    for ray, (a, b) in enumerate(pairs):
        clear, last = sight_twin.reach(rows, sight_twin.center(a), sight_twin.center(b))
        assert (bool(rays.clear[ray]), tuple(rays.cells[ray])) == (clear, last)
        assert back.clear[ray] == rays.clear[ray]


@settings(max_examples=150, deadline=None)
@given(rows=maps(), seed=Seeds)
def test_a_line_between_points_ends_where_its_twin_does(rows: twin.Rows, seed: int) -> None:
    random = np.random.default_rng(seed)
    sides = np.array([len(rows[0]), len(rows)] * 2)
    lines = (2 * random.integers(0, 128 * sides, (8, 4)) + 1) / 256  # never on the edge of a cell
    rays = cast(rows, lines.tolist())
    for ray, line in enumerate(lines.tolist()):
        x, y, to_x, to_y = map(Fraction, line)
        if not twin.is_free(rows, math.floor(x), math.floor(y)):
            assert not rays.clear[ray]
            assert tuple(rays.cells[ray]) == (-1, -1)
            assert np.isnan(rays.points[ray]).all()
            continue
        clear, last = sight_twin.reach(rows, (x, y), (to_x, to_y))
        assert (bool(rays.clear[ray]), tuple(rays.cells[ray])) == (clear, last)
        shares = {cell: high for _, high, cell in sight_twin.crossed((x, y), (to_x, to_y))}
        share = float(shares.get(last, 1))  # no way at all is gone in full
        end = (float(x + (to_x - x) * Fraction(share)), float(y + (to_y - y) * Fraction(share)))
        assert tuple(rays.points[ray]) == pytest.approx(end, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(rows=maps(), seed=Seeds)
def test_every_leg_of_a_legal_path_is_clear(rows: twin.Rows, seed: int) -> None:
    answers = find(rows, some_pairs(rows, seed, 8))
    legs = [
        centers((a[0], a[1]), (b[0], b[1]))
        for begin, end in pairwise(answers.offsets)
        for a, b in pairwise(answers.waypoints[begin:end].tolist())
    ]
    assert cast(rows, legs).clear.all()


def test_a_line_past_a_blocked_corner_is_clear_only_where_it_does_not_touch_it() -> None:
    rows = ["...", ".@.", "..."]
    assert cast(rows, [(0.5, 0.5, 2.5, 0.5), (0.5, 1.5, 1.5, 0.5)]).clear.tolist() == [1, 0]
    assert cast([".@", "@."], [centers((0, 0), (1, 1))]).clear.tolist() == [0]
    assert cast([".@", ".."], [centers((0, 0), (1, 1))]).clear.tolist() == [0]
    assert cast(["..", ".."], [centers((0, 0), (1, 1))]).clear.tolist() == [1]


def test_a_line_out_of_the_map_ends_at_its_edge() -> None:
    rays = cast(["...."], [(1.5, 0.5, 1_000_000.0, 0.5), (-3.0, 0.5, 2.0, 0.5), (1.5, 0.5, -90_000.0, 0.5)])
    assert rays.clear.tolist() == [0, 0, 0]
    assert rays.cells.tolist() == [[3, 0], [-1, -1], [0, 0]]
    assert rays.points[[0, 2]].tolist() == [[4.0, 0.5], [0.0, 0.5]]


def test_a_line_that_goes_nowhere_is_clear_on_a_free_cell() -> None:
    rays = cast([".@"], [(0.0, 0.0, 0.0, 0.0), (1.5, 0.5, 1.5, 0.5)])
    assert rays.clear.tolist() == [1, 0]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 1e9])
def test_a_line_without_finite_ends_is_refused(wrong: float) -> None:
    with pytest.raises(Invalid, match="line 1 is"):
        cast(["."], [(0.0, 0.0, 0.0, 0.0), (0.0, 0.0, wrong, 0.0)])


@settings(max_examples=120, deadline=None)
@given(rows=maps(), seed=Seeds)
def test_a_smoothed_path_is_clear_and_no_longer_than_before(rows: twin.Rows, seed: int) -> None:
    pairs = some_pairs(rows, seed, 8)
    answers = find(rows, pairs)
    free, stride = grid_of(rows)
    smoothed = sight.smooth(free, None, stride, answers.offsets, answers.waypoints)
    for query, points in enumerate(paths(smoothed)):
        if not points:
            assert math.isnan(answers.cost[query])
            assert math.isnan(smoothed.cost[query])
            continue
        assert (points[0], points[-1]) == pairs[query]
        assert all(sight_twin.sees(rows, a, b) for a, b in pairwise(points))
        length = sum(math.dist(a, b) for a, b in pairwise(points))
        assert smoothed.cost[query] == pytest.approx(length, abs=1e-9)
        assert math.dist(*pairs[query]) - 1e-9 <= length <= answers.cost[query] + 1e-6
        if sight_twin.sees(rows, *pairs[query]):
            assert len(points) <= 2


@settings(max_examples=80, deadline=None)
@given(rows=maps(), seed=Seeds)
def test_on_weighted_ground_a_smoothed_path_is_no_dearer(rows: twin.Rows, seed: int) -> None:
    pairs = some_pairs(rows, seed, 6)
    answers = find(rows, pairs)
    free, stride = grid_of(rows)
    ground = np.random.default_rng(seed).choice([1.0, 1.5, 4.0, 9.0], (len(rows), len(rows[0]))).astype(np.float32)
    smoothed = sight.smooth(free, np.pad(ground, 1).ravel(), stride, answers.offsets, answers.waypoints)
    costs = ground.tolist()

    def total(points: list[twin.Cell]) -> float:
        return sum(sight_twin.price(costs, a, b) for a, b in pairwise(points))

    before = paths(sight.Smoothed(answers.cost, answers.offsets, answers.waypoints))
    for query, (points, old) in enumerate(zip(paths(smoothed), before, strict=True)):
        if not old:
            assert points == []
            continue
        assert (points[0], points[-1]) == (old[0], old[-1])
        assert all(sight_twin.sees(rows, a, b) for a, b in pairwise(points))
        assert smoothed.cost[query] == pytest.approx(total(points), rel=1e-6, abs=1e-9)
        assert smoothed.cost[query] <= total(old) + 1e-5


def test_smoothed_paths_are_close_to_the_shortest_at_any_angle() -> None:
    random = np.random.default_rng(5)
    ratios = []
    for _ in range(4):
        blocked = np.zeros((9, 9), bool)
        for y, x in random.integers(0, 9, (4, 2)):
            blocked[y : y + random.integers(1, 4), x : x + random.integers(1, 4)] = True
        rows = ["".join(".@"[cell] for cell in row) for row in blocked.astype(int)]
        pairs = some_pairs(rows, int(random.integers(1000)), 20)
        answers = find(rows, pairs)
        free, stride = grid_of(rows)
        smoothed = sight.smooth(free, None, stride, answers.offsets, answers.waypoints)
        shortest = _shortest_at_any_angle(rows)
        ratios += [
            smoothed.cost[query] / shortest[pair]
            for query, pair in enumerate(pairs)
            if answers.cost[query] > 0
        ]  # fmt: skip
    assert min(ratios) > 1 - 1e-9
    assert float(np.mean(ratios)) < 1.01


def _shortest_at_any_angle(rows: twin.Rows) -> dict[tuple[twin.Cell, twin.Cell], float]:
    """Between all cells, over all that see each other (Floyd, Warshall)."""
    cells = free_cells(rows)
    away = np.full((len(cells), len(cells)), math.inf)
    for i, a in enumerate(cells):
        for j in range(i, len(cells)):
            if sight_twin.sees(rows, a, cells[j]):
                away[i, j] = away[j, i] = math.dist(a, cells[j])
    for middle in range(len(cells)):
        away = np.minimum(away, away[:, middle, None] + away[None, middle])
    return {(a, b): away[i, j] for i, a in enumerate(cells) for j, b in enumerate(cells)}


def test_paths_are_smoothed_in_a_batch_as_alone_and_again() -> None:
    random = np.random.default_rng(3)
    rows = ["".join(".@"[cell] for cell in row) for row in (random.random((30, 30)) < 0.25).astype(int)]
    pairs = some_pairs(rows, 4, 60)
    free, stride = grid_of(rows)
    answers = find(rows, pairs)
    first, again = (sight.smooth(free, None, stride, answers.offsets, answers.waypoints) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    for query in range(0, 60, 7):
        alone = find(rows, [pairs[query]])
        smoothed = sight.smooth(free, None, stride, alone.offsets, alone.waypoints)
        assert paths(smoothed)[0] == paths(first)[query]


def test_no_paths_are_smoothed_to_none() -> None:
    free, stride = grid_of(["."])
    smoothed = sight.smooth(free, None, stride, np.zeros(1, np.int32), np.empty((0, 2), np.int16))
    assert (smoothed.cost.size, smoothed.offsets.tolist(), smoothed.waypoints.shape) == (0, [0], (0, 2))
