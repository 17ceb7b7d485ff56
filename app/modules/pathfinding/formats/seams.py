"""Edges that overlap without sharing their ends, as at the borders of baked tiles, and the vertices that split them.

It knows edges that one polygon has alone; it does not know what is a legal mesh. Detour joins tiles in
the same way while it runs, by how far their border edges overlap (dtNavMesh::connectExtLinks).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.formats.weld import WELD_UNITS

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

OFF_MAX = 2.0 * WELD_UNITS
"""World units, seen from above, that a vertex may lie beside an edge that it splits."""

CLIMB_MAX = 0.5
"""World units that it may lie above or below that edge."""

PAIRS_MAX = 33_554_432
"""Edges times vertices near them that are looked at, which takes some seconds."""

CHUNK_PAIRS = 1_048_576


class Splits(NamedTuple):
    """Vertices in the order in which they split edges: by edge, and then along it."""

    edges: I64
    vertices: I64


class Near(NamedTuple):
    """For each edge the vertices whose coordinate on one axis lies within its span."""

    order: I64
    """All vertices, by that coordinate."""
    low: I64
    """(edges,): the place of the first one in `order`."""
    counts: I64
    """(edges,)."""


def splits(flat: F64, height: F64, edges: I64) -> Splits:
    """Which vertices split which edges; `edges` (edges, 2) are ends, and only these ends split others.

    `flat` (vertices, 2) are points seen from above, `height` (vertices,) is the third axis.
    Raises Invalid when so many edges span so many vertices that looking at them would take minutes.
    """
    ends = np.unique(edges)
    axes = [_near(flat[:, axis], edges, ends) for axis in (0, 1)]
    fewer = axes[0].counts <= axes[1].counts
    if int(np.where(fewer, axes[0].counts, axes[1].counts).sum()) > PAIRS_MAX:
        raise Invalid("the map has too many long edges that no two polygons share", hint="split it into several maps")
    found = [np.empty((3, 0))]
    for near, mine in zip(axes, (np.flatnonzero(fewer), np.flatnonzero(~fewer)), strict=True):
        for edge, vertex in _pairs(near, mine):
            part = _part(flat, height, edges[edge], vertex)
            on = ~np.isnan(part)
            found.append(np.stack([edge[on], part[on], vertex[on]]))
    edge, part, vertex = np.concatenate(found, axis=1)
    order = np.lexsort((vertex, part, edge))
    return Splits(edge[order].astype(np.int64), vertex[order].astype(np.int64))


def _near(values: F64, edges: I64, ends: I64) -> Near:
    order = ends[np.argsort(values[ends], kind="stable")]
    span = np.sort(values[edges], axis=1)  # (edges, 2)
    low = np.searchsorted(values[order], span[:, 0] - OFF_MAX, side="left")
    high = np.searchsorted(values[order], span[:, 1] + OFF_MAX, side="right")
    return Near(order, low, high - low)


def _pairs(near: Near, mine: I64) -> Iterator[tuple[I64, I64]]:
    """Some edges with the vertices near them, (pairs,) each, a chunk at a time."""
    done = np.cumsum(near.counts[mine])
    for some in np.split(mine, np.flatnonzero(np.diff(done // CHUNK_PAIRS)) + 1):
        counts = near.counts[some]
        edge = np.repeat(some, counts)
        place = np.arange(len(edge)) + np.repeat(near.low[some] - (np.cumsum(counts) - counts), counts)
        yield edge, near.order[place]


def _part(flat: F64, height: F64, edge: I64, vertex: I64) -> F64:
    """How far along its edge each vertex lies, from 0 to 1, (pairs,); NaN where it does not split the edge."""
    start, end = edge[:, 0], edge[:, 1]
    way, there = flat[end] - flat[start], flat[vertex] - flat[start]
    length = np.maximum(np.sqrt((way * way).sum(axis=1)), WELD_UNITS)
    part: F64 = (way * there).sum(axis=1) / (length * length)
    off = np.abs(way[:, 0] * there[:, 1] - way[:, 1] * there[:, 0]) / length
    climb = np.abs(height[vertex] - height[start] - part * (height[end] - height[start]))
    inside = np.minimum(part, 1.0 - part) * length > OFF_MAX
    part[~(inside & (off <= OFF_MAX) & (climb <= CLIMB_MAX))] = np.nan
    return part
