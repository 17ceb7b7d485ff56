"""Flow fields against a textbook Dijkstra, new and mended, over random maps."""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.grids import fields, repair
from app.modules.pathfinding.grids.subgoals import DX, DY, STRAIGHT

SEEDS = st.integers(0, 2**32 - 1)


class Ground(NamedTuple):
    """A map as the kernels take it: bordered and flat; no costs where it is uniform."""

    free: NDArray[np.uint8]
    cost: NDArray[np.float32]
    stride: int

    def cells(self) -> NDArray[np.int32]:
        return np.flatnonzero(self.free).astype(np.int32)

    def steps(self, cell: int) -> list[tuple[int, int, float]]:
        """(direction, cell, cost) of every legal step from a cell."""
        out = []
        for direction, (dx, dy) in enumerate(zip(DX, DY, strict=True)):
            to = cell + dx + dy * self.stride
            if self.free[to] and self.free[cell + dx] and self.free[cell + dy * self.stride]:
                both = float(self.cost[cell]) + float(self.cost[to]) if self.cost.size else 2.0
                out.append((direction, to, math.hypot(dx, dy) * both / 2))
        return out

    def distances(self, starts: dict[int, float], *, within: float = math.inf) -> NDArray[np.float64]:
        """The slow twin: Dijkstra with a heap."""
        reach = np.full(self.free.size, np.inf)
        heap = [(cost, cell) for cell, cost in starts.items() if self.free[cell] and cost <= within]
        for cost, cell in heap:
            reach[cell] = min(reach[cell], cost)
        heapq.heapify(heap)
        while heap:
            here, cell = heapq.heappop(heap)
            if here > reach[cell]:
                continue
            for _, to, cost in self.steps(cell):
                if here + cost < reach[to] and here + cost <= within:
                    reach[to] = here + cost
                    heapq.heappush(heap, (here + cost, to))
        return reach


def ground_of(seed: int, *, weighted: bool, side_max: int = 24) -> Ground:
    """Noise, rooms with doors, or scattered blocks; costs of few values or of any."""
    random = np.random.default_rng(seed)
    height, width = random.integers(1, side_max + 1, 2)
    free = np.ones((height, width), bool)
    kind = random.integers(3)
    if kind == 0:
        free = random.random((height, width)) > random.choice([0.05, 0.2, 0.35, 0.5])
    for _ in range(random.integers(12) if kind else 0):
        y, x = random.integers(height), random.integers(width)
        if kind == 1:
            free[y : y + random.integers(1, 6), x : x + random.integers(1, 6)] = False
        elif random.random() < 0.5:
            free[y, :] = random.random(width) < 0.15
        else:
            free[:, x] = random.random(height) < 0.15
    cost = np.empty(0, np.float32)
    if weighted:
        cost = random.choice([1.0, 2.0, 9.0], (height + 2, width + 2)).astype(np.float32).ravel()
        if random.random() < 0.5:
            cost = np.exp(random.uniform(-6, 7, cost.size)).astype(np.float32)
    return Ground(np.pad(free, 1).astype(np.uint8).ravel(), cost, int(width) + 2)


def drawn_goals(ground: Ground, random: np.random.Generator) -> dict[int, float]:
    """One to four cells, free or not, some of which cost something to end at."""
    count = random.integers(1, 5)
    costs = random.choice([0.0, 0.0, 2.5, 7.0, 30.0], count)
    return dict(zip(random.integers(0, ground.free.size, count).tolist(), costs.tolist(), strict=True))


def built(ground: Ground, starts: dict[int, float], *, within: float = math.inf) -> fields.Field:
    goals = np.array(list(starts), np.int32)
    return fields.build(
        ground.free, ground.cost, ground.stride, goals, np.array(list(starts.values()), np.float32), within=within
    )


def check_flow(ground: Ground, field: fields.Field, starts: dict[int, float]) -> None:
    """Each direction leads to the nearest goal, is the lowest of those that do, and is missing where none does."""
    for cell in range(ground.free.size):
        here = field.reach[cell]
        if not ground.free[cell] or math.isinf(here):
            assert field.flow[cell] == fields.NONE
            continue
        if abs(starts.get(cell, math.inf) * STRAIGHT - here) < 1e-3:
            assert field.flow[cell] == fields.NONE
            continue
        offers = {d: field.reach[to] + cost * STRAIGHT for d, to, cost in ground.steps(cell)}
        least = min(offers.values())
        assert here == pytest.approx(least, rel=1e-7)
        good = [d for d, offer in offers.items() if offer <= least * (1 + 1e-7)]
        assert field.flow[cell] in good
        if not ground.cost.size:
            assert field.flow[cell] == good[0]


