"""Paths over ground of several costs and through links: A* over points of edges, then the best path in the corridor.

It knows one query at a time. The corridor is the best by paths through three points of each edge,
and its path is moved inside it by dynamic programming over ever finer places: neither is a promise
of the best of all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.heap import NODE_MASK, pop, push
from app.modules.pathfinding.meshes.geometry import away, height_at, side
from app.modules.pathfinding.meshes.graph import F64, I32, I64, Prepared

SAMPLES = 3
"""Points of an edge that the corridor is looked for through."""
SWEEPS = 12
"""Rounds in which the points of a corridor move, each by half as much as in the one before."""
CHOICES = 5
"""Places that each point may move to in a round."""


class Walkway(NamedTuple):
    """What a search writes to; one thread's own. Its nodes are points of edges, then links."""

    reached: F64
    """(nodes,): cost of the best way."""
    worth: F64
    """(nodes,)"""
    came: I32
    """(nodes, 3): the node before (-1: the start), the polygon entered, the query."""
    heap: I64
    legs: F64
    """(nodes + 2, 6): the corridor: ends of each edge (a point: twice the same), cost of the way to it, place on it."""
    marks: I32
    """(nodes + 2, 2): the polygon after each, and 1 where a link leads to it."""
    choices: F64
    """(nodes + 2, CHOICES, 3): place on the edge, cost of the best way there, the choice before."""
    path: F64
    """(nodes + 2, 3): u, v, height."""


@compiled
def walkway(mesh: Prepared) -> Walkway:
    """Room for searches over a mesh; none where the exact search applies."""
    nodes = 0 if mesh.uniform else SAMPLES * mesh.owner.size + mesh.exits.shape[0]
    return Walkway(
        np.empty(nodes, np.float64),
        np.empty(nodes, np.float64),
        np.zeros((nodes, 3), np.int32),
        np.empty(8 * nodes + 64, np.int64),
        np.empty((nodes + 2, 6), np.float64),
        np.empty((nodes + 2, 2), np.int32),
        np.empty((nodes + 2, CHOICES, 3), np.float64),
        np.empty((nodes + 2, 3), np.float64),
    )


@inlined
def _where(points: F64, corners: I32, ends: F64, first: I32, owner: I32, node: int) -> tuple[float, float]:
    """The point of a node, for a link its far end."""
    if node >= SAMPLES * owner.size:
        return ends[node - SAMPLES * owner.size, 3], ends[node - SAMPLES * owner.size, 4]
    half = node // SAMPLES
    share = (0.5 + node % SAMPLES) / SAMPLES
    a, b = corners[half], corners[_after(first, owner, half)]
    ax, ay = points[a, 0], points[a, 1]
    return ax + share * (points[b, 0] - ax), ay + share * (points[b, 1] - ay)


@inlined
def _after(first: I32, owner: I32, half: int) -> int:
    """The half-edge that follows around the polygon."""
    polygon = owner[half]
    return half + 1 if half + 1 < first[polygon + 1] else first[polygon]


