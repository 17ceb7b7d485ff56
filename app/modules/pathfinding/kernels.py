"""The searching itself, compiled by numba: typed arrays in and out, without the GIL, deterministic.

It knows the arrays of graph.py; it does not know messages, maps by name or deadlines. Importing
this file imports numba (over half a second), so only worker threads do. Nothing is compiled before
the first call, and what was compiled is kept on disk. The disk copy notices changes of the file that
a kernel stands in but not of files that it calls, which is why this one is long.

Method: simple subgoal graphs (Uras, Koenig, Hernandez 2013) under A* with landmark lower bounds
(Goldberg, Harrelson 2005). A subgoal is a cell at an obstacle's corner. Two cells that see each
other are joined directly, all others by a chain of subgoals as short as the shortest path. Costs
inside are integers, 5741 a straight step and 8119 a diagonal one: 8119 / 5741 is a convergent of
sqrt 2, so two paths compare as their true lengths do unless they differ by over 5741 diagonals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

import numba
import numpy as np

from app.modules.pathfinding.graph import F64, I16, I32, I64, U8, Answers, Graph

STRAIGHT = 5_741
DIAGONAL = 8_119
SQRT_2 = 2.0**0.5
LANDMARKS = 12
FAR = 2**31 - 1
"""Landmark distances stop here; the bounds stay true, only weaker."""

FOUND, PARTIAL, UNREACHABLE, INVALID, OVER_BUDGET = 0, 1, 2, 3, 4
"""Places in messages.STATUSES."""

DX = (0, 1, 0, -1, 1, 1, -1, -1)
DY = (-1, 0, 1, 0, -1, 1, 1, -1)
"""North, east, south, west, then the diagonals: 4 + k lies between k and k + 1."""

# A heap holds int64 keys: the value to order by, then the node in the low bits. The edge limit of a
# map, 4096 * 4096 cells, keeps nodes below 2**24 and costs below 2**39.
NODE_BITS = 24
NODE_MASK = (1 << NODE_BITS) - 1
ANYWHERE = 8
"""In place of a compass direction: a path that starts on a subgoal may go on anywhere."""
ROOT = 16 << NODE_BITS
"""Marks a subgoal that was reached from the start, not from another one."""

# Columns of Scratch.trail.
SO_FAR, TO_GOAL, LAST_LEG, PARENT = 0, 1, 2, 3

F = TypeVar("F", bound=Callable[..., object])
R = TypeVar("R", I16, I32)


class Scratch(NamedTuple):
    """What a search writes to; one thread's own.

    `trail` (nodes, 4) int64: cost so far, least cost still to come, cost of the last leg to the
    goal, and the edge that led here (ROOT, compass direction, and the node that it came from).
    The last two carry the number of their query in the high half, so that nothing needs clearing.
    """

    trail: I64
    heap: I64
    near: I32
    """(room, 3): nodes joined to one cell, their costs and their compass directions."""
    chain: I32
    """(nodes + 2, 2): the path from goal to start, as columns and rows."""


def compiled(function: F) -> F:
    """The function as a kernel: no GIL, kept on disk, C rules for division."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: F) -> F:
    """A part of kernels, put in the place of each call, which would count references to its arrays."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)(function))


@compiled
def label_components(free: U8, stride: int) -> tuple[I32, int]:
    """Number the regions: (cells,) int32, 0 where blocked, and how many regions there are.

    A legal diagonal always has two straight moves beside it, so straight moves decide.
    """
    labels = np.zeros(free.size, np.int32)
    stack = np.empty(free.size, np.int32)
    count = 0
    for seed in range(free.size):
        if free[seed] == 0 or labels[seed] != 0:
            continue
        count += 1
        labels[seed] = count
        stack[0] = seed
        top = 1
        while top > 0:
            top -= 1
            cell = stack[top]
            for neighbor in (cell - stride, cell - 1, cell + 1, cell + stride):
                if free[neighbor] != 0 and labels[neighbor] == 0:
                    labels[neighbor] = count
                    stack[top] = neighbor
                    top += 1
    return labels, count


@compiled
def find_subgoals(free: U8, stride: int) -> tuple[I32, I32]:
    """Corner cells: node -> cell (nodes,) and cell -> node (cells,), -1 for none; both int32."""
    node_of = np.full(free.size, -1, np.int32)
    count = 0
    for cell in range(stride, free.size - stride):
        if free[cell] == 0:
            continue
        for dy in (-stride, stride):
            for dx in (-1, 1):
                corner = free[cell + dx + dy] == 0 and free[cell + dx] != 0 and free[cell + dy] != 0
                if corner and node_of[cell] < 0:
                    node_of[cell] = count
                    count += 1
    cells = np.empty(count, np.int32)
    for cell in range(free.size):
        if node_of[cell] >= 0:
            cells[node_of[cell]] = cell
    return cells, node_of


@compiled
def measure_clearance(free: U8, stride: int, node_of: I32) -> I16:
    """Free steps from each cell in each direction, (cells, 8) int16.

    Positive: the last step stands on the first subgoal met. Zero or negative: so many steps, then a wall.
    """
    clear = np.zeros((free.size, 8), np.int16)
    last = free.size - stride - 1
    for cell in range(stride, last + 1):
        clear[cell, 0] = _extend(clear, free, node_of, cell, 0, 0, -stride)
        clear[cell, 3] = _extend(clear, free, node_of, cell, 3, -1, 0)
        clear[cell, 4] = _extend(clear, free, node_of, cell, 4, 1, -stride)
        clear[cell, 7] = _extend(clear, free, node_of, cell, 7, -1, -stride)
    for cell in range(last, stride - 1, -1):
        clear[cell, 1] = _extend(clear, free, node_of, cell, 1, 1, 0)
        clear[cell, 2] = _extend(clear, free, node_of, cell, 2, 0, stride)
        clear[cell, 5] = _extend(clear, free, node_of, cell, 5, 1, stride)
        clear[cell, 6] = _extend(clear, free, node_of, cell, 6, -1, stride)
    return clear


@inlined
def _extend(clear: I16, free: U8, node_of: I32, cell: int, direction: int, dx: int, dy: int) -> int:
    """The clearance of a cell from that of the next; `dx` and `dy` are cell offsets.

    Free of branches on purpose: with them numba counts references to the arrays, at ten times the cost.
    """
    ahead = cell + dx + dy
    beyond = clear[ahead, direction]
    steps = beyond + 1 if beyond > 0 else beyond - 1
    steps = 1 if node_of[ahead] >= 0 else steps
    return int(steps * (free[cell] & free[ahead] & free[cell + dx] & free[cell + dy]))


@compiled
def _connect(cell: int, stride: int, clear: I16, node_of: I32, near: I32) -> int:
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
        count = _connect(cells[node], stride, clear, node_of, near)
        if total + count > edges.shape[0]:
            edges = _resized(edges, total, 2 * edges.shape[0])
        first[node, 0] = total
        for index in range(count):
            edges[total + index, 0] = near[index, 2] << NODE_BITS | near[index, 0]
            edges[total + index, 1] = near[index, 1]
            first[node, near[index, 2] + 1] = total + index + 1
        for direction in range(8):
            first[node, direction + 1] = max(first[node, direction + 1], first[node, direction])
        total += count
    return first, _resized(edges, total, total)


@compiled
def _resized(rows: R, used: int, room: int) -> R:
    """The first `used` rows of an (n, 2) array in one with `room` rows."""
    resized = np.empty((room, 2), rows.dtype)
    for row in range(used):
        resized[row, 0] = rows[row, 0]
        resized[row, 1] = rows[row, 1]
    return resized


@inlined
def _push(heap: I64, size: int, key: int) -> int:
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if heap[parent] <= key:
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = key
    return size + 1


@inlined
def _pop(heap: I64, size: int) -> int:
    """Drop the least key, which the caller has read from heap[0]; the new size.

    The hole sinks to the bottom and the last key rises from there, where it mostly belongs. The
    comparison on the way down is arithmetic, not a branch, because its outcome cannot be guessed.
    """
    size -= 1
    place = 0
    child = 1
    while child + 1 < size:
        child += heap[child + 1] < heap[child]
        heap[place] = heap[child]
        place = child
        child = 2 * place + 1
    if child < size:
        heap[place] = heap[child]
        place = child
    _push(heap, place, heap[size])
    return size


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
            size = _push(heap, size, source)
    while size > 0:
        key = heap[0]
        size = _pop(heap, size)
        node = key & NODE_MASK
        here = key >> NODE_BITS
        if here > distance[node]:
            continue
        for edge in range(first[node, 0], first[node, 8]):
            other = edges[edge, 0] & NODE_MASK
            there = here + edges[edge, 1]
            if there < distance[other]:
                distance[other] = there
                size = _push(heap, size, (there << NODE_BITS) | other)


@compiled
def nearest_cell(labels: I32, stride: int, x: int, y: int, region: int) -> tuple[int, int]:
    """The cell of `region` (0: of any) nearest to (x, y) in a straight line, or (-1, -1).

    Of equally near ones the first by row, then column. Looks at square rings around (x, y) until
    no farther ring can hold a nearer cell.
    """
    width = stride - 2
    height = labels.size // stride - 2
    best = 2**62
    best_x = -1
    best_y = -1
    for ring in range(max(abs(x), abs(width - 1 - x), abs(y), abs(height - 1 - y)) + 1):
        if ring * ring > best:
            break
        for row in range(max(y - ring, 0), min(y + ring, height - 1) + 1):
            step = 1 if abs(row - y) == ring else 2 * ring
            for column in range(x - ring, x + ring + 1, max(step, 1)):
                if column < 0 or column >= width:
                    continue
                label = labels[(row + 1) * stride + column + 1]
                away = (column - x) ** 2 + (row - y) ** 2
                ahead = row < best_y or (row == best_y and column < best_x)
                if label != 0 and (region == 0 or label == region) and (away < best or (away == best and ahead)):
                    best, best_x, best_y = away, column, row
    return best_x, best_y


@compiled
def nearest_cells(labels: I32, stride: int, cells: I16, region: int) -> I16:
    """nearest_cell for each of `cells`, (n, 2) int16."""
    nearest = np.empty(cells.shape, np.int16)
    for row in range(cells.shape[0]):
        x, y = nearest_cell(labels, stride, int(cells[row, 0]), int(cells[row, 1]), region)
        nearest[row, 0] = x
        nearest[row, 1] = y
    return nearest


@inlined
def _octile(dx: int, dy: int) -> int:
    """Cost of a way as if nothing stood in it; `dx` and `dy` are not negative."""
    return STRAIGHT * abs(dx - dy) + DIAGONAL * min(dx, dy)


@inlined
def _sees(start: int, goal: int, stride: int, clear: I16) -> bool:
    """Whether diagonal steps and then straight ones lead from start to goal past no subgoal and no wall."""
    dx = goal % stride - start % stride
    dy = goal // stride - start // stride
    slanted = min(abs(dx), abs(dy))
    straight = max(abs(dx), abs(dy)) - slanted
    quadrant = (0 if dy < 0 else 1) if dx > 0 else (2 if dy > 0 else 3)
    side = (1 if dx > 0 else 3) if abs(dx) > abs(dy) else (2 if dy > 0 else 0)
    bend = start + slanted * (DX[4 + quadrant] + DY[4 + quadrant] * stride)
    if slanted > abs(clear[start, 4 + quadrant]):
        return False
    return bool(straight <= abs(clear[bend, side]))


@compiled
def find_paths(
    graph: Graph, starts: I16, goals: I16, max_cost: float, partial: bool, expansions_max: int
) -> tuple[U8, F64, I32, I32, I16]:
    """Shortest paths from `starts` to `goals`, each (n, 2) int16 of x, y; the fields of Answers.

    A path longer than `max_cost` is over budget, and so is one whose search expands more than
    `expansions_max` nodes. With `partial`, a goal out of reach gives way to the nearest cell in reach.
    """
    pairs = starts.shape[0]
    status = np.empty(pairs, np.uint8)
    cost = np.full(pairs, np.nan, np.float64)
    expansions = np.zeros(pairs, np.int32)
    offsets = np.zeros(pairs + 1, np.int32)
    waypoints = np.empty((32 * pairs + 64, 2), np.int16)
    count = graph.nodes.shape[0]
    room = 8 * (graph.stride + graph.labels.size // graph.stride)
    scratch = Scratch(
        np.zeros((count, 4), np.int64),
        np.empty(graph.edges.shape[0] + room, np.int64),
        np.empty((room, 3), np.int32),
        np.empty((count + 2, 2), np.int32),
    )
    # Integer costs differ from true ones by less than one part in 10**7; the exact test comes after.
    limit = int(min(max_cost, 2.0**26) * STRAIGHT * (1.0 + 1e-7)) + 1
    total = 0
    for query in range(pairs):
        code, start, goal = _settle(graph, starts[query], goals[query], partial)
        steps = 0
        if code <= PARTIAL:
            steps, expanded = _chain(graph, scratch, start, goal, query + 1, limit, expansions_max)
            expansions[query] = expanded
            if steps == 0:
                code = OVER_BUDGET
        if steps > 0:
            if total + 2 * steps > waypoints.shape[0]:
                waypoints = _resized(waypoints, total, 2 * (total + 2 * steps))
            straight, slanted, after = _write(scratch.chain, steps, waypoints, total)
            if straight + slanted * SQRT_2 > max_cost:
                code = OVER_BUDGET
            else:
                cost[query] = straight + slanted * SQRT_2
                total = after
        status[query] = code
        offsets[query + 1] = total
    return status, cost, expansions, offsets, _resized(waypoints, total, total)


@inlined
def _settle(graph: Graph, start: I16, goal: I16, partial: bool) -> tuple[int, int, int]:
    """What the labels say of a query, and its start and goal as cells."""
    stride = graph.stride
    width = stride - 2
    height = graph.labels.size // stride - 2
    outside = min(min(start[0], start[1]), min(goal[0], goal[1])) < 0
    if outside or max(start[0], goal[0]) >= width or max(start[1], goal[1]) >= height:
        return INVALID, 0, 0
    here = (start[1] + 1) * stride + start[0] + 1
    there = (goal[1] + 1) * stride + goal[0] + 1
    region = graph.labels[here]
    if region == 0:
        return INVALID, 0, 0
    if graph.labels[there] == region:
        return FOUND, here, there
    if not partial:
        return UNREACHABLE, 0, 0
    x, y = nearest_cell(graph.labels, stride, int(goal[0]), int(goal[1]), region)
    return PARTIAL, here, (y + 1) * stride + x + 1


@inlined
def _chain(
    graph: Graph, scratch: Scratch, start: int, goal: int, query: int, limit: int, expansions_max: int
) -> tuple[int, int]:
    """Write goal, subgoals and start to scratch.chain; how many (0: over budget), and nodes expanded."""
    chain = scratch.chain
    chain[0, 0] = goal % graph.stride
    chain[0, 1] = goal // graph.stride
    steps = 1
    expanded = 0
    if not _sees(start, goal, graph.stride, graph.clear):
        node, expanded = _search(graph, scratch, start, goal, query, limit, expansions_max)
        if node < 0:
            return 0, expanded
        while True:
            chain[steps, 0] = graph.nodes[node, 0]
            chain[steps, 1] = graph.nodes[node, 1]
            steps += 1
            if scratch.trail[node, PARENT] & ROOT:
                break
            node = scratch.trail[node, PARENT] & NODE_MASK
    chain[steps, 0] = start % graph.stride
    chain[steps, 1] = start // graph.stride
    return steps + 1, expanded


@inlined
def _search(
    graph: Graph, scratch: Scratch, start: int, goal: int, query: int, limit: int, expansions_max: int
) -> tuple[int, int]:
    """A* over subgoals: the last one before the goal (-1: over budget), and how many were expanded."""
    nodes, first, edges = graph.nodes, graph.first, graph.edges
    trail, heap, near = scratch.trail, scratch.heap, scratch.near
    mark = query << 32
    away = np.empty(2 + LANDMARKS, np.int64)
    _mark_goal(graph, trail, near, goal, mark, away)
    size = 0
    for index in range(_connect_or_be(start, graph.stride, graph.clear, graph.node_of, near)):
        node = near[index, 0]
        trail[node, PARENT] = mark | ROOT | near[index, 2] << NODE_BITS
        trail[node, SO_FAR] = near[index, 1]
        trail[node, TO_GOAL] = _lower_bound(nodes, node, away)
        size = _push(heap, size, ((trail[node, SO_FAR] + trail[node, TO_GOAL]) << NODE_BITS) | node)
    best = limit + 1
    last = -1
    expanded = 0
    while size > 0:
        key = heap[0]
        if key >> NODE_BITS >= best:
            break
        if expanded == expansions_max:
            return -1, expanded
        size = _pop(heap, size)
        node = key & NODE_MASK
        here = trail[node, SO_FAR]
        if key >> NODE_BITS > here + trail[node, TO_GOAL]:
            continue
        expanded += 1
        if trail[node, LAST_LEG] >> 32 == query and here + (trail[node, LAST_LEG] & 0xFFFFFFFF) < best:
            best = here + (trail[node, LAST_LEG] & 0xFFFFFFFF)
            last = node
        low, high = _onward(trail[node, PARENT] >> NODE_BITS & 15)
        for part in range(2):
            begin = first[node, low] if part == 0 else first[node, 0]
            end = first[node, 8] if part == 0 and low > high else first[node, high + 1]
            for edge in range(begin, end):
                other = edges[edge, 0] & NODE_MASK
                there = here + edges[edge, 1]
                if trail[other, PARENT] >> 32 != query:
                    trail[other, TO_GOAL] = _lower_bound(nodes, other, away)
                elif there >= trail[other, SO_FAR]:
                    continue
                trail[other, SO_FAR] = there
                trail[other, PARENT] = mark | (edges[edge, 0] & ~NODE_MASK) | node
                if there + trail[other, TO_GOAL] < best:
                    size = _push(heap, size, ((there + trail[other, TO_GOAL]) << NODE_BITS) | other)
            if low <= high:
                break
    return last, expanded


@inlined
def _onward(arrival: int) -> tuple[int, int]:
    """The compass directions, first and last, that a shortest path can take on from a subgoal.

    One that came north-east goes on between north and east, one that came north between west and
    east, never back in x or in y: it would have met a cell beside the subgoal at a lower cost.
    """
    if arrival == ANYWHERE:
        return 0, 7
    turn = 1 if arrival & 1 else 2
    return (arrival - turn) & 7, (arrival + turn) & 7


@inlined
def _connect_or_be(cell: int, stride: int, clear: I16, node_of: I32, near: I32) -> int:
    """_connect, or the cell itself at no cost where it is a subgoal."""
    if node_of[cell] < 0:
        return _connect(cell, stride, clear, node_of, near)
    near[0, 0] = node_of[cell]
    near[0, 1] = 0
    near[0, 2] = ANYWHERE
    return 1


@inlined
def _mark_goal(graph: Graph, trail: I64, near: I32, goal: int, mark: int, away: I64) -> None:
    """Write the last legs, and to `away` the goal's column, row and distances from the landmarks."""
    away[:] = FAR
    for index in range(_connect_or_be(goal, graph.stride, graph.clear, graph.node_of, near)):
        node = near[index, 0]
        trail[node, LAST_LEG] = mark | near[index, 1]
        for column in range(2, away.size):
            away[column] = min(away[column], graph.nodes[node, column] + near[index, 1])
    away[0] = goal % graph.stride
    away[1] = goal // graph.stride


