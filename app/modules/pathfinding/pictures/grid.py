"""Pictures of grid maps: the ground, what is known about it, and ways over it.

It knows which layers are shown and what the legend says of them; it does not know how pixels or markup are made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.pictures import frame, ground, marks, palette
from app.modules.pathfinding.pictures.frame import Axis, Entry
from app.modules.pathfinding.pictures.ground import View
from app.modules.pathfinding.pictures.options import Options, Shown
from app.modules.pathfinding.pictures.png import write_png
from app.modules.pathfinding.pictures.scene import F64, Mark, Scene, Words
from app.modules.pathfinding.pictures.svg import write_svg
from app.modules.pathfinding.surfaces import F32, I32, U8, Surface

ARROW_PX = 22.0
"""Between two arrows of a flow field, where the request does not say."""
ARROW_PX_MIN = 10.0
CAPTION_PX = 11
"""Height of the words between two layers, where a row is high enough for them."""

D = TypeVar("D", bound=np.generic)


class Layers(NamedTuple):
    """What is known about a grid beside its ground; a layer is drawn where it is given and shown.

    Layers of cells have the grid's shape (rows, columns), or are flat with a border, (rows + 2) * (columns + 2).
    """

    labels: I32 | None = None
    """Regions from 1 on, 0 where nobody walks: the largest keeps its colors, others are tinted as islands."""
    costs: F32 | None = None
    """What a step costs; None for what terrain and scale say."""
    overlay: F32 | None = None
    """What costs are multiplied with by danger, from 1."""
    obstacles: U8 | None = None
    """Not 0 where something stands."""
    paths: Sequence[NDArray[np.generic]] = ()
    """Each (points, 2): x and y, whole numbers being the middles of cells."""
    field: F32 | None = None
    """(rows, columns, 2): where to go from each cell, in any length; 0 where nowhere."""


def draw_grid(surface: Surface, layers: Layers, options: Options, *, title: str = "") -> bytes:
    """The map as PNG; raises Invalid where crop, scale or a layer does not fit the map. For worker threads."""
    return write_png(_scene(surface, layers, options, title))


def draw_grid_svg(surface: Surface, layers: Layers, options: Options, *, title: str = "") -> bytes:
    """The same picture as SVG: ways, links and words as shapes, the ground as an embedded picture."""
    return write_svg(_scene(surface, layers, options, title))


def _scene(surface: Surface, layers: Layers, options: Options, title: str) -> Scene:
    view = ground.view_of(surface, options)
    facts = [_size(surface, view)]
    entries: list[Entry] = []
    cells, costs, danger = _cells(surface, layers, options.show, facts, entries)
    raster = ground.paint(surface, view, cells, costs, danger)
    drawn: list[Mark] = _captions(surface, view)
    if "field" in options.show and layers.field is not None:
        drawn += _field(layers.field, surface, view, options.field_every_cells)
        entries.append(frame.field_entry())
    width_px = float(np.clip(view.px_per_cell * 0.16, 2.0, 5.0))
    if surface.links:
        links = [(_placed(np.array([link.start[:2], link.end[:2]], float), view), link) for link in surface.links]
        drawn += marks.link_marks(links, view.width_px, view.height_px, max(width_px * 0.6, 1.5))
        entries.append(frame.link_entry(len(links), marks.LINKS_MAX))
    if "path" in options.show and len(layers.paths):
        drawn += marks.path_marks(
            [_placed(marks.points_of(path, (0, 1)), view) for path in layers.paths], width_px + 0.5
        )
        entries.append(frame.path_entry(len(layers.paths)))
    across = Axis(view.left, view.px_per_cell, view.px_per_cell / 2, view.width_px)
    down = Axis(view.top, view.px_per_cell, view.px_per_cell / 2, view.height_px)
    return frame.framed(title or "map", " · ".join(facts), raster, drawn, across, down, entries, tick_min=1.0)


def _cells(
    surface: Surface, layers: Layers, show: frozenset[Shown], facts: list[str], entries: list[Entry]
) -> tuple[ground.Cells, ground.Span | None, ground.Span | None]:
    """The layers that are shown, with what the legend says of them."""
    tints = costs = overlay = obstacles = cost_span = danger_span = None
    if layers.labels is not None:
        tints, regions = ground.islands_of(_open("labels", layers.labels, surface))
        facts.append(f"{regions:,} region{'' if regions == 1 else 's'}")
        tints = tints if "components" in show and regions > 1 and "costs" not in show else None
    if "costs" in show:
        costs = ground.step_costs(surface) if layers.costs is None else _open("costs", layers.costs, surface)
        cost_span = ground.span_of(costs, surface.terrain)
        entries.append(Entry(frame.swatch(palette.BLOCKED), frame.SWATCH_PX, "blocked"))
    else:
        entries += frame.terrain_entries(surface.terrains)
    if cost_span is not None:
        entries.append(frame.costs_entry(cost_span.least, cost_span.most))
    if tints is not None:
        entries.append(frame.islands_entry(regions - 1))
    if "overlay" in show and layers.overlay is not None:
        overlay = _open("overlay", layers.overlay, surface)
        danger_span = ground.span_of(overlay, surface.terrain)
        entries.append(frame.danger_entry(max(danger_span.most if danger_span else 1.0, ground.DANGER_MOST_AT_LEAST)))
    if "obstacles" in show and layers.obstacles is not None:
        obstacles = _open("obstacles", layers.obstacles, surface)
        entries.append(frame.obstacle_entry())
    return ground.Cells(tints, costs, overlay, obstacles), cost_span, danger_span


def _open(name: str, layer: NDArray[D], surface: Surface) -> NDArray[D]:
    """A layer as (rows, columns), without the border that kernels keep around it; raises Invalid."""
    rows, columns = surface.terrain.shape
    if layer.shape == (rows, columns):
        return layer
    if layer.shape == ((rows + 2) * (columns + 2),):
        return layer.reshape(rows + 2, columns + 2)[1:-1, 1:-1]
    raise Invalid(f"{name} has the shape {layer.shape!r}", hint=f"the map has {rows} rows and {columns} columns")


def _size(surface: Surface, view: View) -> str:
    rows, columns = surface.terrain.shape
    size = f"{columns:,} x {surface.height if surface.layers > 1 else rows:,} cells"
    if surface.layers > 1:
        size = f"{surface.layers} layers of {size}"
    if (view.rows, view.columns) != (rows, columns):
        size += f", {view.columns:,} x {view.rows:,} of them from ({view.left}, {view.top})"
    if view.shrink > 1:
        return f"{size} · {view.shrink} x {view.shrink} cells a pixel"
    return f"{size} · {view.zoom} px a cell"


def _placed(points: F64, view: View) -> F64:
    """Cells as pixels of the drawn map, (points, 2)."""
    return (points + 0.5 - (view.left, view.top)) * view.px_per_cell


def _captions(surface: Surface, view: View) -> list[Mark]:
    """What each layer but the first is called, in the row above it."""
    if surface.layers == 1 or view.zoom < CAPTION_PX + 3:
        return []
    step = surface.height + 1
    rows = [layer * step - 1 for layer in range(1, surface.layers)]
    seen = [row for row in rows if view.top <= row < view.top + view.rows]
    texts = [f"layer {row // step + 1}, from y = {row + 1}" for row in seen]
    middles = [(row - view.top + 0.5) * view.zoom for row in seen]
    return [Words(text, 6.0, y, CAPTION_PX, palette.FAINT) for text, y in zip(texts, middles, strict=True)]


def _field(field: F32, surface: Surface, view: View, every_cells: int | None) -> list[Mark]:
    """Arrows on every k-th cell; raises Invalid."""
    if field.shape != (*surface.terrain.shape, 2):
        raise Invalid(f"field has the shape {field.shape!r}", hint="expected rows, columns, 2")
    asked = every_cells or math.ceil(ARROW_PX / view.px_per_cell)
    step = max(asked, math.ceil(ARROW_PX_MIN / view.px_per_cell))
    half = (step - 1) // 2
    y, x = np.mgrid[view.top + half : view.top + view.rows : step, view.left + half : view.left + view.columns : step]
    middles = _placed(np.stack([x.ravel(), y.ravel()], axis=1).astype(float), view)
    directions = field[y.ravel(), x.ravel()].astype(float)
    return marks.arrow_marks(middles, directions, min(step * view.px_per_cell * 0.7, 26.0))