@compiled
def search(
    mesh: Prepared, room: Walkway, query: int, x: float, y: float, source: int,
    gx: float, gy: float, target: int, limit: float, expansions_max: int,
) -> tuple[float, int, int]:  # fmt: skip
    """A cheap path between two points, written to room.path from its start on.

    Returns its cost (infinite: none below `limit`, or too many expansions), how many points it
    has and how many nodes were expanded.
    """
    reached, worth, came, heap = room.reached, room.worth, room.came, room.heap
    bits = worth.view(np.int64)
    points, corners, ends, first, owner = mesh.points, mesh.corners, mesh.ends, mesh.first, mesh.owner
    links = SAMPLES * mesh.owner.size
    scale = mesh.cheapest
    best, last = np.inf, -2
    size, expanded = 0, 0
    node, polygon, cost = -1, source, 0.0
    while True:
        if expanded > 0:
            if size == 0:
                break
            key = heap[0]
            size = pop(heap, size)
            node = key & NODE_MASK
            if key & ~NODE_MASK != bits[node] & ~NODE_MASK:
                continue
            if worth[node] >= min(best, limit * (1.0 + 1e-2)):
                break
            polygon, cost = came[node, 1], reached[node]
            px, py = _where(points, corners, ends, first, owner, node)
        else:
            px, py = x, y
        expanded += 1
        if expanded > expansions_max:
            return np.inf, 0, expanded
        rate = mesh.cost[polygon]
        if polygon == target and cost + rate * away(px, py, gx, gy) < best:
            best, last = cost + rate * away(px, py, gx, gy), node
        edges = mesh.first[polygon + 1] - mesh.first[polygon]
        for step in range(SAMPLES * edges + mesh.exits_first[polygon + 1] - mesh.exits_first[polygon]):
            if step < SAMPLES * edges:
                half = mesh.first[polygon] + step // SAMPLES
                twin = mesh.twins[half]
                if twin < 0 or mesh.shut[mesh.owner[twin]] != 0:
                    continue
                # Both half-edges share their points, which count from the first of the two.
                other = SAMPLES * min(half, twin) + step % SAMPLES
                entered = mesh.owner[twin]
                qx, qy = _where(points, corners, ends, first, owner, other)
                ahead = cost + rate * away(px, py, qx, qy)
            else:
                exit = mesh.exits_first[polygon] + step - SAMPLES * edges
                other, entered = links + exit, mesh.exits[exit, 1]
                if mesh.shut[entered] != 0:
                    continue
                ahead = cost + rate * away(px, py, mesh.ends[exit, 0], mesh.ends[exit, 1]) + mesh.ends[exit, 6]
                qx, qy = mesh.ends[exit, 3], mesh.ends[exit, 4]
            if came[other, 2] == query and ahead >= reached[other]:
                continue
            least = ahead + scale * away(qx, qy, gx, gy)
            if least >= best or size == heap.size:
                continue
            came[other, 0], came[other, 1], came[other, 2] = node, entered, query
            reached[other], worth[other] = ahead, least
            size = push(heap, size, (bits[other] & ~NODE_MASK) | other)
    if last == -2:
        return np.inf, 0, expanded
    count = _unroll(mesh, room, x, y, source, gx, gy, last)
    for sweep in range(SWEEPS):
        _improve(room, count, 0.5 ** (sweep + 1))
    cost, steps = _straighten(mesh, room, count)
    return cost, steps, expanded


@compiled
def _unroll(mesh: Prepared, room: Walkway, x: float, y: float, source: int, gx: float, gy: float, last: int) -> int:
    """Write the edges that a path crosses, its ends and the ends of links to room.legs, in order; how many."""
    links = SAMPLES * mesh.owner.size
    count = 2
    node = last
    while node >= 0:
        count += 2 if node >= links else 1
        node = room.came[node, 0]
    legs, marks = room.legs, room.marks
    place = count - 1
    _point(legs, place, gx, gy)
    marks[place, 0], marks[place, 1] = room.came[last, 1] if last >= 0 else source, 0
    node = last
    while node >= 0:
        place -= 1
        before = room.came[node, 0]
        inside = room.came[before, 1] if before >= 0 else source
        if node >= links:
            exit = node - links
            _point(legs, place, mesh.ends[exit, 3], mesh.ends[exit, 4])
            marks[place, 0], marks[place, 1] = room.came[node, 1], 1
            legs[place + 1, 4] = mesh.cost[room.came[node, 1]]
            legs[place, 4] = mesh.ends[exit, 6]
            place -= 1
            _point(legs, place, mesh.ends[exit, 0], mesh.ends[exit, 1])
            marks[place, 0], marks[place, 1] = inside, 0
        else:
            half = node // SAMPLES
            # Seen by who walks, the edge's end on the right comes first.
            if mesh.owner[half] != inside:
                half = mesh.twins[half]
            a, b = mesh.corners[half], mesh.corners[_after(mesh.first, mesh.owner, half)]
            legs[place, 0], legs[place, 1] = mesh.points[a, 0], mesh.points[a, 1]
            legs[place, 2], legs[place, 3] = mesh.points[b, 0], mesh.points[b, 1]
            share = (0.5 + node % SAMPLES) / SAMPLES
            legs[place, 5] = share if half == node // SAMPLES else 1.0 - share
            marks[place, 0], marks[place, 1] = room.came[node, 1], 0
            legs[place + 1, 4] = mesh.cost[room.came[node, 1]]
        node = before
    _point(legs, 0, x, y)
    marks[0, 0], marks[0, 1] = source, 0
    legs[1, 4] = mesh.cost[source]
    return count


