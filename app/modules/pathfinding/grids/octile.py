"""Moves on a grid of eight neighbors: their costs, a direct view, and the turns that a shortest path takes.

Costs are the integers of subgoals.py. It knows cells and compass directions, not how a path is found.
"""

from __future__ import annotations

from app.modules.pathfinding.compiled import inlined
from app.modules.pathfinding.grids.graph import I16, I32
from app.modules.pathfinding.grids.subgoals import DIAGONAL, DX, DY, STRAIGHT, connect

ANYWHERE = 8
"""In place of a compass direction: a path that starts on a subgoal may go on anywhere."""


@inlined
def octile(dx: int, dy: int) -> int:
    """Cost of a way as if nothing stood in it; `dx` and `dy` are not negative."""
    return STRAIGHT * abs(dx - dy) + DIAGONAL * min(dx, dy)


@inlined
def sees(start: int, goal: int, stride: int, clear: I16) -> bool:
    """Whether diagonal steps and then straight ones lead from start to goal past no subgoal and no wall."""
    dx = goal % stride - start % stride
    dy = goal // stride - start // stride
    slanted = min(abs(dx), abs(dy))
    straight = max(abs(dx), abs(dy)) - slanted
    quadrant = (0 if dy < 0 else 1) if dx > 0 else (2 if dy > 0 else 3)
    side = (1 if dx > 0 else 3) if abs(dx) > abs(dy) else (2 if dy > 0 else 0)
    bend = start + slanted * (DX[4 + quadrant] + DY[4 + quadrant] * stride)
    if slanted > abs(clear[start, 4 + quadrant]):
        return False
    return bool(straight <= abs(clear[bend, side]))


@inlined
def onward(arrival: int) -> tuple[int, int]:
    """The compass directions, first and last, that a shortest path can take on from a subgoal.

    One that came north-east goes on between north and east, one that came north between west and
    east, never back in x or in y: it would have met a cell beside the subgoal at a lower cost.
    """
    if arrival == ANYWHERE:
        return 0, 7
    turn = 1 if arrival & 1 else 2
    return (arrival - turn) & 7, (arrival + turn) & 7


@inlined
def connect_or_be(cell: int, stride: int, clear: I16, node_of: I32, near: I32) -> int:
    """subgoals.connect, or the cell itself at no cost where it is a subgoal."""
    if node_of[cell] < 0:
        return connect(cell, stride, clear, node_of, near)
    near[0, 0] = node_of[cell]
    near[0, 1] = 0
    near[0, 2] = ANYWHERE
    return 1
