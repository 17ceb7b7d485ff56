"""The cells of a grid as pixels: which of them are in view, how large, in which color. Vectorized, in bands of rows.

It knows layers of numbers over cells; it does not know ways, links or what stands around the map.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.pictures import palette
from app.modules.pathfinding.pictures.options import Options
from app.modules.pathfinding.pictures.png import shrunk
from app.modules.pathfinding.surfaces import BLOCKED, F32, I32, U8, Surface

EDGE_PX_AIM = 1_024
"""Small maps are magnified up to about this."""
MAGNIFIED_PX_MAX = 40
"""… but cells to no more than this."""
LINES_FROM_PX = 8
"""Cells at least this large have lines between them."""
LINES_SHARE = 0.16
STRIPES_FROM_PX = 4
STRIPE_PX = 4
BAND_CELLS = 1 << 18
"""Cells colored at once, which bounds the memory beside the picture."""
COST_LEVELS = 64
DANGER_LEVELS = 16
DANGER_MOST_AT_LEAST = 2.0
"""Where the worst danger of a map is below this, it is not drawn as the worst."""


class View(NamedTuple):
    """The cells that are drawn, and how large: `zoom` pixels a cell, or `shrink` cells a pixel; one of them is 1."""

    left: int
    top: int
    columns: int
    rows: int
    zoom: int
    shrink: int

    @property
    def px_per_cell(self) -> float:
        """Pixels along a side of a cell, below 1 where the map is shrunk."""
        return self.zoom / self.shrink

    @property
    def width_px(self) -> int:
        """Of the drawn map."""
        return -(-self.columns // self.shrink) * self.zoom

    @property
    def height_px(self) -> int:
        """Of the drawn map."""
        return -(-self.rows // self.shrink) * self.zoom


class Cells(NamedTuple):
    """What is drawn over the terrain, each (rows, columns) of the whole grid or None."""

    tints: U8 | None
    """0 for the main region and blocked cells, else which island color, from 1."""
    costs: F32 | None
    """Of a step; not finite or not over 0 where nobody walks."""
    overlay: F32 | None
    """Danger: what costs are multiplied with."""
    obstacles: U8 | None
    """Not 0 where something stands."""


class Span(NamedTuple):
    """The least and the greatest of a layer, over the whole map so that crops share their colors."""

    least: float
    most: float


def view_of(surface: Surface, options: Options) -> View:
    """What of the map is drawn, and how large; raises Invalid for a crop or scale that does not fit."""
    rows, columns = surface.terrain.shape
    left, top, right, bottom = 0, 0, columns, rows
    if options.crop is not None:
        crop = options.crop
        if any(value != int(value) for value in (crop.x, crop.y, crop.width, crop.height)):
            raise Invalid(f"crop is {_told(options)}", hint="expected whole cells: x,y,width,height")
        left, top = max(int(crop.x), 0), max(int(crop.y), 0)
        right, bottom = min(int(crop.x + crop.width), columns), min(int(crop.y + crop.height), rows)
        if left >= right or top >= bottom:
            raise Invalid(f"crop {_told(options)} is outside the map", hint=f"the map has {columns} x {rows} cells")
    edge = max(right - left, bottom - top)
    zoom, shrink = 1, -(-edge // options.edge_px_max)
    if options.scale_px is not None:
        zoom, shrink = options.scale_px, 1
        if zoom * edge > options.edge_px_max:
            fits = options.edge_px_max // edge
            part = f"a crop of at most {options.edge_px_max // zoom} cells"
            raise Invalid(
                f"scale_px {zoom!r} makes {zoom * edge} pixels of {edge} cells",
                hint=f"send at most {fits}, or {part}" if fits else f"send {part}",
            )
    elif shrink == 1:
        zoom = max(min(EDGE_PX_AIM, options.edge_px_max) // edge, 1)
        zoom = min(zoom, MAGNIFIED_PX_MAX)
    return View(left, top, right - left, bottom - top, zoom, shrink)


def _told(options: Options) -> str:
    crop = options.crop
    return repr((crop.x, crop.y, crop.width, crop.height)) if crop else "None"


def step_costs(surface: Surface) -> F32:
    """What a step on each cell costs by terrain and scale, (rows, columns) float32; infinite where blocked."""
    table = np.array([terrain.cost for terrain in surface.terrains], np.float32)
    table[BLOCKED] = np.inf
    costs = table[surface.terrain]
    return costs if surface.scale is None else costs * surface.scale


def islands_of(labels: I32) -> tuple[U8, int]:
    """The island color of each cell, 0 for the main region, and how many regions there are.

    The main region has the most cells, of equal ones the lowest label.
    """
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    there = np.flatnonzero(sizes)
    table = np.zeros(len(sizes), np.uint8)
    if len(there):
        others = there[there != sizes.argmax()]
        table[others] = np.arange(len(others)) % len(palette.ISLANDS) + 1
    return table[labels], len(there)


def span_of(values: F32, walkable: U8) -> Span | None:
    """The least and greatest value over 0 on walkable cells; None where there is none."""
    good = (walkable != BLOCKED) & (values > 0) & (values < np.inf)
    if not good.any():
        return None
    return Span(float(values.min(where=good, initial=np.inf)), float(values.max(where=good, initial=0.0)))


def paint(surface: Surface, view: View, cells: Cells, costs: Span | None, danger: Span | None) -> U8:
    """The map in view as (height, width, 3) pixels, without marks."""
    colors = _colors()
    band = max(BAND_CELLS // view.columns // view.shrink, 1) * view.shrink
    parts = []
    columns = slice(view.left, view.left + view.columns)
    for first in range(view.top, view.top + view.rows, band):
        rows = slice(first, min(first + band, view.top + view.rows))
        part = colors[_numbers(surface, rows, columns, cells, costs, danger)]
        parts.append(shrunk(part, view.shrink) if view.shrink > 1 else part)
    raster = np.concatenate(parts)  # (rows or fewer, columns or fewer, 3)
    if view.zoom > 1:
        raster = raster.repeat(view.zoom, axis=0).repeat(view.zoom, axis=1)
        _stripe(raster, cells.obstacles, view)
    if view.zoom >= LINES_FROM_PX:
        for lines in (raster[view.zoom - 1 :: view.zoom], raster[:, view.zoom - 1 :: view.zoom]):
            lines[...] = (lines * (1 - LINES_SHARE) + np.array(palette.FAINT) * LINES_SHARE).astype(np.uint8)
        if surface.layers > 1:
            raster[_between(surface, slice(view.top, view.top + view.rows)).repeat(view.zoom)] = palette.PAGE
    return raster


GROUNDS = 256 * (len(palette.ISLANDS) + 1) + COST_LEVELS
"""Terrain by island color, then cost levels: each once for every level of danger."""
OBSTACLE = GROUNDS * DANGER_LEVELS
BETWEEN = OBSTACLE + 1
"""The row between two layers, which is no ground."""


def _colors() -> U8:
    """The color of each number that a cell can have, (numbers, 3)."""
    plain = np.array([palette.terrain_color(number) for number in range(256)], float)
    hues = np.array(palette.ISLANDS, float)[:, None, :]
    tinted = plain * (1 - palette.ISLAND_SHARE) + hues * palette.ISLAND_SHARE  # (islands, 256, 3)
    grounds = np.concatenate([plain, tinted.reshape(-1, 3), palette.cost_colors(COST_LEVELS)])
    shares = np.linspace(0.0, palette.DANGER_SHARE_MAX, DANGER_LEVELS)[:, None, None]
    endangered = grounds * (1 - shares) + np.array(palette.DANGER) * shares  # (levels, grounds, 3)
    special = np.array([palette.OBSTACLE, palette.PAGE], float)
    return np.concatenate([endangered.reshape(-1, 3), special]).round().astype(np.uint8)


def _numbers(
    surface: Surface, rows: slice, columns: slice, cells: Cells, costs: Span | None, danger: Span | None
) -> NDArray[np.uint16]:
    """The number of each cell's color, (rows, columns) uint16."""
    terrain = surface.terrain[rows, columns]
    open_ = terrain != BLOCKED
    numbers = terrain.astype(np.uint16)
    if cells.tints is not None:
        numbers += np.uint16(256) * cells.tints[rows, columns]
    if cells.costs is not None and costs is not None:
        values = cells.costs[rows, columns]
        good = open_ & (values > 0) & (values < np.inf)
        numbers = np.where(good, GROUNDS - COST_LEVELS + levels_of(values, costs, COST_LEVELS), 0).astype(np.uint16)
    if cells.overlay is not None and danger is not None:
        span = Span(1.0, max(danger.most, DANGER_MOST_AT_LEAST))
        levels = np.where(open_, levels_of(cells.overlay[rows, columns], span, DANGER_LEVELS), 0)
        numbers += (levels * GROUNDS).astype(np.uint16)
    if cells.obstacles is not None:
        numbers[cells.obstacles[rows, columns] != 0] = OBSTACLE
    if surface.layers > 1:
        numbers[_between(surface, rows)] = BETWEEN
    return numbers


