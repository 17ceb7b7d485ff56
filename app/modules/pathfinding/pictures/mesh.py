"""Pictures of navmeshes seen from above: polygons, where they meet, links and ways.

It knows how units become pixels and which color a polygon has; it does not know how pixels or markup are made.
The axis of height is left out: x goes to the right and the other axis down the page, as y does on a grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.pictures import frame, marks, palette
from app.modules.pathfinding.pictures.frame import Axis, Entry
from app.modules.pathfinding.pictures.ground import (
    DANGER_MOST_AT_LEAST,
    EDGE_PX_AIM,
    Span,
    islands_of,
    levels_of,
    span_of,
)
from app.modules.pathfinding.pictures.options import Options, Shown
from app.modules.pathfinding.pictures.palette import Color
from app.modules.pathfinding.pictures.png import write_png
from app.modules.pathfinding.pictures.scene import F64, Area, Mark, Scene, Stroke
from app.modules.pathfinding.pictures.svg import write_svg
from app.modules.pathfinding.surfaces import BLOCKED, F32, I32, U8, Mesh

MARGIN_PX = 12.0
EDGE_WIDTH_PX = 1.0
LEVELS = 16
"""Shades of costs and of danger."""

D = TypeVar("D", bound=np.generic)


class MeshLayers(NamedTuple):
    """What is known about a navmesh beside its ground; a layer is drawn where it is given and shown."""

    labels: I32 | None = None
    """(polygons,): regions from 1 on, 0 where nobody walks; the one of most polygons keeps its colors."""
    overlay: F32 | None = None
    """(polygons,): what costs are multiplied with by danger, from 1."""
    paths: Sequence[NDArray[np.generic]] = ()
    """Each (points, 3), or (points, 2) without the axis of height."""


class View(NamedTuple):
    """The part of the world that is drawn, in units, and its size in pixels."""

    left: float
    top: float
    px_per_unit: float
    width_px: int
    height_px: int


def draw_mesh(mesh: Mesh, layers: MeshLayers, options: Options, *, title: str = "") -> bytes:
    """The navmesh as PNG; raises Invalid where crop, scale or a layer does not fit it. For worker threads."""
    return write_png(_scene(mesh, layers, options, title))


def draw_mesh_svg(mesh: Mesh, layers: MeshLayers, options: Options, *, title: str = "") -> bytes:
    """The same picture as SVG, all of it as shapes."""
    return write_svg(_scene(mesh, layers, options, title))


def _scene(mesh: Mesh, layers: MeshLayers, options: Options, title: str) -> Scene:
    if not len(mesh.areas):
        raise Invalid("the navmesh has no polygons", hint="upload one that has")
    axes = (0, 2) if mesh.up == 1 else (0, 1)
    flat = mesh.vertices[:, axes].astype(np.float64)  # (vertices, 2)
    view = _view(flat, options)
    facts = [f"{len(mesh.areas):,} polygons", f"{view.px_per_unit:.3g} px a unit"]
    entries: list[Entry] = []
    colors = _colors(mesh, layers, options.show, facts, entries)
    drawn = _ground(mesh, (flat - (view.left, view.top)) * view.px_per_unit, colors)
    if mesh.links:
        ends = [marks.points_of([link.start, link.end], axes) for link in mesh.links]
        links = [(_placed(end, view), link) for end, link in zip(ends, mesh.links, strict=True)]
        drawn += marks.link_marks(links, view.width_px, view.height_px, 2.0)
        entries.append(frame.link_entry(len(links), marks.LINKS_MAX))
    if "path" in options.show and len(layers.paths):
        paths = [marks.points_of(path, axes if np.shape(path)[-1] == 3 else (0, 1)) for path in layers.paths]
        drawn += marks.path_marks([_placed(path, view) for path in paths], 3.0)
        entries.append(frame.path_entry(len(paths)))
    across = Axis(view.left, view.px_per_unit, 0.0, view.width_px)
    down = Axis(view.top, view.px_per_unit, 0.0, view.height_px)
    return frame.framed(title or "navmesh", " · ".join(facts), None, drawn, across, down, entries, tick_min=0.0)


def _view(flat: F64, options: Options) -> View:
    """What is drawn, and how large; raises Invalid for a crop or scale that does not fit."""
    low, high = flat.min(axis=0), flat.max(axis=0)
    crop, edge_px_max = options.crop, options.edge_px_max
    if crop is not None:
        corner, size = np.array([crop.x, crop.y]), np.array([crop.width, crop.height])
        if (corner > high).any() or (corner + size < low).any():
            told = (crop.x, crop.y, crop.width, crop.height)
            raise Invalid(f"crop {told!r} is outside the map", hint=f"it reaches from {_told(low)} to {_told(high)}")
        margin = 0.0
    else:
        corner, size, margin = low, high - low, MARGIN_PX
    edge = float(size.max()) or 1.0
    scale = (min(EDGE_PX_AIM, edge_px_max) - 2 * margin) / edge
    if options.scale_px is not None:
        scale = float(options.scale_px)
        if scale * edge + 2 * margin > edge_px_max:
            raise Invalid(
                f"scale_px {options.scale_px!r} makes {scale * edge:.0f} pixels of {edge:.6g} units",
                hint=f"send a crop of at most {(edge_px_max - 2 * margin) / scale:.4g} units, or leave scale_px out",
            )
    width, height = np.ceil(size * scale + 2 * margin).astype(int).clip(1, edge_px_max).tolist()
    left, top = (corner - margin / scale).tolist()
    return View(left, top, scale, width, height)


def _told(point: F64) -> str:
    return f"({point[0]:.6g}, {point[1]:.6g})"


def _placed(points: F64, view: View) -> F64:
    return (points - (view.left, view.top)) * view.px_per_unit


def _colors(
    mesh: Mesh, layers: MeshLayers, show: frozenset[Shown], facts: list[str], entries: list[Entry]
) -> list[Color]:
    """The color of each polygon, with what the legend says of them; raises Invalid."""
    areas = mesh.areas
    colors = np.array([palette.terrain_color(number) for number in range(len(mesh.terrains))], float)[areas]
    walkable = (areas != BLOCKED).astype(np.uint8)
    if "costs" in show:
        costs = np.array([terrain.cost for terrain in mesh.terrains], np.float32)[areas]
        span = span_of(costs, walkable)
        entries.append(Entry(frame.swatch(palette.BLOCKED), frame.SWATCH_PX, "blocked"))
        if span is not None:
            heat = palette.cost_colors(LEVELS)[levels_of(costs, span, LEVELS)]
            colors = np.where(walkable[:, None] != 0, heat, colors)
            entries.append(frame.costs_entry(span.least, span.most))
    else:
        entries += frame.terrain_entries(mesh.terrains)
    if layers.labels is not None:
        tints, regions = islands_of(_checked("labels", layers.labels, mesh))
        facts.append(f"{regions:,} region{'' if regions == 1 else 's'}")
        if "components" in show and regions > 1 and "costs" not in show:
            colors = _tinted(colors, tints)
            entries.append(frame.islands_entry(regions - 1))
    if "overlay" in show and layers.overlay is not None:
        overlay = _checked("overlay", layers.overlay, mesh)
        span = span_of(overlay, walkable)
        most = max(span.most if span else 1.0, DANGER_MOST_AT_LEAST)
        shares = levels_of(overlay, Span(1.0, most), LEVELS) / (LEVELS - 1) * palette.DANGER_SHARE_MAX * walkable
        colors = colors + (np.array(palette.DANGER) - colors) * shares[:, None]
        entries.append(frame.danger_entry(most))
    return [(red, green, blue) for red, green, blue in colors.round().astype(int).tolist()]


def _tinted(colors: F64, tints: U8) -> F64:
    hues = np.array([(0, 0, 0), *palette.ISLANDS], float)[tints]
    shares = np.where(tints > 0, palette.ISLAND_SHARE, 0.0)[:, None]
    mixed: F64 = colors + (hues - colors) * shares
    return mixed


def _checked(name: str, layer: NDArray[D], mesh: Mesh) -> NDArray[D]:
    if layer.shape != mesh.areas.shape:
        raise Invalid(f"{name} has the shape {layer.shape!r}", hint=f"the navmesh has {len(mesh.areas)} polygons")
    return layer


def _ground(mesh: Mesh, placed: F64, colors: list[Color]) -> list[Mark]:
    """Polygons from the lowest to the highest, neighbors in that order joined where their colors agree; then edges."""
    first, corners = mesh.first.tolist(), placed[mesh.corners]  # (corners, 2)
    heights = np.maximum.reduceat(mesh.vertices[mesh.corners, mesh.up], mesh.first[:-1])
    drawn: list[Mark] = []
    gathered: list[F64] = []
    order = np.lexsort((*np.array(colors).T, heights)).tolist()
    for place, polygon in enumerate(order):
        gathered.append(corners[first[polygon] : first[polygon + 1]])
        if place + 1 == len(order) or colors[order[place + 1]] != colors[polygon]:
            drawn.append(Area("ground", tuple(gathered), colors[polygon]))
            rings = tuple(np.concatenate([ring, ring[:1]]) for ring in gathered)
            drawn.append(Stroke("edge", rings, palette.EDGE, EDGE_WIDTH_PX))
            gathered = []
    return drawn
