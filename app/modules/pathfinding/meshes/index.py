"""A uniform grid over the plane of a mesh, to find the polygons around a point.

It knows bounding boxes; what is done with the polygons found is in other files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.modules.pathfinding.meshes.graph import F64, I32

CELLS_PER_POLYGON = 2
ENTRIES_PER_POLYGON = 12
"""A coarser grid is taken where polygons would stand in more cells than this on average."""


def spread(points: F64, first: I32, corners: I32) -> tuple[F64, I32, I32]:
    """The corner and cell side, the cells and the polygons in them, as Prepared has them.

    A polygon without area stands in no cell: its neighbors hold all of its points.
    """
    count = len(first) - 1
    if count == 0 or len(corners) == 0:
        return np.array([0.0, 0.0, 1.0]), np.zeros((1, 2), np.int32), np.empty(0, np.int32)
    around = points[corners]
    low = np.minimum.reduceat(around, first[:-1], axis=0)
    high = np.maximum.reduceat(around, first[:-1], axis=0)
    least, most = low.min(axis=0), high.max(axis=0)
    extent = np.maximum(most - least, 1e-6 * max(1.0, float(np.abs(most).max())))
    side = max(
        float(np.sqrt(extent[0] * extent[1] / (CELLS_PER_POLYGON * count))),
        float(extent.max()) / (CELLS_PER_POLYGON * count + 16),
    )
    solid = (high - low).min(axis=1) > 0
    while True:
        from_, to = ((low - least) / side).astype(np.int64), ((high - least) / side).astype(np.int64)
        sizes = np.where(solid, (to - from_ + 1).prod(axis=1), 0)
        if sizes.sum() <= ENTRIES_PER_POLYGON * count + 64 or float(extent.max()) < side:
            break
        side *= 1.5
    columns, rows = (int(n) + 1 for n in to.max(axis=0))
    polygon = np.repeat(np.arange(count), sizes)
    number = np.arange(len(polygon)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    wide = (to - from_ + 1)[polygon, 0]
    cell = (from_[polygon, 1] + number // wide) * columns + from_[polygon, 0] + number % wide
    order = np.argsort(cell, kind="stable")
    cuts: NDArray[np.int64] = np.searchsorted(cell[order], np.arange(rows * columns + 1))
    table = np.empty((rows, columns + 1), np.int32)
    table[:, :columns] = cuts[:-1].reshape(rows, columns)
    table[:, columns] = cuts[columns::columns]
    return np.append(least, side), table, polygon[order].astype(np.int32)
