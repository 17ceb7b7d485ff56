"""The velocity nearest to a wish among those that half-planes and a top speed allow.

Linear programs in two dimensions, solved one half-plane at a time (van den Berg, Guy, Lin, Manocha 2011,
section 5; de Berg et al., Computational Geometry, chapter 4). It knows velocities, not agents or walls.
"""

from __future__ import annotations

import math

from app.modules.pathfinding.compiled import compiled
from app.modules.pathfinding.grids.graph import F64

CLOSE = 1e-9
"""Velocities that differ by less are alike, and so are directions."""
AFAR = 1e6
"""A wish of so many top speeds asks for a direction."""


@compiled
def closest(lines: F64, count: int, wish_x: float, wish_y: float, speed_max: float) -> tuple[float, float, int]:
    """The allowed velocity nearest to the wish, and how many half-planes it meets: all, or those before one that fails.

    Half-plane i allows v where lines[i, 0] * v.x + lines[i, 1] * v.y >= lines[i, 2]; the first two are of length 1.
    """
    x = wish_x
    y = wish_y
    square = x * x + y * y
    if square > speed_max * speed_max:
        scale = speed_max / math.sqrt(square)
        x *= scale
        y *= scale
    for new in range(count):
        nx, ny, least = lines[new, 0], lines[new, 1], lines[new, 2]
        if nx * x + ny * y >= least - CLOSE:
            continue
        # The answer lies on the edge of the new one: at n * least + t * (-ny, nx) with low <= t <= high.
        room = speed_max * speed_max - least * least
        if room < 0.0:
            return x, y, new
        high = math.sqrt(room)
        low = -high
        for old in range(new):
            slope = lines[old, 1] * nx - lines[old, 0] * ny
            gap = lines[old, 2] - least * (lines[old, 0] * nx + lines[old, 1] * ny)
            if slope > CLOSE:
                low = max(low, gap / slope)
            elif slope < -CLOSE:
                high = min(high, gap / slope)
            elif gap > CLOSE:
                return x, y, new
            if low > high:
                return x, y, new
        t = min(max(nx * wish_y - ny * wish_x, low), high)
        x = nx * least - ny * t
        y = ny * least + nx * t
    return x, y, count


@compiled
def least_violating(
    lines: F64, hard: int, count: int, met: int, x: float, y: float, speed_max: float, spare: F64
) -> tuple[float, float]:
    """The velocity whose worst violation of the half-planes from `hard` on is least, those before it being kept.

    (x, y) and `met` are what `closest` returned. Goes through the rest in turn: where one is violated more
    than any before, the answer lies where it is violated as much as another one, or at a hard limit.
    """
    for row in range(hard):
        for column in range(3):
            spare[row, column] = lines[row, column]
    worst = 0.0
    for new in range(met, count):
        nx, ny, least = lines[new, 0], lines[new, 1], lines[new, 2]
        if least - nx * x - ny * y <= worst + CLOSE:
            continue
        rows = hard
        for old in range(hard, new):
            # No more violated than the new one: (n_old - n_new) . v >= least_old - least_new.
            dx = lines[old, 0] - nx
            dy = lines[old, 1] - ny
            length = math.sqrt(dx * dx + dy * dy)
            if length > CLOSE:
                spare[rows, 0] = dx / length
                spare[rows, 1] = dy / length
                spare[rows, 2] = (lines[old, 2] - least) / length
                rows += 1
        best_x, best_y, fits = closest(spare, rows, AFAR * speed_max * nx, AFAR * speed_max * ny, speed_max)
        if fits == rows:
            x = best_x
            y = best_y
        worst = least - nx * x - ny * y
    return x, y
