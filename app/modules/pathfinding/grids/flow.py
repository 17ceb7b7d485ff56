"""Reading a flow field: which way agents go from where they stand, and how far it is.

It knows one field and points in it; steering around other agents is not its concern.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.fields import NONE, Field, ways
from app.modules.pathfinding.grids.graph import U8
from app.modules.pathfinding.grids.subgoals import DX, DY, STRAIGHT
from app.modules.pathfinding.surfaces import F32

SQRT_HALF = 0.5**0.5
CORNER = 1e-3
"""A way that leaves a cell this close to its corner, in cells, counts as leaving through it."""


class Sampled(NamedTuple):
    """What a field says at n points."""

    directions: F32
    """(n, 2): x and y of a unit vector; (0, 0) on a goal and where no goal is reached from."""
    distances: F32
    """(n,): steps from the middle of the point's cell to the nearest goal; inf where none is reached."""


def sample(field: Field, points: F32) -> Sampled:
    """Directions and distances at `points`, (n, 2) float32 of x, y in cells without the border.

    Cell (x, y) covers x .. x + 1, y .. y + 1; its middle is (x + 0.5, y + 0.5), and there the direction is its own.
    Between the middles directions are blended bilinearly, except that a direction never leads out of the
    point's cell into a blocked one: then it is the cell's own. Points outside the map are not reached.
    """
    return Sampled(*_sample(field, points))


def packed(directions: F32) -> NDArray[np.int8]:
    """Directions in two bytes each, (n, 2) int8: 127 is 1."""
    small: NDArray[np.int8] = np.rint(directions * 127.0).astype(np.int8)
    return small


@inlined
def _toward(flow: U8, cell: int) -> tuple[float, float]:
    """The unit vector of a cell's direction, (0, 0) where it has none."""
    way = flow[cell]
    some = way != NONE
    place = way & 7
    length = SQRT_HALF if place >= 4 else 1.0
    return DX[place] * length * some, DY[place] * length * some


@compiled
def _sample(field: Field, points: F32) -> tuple[F32, F32]:
    reach, stride = field.reach, field.stride
    width = stride - 2
    height = reach.size // stride - 2
    directions = np.zeros((points.shape[0], 2), np.float32)
    distances = np.full(points.shape[0], np.inf, np.float32)
    for index in range(points.shape[0]):
        x = np.float64(points[index, 0])
        y = np.float64(points[index, 1])
        if not (x >= 0.0 and x < width and y >= 0.0 and y < height):
            continue
        cell = (int(y) + 1) * stride + int(x) + 1
        if reach[cell] < 0.0 or reach[cell] == np.inf:
            continue
        distances[index] = reach[cell] / STRAIGHT
        if field.flow[cell] == NONE:
            continue
        ahead_x, ahead_y = _blend(field, cell, x - int(x), y - int(y))
        if _hits(reach, stride, cell, x - int(x), y - int(y), ahead_x, ahead_y):
            ahead_x, ahead_y = _toward(field.flow, cell)
        directions[index, 0] = ahead_x
        directions[index, 1] = ahead_y
    return directions, distances


@compiled
def _blend(field: Field, cell: int, x: float, y: float) -> tuple[float, float]:
    """The mean direction of the four cells around a point, which lies at (x, y), 0 to 1, inside `cell`.

    Cells count by their share of a cell around the point, where a step leads there and on from there;
    a goal's direction is that to its middle. Where they cancel out, the direction is the cell's own.
    """
    reach, flow, stride = field.reach, field.flow, field.stride
    own_x, own_y = _toward(flow, cell)
    side_x = 1 if x >= 0.5 else -1
    side_y = 1 if y >= 0.5 else -1
    share_x = abs(x - 0.5)
    share_y = abs(y - 0.5)
    open = ways(reach, cell, stride)
    sum_x = own_x * (1.0 - share_x) * (1.0 - share_y)
    sum_y = own_y * (1.0 - share_x) * (1.0 - share_y)
    for direction in range(8):
        dx = DX[direction]
        dy = DY[direction]
        other = cell + dx + dy * stride
        if (dx != 0 and dx != side_x) or (dy != 0 and dy != side_y) or not open >> direction & 1:
            continue
        if reach[other] < 0.0 or reach[other] == np.inf:
            continue
        share = (share_x if dx != 0 else 1.0 - share_x) * (share_y if dy != 0 else 1.0 - share_y)
        to_x, to_y = _toward(flow, other)
        if flow[other] == NONE:
            to_x = dx + 0.5 - x
            to_y = dy + 0.5 - y
            length = max((to_x * to_x + to_y * to_y) ** 0.5, 1e-9)
            to_x /= length
            to_y /= length
        sum_x += share * to_x
        sum_y += share * to_y
    length = (sum_x * sum_x + sum_y * sum_y) ** 0.5
    if length < 1e-3:
        return own_x, own_y
    return sum_x / length, sum_y / length


@inlined
def _hits(reach: NDArray[np.float64], stride: int, cell: int, x: float, y: float, dx: float, dy: float) -> bool:
    """Whether the way from (x, y) inside `cell` along (dx, dy) leaves the cell into a blocked one."""
    side_x = 1 if dx > 0.0 else -1
    side_y = stride if dy > 0.0 else -stride
    steps_x = ((1.0 - x) if dx > 0.0 else x) / max(abs(dx), 1e-12)
    steps_y = ((1.0 - y) if dy > 0.0 else y) / max(abs(dy), 1e-12)
    corner = abs(steps_x - steps_y) <= CORNER
    bad_x = (reach[cell + side_x] < 0.0) & ((steps_x <= steps_y) | corner)
    bad_y = (reach[cell + side_y] < 0.0) & ((steps_y <= steps_x) | corner)
    return bool(bad_x | bad_y | (corner & (reach[cell + side_x + side_y] < 0.0)))
