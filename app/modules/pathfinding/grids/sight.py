"""Lines of sight over a grid, and legal paths pulled straight along them.

A line is clear when every cell whose interior it crosses is free and, where it passes exactly through
the corner of four cells, the two beside it are free too. So a straight or diagonal walk is clear
exactly when it is legal, and no line squeezes between two blocked cells. All in integers, hence exact.
It knows cells and lines; it does not know how paths are found, nor the size of who walks them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import F64, I16, I32, I64, U8
from app.modules.pathfinding.grids.subgoals import DX, DY

F32 = NDArray[np.float32]

PARTS = 256
"""Points are rounded down to this part of a cell."""
COORDINATE_MAX = 1_000_000.0
SWEEPS_MAX = 16
"""A path is pulled taut in so many sweeps at most; nearly all need two or three."""
UNIFORM = np.empty(0, np.float32)
"""In place of costs where every cell costs 1."""
CLOSE = 1e-9
"""What saves less is left as it is."""


class Rays(NamedTuple):
    """How far n lines of sight reach."""

    clear: U8
    """(n,): 1 where the line reaches its end."""
    cells: I16
    """(n, 2): the last free cell on the line, x and y; (-1, -1) where it starts on none."""
    points: F32
    """(n, 2): where the line leaves that cell, or its end; NaN where it starts on no free cell."""


class Smoothed(NamedTuple):
    """Paths of straight legs at any angle."""

    cost: F64
    """(n,): length, or what the ground costs along it; NaN where there is no path."""
    offsets: I32
    """(n + 1,): the waypoints of path i are rows offsets[i] .. offsets[i + 1]."""
    waypoints: I16
    """(m, 2): x, y. Each leg is clear from one cell's center to the next one's."""


def cast(free: U8, stride: int, lines: F32) -> Rays:
    """Follow lines (n, 4) float32 of x, y to x, y, in cells; cell (x, y) covers [x, x + 1) x [y, y + 1).

    `free` (cells,) uint8 has a blocked border. A line along an edge lies in the cell right of or below it.
    Raises Invalid when a coordinate is not finite or beyond COORDINATE_MAX.
    """
    wrong = ~(np.abs(lines) <= COORDINATE_MAX)  # a NaN is not
    if wrong.any():
        row = int(wrong.any(axis=1).argmax())
        raise Invalid(
            f"line {row} is {lines[row].tolist()!r}", hint=f"send finite coordinates up to {COORDINATE_MAX:g}"
        )
    count = len(lines)
    rays = Rays(np.zeros(count, np.uint8), np.full((count, 2), -1, np.int16), np.full((count, 2), np.nan, np.float32))
    cast_rays(free, UNIFORM, stride, lines, rays)
    return rays


@compiled
def cast_rays(free: U8, uniform: F32, stride: int, lines: F32, rays: Rays) -> None:
    """Fill `rays`, which say so far that each line starts on no free cell, for lines that `cast` has checked."""
    clear, cells, points = rays
    for ray in range(lines.shape[0]):
        x, y = math.floor(lines[ray, 0] * PARTS), math.floor(lines[ray, 1] * PARTS)
        to_x, to_y = math.floor(lines[ray, 2] * PARTS), math.floor(lines[ray, 3] * PARTS)
        column, row = x // PARTS, y // PARTS
        if column < 0 or row < 0 or column >= stride - 2 or row >= free.size // stride - 2:
            continue
        if free[(row + 1) * stride + column + 1] == 0:
            continue
        column, row, share, _ = trace(free, uniform, stride, x, y, to_x, to_y)
        clear[ray] = share == 1.0
        cells[ray, 0] = column
        cells[ray, 1] = row
        points[ray, 0] = (x + (to_x - x) * share) / PARTS
        points[ray, 1] = (y + (to_y - y) * share) / PARTS


@compiled
def trace(free: U8, costs: F32, stride: int, x: int, y: int, to_x: int, to_y: int) -> tuple[int, int, float, float]:
    """Follow a line, in parts of cells, from a point on a free cell of the map.

    The last free cell's column and row, the share of the line up to where it leaves that cell (1.0:
    it is clear), and what that share costs by `costs` (cells,) where the whole line is one cell long.
    """
    column, row = x // PARTS, y // PARTS
    wide, tall = abs(to_x - x), abs(to_y - y)
    aside = 1 if to_x > x else -1
    down = 1 if to_y > y else -1
    columns, rows = abs(to_x // PARTS - column), abs(to_y // PARTS - row)
    across = (column + 1) * PARTS - x if aside > 0 else x - column * PARTS
    along = (row + 1) * PARTS - y if down > 0 else y - row * PARTS
    cell = (row + 1) * stride + column + 1
    before = 0.0
    weight = 0.0
    while columns > 0 or rows > 0:
        # Which edge comes first: across / wide against along / tall, without dividing.
        order = across * tall - along * wide
        if rows == 0:
            order = -1
        elif columns == 0:
            order = 1
        share = across / wide if order <= 0 else along / tall
        if costs.size > 0:
            weight += (share - before) * costs[cell]
            before = share
        if order == 0 and (free[cell + aside] == 0 or free[cell + down * stride] == 0):
            return column, row, share, weight
        ahead = cell + (aside if order <= 0 else 0) + (down * stride if order >= 0 else 0)
        if free[ahead] == 0:
            return column, row, share, weight
        cell = ahead
        if order <= 0:
            across += PARTS
            column += aside
            columns -= 1
        if order >= 0:
            along += PARTS
            row += down
            rows -= 1
    if costs.size > 0:
        weight += (1.0 - before) * costs[cell]
    return column, row, 1.0, weight


@inlined
def sees(free: U8, stride: int, cell: int, wide: int, tall: int) -> bool:
    """Whether the line from a free cell's center to the center `wide` columns and `tall` rows on is clear.

    What `trace` says of it, but quicker: in halves of cells, and nothing else is kept.
    """
    aside = 1 if wide > 0 else -1
    down = stride if tall > 0 else -stride
    wide, tall = abs(wide), abs(tall)
    order = tall - wide
    left = wide + tall
    while left > 0:
        left -= 1
        if order < 0:
            cell += aside
            order += 2 * tall
        elif order > 0:
            cell += down
            order -= 2 * wide
        else:
            if free[cell + aside] == 0 or free[cell + down] == 0:
                return False
            cell += aside + down
            order += 2 * (tall - wide)
            left -= 1
        if free[cell] == 0:
            return False
    return True


class Pull(NamedTuple):
    """One path while it is pulled: columns and rows of its waypoints, without border, and of its legs' costs."""

    xs: I64
    ys: I64
    legs: F64
    """What the leg from each waypoint to the next costs."""
    moved: U8
    """1 where a waypoint is not where it was in the last sweep, or its neighbor was another one."""


