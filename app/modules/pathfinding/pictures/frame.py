"""What stands around a map: its name, a ruler on two sides, the legend below.

It knows layout and what words mean in a legend; it does not know what kind of map it frames.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from app.modules.pathfinding.pictures import palette
from app.modules.pathfinding.pictures.marks import arrow_marks, link_marks
from app.modules.pathfinding.pictures.palette import Color
from app.modules.pathfinding.pictures.png import text_width_px
from app.modules.pathfinding.pictures.scene import (
    F64,
    U8,
    Area,
    Disc,
    Mark,
    Scene,
    Stroke,
    Words,
    box,
    moved,
    printable,
)
from app.modules.pathfinding.surfaces import Link, Terrain

TITLE_PX, TEXT_PX, RULER_PX = 19, 13, 11
LEFT_PX, TOP_PX, RIGHT_PX, PAD_PX = 46, 76, 16, 16
ROW_PX, SWATCH_PX = 23, 15
WIDTH_PX_MIN = 460
"""A page is at least this wide, so that the legend of a small map can be read."""
TERRAINS_SHOWN_MAX = 24
TICK_PX_MIN = 52.0
SLACK = 1.15
"""Room for fonts of SVG viewers that are wider than the one measured."""


class Entry(NamedTuple):
    """A line of the legend: marks in a box `width_px` wide and SWATCH_PX high, and what they mean."""

    marks: tuple[Mark, ...]
    width_px: int
    text: str


class Axis(NamedTuple):
    """One side of the ruler: where numbers lie on the map."""

    first: float
    """The number at `shift_px`."""
    px_per_one: float
    shift_px: float
    length_px: int


def framed(
    title: str,
    facts: str,
    raster: U8 | None,
    marks: list[Mark],
    across: Axis,
    down: Axis,
    entries: list[Entry],
    *,
    tick_min: float,
) -> Scene:
    """The map with all that stands around it; `tick_min` is the smallest step of the ruler."""
    title = printable(title, 48)
    needed = max(text_width_px(title, TITLE_PX), text_width_px(facts, TEXT_PX) * SLACK) + 2 * PAD_PX
    width = max(LEFT_PX + across.length_px + RIGHT_PX, WIDTH_PX_MIN, math.ceil(needed))
    below = TOP_PX + down.length_px + PAD_PX
    legend, height = _legend(entries, width, below)
    around: list[Mark] = [
        Words(title, PAD_PX, 22, TITLE_PX, palette.INK),
        Words(facts, PAD_PX, 43, TEXT_PX, palette.FAINT),
        *_ruler(across, down, tick_min),
        *legend,
    ]
    return Scene(
        title=title, width_px=width, height_px=height, left_px=LEFT_PX, top_px=TOP_PX,
        map_width_px=across.length_px, map_height_px=down.length_px,
        raster=raster, marks=tuple(marks), around=tuple(around),
    )  # fmt: skip


def _legend(entries: list[Entry], width: int, top: float) -> tuple[list[Mark], int]:
    """The entries in rows from left to right, and where they end."""
    marks: list[Mark] = []
    x, y = float(PAD_PX), top
    for entry in entries:
        text_width = text_width_px(entry.text, TEXT_PX) * SLACK
        full = entry.width_px + 7 + text_width + 20
        if x > PAD_PX and x + full - 20 > width - PAD_PX:
            x, y = float(PAD_PX), y + ROW_PX
        marks += [moved(mark, x, y) for mark in entry.marks]
        marks.append(Words(entry.text, x + entry.width_px + 7, y + SWATCH_PX / 2, TEXT_PX, palette.INK))
        x += full
    return marks, math.ceil(y + ROW_PX + PAD_PX / 2)


def _ruler(across: Axis, down: Axis, tick_min: float) -> list[Mark]:
    marks: list[Mark] = []
    for axis, flat in ((across, True), (down, False)):
        step = max(_step(TICK_PX_MIN / axis.px_per_one), tick_min)
        last = axis.first + (axis.length_px - axis.shift_px) / axis.px_per_one
        number = math.ceil(axis.first / step - 1e-9) * step
        ticks: list[F64] = []
        while number <= last + 1e-9 * step and len(ticks) < 1_000:
            at = axis.shift_px + (number - axis.first) * axis.px_per_one
            text = f"{number:g}"
            if flat:
                ticks.append(np.array([(LEFT_PX + at, TOP_PX - 6.0), (LEFT_PX + at, TOP_PX - 1.0)]))
                marks.append(Words(text, LEFT_PX + at, TOP_PX - 14, RULER_PX, palette.FAINT, "middle"))
            else:
                ticks.append(np.array([(LEFT_PX - 6.0, TOP_PX + at), (LEFT_PX - 1.0, TOP_PX + at)]))
                marks.append(Words(text, LEFT_PX - 9, TOP_PX + at, RULER_PX, palette.FAINT, "end"))
            number += step
        marks.append(Stroke("ruler", tuple(ticks), palette.FRAME, 1.0))
    return marks


def _step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20 … (or a tenth of them, …) that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= least * (1 - 1e-9))


def swatch(color: Color) -> tuple[Mark, ...]:
    """A square of one color with a thin rim."""
    return (
        Area("swatch", (box(0, 0, SWATCH_PX, SWATCH_PX),), palette.FRAME),
        Area("swatch", (box(1, 1, SWATCH_PX - 2, SWATCH_PX - 2),), color),
    )


def terrain_entries(terrains: tuple[Terrain, ...]) -> list[Entry]:
    """Blocked ground, and each terrain with what a step on it costs."""
    entries = [Entry(swatch(palette.BLOCKED), SWATCH_PX, "blocked")]
    shown = terrains[1 : TERRAINS_SHOWN_MAX + 1]
    for number, terrain in enumerate(shown, 1):
        text = f"{printable(terrain.name)} · cost {terrain.cost:g}"
        entries.append(Entry(swatch(palette.terrain_color(number)), SWATCH_PX, text))
    if len(terrains) - 1 > len(shown):
        entries.append(Entry((), 0, f"and {len(terrains) - 1 - len(shown)} more terrains"))
    return entries


def gradient_entry(colors: list[Color], text: str) -> Entry:
    """A bar of colors from the least to the most."""
    step = 6
    bars = [Area("swatch", (box(n * step, 0, step, SWATCH_PX),), color) for n, color in enumerate(colors)]
    return Entry(tuple(bars), step * len(colors), text)


def danger_entry(most: float) -> Entry:
    """How the overlay is shown, from no danger to the most on this map."""
    shares = np.linspace(0.0, palette.DANGER_SHARE_MAX, 12).tolist()
    colors = [palette.mixed(palette.TERRAINS[0], palette.DANGER, share) for share in shares]
    return gradient_entry(colors, f"danger, cost x 1 to x {most:.3g}")


def costs_entry(least: float, most: float) -> Entry:
    """How costs are shown, from the cheapest to the dearest step on this map."""
    colors = [(int(red), int(green), int(blue)) for red, green, blue in palette.cost_colors(16).tolist()]
    return gradient_entry(list(colors), f"cost of a step, {least:.3g} to {most:.3g}, logarithmic")


def islands_entry(islands: int) -> Entry:
    """The colors of regions out of reach."""
    colors = [palette.mixed(palette.TERRAINS[0], hue, palette.ISLAND_SHARE) for hue in palette.ISLANDS]
    return gradient_entry(colors, f"{islands:,} island{'s' if islands > 1 else ''} out of reach of the main region")


def obstacle_entry() -> Entry:
    """Striped cells."""
    corners = ((6, 1, 10, 1, 1, 10, 1, 6), (4, 14, 8, 14, 14, 8, 14, 4))
    stripes = tuple(np.array(stripe, float).reshape(4, 2) for stripe in corners)
    marks = (*swatch(palette.OBSTACLE), Area("swatch", stripes, palette.OBSTACLE_STRIPE))
    return Entry(marks, SWATCH_PX, "obstacle")


def path_entry(paths: int) -> Entry:
    """From ring to dot."""
    color, middle = palette.PATHS[0], SWATCH_PX / 2
    line = np.array([(5.0, middle), (35.0, middle)])
    marks = (
        Stroke("swatch", (line,), color, 3.0),
        Disc("swatch", 5.0, middle, 5.0, palette.CASING, color),
        Disc("swatch", 35.0, middle, 5.0, color, color),
    )
    return Entry(marks, 40, "way from start to goal" if paths == 1 else f"{paths} ways from start to goal")


def link_entry(links: int, drawn: int) -> Entry:
    """A dashed arc."""
    line = np.array([(3.0, 4.0), (37.0, 4.0)])
    link = Link(start=(0.0, 0.0), end=(0.0, 0.0), cost=0.0, one_way=True)
    text = "link" if links <= drawn else f"link, the first {drawn:,} of {links:,}"
    return Entry(tuple(link_marks([(line, link)], 40.0, SWATCH_PX, 1.5)), 42, text)


def field_entry() -> Entry:
    """An arrow of the flow field."""
    marks = arrow_marks(np.array([(9.0, SWATCH_PX / 2)]), np.array([(1.0, 0.0)]), 16.0)
    return Entry(tuple(marks), 18, "flow toward the goal")
