"""What every format holds to: sizes, costs, links, and how a refusal names its place.

It knows the limits and the plain values of surfaces.py; it does not know any file's layout.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.surfaces import BLOCKED, F32, U8, Link, Terrain

COST_MIN, COST_MAX = 0.001, 1_000.0
"""What one straight step may cost: six digits apart, so that 32-bit sums along a path stay exact enough."""

ROUNDING = 1e-5

LINK_COST_MAX = 1_000_000.0
"""What a link may cost, in straight steps (grid) or world units (navmesh)."""

ROWS_MAX = 16_384
"""Rows of all layers together: y travels as int16, and kernels are tested up to here."""

TERRAINS_MAX = 255
"""Kinds of ground in one map beside the blocked one: their numbers are uint8."""

NAME_CHARS_MAX = 64
"""Characters in a terrain's name."""

BLOCKED_TERRAIN = Terrain("blocked", math.inf)
GROUND = Terrain("ground", 1.0)


class Limits(Protocol):
    """The settings that bound what a file may hold; each is checked before anything of that size is allocated."""

    @property
    def side_cells_max(self) -> int:
        """Width and height of one layer."""

    @property
    def map_cells_max(self) -> int:
        """Width times rows of all layers together."""

    @property
    def layers_max(self) -> int:
        """Layers of a grid."""

    @property
    def links_max(self) -> int:
        """Links of a map."""

    @property
    def vertices_max(self) -> int:
        """Vertices of a navmesh, as the file lists them."""

    @property
    def polygons_max(self) -> int:
        """Polygons of a navmesh."""


def wrong(place: str, what: str, hint: str) -> Invalid:
    """The refusal of a file: where, what is there, and the mend."""
    return Invalid(f"the map is wrong at {place}: {what}", hint=hint)


def check_size(height: int, width: int, limits: Limits, *, layers: int = 1) -> None:
    """Raise Invalid when a grid of that many rows, columns and layers may not be."""
    for name, side in (("height", height), ("width", width)):
        if not 1 <= side <= limits.side_cells_max:
            raise Invalid(f"the map's {name} is {side!r}", hint=f"expected 1 to {limits.side_cells_max} cells")
    if not 1 <= layers <= limits.layers_max:
        raise Invalid(f"the map has {layers!r} layers", hint=f"expected 1 to {limits.layers_max}")
    rows = layers * (height + 1) - 1
    if rows > ROWS_MAX:
        raise Invalid(f"the map's layers have {rows!r} rows together", hint=f"expected at most {ROWS_MAX}")
    if rows * width > limits.map_cells_max:
        raise Invalid(f"the map has {width!r} x {rows!r} cells", hint=f"expected at most {limits.map_cells_max} in all")


def check_count(place: str, count: int, most: int) -> None:
    """Raise Invalid when a file lists more of something than it may."""
    if count > most:
        raise wrong(place, f"{count!r} of them", f"expected at most {most}")


def check_cost(place: str, cost: float) -> float:
    """The cost of a straight step; raises Invalid outside COST_MIN .. COST_MAX."""
    if not COST_MIN <= cost <= COST_MAX:
        raise wrong(place, f"a cost of {cost!r}", f"expected {COST_MIN} to {COST_MAX:g}, where 1 is plain ground")
    return cost


def unfit(costs: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Where costs are outside COST_MIN .. COST_MAX by more than 32-bit rounding, in the costs' shape."""
    fits: NDArray[np.bool_] = (costs >= COST_MIN * (1.0 - ROUNDING)) & (costs <= COST_MAX * (1.0 + ROUNDING))
    return ~fits


def check_name(place: str, name: str) -> str:
    """A terrain's name; raises Invalid for one that is empty, long or not printable."""
    if not 1 <= len(name) <= NAME_CHARS_MAX or not name.isprintable():
        raise wrong(place, f"the name {name[:80]!r}", f"expected 1 to {NAME_CHARS_MAX} printable characters")
    return name


def check_link_cost(place: str, cost: float) -> float:
    """What a link costs; raises Invalid outside COST_MIN .. LINK_COST_MAX."""
    if not COST_MIN <= cost <= LINK_COST_MAX:
        raise wrong(place, f"a cost of {cost!r}", f"expected {COST_MIN} to {LINK_COST_MAX:g}")
    return cost


def grid_link(place: str, terrain: U8, link: Link) -> Link:
    """A link between two cells of a grid, (rows, columns); raises Invalid when an end is outside or blocked."""
    rows, columns = terrain.shape
    for name, (x, y) in (("start", link.start), ("end", link.end)):
        if not (0 <= x < columns and 0 <= y < rows):
            raise wrong(place, f"its {name} {(x, y)!r} is outside the map", f"the map has {columns} x {rows} cells")
        if terrain[int(y), int(x)] == BLOCKED:
            raise wrong(place, f"its {name} {(x, y)!r} is blocked", "put both ends on cells that can be walked on")
    check_link_cost(place, link.cost)
    return link


def scale_of(scale: F32) -> F32 | None:
    """The multipliers of cells, or None where all are 1 and need no room."""
    return None if bool((scale == 1.0).all()) else scale
