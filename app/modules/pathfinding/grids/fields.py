"""Flow fields: how far every cell is from the nearest goal, and which way to go there.

Uniform ground is filled along rays from goals and obstacle corners, weighted ground out of buckets.
It knows whole fields; repair.py mends them, flow.py and flee.py read them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from app.core.errors import Invalid
from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import F64, I32, I64, U8
from app.modules.pathfinding.grids.heap import pop, push
from app.modules.pathfinding.grids.subgoals import DIAGONAL, DX, DY, STRAIGHT
from app.modules.pathfinding.surfaces import F32

NONE = 255
"""In place of a direction: a goal, a blocked cell, or one that no goal is reached from."""
BLOCKED = -1.0
"""In place of a distance."""
UNIFORM: F32 = np.empty(0, np.float32)
"""The costs of ground where every cell costs 1."""

CELL_BITS = 25
"""Keys of heaps hold a distance in whole units above the cell; 38 bits of distance are 47 million steps."""
CELL_MASK = (1 << CELL_BITS) - 1
UNITS_MAX = 2.0**38 - 1.0
START_MAX = 1e6
FRACTION = 1_024
"""Start costs are rounded to this part of a unit, so that sums of steps stay exact."""

BUCKETS_MAX = 1_024
WIDTH = 3.0
"""Buckets are so many of the cheapest straight steps wide: by measurement, between 2 and 4 is best."""


class Field(NamedTuple):
    """The distances and directions to one set of goals, over a bordered grid.

    A unit is 1 / 5741 of a straight step on ground of cost 1, see subgoals.py: sums of steps on
    uniform ground are whole numbers, and so exact in float64, however long.
    """

    stride: int
    """Cells in a row, border included."""
    goals: I32
    """(goals,): cells. One that is blocked counts again once it is free."""
    starts: F64
    """(goals,): what it costs to end at each goal, in units."""
    limit: float
    """No cell farther off than this is reached, in units."""
    reach: F64
    """(cells,): distance from the nearest goal in units, BLOCKED, or inf where no goal is reached."""
    flow: U8
    """(cells,): the direction 0..7 (DX and DY of subgoals.py) of the neighbor to go to, or NONE.

    Of equally good neighbors the one of the lowest direction.
    """


def build(
    free: U8, cost: F32, stride: int, goals: I32, starts: F32 | None = None, *, within: float = math.inf
) -> Field:
    """The field of `goals`, on ground as `free` and `cost` say.

    `free` (cells,) uint8 with its blocked border; `cost` (cells,) float32, or UNIFORM, what one straight
    step costs: a step from a to b costs its length * (cost[a] + cost[b]) / 2. `goals` (goals,) int32 cells;
    `starts` (goals,) what ending at each costs, in steps, 0 where left out. Cells farther than `within`
    steps count as not reached. Uniform ground: canonical rays (Sturtevant, Rabin 2016) between convex corners
    (Uras, Koenig, Hernandez 2013). Weighted: delta-stepping (Meyer, Sanders 2003). Raises Invalid.
    """
    field = _empty(free, cost, stride, goals, starts, within)
    fill(field, free, cost)
    return field


def fill(field: Field, free: U8, cost: F32) -> None:
    """Compute the whole field anew in its own arrays; raises Invalid, and then the field reaches nothing."""
    if cost.size == 0:
        _spread(field, free)
        _direct(field)
    else:
        steps = offsets(field.stride)
        _settle_all(field, free, cost, steps)
        _direct_weighted(field, cost, steps)
    stop_at_goals(field)


def stop_at_goals(field: Field) -> None:
    """Take the direction from goals that nothing is nearer than."""
    there = field.reach[field.goals] == field.starts
    field.flow[field.goals[there]] = NONE


def distances(field: Field) -> F32:
    """All distances in steps, (rows, columns) float32 without the border; inf where blocked or not reached."""
    reach = field.reach.reshape(-1, field.stride)[1:-1, 1:-1]
    steps: F32 = np.where(reach < 0.0, math.inf, reach / STRAIGHT).astype(np.float32)
    return steps


def from_distances(distances: F32, flow: U8, free: U8, goals: I32) -> Field:
    """A field solved elsewhere, for reading only: one of batch_fields.Solved, each (rows, columns).

    `free` (cells,) and `goals` are what it was solved for. Its distances are not exact, so that repair
    refuses it (its limit is NaN); build it anew instead.
    """
    reach = np.pad(distances.astype(np.float64) * STRAIGHT, 1).ravel()
    reach[free == 0] = BLOCKED
    around = np.pad(flow, 1, constant_values=NONE)
    return Field(around.shape[1], goals, np.zeros(goals.size), math.nan, reach, around.ravel())


def _empty(free: U8, cost: F32, stride: int, goals: I32, starts: F32 | None, within: float) -> Field:
    """A field of the right size with nothing in it, its inputs checked."""
    if not (3 <= stride <= free.size // 3 and free.size % stride == 0 and free.size <= CELL_MASK):
        raise Invalid(f"{free.size!r} cells in rows of {stride!r}", hint="expected whole rows with a border")
    if cost.size not in (0, free.size):
        raise Invalid(f"{cost.size!r} costs for {free.size!r} cells", hint="expected one each, or none at all")
    outside = (goals < 0) | (goals >= free.size)
    if outside.any():
        raise Invalid(f"goal cell {int(goals[outside][0])!r} is outside the map", hint=f"expected 0 to {free.size - 1}")
    ending = np.zeros(goals.size) if starts is None else starts.astype(np.float64)
    if ending.shape != goals.shape:
        raise Invalid(f"{ending.size!r} start costs for {goals.size!r} goals", hint="expected one each")
    wrong = ~((ending >= 0.0) & (ending <= START_MAX))
    if wrong.any():
        raise Invalid(f"start cost {float(ending[wrong][0])!r}", hint=f"expected 0 to {START_MAX:g} steps")
    if not within >= 0.0:
        raise Invalid(f"a field within {within!r} steps", hint="expected 0 or more")
    # Paths are made of units that are slightly longer than true steps, by less than one part in 10**7.
    limit = within * STRAIGHT * (1.0 + 1e-7)
    units = np.rint(ending * STRAIGHT * FRACTION) / FRACTION
    return Field(stride, goals.astype(np.int32), units, limit, np.empty(free.size), np.empty(free.size, np.uint8))


def _settle_all(field: Field, free: U8, cost: F32, steps: I64) -> None:
    """Choose buckets by the costs that there are, and fill a field of weighted ground out of them; raises Invalid."""
    cheapest, dearest = _begin(field, free, cost)
    if not (cheapest > 0.0 and dearest < math.inf):
        raise Invalid(
            f"the costs of free cells go from {cheapest!r} to {dearest!r}", hint="expected finite costs above 0"
        )
    # A step leads at most sqrt 2 * the greatest cost ahead; one bucket more, because buckets begin anywhere.
    width = STRAIGHT * max(WIDTH * cheapest, dearest * math.sqrt(2.0) / (BUCKETS_MAX - 2))
    buckets = 1 << int(dearest * DIAGONAL / width + 1.0).bit_length()
    # A wave front is seldom longer than the map's rim; where it is, or goals are more, there is a next try.
    room = 4 * (field.stride + free.size // field.stride)
    order = np.argsort(field.starts, kind="stable")
    while not _settle(field, cost, steps, order, np.empty((buckets, room), np.int32), width):
        room *= 4


@inlined
def ways(reach: F64, cell: int, stride: int) -> int:
    """The steps that are open from a cell, a bit each by direction; their far ends may still be blocked.

    Free of branches on purpose, as subgoals._extend is.
    """
    north = int(reach[cell - stride] >= 0.0)
    east = int(reach[cell + 1] >= 0.0)
    south = int(reach[cell + stride] >= 0.0)
    west = int(reach[cell - 1] >= 0.0)
    straight = north | east << 1 | south << 2 | west << 3
    return straight | (north & east) << 4 | (south & east) << 5 | (south & west) << 6 | (north & west) << 7


def offsets(stride: int) -> I64:
    """What the cell number changes by, by direction, (8,) int64."""
    return np.array(DX, np.int64) + np.array(DY, np.int64) * stride


@compiled
def _spread(field: Field, free: U8) -> None:
    """Fill a field of uniform ground.

    Every shortest path can be taken such that it goes on straight after a diagonal wherever it may,
    and turns otherwise at convex corners only. So goals and corners, nearest first, send diagonal
    rays, each cell of which sends two straight ones. A ray ends where others have been as quickly;
    a diagonal one only where they were quicker, because straight ones do not go all its ways.
    """
    stride = field.stride
    reach = field.reach
    limit = field.limit
    corner = _corners(free, stride, reach)
    room = 8 * (stride + free.size // stride)  # what one cell can push at most, with plenty to spare
    heap = np.empty(field.goals.size + 8 * room, np.int64)
    size = 0
    for index in range(field.goals.size):
        goal = field.goals[index]
        if field.starts[index] < reach[goal] and field.starts[index] <= limit:
            reach[goal] = field.starts[index]
            size = push(heap, size, np.int64(reach[goal]) << CELL_BITS | goal)
    sides = np.array([-stride, 1, stride, -1, -stride])
    while size > 0:
        if size + room > heap.size:
            heap = widened(heap)
        cell = heap[0] & CELL_MASK
        stale = heap[0] >> CELL_BITS > reach[cell]
        size = pop(heap, size)
        if stale:
            continue
        for quadrant in range(4):
            left = sides[quadrant]
            right = sides[quadrant + 1]
            at = cell
            there = reach[cell]
            while True:
                for side in range(2):
                    step = right if side else left
                    to = at + step
                    beyond = there + STRAIGHT
                    while beyond < reach[to] and beyond <= limit:
                        reach[to] = beyond
                        if corner[to]:
                            size = push(heap, size, np.int64(beyond) << CELL_BITS | to)
                            break
                        to += step
                        beyond += STRAIGHT
                if reach[at + left] < 0.0 or reach[at + right] < 0.0:
                    break
                at += left + right
                there += DIAGONAL
                if there > reach[at] or there > limit:
                    break
                if corner[at]:
                    if there < reach[at]:
                        reach[at] = there
                        size = push(heap, size, np.int64(there) << CELL_BITS | at)
                    break
                reach[at] = there


@compiled
def _corners(free: U8, stride: int, reach: F64) -> U8:
    """Which cells lie at an obstacle's convex corner, (cells,) uint8; `reach` becomes inf or BLOCKED.

    Views of the shifted grid let the compiler prove that no index wraps around, and so use vectors.
    """
    corner = np.zeros(free.size, np.uint8)
    count = free.size - 2 * stride - 2
    above, here, below = free[:], free[stride:], free[2 * stride :]
    west, east, north_east = free[stride:], free[stride + 2 :], free[2:]
    north, south, south_east = above[1:], below[1:], below[2:]
    inner, marks = here[1:], corner[stride + 1 :]
    for cell in range(count):
        marks[cell] = inner[cell] & (
            (above[cell] ^ 1) & north[cell] & west[cell]
            | (north_east[cell] ^ 1) & north[cell] & east[cell]
            | (below[cell] ^ 1) & south[cell] & west[cell]
            | (south_east[cell] ^ 1) & south[cell] & east[cell]
        )
    for cell in range(free.size):
        reach[cell] = np.inf if free[cell] else BLOCKED
    return corner


@compiled
def _direct(field: Field) -> None:
    """Write the flow over uniform ground: distances are exact, so the first neighbor that explains one is it."""
    reach, stride, flow = field.reach, field.stride, field.flow
    flow[:] = NONE
    north, here, south = reach[1:], reach[stride + 1 :], reach[2 * stride + 1 :]
    north_west, west, south_west = reach, reach[stride:], reach[2 * stride :]
    north_east, east, south_east = reach[2:], reach[stride + 2 :], reach[2 * stride + 2 :]
    inner = flow[stride + 1 :]
    for cell in range(reach.size - 2 * stride - 2):
        straight = here[cell] - STRAIGHT
        slanted = here[cell] - DIAGONAL
        n, e, s, w = north[cell] >= 0.0, east[cell] >= 0.0, south[cell] >= 0.0, west[cell] >= 0.0
        way = np.uint8(NONE)
        way = np.uint8(7) if (north_west[cell] == slanted) & n & w else way
        way = np.uint8(6) if (south_west[cell] == slanted) & s & w else way
        way = np.uint8(5) if (south_east[cell] == slanted) & s & e else way
        way = np.uint8(4) if (north_east[cell] == slanted) & n & e else way
        way = np.uint8(3) if west[cell] == straight else way
        way = np.uint8(2) if south[cell] == straight else way
        way = np.uint8(1) if east[cell] == straight else way
        way = np.uint8(0) if north[cell] == straight else way
        inner[cell] = way if (straight >= 0.0) & (straight < np.inf) else np.uint8(NONE)


@compiled
def _direct_weighted(field: Field, cost: F32, steps: I64) -> None:
    """The same over weighted ground."""
    reach, stride, flow = field.reach, field.stride, field.flow
    flow[:] = NONE
    here, mine, inner = reach[stride + 1 :], cost[stride + 1 :], flow[stride + 1 :]
    count = reach.size - 2 * stride - 2
    for direction in range(7, -1, -1):
        length = 0.5 * (STRAIGHT if direction < 4 else DIAGONAL)
        ahead, theirs = reach[stride + 1 + steps[direction] :], cost[stride + 1 + steps[direction] :]
        beside = reach[stride + 1 + DX[direction] :]
        along = reach[stride + 1 + DY[direction] * stride :]
        for cell in range(count):
            there = ahead[cell] + length * (np.float64(mine[cell]) + theirs[cell])
            open = (ahead[cell] >= 0.0) & (beside[cell] >= 0.0) & (along[cell] >= 0.0)
            good = open & (there == here[cell]) & (there < np.inf)
            inner[cell] = np.uint8(direction) if good else inner[cell]


@compiled
def widened(heap: I64) -> I64:
    """The same entries with twice the room."""
    wider = np.empty(2 * heap.size, np.int64)
    for place in range(heap.size):
        wider[place] = heap[place]
    return wider


@compiled
def _begin(field: Field, free: U8, cost: F32) -> tuple[float, float]:
    """Reach nothing, and say what the cheapest and the dearest free cell cost; (1, 1) without any."""
    cheapest = np.inf
    dearest = -np.inf
    field.flow[:] = NONE
    for cell in range(free.size):
        field.reach[cell] = np.inf if free[cell] else BLOCKED
        if free[cell]:
            wrong = not cost[cell] > 0.0  # NaN is wrong as well
            cheapest = 0.0 if wrong else min(cheapest, cost[cell])
            dearest = max(dearest, 0.0 if wrong else cost[cell])
    return (cheapest, dearest) if dearest >= 0.0 or cheapest == 0.0 else (1.0, 1.0)


@compiled
def _settle(field: Field, cost: F32, steps: I64, order: I64, waiting: I32, width: float) -> bool:
    """Fill a field of weighted ground out of buckets `width` units wide, or say that they are too small.

    `waiting` (buckets, room): cells by distance, in a ring of a power of two. A cell that is
    improved waits again; the old entry finds it nearer than its bucket, or does the work for both.
    `order` (goals,): the goals by what they cost to start with; `steps`: offsets.
    """
    reach, limit = field.reach, field.limit
    ring = waiting.shape[0] - 1
    count = np.zeros(ring + 1, np.int64)
    for cell in range(reach.size):
        reach[cell] = np.inf if reach[cell] >= 0.0 else BLOCKED
    started = 0
    per_unit = 1.0 / width
    round = 0
    idle = 0
    while idle <= ring or started < order.size:
        if idle > ring:
            round = max(round, int(field.starts[order[started]] * per_unit))
        now = round & ring
        while started < order.size and field.starts[order[started]] * per_unit < round + 1:
            goal = field.goals[order[started]]
            start = field.starts[order[started]]
            started += 1
            if start < reach[goal] and start <= limit:
                if count[now] >= waiting.shape[1]:
                    return False
                reach[goal] = start
                waiting[now, count[now]] = goal
                count[now] += 1
        idle = idle + 1 if count[now] == 0 else 0
        done = 0
        while done < count[now]:
            cell = int(waiting[now, done])
            done += 1
            here = reach[cell]
            if here * per_unit < round:
                continue
            mine = np.float64(cost[cell])
            open = ways(reach, cell, field.stride)
            for direction in range(8):
                to = cell + steps[direction]
                there = here + (0.5 * STRAIGHT if direction < 4 else 0.5 * DIAGONAL) * (mine + cost[to])
                if ((open >> direction & 1) != 0) & (there < reach[to]) & (there <= limit):
                    reach[to] = there
                    bucket = np.int64(there * per_unit) & ring
                    waiting[bucket, count[bucket]] = to
                    count[bucket] += 1
                    if count[bucket] >= waiting.shape[1]:
                        return False
        count[now] = 0
        round += 1
    return True
