"""Where to flee: the cell in reach that is farthest from all threats, and the first steps there.

It knows cells and walking distances; who is a threat to whom is the caller's.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from app.core.errors import Invalid
from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.fields import CELL_BITS, CELL_MASK, UNITS_MAX, build, offsets, ways, widened
from app.modules.pathfinding.grids.graph import F64, I32, I64, U8
from app.modules.pathfinding.grids.heap import pop, push
from app.modules.pathfinding.grids.repair import step_cost
from app.modules.pathfinding.grids.subgoals import STRAIGHT
from app.modules.pathfinding.surfaces import F32


class Flights(NamedTuple):
    """Where n agents flee to."""

    targets: I32
    """(n,): cells; the agent's own where none is better, -1 where the agent stands on no free cell."""
    away: F32
    """(n,): steps that the nearest threat would have to the target, at most `sight`; NaN without a target."""
    length: F32
    """(n,): steps of the agent to the target; NaN without one."""
    paths: I32
    """(n, steps): the first cells on the way, without the agent's own; -1 behind the target."""


def flee(
    free: U8, cost: F32, stride: int, threats: I32, agents: I32, *, radius: float, sight: float, steps: int
) -> Flights:
    """The best cell to flee to for each of `agents`, (n,) int32 cells, from all of `threats`, (m,) int32 cells.

    The ground is that of fields.build. Of the cells within `radius` steps of walking the best is the one that the
    nearest threat has farthest to walk to, then the one farthest from all threats in a straight line, then the
    first. Threats farther than `sight` steps from a cell count as that far. An agent enters only cells that it
    reaches before every threat, all walking at one speed and starting now; its own cell it may always leave.
    Raises Invalid.
    """
    if not (0.0 < radius < math.inf and 0.0 < sight < math.inf):
        raise Invalid(f"a flight within {radius!r} steps, {sight!r} in sight", hint="expected finite numbers above 0")
    if ((agents < 0) | (agents >= free.size)).any():
        raise Invalid("an agent stands outside the map", hint=f"expected cells 0 to {free.size - 1}")
    if steps < 0:
        raise Invalid(f"{steps!r} steps of each path", hint="expected 0 or more")
    danger = build(free, cost, stride, threats, within=sight)
    ground = cost if cost.size else np.ones(1, np.float32)
    limit = radius * STRAIGHT * (1.0 + 1e-7)
    standing = danger.goals[danger.reach[danger.goals] >= 0.0]
    places = np.stack(np.divmod(standing, stride), axis=1)  # (threats, 2): row and column
    return Flights(*_flee(danger.reach, sight * STRAIGHT, ground, offsets(stride), places, agents, limit, steps))


@compiled
def _flee(
    danger: F64, sight: float, ground: F32, steps: I64, places: I32, agents: I32, limit: float, steps_max: int
) -> tuple[I32, F32, F32, I32]:
    """Flights.

    One bounded Dijkstra an agent, on arrays that all share: `seen` says whose numbers a cell holds.
    """
    targets = np.full(agents.size, -1, np.int32)
    away = np.full(agents.size, np.nan, np.float32)
    length = np.full(agents.size, np.nan, np.float32)
    paths = np.full((agents.size, steps_max), -1, np.int32)
    seen = np.full(danger.size, -1, np.int32)
    walked = np.empty(danger.size, np.float64)
    came = np.empty(danger.size, np.uint8)
    heap = np.empty(1_024, np.int64)
    stride = steps[2]  # south
    for agent in range(agents.size):
        start = int(agents[agent])
        if danger[start] < 0.0:
            continue
        seen[start] = agent
        walked[start] = 0.0
        size = push(heap, 0, start)
        best = start
        best_away = -1.0
        best_straight = -1
        while size > 0:
            cell = heap[0] & CELL_MASK
            here = walked[cell]
            stale = heap[0] >> CELL_BITS > here
            size = pop(heap, size)
            if stale:
                continue
            distance = min(danger[cell], sight)
            if distance >= best_away:
                straight = _nearest_squared(places, cell // stride, cell % stride)
                ahead = straight > best_straight or (straight == best_straight and cell < best)
                if distance > best_away or ahead:
                    best, best_away, best_straight = cell, distance, straight
            if size + 8 > heap.size:
                heap = widened(heap)
            open = ways(danger, cell, stride)
            for direction in range(8):
                to = cell + steps[direction]
                there = here + step_cost(ground, cell, to, direction)
                first = there < danger[to] and there <= limit
                if open >> direction & 1 and first and (seen[to] != agent or there < walked[to]):
                    seen[to] = agent
                    walked[to] = there
                    came[to] = direction
                    size = push(heap, size, np.int64(min(there, UNITS_MAX)) << CELL_BITS | to)
        targets[agent] = best
        away[agent] = best_away / STRAIGHT
        length[agent] = walked[best] / STRAIGHT
        count = 0
        cell = best
        while cell != start:
            count += 1
            cell -= steps[came[cell]]
        cell = best
        for place in range(count - 1, -1, -1):
            if place < steps_max:
                paths[agent, place] = cell
            cell -= steps[came[cell]]
    return targets, away, length, paths


@inlined
def _nearest_squared(places: I32, row: int, column: int) -> int:
    """The square of the straight distance to the nearest of `places`, in cells."""
    nearest = 2**62
    for index in range(places.shape[0]):
        down = places[index, 0] - row
        across = places[index, 1] - column
        nearest = min(nearest, int(down * down + across * across))
    return nearest
