"""A crowd's step without walls: against its slow twin, and what it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.modules.pathfinding.crowds import orca
from app.modules.pathfinding.crowds.crowd import Crowd, Outlook, Walls
from app.modules.pathfinding.surfaces import F32
from tests.modules.pathfinding.crowds import twin

Seeds = st.integers(0, 2**32 - 1)


def crowd_of(seed: int, count: int, spread: float) -> Crowd:
    """Agents anywhere in a square, of several sizes and speeds."""
    random = np.random.default_rng(seed)
    return Crowd(
        random.uniform(0, spread, (count, 2)).astype(np.float32),
        random.uniform(-1, 1, (count, 2)).astype(np.float32),
        random.uniform(-2, 2, (count, 2)).astype(np.float32),
        random.choice([0.2, 0.3, 0.5], count).astype(np.float32),
        random.choice([0.5, 1.5, 2.0], count).astype(np.float32),
    )


def walk(crowd: Crowd, goals: F32, outlook: Outlook, steps: int) -> Crowd:
    """The crowd after `steps` steps, each agent preferring the straight way to its goal."""
    for _ in range(steps):
        ways = goals - crowd.positions
        lengths = np.linalg.norm(ways, axis=1, keepdims=True)
        preferred = (ways * np.minimum(1.0, 1.0 / np.maximum(lengths, 1e-6))).astype(np.float32)
        safe = orca.steer(crowd._replace(preferred=preferred), None, outlook)
        crowd = crowd._replace(positions=crowd.positions + safe * np.float32(outlook.dt_s), velocities=safe)
    return crowd


def standing(positions: list[tuple[float, float]], radius: float = 0.3) -> Crowd:
    spots = np.array(positions, np.float32)
    still = np.zeros_like(spots)
    return Crowd(spots, still, still, np.full(len(spots), radius, np.float32), np.full(len(spots), 1.5, np.float32))


@settings(max_examples=100, deadline=None)
@given(seed=Seeds, count=st.integers(1, 14), spread=st.sampled_from([1.5, 4.0, 8.0]), most=st.integers(0, 12))
def test_every_velocity_is_the_twins_or_no_worse_where_none_is_safe(
    seed: int, count: int, spread: float, most: int
) -> None:
    crowd, outlook = crowd_of(seed, count, spread), Outlook(neighbors_max=most)
    safe = orca.steer(crowd, None, outlook)
    for agent in range(count):
        lines = [twin.line(crowd, agent, other, outlook) for other in twin.nearest(crowd, agent, outlook)]
        speed_max = float(crowd.speeds_max[agent])
        found = (float(safe[agent, 0]), float(safe[agent, 1]))
        assert math.hypot(*found) <= speed_max + 1e-5
        expected = twin.best(lines, twin.wish(crowd, agent, lines), speed_max)
        worst = max((line.violation(found) for line in lines), default=0.0)
        if expected is None:
            assert worst <= twin.least_worst(lines, speed_max) + 2e-4
        elif worst > 1e-4 or math.dist(found, expected) > 1e-3:
            # So little room that rounding decides: then nothing is violated by more than that.
            assert worst <= 1e-4
            assert twin.best([line._replace(least=line.least + 1e-4) for line in lines], found, speed_max) is None


@settings(max_examples=60, deadline=None)
@given(seed=Seeds, count=st.integers(2, 8))
def test_agents_who_find_safe_velocities_do_not_touch_before_their_horizon(seed: int, count: int) -> None:
    crowd, outlook = crowd_of(seed, count, 6.0), Outlook(neighbors_max=12, neighbor_radius=100.0)
    safe = orca.steer(crowd, None, outlook).astype(np.float64)
    happy = []
    for agent in range(count):
        lines = [twin.line(crowd, agent, other, outlook) for other in range(count) if other != agent]
        happy.append(max(line.violation(tuple(safe[agent])) for line in lines) <= 1e-5)
    for one in range(count):
        for other in range(one):
            to = crowd.positions[other].astype(np.float64) - crowd.positions[one]
            reach = float(crowd.radii[one]) + float(crowd.radii[other])
            if happy[one] and happy[other] and math.hypot(*to) > reach:
                relative = safe[one] - safe[other]
                square = float(relative @ relative)
                when = min(max(float(to @ relative) / square, 0.0), outlook.horizon_s) if square > 0 else 0.0
                assert math.hypot(*(to - when * relative)) >= reach - 1e-3


@settings(max_examples=60, deadline=None)
@given(seed=Seeds, count=st.integers(1, 60), lattice=st.booleans())
def test_the_order_of_agents_does_not_matter(seed: int, count: int, lattice: bool) -> None:
    crowd = crowd_of(seed, count, 7.0)
    random = np.random.default_rng(seed)
    if lattice:
        cells = random.permutation(64)[:count]
        spots = np.stack([cells % 8, cells // 8], axis=1).astype(np.float32)
        crowd = crowd._replace(positions=spots)
    order = random.permutation(len(crowd.positions))
    safe = orca.steer(crowd, None, Outlook())
    shuffled = orca.steer(Crowd(*(values[order] for values in crowd)), None, Outlook())
    np.testing.assert_array_equal(safe, orca.steer(crowd, None, Outlook()))
    np.testing.assert_allclose(shuffled, safe[order], atol=1e-5)


def test_an_agent_alone_moves_as_it_prefers_but_no_faster_than_it_may() -> None:
    crowd = standing([(0, 0), (100, 0)])._replace(preferred=np.array([[0.3, -0.4], [30, 40]], np.float32))
    np.testing.assert_allclose(orca.steer(crowd, None, Outlook()), [[0.3, -0.4], [0.9, 1.2]], rtol=1e-6)


def test_nobody_at_all_is_steered_to_nothing() -> None:
    none = np.empty((0, 2), np.float32)
    assert orca.steer(Crowd(none, none, none, none[:, 0], none[:, 0]), None, Outlook()).shape == (0, 2)


def test_two_agents_who_meet_exactly_head_on_pass_each_other() -> None:
    crowd, goals = standing([(0, 0), (8, 0)]), np.array([[8, 0], [0, 0]], np.float32)
    closest = math.inf
    for _ in range(200):
        crowd = walk(crowd, goals, Outlook(), 1)
        closest = min(closest, math.dist(*crowd.positions.tolist()))
    np.testing.assert_allclose(crowd.positions, goals, atol=0.05)
    assert closest >= 0.6 - 1e-3


def test_a_ring_of_agents_who_all_cross_its_middle_gets_through_without_touching() -> None:
    angles = np.arange(16) * (2 * math.pi / 16)
    crowd = standing([(6 * math.cos(angle), 6 * math.sin(angle)) for angle in angles])
    goals, closest = -crowd.positions, math.inf
    for _ in range(500):
        crowd = walk(crowd, goals, Outlook(), 1)
        gaps = np.linalg.norm(crowd.positions[:, None] - crowd.positions[None], axis=2) + 9 * np.eye(16)
        closest = min(closest, float(gaps.min()))
    np.testing.assert_allclose(crowd.positions, goals, atol=0.1)
    assert closest >= 0.55


def test_agents_who_stand_on_one_another_part() -> None:
    crowd = standing([(3, 3)] * 6 + [(3.05, 3)])
    crowd = walk(crowd, crowd.positions, Outlook(), 60)
    gaps = np.linalg.norm(crowd.positions[:, None] - crowd.positions[None], axis=2) + 9 * np.eye(7)
    assert gaps.min() >= 0.58


def test_thousands_on_one_spot_and_far_corners_are_steered() -> None:
    spots = [(5.0, 5.0)] * 3_000 + [(-1e6, 1e6), (1e6, 1e6), (1e6, -1e6)]
    safe = orca.steer(standing(spots), None, Outlook())
    assert np.isfinite(safe).all()
    assert (safe[-3:] == 0).all()
    assert (np.linalg.norm(safe[:3_000], axis=1) > 0).mean() > 0.99


@pytest.mark.parametrize("field", ["positions", "velocities", "preferred", "radii", "speeds_max"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_by_name(field: str, wrong: float) -> None:
    crowd = standing([(0, 0), (1, 0), (2, 0)])
    values = getattr(crowd, field).copy()
    values[1] = wrong
    with pytest.raises(Invalid, match=f"{field} of agent 1"):
        orca.steer(crowd._replace(**{field: values}), None, Outlook())


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("horizon_s", 0.0), ("obstacle_horizon_s", math.nan), ("dt_s", math.inf), ("dt_s", -0.1), ("neighbors_max", 65),
     ("neighbors_max", -1), ("neighbor_radius", 0.0), ("neighbor_radius", math.inf)],
)  # fmt: skip
def test_an_outlook_out_of_range_is_refused_by_name(field: str, wrong: float) -> None:
    with pytest.raises(Invalid, match=f"{field} is"):
        orca.steer(standing([(0, 0)]), None, Outlook()._replace(**{field: wrong}))


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    crowd = standing([(0, 0), (1, 0)])
    with pytest.raises(Invalid, match="radii are float32"):
        orca.steer(crowd._replace(radii=crowd.radii[:1]), None, Outlook())
    with pytest.raises(Invalid, match="velocities are float64"):
        orca.steer(crowd._replace(velocities=crowd.velocities.astype(np.float64)), None, Outlook())


def test_agents_outside_the_walls_are_refused() -> None:
    walls = Walls(np.pad(np.ones((2, 3), np.uint8), 1).ravel(), 5)
    for spot in ((3.0, 1.0), (1.0, 2.0), (-0.1, 1.0)):
        with pytest.raises(Invalid, match="positions of agent 0"):
            orca.steer(standing([spot]), walls, Outlook())
