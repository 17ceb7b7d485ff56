"""Region labels that follow their grid: what joins when cells open, what falls apart when cells are blocked.

It knows free cells, labels and how many cells each has; it does not know why a cell changes. The
work grows with the smaller side of what is joined or parted, not with the map.
"""

from __future__ import annotations

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import I32, U8


@compiled
def open_cells(labels: I32, free: U8, sizes: I32, given: int, stride: int, cells: I32) -> int:
    """Free `cells`, which are blocked, and label them; the number of labels ever given.

    `sizes` (labels,) counts the cells of each; a region that is joined to a larger one takes its label.
    """
    stack = np.empty(labels.size, np.int32)
    for cell in cells:
        free[cell] = 1
        label = 0
        for neighbor in (cell - stride, cell - 1, cell + 1, cell + stride):
            other = labels[neighbor]
            if other > 0 and (label == 0 or sizes[other] > sizes[label]):
                label = other
        if label == 0:
            given += 1
            label = given
        labels[cell] = label
        sizes[label] += 1
        for neighbor in (cell - stride, cell - 1, cell + 1, cell + stride):
            if labels[neighbor] > 0 and labels[neighbor] != label:
                sizes[label] += _pour(labels, sizes, stride, neighbor, label, stack)
    return given


@compiled
def _pour(labels: I32, sizes: I32, stride: int, seed: int, label: int, stack: I32) -> int:
    """Give the region around `seed` another label; how many cells it had."""
    old = labels[seed]
    labels[seed] = label
    stack[0] = seed
    top = 1
    count = 1
    while top > 0:
        top -= 1
        cell = stack[top]
        for neighbor in (cell - stride, cell - 1, cell + 1, cell + stride):
            if labels[neighbor] == old:
                labels[neighbor] = label
                stack[top] = neighbor
                top += 1
                count += 1
    sizes[old] -= count
    return count


@compiled
def block_cells(labels: I32, free: U8, sizes: I32, given: int, stride: int, cells: I32) -> int:
    """Block `cells`, which are free, and label anew what is cut off by that; the number of labels ever given.

    From every free neighbor of them a flood spreads, all in turn, and floods that meet become one. What
    a flood has filled when it can go no farther is cut off; the last one of a region need not go on.
    """
    for cell in cells:
        free[cell] = 0
        sizes[labels[cell]] -= 1
        labels[cell] = 0
    flood_of = np.zeros(labels.size, np.int32)
    after = np.empty(labels.size, np.int32)
    heads = np.full(4 * cells.size + 1, -1, np.int32)
    tails = np.full(4 * cells.size + 1, -1, np.int32)
    joined = np.arange(4 * cells.size + 1).astype(np.int32)
    seeds = np.zeros(4 * cells.size + 1, np.int32)
    floods = 0
    for cell in cells:
        for neighbor in (cell - stride, cell - 1, cell + 1, cell + stride):
            if free[neighbor] != 0 and flood_of[neighbor] == 0:
                floods += 1
                flood_of[neighbor] = floods
                seeds[floods] = heads[floods] = tails[floods] = neighbor
                after[neighbor] = -1
    running = np.zeros(given + 1, np.int32)
    for flood in range(1, floods + 1):
        running[labels[seeds[flood]]] += 1
    cut = np.zeros(floods + 1, np.uint8)
    going = True
    while going:
        going = False
        for flood in range(1, floods + 1):
            label = labels[seeds[flood]]
            if joined[flood] != flood or cut[flood] != 0 or running[label] <= 1:
                continue
            going = True
            met = _spread_once(labels, stride, flood, flood_of, after, heads, tails, joined)
            running[label] -= met
            if heads[flood] < 0 and running[label] > 1:
                cut[flood] = 1
                running[label] -= 1
    stack = after
    for flood in range(1, floods + 1):
        if cut[flood] != 0:
            given += 1
            sizes[given] = _pour(labels, sizes, stride, seeds[flood], given, stack)
    return given


@inlined
def _spread_once(
    labels: I32, stride: int, flood: int, flood_of: I32, after: I32, heads: I32, tails: I32, joined: I32
) -> int:
    """Fill the neighbors of one cell at the rim of a flood; how many other floods were met and joined."""
    cell = heads[flood]
    heads[flood] = after[cell]
    met = 0
    for neighbor in (cell - stride, cell - 1, cell + 1, cell + stride):
        if labels[neighbor] == 0:
            continue
        other = flood_of[neighbor]
        if other == 0:
            flood_of[neighbor] = flood
            after[neighbor] = -1
            if heads[flood] < 0:
                heads[flood] = neighbor
            else:
                after[tails[flood]] = neighbor
            tails[flood] = neighbor
            continue
        while joined[other] != other:
            other = joined[other]
        if other != flood:
            joined[other] = flood
            met += 1
            if heads[other] >= 0:
                if heads[flood] < 0:
                    heads[flood] = heads[other]
                else:
                    after[tails[flood]] = heads[other]
                tails[flood] = tails[other]
    return met
