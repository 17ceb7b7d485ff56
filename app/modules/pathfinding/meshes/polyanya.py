"""Exact shortest paths over convex polygons of one cost (Cui, Harabor and Grastien 2017, "Polyanya").

It knows the arrays of graph.py and one query at a time; where queries start and end, and what they
are told, is in search.py. A node of the search is a cone: a root, from which a part of an edge is
seen between two rays. Rays lead through vertices and are kept as such, never as computed points, so
that every side is decided exactly and nothing falls through a gap of rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.heap import NODE_MASK, pop, push
from app.modules.pathfinding.meshes.geometry import away, side
from app.modules.pathfinding.meshes.graph import ALL, F64, I32, I64, U8, Prepared

TURNED = -1
"""In place of a vertex: the ray goes on straight from the root before, through the root."""
SLACK = 1.0 + 1e-12
"""Ways to a root that are equal but for rounding are all followed."""

# Columns of Scratch.nodes.
ROOT, ORIGIN, LEFT, RIGHT, ENTERED = 0, 1, 2, 3, 4


class Scratch(NamedTuple):
    """What a search writes to; one thread's own. The start is vertex number `vertices`."""

    nodes: I32
    """(room, 5): root, the root before, vertices of the left and right ray, half-edge entered."""
    worth: F64
    """(room,): the least cost of a path through each node."""
    heap: I64
    """(room,): the leading bits of `worth`, then the node."""
    lengths: F64
    """(room,): the length of the way to the root when each node was made."""
    vacant: I32
    """(room,): nodes that may be used again."""
    reached: F64
    """(vertices + 1,): length of the best way to a root."""
    came: I32
    """(vertices + 1, 2): the root before on that way, and the query that it belongs to."""
    wanted: I32
    """(polygons,): the query whose goal lies in or behind a polygon that is part of a dead end."""
    chain: I32
    """(vertices + 2,): the vertices of a path, from its end."""


@compiled
def scratch(mesh: Prepared) -> Scratch:
    """Room for searches over a mesh."""
    vertices, room = mesh.points.shape[0], 2 * mesh.owner.size + 256
    return Scratch(
        np.empty((room, 5), np.int32),
        np.empty(room, np.float64),
        np.empty(room, np.int64),
        np.empty(room, np.float64),
        np.empty(room, np.int32),
        np.empty(vertices + 1, np.float64),
        np.zeros((vertices + 1, 2), np.int32),
        np.zeros(mesh.shut.size, np.int32),
        np.empty(vertices + 2, np.int32),
    )


@compiled
def _grown(scratch: Scratch) -> Scratch:
    """The same with twice the room for nodes."""
    room = scratch.worth.size
    nodes, worth, lengths = np.empty((2 * room, 5), np.int32), np.empty(2 * room), np.empty(2 * room)
    heap, vacant = np.empty(2 * room, np.int64), np.empty(2 * room, np.int32)
    nodes[:room], worth[:room], lengths[:room] = scratch.nodes, scratch.worth, scratch.lengths
    heap[:room], vacant[:room] = scratch.heap, scratch.vacant
    return Scratch(nodes, worth, heap, lengths, vacant, scratch.reached, scratch.came, scratch.wanted, scratch.chain)


