"""Cheapest paths over weighted ground: through gates, then proved or bettered cell by cell.

A path through gates costs a few percent too much and comes quickly; a lower bound from landmarks says how much
at most (differential heuristics, Sturtevant and others 2009). Where that is not good enough, A* over cells
begins with the path's cost in hand and ends as soon as the answer is proved. Near goals are searched cell
by cell at once. It knows the arrays of overlay.Weighted; it does not know messages or deadlines.
"""

from __future__ import annotations

import numpy as np

from app.core.errors import Invalid
from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import F32, F64, I16, I32, I64, U8, Answers
from app.modules.pathfinding.grids.heap import NODE_MASK, pop, push
from app.modules.pathfinding.grids.hierarchy import (
    EXPANDED,
    QUERY,
    SO_FAR,
    TO_GOAL,
    Scratch,
    key_of,
    least_cost,
    through_gates,
    value_of,
)  # fmt: skip
from app.modules.pathfinding.grids.overlay import AREA, DX, DY, FAR, LENGTH, OCTILE, STALE, UNIT, Weighted
from app.modules.pathfinding.grids.search import FOUND, INVALID, OVER_BUDGET, PARTIAL, UNREACHABLE
from app.modules.pathfinding.grids.subgoals import resized

EXACT, BOUNDED, HIERARCHICAL = 0, 1, 2
"""Rungs."""
WEIGHT_MAX = 3.0
NEAR = 40
"""A goal at most so many cells away in x and y is searched cell by cell first."""
NEAR_EXPANSIONS = 600
"""That search gives way to the gates after so many cells."""


@compiled
def _walk(
    weighted: Weighted, scratch: Scratch, start: int, goal: int, known: float, weight: float,
    max_cost: float, expansions_max: int,
) -> tuple[float, float]:  # fmt: skip
    """A* over cells, with a path of cost `known` in hand: the least cost found, and a lower bound of any.

    It ends when the one is at most `weight` times the other; the bound is -1 when it ran over budget.
    """
    stride, free, cost, node_of, away = (
        weighted.stride, weighted.free, weighted.cost, weighted.node_of, weighted.away,
    )  # fmt: skip
    cells, link_first, links, link_costs = weighted.cells, weighted.link_first, weighted.links, weighted.link_costs
    octile = weighted.state[OCTILE]
    unit = weighted.state[UNIT] if weighted.state[STALE] == 0.0 else 0.0
    trail, marks, heap = scratch.trail, scratch.marks, scratch.heap
    query = scratch.counts[QUERY] + 1
    scratch.counts[QUERY] = query
    expanded = scratch.counts[EXPANDED]
    best = known if start != goal else 0.0
    bound = -1.0
    trail[start, SO_FAR] = 0.0
    trail[start, TO_GOAL] = least_cost(away, stride, octile, unit, start, goal)
    marks[start] = query << 32
    size = push(heap, 0, key_of(trail[start, TO_GOAL], start))
    while size > 0:
        key = heap[0]
        if best <= weight * value_of(key):
            bound = value_of(key)
            break
        size = pop(heap, size)
        cell = key & NODE_MASK
        here = trail[cell, SO_FAR]
        if key_of(here + trail[cell, TO_GOAL], cell) != key:
            continue
        if expanded >= expansions_max or size + 2_048 > heap.size:
            size = -1
            break
        expanded += 1
        node = node_of[cell] if links.size > 0 else -1
        begin = link_first[node] if node >= 0 else 0
        end = link_first[node + 1] if node >= 0 else 0
        # Eight steps, and then the links.
        for way in range(8 + end - begin):
            if way < 8:
                wide, tall = DX[way], DY[way] * stride
                other = cell + wide + tall
                if free[other] & free[cell + wide] & free[cell + tall] == 0:
                    continue
                there = here + 0.5 * LENGTH[way] * (np.float64(cost[cell]) + cost[other])
                how = way
            else:
                other = cells[links[begin + way - 8]]
                if free[other] == 0:
                    continue
                there = here + link_costs[begin + way - 8]
                how = begin + way
            if marks[other] >> 32 != query:
                trail[other, TO_GOAL] = least_cost(away, stride, octile, unit, other, goal)
            elif there >= trail[other, SO_FAR]:
                continue
            trail[other, SO_FAR] = there
            marks[other] = query << 32 | how
            least = there + trail[other, TO_GOAL]
            if other == goal:
                best = min(best, there)
            elif least < best and least <= max_cost:
                size = push(heap, size, key_of(least, other))
    scratch.counts[EXPANDED] = expanded
    if size == 0:
        bound = best
    return best, bound


