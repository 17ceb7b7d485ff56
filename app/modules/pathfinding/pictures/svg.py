"""A scene as SVG 1.1: lines and words as such, the ground as an embedded picture that keeps its cells sharp.

It knows markup and escapes all text; it reaches for nothing outside the file. Equal scenes give equal bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from app.modules.pathfinding.pictures.palette import FRAME, PAGE, written
from app.modules.pathfinding.pictures.png import write_raster
from app.modules.pathfinding.pictures.scene import F64, Area, Disc, Mark, Scene, Stroke

FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def write_svg(scene: Scene) -> bytes:
    """The scene as an SVG file in UTF-8, one pixel a unit."""
    return "\n".join(_lines(scene)).encode()


def _lines(scene: Scene) -> Iterator[str]:
    width, height = scene.map_width_px, scene.map_height_px
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'width="{scene.width_px}" height="{scene.height_px}" viewBox="0 0 {scene.width_px} {scene.height_px}" '
        f"font-family={quoteattr(FONT)}>"
    )
    yield f"<title>{escape(scene.title)}</title>"
    yield f'<rect width="100%" height="100%" fill="{written(PAGE)}"/>'
    yield (
        f'<svg class="map" x="{scene.left_px}" y="{scene.top_px}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" overflow="hidden">'
    )
    if scene.raster is not None:
        data = base64.b64encode(write_raster(scene.raster)).decode()
        yield (
            f'<image width="{width}" height="{height}" preserveAspectRatio="none" '
            f'style="image-rendering:pixelated" xlink:href="data:image/png;base64,{data}"/>'
        )
    yield from map(_mark, scene.marks)
    yield "</svg>"
    yield (
        f'<rect x="{scene.left_px - 0.5}" y="{scene.top_px - 0.5}" width="{width + 1}" height="{height + 1}" '
        f'fill="none" stroke="{written(FRAME)}"/>'
    )
    yield from map(_mark, scene.around)
    yield "</svg>"


def _mark(mark: Mark) -> str:
    if isinstance(mark, Stroke):
        look = f'stroke="{written(mark.color)}" stroke-width="{mark.width_px:g}" stroke-linejoin="round" fill="none"'
        if len(mark.lines) == 1:
            return f'<polyline class="{mark.name}" points="{_points(mark.lines[0])}" {look}/>'
        return f'<path class="{mark.name}" d="{"".join("M" + _points(line) for line in mark.lines)}" {look}/>'
    if isinstance(mark, Area):
        outline = "".join(f"M{_points(polygon)}Z" for polygon in mark.polygons)
        return f'<path class="{mark.name}" d="{outline}" fill="{written(mark.fill)}"/>'
    if isinstance(mark, Disc):
        radius = mark.radius_px - mark.rim_px / 2  # SVG centers a rim on the edge, ours lies inside
        return (
            f'<circle class="{mark.name}" cx="{_number(mark.x)}" cy="{_number(mark.y)}" r="{radius:g}" '
            f'fill="{written(mark.fill)}" stroke="{written(mark.rim)}" stroke-width="{mark.rim_px:g}"/>'
        )
    return (
        f'<text x="{_number(mark.x)}" y="{_number(mark.y)}" font-size="{mark.size_px}" text-anchor="{mark.anchor}" '
        f'dominant-baseline="central" fill="{written(mark.color)}">{escape(mark.text)}</text>'
    )


def _points(points: F64) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points.tolist())


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