@compiled
def search(
    mesh: Prepared, scratch: Scratch, query: int, x: float, y: float, source: int,
    gx: float, gy: float, target: int, limit: float, expansions_max: int,
) -> tuple[Scratch, float, int, int, int]:  # fmt: skip
    """The shortest path from (x, y) in polygon `source` to (gx, gy) in polygon `target`, if one is below `limit`.

    Returns the scratch (which may have grown), the length (infinite: none), the last root of the
    path and the vertex between it and the goal (-1: none), and how many nodes were expanded: more
    than `expansions_max` where that ended the search.
    """
    points, first, corners, twins, owner = mesh.points, mesh.first, mesh.corners, mesh.twins, mesh.owner
    shut, stems, bends, beside = mesh.shut, mesh.stems, mesh.bends, mesh.beside
    reached, came, wanted = scratch.reached, scratch.came, scratch.wanted
    nodes, worth, heap, lengths, vacant = scratch.nodes, scratch.worth, scratch.heap, scratch.lengths, scratch.vacant
    bits = worth.view(np.int64)
    polygon = target
    while polygon >= 0:  # the dead ends that hold the goal
        wanted[polygon] = query
        polygon = stems[polygon]
    start = points.shape[0]
    reached[start] = 0.0
    came[start, 0], came[start, 1] = start, query
    ends = np.full(1, limit)
    ends_bits = ends.view(np.int64)
    best, last, via = limit, -1, -1
    size, used, vacancies, expanded = 0, 0, 0, 0
    node = held = entered = -1
    while True:
        root, origin, left, right = start, start, ALL, ALL
        polygon = source
        if expanded > 0:
            if held >= 0:
                node = held
                held = -1
            elif size == 0 or heap[0] >= ends_bits[0]:
                break
            else:
                node = heap[0] & NODE_MASK
                size = pop(heap, size)
            root, origin, left, right = nodes[node, ROOT], nodes[node, ORIGIN], nodes[node, LEFT], nodes[node, RIGHT]
            entered = nodes[node, ENTERED]
            polygon = owner[entered]
            vacant[vacancies] = node
            vacancies += 1
            if lengths[node] > reached[root] * SLACK:
                continue  # a better way to the root was found since
        expanded += 1
        if expanded > expansions_max:
            break
        begin, end = first[polygon], first[polygon + 1]
        if used + 3 * (end - begin) > worth.size:
            scratch = _grown(scratch)
            nodes, worth, heap, lengths = scratch.nodes, scratch.worth, scratch.heap, scratch.lengths
            vacant = scratch.vacant
            bits = worth.view(np.int64)
        rx, ry = _place(points, root, x, y)
        ox, oy = _place(points, origin, x, y)
        # The rays, as directions from the root.
        lx, ly = _ray(points, left, rx, ry, ox, oy)
        hx, hy = _ray(points, right, rx, ry, ox, oy)
        half = begin
        tail, count = -1, end - begin
        turn_left = turn_right = False
        if expanded > 1:
            half = entered + 1 if entered + 1 < end else begin
            tail, count = corners[entered], end - begin - 1
            if left == tail:
                turn_left = _bends(points, bends, beside, reached, came, query, root, rx, ry, left, 1.0)
            if right == corners[half]:
                turn_right = _bends(points, bends, beside, reached, came, query, root, rx, ry, right, -1.0)
        c = corners[half]
        cx, cy = points[c, 0], points[c, 1]
        c_right = 1.0 if right == ALL else hx * (cy - ry) - hy * (cx - rx)
        c_left = -1.0 if left == ALL else lx * (cy - ry) - ly * (cx - rx)
        for _ in range(count):
            after = half + 1 if half + 1 < end else begin
            n = corners[after]
            nx, ny = points[n, 0], points[n, 1]
            n_right = 1.0 if right == ALL else hx * (ny - ry) - hy * (nx - rx)
            n_left = -1.0 if left == ALL else lx * (ny - ry) - ly * (nx - rx)
            twin = twins[half]
            other = owner[twin] if twin >= 0 else -1
            passes = other >= 0 and _enters(shut, stems, wanted, query, polygon, other, source, root == start)
            # What is seen of the edge, then what lies around the right and the left end of the edge entered.
            for part in range(3 if passes else 0):
                if part == 0:
                    # An edge along a ray is kept for what lies around its nearer end.
                    if n_right <= 0.0 and (n_right < 0.0 or c_right != 0.0 or c == right):
                        continue
                    if c_left >= 0.0 and (c_left > 0.0 or n_left != 0.0 or n == left):
                        continue
                    to_root, to_origin = root, origin
                    to_left = n if n_left <= 0.0 else left
                    to_right = c if c_right >= 0.0 else right
                    # On the edge that the start stands on, all of the far side is seen.
                    flat = expanded == 1 and side(cx, cy, nx, ny, x, y) == 0.0
                    flat = flat and (cx - x) * (nx - x) + (cy - y) * (ny - y) <= 0.0
                    if flat or (nx == rx and ny == ry):
                        to_left = ALL
                    if flat or (cx == rx and cy == ry):
                        to_right = ALL
                elif part == 1:
                    if not turn_right or not (c_right < 0.0 or (c == right and n_right <= 0.0)):
                        continue
                    to_root, to_origin = right, root
                    to_left = n if n_right <= 0.0 else TURNED
                    to_right = ALL if c == right else c
                else:
                    if not turn_left or not (n_left > 0.0 or (n == left and c_left >= 0.0)):
                        continue
                    to_root, to_origin = left, root
                    to_left = ALL if n == left else n
                    to_right = c if c_left >= 0.0 else TURNED
                tx, ty = _place(points, to_root, x, y)
                ux, uy = _place(points, to_origin, x, y)
                kx, ky = _ray(points, to_left, tx, ty, ux, uy)
                jx, jy = _ray(points, to_right, tx, ty, ux, uy)
                if other == target:
                    bend = -1
                    if to_right != ALL and jx * (gy - ty) - jy * (gx - tx) < 0.0:
                        bend = c if to_right == c else ALL
                    elif to_left != ALL and kx * (gy - ty) - ky * (gx - tx) > 0.0:
                        bend = n if to_left == n else ALL
                    if bend == ALL:
                        continue  # the goal lies out of sight, and another cone has what lies between
                    whole = float(reached[to_root])
                    if bend >= 0:
                        whole += away(tx, ty, points[bend, 0], points[bend, 1])
                        tx, ty = points[bend, 0], points[bend, 1]
                    whole += away(tx, ty, gx, gy)
                    if whole < best:
                        best, last, via = whole, to_root, bend
                        ends[0] = best
                    continue
                onward = away(tx, ty, gx, gy)
                if to_left != ALL and to_right != ALL:
                    onward = _onward(tx, ty, kx, ky, to_left == n, jx, jy, to_right == c, cx, cy, nx, ny, gx, gy)
                f = reached[to_root] + onward
                if f >= best:
                    continue
                if vacancies > 0:
                    vacancies -= 1
                    node = vacant[vacancies]
                else:
                    node = used
                    used += 1
                nodes[node, ROOT], nodes[node, ORIGIN] = to_root, to_origin
                nodes[node, LEFT], nodes[node, RIGHT] = to_left, to_right
                nodes[node, ENTERED] = twin
                worth[node], lengths[node] = f, reached[to_root]
                if held < 0:
                    held = node
                    continue
                if f < worth[held]:
                    held, node = node, held
                size = push(heap, size, (bits[node] & ~NODE_MASK) | node)
            half, c, cx, cy, c_right, c_left = after, n, nx, ny, n_right, n_left
        if held >= 0 and size > 0 and heap[0] < (bits[held] & ~NODE_MASK):
            size = push(heap, size, (bits[held] & ~NODE_MASK) | held)
            held = -1
    return scratch, (best if last >= 0 else np.inf), last, via, expanded


