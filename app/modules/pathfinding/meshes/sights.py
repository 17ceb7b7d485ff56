"""What sees what: the corners of a mesh that see each other, and those that see into each polygon.

It knows cones of sight from one corner; how a query uses the tables is in taut.py. A table costs
memory and time ahead, and makes a query a search over few corners (tangent visibility graphs; Oh
and Leong 2017).
"""

from __future__ import annotations

import math

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.heap import NODE_MASK, pop, push
from app.modules.pathfinding.meshes.geometry import side
from app.modules.pathfinding.meshes.graph import ALL, F64, I32, LANDMARKS, U8, Prepared, Sights

# Bits of Sights.turns: on which side of an edge the rim lies, at its tail and at its head.
TAIL_LEFT, TAIL_RIGHT, HEAD_LEFT, HEAD_RIGHT = 1, 2, 4, 8


def look(mesh: Prepared, entries_max: int) -> Sights:
    """The sights of a mesh; none where they would take more than `entries_max` entries."""
    node_at, nodes = find_corners(mesh)
    places = np.hstack([mesh.points[nodes[:, column]] for column in range(3)])
    places[nodes[:, 1] < 0, 2:] = np.nan
    starts, onto, turns, seen = _scan(mesh, node_at, nodes, places, entries_max)
    if len(starts) == 0:
        return mesh.sights
    order = np.argsort(seen[:, 0], kind="stable")
    seen_first = np.searchsorted(seen[order, 0], np.arange(len(mesh.cost) + 1)).astype(np.int32)
    tails = np.repeat(np.arange(len(nodes)), np.diff(starts))
    spans = np.sqrt(((places[onto, :2] - places[tails, :2]) ** 2).sum(axis=1))
    distances = _measure(starts, onto, spans)
    seen = seen[order]
    rays = mesh.points[seen[:, 2:]].reshape(-1, 4).astype(np.float32)
    rays[seen[:, 2] == ALL] = np.nan
    return Sights(
        nodes, places, distances, starts, onto, turns, spans, seen_first, np.ascontiguousarray(seen[:, 1]), rays
    )


@compiled
def find_corners(mesh: Prepared) -> tuple[I32, I32]:
    """The corners around which shortest paths bend: (half-edges,) the node at each, and (nodes, 3) of them.

    A node is a vertex with the polygons around it that share edges, and its neighbors along the rim
    there, -1 where a path may bend anyhow. One vertex may be several nodes.
    """
    first, corners, twins, owner, points = mesh.first, mesh.corners, mesh.twins, mesh.owner, mesh.points
    node_at = np.full(corners.size, -1, np.int32)
    done = np.zeros(corners.size, np.uint8)
    nodes = np.empty((corners.size, 3), np.int32)
    count = 0
    for half in range(corners.size):
        if done[half]:
            continue
        # To the edge that ends the fan on the right of all: the rim leaves the vertex there.
        begin = half
        while twins[begin] >= 0:
            onward = twins[begin] + 1
            begin = onward if onward < first[owner[twins[begin]] + 1] else first[owner[twins[begin]]]
            if begin == half:
                break
        vertex = corners[half]
        rim = twins[begin] < 0
        angle = 0.0
        step, last = begin, -1
        while True:
            done[step] = 1
            before = step - 1 if step > first[owner[step]] else first[owner[step] + 1] - 1
            after = step + 1 if step + 1 < first[owner[step] + 1] else first[owner[step]]
            last = corners[before]
            ax, ay = points[corners[after], 0] - points[vertex, 0], points[corners[after], 1] - points[vertex, 1]
            bx, by = points[last, 0] - points[vertex, 0], points[last, 1] - points[vertex, 1]
            angle += abs(math.atan2(ax * by - ay * bx, ax * bx + ay * by))
            if twins[before] < 0 or twins[before] == begin:
                break
            step = twins[before]
        if not rim:
            continue
        beyond = begin + 1 if begin + 1 < first[owner[begin] + 1] else first[owner[begin]]
        p, q = last, corners[beyond]
        x, y = points[vertex, 0], points[vertex, 1]
        if angle < 1.5 * math.pi and side(points[p, 0], points[p, 1], x, y, points[q, 0], points[q, 1]) >= 0.0:
            continue
        any_turn = angle > 2.0 * math.pi + 1e-3
        nodes[count, 0], nodes[count, 1], nodes[count, 2] = vertex, (-1 if any_turn else p), (-1 if any_turn else q)
        step = begin
        while True:
            node_at[step] = count
            before = step - 1 if step > first[owner[step]] else first[owner[step] + 1] - 1
            if twins[before] < 0:
                break
            step = twins[before]
        count += 1
    return node_at, nodes[:count].copy()


