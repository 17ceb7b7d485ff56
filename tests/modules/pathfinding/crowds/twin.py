"""The slow twin of a crowd's step without walls, from the paper's definitions, in plain Python.

A velocity's half-plane is found by looking at the whole edge of the velocity obstacle; the best velocity by
trying every place where it can lie. It shares nothing with the kernels but the stated rules.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import NamedTuple

from app.modules.pathfinding.crowds.crowd import Crowd, Outlook

Vector = tuple[float, float]
TURN = 0.25
"""Who cannot go as they prefer would rather go this angle to one side, in radians."""


class Line(NamedTuple):
    """Allows v where v . normal >= least."""

    normal: Vector
    least: float

    def violation(self, v: Vector) -> float:
        """How deep a velocity lies in what is not allowed."""
        return self.least - self.normal[0] * v[0] - self.normal[1] * v[1]


def nearest(crowd: Crowd, agent: int, outlook: Outlook) -> list[int]:
    """The agents minded, nearest first."""
    away = [(math.dist(crowd.positions[agent], spot), other) for other, spot in enumerate(crowd.positions.tolist())]
    near = sorted(pair for pair in away if pair[1] != agent and pair[0] <= outlook.neighbor_radius)
    return [other for _, other in near[: outlook.neighbors_max]]


def line(crowd: Crowd, agent: int, other: int, outlook: Outlook) -> Line:
    """An agent's half of avoiding another: half the least change of relative velocity that leaves the obstacle."""
    (x, y), (vx, vy) = crowd.positions[agent].tolist(), crowd.velocities[agent].tolist()
    (ox, oy), (wx, wy) = crowd.positions[other].tolist(), crowd.velocities[other].tolist()
    distance = float(crowd.radii[agent]) + float(crowd.radii[other])
    (change, normal) = way_out((ox - x, oy - y), distance, (vx - wx, vy - wy), outlook)
    half = (vx + change[0] / 2, vy + change[1] / 2)
    return Line(normal, half[0] * normal[0] + half[1] * normal[1])


def way_out(to: Vector, distance: float, relative: Vector, outlook: Outlook) -> tuple[Vector, Vector]:
    """The least change that brings a relative velocity to the obstacle's edge, and the edge's outward normal there."""
    apart = math.hypot(*to)
    overlap = apart <= distance
    seconds = outlook.dt_s if overlap else outlook.horizon_s
    middle, radius = (to[0] / seconds, to[1] / seconds), distance / seconds
    from_middle = (relative[0] - middle[0], relative[1] - middle[1])
    length = math.hypot(*from_middle)
    normal = (from_middle[0] / length, from_middle[1] / length)
    on_disc = (middle[0] + normal[0] * radius, middle[1] + normal[1] * radius)
    edges = []
    touch = math.acos(min(distance / apart, 1.0)) if apart > 0 else 0.0
    # The disc bounds the obstacle only between the points where the legs touch it, on the side of the origin.
    away = math.acos(max(-1.0, min(1.0, -(normal[0] * to[0] + normal[1] * to[1]) / apart))) if apart > 0 else 0.0
    if overlap or away <= touch:
        edges.append((on_disc, normal))
    if not overlap:
        spread, heading = math.asin(distance / apart), math.atan2(to[1], to[0])
        for side in (1, -1):
            leg = (math.cos(heading + side * spread), math.sin(heading + side * spread))
            along = max(relative[0] * leg[0] + relative[1] * leg[1], math.sqrt(apart**2 - distance**2) / seconds)
            edges.append(((leg[0] * along, leg[1] * along), (-side * leg[1], side * leg[0])))
    point, outward = min(edges, key=lambda edge: math.dist(edge[0], relative))
    return (point[0] - relative[0], point[1] - relative[1]), outward


def wish(crowd: Crowd, agent: int, lines: list[Line]) -> Vector:
    """The preferred velocity, no faster than allowed; a little to the side where something is in its way."""
    x, y = crowd.preferred[agent].tolist()
    most = float(crowd.speeds_max[agent])
    speed = math.hypot(x, y)
    if speed > most:
        x, y = x * most / speed, y * most / speed
    if all(each.violation((x, y)) <= 1e-9 for each in lines):
        return x, y
    return x * math.cos(TURN) - y * math.sin(TURN), y * math.cos(TURN) + x * math.sin(TURN)


def best(lines: list[Line], wished: Vector, speed_max: float) -> Vector | None:
    """The allowed velocity nearest to the wish: the wish, or on one edge, or where two edges meet; None if none is."""
    candidates = [wished]
    for each in lines:
        back = each.violation(wished)
        candidates.append((wished[0] + back * each.normal[0], wished[1] + back * each.normal[1]))
        room = speed_max**2 - each.least**2
        for sign in (1, -1) if room >= 0 else ():
            t = sign * math.sqrt(room)
            nx, ny = each.normal
            candidates.append((nx * each.least - ny * t, ny * each.least + nx * t))
    for one, other in combinations(lines, 2):
        area = one.normal[0] * other.normal[1] - one.normal[1] * other.normal[0]
        if abs(area) > 1e-12:
            candidates.append(
                (
                    (one.least * other.normal[1] - other.least * one.normal[1]) / area,
                    (other.least * one.normal[0] - one.least * other.normal[0]) / area,
                )
            )
    fit = [
        v for v in candidates if math.hypot(*v) <= speed_max + 1e-7 and all(each.violation(v) <= 1e-7 for each in lines)
    ]
    return min(fit, key=lambda v: math.dist(v, wished), default=None)


def least_worst(lines: list[Line], speed_max: float) -> float:
    """The least that the worst violation can be: a convex function, by ever finer samples around the best."""
    middle, width = (0.0, 0.0), speed_max
    worst = math.inf
    for _ in range(28):
        for i in range(-6, 7):
            for j in range(-6, 7):
                v = (middle[0] + i * width / 6, middle[1] + j * width / 6)
                length = math.hypot(*v)
                if length > speed_max:
                    v = (v[0] * speed_max / length, v[1] * speed_max / length)
                value = max(each.violation(v) for each in lines)
                if value < worst:
                    worst, best_v = value, v
        middle, width = best_v, width * 0.6
    return worst
