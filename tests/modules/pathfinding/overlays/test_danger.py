"""What counts say about danger, what it costs and where that changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.modules.pathfinding.overlays import danger, ground
from app.modules.pathfinding.overlays.counts import DEATH, KINDS, STUCK, VISIT
from app.modules.pathfinding.overlays.settings import OverlaySettings

LIMITS = OverlaySettings()
OPEN = ground.survey(np.ones((64, 64), np.uint8))


def told(*events: tuple[int, int, int, float]) -> np.ndarray:
    """Counts of an open map of 8 x 8 tiles: (row, column, kind, count)."""
    found = np.zeros((8, 8, len(KINDS)), np.float32)
    for row, column, kind, count in events:
        found[row, column, kind] += count
    return found


def test_a_busy_road_with_one_death_is_safer_than_a_lonely_path_with_one() -> None:
    risk = danger.chances(OPEN, told((1, 1, DEATH, 1), (1, 1, VISIT, 500), (6, 6, DEATH, 1), (6, 6, VISIT, 5)))[:, :, 0]
    assert risk[6, 6] > 5 * risk[1, 1]
    assert risk[6, 5] > risk[1, 2] > 0


def test_without_told_traffic_more_deaths_are_more_danger_and_one_is_no_certainty() -> None:
    risk = danger.chances(OPEN, told((1, 1, DEATH, 1), (6, 6, DEATH, 5)))[:, :, 0]
    assert 0.5 > risk[6, 6] > risk[1, 1] > risk[3, 3]
    assert risk[1, 1] < 0.1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_chances_are_chances_and_costs_stay_in_their_bounds(seed: int) -> None:
    random = np.random.default_rng(seed)
    counts = (random.random((8, 8, 5)) ** 8 * random.choice([1.0, 100.0, 1e6])).astype(np.float32)
    risk = danger.chances(OPEN, counts)
    assert ((risk > 0) & (risk < 1)).all()
    cost = danger.multiplier(risk, OPEN, float(random.uniform(0, 5)), LIMITS)
    worth = danger.worth(danger.settled(cost, None), LIMITS)
    assert ((cost >= 1) & (cost <= LIMITS.multiplier_max) & (worth >= 1) & (worth <= LIMITS.multiplier_max)).all()
    assert (np.abs(np.log2(worth / cost)) <= 0.26).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), more=st.floats(0.1, 50.0))
def test_another_death_never_makes_its_tile_safer(seed: int, more: float) -> None:
    random = np.random.default_rng(seed)
    counts = (random.random((8, 8, 5)) ** 4 * 20).astype(np.float32)
    before = danger.chances(OPEN, counts)[3, 4, 0]
    counts[3, 4, DEATH] += more
    assert danger.chances(OPEN, counts)[3, 4, 0] >= before


def test_caution_scales_the_fear_of_death_and_not_that_of_being_stuck() -> None:
    deadly = danger.chances(OPEN, told((1, 1, DEATH, 2), (1, 1, VISIT, 60), (5, 5, VISIT, 200)))
    jammed = danger.chances(OPEN, told((1, 1, STUCK, 9), (1, 1, VISIT, 60), (5, 5, VISIT, 200)))
    worth = [danger.multiplier(deadly, OPEN, caution, LIMITS)[1, 1] for caution in (0.0, 0.5, 1.0, 2.0)]
    assert worth[0] == 1.0
    assert worth == sorted(worth)
    assert len(set(worth)) == 4
    assert danger.multiplier(jammed, OPEN, 0.0, LIMITS)[1, 1] > 1.2


def test_danger_that_is_the_same_everywhere_costs_nothing() -> None:
    everywhere = np.full((8, 8, 2), 0.2, np.float32)
    assert (danger.multiplier(everywhere, OPEN, 1.0, LIMITS) == 1.0).all()


def test_a_level_is_kept_until_the_cost_moves_well_beyond_it() -> None:
    before = danger.settled(np.array([[2.0]], np.float32), None)
    for nearly in (1.65, 2.0, 2.4):
        assert danger.settled(np.array([[nearly]], np.float32), before)[0, 0] == before[0, 0]
    assert danger.settled(np.array([[2.9]], np.float32), before)[0, 0] > before[0, 0]
    assert danger.settled(np.array([[1.0]], np.float32), before)[0, 0] == 0


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), most=st.integers(1, 40))
def test_rectangles_hold_every_changed_cell_and_stay_on_the_map(seed: int, most: int) -> None:
    random = np.random.default_rng(seed)
    rows, columns = (int(side) for side in random.integers(1, 140, 2))
    tall, wide = -(-rows // 8), -(-columns // 8)
    changed = random.random((tall, wide)) < random.choice([0.0, 0.05, 0.5, 1.0])
    found = danger.rectangles(changed, rows, columns, most)
    assert len(found) <= most
    covered = np.zeros((rows, columns), bool)
    for x, y, width, height in found.tolist():
        assert min(x, y) >= 0 < min(width, height)
        assert x + width <= columns
        assert y + height <= rows
        covered[y : y + height, x : x + width] = True
    cells = danger.spread(changed.astype(np.float32), rows, columns) > 0
    assert covered[cells].all()
    if len(danger.rectangles(changed, rows, columns, 10**6)) <= most:
        np.testing.assert_array_equal(covered, cells)


def test_ground_is_measured_by_tile() -> None:
    free = np.ones((16, 24), np.uint8)
    free[:, 8:16] = 0
    free[4, 8:16] = 1
    found = ground.survey(free)
    assert found.share.tolist() == [[1.0, 8 / 64, 1.0], [1.0, 0.0, 1.0]]
    assert found.clearance[0, 1] == 1 / 8
    assert found.clearance[1, 1] == found.tightness[1, 1] == 0.0
    assert found.clearance[0, 0] > found.clearance[0, 1]
    assert ((found.tightness <= found.clearance) & (found.clearance <= 1.0)).all()


@pytest.mark.parametrize("shape", [(0, 4), (4,), (1, 20_000)])
def test_what_is_no_map_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Invalid, match="shape"):
        ground.survey(np.ones(shape, np.uint8))


def test_turning_a_map_turns_its_features_as_the_symmetries_say() -> None:
    random = np.random.default_rng(4)
    free = random.random((80, 80)) < 0.8
    counts = (random.random((10, 10, 5)) ** 6 * 20).astype(np.float32)
    since = random.exponential(2.0, (10, 10)).astype(np.float32)
    ways = ground.symmetries()
    assert ways.shape == (8, ground.FEATURES)
    assert (np.sort(ways, axis=1) == np.arange(ground.FEATURES)).all()

    def seen(turns: int) -> np.ndarray:
        surveyed = ground.survey(np.rot90(free, turns))
        turned = np.rot90(counts, turns)
        there = danger.chances(surveyed, turned)
        rows, chosen = ground.features(surveyed, turned, np.rot90(since, turns), there)
        assert len(chosen) == 100
        return rows.reshape(10, 10, -1)

    for turns in range(4):
        expected = np.rot90(seen(0), turns)[:, :, ways[2 * turns]]
        np.testing.assert_allclose(seen(turns), expected, rtol=1e-4, atol=1e-4)