def smooth(free: U8, costs: F32 | None, stride: int, offsets: I32, waypoints: I16) -> Smoothed:
    """Pull legal paths taut.

    Paths are given by `offsets` (n + 1,) and `waypoints` (m, 2) as Answers gives them, their legs being clear.
    `costs` (cells,) is what a straight step costs on each cell, None where that is 1 everywhere. No
    path becomes dearer than it was. Who sees the end goes there straight; else waypoints that see past
    each other are dropped and the others moved to where the path is cheaper, until nothing changes.
    """
    count = len(offsets) - 1
    room = Smoothed(np.full(count, np.nan), np.zeros(count + 1, np.int32), np.empty_like(waypoints))
    longest = int(np.diff(offsets).max(initial=0))
    spots, legs = np.empty((2, longest), np.int64), np.empty(longest, np.float64)
    pull = Pull(spots[0], spots[1], legs, np.empty(longest, np.uint8))
    total = smooth_paths(free, UNIFORM if costs is None else costs, stride, offsets, waypoints, room, pull)
    return room._replace(waypoints=room.waypoints[:total].copy())


@compiled
def smooth_paths(free: U8, costs: F32, stride: int, offsets: I32, waypoints: I16, room: Smoothed, pull: Pull) -> int:
    """Write what `smooth` answers to `room`; how many waypoints there are."""
    cost, after, kept = room
    count = offsets.size - 1
    total = 0
    for path in range(count):
        size = offsets[path + 1] - offsets[path]
        if size > 0:
            cost[path] = 0.0
        for point in range(size):
            pull.xs[point] = waypoints[offsets[path] + point, 0]
            pull.ys[point] = waypoints[offsets[path] + point, 1]
            pull.moved[point] = 1
        whole = 0.0
        for point in range(size - 1):
            pull.legs[point] = _price(
                free, costs, stride, pull.xs[point], pull.ys[point], pull.xs[point + 1], pull.ys[point + 1]
            )
            whole += pull.legs[point]
        if size > 2:
            last = size - 1
            straight = _price(free, costs, stride, pull.xs[0], pull.ys[0], pull.xs[last], pull.ys[last])
            if straight <= whole + CLOSE:
                pull.legs[0] = straight
                pull.xs[1], pull.ys[1] = pull.xs[last], pull.ys[last]
                size = 2
        for _ in range(SWEEPS_MAX):
            size = _drop(free, costs, stride, pull, size)
            if not _bend(free, costs, stride, pull, size):
                break
        for point in range(size):
            kept[total + point, 0] = pull.xs[point]
            kept[total + point, 1] = pull.ys[point]
            if point + 1 < size:
                cost[path] += pull.legs[point]
        total += size
        after[path + 1] = total
    return total


