"""One step of a crowd by optimal reciprocal collision avoidance (van den Berg, Guy, Lin, Manocha 2011).

Each agent takes the velocity nearest to its preferred one that keeps it clear of its nearest
neighbors, if they do their half, and of walls. It knows one moment: it keeps nothing between steps.
"""

from __future__ import annotations

import math

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.crowds.cone import way_out
from app.modules.pathfinding.crowds.crowd import Crowd, Outlook, Walls, check
from app.modules.pathfinding.crowds.neighbors import Around, look_around, nearest, scratch, sort_agents
from app.modules.pathfinding.crowds.program import CLOSE, closest, least_violating
from app.modules.pathfinding.crowds.walls import LINES_MAX, add_walls, slide
from app.modules.pathfinding.grids.graph import F64
from app.modules.pathfinding.surfaces import F32, U8

NO_WALLS = Walls(np.zeros(0, np.uint8), 0)
ASIDE_COS, ASIDE_SIN = math.cos(0.25), math.sin(0.25)
"""An agent that cannot go as it prefers would rather go 14 degrees to one side, always the same.

Without it two agents who meet exactly head-on stand before each other for ever; with a tenth of it
rings of agents that are exactly alike still jam in their middle.
"""
GOLDEN = 2.399963
"""Agents who cannot be told apart each leave in a direction of their own, this angle from the one before."""


def steer(crowd: Crowd, walls: Walls | None, outlook: Outlook) -> F32:
    """Safe velocities for all agents, (n, 2) float32, as long as the preferred ones or shorter where they must be.

    Where no velocity keeps clear of every neighbor, the one whose worst violation is least; walls come first.
    After outlook.dt_s no center has entered a blocked cell; only one that stands in such a cell already is let out
    as if there were no walls. The result does not depend on the order of agents beyond rounding, unless
    agents stand on one spot. Raises Invalid.
    """
    check(crowd, walls, outlook)
    free, stride = walls or NO_WALLS
    return step(crowd, free, stride, outlook, scratch())


@compiled
def step(crowd: Crowd, free: U8, stride: int, outlook: Outlook, around: Around) -> F32:
    """What `steer` does after its check; a stride of 0 means that there are no walls."""
    count = crowd.positions.shape[0]
    safe = np.empty((count, 2), np.float32)
    most = int(outlook.neighbors_max)
    found = np.empty(most, np.int32)
    lines = np.empty((LINES_MAX + most, 3), np.float64)
    spare = np.empty((LINES_MAX + most, 3), np.float64)
    buckets = sort_agents(crowd.positions, outlook.neighbor_radius)
    for bucket in range(buckets.begin.size - 1):
        first, last = buckets.begin[bucket], buckets.begin[bucket + 1]
        if first == last:
            continue
        seen = look_around(buckets, crowd.positions, bucket, around)
        for place in range(first, last):
            agent = buckets.order[place]
            x, y = float(crowd.positions[agent, 0]), float(crowd.positions[agent, 1])
            walled = stride > 0 and free[(int(y) + 1) * stride + int(x) + 1] != 0
            hard = 0
            if walled:
                hard = add_walls(crowd, agent, free, stride, outlook.obstacle_horizon_s, lines)
            near = nearest(around, seen, place, x, y, outlook.neighbor_radius, most, found)
            for index in range(near):
                _add_neighbor(crowd, agent, buckets.order[found[index]], outlook, lines, hard + index)
            vx, vy = _choose(crowd, agent, lines, hard, hard + near, spare)
            if walled:
                end_x, end_y = slide(free, stride, x, y, x + vx * outlook.dt_s, y + vy * outlook.dt_s)
                vx = (end_x - x) / outlook.dt_s
                vy = (end_y - y) / outlook.dt_s
            safe[agent, 0] = vx
            safe[agent, 1] = vy
    return safe


@inlined
def _add_neighbor(crowd: Crowd, agent: int, other: int, outlook: Outlook, lines: F64, row: int) -> None:
    """Write the half-plane of velocities that do an agent's half of avoiding another."""
    dx = float(crowd.positions[other, 0]) - crowd.positions[agent, 0]
    dy = float(crowd.positions[other, 1]) - crowd.positions[agent, 1]
    vx, vy = float(crowd.velocities[agent, 0]), float(crowd.velocities[agent, 1])
    relative_x, relative_y = vx - crowd.velocities[other, 0], vy - crowd.velocities[other, 1]
    distance = float(crowd.radii[agent]) + crowd.radii[other]
    horizon_s = outlook.horizon_s if dx * dx + dy * dy > distance * distance else outlook.dt_s
    if relative_x * horizon_s == dx and relative_y * horizon_s == dy:
        nx = math.cos(GOLDEN * agent) - math.cos(GOLDEN * other)
        ny = math.sin(GOLDEN * agent) - math.sin(GOLDEN * other)
        length = math.sqrt(nx * nx + ny * ny)
        nx /= length
        ny /= length
        depth = distance / horizon_s
    else:
        nx, ny, depth = way_out(dx, dy, distance, horizon_s, relative_x, relative_y)
    lines[row, 0] = nx
    lines[row, 1] = ny
    lines[row, 2] = nx * vx + ny * vy + depth / 2.0


@inlined
def _choose(crowd: Crowd, agent: int, lines: F64, hard: int, count: int, spare: F64) -> tuple[float, float]:
    """The best velocity under the half-planes, of which the first `hard` must be kept."""
    speed_max = float(crowd.speeds_max[agent])
    wish_x, wish_y = float(crowd.preferred[agent, 0]), float(crowd.preferred[agent, 1])
    square = wish_x * wish_x + wish_y * wish_y
    if square > speed_max * speed_max:
        wish_x *= speed_max / math.sqrt(square)
        wish_y *= speed_max / math.sqrt(square)
    free_way = True
    for row in range(count):
        free_way &= lines[row, 0] * wish_x + lines[row, 1] * wish_y >= lines[row, 2] - CLOSE
    if free_way:
        return wish_x, wish_y
    aside_x = wish_x * ASIDE_COS - wish_y * ASIDE_SIN
    aside_y = wish_y * ASIDE_COS + wish_x * ASIDE_SIN
    x, y, met = closest(lines, count, aside_x, aside_y, speed_max)
    if met < count:
        x, y = least_violating(lines, hard, count, met, x, y, speed_max, spare)
    return x, y
