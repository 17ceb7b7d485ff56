"""Walls around an agent: which velocities lead into them, and where a step ends that would.

It knows the cells of a bordered grid and one agent; it does not know other agents.
"""

from __future__ import annotations

import math

from app.modules.pathfinding.compiled import compiled
from app.modules.pathfinding.crowds.cone import way_out
from app.modules.pathfinding.crowds.crowd import STRIDE_MAX, Crowd
from app.modules.pathfinding.grids.graph import F64, U8

CLEARANCE_MAX = 0.4
"""No agent keeps farther from walls than this, in cells: a legal path leads through gaps one cell wide.

Agents wider than a cell walk on the grid of their class, whose walls have grown by their size already.
"""
REACH_MAX = 3.0
"""Walls farther away do not matter yet, in cells."""
LINES_MAX = 4 + 36
"""Four faces, and the corners of the cells within reach that share neither row nor column with the agent's."""


@compiled
def add_walls(crowd: Crowd, agent: int, free: U8, stride: int, horizon_s: float, lines: F64) -> int:
    """Write half-planes of an agent's safe velocities to `lines`, as program.closest reads them; how many.

    A wall straight ahead allows what stays the agent's radius away from it for `horizon_s`; a corner
    is passed on either side. Each of them allows standing still.
    """
    x, y = float(crowd.positions[agent, 0]), float(crowd.positions[agent, 1])
    vx, vy = float(crowd.velocities[agent, 0]), float(crowd.velocities[agent, 1])
    clearance = min(float(crowd.radii[agent]), CLEARANCE_MAX)
    reach = min(clearance + crowd.speeds_max[agent] * horizon_s, REACH_MAX)
    column = math.floor(x)
    row = math.floor(y)
    cell = (row + 1) * stride + column + 1
    left = max(math.floor(x - reach), -1) - column
    right = min(math.floor(x + reach), stride - 2) - column
    above = max(math.floor(y - reach), -1) - row
    below = min(math.floor(y + reach), free.size // stride - 2) - row
    count = 0
    for direction in range(4):
        step = (-1, 1, -stride, stride)[direction]
        most = (-left, right, -above, below)[direction]
        ahead = 1
        while ahead <= most and free[cell + ahead * step] != 0:
            ahead += 1
        if ahead <= most:
            away = (x - column, column + 1 - x, y - row, row + 1 - y)[direction] + ahead - 1
            lines[count, 0] = (1.0, -1.0, 0.0, 0.0)[direction]
            lines[count, 1] = (0.0, 0.0, 1.0, -1.0)[direction]
            lines[count, 2] = min(clearance - away, 0.0) / horizon_s
            count += 1
    for down in range(above, below + 1):
        for aside in range(left, right + 1):
            place = cell + down * stride + aside
            if down == 0 or aside == 0 or free[place] != 0:
                continue
            toward_x = 1 if aside < 0 else -1
            toward_y = stride if down < 0 else -stride
            if free[place + toward_x] == 0 or free[place + toward_y] == 0:
                continue  # part of a face, or behind another cell's corner
            dx = column + aside + (aside < 0) - x
            dy = row + down + (down < 0) - y
            square = dx * dx + dy * dy
            if square > reach * reach or square == 0.0:
                continue
            if square <= clearance * clearance:
                length = math.sqrt(square)
                lines[count, 0] = -dx / length
                lines[count, 1] = -dy / length
                lines[count, 2] = 0.0
            else:
                nx, ny, depth = way_out(dx, dy, clearance, horizon_s, vx, vy)
                lines[count, 0] = nx
                lines[count, 1] = ny
                lines[count, 2] = min(nx * vx + ny * vy + depth, 0.0)
            count += 1
    return count


@compiled
def slide(free: U8, stride: int, x: float, y: float, to_x: float, to_y: float) -> tuple[float, float]:
    """Where the straight step from (x, y) to (to_x, to_y) ends if it slides along walls; it starts on a free cell.

    The cells that it crosses are looked at in turn. One that is blocked stops the axis that leads into it,
    a few units in the last place before it, so that float32 does not round the end into it.
    """
    column = math.floor(x)
    row = math.floor(y)
    rim = 1e-5 + 3e-7 * (max(column, row) + STRIDE_MAX)
    while True:
        aside = math.floor(to_x) - column
        down = math.floor(to_y) - row
        cell = (row + 1) * stride + column + 1
        if aside == 0 and down == 0:
            break
        share_x = (column + (aside > 0) - x) / (to_x - x) if aside != 0 else 2.0
        share_y = (row + (down > 0) - y) / (to_y - y) if down != 0 else 2.0
        if share_x <= share_y:
            step = 1 if aside > 0 else -1
            if free[cell + step] != 0:
                y += (to_y - y) * share_x
                x = column + (step > 0)
                column += step
            else:
                to_x = column + 1 - rim if step > 0 else column + rim
        else:
            step = 1 if down > 0 else -1
            if free[cell + step * stride] != 0:
                x += (to_x - x) * share_y
                y = row + (step > 0)
                row += step
            else:
                to_y = row + 1 - rim if step > 0 else row + rim
    aside = -1 if to_x - column < rim else int(column + 1 - to_x < rim)
    down = -1 if to_y - row < rim else int(row + 1 - to_y < rim)
    if down != 0 and free[cell + down * stride] == 0:
        to_y = row + rim if down < 0 else row + 1 - rim
        down = 0
    if aside != 0 and free[cell + down * stride + aside] == 0:
        to_x = column + rim if aside < 0 else column + 1 - rim
    return to_x, to_y
