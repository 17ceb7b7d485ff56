"""Questions about a mesh that need no path: straight lines, points at random, what can be reached.

It knows points in the mesh's own axes; paths are in search.py.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.compiled import compiled
from app.modules.pathfinding.meshes.geometry import height_at
from app.modules.pathfinding.meshes.graph import F32, F64, I32, Prepared
from app.modules.pathfinding.meshes.places import ANY, axes, nearest, nearest_points
from app.modules.pathfinding.meshes.taut import AROUND_MAX, around, walk

ROUNDS_MAX = 64
"""Draws around a point, after which a rare place gives up."""


@compiled
def raycast(mesh: Prepared, starts: F32, ends: F32, snap: float) -> tuple[F64, F32]:
    """How far straight lines over the mesh get: (n,) the share of each way, and (n, 3) where it ends.

    The share is 1 where the end is reached and NaN where no mesh lies within `snap` of the start.
    Heights of the ends do not count: a line follows the ground that it starts on.
    """
    u, v = axes(mesh.up)
    shares = np.full(starts.shape[0], np.nan)
    points = np.full(starts.shape, np.nan, np.float32)
    near = np.empty(AROUND_MAX, np.int32)
    for row in range(starts.shape[0]):
        x, y, height = (
            float(np.float64(starts[row, u])),
            float(np.float64(starts[row, v])),
            float(np.float64(starts[row, mesh.up])),
        )
        gx, gy = float(np.float64(ends[row, u])), float(np.float64(ends[row, v]))
        if not math.isfinite(x + y + height + gx + gy):
            continue
        polygon, x, y = nearest(mesh, x, y, height, snap, ANY)
        if polygon < 0:
            continue
        best, last = 0.0, polygon
        for place in range(around(mesh, polygon, x, y, near)):
            for lean in (1, -1):
                end, share = walk(mesh, int(near[place]), x, y, gx, gy, lean)
                if share > best:
                    best, last = share, end
        shares[row] = best
        px, py = x + best * (gx - x), y + best * (gy - y)
        points[row, u], points[row, v], points[row, mesh.up] = px, py, height_at(mesh.planes, last, px, py)
    return shares, points


def reachable(mesh: Prepared, starts: F32, goals: F32, snap: float) -> NDArray[np.bool_]:
    """Whether a way leads from each start to its goal, (n,); never for a point farther than `snap` off the mesh."""
    here, there = (_regions(mesh, points, snap) for points in (starts, goals))
    same: NDArray[np.bool_] = (here == there) & (here > 0)
    tails, heads = mesh.linked[here], mesh.linked[there]
    joined = (here > 0) & (there > 0) & (tails >= 0) & (heads >= 0)
    same[joined] |= mesh.reach[tails[joined], heads[joined]] > 0
    return same


def _regions(mesh: Prepared, points: F32, snap: float) -> I32:
    polygons = nearest_points(mesh, points, snap)[1]
    return np.where(polygons >= 0, mesh.labels[np.maximum(polygons, 0)], 0) if len(mesh.labels) else polygons + 1


def random_points(
    mesh: Prepared, count: int, seed: int, *, region: int = ANY, around: tuple[float, float, float] | None = None,
    radius: float = math.inf,
) -> F32:  # fmt: skip
    """`count` points spread evenly over the ground, (count, 3), the same for the same seed; NaN where none qualifies.

    With `region` (a label), only ground of that region counts; with `around`, only points at most
    `radius` from it in the plane. Raises Invalid for a radius that is not positive.
    """
    if not radius > 0.0:
        raise Invalid(f"radius is {radius!r}", hint="send a number above 0")
    found = np.full((count, 3), np.nan, np.float32)
    corners, polygon = _triangles(mesh)
    use = (mesh.shut[polygon] == 0) & ((mesh.labels[polygon] == region) | (region == ANY))
    plane = [*axes(mesh.up)]
    middle = None if around is None else np.array([around[axis] for axis in plane])
    if middle is not None:
        low, high = corners.min(axis=1), corners.max(axis=1)
        apart = middle - np.clip(middle, low, high)
        use &= (apart**2).sum(axis=1) <= radius * radius
    corners, polygon = corners[use], polygon[use]
    sides = corners[:, 1:] - corners[:, :1]
    areas = np.abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0])
    if not areas.sum() > 0.0:
        return found
    random = np.random.default_rng(seed)
    sums = np.cumsum(areas)
    got = 0
    for _ in range(ROUNDS_MAX):
        drawn = np.minimum(np.searchsorted(sums, random.random(count) * sums[-1], side="right"), len(sums) - 1)
        one, two = random.random((2, count, 1))
        fold = one + two > 1.0
        one, two = np.where(fold, 1.0 - one, one), np.where(fold, 1.0 - two, two)
        points = corners[drawn, 0] + one * sides[drawn, 0] + two * sides[drawn, 1]  # (count, 2)
        if middle is not None:
            near = ((points - middle) ** 2).sum(axis=1) <= radius * radius
            drawn, points = drawn[near], points[near]
        some = slice(got, min(got + len(points), count))
        points, planes = points[: some.stop - got], mesh.planes[polygon[drawn[: some.stop - got]]]
        found[some, plane] = points
        found[some, mesh.up] = planes[:, 0] + (planes[:, 1:] * points).sum(axis=1)
        got = some.stop
        if got == count:
            break
    return found


def _triangles(mesh: Prepared) -> tuple[F64, I32]:
    """All polygons as triangles from their first corners: (n, 3, 2) and the polygon of each."""
    sizes = np.diff(mesh.first) - 2
    polygon = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    number = np.arange(len(polygon)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    base = mesh.first[polygon]
    places = np.column_stack([base, base + number + 1, base + number + 2])
    return mesh.points[mesh.corners[places]], polygon