@inlined
def _point(legs: F64, place: int, x: float, y: float) -> None:
    """A leg of the corridor that is a point."""
    legs[place, 0], legs[place, 1], legs[place, 2], legs[place, 3], legs[place, 5] = x, y, x, y, 0.0


@compiled
def _improve(room: Walkway, count: int, width: float) -> None:
    """Move all points along their edges to the best of CHOICES places around them, by dynamic programming."""
    legs, choices = room.legs, room.choices
    for place in range(count):
        for here in range(CHOICES):
            share = min(max(legs[place, 5] + width * (2.0 * here / (CHOICES - 1) - 1.0), 0.0), 1.0)
            hx = legs[place, 0] + share * (legs[place, 2] - legs[place, 0])
            hy = legs[place, 1] + share * (legs[place, 3] - legs[place, 1])
            best, choice = (0.0, 0) if place == 0 else (np.inf, 0)
            for there in range(CHOICES if place > 0 else 0):
                if room.marks[place, 1] != 0:
                    total = choices[place - 1, there, 1] + legs[place, 4]
                else:
                    before = choices[place - 1, there, 0]
                    bx = legs[place - 1, 0] + before * (legs[place - 1, 2] - legs[place - 1, 0])
                    by = legs[place - 1, 1] + before * (legs[place - 1, 3] - legs[place - 1, 1])
                    total = choices[place - 1, there, 1] + legs[place, 4] * away(bx, by, hx, hy)
                if total < best:
                    best, choice = total, there
            choices[place, here, 0], choices[place, here, 1], choices[place, here, 2] = share, best, choice
    choice = 0
    for place in range(count - 1, -1, -1):
        legs[place, 5] = choices[place, choice, 0]
        choice = int(choices[place, choice, 2])


@compiled
def _straighten(mesh: Prepared, room: Walkway, count: int) -> tuple[float, int]:
    """Leave out points between which the straight way crosses the same edges at one cost; cost and points left."""
    legs, marks, path = room.legs, room.marks, room.path
    steps, place, cost = 0, 0, 0.0
    while True:
        px = legs[place, 0] + legs[place, 5] * (legs[place, 2] - legs[place, 0])
        py = legs[place, 1] + legs[place, 5] * (legs[place, 3] - legs[place, 1])
        path[steps, 0], path[steps, 1] = px, py
        path[steps, 2] = height_at(mesh.planes, marks[place, 0], px, py)
        steps += 1
        if place == count - 1:
            return cost, steps
        if marks[place + 1, 1] != 0:
            cost += legs[place + 1, 4]
            place += 1
            continue
        far = place + 1
        while far + 1 < count and marks[far + 1, 1] == 0 and legs[far + 1, 4] == legs[place + 1, 4]:
            qx = legs[far + 1, 0] + legs[far + 1, 5] * (legs[far + 1, 2] - legs[far + 1, 0])
            qy = legs[far + 1, 1] + legs[far + 1, 5] * (legs[far + 1, 3] - legs[far + 1, 1])
            crosses = True
            for between in range(place + 1, far + 1):
                right = side(px, py, qx, qy, legs[between, 0], legs[between, 1])
                left = side(px, py, qx, qy, legs[between, 2], legs[between, 3])
                crosses = crosses and right <= 0.0 and left >= 0.0
            if not crosses:
                break
            far += 1
        qx = legs[far, 0] + legs[far, 5] * (legs[far, 2] - legs[far, 0])
        qy = legs[far, 1] + legs[far, 5] * (legs[far, 3] - legs[far, 1])
        cost += legs[place + 1, 4] * away(px, py, qx, qy)
        place = far
