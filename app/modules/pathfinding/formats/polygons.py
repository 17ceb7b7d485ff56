"""Polygons of any navmesh export, checked and joined into a Mesh.

It knows geometry: welding, winding, convexity, edges; it does not know files. Refusals name polygons
through the places that a format gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.formats.limits import Limits, check_count, wrong
from app.modules.pathfinding.formats.seams import splits
from app.modules.pathfinding.formats.weld import WELD_UNITS, weld
from app.modules.pathfinding.surfaces import Link, Mesh, Terrain

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

COORDINATE_MAX = 10_000_000.0
"""World units: beyond about here, 32-bit numbers no longer tell neighboring units apart."""

CORNERS_MAX = 255
"""Corners of one polygon."""

AREA_MIN = WELD_UNITS * WELD_UNITS
"""Square world units, seen from above; polygons with less are dropped, as engines export slivers and walls."""

CROSSED_MIN = 1_000.0 * AREA_MIN
"""Square world units of parts that cancel each other in a polygon, which is then crossed and no sliver."""

DENT_MAX = 2.0 * WELD_UNITS
"""World units that a corner may lie inside the line of its neighbors, as rounding puts it, in a convex polygon."""


class Draft(NamedTuple):
    """What a file says, before it is checked. Polygon p has the next counts[p] corners."""

    vertices: F64
    """(vertices, 3)."""
    counts: I64
    """(polygons,)."""
    corners: I64
    """(counts.sum(),): places in `vertices`."""
    areas: NDArray[np.int32]
    """(polygons,): places in the terrains."""
    up: int


class Places(NamedTuple):
    """How a file names its parts, for refusals."""

    vertex: Callable[[int], str]
    polygon: Callable[[int], str]
    corner: Callable[[int, int], str]
    """Of a polygon's number and a corner's number in all."""


class Rings(NamedTuple):
    """Polygons that are left, by their numbers in the file."""

    numbers: I64
    counts: I64
    corners: I64

    def owners(self) -> I64:
        """The place of each corner's polygon, (corners,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def starts(self) -> I64:
        """The place of each polygon's first corner, (polygons,)."""
        starts: I64 = np.cumsum(self.counts) - self.counts
        return starts

    def following(self) -> I64:
        """The place of the corner after each one around its polygon, (corners,)."""
        after = np.arange(1, len(self.corners) + 1)
        some = self.counts > 0
        after[(self.starts() + self.counts - 1)[some]] = self.starts()[some]
        return after

    def edges(self) -> I64:
        """A number for each corner's edge to the next one, the same from both sides, (corners,)."""
        there = self.corners[self.following()]
        edges: I64 = (np.minimum(self.corners, there) << 32) | np.maximum(self.corners, there)
        return edges

    def only(self, kept: NDArray[np.bool_]) -> Rings:
        """Those of the polygons, (polygons,)."""
        return Rings(self.numbers[kept], self.counts[kept], self.corners[np.repeat(kept, self.counts)])


def mesh(draft: Draft, places: Places, terrains: tuple[Terrain, ...], links: tuple[Link, ...], limits: Limits) -> Mesh:
    """The mesh of a file's polygons, all wound the same way; `links` were checked by check_point.

    Polygons that have no area seen from above are dropped. Winding: the sum of a[i] * b[i + 1] - a[i + 1] * b[i]
    around a polygon is positive, (a, b) being (x, z) or, for a flat export, (x, y).
    Raises Invalid naming the polygon that is out of range, dented, crossed, or on an edge of two others.
    """
    _check(draft, places, limits)
    same = weld(draft.vertices)
    rings = _without_repeats(Rings(np.arange(len(draft.counts)), draft.counts, same[draft.corners]))
    flat = np.delete(draft.vertices, draft.up, axis=1)  # (vertices, 2)
    rings = _wound(rings, flat, places)
    if len(rings.numbers) == 0:
        raise Invalid("the map has no polygon to walk on", hint="expected at least one that has an area from above")
    _check_visits(rings, places)
    _check_convex(rings, flat, places)
    _check_edges(rings, places)
    rings = _joined(rings, flat, draft.vertices[:, draft.up])
    used, corners = np.unique(rings.corners, return_inverse=True)
    return Mesh(
        vertices=draft.vertices[used].astype(np.float32),
        first=np.concatenate([[0], np.cumsum(rings.counts)]).astype(np.int32),
        corners=corners.astype(np.int32),
        areas=draft.areas[rings.numbers],
        terrains=terrains,
        links=links,
        up=draft.up,
    )


def check_point(place: str, point: tuple[float, ...]) -> tuple[float, ...]:
    """A point of the world; raises Invalid when it is too far out."""
    if not all(abs(value) <= COORDINATE_MAX for value in point):
        raise wrong(place, f"the point {point!r}", f"expected numbers within {COORDINATE_MAX:g} units of 0")
    return point


def _check(draft: Draft, places: Places, limits: Limits) -> None:
    check_count("its vertices", len(draft.vertices), limits.vertices_max)
    check_count("its polygons", len(draft.counts), limits.polygons_max)
    far = ~(np.abs(draft.vertices) <= COORDINATE_MAX).all(axis=1)
    if far.any():
        vertex = int(far.argmax())
        check_point(places.vertex(vertex), tuple(draft.vertices[vertex].tolist()))
    odd = (draft.counts < 3) | (draft.counts > CORNERS_MAX)
    if odd.any():
        polygon = int(odd.argmax())
        count = int(draft.counts[polygon])
        raise wrong(places.polygon(polygon), f"{count!r} corners", f"expected 3 to {CORNERS_MAX} in a polygon")
    outside = (draft.corners < 0) | (draft.corners >= len(draft.vertices))
    if outside.any():
        corner = int(outside.argmax())
        polygon = int(np.searchsorted(np.cumsum(draft.counts), corner, side="right"))
        count = len(draft.vertices)
        hint = f"expected 0 to {count - 1}" if count else "expected vertices first"
        raise wrong(places.corner(polygon, corner), f"no vertex {int(draft.corners[corner])!r}", hint)


