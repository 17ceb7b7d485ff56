"""A picture as plain shapes in pixels, before it is written as PNG or SVG.

It knows lines, dots, areas and words; it does not know maps, costs or file formats.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.modules.pathfinding.pictures.palette import Color

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]


class Stroke(NamedTuple):
    """Lines through points; `name` is what they stand for, and their class in SVG."""

    name: str
    lines: tuple[F64, ...]
    """Each (points, 2): x and y in pixels."""
    color: Color
    width_px: float


class Disc(NamedTuple):
    """A dot with a rim."""

    name: str
    x: float
    y: float
    radius_px: float
    fill: Color
    rim: Color
    rim_px: float = 2.0


class Area(NamedTuple):
    """Filled polygons of one color."""

    name: str
    polygons: tuple[F64, ...]
    """Each (corners, 2): x and y in pixels."""
    fill: Color


class Words(NamedTuple):
    """A short text; `x` is its start, middle or end, `y` the middle of its line."""

    text: str
    x: float
    y: float
    size_px: int
    color: Color
    anchor: Literal["start", "middle", "end"] = "start"


Mark = Stroke | Disc | Area | Words


class Scene(NamedTuple):
    """The page and the map on it. Marks of the map are cut off at its edges; marks of the page lie around it."""

    title: str
    width_px: int
    height_px: int
    left_px: int
    """Where the map begins on the page."""
    top_px: int
    map_width_px: int
    map_height_px: int
    raster: U8 | None
    """(map height, map width, 3): what lies under the marks; None for plain paper."""
    marks: tuple[Mark, ...]
    """In pixels of the map, from its upper left corner."""
    around: tuple[Mark, ...]
    """In pixels of the page."""


def box(x: float, y: float, width: float, height: float) -> F64:
    """The corners of a rectangle, (4, 2)."""
    return np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], np.float64)


def moved(mark: Mark, right: float, down: float) -> Mark:
    """The same mark elsewhere."""
    by = np.array([right, down], np.float64)
    if isinstance(mark, Stroke):
        return mark._replace(lines=tuple(line + by for line in mark.lines))
    if isinstance(mark, Area):
        return mark._replace(polygons=tuple(polygon + by for polygon in mark.polygons))
    return mark._replace(x=mark.x + right, y=mark.y + down)


def printable(text: str, letters_max: int = 32) -> str:
    """The text on one line and of bounded length: what cannot be shown becomes '?', too much an ellipsis."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[: letters_max + 1])
    return shown if len(shown) <= letters_max else shown[: letters_max - 1] + "…"
