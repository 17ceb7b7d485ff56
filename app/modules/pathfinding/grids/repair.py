"""Mending a flow field after the ground has changed: only the cells whose way that touches.

It knows one field and the rectangle that changed; the result equals a field built anew.
"""

from __future__ import annotations

import math

import numpy as np

from app.core.errors import Invalid
from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.fields import (
    BLOCKED,
    CELL_BITS,
    CELL_MASK,
    NONE,
    UNITS_MAX,
    Field,
    fill,
    offsets,
    stop_at_goals,
    ways,
    widened,
)
from app.modules.pathfinding.grids.graph import F64, I64, U8
from app.modules.pathfinding.grids.heap import pop, push
from app.modules.pathfinding.grids.subgoals import DIAGONAL, STRAIGHT
from app.modules.pathfinding.surfaces import F32

STALE = 254
"""In place of a direction while a field is mended: find it anew."""
LOST_MAX = 1_024
UNIFORM_SHARE, WEIGHTED_SHARE = 128, 16
"""Where more cells than these, and more than one of so many, have another way, filling the field anew is as quick."""

Rectangle = tuple[int, int, int, int]
"""Columns and rows of the bordered grid: left, top, and right and bottom, which are the first outside."""


def repair(field: Field, free: U8, cost: F32, rectangle: Rectangle) -> int:
    """Mend `field` in place, now that `free` and `cost` have changed inside `rectangle`; how many cells it looked at.

    The arrays are those of fields.build with the changes made, on the same kind of ground as before. The field
    then equals one built anew. Nobody else may read it meanwhile. The work is that of the cells whose way led
    through what changed, and a new field's where those are many (Ramalingam, Reps 1996). Raises Invalid
    before anything changes.
    """
    stride, rows = field.stride, field.reach.size // field.stride
    left, top, right, bottom = rectangle
    if not (1 <= left <= right < stride and 1 <= top <= bottom < rows):
        raise Invalid(f"a change in {rectangle!r}", hint=f"expected columns 1 to {stride - 1}, rows 1 to {rows - 1}")
    if math.isnan(field.limit):
        raise Invalid("a field that was solved elsewhere cannot be mended", hint="build it anew")
    if free.size != field.reach.size or cost.size not in (0, free.size):
        raise Invalid(
            f"{free.size!r} cells with {cost.size!r} costs for a field of {field.reach.size!r}",
            hint="send the arrays that the field was built from, with the changes made",
        )
    if cost.size:
        changed = cost.reshape(rows, stride)[top:bottom, left:right]
        wrong = ~((changed > 0.0) & (changed < np.inf)) & (free.reshape(rows, stride)[top:bottom, left:right] != 0)
        if wrong.any():
            raise Invalid(f"a cost of {float(changed[wrong][0])!r}", hint="expected finite costs above 0")
    _open_and_close(field, free, rectangle)
    around = _around(field, rectangle)
    touched = np.empty(around.size + free.size, np.int64)
    touched[: around.size] = around
    ground, steps = cost if cost.size else np.ones(1, np.float32), offsets(stride)
    most = max(LOST_MAX, free.size // (WEIGHTED_SHARE if cost.size else UNIFORM_SHARE))
    count = _forget(field, ground, steps, touched, around.size, most)
    if count >= 0:
        count = _improve(field, ground, steps, touched, count, most)
    if count < 0:
        fill(field, free, cost)
        return free.size
    count = _redirect(field, ground, steps, touched, count)
    stop_at_goals(field)
    return count


def _open_and_close(field: Field, free: U8, rectangle: Rectangle) -> None:
    """Make newly blocked cells of the rectangle BLOCKED, and newly free ones not reached."""
    left, top, right, bottom = rectangle
    part = (slice(top, bottom), slice(left, right))
    reach, flow = field.reach.reshape(-1, field.stride)[part], field.flow.reshape(-1, field.stride)[part]
    standing = free.reshape(-1, field.stride)[part] != 0
    reach[standing & (reach < 0.0)] = np.inf
    reach[~standing] = BLOCKED
    flow[~standing] = NONE


def _around(field: Field, rectangle: Rectangle) -> I64:
    """The free cells whose steps may have changed, (n,): diagonals pass the rectangle beside it as well."""
    left, top, right, bottom = rectangle
    rows = np.arange(max(top - 1, 1), min(bottom + 1, field.reach.size // field.stride - 1))
    columns = np.arange(max(left - 1, 1), min(right + 1, field.stride - 1))
    cells = (rows[:, None] * field.stride + columns).ravel()
    free: I64 = cells[field.reach[cells] >= 0.0]
    return free


@inlined
def step_cost(ground: F32, cell: int, to: int, direction: int) -> float:
    """What one step costs in units; of uniform ground `ground` is a single 1."""
    weighted = int(ground.size > 1)
    both = np.float64(ground[cell * weighted]) + ground[to * weighted]
    return float((0.5 * STRAIGHT if direction < 4 else 0.5 * DIAGONAL) * both)


@compiled
def _explain(reach: F64, ground: F32, stride: int, steps: I64, cell: int) -> int:
    """The first direction whose neighbor is near enough for the distance of a cell, or NONE."""
    if reach[cell] == np.inf:
        return NONE
    open = ways(reach, cell, stride)
    for direction in range(8):
        to = cell + steps[direction]
        there = reach[to] + step_cost(ground, cell, to, direction)
        if open >> direction & 1 and reach[to] >= 0.0 and there <= reach[cell]:
            return direction
    return NONE


@compiled
def _forget(field: Field, ground: F32, steps: I64, touched: I64, around: int, most: int) -> int:
    """Take their distance from cells that have lost their way, beginning with touched[:around].

    A cell whose direction no longer explains its distance looks for another that does; where there is none,
    it loses its distance, and those who came through it look in turn. Returns the length of
    `touched`, now the first ones and the lost ones, all STALE; -1 where more than `most` are lost.
    """
    reach, flow, stride = field.reach, field.flow, field.stride
    stack = np.empty(around + 1_024, np.int64)
    for place in range(around):
        stack[place] = touched[place]
    size = around
    count = around
    while size > 0:
        size -= 1
        cell = stack[size]
        if flow[cell] >= STALE:
            continue
        way = _explain(reach, ground, stride, steps, cell)
        if way != NONE:
            flow[cell] = way
            continue
        if count >= around + most:
            return -1
        reach[cell] = np.inf
        flow[cell] = STALE
        touched[count] = cell
        count += 1
        if size + 8 > stack.size:
            stack = widened(stack)
        for direction in range(8):
            other = cell - steps[direction]
            if flow[other] == direction:
                stack[size] = other
                size += 1
    kept = 0
    for place in range(count):
        cell = touched[place]
        if place >= around or flow[cell] != STALE:
            flow[cell] = STALE
            touched[kept] = cell
            kept += 1
    return kept


@compiled
def _improve(field: Field, ground: F32, steps: I64, touched: I64, count: int, most: int) -> int:
    """Let stale cells take the best that their neighbors offer, and spread what that improves; as Dijkstra.

    Returns the length of `touched` with the improved cells, all STALE; -1 where it grows by more than `most`.
    """
    most += count
    reach, flow, stride, limit = field.reach, field.flow, field.stride, field.limit
    heap = np.empty(count + field.goals.size + 1_024, np.int64)
    size = 0
    for place in range(count):
        cell = touched[place]
        open = ways(reach, cell, stride)
        best = reach[cell]
        for direction in range(8):
            to = cell + steps[direction]
            there = reach[to] + step_cost(ground, cell, to, direction)
            if open >> direction & 1 and reach[to] >= 0.0 and there < best and there <= limit:
                best = there
        if best < reach[cell]:
            reach[cell] = best
            size = push(heap, size, np.int64(min(best, UNITS_MAX)) << CELL_BITS | cell)
    for index in range(field.goals.size):
        goal = field.goals[index]
        if field.starts[index] < reach[goal] and field.starts[index] <= limit:
            reach[goal] = field.starts[index]
            size = push(heap, size, np.int64(reach[goal]) << CELL_BITS | goal)
            if flow[goal] != STALE:
                flow[goal] = STALE
                touched[count] = goal
                count += 1
    while size > 0:
        cell = heap[0] & CELL_MASK
        old = heap[0] >> CELL_BITS > reach[cell]
        size = pop(heap, size)
        if old:
            continue
        if count > most:
            return -1
        if size + 8 > heap.size:
            heap = widened(heap)
        open = ways(reach, cell, stride)
        for direction in range(8):
            to = cell + steps[direction]
            there = reach[cell] + step_cost(ground, cell, to, direction)
            if open >> direction & 1 and there < reach[to] and there <= limit:
                reach[to] = there
                size = push(heap, size, np.int64(min(there, UNITS_MAX)) << CELL_BITS | to)
                if flow[to] != STALE:
                    flow[to] = STALE
                    touched[count] = to
                    count += 1
    return count


@compiled
def _redirect(field: Field, ground: F32, steps: I64, touched: I64, count: int) -> int:
    """Find the directions of stale cells and of their neighbors, and how many these are."""
    reach, flow, stride = field.reach, field.flow, field.stride
    stale = count
    for place in range(stale):
        for direction in range(8):
            other = touched[place] + steps[direction]
            if reach[other] >= 0.0 and flow[other] != STALE:
                flow[other] = STALE
                touched[count] = other
                count += 1
    for place in range(count):
        flow[touched[place]] = _explain(reach, ground, stride, steps, touched[place])
    return count
