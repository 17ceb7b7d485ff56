"""Batches of path queries over a mesh: where they start and end, which search answers, and what they are told.

It knows statuses, costs and waypoints; how a path is found is in polyanya.py and corridors.py.
"""

from __future__ import annotations

import math

import numpy as np

from app.modules.pathfinding.compiled import compiled
from app.modules.pathfinding.meshes import corridors, polyanya, taut
from app.modules.pathfinding.meshes.geometry import away, height_at
from app.modules.pathfinding.meshes.graph import (
    F32,
    F64,
    FOUND,
    I32,
    INVALID,
    OVER_BUDGET,
    PARTIAL,
    U8,
    UNREACHABLE,
    Answers,
    Prepared,
)  # fmt: skip
from app.modules.pathfinding.meshes.places import ANY, axes, leads, nearest


@compiled
def find_paths(
    mesh: Prepared, starts: F32, goals: F32, max_cost: float, partial: bool, expansions_max: int, snap: float
) -> tuple[U8, F64, I32, I32, F32]:
    """Paths from `starts` to `goals`, each (n, 3) float32 in the mesh's axes; the fields of Answers.

    A point off the mesh moves to the nearest place on it; a start farther than `snap` is invalid, a
    goal out of reach or farther than that unreachable, or with `partial` replaced by the nearest
    place in reach. A path that costs more than `max_cost` is over budget, and so is one whose search
    expands more than `expansions_max` nodes. Costs are lengths in the plane times the ground's cost.
    """
    pairs = starts.shape[0]
    status = np.empty(pairs, np.uint8)
    cost = np.full(pairs, np.nan, np.float64)
    expansions = np.zeros(pairs, np.int32)
    offsets = np.zeros(pairs + 1, np.int32)
    waypoints = np.empty((16 * pairs + 64, 3), np.float32)
    u, v = axes(mesh.up)
    up = mesh.up
    exact = polyanya.scratch(mesh)
    table = taut.desk(mesh)
    bent = corridors.walkway(mesh)
    sighted = mesh.sights.nodes.shape[0] > 0
    total = 0
    rate = mesh.cost[0] if mesh.uniform and mesh.cost.size > 0 else 1.0
    for query in range(pairs):
        offsets[query + 1] = total
        x, y, h = (
            float(np.float64(starts[query, u])),
            float(np.float64(starts[query, v])),
            float(np.float64(starts[query, up])),
        )
        gx, gy, gh = (
            float(np.float64(goals[query, u])),
            float(np.float64(goals[query, v])),
            float(np.float64(goals[query, up])),
        )
        if not math.isfinite(x + y + h + gx + gy + gh):
            status[query] = INVALID
            continue
        source, x, y = nearest(mesh, x, y, h, snap, ANY)
        if source < 0:
            status[query] = INVALID
            continue
        target, tx, ty = nearest(mesh, gx, gy, gh, snap, ANY)
        code = FOUND
        if target < 0 or not leads(mesh.linked, mesh.reach, mesh.labels[source], mesh.labels[target]):
            if not partial:
                status[query] = UNREACHABLE
                continue
            code = PARTIAL
            target, tx, ty = nearest(mesh, gx, gy, gh, np.inf, int(mesh.labels[source]))
        gx, gy = tx, ty
        limit = max_cost / rate * (1.0 + 1e-9)
        spent, last, via, expanded, count = away(x, y, gx, gy), -1, -1, 0, 0
        by_sight = sighted
        if not mesh.uniform:
            spent, count, expanded = corridors.search(
                mesh, bent, query + 1, x, y, source, gx, gy, target, limit, expansions_max
            )
        elif source != target:
            if sighted:
                spent, last, expanded = taut.search(
                    mesh, table, query + 1, x, y, source, gx, gy, target, limit, expansions_max
                )
            # Slivers can hide a corner from the table of sights; cones never need it.
            by_sight = sighted and (spent < np.inf or expanded > expansions_max or max_cost < np.inf)
            if not by_sight:
                exact, spent, last, via, expanded = polyanya.search(
                    mesh, exact, query + 1, x, y, source, gx, gy, target, limit, expansions_max
                )
        spent *= rate
        expansions[query] = expanded
        if not spent < np.inf or spent > max_cost or expanded > expansions_max:
            status[query] = OVER_BUDGET
            continue
        status[query] = code
        cost[query] = spent
        if mesh.uniform:
            count = _trace(exact.chain, exact.came, table.came, mesh.sights.nodes, by_sight, last, via)
        if total + count + 2 > waypoints.shape[0]:
            more = np.empty((2 * (total + count + 2), 3), np.float32)
            more[:total] = waypoints[:total]
            waypoints = more
        if not mesh.uniform:
            for place in range(count):
                waypoints[total, u], waypoints[total, v] = bent.path[place, 0], bent.path[place, 1]
                waypoints[total, up] = bent.path[place, 2]
                total += 1
            offsets[query + 1] = total
            continue
        waypoints[total, u], waypoints[total, v], waypoints[total, up] = x, y, height_at(mesh.planes, source, x, y)
        total += 1
        for place in range(count - 1, -1, -1):
            vertex = exact.chain[place]
            px, py = mesh.points[vertex, 0], mesh.points[vertex, 1]
            if (px != x or py != y) and (px != gx or py != gy):
                waypoints[total, u], waypoints[total, v], waypoints[total, up] = px, py, mesh.heights[vertex]
                total += 1
        waypoints[total, u], waypoints[total, v], waypoints[total, up] = gx, gy, height_at(mesh.planes, target, gx, gy)
        total += 1
        offsets[query + 1] = total
    return status, cost, expansions, offsets, waypoints[:total].copy()


@compiled
def _trace(chain: I32, came: I32, corner_came: I32, nodes: I32, sighted: bool, last: int, via: int) -> int:
    """Write the vertices of the path found last to `chain`, from its end; how many."""
    count = 0
    if sighted:
        while last >= 0:
            chain[count] = nodes[last, 0]
            count += 1
            last = corner_came[last, 0]
        return count
    if via >= 0:
        chain[count] = via
        count += 1
    while last >= 0 and last != came.shape[0] - 1:
        chain[count] = last
        count += 1
        last = came[last, 0]
    return count


def answers(
    mesh: Prepared, starts: F32, goals: F32, max_cost: float, partial: bool, expansions_max: int, snap: float
) -> Answers:
    """find_paths with its result named."""
    return Answers(*find_paths(mesh, starts, goals, max_cost, partial, expansions_max, snap))
