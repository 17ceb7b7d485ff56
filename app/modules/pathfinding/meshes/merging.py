"""Convex polygons from many small ones: exported meshes are triangles, and every edge costs a search time.

It knows half-edges; it does not know who walks on them.
"""

from __future__ import annotations

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.meshes.geometry import height_at, side
from app.modules.pathfinding.meshes.graph import F64, I32, I64, U8

FLAT = 1e-3
"""How far a corner may lie off the plane of the polygon that it joins, for each unit of distance."""
CORNERS_MAX = 24
"""Corners up to which polygons are joined: all of one are looked at whenever it is crossed."""


@compiled
def merge(
    first: I32, corners: I32, twins: I32, owner: I32, group: I32, points: F64, heights: F64, planes: F64, order: I64
) -> tuple[I32, I32, I32]:
    """Join neighbors of one group where the result is convex and flat, in the `order` of half-edges.

    Returns `first` and `corners` of what remains, and where each polygon has gone. Every joint of
    two convex polygons is tested alone, which is enough (Hertel and Mehlhorn 1983). Corners between
    two straight edges of the same two polygons are then left out.
    """
    count = corners.size
    ahead = np.empty(count, np.int32)
    behind = np.empty(count, np.int32)
    sizes = np.empty(first.size - 1, np.int32)
    for polygon in range(first.size - 1):
        sizes[polygon] = first[polygon + 1] - first[polygon]
        for half in range(first[polygon], first[polygon + 1]):
            follows = half + 1 if half + 1 < first[polygon + 1] else first[polygon]
            ahead[half] = follows
            behind[follows] = half
    owner = owner.copy()
    into = np.arange(first.size - 1).astype(np.int32)
    alive = np.ones(count, np.uint8)
    for half in order:
        if alive[half] and twins[half] >= 0 and group[owner[half]] == group[owner[twins[half]]]:
            _join(half, corners, twins, owner, points, heights, planes, ahead, behind, alive, sizes, into)
    _straighten(corners, twins, points, heights, ahead, behind, alive)
    return _packed(corners, owner, ahead, alive, into)


@compiled
def _join(
    half: int, corners: I32, twins: I32, owner: I32, points: F64, heights: F64, planes: F64,
    ahead: I32, behind: I32, alive: U8, sizes: I32, into: I32,
) -> None:  # fmt: skip
    """Join the polygons on both sides of a half-edge where that is right; all edges between them go."""
    keep, gone = owner[half], owner[twins[half]]
    if keep == gone or sizes[keep] + sizes[gone] - 2 > CORNERS_MAX:
        return
    low = high = half
    shared = 1
    while twins[behind[low]] == ahead[twins[low]] and shared < sizes[keep]:
        low = behind[low]
        shared += 1
    while twins[ahead[high]] == behind[twins[high]] and shared < sizes[keep]:
        high = ahead[high]
        shared += 1
    if shared >= sizes[keep] - 1 or shared >= sizes[gone] - 1:
        return
    one, two = behind[low], ahead[twins[low]]
    three, four = behind[twins[high]], ahead[high]
    if not (_turns_left(one, two, corners, ahead, points) and _turns_left(three, four, corners, ahead, points)):
        return
    if not (_fits(keep, twins[half], corners, ahead, points, heights, planes)):
        return
    if not (_fits(gone, half, corners, ahead, points, heights, planes)):
        return
    step = low
    for _ in range(shared):
        alive[step] = 0
        alive[twins[step]] = 0
        step = ahead[step]
    ahead[one], behind[two] = two, one
    ahead[three], behind[four] = four, three
    into[gone] = keep
    sizes[keep] += sizes[gone] - 2 * shared
    step = two
    while owner[step] != keep:
        owner[step] = keep
        step = ahead[step]


@inlined
def _turns_left(arrives: int, leaves: int, corners: I32, ahead: I32, points: F64) -> bool:
    """Whether the corner between two half-edges is convex or straight; one that folds back is not."""
    a, b, c = corners[arrives], corners[leaves], corners[ahead[leaves]]
    turn = side(points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1])
    along = (points[b, 0] - points[a, 0]) * (points[c, 0] - points[b, 0])
    along += (points[b, 1] - points[a, 1]) * (points[c, 1] - points[b, 1])
    return turn > 0.0 or (turn == 0.0 and along > 0.0)


@inlined
def _fits(polygon: int, start: int, corners: I32, ahead: I32, points: F64, heights: F64, planes: F64) -> bool:
    """Whether the corners around from half-edge `start` lie in the plane of a polygon."""
    anchor = corners[start]
    half = ahead[start]
    while half != start:
        c = corners[half]
        far = abs(points[c, 0] - points[anchor, 0]) + abs(points[c, 1] - points[anchor, 1])
        if abs(height_at(planes, polygon, points[c, 0], points[c, 1]) - heights[c]) > FLAT * far:
            return False
        half = ahead[half]
    return True


@compiled
def _straighten(corners: I32, twins: I32, points: F64, heights: F64, ahead: I32, behind: I32, alive: U8) -> None:
    """Leave out corners in the middle of a straight edge between the same two polygons, or at the rim."""
    uses = np.zeros(points.shape[0], np.int32)
    for half in range(corners.size):
        uses[corners[half]] += alive[half]
    for half in range(corners.size):
        before = behind[half]
        if not alive[half] or not alive[before] or ahead[ahead[half]] == before:
            continue
        a, b, c = corners[before], corners[half], corners[ahead[half]]
        if not _turns_left(before, half, corners, ahead, points) or side(
            points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        ):
            continue
        whole = abs(points[c, 0] - points[a, 0]) + abs(points[c, 1] - points[a, 1])
        part = (abs(points[b, 0] - points[a, 0]) + abs(points[b, 1] - points[a, 1])) / whole
        if abs(heights[a] + part * (heights[c] - heights[a]) - heights[b]) > FLAT * whole:
            continue
        rim = twins[half] < 0 and twins[before] < 0 and uses[b] == 1
        inside = twins[half] >= 0 and twins[before] >= 0 and uses[b] == 2
        if inside:
            other = twins[before]
            inside = ahead[twins[half]] == other and ahead[ahead[other]] != twins[half]
        if rim or inside:
            _drop(half, ahead, behind, alive)
            if inside:
                twin = twins[half]
                _drop(twins[before], ahead, behind, alive)
                twins[before] = twin
                twins[twin] = before


@inlined
def _drop(half: int, ahead: I32, behind: I32, alive: U8) -> None:
    """Take the corner of a half-edge out of its polygon: the edge before it now spans both."""
    alive[half] = 0
    ahead[behind[half]] = ahead[half]
    behind[ahead[half]] = behind[half]


@compiled
def _packed(corners: I32, owner: I32, ahead: I32, alive: U8, into: I32) -> tuple[I32, I32, I32]:
    """What is alive, in the order of first half-edges."""
    place = np.full(into.size, -1, np.int32)
    first = np.zeros(into.size + 1, np.int32)
    packed = np.empty(corners.size, np.int32)
    used = 0
    total = 0
    for start in range(corners.size):
        if not alive[start] or place[owner[start]] >= 0:
            continue
        place[owner[start]] = used
        half = start
        while True:
            packed[total] = corners[half]
            total += 1
            half = ahead[half]
            if half == start:
                break
        used += 1
        first[used] = total
    for polygon in range(into.size):
        last = polygon
        while into[last] != last:
            last = into[last]
        place[polygon] = place[last]
    return first[: used + 1].copy(), packed[:total].copy(), place
