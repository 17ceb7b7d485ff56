"""What a class of agents walks on, against a look at every covered cell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.modules.pathfinding.formats.agents import ground
from app.modules.pathfinding.surfaces import AgentClass, Surface, Terrain

TERRAINS = (Terrain("blocked", math.inf), Terrain("ground", 1.0), Terrain("swamp", 2.5), Terrain("water", math.inf))


@st.composite
def surfaces(draw: st.DrawFn) -> Surface:
    """Up to three layers of noise, some with multipliers."""
    layers, height, width = draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    blocked = draw(st.sampled_from([0.02, 0.1, 0.3]))
    shares = [blocked, 0.8 - blocked, 0.15, 0.05]
    terrain = random.choice(4, (layers * (height + 1) - 1, width), p=shares).astype(np.uint8)
    terrain[height :: height + 1] = 0
    scale = (random.integers(1, 9, terrain.shape) / 4).astype(np.float32) if draw(st.booleans()) else None
    return Surface(terrain, TERRAINS, scale, layers=layers)


agents = st.builds(
    AgentClass,
    size=st.integers(1, 5),
    costs=st.sampled_from([{}, {"water": 3.0}, {"swamp": 1.0}, {"swamp": 0.5, "ground": 0.5}]),
    forbidden=st.sampled_from([(), ("swamp",), ("ground",)]),
)


def covered(agent: AgentClass, x: int, y: int) -> list[tuple[int, int]]:
    """The cells that an agent covers at a cell."""
    reach = range(-((agent.size - 1) // 2), agent.size // 2 + 1)
    return [(x + dx, y + dy) for dy in reach for dx in reach]


def cost_at(surface: Surface, agent: AgentClass, x: int, y: int) -> float:
    """What a cell costs the class; infinite where it may not walk."""
    rows, columns = surface.terrain.shape
    if not (0 <= x < columns and 0 <= y < rows) or surface.terrain[y, x] == 0:
        return math.inf
    terrain = surface.terrains[surface.terrain[y, x]]
    if terrain.name in agent.forbidden:
        return math.inf
    return agent.costs.get(terrain.name, terrain.cost) * (1.0 if surface.scale is None else surface.scale[y, x])


@settings(max_examples=150, deadline=None)
@given(surface=surfaces(), agent=agents)
def test_the_ground_equals_a_look_at_every_covered_cell(surface: Surface, agent: AgentClass) -> None:
    free, cost, stride, uniform = ground(surface, agent)
    rows, columns = surface.terrain.shape
    assert (stride, free.shape, free.dtype) == (columns + 2, ((rows + 2) * stride,), np.uint8)
    expected = [
        [max(cost_at(surface, agent, *cell) for cell in covered(agent, x, y)) for x in range(-1, columns + 1)]
        for y in range(-1, rows + 1)
    ]
    assert (free.reshape(-1, stride) == np.isfinite(expected)).all()
    found = [value for row in expected for value in row if math.isfinite(value)]
    if cost is None:
        assert all(value == pytest.approx(uniform, rel=1e-6) for value in found)
    else:
        assert len(set(found)) > 1
        assert (cost.dtype, uniform) == (np.float32, pytest.approx(min(found), rel=1e-6))
        np.testing.assert_allclose(cost.reshape(-1, stride), np.where(np.isfinite(expected), expected, 0.0), rtol=1e-6)


@settings(max_examples=150, deadline=None)
@given(surface=surfaces(), size=st.integers(2, 3))
def test_an_agent_that_moves_by_legal_steps_never_covers_a_blocked_cell(surface: Surface, size: int) -> None:
    agent = AgentClass(size=size)
    free, _, stride, _ = ground(surface, agent)
    grid = free.reshape(-1, stride)
    for y, x in np.argwhere(grid).tolist():
        for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)):
            if grid[y + dy, x + dx] and grid[y, x + dx] and grid[y + dy, x]:
                for part in (0.0, 0.25, 0.5, 0.75, 1.0):
                    left, top = x - 1 - (size - 1) // 2 + part * dx, y - 1 - (size - 1) // 2 + part * dy
                    for column in range(math.floor(left), math.ceil(left + size)):
                        for row in range(math.floor(top), math.ceil(top + size)):
                            assert math.isfinite(cost_at(surface, agent, column, row))


def test_a_layer_is_not_left_over_its_edge() -> None:
    terrain = np.array([[1, 1], [1, 1], [0, 0], [1, 1], [1, 1]], np.uint8)
    free, _, stride, _ = ground(Surface(terrain, TERRAINS, None, layers=2), AgentClass(size=2))
    assert np.argwhere(free.reshape(-1, stride)).tolist() == [[1, 1], [4, 1]]


def test_one_cost_everywhere_needs_no_costs() -> None:
    terrain = np.array([[1, 2, 0]], np.uint8)
    assert ground(Surface(terrain, TERRAINS, None), AgentClass()).cost is not None
    free, cost, _, uniform = ground(Surface(terrain, TERRAINS, None), AgentClass(costs={"ground": 2.5}))
    assert (int(free.sum()), cost, uniform) == (2, None, 2.5)
    assert ground(Surface(terrain, TERRAINS, None), AgentClass(forbidden=("swamp",)))[1:] == (None, 5, 1.0)
    assert ground(Surface(terrain * 0, TERRAINS, None), AgentClass())[1:] == (None, 5, 1.0)


@pytest.mark.parametrize("agent", [AgentClass(costs={"swmp": 2.0}), AgentClass(forbidden=("swmp",))])
def test_an_unknown_terrain_is_refused_with_the_nearest_known(agent: AgentClass) -> None:
    with pytest.raises(Invalid, match="'swmp'") as caught:
        ground(Surface(np.ones((1, 1), np.uint8), TERRAINS, None), agent)
    assert caught.value.hint == "did you mean 'swamp'?"


def test_a_cost_for_the_blocked_terrain_is_refused() -> None:
    with pytest.raises(Invalid, match="terrain 'blocked' has a cost"):
        ground(Surface(np.ones((1, 1), np.uint8), TERRAINS, None), AgentClass(costs={"blocked": 2.0}))


def test_costs_that_are_out_of_range_together_are_refused_with_the_cell() -> None:
    surface = Surface(np.ones((2, 3), np.uint8), TERRAINS, np.array([[1, 1, 1], [1, 2, 1]], np.float32))
    with pytest.raises(Invalid, match=r"'ground' costs 1200.0 at cell \(1, 1\)"):
        ground(surface, AgentClass(costs={"ground": 600.0}))
    with pytest.raises(Invalid, match=r"'ground' costs 0.0001"):
        ground(surface, AgentClass(costs={"ground": 0.0001}))