@pytest.mark.parametrize("weighted", [False, True])
@settings(max_examples=150, deadline=None)
@given(seed=SEEDS)
def test_a_field_has_the_twins_distances_and_leads_along_them(weighted: bool, seed: int) -> None:
    ground = ground_of(seed, weighted=weighted)
    random = np.random.default_rng(seed)
    starts = drawn_goals(ground, random)
    within = float(random.choice([math.inf, math.inf, 5.0, 20.0]))
    field = built(ground, starts, within=within)
    expected = ground.distances(starts, within=within * (1 + 1e-7))
    assert (np.isinf(field.reach) == np.isinf(expected))[ground.free > 0].all()
    reached = np.isfinite(expected)
    np.testing.assert_allclose(field.reach[reached] / STRAIGHT, expected[reached], rtol=2e-7)
    assert (field.reach[ground.free == 0] == fields.BLOCKED).all()
    check_flow(ground, field, starts)


@pytest.mark.parametrize("weighted", [False, True])
@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_a_mended_field_equals_a_new_one_after_every_change(weighted: bool, seed: int) -> None:
    ground = ground_of(seed, weighted=weighted)
    random = np.random.default_rng(seed)
    starts = drawn_goals(ground, random)
    within = float(random.choice([math.inf, math.inf, 20.0]))
    field = built(ground, starts, within=within)
    rows = ground.free.size // ground.stride
    free, cost = ground.free.reshape(rows, -1), ground.cost.reshape(rows, -1)
    for _ in range(6):
        left, top = int(random.integers(1, ground.stride - 1)), int(random.integers(1, rows - 1))
        right = min(left + int(random.integers(1, 5)), ground.stride - 1)
        bottom = min(top + int(random.integers(1, 5)), rows - 1)
        part = free[top:bottom, left:right]
        part[:] = random.random(part.shape) > random.choice([0.0, 0.3, 1.0])
        if weighted:
            cost[top:bottom, left:right] = random.choice([1.0, 3.0, 20.0], part.shape)
        repair.repair(field, ground.free, ground.cost, (left, top, right, bottom))
        fresh = built(ground, starts, within=within)
        np.testing.assert_array_equal(field.reach, fresh.reach)
        np.testing.assert_array_equal(field.flow, fresh.flow)


def test_blocking_what_few_ways_lead_through_looks_at_few_cells() -> None:
    free = np.pad(np.ones((60, 60), np.uint8), 1)
    ground = Ground(free.ravel(), fields.UNIFORM, 62)
    field = built(ground, {ground.cells()[0]: 0.0})
    free[55:58, 55:58] = 0
    assert repair.repair(field, ground.free, ground.cost, (55, 55, 58, 58)) < 150


def test_closing_the_only_door_leaves_nothing_reached_behind_it_and_opening_it_brings_all_back() -> None:
    free = np.pad(np.ones((9, 21), np.uint8), 1)
    free[:, 11] = 0
    free[5, 11] = 1
    ground = Ground(free.ravel(), fields.UNIFORM, 23)
    field = built(ground, {5 * 23 + 2: 0.0})
    before = field.reach.copy()
    free[5, 11] = 0
    repair.repair(field, ground.free, ground.cost, (11, 5, 12, 6))
    assert np.isinf(field.reach.reshape(-1, 23)[1:-1, 12:-1]).all()
    free[5, 11] = 1
    repair.repair(field, ground.free, ground.cost, (11, 5, 12, 6))
    np.testing.assert_array_equal(field.reach, before)


def test_distances_are_in_steps_without_the_border() -> None:
    free = np.pad(np.ones((2, 3), np.uint8), 1)
    free[1, 3] = 0
    field = fields.build(free.ravel(), fields.UNIFORM, 5, np.array([6], np.int32))
    expected = [[0.0, 1.0, math.inf], [1.0, math.sqrt(2), 1 + math.sqrt(2)]]
    np.testing.assert_allclose(fields.distances(field), expected, rtol=1e-6)


