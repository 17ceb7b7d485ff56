"""Shortest paths from corner to corner: A* over the sights of a mesh, with landmark bounds.

It knows sights and one query at a time. As in polyanya.py every side is decided exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.heap import NODE_MASK, pop, push
from app.modules.pathfinding.meshes.geometry import away, holds, side
from app.modules.pathfinding.meshes.graph import F32, F64, I32, I64, LANDMARKS, Prepared
from app.modules.pathfinding.meshes.sights import rim_sides

AROUND_MAX = 32
"""Polygons that hold one point, looked at."""


class Desk(NamedTuple):
    """What a search writes to; one thread's own."""

    reached: F64
    """(nodes, 3): length of the best way to each node, the least still to come, and the last leg to the goal."""
    worth: F64
    """(nodes,): what a node is worth in the heap: way and least still to come."""
    came: I32
    """(nodes, 5): the node before (-1: the start), rim on arrival, its query; rim before the last leg, its query."""
    heap: I64
    near: I32
    """(2, AROUND_MAX): polygons that hold the start and the goal."""


@compiled
def desk(mesh: Prepared) -> Desk:
    """Room for searches over a mesh."""
    nodes = mesh.sights.nodes.shape[0]
    return Desk(
        np.empty((nodes, 3), np.float64),
        np.empty(nodes, np.float64),
        np.zeros((nodes, 5), np.int32),
        np.empty(2 * mesh.sights.onto.size + 2 * nodes + 256, np.int64),
        np.empty((2, AROUND_MAX), np.int32),
    )


@compiled
def around(mesh: Prepared, polygon: int, x: float, y: float, near: I32) -> int:
    """Write the polygons joined to one that holds a point which also hold it, itself first; how many."""
    near[0] = polygon
    count, place = 1, 0
    while place < count:
        here = near[place]
        place += 1
        end = mesh.first[here + 1]
        a = mesh.corners[end - 1]
        before = end - 1
        for half in range(mesh.first[here], end):
            b = mesh.corners[half]
            twin = mesh.twins[before]
            if twin >= 0 and count < near.size:
                ax, ay, bx, by = mesh.points[a, 0], mesh.points[a, 1], mesh.points[b, 0], mesh.points[b, 1]
                if side(ax, ay, bx, by, x, y) == 0.0:
                    other = mesh.owner[twin]
                    fresh = mesh.shut[other] == 0 and holds(mesh.points, mesh.first, mesh.corners, other, x, y)
                    for known in range(count):
                        fresh = fresh and near[known] != other
                    if fresh:
                        near[count] = other
                        count += 1
            a, before = b, half
    return count


@compiled
def walk(mesh: Prepared, polygon: int, x: float, y: float, gx: float, gy: float, lean: int) -> tuple[int, float]:
    """Straight from (x, y) in a polygon towards (gx, gy): the last polygon, and the share of the way walked.

    A line through a vertex passes it on the left (`lean` 1) or right (-1). The share is 1 where the
    goal is reached, and -1 where the line does not even cross the first polygon.
    """
    points, corners, twins = mesh.points, mesh.corners, mesh.twins
    share = -1.0
    for _ in range(2 * mesh.shut.size + 2):
        begin, end = mesh.first[polygon], mesh.first[polygon + 1]
        half, inside, leaves = end - 1, True, -1
        a = corners[half]
        a_side = side(x, y, gx, gy, points[a, 0], points[a, 1])
        for after in range(begin, end):
            b = corners[after]
            b_side = side(x, y, gx, gy, points[b, 0], points[b, 1])
            if side(points[a, 0], points[a, 1], points[b, 0], points[b, 1], gx, gy) < 0.0:
                inside = False
            if (lean > 0 and a_side <= 0.0 and b_side > 0.0) or (lean < 0 and a_side < 0.0 and b_side >= 0.0):
                leaves = half
            half, a, a_side = after, b, b_side
        if inside:
            return polygon, 1.0
        if leaves < 0:
            return polygon, share
        a, b = corners[leaves], corners[leaves + 1 if leaves + 1 < end else begin]
        ex, ey = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
        across = ex * (gy - y) - ey * (gx - x)
        ahead = (ey * (x - points[a, 0]) - ex * (y - points[a, 1])) / across if across != 0.0 else share
        share = min(max(ahead, share, 0.0), 1.0)
        if twins[leaves] < 0 or mesh.shut[mesh.owner[twins[leaves]]] != 0:
            return polygon, share
        polygon = mesh.owner[twins[leaves]]
    return polygon, share


@inlined
def _in_sight(rays: F32, seen: I32, places: F64, entry: int, x: float, y: float) -> bool:
    """Whether a point of a polygon is seen by the corner of an entry of its sights."""
    node = seen[entry]
    wx, wy = places[node, 0], places[node, 1]
    if side(wx, wy, np.float64(rays[entry, 0]), np.float64(rays[entry, 1]), x, y) > 0.0:
        return False
    return not side(wx, wy, np.float64(rays[entry, 2]), np.float64(rays[entry, 3]), x, y) < 0.0