@inlined
def _lower_bound(nodes: I32, node: int, away: I64) -> int:
    """What the way from a node to the goal costs at least: octile distance or a landmark's, the greater."""
    least = _octile(abs(nodes[node, 0] - away[0]), abs(nodes[node, 1] - away[1]))
    for column in range(2, nodes.shape[1]):
        least = max(least, abs(nodes[node, column] - away[column]))
    return least


@compiled
def _write(chain: I32, steps: int, waypoints: I16, total: int) -> tuple[int, int, int]:
    """Write the path chain[steps - 1] .. chain[0] from row `total` on.

    Every leg goes diagonally first, except a last one that was found from the goal and so ends
    diagonally. Returns straight steps, diagonal steps and the row after the last.
    """
    straight = 0
    slanted = 0
    x = chain[steps - 1, 0] - 1
    y = chain[steps - 1, 1] - 1
    waypoints[total, 0] = x
    waypoints[total, 1] = y
    total += 1
    for index in range(steps - 2, -1, -1):
        dx = chain[index, 0] - 1 - x
        dy = chain[index, 1] - 1 - y
        both = min(abs(dx), abs(dy))
        rest = max(abs(dx), abs(dy)) - both
        straight += rest
        slanted += both
        if both > 0 and rest > 0:
            bend = rest if index == 0 and steps > 2 else both
            wide = bend == both or abs(dx) > abs(dy)
            tall = bend == both or abs(dy) > abs(dx)
            waypoints[total, 0] = x + (bend if dx > 0 else -bend) * wide
            waypoints[total, 1] = y + (bend if dy > 0 else -bend) * tall
            total += 1
        if both + rest > 0:
            x += dx
            y += dy
            waypoints[total, 0] = x
            waypoints[total, 1] = y
            total += 1
    return straight, slanted, total


def answers(graph: Graph, starts: I16, goals: I16, max_cost: float, partial: bool, expansions_max: int) -> Answers:
    """find_paths with its result named."""
    return Answers(*find_paths(graph, starts, goals, max_cost, partial, expansions_max))


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
