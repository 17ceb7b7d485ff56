"""The slow twin: a visibility graph over all vertices of a small mesh, and what it means to walk on one."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from itertools import pairwise

import numpy as np

from app.modules.pathfinding.surfaces import Mesh, Terrain

Point = tuple[float, float]
Ring = list[int]

GROUND = (Terrain("blocked", math.inf), Terrain("ground", 1.0), Terrain("mud", 3.0))
NEAR = 1e-9


def mesh_of(free: np.ndarray, *, triangles: bool, shear: tuple[int, int, int, int] = (1, 0, 0, 1), up: int = 2) -> Mesh:
    """A mesh of the free cells of a grid: runs of each row, with a vertex wherever cells of other rows touch."""
    height, width = free.shape
    rings = []
    for y in range(height):
        x = 0
        while x < width:
            if not free[y, x]:
                x += 1
                continue
            end = x
            while end < width and free[y, end] == free[y, x]:
                end += 1
            rim = [(x + i, y) for i in range(end - x + 1)] + [(end - i, y + 1) for i in range(end - x + 1)]
            squares = [((i, y), (i + 1, y), (i + 1, y + 1), (i, y + 1)) for i in range(x, end)]
            if triangles:
                rings += [(list(ring), free[y, x]) for a, b, c, d in squares for ring in ((a, b, c), (a, c, d))]
            else:
                rings.append((rim, free[y, x]))
            x = end
    numbers: dict[tuple[int, int], int] = {}
    corners, first = [], [0]
    for ring, _ in rings:
        corners += [numbers.setdefault(place, len(numbers)) for place in ring]
        first.append(len(corners))
    a, b, c, d = shear
    flat = np.array([(a * x + b * y, c * x + d * y) for x, y in numbers], np.float32).reshape(-1, 2)
    vertices = np.zeros((len(flat), 3), np.float32)
    vertices[:, [axis for axis in range(3) if axis != up]] = flat
    return Mesh(
        vertices, np.array(first, np.int32), np.array(corners, np.int32),
        np.array([area for _, area in rings], np.int32), GROUND, (), up,
    )  # fmt: skip


def unpinched(free: np.ndarray) -> np.ndarray:
    """The cells with more of them free, so that no two touch at a corner only: the twin would walk through there."""
    free = free.copy()
    while True:
        a, b, c, d = free[:-1, :-1] > 0, free[:-1, 1:] > 0, free[1:, :-1] > 0, free[1:, 1:] > 0
        pinched = np.argwhere((a == d) & (b == c) & (a != b))
        if len(pinched) == 0:
            return free
        y, x = pinched[0]
        free[y : y + 2, x : x + 2] = np.maximum(free[y : y + 2, x : x + 2], 1)


class Twin:
    """A mesh as rings of vertices that share edges."""

    def __init__(self, mesh: Mesh) -> None:
        plane = [axis for axis in range(3) if axis != mesh.up]
        self.points: list[Point] = [(float(u), float(v)) for u, v in mesh.vertices[:, plane]]
        self.rings: list[Ring] = []
        for low, high in zip(mesh.first[:-1], mesh.first[1:], strict=True):
            ring = [int(c) for c in mesh.corners[low:high]]
            area = sum(cross(self.points[ring[0]], self.points[a], self.points[b]) for a, b in pairwise(ring))
            self.rings.append(ring if area >= 0 else ring[::-1])
        edges = defaultdict(list)
        for number, ring in enumerate(self.rings):
            for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
                edges[frozenset((a, b))].append(number)
        self.joined = [(*pair, *edge) for edge, pair in edges.items() if len(pair) == 2]

    def span(self, ring: Ring, a: Point, b: Point) -> tuple[float, float] | None:
        """The shares of the way from a to b between which it lies in a polygon."""
        low, high = 0.0, 1.0
        for p, q in zip(ring, ring[1:] + ring[:1], strict=True):
            one, two = cross(self.points[p], self.points[q], a), cross(self.points[p], self.points[q], b)
            one, two = (0.0 if abs(s) < NEAR else s for s in (one, two))
            if one < 0 and two < 0:
                return None
            if one < 0:
                low = max(low, one / (one - two)) if two != one else 2.0
            elif two < 0:
                high = min(high, one / (one - two))
        return (low, high) if low <= high + NEAR else None

    def sees(self, a: Point, b: Point) -> bool:
        """Whether the straight way lies on the mesh, from polygon to polygon through shared edges."""
        spans = {n: span for n, ring in enumerate(self.rings) if (span := self.span(ring, a, b))}
        reach = {n for n, (low, _) in spans.items() if low <= NEAR}
        queue = list(reach)
        links = defaultdict(list)
        for m, n, p, q in self.joined:
            if m in spans and n in spans:
                low, high = max(spans[m][0], spans[n][0]), min(spans[m][1], spans[n][1])
                meet = (on(self.points[p], self.points[q], a, b, share) for share in (low, high))
                if low <= high + NEAR and any(meet):
                    links[m].append(n)
                    links[n].append(m)
        while queue:
            here = queue.pop()
            if spans[here][1] >= 1.0 - NEAR:
                return True
            for other in links[here]:
                if other not in reach:
                    reach.add(other)
                    queue.append(other)
        return False

    def shortest(self, start: Point, goal: Point) -> float:
        """The length of a shortest path, infinite where there is none (Dijkstra 1959)."""
        used = sorted({c for ring in self.rings for c in ring})
        places = [start, goal, *(self.points[c] for c in used)]
        far = [math.inf] * len(places)
        far[0] = 0.0
        heap, done = [(0.0, 0)], set()
        while heap:
            length, here = heapq.heappop(heap)
            if here == 1:
                return length
            if here in done:
                continue
            done.add(here)
            for other in range(1, len(places)):
                ahead = length + math.dist(places[here], places[other])
                if other not in done and ahead < far[other] - 1e-12 and self.sees(places[here], places[other]):
                    far[other] = ahead
                    heapq.heappush(heap, (ahead, other))
        return math.inf


def cross(a: Point, b: Point, c: Point) -> float:
    """Positive where c lies to the left of the line from a to b."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def on(p: Point, q: Point, a: Point, b: Point, share: float) -> bool:
    """Whether the point at a share of the way from a to b lies on the edge from p to q."""
    x = (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))
    return math.dist(p, x) + math.dist(x, q) <= math.dist(p, q) + 1e-7
