"""Sides, distances and containment in the plane of a mesh.

It knows points and polygons, not searches. A side is exact where coordinates are float32 values of
one game map: differences and products of two fit into a float64.
"""

from __future__ import annotations

import math

from app.modules.pathfinding.compiled import inlined
from app.modules.pathfinding.meshes.graph import F64, I32


@inlined
def side(ax: float, ay: float, bx: float, by: float, cx: float, cy: float) -> float:
    """Positive where c lies to the left of the line from a to b, 0 on it, negative to the right."""
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


@inlined
def away(ax: float, ay: float, bx: float, by: float) -> float:
    """The distance of two points."""
    return math.sqrt((bx - ax) * (bx - ax) + (by - ay) * (by - ay))


@inlined
def holds(points: F64, first: I32, corners: I32, polygon: int, x: float, y: float) -> bool:
    """Whether a point lies in a polygon or on its rim."""
    end = first[polygon + 1]
    a = corners[end - 1]
    for half in range(first[polygon], end):
        b = corners[half]
        if side(points[a, 0], points[a, 1], points[b, 0], points[b, 1], x, y) < 0.0:
            return False
        a = b
    return True


@inlined
def height_at(planes: F64, polygon: int, x: float, y: float) -> float:
    """How high a polygon lies at a point of the plane."""
    height: float = planes[polygon, 0] + planes[polygon, 1] * x + planes[polygon, 2] * y
    return height