def test_a_long_corridor_keeps_exact_distances() -> None:
    free = np.pad(np.ones((1, 200_000), np.uint8), 1)
    field = fields.build(free.ravel(), fields.UNIFORM, 200_002, np.array([200_003], np.int32))
    assert field.reach[200_003 + 199_999] == 199_999 * STRAIGHT


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"goals": np.array([25], np.int32)}, "goal cell 25"),
        ({"goals": np.array([-1], np.int32)}, "goal cell -1"),
        ({"stride": 4}, "rows of 4"),
        ({"cost": np.ones(24, np.float32)}, "24 costs"),
        ({"cost": np.zeros(25, np.float32)}, "costs of free cells"),
        ({"cost": np.full(25, np.nan, np.float32)}, "costs of free cells"),
        ({"cost": np.full(25, np.inf, np.float32)}, "costs of free cells"),
        ({"starts": np.array([-1], np.float32)}, "start cost -1.0"),
        ({"starts": np.array([math.nan], np.float32)}, "start cost nan"),
        ({"starts": np.array([0, 0], np.float32)}, "2 start costs"),
        ({"within": -1.0}, "within -1.0"),
        ({"within": math.nan}, "within nan"),
    ],
)
def test_a_field_that_cannot_be_is_refused(change: dict[str, object], said: str) -> None:
    free = np.pad(np.ones((3, 3), np.uint8), 1).ravel()
    asked: dict[str, object] = {"free": free, "cost": fields.UNIFORM, "stride": 5, "goals": np.array([6], np.int32)}
    with pytest.raises(Invalid, match=said):
        fields.build(**(asked | change))


def test_a_change_that_cannot_be_is_refused_and_changes_nothing() -> None:
    free = np.pad(np.ones((3, 3), np.uint8), 1).ravel()
    cost = np.ones(25, np.float32)
    field = fields.build(free, cost, 5, np.array([6], np.int32))
    before = field.reach.copy()
    with pytest.raises(Invalid, match="a change in"):
        repair.repair(field, free, cost, (0, 1, 2, 2))
    with pytest.raises(Invalid, match="9 cells"):
        repair.repair(field, free[:9], cost, (1, 1, 2, 2))
    cost[7] = math.nan
    with pytest.raises(Invalid, match="a cost of nan"):
        repair.repair(field, free, cost, (1, 1, 4, 4))
    np.testing.assert_array_equal(field.reach, before)


@pytest.mark.parametrize("cost", [fields.UNIFORM, np.full(302 * 302, 1.5, np.float32)])
def test_a_big_map_is_mended_where_a_door_opens_to_half_of_it(cost: NDArray[np.float32]) -> None:
    free = np.pad(np.random.default_rng(5).random((300, 300)) > 0.2, 1).astype(np.uint8)
    free[:, 250] = 0
    ground = Ground(free.ravel(), cost, 302)
    starts = {302 * 40 + 40: 0.0}
    field = built(ground, starts)
    for open_cells in (0, 1, 0):
        free[100:103, 249:252] = open_cells
        repair.repair(field, ground.free, cost, (249, 100, 252, 103))
        fresh = built(ground, starts)
        np.testing.assert_array_equal(field.reach, fresh.reach)
        np.testing.assert_array_equal(field.flow, fresh.flow)


def test_a_field_of_many_goals_on_noise_equals_the_same_on_ground_where_all_costs_are_one() -> None:
    random = np.random.default_rng(8)
    free = np.pad(random.random((400, 400)) > 0.25, 1).astype(np.uint8).ravel()
    goals = random.choice(np.flatnonzero(free), 3_000, replace=False).astype(np.int32)
    starts = random.random(3_000).astype(np.float32) * 50
    uniform = fields.build(free, fields.UNIFORM, 402, goals, starts)
    weighted = fields.build(free, np.ones(free.size, np.float32), 402, goals, starts)
    np.testing.assert_array_equal(uniform.reach, weighted.reach)
    np.testing.assert_array_equal(uniform.flow, weighted.flow)


def test_buckets_that_are_too_small_are_told_apart_from_a_finished_field() -> None:
    free = np.pad(np.ones((30, 30), np.uint8), 1).ravel()
    field = fields.build(free, fields.UNIFORM, 32, np.array([33], np.int32))
    room = np.empty((4, 8), np.int32)
    cost, order = np.ones(free.size, np.float32), np.zeros(1, np.int64)
    assert not fields._settle(field, cost, fields.offsets(32), order, room, 3.0 * STRAIGHT)
