"""The slow twin of lines of sight: exact fractions, and every cell of the box around a line looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from tests.modules.pathfinding.grids.twin import Cell, Rows, is_free

Point = tuple[Fraction, Fraction]


def center(cell: Cell) -> Point:
    """The middle of a cell."""
    return cell[0] + Fraction(1, 2), cell[1] + Fraction(1, 2)


def crossed(a: Point, b: Point) -> list[tuple[Fraction, Fraction, Cell]]:
    """Cells whose interior a line crosses, in order: from which share of it, to which, and the cell."""
    found = []
    for x in range(math.floor(min(a[0], b[0])), math.floor(max(a[0], b[0])) + 1):
        for y in range(math.floor(min(a[1], b[1])), math.floor(max(a[1], b[1])) + 1):
            low, high = Fraction(0), Fraction(1)
            inside = True
            for side, start, end in ((x, a[0], b[0]), (y, a[1], b[1])):
                if start == end:
                    inside = inside and side < start < side + 1
                else:
                    enters, leaves = sorted(((side - start) / (end - start), (side + 1 - start) / (end - start)))
                    low, high = max(low, enters), min(high, leaves)
            if inside and low < high:
                found.append((low, high, (x, y)))
    return sorted(found)


def reach(rows: Rows, a: Point, b: Point) -> tuple[bool, Cell]:
    """Whether a line between two points that lie inside of cells is clear, and the last cell before what stops it."""
    last = (math.floor(a[0]), math.floor(a[1]))
    for _, _, (x, y) in crossed(a, b):
        corner = x != last[0] and y != last[1]
        if corner and not (is_free(rows, x, last[1]) and is_free(rows, last[0], y)):
            return False, last
        if not is_free(rows, x, y):
            return False, last
        last = (x, y)
    return True, last


def sees(rows: Rows, a: Cell, b: Cell) -> bool:
    """Whether two cells' centers see each other."""
    return is_free(rows, *a) and reach(rows, center(a), center(b))[0]


def price(costs: Sequence[Sequence[float]], a: Cell, b: Cell) -> float:
    """What the ground costs along the line from center to center."""
    shares = crossed(center(a), center(b))
    return math.dist(a, b) * sum(float(high - low) * float(costs[y][x]) for low, high, (x, y) in shares)
