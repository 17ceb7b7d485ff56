"""Shortest paths by hub labels: the best hub that start and goal have in common, and the ways to it.

It knows the arrays of graph.py and answers one query; it does not know how labels are computed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import I32, I64, LINK_BITS, LINK_MASK, Graph
from app.modules.pathfinding.grids.octile import ANYWHERE, octile, onward
from app.modules.pathfinding.grids.subgoals import DIAGONAL, DX, DY, STRAIGHT

COST_BITS = 33
"""A path's cost: two distances of 31 bits, and what leads to the first node and from the last."""
NO_COST = (1 << COST_BITS) - 1


class Reach(NamedTuple):
    """What a look-up writes to; one thread's own.

    `hubs` (nodes, 2) int64: by the rank of a hub, its cost from the start and the entry that leads there. The
    cost carries in its high bits a number that falls with every query, so that nothing needs clearing.
    """

    hubs: I64
    ahead: I32
    """(room, 4): subgoals joined to the start: cell, cost, compass direction, and the whole path's least cost."""
    behind: I32
    """(room, 4): the same from the goal."""


@compiled
def new_reach(graph: Graph) -> Reach:
    """Room for look-ups; none where the graph has no hubs."""
    count = graph.hubs.first.shape[0]
    room = 8 * (graph.stride + graph.labels.size // graph.stride) if count > 0 else 0
    return Reach(np.full((count, 2), 2**62, np.int64), np.empty((room, 4), np.int32), np.empty((room, 4), np.int32))


@inlined
def look_up(graph: Graph, reach: Reach, chain: I32, start: int, goal: int, left: int) -> int:
    """Write goal, subgoals and start to `chain` as columns and rows; how many.

    `left` is lower with every query. First the most promising node beside the start and the one beside the goal;
    what they cost together leaves few of the others in question.
    """
    mark = left << COST_BITS
    count_ahead = _join(graph, start, goal, reach.ahead)
    count_behind = _join(graph, goal, start, reach.behind)
    _scatter(graph, reach, 1, mark, mark | NO_COST)
    best, entry = _gather(graph, reach, 1, mark | NO_COST, 0)
    _scatter(graph, reach, count_ahead, mark, best)
    best, entry = _gather(graph, reach, count_behind, best, entry)
    ways = graph.hubs.ways
    chain[0, 0] = goal % graph.stride
    chain[0, 1] = goal // graph.stride
    forth = int(reach.hubs[graph.hubs.labels[entry, 0], 1])
    steps = 1
    while True:
        steps = _step(ways, chain, steps, entry)
        if ways[entry, 1] == entry:
            break
        entry = ways[entry, 1]
    middle = steps
    while ways[forth, 1] != forth:
        steps = _step(ways, chain, steps, forth)
        forth = ways[forth, 1]
    low, high = middle, steps - 1
    while low < high:
        for column in range(2):
            chain[low, column], chain[high, column] = chain[high, column], chain[low, column]
        low += 1
        high -= 1
    chain[steps, 0] = start % graph.stride
    chain[steps, 1] = start // graph.stride
    return steps + 1


@inlined
def _step(ways: I32, chain: I32, steps: int, entry: int) -> int:
    """Write the node of an entry to `chain`; the number written so far."""
    chain[steps, 0] = ways[entry, 0] >> 16
    chain[steps, 1] = ways[entry, 0] & 0xFFFF
    return steps + 1


@inlined
def _join(graph: Graph, cell: int, target: int, near: I32) -> int:
    """What subgoals.connect gives, by Hubs.links; the number written, the one nearest to the target first.

    Or the cell itself at no cost where it is a subgoal.
    """
    stride, clear, links = graph.stride, graph.clear, graph.hubs.links
    dx = cell % stride - target % stride
    dy = cell // stride - target // stride
    if graph.node_of[cell] >= 0:
        return _add(near, 0, cell, 0, ANYWHERE, dx, dy)
    count = 0
    for quadrant in range(4):
        right, down = DX[quadrant], DY[quadrant]
        seen = clear[cell, quadrant]
        if seen > 0:
            there = cell + seen * (right + down * stride)
            count = _add(near, count, there, seen * STRAIGHT, 2 * quadrant, dx + seen * right, dy + seen * down)
        right, down = DX[4 + quadrant], DY[4 + quadrant]
        seen = clear[cell, 4 + quadrant]
        if seen > 0:
            there = cell + seen * (right + down * stride)
            count = _add(near, count, there, seen * DIAGONAL, 2 * quadrant + 1, dx + seen * right, dy + seen * down)
        for turn in range(2):
            side = (quadrant + turn) & 3
            taken = 0
            link = links[cell, 2 * quadrant + turn]
            while link > 0:
                taken += link & LINK_MASK
                seen = link >> LINK_BITS & LINK_MASK
                at = cell + taken * (right + down * stride)
                there = at + seen * (DX[side] + DY[side] * stride)
                x = dx + taken * right + seen * DX[side]
                y = dy + taken * down + seen * DY[side]
                count = _add(near, count, there, taken * DIAGONAL + seen * STRAIGHT, 2 * quadrant + 1, x, y)
                link = links[at, 2 * quadrant + turn] if link >> 2 * LINK_BITS else 0
    return count


@inlined
def _add(near: I32, count: int, cell: int, cost: int, direction: int, dx: int, dy: int) -> int:
    """Write one subgoal to `near`, in the first row if it is the most promising; the new count."""
    least = cost + octile(abs(dx), abs(dy))
    place = count
    if count > 0 and least < near[0, 3]:
        for column in range(4):
            near[count, column] = near[0, column]
        place = 0
    near[place, 0] = cell
    near[place, 1] = cost
    near[place, 2] = direction
    near[place, 3] = least
    return count + 1


@inlined
def _scatter(graph: Graph, reach: Reach, count: int, mark: int, best: int) -> None:
    """Note the costs of hubs by the first `count` nodes beside the start, those under `best` only."""
    first, labels = graph.hubs.first, graph.hubs.labels
    for index in range(count):
        if mark | reach.ahead[index, 3] >= best:
            continue
        node = graph.node_of[reach.ahead[index, 0]]
        cost = mark | reach.ahead[index, 1]
        low, high = onward(reach.ahead[index, 2])
        for part in range(2):
            begin, end = _part(first, node, low, high, part)
            for entry in range(begin, end):
                hub = labels[entry, 0]
                if cost + labels[entry, 1] < reach.hubs[hub, 0]:
                    reach.hubs[hub, 0] = cost + labels[entry, 1]
                    reach.hubs[hub, 1] = entry


@inlined
def _gather(graph: Graph, reach: Reach, count: int, best: int, found: int) -> tuple[int, int]:
    """The least cost over hubs by the first `count` nodes beside the goal, under `best`, and its entry there."""
    first, labels = graph.hubs.first, graph.hubs.labels
    mark = best & ~NO_COST
    for index in range(count):
        if mark | reach.behind[index, 3] >= best:
            continue
        node = graph.node_of[reach.behind[index, 0]]
        low, high = onward(reach.behind[index, 2])
        for part in range(2):
            begin, end = _part(first, node, low, high, part)
            for entry in range(begin, end):
                cost = reach.hubs[labels[entry, 0], 0] + reach.behind[index, 1] + labels[entry, 1]
                if cost < best:
                    best = cost
                    found = entry
    return best, found


@inlined
def _part(first: I32, node: int, low: int, high: int, part: int) -> tuple[int, int]:
    """The entries whose ways begin between two directions: part 0 from `low` on, part 1 from north on if that wraps.

    Part 1 begins with the node itself as a hub.
    """
    if part == 0:
        return first[node, low + 1], first[node, 9 if low > high else high + 2]
    return first[node, 0], first[node, high + 2 if low > high else 1]
