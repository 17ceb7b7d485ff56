"""What stands on a grid map besides the map: obstacles as counts of cells, and which cells that changes.

It knows shapes and cells; it does not know classes of agents, graphs or the world's state.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.world.entities import Box, CellSet, Circle, Obstacle

Mask = NDArray[np.bool_]


class Rectangle(NamedTuple):
    """Cells from (left, top) to before (right, bottom)."""

    left: int
    top: int
    right: int
    bottom: int

    def grown(self, before: int, after: int, columns: int, rows: int) -> Rectangle:
        """With so many cells more on the sides of least and of greatest x and y, within the map."""
        return Rectangle(
            max(self.left - before, 0),
            max(self.top - before, 0),
            min(self.right + after, columns),
            min(self.bottom + after, rows),
        )


class Board:
    """Counts of the obstacles that block and that clear each cell: (rows, columns) uint16 each."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self._blocked = np.zeros((rows, columns), np.uint16)
        self._cleared = np.zeros((rows, columns), np.uint16)

    def change(self, before: Obstacle | None, after: Obstacle | None) -> list[Rectangle]:
        """Take an obstacle away and put one in its place; the rectangles in which cells may differ now."""
        touched = []
        for obstacle, add in ((before, False), (after, True)):
            if obstacle is None or not obstacle.closed:
                continue
            left, top, mask = raster(obstacle, self.rows, self.columns)
            if mask.size == 0:
                continue
            counts = self._cleared if obstacle.clears else self._blocked
            part = counts[top : top + mask.shape[0], left : left + mask.shape[1]]
            part += mask if add else -mask.astype(np.uint16)
            touched.append(Rectangle(left, top, left + mask.shape[1], top + mask.shape[0]))
        return touched

    def occupied(self) -> Mask:
        """Cells that an obstacle blocks or clears, (rows, columns)."""
        return (self._blocked > 0) | (self._cleared > 0)

    def passable(self, base: NDArray[np.uint8], area: Rectangle) -> NDArray[np.uint8]:
        """What can be walked on there, (height, width) uint8; `base` (rows, columns) is the map without obstacles."""
        at = (slice(area.top, area.bottom), slice(area.left, area.right))
        open_now = (base[at] > 0) | (self._cleared[at] > 0)
        free: NDArray[np.uint8] = (open_now & (self._blocked[at] == 0)).astype(np.uint8)
        return free


def extent(obstacle: Obstacle) -> tuple[float, float, float, float]:
    """The box around an obstacle: least x, least y, greatest x, greatest y."""
    shape, x, y = obstacle.shape, obstacle.x, obstacle.y
    if isinstance(shape, Circle):
        return x - shape.radius, y - shape.radius, x + shape.radius, y + shape.radius
    if isinstance(shape, Box):
        return x, y, x + shape.width, y + shape.height
    wide, tall = zip(*shape.cells, strict=True)
    left, top = math.floor(x), math.floor(y)
    return left + min(wide), top + min(tall), left + max(wide) + 1.0, top + max(tall) + 1.0


def raster(obstacle: Obstacle, rows: int, columns: int) -> tuple[int, int, Mask]:
    """The cells of an obstacle on a map of that size: column, row, and a mask (height, width) from there on.

    A circle and a box have every cell that they overlap by more than an edge.
    """
    shape = obstacle.shape
    if isinstance(shape, CellSet):
        return _cells(obstacle, shape, rows, columns)
    corners = extent(obstacle)
    left, top = max(math.floor(corners[0]), 0), max(math.floor(corners[1]), 0)
    right, bottom = min(math.ceil(corners[2]), columns), min(math.ceil(corners[3]), rows)
    width, height = max(right - left, 0), max(bottom - top, 0)
    if isinstance(shape, Box) or not width or not height:
        return left, top, np.ones((height, width), np.bool_)
    x, y = np.arange(left, right), np.arange(top, bottom)[:, None]
    away_x = np.maximum(np.maximum(x - obstacle.x, obstacle.x - (x + 1)), 0.0)
    away_y = np.maximum(np.maximum(y - obstacle.y, obstacle.y - (y + 1)), 0.0)
    return left, top, away_x**2 + away_y**2 < shape.radius**2


def _cells(obstacle: Obstacle, shape: CellSet, rows: int, columns: int) -> tuple[int, int, Mask]:
    places = np.array(shape.cells, np.int64)  # (cells, 2)
    places += np.array([math.floor(obstacle.x), math.floor(obstacle.y)])
    inside = (places >= 0).all(axis=1) & (places[:, 0] < columns) & (places[:, 1] < rows)
    places = places[inside]
    if len(places) == 0:
        return 0, 0, np.zeros((0, 0), np.bool_)
    left, top = places.min(axis=0).tolist()
    right, bottom = places.max(axis=0).tolist()
    mask = np.zeros((bottom - top + 1, right - left + 1), np.bool_)
    mask[places[:, 1] - top, places[:, 0] - left] = True
    return left, top, mask


def merged(areas: list[Rectangle], cells_max: int) -> list[Rectangle]:
    """Overlapping and touching rectangles as one, as long as that one has not too many cells."""
    left: list[Rectangle] = []
    for area in sorted(areas):
        for index, other in enumerate(left):
            both = Rectangle(
                min(area.left, other.left),
                min(area.top, other.top),
                max(area.right, other.right),
                max(area.bottom, other.bottom),
            )
            size = (both.right - both.left) * (both.bottom - both.top)
            near = area.left <= other.right and area.top <= other.bottom and other.top <= area.bottom
            if near and size <= cells_max:
                left[index] = both
                break
        else:
            left.append(area)
    return left