def _between(surface: Surface, rows: slice) -> NDArray[np.bool_]:
    """Which rows lie between two layers."""
    between: NDArray[np.bool_] = np.arange(rows.start, rows.stop) % (surface.height + 1) == surface.height
    return between


def levels_of(values: F32, span: Span, count: int) -> I32:
    """Values as 0 .. count - 1 by their logarithm; what is not a number, or outside the span, goes to its ends."""
    if span.most <= span.least:
        return np.zeros(values.shape, np.int32)
    tamed = np.nan_to_num(values, nan=span.least).clip(span.least, span.most)
    shares = np.log(tamed / np.float32(span.least)) / np.float32(np.log(span.most / span.least))
    return (shares * np.float32(count - 1) + np.float32(0.5)).astype(np.int32)


def _stripe(raster: U8, obstacles: U8 | None, view: View) -> None:
    """Lay diagonal stripes over obstacles, where cells are large enough to hold them."""
    if obstacles is None or view.zoom < STRIPES_FROM_PX:
        return
    seen = obstacles[view.top : view.top + view.rows, view.left : view.left + view.columns] != 0
    on = seen.repeat(view.zoom, axis=0).repeat(view.zoom, axis=1)
    along = np.arange(on.shape[0])[:, None] + np.arange(on.shape[1])
    raster[on & (along % (2 * STRIPE_PX) < STRIPE_PX)] = palette.OBSTACLE_STRIPE
