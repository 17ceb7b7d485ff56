"""Loads every kernel from disk, or compiles it, before the first request needs one: seconds on a machine's first start.

It knows which calls reach all kernels with the types that requests bring; nothing else uses it.
"""

from __future__ import annotations


def warm() -> None:
    """Run each search once on the smallest maps that reach all of it."""
    import numpy as np

    from app.modules.pathfinding.grids import labels, search, subgoals
    from app.modules.pathfinding.grids.mending import Repaired

    free = np.pad(np.ones((3, 3), np.uint8), 1)
    free[2, 2] = 0
    graph = subgoals.prepare(free)
    corners = np.array([[0, 0]], np.int16), np.array([[2, 2]], np.int16)
    search.answers(graph, *corners, np.inf, True, 10)
    labels.nearest_cells(graph.labels, graph.stride, corners[0], 0)
    mended = Repaired(graph)
    mended.set_cells(1, 1, np.zeros((1, 1), np.uint8))
    mended.set_cells(1, 1, np.ones((1, 1), np.uint8))
