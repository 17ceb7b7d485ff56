"""The velocities that lead two discs into each other soon, and the way out of them.

That set is a cone cut off by a disc (van den Berg, Guy, Lin, Manocha 2011, section 4). It knows two
discs and a time; it does not know who they are nor who gives way.
"""

from __future__ import annotations

import math

from app.modules.pathfinding.compiled import inlined


@inlined
def way_out(x: float, y: float, distance: float, horizon_s: float, vx: float, vy: float) -> tuple[float, float, float]:
    """The outward normal of the cone where its edge is nearest to velocity (vx, vy), and how deep that lies inside.

    Another center at (x, y) must stay `distance` away for `horizon_s`. A negative depth: so far outside.
    The caller sees to it that (vx, vy) * horizon_s is not exactly (x, y).
    """
    wx = vx - x / horizon_s
    wy = vy - y / horizon_s
    square = wx * wx + wy * wy
    apart = x * x + y * y
    along = wx * x + wy * y
    if apart <= distance * distance or (along < 0.0 and along * along > distance * distance * square):
        length = math.sqrt(square)
        return wx / length, wy / length, distance / horizon_s - length
    leg = math.sqrt(apart - distance * distance)
    if x * wy - y * wx > 0.0:
        nx = -(x * distance + y * leg) / apart
        ny = (x * leg - y * distance) / apart
    else:
        nx = (y * leg - x * distance) / apart
        ny = -(x * leg + y * distance) / apart
    return nx, ny, -(vx * nx + vy * ny)