@compiled
def _price(free: U8, costs: F32, stride: int, x: int, y: int, to_x: int, to_y: int) -> float:
    """What the line between two cells' centers costs, infinite where it is not clear."""
    wide, tall = to_x - x, to_y - y
    if costs.size == 0:
        clear = sees(free, stride, (y + 1) * stride + x + 1, wide, tall)
        return math.sqrt(wide * wide + tall * tall) if clear else np.inf
    half = PARTS // 2
    _, _, share, weight = trace(
        free, costs, stride, x * PARTS + half, y * PARTS + half, to_x * PARTS + half, to_y * PARTS + half
    )
    return weight * math.sqrt(wide * wide + tall * tall) if share == 1.0 else np.inf


@inlined
def _drop(free: U8, costs: F32, stride: int, pull: Pull, size: int) -> int:
    """Drop waypoints whose neighbors see each other at no greater cost; how many are left."""
    xs, ys, legs, moved = pull
    kept = 0
    for point in range(size):
        xs[kept], ys[kept], legs[kept], moved[kept] = xs[point], ys[point], legs[point], moved[point]
        kept += 1
        while kept > 2 and (moved[kept - 3] | moved[kept - 2] | moved[kept - 1]) != 0:
            price = _price(free, costs, stride, xs[kept - 1], ys[kept - 1], xs[kept - 3], ys[kept - 3])
            if price > legs[kept - 3] + legs[kept - 2] + CLOSE:
                break
            legs[kept - 3] = price
            xs[kept - 2], ys[kept - 2], legs[kept - 2] = xs[kept - 1], ys[kept - 1], legs[kept - 1]
            moved[kept - 3] = 1
            moved[kept - 2] = 1
            kept -= 1
    return kept


@inlined
def _bend(free: U8, costs: F32, stride: int, pull: Pull, size: int) -> bool:
    """Move each waypoint between its neighbors to where the legs to them are cheapest; whether any moved.

    It goes in the eight directions, in steps that double while they help.
    """
    xs, ys, legs, moved = pull
    any_moved = False
    before = moved[0] if size > 0 else 0
    for point in range(1, size - 1):
        due = before | moved[point] | moved[point + 1] | moved[point - 1]
        before = moved[point]
        moved[point] = 0
        if due == 0:
            continue
        step = 1
        while step > 0:
            helped = False
            for way in range(8):
                x = xs[point] + step * DX[way]
                y = ys[point] + step * DY[way]
                if x < 0 or y < 0 or x >= stride - 2 or y >= free.size // stride - 2:
                    continue
                if free[(y + 1) * stride + x + 1] == 0:
                    continue
                best = legs[point - 1] + legs[point] - CLOSE
                if costs.size == 0:
                    in_x, in_y, out_x, out_y = (
                        x - xs[point - 1],
                        y - ys[point - 1],
                        x - xs[point + 1],
                        y - ys[point + 1],
                    )
                    if math.sqrt(in_x * in_x + in_y * in_y) + math.sqrt(out_x * out_x + out_y * out_y) >= best:
                        continue
                first = _price(free, costs, stride, x, y, xs[point - 1], ys[point - 1])
                if first >= best:
                    continue
                second = _price(free, costs, stride, x, y, xs[point + 1], ys[point + 1])
                if first + second < best:
                    legs[point - 1] = first
                    legs[point] = second
                    xs[point] = x
                    ys[point] = y
                    helped = True
                    break
            if helped:
                moved[point] = 1
                any_moved = True
                step *= 2
            else:
                step //= 2
    if size > 0:
        moved[0] = 0
        moved[size - 1] = 0
    return any_moved
