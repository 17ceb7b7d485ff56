"""Points on a mesh: the polygon that a point lies in, and the nearest point of the mesh to one beside it.

It knows the spatial index and regions; it does not search for paths.
"""

from __future__ import annotations

import math

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.meshes.geometry import height_at, holds
from app.modules.pathfinding.meshes.graph import F32, F64, I32, U8, Prepared

ANY = 0
"""In place of a region."""


@inlined
def axes(up: int) -> tuple[int, int]:
    """The two axes of the plane of a mesh."""
    return (1 if up == 0 else 0), (1 if up == 2 else 2)


@inlined
def leads(linked: I32, reach: U8, here: int, there: int) -> bool:
    """Whether a way exists from one region to another."""
    if here == there:
        return here > 0
    if linked[here] < 0 or linked[there] < 0:
        return False
    return bool(reach[linked[here], linked[there]] != 0)


@compiled
def nearest(mesh: Prepared, x: float, y: float, height: float, radius: float, region: int) -> tuple[int, float, float]:
    """The polygon nearest to a point, -1 where none lies within `radius`, and the place in its plane.

    With a region, only polygons that can be walked to from there count. A place inside a polygon is
    one that `holds` says so of, exactly, and its coordinates are float32 values. Of equally near
    polygons the first counts. Looks at square rings of cells until no farther one can hold a nearer place.
    """
    points, first, corners, labels, shut = mesh.points, mesh.first, mesh.corners, mesh.labels, mesh.shut
    cells_first, touching, planes = mesh.cells_first, mesh.touching, mesh.planes
    left, low, side = mesh.corner
    rows, columns = cells_first.shape[0], cells_first.shape[1] - 1
    best, found, bx, by = radius, -1, x, y
    column, row = math.floor((x - left) / side), math.floor((y - low) / side)
    least = max(max(-column, column - columns + 1), max(-row, row - rows + 1), 0)
    most = max(max(abs(column), abs(columns - 1 - column)), max(abs(row), abs(rows - 1 - row)))
    # To the nearest border of the point's own cell; nothing where it lies outside of all.
    inner_x, inner_y = x - left - column * side, y - low - row * side
    inner = min(min(inner_x, side - inner_x), min(inner_y, side - inner_y))
    for ring in range(least, most + 1):
        if ring > 0 and inner + (ring - 1) * side > best:
            break
        for r in range(max(row - ring, 0), min(row + ring, rows - 1) + 1):
            step = 1 if abs(r - row) == ring else max(2 * ring, 1)
            for c in range(column - ring, column + ring + 1, step):
                if c < 0 or c >= columns:
                    continue
                for entry in range(cells_first[r, c], cells_first[r, c + 1]):
                    polygon = touching[entry]
                    if shut[polygon] != 0:
                        continue
                    if region != ANY and not leads(mesh.linked, mesh.reach, region, labels[polygon]):
                        continue
                    px, py = _nearest_in(points, first, corners, polygon, x, y)
                    rise = height_at(planes, polygon, px, py) - height
                    far = math.sqrt((px - x) ** 2 + (py - y) ** 2 + rise * rise)
                    ahead = far < best or (far == best and (found < 0 or polygon < found))
                    if ahead:
                        best, found, bx, by = far, polygon, px, py
    if found >= 0:
        bx, by = _settled(points, first, corners, found, bx, by)
    return found, bx, by


@compiled
def _nearest_in(points: F64, first: I32, corners: I32, polygon: int, x: float, y: float) -> tuple[float, float]:
    """The place in a polygon nearest to a point of the plane."""
    if holds(points, first, corners, polygon, x, y):
        return x, y
    begin, end = first[polygon], first[polygon + 1]
    best, bx, by = np.inf, x, y
    a = corners[end - 1]
    for half in range(begin, end):
        b = corners[half]
        ax, ay = points[a, 0], points[a, 1]
        ex, ey = points[b, 0] - ax, points[b, 1] - ay
        whole = ex * ex + ey * ey
        share = min(max(((x - ax) * ex + (y - ay) * ey) / whole, 0.0), 1.0) if whole > 0.0 else 0.0
        px, py = ax + share * ex, ay + share * ey
        if share == 1.0:
            px, py = points[b, 0], points[b, 1]
        far = (px - x) ** 2 + (py - y) ** 2
        if far < best:
            best, bx, by = far, px, py
        a = b
    return bx, by


@compiled
def _settled(points: F64, first: I32, corners: I32, polygon: int, x: float, y: float) -> tuple[float, float]:
    """A place as float32 values that lies in its polygon: moved to the middle by as little as rounding asks."""
    begin, end = first[polygon], first[polygon + 1]
    mx, my = 0.0, 0.0
    for half in range(begin, end):
        mx += points[corners[half], 0] / (end - begin)
        my += points[corners[half], 1] / (end - begin)
    share = 0.0
    while share < 1.0:
        px = float(np.float32(x + share * (mx - x)))
        py = float(np.float32(y + share * (my - y)))
        if holds(points, first, corners, polygon, px, py):
            return px, py
        share = max(4.0 * share, 1e-9)
    # A sliver without room for a float32 point: one of its corners.
    near = corners[begin]
    for half in range(begin, end):
        c = corners[half]
        if (points[c, 0] - x) ** 2 + (points[c, 1] - y) ** 2 < (points[near, 0] - x) ** 2 + (points[near, 1] - y) ** 2:
            near = c
    return points[near, 0], points[near, 1]


@compiled
def nearest_points(mesh: Prepared, points: F32, radius: float) -> tuple[F32, I32, F64]:
    """For each point the nearest one on the mesh, (n, 3), its polygon, -1 where none lies within `radius`, how far."""
    u, v = axes(mesh.up)
    found = np.full(points.shape, np.nan, np.float32)
    polygons = np.full(points.shape[0], -1, np.int32)
    far = np.full(points.shape[0], np.nan)
    for row in range(points.shape[0]):
        x, y, height = (
            float(np.float64(points[row, u])),
            float(np.float64(points[row, v])),
            float(np.float64(points[row, mesh.up])),
        )
        if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(height)):
            continue
        polygon, px, py = nearest(mesh, x, y, height, radius, ANY)
        polygons[row] = polygon
        if polygon >= 0:
            level = height_at(mesh.planes, polygon, px, py)
            found[row, u], found[row, v], found[row, mesh.up] = px, py, level
            far[row] = math.sqrt((px - x) ** 2 + (py - y) ** 2 + (level - height) ** 2)
    return found, polygons, far
