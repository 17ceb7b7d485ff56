"""From a grid to its subgoal graph: corners, clearances, edges, landmark distances.

A subgoal is a cell at an obstacle's corner (Uras, Koenig, Hernandez 2013). Two cells that see each
other are joined directly, all others by a chain of subgoals as short as the shortest path. Costs
inside are integers, 5741 a straight step and 8119 a diagonal one: 8119 / 5741 is a convergent of
sqrt 2, so two paths compare as their true lengths do unless they differ by over 5741 diagonals.
It knows how the arrays of graph.py are computed, not how they are searched.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import I16, I32, I64, U8, Graph
from app.modules.pathfinding.grids.heap import NODE_BITS, NODE_MASK, pop, push
from app.modules.pathfinding.grids.labels import label_components

STRAIGHT = 5_741
DIAGONAL = 8_119
LANDMARKS = 12
FAR = 2**31 - 1
"""Landmark distances stop here; the bounds stay true, only weaker."""

DX = (0, 1, 0, -1, 1, 1, -1, -1)
DY = (-1, 0, 1, 0, -1, 1, 1, -1)
"""North, east, south, west, then the diagonals: 4 + k lies between k and k + 1."""

R = TypeVar("R", I16, I32)


@compiled
def find_subgoals(free: U8, stride: int) -> tuple[I32, I32]:
    """Corner cells: node -> cell (nodes,) and cell -> node (cells,), -1 for none; both int32."""
    node_of = np.full(free.size, -1, np.int32)
    count = 0
    for cell in range(stride, free.size - stride):
        if is_corner(free, stride, cell):
            node_of[cell] = count
            count += 1
    cells = np.empty(count, np.int32)
    for cell in range(free.size):
        if node_of[cell] >= 0:
            cells[node_of[cell]] = cell
    return cells, node_of


@inlined
def is_corner(free: U8, stride: int, cell: int) -> bool:
    """Whether the cell is free and a blocked one touches it at a corner only."""
    north, east, south, west = free[cell - stride], free[cell + 1], free[cell + stride], free[cell - 1]
    corners = north & east & (1 - free[cell - stride + 1]) | south & east & (1 - free[cell + stride + 1])
    corners |= south & west & (1 - free[cell + stride - 1]) | north & west & (1 - free[cell - stride - 1])
    return bool(free[cell] & corners)


@compiled
def measure_clearance(free: U8, stride: int, node_of: I32) -> I16:
    """Free steps from each cell in each direction, (cells, 8) int16.

    Positive: the last step stands on the first subgoal met. Zero or negative: so many steps, then a wall.
    """
    clear = np.zeros((free.size, 8), np.int16)
    last = free.size - stride - 1
    for cell in range(stride, last + 1):
        clear[cell, 0] = extend(clear, free, node_of, cell, 0, 0, -stride)
        clear[cell, 3] = extend(clear, free, node_of, cell, 3, -1, 0)
        clear[cell, 4] = extend(clear, free, node_of, cell, 4, 1, -stride)
        clear[cell, 7] = extend(clear, free, node_of, cell, 7, -1, -stride)
    for cell in range(last, stride - 1, -1):
        clear[cell, 1] = extend(clear, free, node_of, cell, 1, 1, 0)
        clear[cell, 2] = extend(clear, free, node_of, cell, 2, 0, stride)
        clear[cell, 5] = extend(clear, free, node_of, cell, 5, 1, stride)
        clear[cell, 6] = extend(clear, free, node_of, cell, 6, -1, stride)
    return clear


@inlined
def extend(clear: I16, free: U8, node_of: I32, cell: int, direction: int, dx: int, dy: int) -> int:
    """The clearance of a cell from that of the next; `dx` and `dy` are cell offsets.

    Free of branches on purpose: with them numba counts references to the arrays, at ten times the cost.
    """
    ahead = cell + dx + dy
    beyond = clear[ahead, direction]
    steps = beyond + 1 if beyond > 0 else beyond - 1
    steps = 1 if node_of[ahead] >= 0 else steps
    return int(steps * (free[cell] & free[ahead] & free[cell + dx] & free[cell + dy]))


@compiled
def connect(cell: int, stride: int, clear: I16, node_of: I32, near: I32) -> int:
    """Write the subgoals joined directly to `cell` to `near`, around the compass; the number written.

    Each lies some diagonal steps and then some straight steps away. Where a subgoal is met, the
    view to that side narrows: what lies behind it is as near through it.
    """
    count = 0
    for quadrant in range(4):
        steps = clear[cell, quadrant]
        if steps > 0:
            near[count, 0] = node_of[cell + steps * (DX[quadrant] + DY[quadrant] * stride)]
            near[count, 1] = steps * STRAIGHT
            near[count, 2] = 2 * quadrant
            count += 1
        step = DX[4 + quadrant] + DY[4 + quadrant] * stride
        steps = clear[cell, 4 + quadrant]
        if steps > 0:
            near[count, 0] = node_of[cell + steps * step]
            near[count, 1] = steps * DIAGONAL
            near[count, 2] = 2 * quadrant + 1
            count += 1
        reach = _before_stop(steps)
        for side in (quadrant, (quadrant + 1) & 3):
            across = DX[side] + DY[side] * stride
            view = _before_stop(clear[cell, side])
            at = cell
            for taken in range(1, reach + 1):
                if view <= 0:
                    break
                at += step
                seen = clear[at, side]
                if 0 < seen <= view:
                    near[count, 0] = node_of[at + seen * across]
                    near[count, 1] = taken * DIAGONAL + seen * STRAIGHT
                    near[count, 2] = 2 * quadrant + 1
                    count += 1
                view = min(view, _before_stop(seen))
    return count


@inlined
def _before_stop(clear: int) -> int:
    """Free steps before a subgoal or up to a wall, by a clearance."""
    return clear - 1 if clear > 0 else -clear


@compiled
def join_subgoals(cells: I32, stride: int, clear: I16, node_of: I32) -> tuple[I32, I32]:
    """The edges of all nodes, as Graph.first and Graph.edges."""
    near = np.empty((8 * (stride + clear.shape[0] // stride), 3), np.int32)
    first = np.zeros((cells.size, 9), np.int32)
    edges = np.empty((8 * cells.size + near.shape[0], 2), np.int32)
    total = 0
    for node in range(cells.size):
        count = connect(cells[node], stride, clear, node_of, near)
        if total + count > edges.shape[0]:
            edges = resized(edges, total, 2 * edges.shape[0])
        first[node, 0] = total
        for index in range(count):
            edges[total + index, 0] = near[index, 2] << NODE_BITS | near[index, 0]
            edges[total + index, 1] = near[index, 1]
            first[node, near[index, 2] + 1] = total + index + 1
        for direction in range(8):
            first[node, direction + 1] = max(first[node, direction + 1], first[node, direction])
        total += count
    return first, resized(edges, total, total)


@compiled
def resized(rows: R, used: int, room: int) -> R:
    """The first `used` rows of an (n, 2) array in one with `room` rows."""
    resized = np.empty((room, 2), rows.dtype)
    for row in range(used):
        resized[row, 0] = rows[row, 0]
        resized[row, 1] = rows[row, 1]
    return resized


@compiled
def place_landmarks(cells: I32, stride: int, labels: I32, regions: int, first: I32, edges: I32) -> I32:
    """Column, row and landmark distances of each node, (nodes, 2 + LANDMARKS) int32, cut off at FAR.

    In every distance column each region has a landmark of its own: the node farthest from those
    before. A round ahead of the first column finds a node at the rim to begin with.
    """
    nodes = np.empty((cells.size, 2 + LANDMARKS), np.int32)
    nearest = np.full(cells.size, 2**62, np.int64)
    distance = np.empty(cells.size, np.int64)
    heap = np.empty(edges.shape[0] + cells.size + 1, np.int64)
    chosen = np.empty(regions + 1, np.int64)
    for column in range(-1, LANDMARKS):
        chosen[:] = -1
        for node in range(cells.size):
            region = labels[cells[node]]
            if chosen[region] < 0 or nearest[node] > nearest[chosen[region]]:
                chosen[region] = node
        _spread(chosen, first, edges, distance, heap)
        for node in range(cells.size):
            nearest[node] = distance[node] if column <= 0 else min(nearest[node], distance[node])
            if column >= 0:
                nodes[node, 2 + column] = min(distance[node], FAR)
    for node in range(cells.size):
        nodes[node, 0] = cells[node] % stride
        nodes[node, 1] = cells[node] // stride
    return nodes


@compiled
def _spread(sources: I64, first: I32, edges: I32, distance: I64, heap: I64) -> None:
    """Dijkstra from all sources at once; entries of -1 are no source."""
    distance[:] = 2**62
    size = 0
    for source in sources:
        if source >= 0:
            distance[source] = 0
            size = push(heap, size, source)
    while size > 0:
        key = heap[0]
        size = pop(heap, size)
        node = key & NODE_MASK
        here = key >> NODE_BITS
        if here > distance[node]:
            continue
        for edge in range(first[node, 0], first[node, 8]):
            other = edges[edge, 0] & NODE_MASK
            there = here + edges[edge, 1]
            if there < distance[other]:
                distance[other] = there
                size = push(heap, size, (there << NODE_BITS) | other)


def prepare(free: U8) -> Graph:
    """The graph over a bordered grid (height + 2, width + 2) uint8 of 1 passable, 0 blocked."""
    flat = np.ascontiguousarray(free).ravel()
    stride = free.shape[1]
    labels, regions = label_components(flat, stride)
    cells, node_of = find_subgoals(flat, stride)
    clear = measure_clearance(flat, stride, node_of)
    first, edges = join_subgoals(cells, stride, clear, node_of)
    nodes = place_landmarks(cells, stride, labels, regions, first, edges)
    return Graph(stride, regions, labels, clear, node_of, nodes, first, edges)