def _without_repeats(rings: Rings) -> Rings:
    """The polygons without corners that were welded to the next one."""
    kept = rings.corners != rings.corners[rings.following()]
    counts = np.bincount(rings.owners()[kept], minlength=len(rings.counts))
    return Rings(rings.numbers, counts, rings.corners[kept])


def _wound(rings: Rings, flat: F64, places: Places) -> Rings:
    """The polygons that have an area, all wound one way; raises Invalid for one whose parts cancel each other."""
    rings = rings.only(rings.counts >= 3)
    here = flat[rings.corners] - flat[np.repeat(rings.corners[rings.starts()], rings.counts)]  # near 0: no cancellation
    there = here[rings.following()]
    each = here[:, 0] * there[:, 1] - there[:, 0] * here[:, 1]
    twice = np.bincount(rings.owners(), each, minlength=len(rings.counts))
    parts = np.bincount(rings.owners(), np.abs(each), minlength=len(rings.counts))
    kept = np.abs(twice) >= 2.0 * AREA_MIN
    crossed = ~kept & (parts >= 2.0 * CROSSED_MIN)
    if crossed.any():
        polygon = int(rings.numbers[int(crossed.argmax())])
        raise wrong(places.polygon(polygon), "a polygon whose edges cross", "split it into simple polygons")
    rings, backward = rings.only(kept), twice[kept] < 0.0
    place = np.arange(len(rings.corners))
    mirrored = np.repeat(2 * rings.starts() + rings.counts - 1, rings.counts) - place
    order = np.where(np.repeat(backward, rings.counts), mirrored, place)
    return Rings(rings.numbers, rings.counts, rings.corners[order])


def _check_visits(rings: Rings, places: Places) -> None:
    owners = rings.owners()
    order = np.lexsort((rings.corners, owners))
    twice = (np.diff(owners[order]) == 0) & (np.diff(rings.corners[order]) == 0)
    if twice.any():
        polygon = int(rings.numbers[owners[order][int(twice.argmax())]])
        raise wrong(places.polygon(polygon), "a corner that is visited twice", "split it into simple polygons")


def _check_convex(rings: Rings, flat: F64, places: Places) -> None:
    """Raise Invalid for a polygon that turns the wrong way at a corner, or around more than once."""
    after = rings.following()
    before = np.empty_like(after)
    before[after] = np.arange(len(after))
    point = flat[rings.corners]
    there, back = point[after] - point, point - point[before]
    cross = back[:, 0] * there[:, 1] - back[:, 1] * there[:, 0]
    dot = (back * there).sum(axis=1)
    span = np.sqrt(((point[after] - point[before]) ** 2).sum(axis=1))
    dented = cross < -DENT_MAX * span
    turns = np.bincount(rings.owners(), np.arctan2(cross, dot), minlength=len(rings.counts))
    owners = rings.owners()
    if dented.any() or (turns > 3.0 * np.pi).any():
        place = int(owners[int(dented.argmax())]) if dented.any() else int((turns > 3.0 * np.pi).argmax())
        polygon = int(rings.numbers[place])
        raise wrong(places.polygon(polygon), "a polygon that is not convex", "split it into convex ones, or triangles")


def _joined(rings: Rings, flat: F64, height: F64) -> Rings:
    """The polygons with further corners where edges of others end on theirs.

    One that would then have too many corners, or an edge of two others, stays as it was.
    """
    edge, every = rings.edges(), rings.owners()
    order = np.argsort(edge, kind="stable")
    repeats = np.diff(edge[order]) == 0
    alone = np.sort(order[~(np.append(repeats, False) | np.append(False, repeats))])
    there = rings.corners[rings.following()]
    found = splits(flat, height, np.stack([rings.corners[alone], there[alone]], axis=1))
    owners = every[alone[found.edges]]
    split = np.zeros(len(rings.counts), bool)
    split[owners] = True
    some = np.flatnonzero(split[every])
    kept = ~np.isin(owners * len(flat) + found.vertices, every[some] * len(flat) + rings.corners[some])
    while kept.any():
        corners = np.insert(rings.corners, alone[found.edges[kept]] + 1, found.vertices[kept])
        counts = rings.counts + np.bincount(owners[kept], minlength=len(rings.counts))
        joined = Rings(rings.numbers, counts, corners)
        spoiled = counts > CORNERS_MAX
        spoiled[joined.owners()[_thirds(joined).ravel()]] = True
        if not spoiled[owners[kept]].any():
            return joined
        kept &= ~spoiled[owners]
    return rings


def _thirds(rings: Rings) -> I64:
    """The places of three corners whose edges are one and the same, (cases, 3)."""
    edge = rings.edges()
    order = np.argsort(edge, kind="stable")
    case = np.flatnonzero(edge[order][2:] == edge[order][:-2])
    return np.stack([order[case], order[case + 1], order[case + 2]], axis=1)


def _check_edges(rings: Rings, places: Places) -> None:
    """Raise Invalid for an edge of more than two polygons."""
    thirds = _thirds(rings)
    if len(thirds):
        numbers = sorted(rings.numbers[rings.owners()[thirds[0]]].tolist())
        first, *others = (places.polygon(number) for number in numbers)
        raise wrong(first, f"an edge that it shares with {' and '.join(others)}", "an edge may join two polygons")