@inlined
def rim_sides(places: F64, node: int, ax: float, ay: float, bx: float, by: float) -> int:
    """Whether the rim at a node lies all to the left (1) or right (2) of the line from a to b, both, or neither (0)."""
    one = side(ax, ay, bx, by, places[node, 2], places[node, 3])
    two = side(ax, ay, bx, by, places[node, 4], places[node, 5])
    return (0 if min(one, two) < 0.0 else 1) + (0 if max(one, two) > 0.0 else 2)


@compiled
def _scan(mesh: Prepared, node_at: I32, nodes: I32, places: F64, entries_max: int) -> tuple[I32, I32, U8, I32]:
    """Edges between corners and sights into polygons; all empty where these are more than `entries_max`.

    Edges: (nodes + 1,) where those of each begin, (edges,) where they lead, (edges,) turns. Sights:
    (sights, 4): polygon, node, vertices of the left and right ray.
    """
    points, first, corners, twins, owner = mesh.points, mesh.first, mesh.corners, mesh.twins, mesh.owner
    count = nodes.shape[0]
    starts = np.zeros(count + 1, np.int32)
    onto, turns = np.empty(8 * count + 64, np.int32), np.empty(8 * count + 64, np.uint8)
    seen = np.empty((8 * corners.size + 64, 4), np.int32)
    stack = np.empty((corners.size + 64, 3), np.int32)
    met = np.full(count, -1, np.int32)
    edges, sights = 0, 0
    # The half-edges at each node.
    offsets = np.zeros(count + 2, np.int32)
    for half in range(corners.size):
        offsets[node_at[half] + 2] += node_at[half] >= 0
    for node in range(count + 1):
        offsets[node + 1] += offsets[node]
    halves = np.empty(offsets[count + 1], np.int32)
    for half in range(corners.size):
        if node_at[half] >= 0:
            halves[offsets[node_at[half] + 1]] = half
            offsets[node_at[half] + 1] += 1
    for node in range(count):
        vertex, p, q = nodes[node, 0], nodes[node, 1], nodes[node, 2]
        x, y = points[vertex, 0], points[vertex, 1]
        px, py, qx, qy = 0.0, 0.0, 0.0, 0.0
        if p >= 0:
            px, py = points[p, 0] - x, points[p, 1] - y
            qx, qy = points[q, 0] - x, points[q, 1] - y
        met[node] = node
        for place in range(offsets[node], offsets[node + 1]):
            stack[0, 0], stack[0, 1], stack[0, 2] = halves[place], ALL, ALL
            top = 1
            while top > 0:
                top -= 1
                entered, left, right = stack[top, 0], stack[top, 1], stack[top, 2]
                polygon = owner[entered]
                begin, end = first[polygon], first[polygon + 1]
                if sights == entries_max:
                    return starts[:0].copy(), onto[:0].copy(), turns[:0].copy(), seen[:0].copy()
                if sights == seen.shape[0]:
                    more = np.empty((2 * sights, 4), np.int32)
                    more[:sights] = seen
                    seen = more
                seen[sights, 0], seen[sights, 1], seen[sights, 2], seen[sights, 3] = polygon, node, left, right
                sights += 1
                if edges + end - begin > onto.size:
                    onto = np.concatenate((onto, np.empty(onto.size + end - begin, np.int32)))
                    turns = np.concatenate((turns, np.empty(onto.size - turns.size, np.uint8)))
                if top + end - begin > stack.shape[0]:
                    wider = np.empty((2 * (top + end - begin), 3), np.int32)
                    wider[:top] = stack[:top]
                    stack = wider
                lx, ly, hx, hy = 0.0, 0.0, 0.0, 0.0
                if left >= 0:
                    lx, ly = points[left, 0] - x, points[left, 1] - y
                if right >= 0:
                    hx, hy = points[right, 0] - x, points[right, 1] - y
                half = entered + 1 if entered + 1 < end else begin
                c = corners[half]
                cx, cy = points[c, 0] - x, points[c, 1] - y
                c_right = 1.0 if right == ALL else hx * cy - hy * cx
                c_left = -1.0 if left == ALL else lx * cy - ly * cx
                for step in range(end - begin - 1):
                    after = half + 1 if half + 1 < end else begin
                    n = corners[after]
                    nx, ny = points[n, 0] - x, points[n, 1] - y
                    n_right = 1.0 if right == ALL else hx * ny - hy * nx
                    n_left = -1.0 if left == ALL else lx * ny - ly * nx
                    if step == 0 and left == ALL and node_at[half] >= 0 and met[node_at[half]] != node:
                        edges = _join(places, node, node_at[half], x, y, onto, turns, edges, met)
                    if n_right >= 0.0 and n_left <= 0.0 and node_at[after] >= 0 and met[node_at[after]] != node:
                        edges = _join(places, node, node_at[after], x, y, onto, turns, edges, met)
                    twin = twins[half]
                    # From the corner itself, the edges that begin and end there lead to its other polygons.
                    edge = left != ALL or (step < end - begin - 2 and c != vertex and n != vertex)
                    if twin >= 0 and edge and n_right > 0.0 and c_left < 0.0:
                        to_left = n if n_left <= 0.0 else left
                        to_right = c if c_right >= 0.0 else right
                        kx, ky = points[to_left, 0] - x, points[to_left, 1] - y
                        jx, jy = points[to_right, 0] - x, points[to_right, 1] - y
                        # All of the cone lies behind the corner, where no path turns around it.
                        shaded = p >= 0 and _splits(kx, ky, px, py, qx, qy) and _splits(jx, jy, px, py, qx, qy)
                        if not shaded and mesh.shut[owner[twin]] == 0:
                            stack[top, 0], stack[top, 1], stack[top, 2] = twin, to_left, to_right
                            top += 1
                    half, c, c_right, c_left = after, n, n_right, n_left
        starts[node + 1] = edges
    return starts, onto[:edges].copy(), turns[:edges].copy(), seen[:sights].copy()


