"""Ways, links and arrows as shapes in pixels of a map.

It knows how they look and how many may be drawn; it does not know where their points come from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.core.errors import Invalid
from app.modules.pathfinding.pictures.options import PATHS_MAX
from app.modules.pathfinding.pictures.palette import ARROW, CASING, LINK, PATHS
from app.modules.pathfinding.pictures.scene import F64, Area, Disc, Mark, Stroke
from app.modules.pathfinding.surfaces import Link

LINKS_MAX = 1_000
"""Links in one picture; the legend says where there are more."""
DASHES_MAX = 96
"""Dashes of one link; on longer links they are longer."""
DASH_PX, GAP_PX = 6.0, 4.0
CURVE = np.linspace(0.0, 1.0, 25)[:, None]
AWAY_PX_MAX = float(1 << 20)
"""What lies farther outside the picture is drawn as if it lay here, which bounds the work of cutting it off."""
BULGE, BULGE_PX_MAX = 0.2, 60.0
"""How far a link swings out beside the straight line: share of its length, and at most."""


def points_of(path: object, axes: tuple[int, ...]) -> F64:
    """The points of a way as (points, 2) float64, `axes` of each; raises Invalid where they are none."""
    points = np.asarray(path, np.float64)
    if points.ndim != 2 or points.shape[1] <= max(axes) or not np.isfinite(points).all():
        raise Invalid(f"a way has the shape {points.shape!r}", hint="expected finite points, one a row")
    return points[:, axes]


def path_marks(paths: Sequence[F64], width_px: float) -> list[Mark]:
    """Each way in its color on a white casing; the start is a ring, the goal a dot. Raises Invalid."""
    if len(paths) > PATHS_MAX:
        raise Invalid(f"{len(paths)!r} ways in one picture", hint=f"draw at most {PATHS_MAX}")
    kept = [points.clip(-AWAY_PX_MAX, AWAY_PX_MAX) for points in paths]
    walked = [(PATHS[number % len(PATHS)], points) for number, points in enumerate(kept) if len(points)]
    lines = [(color, points) for color, points in walked if len(points) > 1]
    marks: list[Mark] = [Stroke("casing", (points,), CASING, width_px + 2.5) for _, points in lines]
    marks += [Stroke("path", (points,), color, width_px) for color, points in lines]
    radius = width_px + 2.5
    for color, points in walked:
        (start_x, start_y), (goal_x, goal_y) = points[0].tolist(), points[-1].tolist()
        marks.append(Disc("start", start_x, start_y, radius + 1.5, CASING, CASING))
        marks.append(Disc("start", start_x, start_y, radius, CASING, color, max(width_px * 0.75, 2.0)))
        marks.append(Disc("goal", goal_x, goal_y, radius + 1.5, color, CASING, 1.5))
    return marks


def link_marks(links: Sequence[tuple[F64, Link]], width: float, height: float, width_px: float) -> list[Mark]:
    """Links as dashed arcs: an arrow where they lead one way, a dot at both ends where they lead both.

    Each comes with its ends, (2, 2) in pixels; those that lie outside `width` x `height` pixels are left out.
    """
    marks: list[Mark] = []
    for placed, link in links[:LINKS_MAX]:
        ends = placed.clip(-AWAY_PX_MAX, AWAY_PX_MAX)
        curve = _curve(ends[0], ends[1])
        low, high = curve.min(axis=0), curve.max(axis=0)
        if high[0] < 0 or high[1] < 0 or low[0] > width or low[1] > height:
            continue
        dashes = _dashes(curve)
        marks.append(Stroke("casing", dashes, CASING, width_px + 1.5))
        marks.append(Stroke("link", dashes, LINK, width_px))
        radius = width_px + 2.0
        (start_x, start_y), (end_x, end_y) = ends.tolist()
        marks.append(Disc("link-end", start_x, start_y, radius, LINK, CASING, 1.0))
        if link.one_way:
            head = _head(curve[-1], curve[-1] - curve[-4], 4.0 * width_px + 3.0)
            marks.append(Area("link-head", (head,), LINK))
        else:
            marks.append(Disc("link-end", end_x, end_y, radius, LINK, CASING, 1.0))
    return marks


def _curve(start: F64, end: F64) -> F64:
    """A quadratic Bezier arc, (25, 2)."""
    along = end - start
    length = float(np.hypot(*along))
    aside = np.array([-along[1], along[0]]) / max(length, 1e-9)
    middle = (start + end) / 2 + aside * 2 * min(BULGE * length, BULGE_PX_MAX)
    curve: F64 = (1 - CURVE) ** 2 * start + 2 * CURVE * (1 - CURVE) * middle + CURVE**2 * end
    return curve


def _dashes(curve: F64) -> tuple[F64, ...]:
    """Straight pieces of a curve, each (2, 2), the first and the last at its ends."""
    walked = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    count = int(np.clip((walked[-1] + GAP_PX) / (DASH_PX + GAP_PX), 1, DASHES_MAX))
    share = DASH_PX / (DASH_PX + GAP_PX)
    period = walked[-1] / max(count - 1 + share, 1e-9)
    at = np.arange(count)[:, None] * period + [0.0, share * period]  # (dashes, 2)
    points = np.stack([np.interp(at, walked, curve[:, 0]), np.interp(at, walked, curve[:, 1])], axis=2)
    return tuple(points)


def _head(tip: F64, along: F64, size_px: float) -> F64:
    """An arrowhead with its tip at a point, (3, 2)."""
    unit = along / max(float(np.hypot(*along)), 1e-9)
    aside = np.array([-unit[1], unit[0]])
    back = tip - unit * size_px
    return np.stack([tip, back + aside * size_px * 0.45, back - aside * size_px * 0.45])


def arrow_marks(middles: F64, directions: F64, length_px: float) -> list[Mark]:
    """Arrows around `middles` (n, 2) in pixels; those whose direction, of `directions` (n, 2), is 0 are left out."""
    lengths = np.hypot(directions[:, 0], directions[:, 1])
    there = np.isfinite(lengths) & (lengths > 0)
    if not there.any():
        return []
    unit = directions[there] / lengths[there, None]
    aside = np.stack([-unit[:, 1], unit[:, 0]], axis=1)
    tips, tails = middles[there] + unit * length_px * 0.5, middles[there] - unit * length_px * 0.5
    necks = tips - unit * length_px * 0.4
    heads = np.stack([tips, necks + aside * length_px * 0.2, necks - aside * length_px * 0.2], axis=1)
    middle = heads.mean(axis=1, keepdims=True)
    shafts, width_px = tuple(np.stack([tails, necks], axis=1)), max(length_px * 0.08, 1.0)
    return [
        Stroke("casing", shafts, CASING, width_px + 1.5),
        Area("casing", tuple(middle + (heads - middle) * 1.4), CASING),
        Stroke("field", shafts, ARROW, width_px),
        Area("field", tuple(heads), ARROW),
    ]
