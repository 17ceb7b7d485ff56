"""Many fields over one map at once, on whatever runs the field network (models/field.onnx).

It knows the network's arrays, not its runtime: an engine is handed in. Imports no numba.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, TooLarge
from app.modules.pathfinding.grids.graph import I32, U8
from app.modules.pathfinding.surfaces import F32

FAR = np.float32(1e9)
"""In steps: what the network takes for no way."""
NONE = 255
"""As fields.NONE."""
SQRT_2 = np.float32(2.0**0.5)
MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0), (1, -1), (1, 1), (-1, 1), (-1, -1))
"""(x, y) by direction, as DX and DY of subgoals.py, which needs numba."""


class FieldEngine(Protocol):
    """What runs the field network: named arrays in and out, in the calling thread."""

    def compute(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]: ...


class Solved(NamedTuple):
    """n fields over one map, without the border."""

    distances: F32
    """(n, rows, columns): steps to the nearest goal, to about one part in 10**6; inf where blocked or not reached."""
    flow: U8
    """(n, rows, columns): the direction to go in, as Field.flow; of ways equal to the last digits any one."""


def solve(engine: FieldEngine, free: U8, cost: F32, stride: int, goals: Sequence[I32], *, cells_max: int) -> Solved:
    """The fields of all sets of goals, each (goals,) int32 of cells, on ground as fields.build takes it.

    Goals on blocked cells do not count. `cells_max` bounds the cells of all fields together; they take some 20
    bytes each. Raises Invalid, TooLarge, and what the engine raises.
    """
    if stride < 3 or free.size % stride or free.size < 3 * stride or cost.size not in (0, free.size):
        raise Invalid(
            f"{free.size!r} cells and {cost.size!r} costs in rows of {stride!r}",
            hint="expected whole rows with a border",
        )
    if len(goals) * free.size > cells_max:
        raise TooLarge(
            f"{len(goals)!r} fields of {free.size!r} cells", hint=f"ask for at most {cells_max} cells in all"
        )
    begin = np.full((len(goals), free.size), FAR, np.float32)
    for index, cells in enumerate(goals):
        if ((cells < 0) | (cells >= free.size)).any():
            raise Invalid(f"goals of field {index!r} are outside the map", hint=f"expected 0 to {free.size - 1}")
        begin[index, cells[free[cells] != 0]] = 0.0
    ground = np.where(free != 0, cost if cost.size else np.float32(1.0), np.float32(1.0)).astype(np.float32)
    wrong = ~((ground > 0.0) & (ground < FAR))
    if wrong.any():
        raise Invalid(f"a cost of {float(ground[wrong][0])!r}", hint=f"expected above 0 and below {FAR:g}")
    if not len(goals):
        rows = free.size // stride - 2
        return Solved(np.empty((0, rows, stride - 2), np.float32), np.empty((0, rows, stride - 2), np.uint8))
    whole = begin.reshape(len(goals), -1, stride)  # (fields, rows + 2, columns + 2)
    inputs = {
        "free": np.ascontiguousarray(_inner(free.reshape(-1, stride)), np.float32),
        "cost": np.ascontiguousarray(_inner(ground.reshape(-1, stride))),
        "distance": np.ascontiguousarray(_inner(whole)),
    }
    _inner(whole)[:] = engine.compute(inputs)["reached"]
    flow = _flow(whole, free.reshape(-1, stride), ground.reshape(-1, stride))
    reached = _inner(whole)
    return Solved(np.where(reached >= FAR, np.float32(np.inf), reached), flow)


def _inner(grid: NDArray[Any], x: int = 0, y: int = 0) -> NDArray[Any]:
    """The grid without its border, (..., rows, columns), seen x columns and y rows farther on."""
    rows, columns = grid.shape[-2] - 2, grid.shape[-1] - 2
    return grid[..., 1 + y : 1 + y + rows, 1 + x : 1 + x + columns]


def _flow(reached: F32, free: U8, ground: F32) -> U8:
    """The first direction whose neighbor offers least, NONE where no offer explains the distance: at goals."""
    here = _inner(reached)  # (fields, rows, columns)
    best = np.full(here.shape, FAR, np.float32)
    flow = np.full(here.shape, NONE, np.uint8)
    for direction, (x, y) in enumerate(MOVES):
        open = _inner(free) & _inner(free, x, y) & _inner(free, x, 0) & _inner(free, 0, y)
        length = SQRT_2 if x and y else np.float32(1.0)
        step = np.where(open != 0, np.float32(0.5) * length * (_inner(ground) + _inner(ground, x, y)), FAR)
        there = _inner(reached, x, y) + step
        better = there < best
        best = np.where(better, there, best)
        flow[better] = direction
    flow[(here <= 0.0) | (best >= FAR)] = NONE
    return flow