@inlined
def _splits(dx: float, dy: float, px: float, py: float, qx: float, qy: float) -> bool:
    """Whether p and q lie on different sides of a direction."""
    return (dx * py - dy * px) * (dx * qy - dy * qx) < 0.0


@inlined
def _join(places: F64, node: int, other: int, x: float, y: float, onto: I32, turns: U8, edges: int, met: I32) -> int:
    """Add the edge between two corners that see each other, if a path may turn around both; how many there are."""
    met[other] = node
    tx, ty = places[other, 0], places[other, 1]
    tail = rim_sides(places, node, x, y, tx, ty)
    head = rim_sides(places, other, x, y, tx, ty)
    if tail == 0 or head == 0:
        return edges
    onto[edges] = other
    turns[edges] = tail | head << 2
    return edges + 1


@compiled
def _measure(starts: I32, onto: I32, spans: F64) -> F64:
    """Distances from landmarks along edges, (nodes, LANDMARKS), NaN where there is no way.

    In each column every part of the graph has a landmark of its own: the node farthest from those
    before (Goldberg, Harrelson 2005); a round ahead of the first finds a node at the rim.
    """
    count = starts.size - 1
    distances = np.full((count, LANDMARKS), np.nan)
    nearest = np.full(count, np.inf)
    part = np.full(count, -1, np.int32)
    far = np.empty(count)
    bits = far.view(np.int64)
    heap = np.empty(onto.size + count + 1, np.int64)
    picked = np.empty(count, np.int32)
    parts = 0
    for column in range(-1, LANDMARKS):
        if column >= 0:
            picked[:parts] = -1
            for node in range(count):
                if picked[part[node]] < 0 or nearest[node] > nearest[picked[part[node]]]:
                    picked[part[node]] = node
        far[:] = np.inf
        for seed in range(count if column < 0 else parts):
            if column < 0:
                if part[seed] >= 0:
                    continue
                picked[parts] = seed
                parts += 1
            begin = picked[parts - 1] if column < 0 else picked[seed]
            far[begin] = 0.0
            heap[0] = begin
            size = 1
            while size > 0:
                node, reached = heap[0] & NODE_MASK, heap[0] & ~NODE_MASK
                size = pop(heap, size)
                if reached != bits[node] & ~NODE_MASK:
                    continue
                if column < 0:
                    part[node] = parts - 1
                for edge in range(starts[node], starts[node + 1]):
                    other = onto[edge]
                    if far[node] + spans[edge] < far[other]:
                        far[other] = far[node] + spans[edge]
                        if size < heap.size:
                            size = push(heap, size, (bits[other] & ~NODE_MASK) | other)
        for node in range(count):
            if column >= 0:
                distances[node, column] = far[node]
                nearest[node] = min(nearest[node], far[node])
            else:
                nearest[node] = far[node]
    return distances
