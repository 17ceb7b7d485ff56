"""A scene as PNG, with soft edges: drawn larger, then averaged. The only file that draws pixels with Pillow.

Pillow is imported when a picture is drawn, so that nothing else waits for it. Equal scenes give equal bytes.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from app.core.errors import Broken
from app.modules.pathfinding.pictures.palette import FRAME, PAGE
from app.modules.pathfinding.pictures.scene import F64, U8, Area, Disc, Mark, Scene, Stroke, Words, moved

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

CANVAS_PX_MAX = 20_000_000
"""Pixels that are drawn before averaging, 4 bytes each in memory: the map first, then the page."""
FINENESS = 4
"""Drawn pixels along a side of each pixel of the picture, where the canvas has room."""
ANCHORS = {"start": "lm", "middle": "mm", "end": "rm"}


def write_png(scene: Scene) -> bytes:
    """The scene as a PNG of RGB pixels."""
    page = _page(scene)
    out = io.BytesIO()
    page.save(out, "PNG", compress_level=4)
    return out.getvalue()


def write_raster(raster: U8) -> bytes:
    """The raster (height, width, 3) alone as PNG."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(raster).save(out, "PNG", compress_level=6)
    return out.getvalue()


def shrunk(raster: U8, cells_per_px: int) -> U8:
    """The mean color of each square of `cells_per_px` cells on a side; those cut at the edges count what they have."""
    from PIL import Image

    return np.asarray(Image.fromarray(raster).reduce(cells_per_px))


def text_width_px(text: str, size_px: int) -> float:
    """How wide a text is in a picture."""
    return float(_font(size_px).getlength(text))


@lru_cache(maxsize=8)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size_px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise Broken("Pillow was built without FreeType, so it has no letters")
    return font


def _page(scene: Scene) -> Image.Image:
    from PIL import ImageDraw

    left, top = scene.left_px, scene.top_px
    page = _averaged(scene.width_px, scene.height_px, None, scene.around)
    page.paste(_averaged(scene.map_width_px, scene.map_height_px, scene.raster, scene.marks), (left, top))
    draw = ImageDraw.Draw(page)
    draw.rectangle((left - 1, top - 1, left + scene.map_width_px, top + scene.map_height_px), outline=FRAME)
    for mark in (*(moved(mark, left, top) for mark in scene.marks if isinstance(mark, Words)), *scene.around):
        if isinstance(mark, Words):
            draw.text((mark.x, mark.y), mark.text, mark.color, _font(mark.size_px), anchor=ANCHORS[mark.anchor])
    return page


def _averaged(width: int, height: int, raster: U8 | None, marks: tuple[Mark, ...]) -> Image.Image:
    """Marks but words over a raster, or over plain paper; what is left of the canvas when it is scaled down."""
    from PIL import Image, ImageDraw

    fine = max(n for n in (1, 2, FINENESS) if n == 1 or width * height * n * n <= CANVAS_PX_MAX)
    size = width * fine, height * fine
    if raster is None:
        canvas = Image.new("RGB", size, PAGE)
    else:
        canvas = Image.fromarray(raster).resize(size, Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(canvas)
    for mark in marks:
        _draw(draw, mark, fine)
    return canvas.reduce(fine) if fine > 1 else canvas


def _draw(draw: ImageDraw.ImageDraw, mark: Mark, fine: int) -> None:
    """Draw all but words, which would not gain from averaging."""
    if isinstance(mark, Stroke):
        width = max(round(mark.width_px * fine), 1)
        for line in mark.lines:
            draw.line(_flat(line, fine), mark.color, width, joint="curve" if width > 2 * fine else None)
    elif isinstance(mark, Area):
        for polygon in mark.polygons:
            draw.polygon(_flat(polygon, fine), mark.fill)
    elif isinstance(mark, Disc):
        x, y, radius = mark.x * fine, mark.y * fine, mark.radius_px * fine
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), mark.fill, mark.rim, round(mark.rim_px * fine))


def _flat(points: F64, fine: int) -> list[float]:
    flat: list[float] = (points * fine).ravel().tolist()
    return flat
