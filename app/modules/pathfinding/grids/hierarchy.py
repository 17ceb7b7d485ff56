"""Paths through gates: out of the start's box, from gate to gate, into the goal's box, and back to cells.

It knows the arrays of overlay.Weighted and one search at a time; what a path's cost is worth is said elsewhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import F64, I32, I64, U8, U16
from app.modules.pathfinding.grids.heap import NODE_MASK, pop, push
from app.modules.pathfinding.grids.overlay import (
    DX,
    DY,
    FAR,
    LANDMARKS,
    LENGTH,
    OCTILE,
    SIDE,
    UNIT,
    Weighted,
    boxes_of,
    copy_box,
    downhill,
    in_box,
    measure_box,
)  # fmt: skip

# Columns of Scratch.trail and Scratch.hops, then of Scratch.back, then places in Scratch.counts.
SO_FAR, TO_GOAL, LAST_LEG = 0, 1, 2
SEEN, FROM, BY, ENDING = 0, 1, 2, 3
QUERY, EXPANDED = 0, 1


class Scratch(NamedTuple):
    """What searches write to, for one thread at a time and any maps of one size."""

    counts: I64
    """(2,): number of the last search, and what the present query has expanded."""
    trail: F64
    """(cells, 2): cost so far and least cost still to come."""
    marks: I64
    """(cells,): number of the search << 32 | how it came here: a compass direction, or 8 + a link."""
    hops: F64
    """(nodes, 3): the same costs for gates, and that of the last leg."""
    back: I32
    """(nodes, 4): search, gate before (-1: the start), edge from there (-1 - a link), search of the last leg."""
    heap: I64
    path: I32
    """The cells of a path."""
    route: I32
    """(nodes,): the gates of a path, backwards."""
    moves: U8
    """(2, AREA): the start's box and the goal's copied out, see overlay.copy_box."""
    ground: F64
    """(2, AREA)"""
    leaving: F64
    """(2, AREA): costs from the start and to the goal inside those boxes."""


@inlined
def key_of(value: float, node: int) -> int:
    """A heap key: the bits of a positive float order as it does; those of the node take the place of the last."""
    return int(np.float64(value).view(np.int64)) & ~NODE_MASK | node


@inlined
def value_of(key: int) -> float:
    """The value of a key, rounded down."""
    return float(np.int64(key & ~NODE_MASK).view(np.float64))


@inlined
def least_cost(away: U16, stride: int, octile: float, unit: float, cell: int, goal: int) -> float:
    """What the way between two cells costs at least, by landmarks where `unit` > 0.

    `octile` is the least cost of a step. Landmark distances may be off by a unit either way.
    """
    # Rows by multiplication, exact for less than 2**24 cells: a division takes ten times as long.
    row = int((cell + 0.5) * (1.0 / stride))
    goal_row = int((goal + 0.5) * (1.0 / stride))
    dy = abs(row - goal_row)
    dx = abs(cell - row * stride - goal + goal_row * stride)
    least: float = (max(dx, dy) + (LENGTH[4] - 1.0) * min(dx, dy)) * octile
    if unit > 0.0:
        units = np.int32(0)
        for column in range(LANDMARKS):
            apart = np.int32(away[cell, column]) - np.int32(away[goal, column])
            units = max(units, max(apart, -apart))
        least = max(least, (units - 1) * unit)
    return least


@inlined
def box_of(cell: int, stride: int, rows: int) -> int:
    """The box that a cell lies in; of a cell on a line the one to the right and below, if there is one."""
    across, down = boxes_of(stride, rows)
    return min(cell // stride // SIDE, down - 1) * across + min(cell % stride // SIDE, across - 1)


@compiled
def through_gates(
    weighted: Weighted, scratch: Scratch, start: int, goal: int, max_cost: float, expansions_max: int
) -> tuple[float, int]:
    """A* over gates: the least cost of a path through them, and how many cells it has.

    The cells are left in scratch.path; the cost is FAR where there is no path within max_cost and expansions_max.
    """
    stride, free, cells, gates = (
        weighted.stride, weighted.free, weighted.cells, weighted.gates,
    )  # fmt: skip
    joins, terms, spans, edges, lengths = (
        weighted.joins, weighted.terms, weighted.spans, weighted.edges, weighted.lengths,
    )  # fmt: skip
    link_first, links, link_costs, away = weighted.link_first, weighted.links, weighted.link_costs, weighted.away
    octile, unit = weighted.state[OCTILE], weighted.state[UNIT]
    hops, back, heap = scratch.hops, scratch.back, scratch.heap
    query = scratch.counts[QUERY] + 1
    scratch.counts[QUERY] = query
    expanded = scratch.counts[EXPANDED]
    rows = free.size // stride
    best = FAR
    last = -1
    box_there = box_of(goal, stride, rows)
    box = box_of(start, stride, rows)
    place = np.empty(1, np.int32)
    corner_there = copy_box(box_there, stride, free, weighted.cost, scratch.moves[1], scratch.ground[1])
    place[0] = in_box(goal, corner_there, stride)
    measure_box(scratch.moves[1], scratch.ground[1], place, 1, scratch.leaving[1])
    corner = copy_box(box, stride, free, weighted.cost, scratch.moves[0], scratch.ground[0])
    place[0] = in_box(start, corner, stride)
    measure_box(scratch.moves[0], scratch.ground[0], place, 1, scratch.leaving[0])
    for term in range(weighted.term_first[box_there], weighted.term_first[box_there + 1]):
        node = terms[term]
        distance = scratch.leaving[1, in_box(int(cells[node]), corner_there, stride)] if gates[node] != 0 else FAR
        if distance < FAR:
            back[node, ENDING] = query
            hops[node, LAST_LEG] = distance
    if box == box_there:
        best = scratch.leaving[0, in_box(goal, corner, stride)]
    size = 0
    for term in range(weighted.term_first[box], weighted.term_first[box + 1]):
        node = terms[term]
        distance = scratch.leaving[0, in_box(int(cells[node]), corner, stride)] if gates[node] != 0 else FAR
        if distance < FAR:
            back[node, SEEN] = query
            back[node, FROM] = -1
            hops[node, SO_FAR] = distance
            hops[node, TO_GOAL] = least_cost(away, stride, octile, unit, cells[node], goal)
            size = push(heap, size, key_of(distance + hops[node, TO_GOAL], node))
    while size > 0:
        key = heap[0]
        if value_of(key) >= best:
            break
        size = pop(heap, size)
        node = key & NODE_MASK
        here = hops[node, SO_FAR]
        if key_of(here + hops[node, TO_GOAL], node) != key:
            continue
        if expanded >= expansions_max or size + 2_048 > heap.size:
            break
        expanded += 1
        if back[node, ENDING] == query and here + hops[node, LAST_LEG] < best:
            best = here + hops[node, LAST_LEG]
            last = node
        # The edges of up to four boxes, and then the links.
        for part in range(5):
            if part < 4:
                term = joins[node, part]
                begin = spans[term, 0] if term >= 0 else 0
                end = spans[term, 1] if term >= 0 else 0
            else:
                begin = link_first[node]
                end = link_first[node + 1]
            for edge in range(begin, end):
                if part < 4:
                    other = edges[edge]
                    there = here + lengths[edge]
                else:
                    other = links[edge]
                    there = here + link_costs[edge] if free[cells[other]] != 0 else FAR
                if back[other, SEEN] != query:
                    if there >= FAR:
                        continue
                    hops[other, TO_GOAL] = least_cost(away, stride, octile, unit, cells[other], goal)
                elif there >= hops[other, SO_FAR]:
                    continue
                hops[other, SO_FAR] = there
                back[other, SEEN] = query
                back[other, FROM] = node
                back[other, BY] = edge if part < 4 else -1 - edge
                least = there + hops[other, TO_GOAL]
                if least < best and least <= max_cost:
                    size = push(heap, size, key_of(least, other))
    scratch.counts[EXPANDED] = expanded
    if best >= FAR or best > max_cost:
        return FAR, 0
    count = _unfold(
        stride, cells, weighted.steps, scratch.path, scratch.route, back, scratch.moves, scratch.ground,
        scratch.leaving, start, goal, corner,
        corner_there, last,
    )  # fmt: skip
    return best, count


@compiled
def _unfold(
    stride: int, cells: I32, steps: I64, path: I32, route: I32, back: I32,
    moves: U8, ground: F64, leaving: F64, start: int, goal: int,
    corner_here: int, corner_there: int, last: int,
) -> int:  # fmt: skip
    """Write the cells of the path whose last gate is `last` (-1: all in one box); how many."""
    count = 0
    node = last
    while node >= 0:
        route[count] = node
        count += 1
        node = back[node, FROM]
    first = cells[route[count - 1]] if count > 0 else goal
    total = 0
    cell = first
    while cell != start:
        path[total] = cell
        total += 1
        direction, _ = downhill(moves[0], ground[0], leaving[0], in_box(cell, corner_here, stride), 1, 0)
        cell += DX[direction] + DY[direction] * stride
    path[total] = start
    total += 1
    for low in range(total // 2):
        path[low], path[total - 1 - low] = path[total - 1 - low], path[low]
    cell = first
    for index in range(count - 2, -1, -1):
        edge = back[route[index], BY]
        if edge < 0:
            cell = cells[route[index]]
            path[total] = cell
            total += 1
            continue
        target = cells[route[index]]
        while cell != target:
            word = steps[edge]
            edge += 1
            for step in range(word & 31):
                direction = word >> (5 + 3 * step) & 7
                cell += DX[direction] + DY[direction] * stride
                path[total] = cell
                total += 1
    while cell != goal:
        direction, _ = downhill(moves[1], ground[1], leaving[1], in_box(cell, corner_there, stride), 1, 0)
        cell += DX[direction] + DY[direction] * stride
        path[total] = cell
        total += 1
    return total