@compiled
def _trace(stride: int, cells: I32, link_first: I32, marks: I64, path: I32, start: int, goal: int) -> int:
    """Write the cells of the path that _walk has found to `path`; how many."""
    total = 0
    cell = goal
    while cell != start:
        path[total] = cell
        total += 1
        how = marks[cell] & 0xFFFFFFFF
        if how < 8:
            cell -= DX[how] + DY[how] * stride
        else:
            cell = cells[_owner(link_first, how - 8)]
    path[total] = start
    total += 1
    for low in range(total // 2):
        path[low], path[total - 1 - low] = path[total - 1 - low], path[low]
    return total


@inlined
def _owner(link_first: I32, link: int) -> int:
    """The node that a link leads from."""
    low = 0
    high = link_first.size - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if link_first[middle] <= link:
            low = middle
        else:
            high = middle
    return low


@compiled
def _write(weighted: Weighted, path: I32, count: int, waypoints: I16, total: int) -> tuple[float, int]:
    """Write the turns of a path of cells from row `total` on; its cost, and the row after the last."""
    stride, free, cost, node_of = weighted.stride, weighted.free, weighted.cost, weighted.node_of
    cells, link_first, links, link_costs = weighted.cells, weighted.link_first, weighted.links, weighted.link_costs
    spent = 0.0
    straight_on = 0
    for index in range(count):
        cell = path[index]
        if index > 0:
            before = path[index - 1]
            wide = cell % stride - before % stride
            tall = cell // stride - before // stride
            least = FAR
            if max(abs(wide), abs(tall)) == 1 and free[before + wide] & free[before + tall * stride] != 0:
                length = LENGTH[4] if wide != 0 and tall != 0 else LENGTH[0]
                least = 0.5 * length * (np.float64(cost[before]) + cost[cell])
            ahead = cell - before
            node = node_of[before] if links.size > 0 else -1
            if node >= 0:
                for link in range(link_first[node], link_first[node + 1]):
                    if cells[links[link]] == cell and link_costs[link] < least:
                        least = link_costs[link]
                        ahead = 0
            spent += least
            if ahead != straight_on or ahead == 0:
                straight_on = ahead
            else:
                total -= 1
        waypoints[total, 0] = cell % stride - 1
        waypoints[total, 1] = cell // stride - 1
        total += 1
    return spent, total


@inlined
def _settle(weighted: Weighted, start: I16, goal: I16, partial: bool) -> tuple[int, int, int]:
    """What the labels say of a query, and its start and goal as cells."""
    stride = weighted.stride
    width = stride - 2
    height = weighted.free.size // stride - 2
    outside = min(min(start[0], start[1]), min(goal[0], goal[1])) < 0
    if outside or max(start[0], goal[0]) >= width or max(start[1], goal[1]) >= height:
        return INVALID, 0, 0
    here = (start[1] + 1) * stride + start[0] + 1
    there = (goal[1] + 1) * stride + goal[0] + 1
    region = weighted.labels[here]
    if region == 0:
        return INVALID, 0, 0
    if leads(weighted, region, weighted.labels[there]):
        return FOUND, here, there
    if not partial:
        return UNREACHABLE, 0, 0
    return PARTIAL, here, _nearest_in_reach(weighted, int(goal[0]) + 1, int(goal[1]) + 1, region)


@inlined
def leads(weighted: Weighted, region: int, other: int) -> bool:
    """Whether one can get from a region to another one (0: a blocked cell)."""
    if region == other:
        return True
    here = weighted.port_of[region]
    there = weighted.port_of[other]
    return bool(here >= 0 and there >= 0 and weighted.reach[here, there] != 0)


@compiled
def _nearest_in_reach(weighted: Weighted, column: int, row: int, region: int) -> int:
    """The cell nearest to (column, row) in a straight line that can be reached from a region.

    Of equally near ones the first by row, then column.
    """
    stride = weighted.stride
    rows = weighted.free.size // stride
    best = 2**62
    found = 0
    for ring in range(stride + rows):
        if ring * ring > best:
            break
        for y in range(max(row - ring, 0), min(row + ring, rows - 1) + 1):
            step = 1 if abs(y - row) == ring else 2 * ring
            for x in range(column - ring, column + ring + 1, max(step, 1)):
                if x < 0 or x >= stride:
                    continue
                cell = y * stride + x
                away = (x - column) ** 2 + (y - row) ** 2
                if (away < best or (away == best and cell < found)) and leads(weighted, region, weighted.labels[cell]):
                    best = away
                    found = cell
    return found


@compiled
def _find(
    weighted: Weighted, scratch: Scratch, starts: I16, goals: I16,
    max_cost: float, partial: bool, weight: float, expansions_max: int,
) -> tuple[U8, F64, I32, I32, I16, U8, F32]:  # fmt: skip
    """find_paths as arrays: the fields of Answers, then rungs and bounds; `weight` 1 asks for exact paths."""
    pairs = starts.shape[0]
    status = np.empty(pairs, np.uint8)
    cost = np.full(pairs, np.nan, np.float64)
    expansions = np.zeros(pairs, np.int32)
    offsets = np.zeros(pairs + 1, np.int32)
    waypoints = np.empty((32 * pairs + 64, 2), np.int16)
    rungs = np.zeros(pairs, np.uint8)
    bounds = np.ones(pairs, np.float32)
    total = 0
    for query in range(pairs):
        code, start, goal = _settle(weighted, starts[query], goals[query], partial)
        count = 0
        if code <= PARTIAL:
            scratch.counts[EXPANDED] = 0
            count, rung, bound = _climb(weighted, scratch, start, goal, weight, max_cost * (1.0 + 1e-9), expansions_max)
            expansions[query] = scratch.counts[EXPANDED]
            rungs[query] = rung
            if count == 0:
                code = OVER_BUDGET
        if count > 0:
            if total + count > waypoints.shape[0]:
                waypoints = resized(waypoints, total, 2 * (total + count))
            spent, after = _write(weighted, scratch.path, count, waypoints, total)
            if spent > max_cost:
                code = OVER_BUDGET
            else:
                cost[query] = spent
                total = after
                bounds[query] = bound
        status[query] = code
        offsets[query + 1] = total
    return status, cost, expansions, offsets, resized(waypoints, total, total), rungs, bounds


@compiled
def _climb(
    weighted: Weighted, scratch: Scratch, start: int, goal: int, weight: float, max_cost: float, expansions_max: int
) -> tuple[int, int, float]:
    """Write the path of one query to scratch.path: how many cells (0: over budget), the rung and the bound."""
    stride, cells, link_first = weighted.stride, weighted.cells, weighted.link_first
    marks, path = scratch.marks, scratch.path
    known = FAR
    count = 0
    near = max(abs(start % stride - goal % stride), abs(start // stride - goal // stride)) <= NEAR
    # Landmark distances that a change has made untrue guide through gates all the same; they just prove nothing.
    unit = weighted.state[UNIT] if weighted.state[STALE] == 0.0 else 0.0
    for attempt in range(2):
        exact = weight == 1.0 or (near and attempt == 0)
        if attempt == 0 and not near:
            continue
        if attempt == 1 and weight > 1.0:
            known, count = through_gates(weighted, scratch, start, goal, max_cost, expansions_max)
            least = least_cost(weighted.away, stride, weighted.state[OCTILE], unit, start, goal)
            if count > 0 and (known <= weight * least or weight == np.inf):
                bound = max(known / least, 1.0) if unit > 0.0 and least > 0.0 else np.inf
                return count, BOUNDED if weight < np.inf else HIERARCHICAL, bound
        limit = min(NEAR_EXPANSIONS, expansions_max) if attempt == 0 else expansions_max
        best, least = _walk(weighted, scratch, start, goal, known, 1.0 if exact else weight, max_cost, limit)
        if least >= 0.0:
            if best < known:
                count = _trace(stride, cells, link_first, marks, path, start, goal)
            return count, EXACT if exact else BOUNDED, 1.0 if exact or least == 0.0 else max(best / least, 1.0)
    return 0, EXACT, 1.0


def scratch_for(weighted: Weighted) -> Scratch:
    """Room for the searches of one thread, to be used again; about 60 bytes a cell where all of it is touched."""
    cells, nodes = weighted.free.size, weighted.cells.size
    return Scratch(
        counts=np.zeros(2, np.int64), trail=np.zeros((cells, 2)), marks=np.zeros(cells, np.int64),
        hops=np.zeros((nodes, 3)), back=np.zeros((nodes, 4), np.int32), heap=np.empty(2 * cells + 8_192, np.int64),
        path=np.empty(4 * cells + 4_096, np.int32), route=np.empty(nodes + 1, np.int32),
        moves=np.empty((2, AREA), np.uint8), ground=np.empty((2, AREA)), leaving=np.empty((2, AREA)),
    )  # fmt: skip


def find_paths(
    weighted: Weighted, starts: I16, goals: I16, *, max_cost: float, partial: bool, weight: float,
    expansions_max: int, exact: bool, scratch: Scratch | None = None,
) -> tuple[Answers, U8, F32]:  # fmt: skip
    """Cheap paths from `starts` to `goals`, each (n, 2) int16 of x, y; the answers, their rungs and their bounds.

    A path costs at most `weight` (1 .. 3) times the least; math.inf asks for whatever comes quickest, and `exact`
    for a least one. A bound (n,) float32 is the factor that is proved, math.inf where landmarks are out of
    date. A path over `max_cost` is over budget, and so is one whose search expands more than `expansions_max`
    cells and gates. With `partial`, a goal out of reach gives way to the nearest cell in reach. `scratch` is one
    thread's own. Raises Invalid.
    """
    if not (1.0 <= weight <= WEIGHT_MAX or weight == np.inf):
        raise Invalid(f"the weight is {weight!r}", hint=f"give 1 .. {WEIGHT_MAX:g}, or infinity for no bound")
    if scratch is None or scratch.marks.size != weighted.free.size or scratch.back.shape[0] != weighted.cells.size:
        scratch = scratch_for(weighted)
    found = _find(weighted, scratch, starts, goals, max_cost, partial, 1.0 if exact else weight, expansions_max)
    return Answers(*found[:5]), found[5], found[6]
