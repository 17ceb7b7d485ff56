"""Regions of a grid: what can be walked to from where, and the nearest cell that can be stood on.

It knows cells and labels, not paths.
"""

from __future__ import annotations

import numpy as np

from app.modules.pathfinding.compiled import compiled
from app.modules.pathfinding.grids.graph import I16, I32, U8


@compiled
def label_components(free: U8, stride: int) -> tuple[I32, int]:
    """Number the regions: (cells,) int32, 0 where blocked, and how many regions there are.

    A legal diagonal always has two straight moves beside it, so straight moves decide.
    """
    labels = np.zeros(free.size, np.int32)
    stack = np.empty(free.size, np.int32)
    count = 0
    for seed in range(free.size):
        if free[seed] == 0 or labels[seed] != 0:
            continue
        count += 1
        labels[seed] = count
        stack[0] = seed
        top = 1
        while top > 0:
            top -= 1
            cell = stack[top]
            for neighbor in (cell - stride, cell - 1, cell + 1, cell + stride):
                if free[neighbor] != 0 and labels[neighbor] == 0:
                    labels[neighbor] = count
                    stack[top] = neighbor
                    top += 1
    return labels, count


@compiled
def nearest_cell(labels: I32, stride: int, x: int, y: int, region: int) -> tuple[int, int]:
    """The cell of `region` (0: of any) nearest to (x, y) in a straight line, or (-1, -1).

    Of equally near ones the first by row, then column. Looks at square rings around (x, y) until
    no farther ring can hold a nearer cell.
    """
    width = stride - 2
    height = labels.size // stride - 2
    best = 2**62
    best_x = -1
    best_y = -1
    for ring in range(max(abs(x), abs(width - 1 - x), abs(y), abs(height - 1 - y)) + 1):
        if ring * ring > best:
            break
        for row in range(max(y - ring, 0), min(y + ring, height - 1) + 1):
            step = 1 if abs(row - y) == ring else 2 * ring
            for column in range(x - ring, x + ring + 1, max(step, 1)):
                if column < 0 or column >= width:
                    continue
                label = labels[(row + 1) * stride + column + 1]
                away = (column - x) ** 2 + (row - y) ** 2
                ahead = row < best_y or (row == best_y and column < best_x)
                if label != 0 and (region == 0 or label == region) and (away < best or (away == best and ahead)):
                    best, best_x, best_y = away, column, row
    return best_x, best_y


@compiled
def nearest_cells(labels: I32, stride: int, cells: I16, region: int) -> I16:
    """nearest_cell for each of `cells`, (n, 2) int16."""
    nearest = np.empty(cells.shape, np.int16)
    for row in range(cells.shape[0]):
        x, y = nearest_cell(labels, stride, int(cells[row, 0]), int(cells[row, 1]), region)
        nearest[row, 0] = x
        nearest[row, 1] = y
    return nearest
