"""What clients write and read, as arrays: places, numbers, flags, ways. Pure.

It knows packed layouts and lists and their limits; it does not know file formats, does not search and keeps nothing.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, TooLarge
from app.modules.pathfinding.grids.graph import I32
from app.modules.pathfinding.grounds import Kind, Paths, Spots
from app.modules.pathfinding.messages import RUNGS, STATUSES, Found, Places, Shape, Status
from app.modules.pathfinding.settings import Settings

SIZES = {
    "cells": (4, "x and y as little-endian int16"),
    "points": (12, "x, y and z as little-endian float32"),
}


def read_places(name: str, places: Places, kind: Kind) -> Spots:
    """The places of a request: (n, 2) int16 cells or (n, 3) float32 points.

    Raises Invalid when packed bytes do not divide into places, and where a listed one is none.
    """
    if isinstance(places, bytes):
        size, what = SIZES[kind]
        if len(places) % size:
            raise Invalid(f"{name} has {len(places)!r} bytes", hint=f"send {size} bytes for each: {what}")
        return _points(name, np.frombuffer(places, "<f4")) if kind == "points" else _cells(np.frombuffer(places, "<i2"))
    wide = 3 if kind == "points" else 2
    for index, place in enumerate(places):
        if len(place) != wide or (kind == "cells" and not all(_is_cell(value) for value in place)):
            expected = "[x, y, z], as this is a navmesh" if kind == "points" else "[x, y], whole numbers within int16"
            raise Invalid(f"{name}[{index}] is {list(place)!r}", hint=f"expected {expected}")
    if kind == "points":
        return _points(name, np.array(places, np.float32))
    return _cells(np.array(places, np.int16))


def read_points(name: str, points: Places) -> NDArray[np.float32]:
    """Points in cells, (n, 2) float32, packed or listed; raises Invalid."""
    if isinstance(points, bytes):
        return read_vectors(name, points)
    for index, point in enumerate(points):
        if len(point) != 2:
            raise Invalid(f"{name}[{index}] is {list(point)!r}", hint="expected [x, y]")
    return np.array(points, np.float32).reshape(-1, 2)


def _is_cell(value: float) -> bool:
    return value == int(value) and -32_768 <= value <= 32_767


def _cells(values: NDArray[Any]) -> Spots:
    return np.array(values.reshape(-1, 2), np.int16, order="C")  # a copy: kernels know no read-only arrays


def _points(name: str, values: NDArray[Any]) -> Spots:
    points = np.array(values.reshape(-1, 3), np.float32, order="C")  # a copy: kernels know no read-only arrays
    wrong = np.argwhere(~np.isfinite(points))
    if len(wrong):
        row = int(wrong[0, 0])
        raise Invalid(f"{name}[{row}] is {points[row].tolist()!r}", hint="send finite numbers")
    return points


def read_vectors(name: str, data: bytes, count: int | None = None) -> NDArray[np.float32]:
    """Packed pairs of finite float32, (n, 2); raises Invalid, also when there are not `count`."""
    if len(data) % 8 or (count is not None and len(data) != 8 * count):
        expected = "8 bytes for each: x and y as little-endian float32" + (f", {count} in all" if count else "")
        raise Invalid(f"{name} has {len(data)!r} bytes", hint=f"send {expected}")
    return _finite(name, np.frombuffer(data, "<f4").reshape(-1, 2))


def read_numbers(name: str, data: bytes, count: int) -> NDArray[np.float32]:
    """Packed finite float32, (count,), from one for each or one for all; raises Invalid."""
    if len(data) not in (4, 4 * count):
        raise Invalid(f"{name} has {len(data)!r} bytes", hint=f"send one little-endian float32, or {count} of them")
    values = _finite(name, np.frombuffer(data, "<f4"))
    if (values < 0).any():
        raise Invalid(f"{name}[{int(np.argmin(values))}] is {float(values.min())!r}", hint="send no negative number")
    return np.ascontiguousarray(np.broadcast_to(values, count))


def _finite(name: str, values: NDArray[Any]) -> NDArray[np.float32]:
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row = int(wrong[0, 0])
        raise Invalid(f"{name}[{row}] is {values[row].tolist()!r}", hint="send finite numbers")
    return np.array(values, np.float32, order="C")


def check_pairs(starts: Spots, goals: Spots) -> None:
    """Raise Invalid when there is not one goal for each start."""
    if len(starts) != len(goals):
        raise Invalid(f"{len(starts)} starts and {len(goals)} goals", hint="send one goal for each start")


def check_count(count: int, listed: bool, limits: Settings) -> None:
    """Raise TooLarge when a request has more queries than one request may."""
    most = limits.lists_pairs_max if listed else limits.pairs_max
    if count > most:
        raise TooLarge(
            f"{count!r} queries in one request",
            hint=f"send at most {most}" + (f", or {limits.pairs_max} packed both ways" if listed else ""),
        )


def read_cost(max_cost: float | None) -> float:
    """The greatest cost asked for, infinite where none is; raises Invalid."""
    if max_cost is None:
        return math.inf
    if not math.isfinite(max_cost) or max_cost < 0:
        raise Invalid(f"max_cost is {max_cost!r}", hint="send a finite number of steps from 0 on, or leave it out")
    return max_cost


def region_of(labels: I32, stride: int, name: str, cell: Spots | None) -> int:
    """The region that a cell (1, 2) lies in, 0 without a cell; raises Invalid when one cannot stand there."""
    if cell is None:
        return 0
    x, y = cell[0].tolist()
    width, height = stride - 2, labels.size // stride - 2
    if not (0 <= x < width and 0 <= y < height):
        raise Invalid(f"{name} {(x, y)!r} is outside the map", hint=f"the map has {width} x {height} cells")
    region = int(labels[(y + 1) * stride + x + 1])
    if region == 0:
        raise Invalid(f"{name} {(x, y)!r} is blocked", hint="ask path.nearest for a passable cell")
    return region


def same_region(labels: I32, stride: int, starts: Spots, goals: Spots) -> NDArray[np.bool_]:
    """Whether a way exists from each start to its goal, (n,); cells outside the map are never reachable."""
    here, there = labels_at(labels, stride, starts), labels_at(labels, stride, goals)
    flags: NDArray[np.bool_] = (here == there) & (here > 0)
    return flags


def labels_at(labels: I32, stride: int, cells: Spots) -> I32:
    """The region of each cell (n, 2), 0 where one cannot stand and outside the map."""
    x, y = cells[:, 0].astype(np.int64), cells[:, 1].astype(np.int64)
    inside = (x >= 0) & (x < stride - 2) & (y >= 0) & (y < labels.size // stride - 2)
    return np.where(inside, labels[np.where(inside, (y + 1) * stride + x + 1, 0)], 0)


def candidates(labels: I32, stride: int, region: int, around: Spots | None, radius: float) -> Spots:
    """The cells of a region (0: of any), or those of them within `radius` of `around`; (n, 2) in row order."""
    grid = labels.reshape(-1, stride)[1:-1, 1:-1]  # (height, width)
    left = top = 0
    if around is not None:
        x0, y0 = around[0].tolist()
        reach = math.floor(radius)
        left, top = max(x0 - reach, 0), max(y0 - reach, 0)
        grid = grid[top : max(y0 + reach + 1, 0), left : max(x0 + reach + 1, 0)]
    y, x = np.nonzero(grid == region if region else grid)
    x, y = x + left, y + top
    if around is not None:
        near = (x - x0) ** 2 + (y - y0) ** 2 <= radius * radius
        x, y = x[near], y[near]
    return np.stack([x, y], axis=1).astype(np.int16)


def draw(cells: Spots, count: int, seed: int) -> Spots:
    """`count` of the cells, with repetition, the same for the same seed; (-1, -1) when there are none."""
    if len(cells) == 0:
        return np.full((count, 2), -1, np.int16)
    return cells[np.random.default_rng(seed).integers(0, len(cells), count)]


def pack_places(places: Spots, format: Shape) -> bytes | tuple[tuple[float, ...], ...]:
    """Cells or points (n, k) as the client asked for them."""
    return pack(places) if format == "packed" else _listed(places)


def pack(values: NDArray[Any]) -> bytes:
    """An array as little-endian bytes of its own kind."""
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def _listed(places: Spots) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, places.tolist()))


def pack_flags(flags: NDArray[np.bool_], format: Shape) -> bytes | tuple[bool, ...]:
    """Truths (n,) as the client asked for them."""
    return flags.astype(np.uint8).tobytes() if format == "packed" else tuple(flags.tolist())


def pack_numbers(values: NDArray[Any], format: Shape) -> bytes | tuple[float | None, ...]:
    """Numbers (n,) as the client asked for them; in a list null stands for none and for an infinite one."""
    if format == "packed":
        return pack(values)
    return tuple(value if math.isfinite(value) else None for value in values.tolist())


def pack_status(status: NDArray[np.uint8], format: Shape) -> bytes | tuple[Status, ...]:
    """Codes of messages.STATUSES as the client asked for them."""
    return status.tobytes() if format == "packed" else tuple(STATUSES[code] for code in status.tolist())


def pack_ways(offsets: I32, waypoints: Spots, format: Shape) -> tuple[bytes, bytes | tuple[Any, ...]]:
    """`offsets` and `waypoints` of a reply."""
    if format == "packed":
        return pack(offsets), pack(waypoints)
    places, ends = _listed(waypoints), offsets.tolist()
    return b"", tuple(places[begin:end] for begin, end in pairwise(ends))


def found(paths: Paths, format: Shape, *, map: str, version: int, overlay_version: int) -> Found:
    """The reply to path.find."""
    offsets, waypoints = pack_ways(paths.offsets, paths.waypoints, format)
    rung = paths.rung.tobytes() if format == "packed" else tuple(RUNGS[code] for code in paths.rung.tolist())
    return Found(
        map=map,
        version=version,
        queries=len(paths.status),
        overlay_version=overlay_version,
        status=pack_status(paths.status, format),
        cost=pack_numbers(paths.cost, format),
        expansions=pack(paths.expansions) if format == "packed" else tuple(paths.expansions.tolist()),
        rung=rung,
        bound=pack_numbers(paths.bound, format),
        offsets=offsets,
        waypoints=waypoints,
    )
