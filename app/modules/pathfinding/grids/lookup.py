"""Shortest paths by hub labels: the best hub that start and goal have in common, and the ways to it.

It knows the arrays of graph.py and answers one query; it does not know how labels are computed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import I32, I64, Graph
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
    """(room, 4): nodes joined to the start, their costs, compass directions, and costs to the goal at least."""
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
    steps = 1
    forth = int(reach.hubs[graph.hubs.labels[entry, 0], 1])
    while True:
        chain[steps, 0] = graph.nodes[ways[entry, 0], 0]
        chain[steps, 1] = graph.nodes[ways[entry, 0], 1]
        steps += 1
        if ways[entry, 1] == entry:
            break
        entry = ways[entry, 1]
    after = steps
    while ways[forth, 1] != forth:
        after += 1
        forth = ways[forth, 1]
    forth = int(reach.hubs[graph.hubs.labels[entry, 0], 1])
    for place in range(after - 1, steps - 1, -1):
        chain[place, 0] = graph.nodes[ways[forth, 0], 0]
        chain[place, 1] = graph.nodes[ways[forth, 0], 1]
        forth = ways[forth, 1]
    chain[after, 0] = start % graph.stride
    chain[after, 1] = start // graph.stride
    return after + 1


@inlined
def _join(graph: Graph, cell: int, target: int, near: I32) -> int:
    """What subgoals.connect gives, by Hubs.links; the number written, the one nearest to the target first.

    Or the cell itself at no cost where it is a subgoal.
    """
    stride, clear, node_of, links = graph.stride, graph.clear, graph.node_of, graph.hubs.links
    count = 0
    if node_of[cell] >= 0:
        count = _add(graph, near, count, node_of[cell], 0, ANYWHERE, target)
    else:
        for quadrant in range(4):
            steps = clear[cell, quadrant]
            if steps > 0:
                node = node_of[cell + steps * (DX[quadrant] + DY[quadrant] * stride)]
                count = _add(graph, near, count, node, steps * STRAIGHT, 2 * quadrant, target)
            step = DX[4 + quadrant] + DY[4 + quadrant] * stride
            steps = clear[cell, 4 + quadrant]
            if steps > 0:
                node = node_of[cell + steps * step]
                count = _add(graph, near, count, node, steps * DIAGONAL, 2 * quadrant + 1, target)
            for turn in range(2):
                side = (quadrant + turn) & 3
                across = DX[side] + DY[side] * stride
                at = cell
                taken = 0
                while True:
                    steps = links[at, 2 * quadrant + turn]
                    if steps == 0:
                        break
                    taken += steps
                    at += steps * step
                    seen = clear[at, side]
                    cost = taken * DIAGONAL + seen * STRAIGHT
                    count = _add(graph, near, count, node_of[at + seen * across], cost, 2 * quadrant + 1, target)
    return count


@inlined
def _add(graph: Graph, near: I32, count: int, node: int, cost: int, direction: int, target: int) -> int:
    """Write one node to `near`, in the first row if it is the most promising; the new count."""
    dx = abs(graph.nodes[node, 0] - target % graph.stride)
    dy = abs(graph.nodes[node, 1] - target // graph.stride)
    least = cost + octile(dx, dy)
    place = count
    if count > 0 and least < near[0, 3]:
        for column in range(4):
            near[count, column] = near[0, column]
        place = 0
    near[place, 0] = node
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
        node = reach.ahead[index, 0]
        cost = mark | reach.ahead[index, 1]
        low, high = onward(reach.ahead[index, 2])
        for part in range(2):
            begin = first[node, low + 1] if part == 0 else first[node, 0]
            end = first[node, 9] if part == 0 and low > high else first[node, high + 2 if part == 0 or low > high else 1]
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
        node = reach.behind[index, 0]
        low, high = onward(reach.behind[index, 2])
        for part in range(2):
            begin = first[node, low + 1] if part == 0 else first[node, 0]
            end = first[node, 9] if part == 0 and low > high else first[node, high + 2 if part == 0 or low > high else 1]
            for entry in range(begin, end):
                cost = reach.hubs[labels[entry, 0], 0] + reach.behind[index, 1] + labels[entry, 1]
                if cost < best:
                    best = cost
                    found = entry
    return best, found
