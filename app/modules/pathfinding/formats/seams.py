"""Edges that overlap without sharing their ends, as at the borders of baked tiles, and the vertices that split them.

It knows edges that one polygon has alone; it does not know what is a legal mesh. Detour joins tiles in
the same way while it runs, by how far their border edges overlap (dtNavMesh::connectExtLinks).
"""

from __future__ import annotations

import math
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
"""Edges times vertices near them that are looked at, which takes some seconds; real worlds have a hundredth."""

CHUNK_PAIRS = 1_048_576


class Splits(NamedTuple):
    """Vertices in the order in which they split edges: by edge, and then along it."""

    edges: I64
    vertices: I64


class Near(NamedTuple):
    """Runs of vertices that lie near edges: those in one row of a lattice, within the edge's span across."""

    order: I64
    """All vertices, by row and then across."""
    edges: I64
    """(runs,)."""
    low: I64
    """(runs,): the place of the first vertex in `order`."""
    counts: I64
    """(runs,)."""


def splits(flat: F64, height: F64, edges: I64) -> Splits:
    """Which vertices split which edges; `edges` (edges, 2) are ends, and only these ends split others.

    `flat` (vertices, 2) are points seen from above, `height` (vertices,) is the third axis.
    Raises Invalid when edges span so many vertices that looking at them would take minutes.
    """
    found = [np.empty((3, 0))]
    for edge, vertex in _pairs(_near(flat, edges)) if len(edges) else ():
        part = _part(flat, height, edges[edge], vertex)
        on = ~np.isnan(part)
        found.append(np.stack([edge[on], part[on], vertex[on]]))
    edge, part, vertex = np.concatenate(found, axis=1)
    order = np.lexsort((vertex, part, edge))
    return Splits(edge[order].astype(np.int64), vertex[order].astype(np.int64))


def _near(flat: F64, edges: I64) -> Near:
    """The vertices near each edge, over a lattice of as many rows as it has vertices in a row on the average."""
    ends = np.unique(edges)
    corner, extent = flat[ends].min(axis=0), np.ptp(flat[ends], axis=0)
    rows = math.isqrt(len(ends))
    wide, tall = (extent + 4.0 * OFF_MAX) / (1, rows)
    x, y = (flat[ends] - corner).T
    keys = np.floor(y / tall) * wide + x
    order = np.argsort(keys, kind="stable")
    span = np.sort(flat[edges] - corner, axis=1)  # (edges, 2, 2): least and greatest, by axis
    left, right = np.maximum(span[:, 0, 0] - OFF_MAX, 0.0), np.minimum(span[:, 1, 0] + OFF_MAX, extent[0])
    first = np.floor(np.maximum(span[:, 0, 1] - OFF_MAX, 0.0) / tall)
    counts = (np.floor((span[:, 1, 1] + OFF_MAX) / tall) - first).astype(np.int64) + 1
    _check_total(counts)
    edge = np.repeat(np.arange(len(edges)), counts)
    row = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(len(edge))
    low = np.searchsorted(keys[order], row * wide + left[edge], side="left")
    high = np.searchsorted(keys[order], row * wide + right[edge], side="right")
    _check_total(high - low)
    return Near(ends[order], edge, low, high - low)


def _check_total(counts: I64) -> None:
    if int(counts.sum()) > PAIRS_MAX:
        raise Invalid("the map has too many long edges that no two polygons share", hint="split it into several maps")


def _pairs(near: Near) -> Iterator[tuple[I64, I64]]:
    """Edges with the vertices near them, (pairs,) each, a chunk at a time."""
    chunk = np.cumsum(near.counts) // CHUNK_PAIRS
    for some in np.split(np.arange(len(chunk)), np.flatnonzero(np.diff(chunk)) + 1):
        counts = near.counts[some]
        place = np.repeat(near.low[some] - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))
        yield np.repeat(near.edges[some], counts), near.order[place]


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
