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
from app.modules.pathfinding.crowds.neighbors import nearest, sort_agents
from app.modules.pathfinding.crowds.program import CLOSE, closest, least_violating
from app.modules.pathfinding.crowds.walls import CLEARANCE_MAX, LINES_MAX, REACH_MAX, add_walls, slide
from app.modules.pathfinding.surfaces import F32, U8

NO_WALLS = Walls(np.zeros(0, np.uint8), 0)
ASIDE_COS, ASIDE_SIN = math.cos(0.02), math.sin(0.02)
"""An agent that cannot go as it prefers would rather go this much to one side, always the same.

Without it two agents who meet exactly head-on would slow down and stand before each other for ever.
"""
GOLDEN = 2.399963
"""Agents on one spot part in directions this angle from each other."""


def steer(crowd: Crowd, walls: Walls | None, outlook: Outlook) -> F32:
    """Safe velocities for all agents, (n, 2) float32, as long as the preferred ones or shorter where they must be.

    Where no velocity keeps clear of every neighbor, the one whose worst violation is least; walls come first.
    After outlook.dt_s no center has entered a blocked cell; only one that stands in such a cell already is let out
    as if there were no walls. The result does not depend on the order of agents beyond rounding, unless
    agents stand on one spot. Raises Invalid.
    """
    check(crowd, walls, outlook)
    free, stride = walls or NO_WALLS
    return step(crowd, free, stride, outlook)


@compiled
def step(crowd: Crowd, free: U8, stride: int, outlook: Outlook) -> F32:
    """steer without its check; a stride of 0 means that there are no walls."""
    positions, velocities, preferred, radii, speeds_max = crowd
    count = positions.shape[0]
    safe = np.empty((count, 2), np.float32)
    most = min(int(outlook.neighbors_max), max(count - 1, 0))
    found = np.empty(most + 1, np.int32)
    away = np.empty(most + 1, np.float64)
    lines = np.empty((LINES_MAX + most, 3), np.float64)
    scratch = np.empty((LINES_MAX + most, 3), np.float64)
    buckets = sort_agents(positions, outlook.neighbor_radius)
    for place in range(count):
        agent = buckets.order[place]
        x, y = float(positions[agent, 0]), float(positions[agent, 1])
        vx, vy = float(velocities[agent, 0]), float(velocities[agent, 1])
        speed_max = float(speeds_max[agent])
        walled = stride > 0 and free[(int(y) + 1) * stride + int(x) + 1] != 0
        hard = 0
        if walled:
            clearance = min(float(radii[agent]), CLEARANCE_MAX)
            reach = min(clearance + speed_max * outlook.obstacle_horizon_s, REACH_MAX)
            hard = add_walls(free, stride, x, y, vx, vy, clearance, outlook.obstacle_horizon_s, reach, lines)
        rows = hard
        for index in range(nearest(buckets, place, outlook.neighbor_radius, most, found, away)):
            other = buckets.order[found[index]]
            dx, dy = positions[other, 0] - x, positions[other, 1] - y
            distance = float(radii[agent]) + radii[other]
            horizon_s = outlook.horizon_s if away[index] > distance * distance else outlook.dt_s
            rel_x, rel_y = vx - velocities[other, 0], vy - velocities[other, 1]
            if rel_x * horizon_s == dx and rel_y * horizon_s == dy:
                nx, ny = _apart(agent, other)
                depth = distance / horizon_s
            else:
                nx, ny, depth = way_out(dx, dy, distance, horizon_s, rel_x, rel_y)
            lines[rows, 0] = nx
            lines[rows, 1] = ny
            lines[rows, 2] = nx * vx + ny * vy + depth / 2.0
            rows += 1
        wish_x, wish_y = float(preferred[agent, 0]), float(preferred[agent, 1])
        to_x, to_y, met = closest(lines, rows, wish_x, wish_y, speed_max)
        if met < rows or to_x != wish_x or to_y != wish_y:
            to_x, to_y, met = closest(
                lines, rows, wish_x * ASIDE_COS - wish_y * ASIDE_SIN, wish_y * ASIDE_COS + wish_x * ASIDE_SIN, speed_max
            )
        if met < rows:
            to_x, to_y = least_violating(lines, hard, rows, met, to_x, to_y, speed_max, scratch)
        if walled:
            end_x, end_y = slide(free, stride, x, y, x + to_x * outlook.dt_s, y + to_y * outlook.dt_s)
            to_x = (end_x - x) / outlook.dt_s
            to_y = (end_y - y) / outlook.dt_s
        safe[agent, 0] = to_x
        safe[agent, 1] = to_y
    return safe


@inlined
def _apart(agent: int, other: int) -> tuple[float, float]:
    """The direction in which an agent leaves another that it cannot be told apart from; the other takes the opposite."""
    angle = GOLDEN * (agent + other)
    sign = 1.0 if agent < other else -1.0
    return sign * math.cos(angle), sign * math.sin(angle)
