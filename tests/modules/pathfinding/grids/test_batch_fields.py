"""The field network on the real runtime against the kernels."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from app.core.errors import Invalid, TooLarge
from app.engines import catalog
from app.engines.onnx import Engine, open_onnx
from app.modules.pathfinding.grids import batch_fields, fields, flow, repair
from tests.modules.pathfinding.grids.test_fields import Ground, ground_of

MODELS = Path(__file__).resolve().parents[4] / "models"
CELLS = 1_000_000


@pytest.fixture(scope="module")
def engine() -> Engine:
    entry = catalog.load(MODELS / "catalog.toml").entry("field")
    # Every dimension is free, so warming takes the cube of the rows.
    return open_onnx(name="field", entry=entry, folder=MODELS, batch_rows_max=8)


def goals_of(ground: Ground, count: int, seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.integers(0, ground.free.size, random.integers(1, 4)).astype(np.int32) for _ in range(count)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_the_network_has_the_kernels_distances(engine: Engine, weighted: bool, seed: int) -> None:
    ground = ground_of(seed, weighted=weighted, side_max=70)
    goals = goals_of(ground, 3, seed)
    solved = batch_fields.solve(engine, ground.free, ground.cost, ground.stride, goals, cells_max=CELLS)
    for field, cells in enumerate(goals):
        expected = fields.distances(fields.build(ground.free, ground.cost, ground.stride, cells))
        np.testing.assert_allclose(solved.distances[field], expected, rtol=1e-3)


@pytest.mark.parametrize("seed", range(8))
def test_directions_of_the_network_lead_to_a_goal_at_the_promised_cost(engine: Engine, seed: int) -> None:
    ground = ground_of(seed + 100, weighted=bool(seed % 2))
    solved = batch_fields.solve(
        engine, ground.free, ground.cost, ground.stride, goals_of(ground, 1, seed), cells_max=CELLS
    )
    for cell in ground.cells().tolist():
        row, column = divmod(cell, ground.stride)
        promised = solved.distances[0, row - 1, column - 1]
        walked = 0.0
        while (way := solved.flow[0, cell // ground.stride - 1, cell % ground.stride - 1]) != fields.NONE:
            cell, cost = next((to, cost) for direction, to, cost in ground.steps(cell) if direction == way)
            walked += cost
        assert walked == pytest.approx(promised, rel=1e-3) or (math.isinf(promised) and walked == 0)


def test_a_way_with_more_turns_than_a_round_covers_is_found(engine: Engine) -> None:
    free = np.pad(np.ones((41, 41), np.uint8), 1)
    for row in range(2, 42, 4):
        free[row, 1:-2] = 0
        free[row + 2, 2:-1] = 0
    ground = Ground(free.ravel(), fields.UNIFORM, 43)
    cells = np.array([44], np.int32)
    solved = batch_fields.solve(engine, ground.free, ground.cost, 43, [cells], cells_max=CELLS)
    expected = fields.distances(fields.build(ground.free, ground.cost, 43, cells))
    assert np.nanmax(expected[np.isfinite(expected)]) > 800
    np.testing.assert_allclose(solved.distances[0], expected, rtol=1e-3)


def test_no_goals_are_no_fields_and_what_cannot_be_is_refused(engine: Engine) -> None:
    free = np.pad(np.ones((3, 3), np.uint8), 1).ravel()
    goal = np.array([6], np.int32)

    def ask(cost: np.ndarray, goals: list[np.ndarray], cells_max: int = CELLS, stride: int = 5) -> batch_fields.Solved:
        return batch_fields.solve(engine, free, cost, stride, goals, cells_max=cells_max)

    assert ask(fields.UNIFORM, []).distances.shape == (0, 3, 3)
    with pytest.raises(TooLarge, match="2 fields of 25 cells"):
        ask(fields.UNIFORM, [goal, goal], cells_max=49)
    with pytest.raises(Invalid, match="field 0 are outside"):
        ask(fields.UNIFORM, [goal + 100])
    with pytest.raises(Invalid, match="rows of 4"):
        ask(fields.UNIFORM, [goal], stride=4)
    with pytest.raises(Invalid, match="a cost of nan"):
        ask(np.full(25, math.nan, np.float32), [goal])


def test_a_field_of_the_network_is_read_as_the_kernels_and_cannot_be_mended(engine: Engine) -> None:
    ground = ground_of(5, weighted=False, side_max=40)
    goals = goals_of(ground, 2, 5)
    solved = batch_fields.solve(engine, ground.free, ground.cost, ground.stride, goals, cells_max=CELLS)
    random = np.random.default_rng(1)
    for index, cells in enumerate(goals):
        ours = fields.build(ground.free, ground.cost, ground.stride, cells)
        theirs = fields.from_distances(solved.distances[index], solved.flow[index], ground.free, cells)
        assert ((theirs.reach < 0) == (ours.reach < 0)).all()
        points = (random.random((200, 2)) * (ground.stride - 2, ground.free.size // ground.stride - 2)).astype("f4")
        there, expected = flow.sample(theirs, points), flow.sample(ours, points)
        np.testing.assert_allclose(there.distances, expected.distances, rtol=1e-5)
        assert ((np.hypot(*there.directions.T) > 0.5) == (np.hypot(*expected.directions.T) > 0.5)).all()
        with pytest.raises(Invalid, match="solved elsewhere"):
            repair.repair(theirs, ground.free, ground.cost, (1, 1, 2, 2))
