"""Things that stand on a mesh for a while: doors that shut, crates and circles that are cut out of the ground.

It knows outlines and polygons; when an obstacle comes and goes is decided elsewhere. Cut ground has
no sights: it is searched exactly by polyanya.py until prepare.with_sights is called.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from app.core.errors import Invalid
from app.modules.pathfinding.meshes import linking, places, regions
from app.modules.pathfinding.meshes.graph import BLIND, F64, I32, Prepared
from app.modules.pathfinding.meshes.prepare import Shapes, assemble

CIRCLE_SIDES = 12
OUTLINES_MAX = 1_024
Point = tuple[float, float]


class Outline(NamedTuple):
    """What an obstacle covers: a convex polygon in the plane, wound to the left, between two heights."""

    corners: tuple[Point, ...]
    low: float = -math.inf
    high: float = math.inf


def circle(mesh: Prepared, center: tuple[float, float, float], radius: float, reach: float, grow: float) -> Outline:
    """The outline around a circle, grown by the agent's radius, on ground at most `reach` above or below its center."""
    if not (radius > 0.0 and grow >= 0.0 and reach >= 0.0 and all(map(math.isfinite, (*center, radius, grow)))):
        raise Invalid(f"a circle of radius {radius!r} at {center!r}", hint="send finite numbers and a radius above 0")
    u, v = places.axes(mesh.up)
    outer = (radius + grow) / math.cos(math.pi / CIRCLE_SIDES)
    turns = [2.0 * math.pi * (side + 0.5) / CIRCLE_SIDES for side in range(CIRCLE_SIDES)]
    corners = tuple((center[u] + outer * math.cos(turn), center[v] + outer * math.sin(turn)) for turn in turns)
    return Outline(corners, center[mesh.up] - reach, center[mesh.up] + reach)


def box(
    mesh: Prepared, center: tuple[float, float, float], half: tuple[float, float, float], turn_rad: float, grow: float
) -> Outline:
    """The outline of a box, given by half its sides, turned in the plane and grown by the agent's radius."""
    if not (min(half) > 0.0 and grow >= 0.0 and all(map(math.isfinite, (*center, *half, turn_rad, grow)))):
        raise Invalid(f"a box of half sides {half!r} at {center!r}", hint="send finite numbers and sides above 0")
    u, v = places.axes(mesh.up)
    cos, sin = math.cos(turn_rad), math.sin(turn_rad)
    corners = []
    for one, two in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        x, y = one * (half[u] + grow), two * (half[v] + grow)
        corners.append((center[u] + cos * x - sin * y, center[v] + sin * x + cos * y))
    return Outline(tuple(corners), center[mesh.up] - half[mesh.up], center[mesh.up] + half[mesh.up])


def shut(mesh: Prepared, polygons: I32, *, closed: bool) -> Prepared:
    """The mesh with polygons of the uploaded mesh shut or opened; only those that were kept apart. Raises Invalid."""
    wrong = [int(p) for p in polygons if not 0 <= p < len(mesh.source) or mesh.source[p] < 0]
    wrong = wrong or [int(p) for p in polygons if not mesh.kept_apart[mesh.source[p]]]
    if wrong:
        raise Invalid(f"polygon {wrong[0]!r} is no door of this mesh", hint="say that it is one when preparing")
    flags = mesh.shut.copy()
    flags[mesh.source[polygons]] = 1 if closed else 0
    labels, count = regions.label(mesh.first, mesh.twins, mesh.owner, flags)
    linked = np.full(count + 1, -1, np.int32)
    changed = mesh._replace(shut=flags, labels=labels, linked=linked, sights=BLIND)
    return linking.closed(changed) if len(mesh.exits) else changed


def cut(mesh: Prepared, outlines: tuple[Outline, ...]) -> Prepared:
    """The mesh with the ground under outlines taken away. Raises Invalid.

    Each polygon that an outline touches gives way to the convex pieces outside of it, one along
    every side; edges are then split wherever a corner of a neighbor stands on them.
    """
    if len(outlines) > OUTLINES_MAX:
        raise Invalid(f"{len(outlines)!r} obstacles on one mesh", hint=f"send at most {OUTLINES_MAX}")
    clay = _Clay(mesh)
    for outline in outlines:
        clay.subtract(outline)
    if not clay.touched:
        return mesh
    fresh = assemble(clay.shapes(), mesh.up, np.full(len(mesh.source), -1, np.int32))
    place = clay.places()
    shut_now = np.concatenate([mesh.shut[clay.kept], np.zeros(len(fresh.shut) - len(clay.kept), np.uint8)])
    source = np.where(mesh.source >= 0, place[np.maximum(mesh.source, 0)], -1).astype(np.int32)
    labels, count = regions.label(fresh.first, fresh.twins, fresh.owner, shut_now)
    fresh = fresh._replace(
        shut=shut_now, source=source, labels=labels, linked=np.full(count + 1, -1, np.int32), cheapest=mesh.cheapest,
        uniform=mesh.uniform,
    )  # fmt: skip
    return linking.moved(mesh, fresh) if len(mesh.exits) else fresh