@compiled
def search(
    mesh: Prepared, desk: Desk, query: int, x: float, y: float, source: int,
    gx: float, gy: float, target: int, limit: float, expansions_max: int,
) -> tuple[float, int, int]:  # fmt: skip
    """The shortest path between two points, if it is shorter than `limit`.

    Returns its length (infinite: none), the last corner (-1: straight) and how many corners were
    expanded: more than `expansions_max` where that ended the search.
    """
    sights, reached, came, heap, worth = mesh.sights, desk.reached, desk.came, desk.heap, desk.worth
    starts = around(mesh, source, x, y, desk.near[0])
    goals = around(mesh, target, gx, gy, desk.near[1])
    straight = away(x, y, gx, gy)
    for place in range(starts):
        for lean in (1, -1):
            if walk(mesh, int(desk.near[0, place]), x, y, gx, gy, lean)[1] == 1.0:
                return (straight if straight < limit else np.inf), -1, 0
    bound = np.empty((2, LANDMARKS))
    bound[0], bound[1] = np.inf, -np.inf
    for place in range(goals):
        polygon = desk.near[1, place]
        for entry in range(sights.seen_first[polygon], sights.seen_first[polygon + 1]):
            node = sights.seen[entry]
            if came[node, 4] == query or not _in_sight(sights.rays, sights.seen, sights.places, entry, gx, gy):
                continue
            wx, wy = sights.places[node, 0], sights.places[node, 1]
            rim = rim_sides(sights.places, node, wx, wy, gx, gy)
            if rim == 0:
                continue
            came[node, 3], came[node, 4] = rim, query
            leg = away(wx, wy, gx, gy)
            reached[node, 2] = leg
            for column in range(LANDMARKS):
                known = sights.distances[node, column]
                bound[0, column] = min(bound[0, column], known + leg)
                bound[1, column] = max(bound[1, column], known - leg)
    bits = worth.view(np.int64)
    best, last, size, expanded = limit, -1, 0, 0
    for place in range(starts):
        polygon = desk.near[0, place]
        for entry in range(sights.seen_first[polygon], sights.seen_first[polygon + 1]):
            node = sights.seen[entry]
            if came[node, 2] == query or not _in_sight(sights.rays, sights.seen, sights.places, entry, x, y):
                continue
            wx, wy = sights.places[node, 0], sights.places[node, 1]
            rim = rim_sides(sights.places, node, x, y, wx, wy)
            if rim == 0:
                continue
            came[node, 0], came[node, 1], came[node, 2] = -1, rim, query
            reached[node, 0] = away(x, y, wx, wy)
            reached[node, 1] = _least(sights.places, sights.distances, node, gx, gy, bound)
            worth[node] = reached[node, 0] + reached[node, 1]
            if worth[node] < best:
                size = push(heap, size, (bits[node] & ~NODE_MASK) | node)
    while size > 0:
        key = heap[0]
        size = pop(heap, size)
        node = key & NODE_MASK
        if key & ~NODE_MASK != bits[node] & ~NODE_MASK:
            continue
        if worth[node] >= best:
            break
        expanded += 1
        if expanded > expansions_max:
            break
        length = reached[node, 0]
        wx, wy = sights.places[node, 0], sights.places[node, 1]
        before = came[node, 0]
        ux, uy = x, y
        if before >= 0:
            ux, uy = sights.places[before, 0], sights.places[before, 1]
        rim = came[node, 1]
        if came[node, 4] == query and length + reached[node, 2] < best:
            turn = side(ux, uy, wx, wy, gx, gy)
            both = rim & came[node, 3]
            if (turn >= 0.0 and both & 1) or (turn <= 0.0 and both & 2):
                best, last = length + reached[node, 2], node
        for edge in range(sights.starts[node], sights.starts[node + 1]):
            other = sights.onto[edge]
            ahead = length + sights.spans[edge]
            if came[other, 2] == query and ahead >= reached[other, 0]:
                continue
            both = rim & sights.turns[edge]
            if both & 3 == 0:
                continue
            turn = side(ux, uy, wx, wy, sights.places[other, 0], sights.places[other, 1])
            if not ((turn >= 0.0 and both & 1) or (turn <= 0.0 and both & 2)):
                continue
            if came[other, 2] != query:
                reached[other, 1] = _least(sights.places, sights.distances, other, gx, gy, bound)
            came[other, 0], came[other, 1], came[other, 2] = node, sights.turns[edge] >> 2, query
            reached[other, 0] = ahead
            worth[other] = ahead + reached[other, 1]
            if worth[other] < best and size < heap.size:
                size = push(heap, size, (bits[other] & ~NODE_MASK) | other)
    return (best if last >= 0 else np.inf), last, expanded


@inlined
def _least(places: F64, distances: F64, node: int, gx: float, gy: float, bound: F64) -> float:
    """A lower bound of the way from a corner to the goal: straight, or by landmarks (Goldberg, Harrelson 2005)."""
    least = away(places[node, 0], places[node, 1], gx, gy)
    for column in range(LANDMARKS):
        known = distances[node, column]
        least = max(least, max(bound[0, column] - known, known - bound[1, column]) * (1.0 - 1e-12))
    return least
