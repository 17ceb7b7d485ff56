"""Shortest paths over a subgoal graph: A* with landmark lower bounds (Goldberg, Harrelson 2005).

Where the graph has hub labels, lookup.py stands in for the search. It knows the arrays of graph.py
and answers batches; it does not know messages, maps by name or deadlines.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import F64, I16, I32, I64, U8, Answers, Graph
from app.modules.pathfinding.grids.heap import NODE_BITS, NODE_MASK, pop, push
from app.modules.pathfinding.grids.labels import nearest_cell
from app.modules.pathfinding.grids.lookup import Reach, look_up, new_reach
from app.modules.pathfinding.grids.octile import connect_or_be, octile, onward, sees
from app.modules.pathfinding.grids.subgoals import FAR, LANDMARKS, STRAIGHT, resized

SQRT_2 = 2.0**0.5

FOUND, PARTIAL, UNREACHABLE, INVALID, OVER_BUDGET = 0, 1, 2, 3, 4
"""Places in messages.STATUSES."""

ROOT = 16 << NODE_BITS
"""Marks a subgoal that was reached from the start, not from another one."""

# Columns of Scratch.trail.
SO_FAR, TO_GOAL, LAST_LEG, PARENT = 0, 1, 2, 3


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
    reach: Reach


@compiled
def find_paths(
    graph: Graph, starts: I16, goals: I16, max_cost: float, partial: bool, expansions_max: int
) -> tuple[U8, F64, I32, I32, I16]:
    """Shortest paths from `starts` to `goals`, each (n, 2) int16 of x, y; the fields of Answers.

    A path longer than `max_cost` is over budget, and so is one whose search expands more than
    `expansions_max` nodes; hub labels take no search. With `partial`, a goal out of reach gives way to the
    nearest cell in reach.
    """
    pairs = starts.shape[0]
    status = np.empty(pairs, np.uint8)
    cost = np.full(pairs, np.nan, np.float64)
    expansions = np.zeros(pairs, np.int32)
    offsets = np.zeros(pairs + 1, np.int32)
    waypoints = np.empty((32 * pairs + 64, 2), np.int16)
    count = graph.nodes.shape[0]
    room = 8 * (graph.stride + graph.labels.size // graph.stride)
    searched = 0 if graph.hubs.first.shape[0] > 0 else count
    scratch = Scratch(
        np.zeros((searched, 4), np.int64),
        np.empty(graph.edges.shape[0] + room, np.int64),
        np.empty((room, 3), np.int32),
        np.empty((count + 2, 2), np.int32),
        new_reach(graph),
    )
    # Integer costs differ from true ones by less than one part in 10**7; the exact test comes after.
    limit = int(min(max_cost, 2.0**26) * STRAIGHT * (1.0 + 1e-7)) + 1
    total = 0
    for query in range(pairs):
        code, start, goal = _settle(graph, starts[query], goals[query], partial)
        steps = 0
        if code <= PARTIAL:
            if sees(start, goal, graph.stride, graph.clear):
                steps = _join_ends(graph, scratch.chain, start, goal)
            elif graph.hubs.first.shape[0] > 0:
                steps = look_up(graph, scratch.reach, scratch.chain, start, goal, pairs - query)
            else:
                steps, expansions[query] = _chain(graph, scratch, start, goal, query + 1, limit, expansions_max)
            if steps == 0:
                code = OVER_BUDGET
        if steps > 0:
            if total + 2 * steps > waypoints.shape[0]:
                waypoints = resized(waypoints, total, 2 * (total + 2 * steps))
            straight, slanted, after = _write(scratch.chain, steps, waypoints, total)
            if straight + slanted * SQRT_2 > max_cost:
                code = OVER_BUDGET
            else:
                cost[query] = straight + slanted * SQRT_2
                total = after
        status[query] = code
        offsets[query + 1] = total
    return status, cost, expansions, offsets, resized(waypoints, total, total)


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
def _join_ends(graph: Graph, chain: I32, start: int, goal: int) -> int:
    """Write goal and start to `chain`; how many they are."""
    chain[0, 0] = goal % graph.stride
    chain[0, 1] = goal // graph.stride
    chain[1, 0] = start % graph.stride
    chain[1, 1] = start // graph.stride
    return 2


@inlined
def _chain(
    graph: Graph, scratch: Scratch, start: int, goal: int, query: int, limit: int, expansions_max: int
) -> tuple[int, int]:
    """Write goal, subgoals and start to scratch.chain; how many (0: over budget), and nodes expanded."""
    chain = scratch.chain
    node, expanded = _search(graph, scratch, start, goal, query, limit, expansions_max)
    if node < 0:
        return 0, expanded
    chain[0, 0] = goal % graph.stride
    chain[0, 1] = goal // graph.stride
    steps = 1
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
    for index in range(connect_or_be(start, graph.stride, graph.clear, graph.node_of, near)):
        node = near[index, 0]
        trail[node, PARENT] = mark | ROOT | near[index, 2] << NODE_BITS
        trail[node, SO_FAR] = near[index, 1]
        trail[node, TO_GOAL] = _lower_bound(nodes, node, away)
        size = push(heap, size, ((trail[node, SO_FAR] + trail[node, TO_GOAL]) << NODE_BITS) | node)
    best = limit + 1
    last = -1
    expanded = 0
    while size > 0:
        key = heap[0]
        if key >> NODE_BITS >= best:
            break
        if expanded == expansions_max:
            return -1, expanded
        size = pop(heap, size)
        node = key & NODE_MASK
        here = trail[node, SO_FAR]
        if key >> NODE_BITS > here + trail[node, TO_GOAL]:
            continue
        expanded += 1
        if trail[node, LAST_LEG] >> 32 == query and here + (trail[node, LAST_LEG] & 0xFFFFFFFF) < best:
            best = here + (trail[node, LAST_LEG] & 0xFFFFFFFF)
            last = node
        low, high = onward(trail[node, PARENT] >> NODE_BITS & 15)
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
                    size = push(heap, size, ((there + trail[other, TO_GOAL]) << NODE_BITS) | other)
            if low <= high:
                break
    return last, expanded


@inlined
def _mark_goal(graph: Graph, trail: I64, near: I32, goal: int, mark: int, away: I64) -> None:
    """Write the last legs, and to `away` the goal's column, row and distances from the landmarks."""
    away[:] = FAR
    for index in range(connect_or_be(goal, graph.stride, graph.clear, graph.node_of, near)):
        node = near[index, 0]
        trail[node, LAST_LEG] = mark | near[index, 1]
        for column in range(2, away.size):
            away[column] = min(away[column], graph.nodes[node, column] + near[index, 1])
    away[0] = goal % graph.stride
    away[1] = goal // graph.stride


@inlined
def _lower_bound(nodes: I32, node: int, away: I64) -> int:
    """What the way from a node to the goal costs at least: octile distance or a landmark's, the greater."""
    least = octile(abs(nodes[node, 0] - away[0]), abs(nodes[node, 1] - away[1]))
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
