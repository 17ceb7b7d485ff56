"""Regions of a mesh: what can be walked to from where.

It knows polygons and shared edges, not links and not paths.
"""

from __future__ import annotations

import numpy as np

from app.modules.pathfinding.compiled import compiled
from app.modules.pathfinding.meshes.graph import I32, U8


@compiled
def label(first: I32, twins: I32, owner: I32, shut: U8) -> tuple[I32, int]:
    """Number the regions: (polygons,) int32, 0 where shut, and how many there are."""
    labels = np.zeros(shut.size, np.int32)
    stack = np.empty(shut.size, np.int32)
    count = 0
    for seed in range(shut.size):
        if shut[seed] != 0 or labels[seed] != 0:
            continue
        count += 1
        labels[seed] = count
        stack[0] = seed
        top = 1
        while top > 0:
            top -= 1
            polygon = stack[top]
            for half in range(first[polygon], first[polygon + 1]):
                if twins[half] < 0:
                    continue
                other = owner[twins[half]]
                if shut[other] == 0 and labels[other] == 0:
                    labels[other] = count
                    stack[top] = other
                    top += 1
    return labels, count


@compiled
def dead_ends(first: I32, twins: I32, owner: I32) -> I32:
    """For each polygon in a dead end the neighbor through which all ways lead, else -1: (polygons,) int32.

    Polygons with one way out are taken off until none is left; shortest paths enter them only to
    end there.
    """
    polygons = first.size - 1
    exits = np.zeros(polygons, np.int32)
    stems = np.full(polygons, -1, np.int32)
    stack = np.empty(polygons, np.int32)
    off = np.zeros(polygons, np.uint8)
    top = 0
    for polygon in range(polygons):
        for half in range(first[polygon], first[polygon + 1]):
            exits[polygon] += twins[half] >= 0
        if exits[polygon] == 1:
            stack[top] = polygon
            top += 1
    while top > 0:
        top -= 1
        polygon = stack[top]
        if exits[polygon] != 1:
            continue
        off[polygon] = 1
        for half in range(first[polygon], first[polygon + 1]):
            if twins[half] >= 0 and off[owner[twins[half]]] == 0:
                other = owner[twins[half]]
                stems[polygon] = other
                exits[other] -= 1
                if exits[other] == 1:
                    stack[top] = other
                    top += 1
    return stems