class _Clay:
    """Polygons while outlines are taken from them: those kept whole, and pieces of the others."""

    def __init__(self, mesh: Prepared) -> None:
        self.mesh = mesh
        self.touched: set[int] = set()
        self.pieces: list[tuple[int, list[int]]] = []
        self.points: list[Point] = []
        self.heights: list[float] = []
        self.known: dict[tuple[float, float, int], int] = {}
        around = mesh.points[mesh.corners]
        self.low = np.minimum.reduceat(around, mesh.first[:-1], axis=0)
        self.high = np.maximum.reduceat(around, mesh.first[:-1], axis=0)
        size = float(np.abs(mesh.points).max(initial=1.0))
        self.eps = 4.0 * size * float(np.finfo(np.float32).eps)

    def at(self, vertex: int) -> Point:
        """Where a vertex is, old or new."""
        old = len(self.mesh.points)
        if vertex >= old:
            return self.points[vertex - old]
        return float(self.mesh.points[vertex, 0]), float(self.mesh.points[vertex, 1])

    def subtract(self, outline: Outline) -> None:
        """Cut an outline out of all polygons and pieces that it touches."""
        shape = [(float(np.float32(x)), float(np.float32(y))) for x, y in outline.corners]
        low, high = np.min(shape, axis=0), np.max(shape, axis=0)
        near = np.flatnonzero((self.low < high).all(axis=1) & (self.high > low).all(axis=1))
        whole = (int(p) for p in near if int(p) not in self.touched)
        fresh = [(p, self._ring(p)) for p in whole if self._level(p, outline)]
        kept = []
        for origin, ring in [*self.pieces, *fresh]:
            parts = self._outside(origin, ring, shape) if self._level(origin, outline) else None
            if parts is None:
                if origin in self.touched:
                    kept.append((origin, ring))
                continue
            self.touched.add(origin)
            kept += [(origin, part) for part in parts]
        self.pieces = kept

    def _ring(self, polygon: int) -> list[int]:
        cuts = self.mesh.first[polygon], self.mesh.first[polygon + 1]
        return [int(c) for c in self.mesh.corners[cuts[0] : cuts[1]]]

    def _level(self, polygon: int, outline: Outline) -> bool:
        """Whether a polygon lies between the heights of an outline."""
        cuts = self.mesh.first[polygon], self.mesh.first[polygon + 1]
        heights = self.mesh.heights[self.mesh.corners[cuts[0] : cuts[1]]]
        return bool(heights.min() <= outline.high and heights.max() >= outline.low)

    def _outside(self, origin: int, ring: list[int], shape: list[Point]) -> list[list[int]] | None:
        """The pieces of a polygon outside a shape; None where they do not overlap."""
        parts, rest = [], ring
        for number, a in enumerate(shape):
            b = shape[(number + 1) % len(shape)]
            outer, rest = self._split(origin, rest, a, b, shape)
            if len(outer) >= 3:
                parts.append(outer)
            if len(rest) < 3:
                return None
        return parts

    def _split(
        self, origin: int, ring: list[int], a: Point, b: Point, shape: list[Point]
    ) -> tuple[list[int], list[int]]:
        """The parts of a polygon to the right and to the left of the line from a to b."""
        length = math.dist(a, b)
        away = []
        for vertex in ring:
            x, y = self.at(vertex)
            far = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / length
            away.append(0.0 if abs(far) <= self.eps else far)
        if max(away) <= 0.0:
            return ring, []
        if min(away) >= 0.0:
            return [], ring
        right, left = [], []
        for number, vertex in enumerate(ring):
            far, onward = away[number], away[(number + 1) % len(ring)]
            if far <= 0.0:
                right.append(vertex)
            if far >= 0.0:
                left.append(vertex)
            if far * onward < 0.0:
                crossing = self._crossing(origin, vertex, ring[(number + 1) % len(ring)], far, onward, shape)
                right.append(crossing)
                left.append(crossing)
        return _distinct(right), _distinct(left)

    def _crossing(self, origin: int, one: int, two: int, far: float, onward: float, shape: list[Point]) -> int:
        """The vertex where an edge crosses a line, the same seen from both sides of the edge."""
        if one > two:
            one, two, far, onward = two, one, onward, far
        (ax, ay), (bx, by) = self.at(one), self.at(two)
        share = far / (far - onward)
        x, y = float(np.float32(ax + share * (bx - ax))), float(np.float32(ay + share * (by - ay)))
        for corner in (*shape, (ax, ay), (bx, by)):
            if abs(corner[0] - x) <= self.eps and abs(corner[1] - y) <= self.eps:
                x, y = corner
        plane = self.mesh.planes[origin]
        return self._vertex(x, y, float(plane[0] + plane[1] * x + plane[2] * y), one, two)

    def _vertex(self, x: float, y: float, height: float, one: int, two: int) -> int:
        """A vertex at a place, one that is there already on this storey if there is."""
        for end in (one, two):
            if self.at(end) == (x, y):
                return end
        old = len(self.mesh.points)
        key = (x, y, round(height / max(1e3 * self.eps, 1e-3)))
        for level in (key[2], key[2] - 1, key[2] + 1):
            if (x, y, level) in self.known:
                return self.known[x, y, level]
        self.known[key] = old + len(self.points)
        self.points.append((x, y))
        self.heights.append(height)
        return self.known[key]

    @property
    def kept(self) -> I32:
        """The polygons that no outline touched."""
        return np.array([p for p in range(len(self.mesh.cost)) if p not in self.touched], np.int32)

    def places(self) -> I32:
        """Where each polygon has gone, -1 where it was cut."""
        place = np.full(len(self.mesh.cost), -1, np.int32)
        kept = self.kept
        place[kept] = np.arange(len(kept))
        return place

    def shapes(self) -> Shapes:
        """What is left, with all edges split where corners stand on them."""
        mesh, kept = self.mesh, self.kept
        points = np.vstack([mesh.points, np.array(self.points, np.float64).reshape(-1, 2)])
        heights = np.concatenate([mesh.heights, np.array(self.heights, np.float64)])
        loose = np.unique([v for _, ring in self.pieces for v in ring]).astype(np.int32)
        rings = [self._ring(int(p)) for p in kept]
        low, high = points[loose].min(axis=0, initial=np.inf), points[loose].max(axis=0, initial=-np.inf)
        for number, p in enumerate(kept):
            if (self.low[p] <= high + self.eps).all() and (self.high[p] >= low - self.eps).all():
                rings[number] = self._split_edges(rings[number], loose, points, heights)
        rings += [self._split_edges(ring, loose, points, heights) for _, ring in self.pieces]
        origins = np.concatenate([kept, [origin for origin, _ in self.pieces]]).astype(np.int32)
        sizes = [len(ring) for ring in rings]
        apart = np.concatenate([mesh.kept_apart[kept], np.zeros(len(self.pieces), np.uint8)]).astype(np.uint8)
        return Shapes(
            points, heights, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
            np.array([v for ring in rings for v in ring], np.int32), mesh.cost[origins], apart,
        )  # fmt: skip

    def _split_edges(self, ring: list[int], loose: I32, points: F64, heights: F64) -> list[int]:
        """The polygon with every loose vertex that stands on one of its edges."""
        split = []
        for number, one in enumerate(ring):
            split.append(one)
            two = ring[(number + 1) % len(ring)]
            a, edge = points[one], points[two] - points[one]
            length = float(np.hypot(*edge))
            off = points[loose] - a
            along = (off @ edge) / length
            across = np.abs(off[:, 0] * edge[1] - off[:, 1] * edge[0]) / length
            level = heights[one] + along / length * (heights[two] - heights[one])
            on = (across <= self.eps) & (along > self.eps) & (along < length - self.eps)
            on &= np.abs(heights[loose] - level) <= 1e-3 * length + 1e3 * self.eps
            split += [int(v) for v in loose[on][np.argsort(along[on], kind="stable")] if v not in ring]
        return split


def _distinct(ring: list[int]) -> list[int]:
    """A ring without a vertex that repeats the one before it."""
    return [vertex for number, vertex in enumerate(ring) if vertex != ring[number - 1]]
