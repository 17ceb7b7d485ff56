"""Crowds between walls: nobody is ever led into one, and everybody still gets through a door."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.crowds import orca, walls
from app.modules.pathfinding.crowds.crowd import Crowd, Outlook, Walls
from app.modules.pathfinding.surfaces import F32

Seeds = st.integers(0, 2**32 - 1)


def walls_of(rows: list[str]) -> Walls:
    free = np.pad(np.array([[letter == "." for letter in row] for row in rows], np.uint8), 1)
    return Walls(free.ravel(), free.shape[1])


def stands_free(around: Walls, positions: F32) -> NDArray[np.bool_]:
    cells = np.floor(positions).astype(int) + 1
    return around.free[cells[:, 1] * around.stride + cells[:, 0]] != 0


def crowd_at(spots: F32, speed: float = 1.5, radius: float = 0.3) -> Crowd:
    still = np.zeros_like(spots)
    return Crowd(
        spots, still, still, np.full(len(spots), radius, np.float32), np.full(len(spots), speed, np.float32)
    )  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    seed=Seeds, dense=st.floats(0.0, 0.6), speed=st.sampled_from([0.5, 2.0, 20.0]),
    dt_s=st.sampled_from([0.02, 0.1, 0.5]), radius=st.sampled_from([0.05, 0.3, 0.9]), far=st.booleans(),
)  # fmt: skip
def test_no_center_ever_enters_a_blocked_cell(
    seed: int, dense: float, speed: float, dt_s: float, radius: float, far: bool
) -> None:
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 12), random.integers(1, 12) + (30_000 if far else 0)
    grid = random.random((height, width)) >= dense
    around = Walls(np.pad(grid.astype(np.uint8), 1).ravel(), int(width) + 2)
    cells = np.argwhere(grid[:, -12:])[:, ::-1] + [max(width - 12, 0), 0]
    if len(cells) == 0:
        return
    inside = random.choice([0.0, 0.25, 0.5, 0.9], (30, 2))
    crowd = crowd_at((cells[random.integers(0, len(cells), 30)] + inside).astype(np.float32), speed, radius)
    for _ in range(25):
        crowd = crowd._replace(preferred=random.uniform(-2 * speed, 2 * speed, (30, 2)).astype(np.float32))
        safe = orca.steer(crowd, around, Outlook(dt_s=dt_s))
        assert (np.linalg.norm(safe, axis=1) <= speed + 0.02 / dt_s).all()
        crowd = crowd._replace(positions=crowd.positions + safe * np.float32(dt_s), velocities=safe)
        assert stands_free(around, crowd.positions).all()


@settings(max_examples=150, deadline=None)
@given(seed=Seeds)
def test_a_step_ends_where_it_wants_unless_a_wall_is_in_its_way(seed: int) -> None:
    random = np.random.default_rng(seed)
    grid = random.random((8, 8)) > 0.3
    if not grid.any():
        return
    around = Walls(np.pad(grid.astype(np.uint8), 1).ravel(), 10)
    cells = np.argwhere(grid)[:, ::-1]
    start = cells[random.integers(len(cells))] + random.uniform(0.01, 0.99, 2)
    to = start + random.uniform(-3, 3, 2)
    end = walls.slide(*around, *start, *to)
    assert stands_free(around, np.array([end], np.float32)).all()
    ways = np.linspace(start, to, 400)
    inside = bool(((ways > 0.01) & (ways < 7.99)).all())
    if inside and all(stands_free(around, ways + nudge).all() for nudge in (-0.01, 0.0, 0.01)):
        assert end == pytest.approx(tuple(to), abs=1e-3)


def test_a_step_along_a_wall_slides_and_into_it_ends_before_it() -> None:
    around = walls_of(["....", "@@@@"])
    x, y = walls.slide(*around, 0.5, 0.5, 2.5, 1.5)
    assert x == pytest.approx(2.5)
    assert 0.999 < y < 1.0
    assert walls.slide(*around, 0.5, 0.5, 0.5, -9.0) == pytest.approx((0.5, 0.0), abs=1e-3)


def test_a_step_does_not_squeeze_between_two_cells_that_touch_at_a_corner() -> None:
    around = walls_of([".@", "@."])
    x, y = walls.slide(*around, 0.5, 0.5, 1.5, 1.5)
    assert max(x, y) < 1.0


def test_an_agent_keeps_its_radius_from_a_wall_that_it_walks_toward() -> None:
    around = walls_of(["........."] * 3 + ["@@@@@@@@@"])
    crowd = crowd_at(np.array([[4.5, 1.0]], np.float32))
    for _ in range(60):
        crowd = crowd._replace(preferred=np.array([[0.0, 1.5]], np.float32))
        safe = orca.steer(crowd, around, Outlook())
        crowd = crowd._replace(positions=crowd.positions + safe * np.float32(0.1), velocities=safe)
        assert crowd.positions[0, 1] <= 2.7 + 1e-3
    assert crowd.positions[0, 1] >= 2.65


@pytest.mark.parametrize("radius", [0.2, 0.4, 0.5, 2.0])
def test_an_agent_walks_through_a_door_one_cell_wide_whatever_its_radius(radius: float) -> None:
    around = walls_of(["....@....", "....@....", ".........", "....@....", "....@...."])
    crowd = crowd_at(np.array([[0.6, 2.3]], np.float32), radius=radius)
    goal = np.array([[8.5, 2.5]], np.float32)
    for _ in range(120):
        way = goal - crowd.positions
        preferred = (way / max(float(np.linalg.norm(way)), 1.0)).astype(np.float32)
        safe = orca.steer(crowd._replace(preferred=preferred), around, Outlook())
        crowd = crowd._replace(positions=crowd.positions + safe * np.float32(0.1), velocities=safe)
        assert stands_free(around, crowd.positions).all()
    assert math.dist(crowd.positions[0], goal[0]) < 0.2


def test_an_agent_in_a_blocked_cell_is_let_out() -> None:
    around = walls_of(["...", ".@.", "..."])
    crowd = crowd_at(np.array([[1.5, 1.5]], np.float32))._replace(preferred=np.array([[1.0, 0.0]], np.float32))
    np.testing.assert_allclose(orca.steer(crowd, around, Outlook()), [[1.0, 0.0]])


def test_an_agent_who_could_cross_too_many_cells_in_one_step_is_refused() -> None:
    crowd = crowd_at(np.array([[0.5, 0.5]], np.float32), speed=1_000.0)
    with pytest.raises(Invalid, match="speeds_max of agent 0"):
        orca.steer(crowd, walls_of(["."]), Outlook(dt_s=0.1))
