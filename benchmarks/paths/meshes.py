"""Navmeshes made of published grid maps: microseconds a path and milliseconds to prepare.

A map becomes greedy maximal rectangles of passable cells. Vertices stand wherever rectangles meet,
so that edges match; corners may be touched, since this is geometry and not steps over cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.modules.pathfinding.surfaces import Mesh, Terrain

GROUND = (Terrain("blocked", float("inf")), Terrain("ground", 1.0))


def rectangles(free: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Greedy maximal rectangles that cover the passable cells, (n, 4): left, top, right, bottom."""
    rest = free.astype(bool).copy()
    height, width = rest.shape
    found = []
    # Free cells to the right of each, kept up to date row by row.
    for y in range(height):
        x = 0
        while x < width:
            if not rest[y, x]:
                x += 1
                continue
            best, right, most = (x, y, x + 1, y + 1), width, 0
            for bottom in range(y, height):
                row = rest[bottom, x:right]
                run = len(row) if row.all() else int(row.argmin())
                if run == 0:
                    break
                right = x + run
                if run * (bottom + 1 - y) > most:
                    most = run * (bottom + 1 - y)
                    best = (x, y, right, bottom + 1)
            left, top, right, bottom = best
            rest[top:bottom, left:right] = False
            found.append(best)
            x = right
    return np.array(found, np.int32).reshape(-1, 4)


def mesh_of(boxes: NDArray[np.int32]) -> Mesh:
    """Rectangles as a mesh, with a vertex on every edge where a corner of another one touches it."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)
    vertices, places = np.unique(corners, axis=0, return_inverse=True)
    width, height = (int(n) + 1 for n in boxes[:, 2:].max(axis=0))
    number = np.full((width, height), -1, np.int32)
    number[vertices[:, 0], vertices[:, 1]] = np.arange(len(vertices))
    first, around = [0], []
    for left, top, right, bottom in boxes.tolist():
        rim = np.concatenate([
            number[left:right, top], number[right, top:bottom],
            number[right:left:-1, bottom] , number[left, bottom:top:-1],
        ])
        around.append(rim[rim >= 0])
        first.append(first[-1] + len(around[-1]))
    return Mesh(
        np.column_stack([vertices, np.zeros(len(vertices))]).astype(np.float32),
        np.array(first, np.int32), np.concatenate(around).astype(np.int32),
        np.ones(len(boxes), np.int32), GROUND, (), 2,
    )
