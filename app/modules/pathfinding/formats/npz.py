"""NumPy archives (`.npz`): passable, cost, terrain and links as arrays.

It knows which arrays a map has and how they fit together; arrays.py knows the archive's bytes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, nearest
from app.modules.pathfinding.formats.arrays import Archive, Kind
from app.modules.pathfinding.formats.limits import (
    BLOCKED_TERRAIN,
    COST_MAX,
    COST_MIN,
    GROUND,
    NAME_CHARS_MAX,
    TERRAINS_MAX,
    Limits,
    check_cost,
    check_name,
    check_size,
    grid_link,
    scale_of,
    unfit,
    wrong,
)
from app.modules.pathfinding.surfaces import BLOCKED, F32, U8, Link, Surface, Terrain

FLAG = Kind("bool or uint8", ("|b1", "|u1"), (2, 3))
NUMBER = Kind("float32 or float64", ("<f4", "<f8", ">f4", ">f8"), (2, 3))
SMALL = Kind("uint8", ("|u1",), (2, 3))
COSTS = Kind("float32 or float64", NUMBER.types, (1,))
TEXTS = Kind("text", tuple(f"<U{length}" for length in range(1, NAME_CHARS_MAX + 1)), (1,))
LINKS = Kind("float32 or float64", NUMBER.types, (2,))
KINDS = {
    "passable": FLAG, "cost": NUMBER, "terrain": SMALL, "terrains": TEXTS, "terrain_costs": COSTS, "links": LINKS,
}  # fmt: skip
GRIDS = ("passable", "cost", "terrain")


class Grids(NamedTuple):
    """The arrays of cells that the file has, each (layers, height, width)."""

    passable: NDArray[np.bool_] | None
    cost: NDArray[np.float64] | NDArray[np.float32] | None
    terrain: U8 | None


def read(data: bytes, limits: Limits) -> Surface:
    """The arrays as a grid; 3D arrays are layers.

    Raises Invalid naming the array and, of a cell, its layer, row and column from 0.
    """
    archive = Archive(data)
    for name in archive.names:
        if name not in KINDS:
            raise Invalid(f"the map has an array {name!r}", hint=nearest(name, KINDS))
    shape = _shape(archive, limits)
    passable, cost, terrain = (archive.read(name, KINDS[name]) for name in GRIDS)
    grids = Grids(
        None if passable is None else passable.reshape(shape) != 0,
        None if cost is None else cost.reshape(shape),
        None if terrain is None else terrain.reshape(shape),
    )
    free = _free(grids)
    kinds, terrains = _terrains(archive, grids, free)
    _check_products(grids, kinds, terrains)
    below = np.pad(kinds, ((0, 0), (0, 1), (0, 0))).reshape(-1, shape[2])[:-1]  # a blocked row below each layer
    links = _links(archive, below, limits)
    return Surface(terrain=below, terrains=terrains, scale=_scale(grids, free), links=links, layers=shape[0])


def _shape(archive: Archive, limits: Limits) -> tuple[int, int, int]:
    """Layers, height and width, from headers alone."""
    shapes = {name: archive.shape(name, KINDS[name]) for name in GRIDS if name in archive.names}
    if not shapes:
        raise Invalid("the map has no array of cells", hint="expected passable, cost or terrain")
    (first, shape), *others = shapes.items()
    for name, other in others:
        if other != shape:
            raise Invalid(f"{name} is of shape {other!r} and {first} of {shape!r}", hint="send equal shapes")
    layers, height, width = shape if len(shape) == 3 else (1, *shape)
    check_size(height, width, limits, layers=layers)
    return layers, height, width


def _free(grids: Grids) -> NDArray[np.bool_]:
    """Where one can walk, (layers, height, width); refuses costs that are none."""
    cost = grids.cost
    if cost is None:
        return np.ones(grids.terrain.shape, bool) if grids.passable is None else grids.passable  # type: ignore[union-attr]
    _refuse(np.isnan(cost), "cost", "NaN", "expected a number, or inf where nobody walks")
    if grids.passable is None:
        _refuse(cost < 0.0, "cost", "a negative cost", "expected a positive number, or inf where nobody walks")
    free = (cost > 0.0) & (cost < math.inf) if grids.passable is None else grids.passable
    outside = free & unfit(cost)
    _refuse(outside, "cost", "a passable cell's cost", f"expected {COST_MIN} to {COST_MAX:g}", cost)
    return free


def _refuse(cells: NDArray[np.bool_], array: str, what: str, hint: str, values: NDArray[Any] | None = None) -> None:
    """Raise Invalid naming the first of the cells, (layers, height, width)."""
    if cells.any():
        layer, row, column = (int(index) for index in np.unravel_index(int(cells.argmax()), cells.shape))
        place = f"{array}, " + (f"layer {layer}, " if cells.shape[0] > 1 else "") + f"row {row}, column {column}"
        raise wrong(place, what if values is None else f"{what} is {float(values[layer, row, column])!r}", hint)


def _terrains(archive: Archive, grids: Grids, free: NDArray[np.bool_]) -> tuple[U8, tuple[Terrain, ...]]:
    """The terrain of each cell, (layers, height, width), and what the numbers mean."""
    names = archive.read("terrains", TEXTS, items_max=TERRAINS_MAX)
    costs = archive.read("terrain_costs", COSTS, items_max=TERRAINS_MAX)
    if grids.terrain is None:
        if names is not None or costs is not None:
            raise Invalid("the map names terrains and has no array terrain", hint="send it too, as uint8")
        return free.astype(np.uint8), (BLOCKED_TERRAIN, GROUND)
    if names is None:
        raise Invalid("the map has an array terrain and no terrains", hint="send their names, in the order of numbers")
    called = _texts(names)
    if costs is not None and len(costs) != len(called):
        raise Invalid(f"{len(costs)!r} terrain_costs and {len(called)!r} terrains", hint="send one cost for each")
    terrains, numbers = [BLOCKED_TERRAIN], np.zeros(256, np.uint8)
    for place, name in enumerate(called):
        check_name(f"terrains[{place}]", name)
        if name in called[:place]:
            raise wrong(f"terrains[{place}]", f"the name {name!r} again", "give each terrain a name of its own")
        if name != BLOCKED_TERRAIN.name:
            cost = 1.0 if costs is None else float(costs[place])
            terrains.append(Terrain(name, cost if cost == math.inf else check_cost(f"terrain_costs[{place}]", cost)))
            numbers[place] = len(terrains) - 1
    _refuse(grids.terrain >= len(called), "terrain", "no terrain", f"expected 0 to {len(called) - 1}", grids.terrain)
    return np.where(free, numbers[grids.terrain], BLOCKED).astype(np.uint8), tuple(terrains)


def _check_products(grids: Grids, kinds: U8, terrains: tuple[Terrain, ...]) -> None:
    """Raise Invalid where a cell's multiplier and its terrain's cost give no cost together."""
    if grids.cost is not None and grids.terrain is not None:
        base = np.array([1.0 if terrain.cost == math.inf else terrain.cost for terrain in terrains])
        product = np.where(kinds > 0, grids.cost, 1.0) * base[kinds]
        hint = f"expected {COST_MIN} to {COST_MAX:g}"
        _refuse(unfit(product), "cost", "times its terrain's cost a cell", hint, product)


def _texts(names: NDArray[np.str_]) -> list[str]:
    """The names, decoded from their bytes: numpy itself fails on numbers that are no characters."""
    little = names.astype(names.dtype.newbyteorder("<"))
    size, data = little.dtype.itemsize, little.tobytes()
    try:
        texts = [data[start : start + size].decode("utf-32-le") for start in range(0, len(data), size)]
    except UnicodeDecodeError as error:
        raise wrong("terrains", "text that is not Unicode", "expected an array of str") from error
    return [text.rstrip("\0") for text in texts]


def _scale(grids: Grids, free: NDArray[np.bool_]) -> F32 | None:
    """The multipliers of cells, (rows, columns), 1 where nobody walks."""
    if grids.cost is None:
        return None
    scale = np.where(free, grids.cost, 1.0).astype(np.float32)
    return scale_of(np.pad(scale, ((0, 0), (0, 1), (0, 0)), constant_values=1.0).reshape(-1, scale.shape[2])[:-1])


def _links(archive: Archive, terrain: U8, limits: Limits) -> tuple[Link, ...]:
    rows = archive.read("links", LINKS, items_max=6 * limits.links_max)
    if rows is None:
        return ()
    if rows.shape[1] != 6:
        raise Invalid(f"links is of shape {rows.shape!r}", hint="expected (n, 6): x1, y1, x2, y2, cost, one_way")
    found = []
    for place, row in enumerate(rows.astype(np.float64).tolist()):
        x1, y1, x2, y2, cost, one_way = row
        if not all(value.is_integer() for value in (x1, y1, x2, y2)) or one_way not in (0.0, 1.0):
            raise wrong(f"links, row {place}", f"{row!r}", "expected whole cells, a cost, and 0 or 1 for one_way")
        found.append(grid_link(f"links, row {place}", terrain, Link((x1, y1), (x2, y2), cost, one_way == 1.0)))
    return tuple(found)
