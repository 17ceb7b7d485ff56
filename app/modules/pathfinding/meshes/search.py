"""Batches of path queries over a mesh: where they start and end, which search answers, and what they are told.

It knows statuses, costs and waypoints; how a path is found is in polyanya.py and corridors.py.
"""

from __future__ import annotations

import math

import numpy as np

from app.modules.pathfinding.compiled import compiled
from app.modules.pathfinding.meshes import polyanya
from app.modules.pathfinding.meshes.geometry import away, height_at
from app.modules.pathfinding.meshes.graph import (
    F32, F64, FOUND, I32, INVALID, OVER_BUDGET, PARTIAL, U8, UNREACHABLE, Answers, Prepared,
)  # fmt: skip
from app.modules.pathfinding.meshes.places import ANY, axes, leads, nearest


@compiled
def find_paths(
    mesh: Prepared, starts: F32, goals: F32, max_cost: float, partial: bool, expansions_max: int, snap: float
) -> tuple[U8, F64, I32, I32, F32]:
    pairs = starts.shape[0]
    status = np.empty(pairs, np.uint8)
    cost = np.full(pairs, np.nan, np.float64)
    expansions = np.zeros(pairs, np.int32)
    offsets = np.zeros(pairs + 1, np.int32)
    waypoints = np.empty((16 * pairs + 64, 3), np.float32)
    u, v = axes(mesh.up)
    up = mesh.up
    room = polyanya.scratch(mesh, np.empty(0))
    total = 0
    rate = mesh.cost[0] if mesh.cost.size > 0 else 1.0
    start = mesh.points.shape[0]
    for query in range(pairs):
        offsets[query + 1] = total
        x, y, h = float(starts[query, u]), float(starts[query, v]), float(starts[query, up])
        gx, gy, gh = float(goals[query, u]), float(goals[query, v]), float(goals[query, up])
        if not math.isfinite(x + y + h + gx + gy + gh):
            status[query] = INVALID
            continue
        source, x, y = nearest(mesh, x, y, h, snap, ANY)
        if source < 0:
            status[query] = INVALID
            continue
        target, tx, ty = nearest(mesh, gx, gy, gh, snap, ANY)
        code = FOUND
        if target < 0 or not leads(mesh, mesh.labels[source], mesh.labels[target]):
            if not partial:
                status[query] = UNREACHABLE
                continue
            code = PARTIAL
            target, tx, ty = nearest(mesh, gx, gy, gh, np.inf, mesh.labels[source])
        gx, gy = tx, ty
        limit = max_cost / rate * (1.0 + 1e-9)
        length, last, via, expanded = away(x, y, gx, gy), start, -1, 0
        if source != target:
            room, length, last, via, expanded = polyanya.search(
                mesh, room, query + 1, x, y, source, gx, gy, target, limit, expansions_max
            )
        expansions[query] = expanded
        if last < 0 or length * rate > max_cost or expanded > expansions_max:
            status[query] = OVER_BUDGET
            continue
        status[query] = code
        cost[query] = length * rate
        steps = 2
        root = last
        while root != start:
            steps += 1
            root = room.came[root, 0]
        steps += via >= 0
        if total + steps > waypoints.shape[0]:
            more = np.empty((2 * (total + steps), 3), np.float32)
            more[:total] = waypoints[:total]
            waypoints = more
        place = total + steps - 1
        waypoints[place, u], waypoints[place, v] = gx, gy
        waypoints[place, up] = height_at(mesh.planes, target, gx, gy)
        place -= 1
        root = via if via >= 0 else last
        while root != start:
            waypoints[place, u], waypoints[place, v] = mesh.points[root, 0], mesh.points[root, 1]
            waypoints[place, up] = mesh.heights[root]
            place -= 1
            root = last if root == via else room.came[root, 0]
        waypoints[place, u], waypoints[place, v] = x, y
        waypoints[place, up] = height_at(mesh.planes, source, x, y)
        total += steps
        offsets[query + 1] = total
    return status, cost, expansions, offsets, waypoints[:total].copy()


def answers(
    mesh: Prepared, starts: F32, goals: F32, max_cost: float, partial: bool, expansions_max: int, snap: float
) -> Answers:
    return Answers(*find_paths(mesh, starts, goals, max_cost, partial, expansions_max, snap))
