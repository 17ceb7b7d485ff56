"""What a crowd is at one moment, and which numbers may be steered with: plain values and their check.

It knows shapes, units and limits; it does not know how a safe velocity is found.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.surfaces import F32, U8

AGENTS_MAX = 100_000
NEIGHBORS_MAX = 64
COORDINATE_MAX = 1_000_000.0
"""Beyond this, float32 tells places apart by more than 6 cm where a unit is a meter."""
SPEED_MAX = 10_000.0
RADIUS_MIN, RADIUS_MAX = 1e-3, 1_000.0
SECONDS_MIN, SECONDS_MAX = 1e-3, 60.0
STRIDE_MAX = 64.0
"""How many cells an agent may cross in one step where there are walls to look out for."""


class Crowd(NamedTuple):
    """n agents: discs in the plane. Lengths are in cells where there are walls, else in any one unit."""

    positions: F32
    """(n, 2): x, y of the centers."""
    velocities: F32
    """(n, 2): as they move now, in lengths a second."""
    preferred: F32
    """(n, 2): as they would move if they were alone."""
    radii: F32
    """(n,)"""
    speeds_max: F32
    """(n,): no answer is faster."""


class Walls(NamedTuple):
    """The blocked cells of a grid; cell (x, y) covers [x, x + 1) x [y, y + 1)."""

    free: U8
    """(cells,): 1 where an agent's center may be, with a blocked border of one cell."""
    stride: int
    """Cells in a row, border included."""


class Outlook(NamedTuple):
    """How far ahead and around agents look."""

    horizon_s: float = 2.0
    """Agents keep clear of each other for so long."""
    obstacle_horizon_s: float = 0.5
    """They keep clear of walls for so long."""
    neighbors_max: int = 10
    """The nearest that each agent minds."""
    neighbor_radius: float = 3.0
    """Agents farther away are not minded."""
    dt_s: float = 0.1
    """How long the answer is followed; agents that overlap try to part within it."""


def check(crowd: Crowd, walls: Walls | None, outlook: Outlook) -> None:
    """Raise Invalid, naming the field, the agent and its value, unless everything can be steered with."""
    count = len(crowd.positions)
    if count > AGENTS_MAX:
        raise Invalid(f"the crowd has {count!r} agents", hint=f"send at most {AGENTS_MAX}")
    for name, values in crowd._asdict().items():
        shape = (count, 2) if name in ("positions", "velocities", "preferred") else (count,)
        if values.dtype != np.float32 or values.shape != shape:
            raise Invalid(f"{name} are {values.dtype} {values.shape!r}", hint=f"send float32 {shape!r}")
    _check_range("positions", crowd.positions, -COORDINATE_MAX, COORDINATE_MAX)
    _check_range("velocities", crowd.velocities, -SPEED_MAX, SPEED_MAX)
    _check_range("preferred", crowd.preferred, -SPEED_MAX, SPEED_MAX)
    _check_range("radii", crowd.radii, RADIUS_MIN, RADIUS_MAX)
    _check_range("speeds_max", crowd.speeds_max, 0.0, SPEED_MAX)
    _check_outlook(outlook)
    if walls is not None:
        width, height = walls.stride - 2, walls.free.size // walls.stride - 2
        _check_range("positions", crowd.positions[:, 0], 0.0, np.nextafter(np.float32(width), np.float32(0)))
        _check_range("positions", crowd.positions[:, 1], 0.0, np.nextafter(np.float32(height), np.float32(0)))
        _check_range("speeds_max", crowd.speeds_max, 0.0, STRIDE_MAX / outlook.dt_s)


def _check_outlook(outlook: Outlook) -> None:
    for name, value in outlook._asdict().items():
        if name == "neighbors_max":
            least, most = 0.0, float(NEIGHBORS_MAX)
        elif name == "neighbor_radius":
            least, most = RADIUS_MIN, COORDINATE_MAX
        else:
            least, most = SECONDS_MIN, SECONDS_MAX
        if not (math.isfinite(value) and least <= value <= most):
            raise Invalid(f"{name} is {value!r}", hint=f"send {least:g} to {most:g}")


def _check_range(name: str, values: NDArray[np.float32], least: float, most: float) -> None:
    """Raise Invalid at the first agent with a value outside of least .. most, or none at all."""
    if values.size == 0 or (values.min() >= least and values.max() <= most):  # a NaN is neither
        return
    wrong = ~((values >= least) & (values <= most))
    agent = int(np.argmax(wrong.reshape(len(values), -1).any(axis=1)))
    raise Invalid(f"{name} of agent {agent} are {values[agent].tolist()!r}", hint=f"send {least:g} to {most:g}")