@inlined
def _place(points: F64, vertex: int, x: float, y: float) -> tuple[float, float]:
    """Where a vertex is; the start is the one behind the last."""
    if vertex == points.shape[0]:
        return x, y
    return points[vertex, 0], points[vertex, 1]


@inlined
def _ray(points: F64, vertex: int, rx: float, ry: float, ox: float, oy: float) -> tuple[float, float]:
    """The direction of a ray from a root (rx, ry) that was reached from (ox, oy)."""
    if vertex < 0:
        return rx - ox, ry - oy
    return points[vertex, 0] - rx, points[vertex, 1] - ry


@inlined
def _enters(
    shut: U8, stems: I32, wanted: I32, query: int, polygon: int, other: int, source: int, at_start: bool
) -> bool:
    """Whether a shortest path may go from a polygon to its neighbor: into a dead end only where the goal is in it."""
    if shut[other] != 0 or (at_start and other == source):
        return False
    return bool(stems[other] != polygon or wanted[other] == query)


@compiled
def _bends(
    points: F64, bends: U8, beside: I32, reached: F64, came: I32, query: int, root: int, rx: float, ry: float,
    vertex: int, turn: float,
) -> bool:  # fmt: skip
    """Whether a shortest path from a root may turn around a vertex (1: to the left, -1: to the right); notes it so."""
    kind = bends[vertex]
    if kind == 0:
        return False
    vx, vy = points[vertex, 0], points[vertex, 1]
    if kind == 1:
        # The path hugs the rim: both neighbors along the rim lie on the side that it turns to.
        for place in range(2):
            rim = beside[vertex, place]
            if side(rx, ry, vx, vy, points[rim, 0], points[rim, 1]) * turn < 0.0:
                return False
    length = reached[root] + away(rx, ry, vx, vy)
    if came[vertex, 1] == query:
        if length > reached[vertex] * SLACK:
            return False
        if length >= reached[vertex]:
            return True
    reached[vertex] = length
    came[vertex, 0], came[vertex, 1] = root, query
    return True


@inlined
def _cut(
    tx: float, ty: float, jx: float, jy: float, px: float, py: float, cx: float, cy: float, nx: float, ny: float
) -> tuple[float, float]:
    """Where a ray from a root meets the line through c and n; (px, py) where it runs along it."""
    ex, ey = nx - cx, ny - cy
    across = ex * jy - ey * jx
    if across >= 0.0:
        return px, py
    share = (ey * (tx - cx) - ex * (ty - cy)) / across
    return tx + share * jx, ty + share * jy


@inlined
def _onward(
    tx: float, ty: float, kx: float, ky: float, left_whole: bool, jx: float, jy: float, right_whole: bool,
    cx: float, cy: float, nx: float, ny: float, gx: float, gy: float,
) -> float:  # fmt: skip
    """The shortest way from a root through what it sees of the edge c to n, to a goal mirrored to the far side."""
    ex, ey = nx - cx, ny - cy
    over = ex * (gy - cy) - ey * (gx - cx)
    if over > 0.0:
        scale = 2.0 * over / (ex * ex + ey * ey)
        gx, gy = gx + scale * ey, gy - scale * ex
    if jx * (gy - ty) - jy * (gx - tx) < 0.0:
        px, py = (cx, cy) if right_whole else _cut(tx, ty, jx, jy, cx, cy, cx, cy, nx, ny)
    elif kx * (gy - ty) - ky * (gx - tx) > 0.0:
        px, py = (nx, ny) if left_whole else _cut(tx, ty, kx, ky, nx, ny, cx, cy, nx, ny)
    else:
        return away(tx, ty, gx, gy)
    return away(tx, ty, px, py) + away(px, py, gx, gy)
