"""What a navmesh is once it is prepared: flat arrays that the kernels read, and what a batch of queries found.

It knows their shapes and meaning, not how they are computed nor what is done with them. Everything
is measured in the plane perpendicular to `up`; heights only tell storeys apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

FOUND, PARTIAL, UNREACHABLE, INVALID, OVER_BUDGET = 0, 1, 2, 3, 4
"""Places in messages.STATUSES."""

LANDMARKS = 4
"""Corners with known distances to all others."""


ALL = -2
"""In place of a vertex that bounds a cone of sight: its root is that end of the edge itself, nothing is cut off."""


class Sights(NamedTuple):
    """What sees what; all empty where a mesh has too many sights, and until they are looked for."""

    nodes: I32
    """(nodes, 3): corners around which paths bend: vertex, and its neighbors along the rim (-1: it bends anyhow)."""
    places: F64
    """(nodes, 6): where each is in the plane, and its neighbors along the rim; not a number where it bends anyhow."""
    distances: F64
    """(nodes, LANDMARKS): lengths of the ways from landmarks."""
    starts: I32
    """(nodes + 1,): the edges of node n are starts[n] .. starts[n + 1]."""
    onto: I32
    """(edges,): the node that each leads to."""
    turns: U8
    """(edges,): the sides on which the rim lies; see sights.py."""
    spans: F64
    """(edges,): lengths."""
    seen_first: I32
    """(polygons + 1,): the sights into polygon p are seen[seen_first[p]] .. seen[seen_first[p + 1]]."""
    seen: I32
    """(sights,): a node that sees a part of the polygon."""
    rays: F32
    """(sights, 4): points of the left and right ray between which it does; not a number where nothing is cut off."""


BLIND = Sights(
    np.empty((0, 3), np.int32), np.empty((0, 6)), np.empty((0, LANDMARKS)), np.zeros(1, np.int32),
    np.empty(0, np.int32), np.empty(0, np.uint8), np.empty(0), np.zeros(1, np.int32), np.empty(0, np.int32),
    np.empty((0, 4), np.float32),
)  # fmt: skip


class Prepared(NamedTuple):
    """A navmesh as one class of agents sees it: polygons that it may walk on, wound so that inside is on the left.

    A half-edge is a place in `corners`: the edge from that corner to the next one around its polygon.
    """

    up: int
    """The axis of height, as in Mesh."""
    points: F64
    """(vertices, 2): where vertices are in the plane; float32 values, so that tests of sides are exact."""
    heights: F64
    """(vertices,)"""
    first: I32
    """(polygons + 1,): the half-edges of polygon p are first[p] .. first[p + 1]."""
    corners: I32
    """(half-edges,): places in `points`."""
    twins: I32
    """(half-edges,): the same edge seen from the polygon on its other side, -1 where the mesh ends."""
    owner: I32
    """(half-edges,): the polygon that each belongs to."""
    cost: F64
    """(polygons,): what a unit of length costs there."""
    planes: F64
    """(polygons, 3): height = planes[p] . (1, u, v) at the point (u, v) of the plane."""
    shut: U8
    """(polygons,): 1 where nobody walks for now."""
    kept_apart: U8
    """(polygons,): 1 where a polygon may be shut and opened."""
    source: I32
    """(polygons of the mesh,): where each has gone, -1 for nowhere."""
    labels: I32
    """(polygons,): regions joined by shared edges, from 1 on; 0 where shut."""
    stems: I32
    """(polygons,): for one in a dead end, the neighbor towards the rest of the region; -1 for all others."""
    linked: I32
    """(regions + 1,): the place of each region in `reach`, -1 for one that no link touches."""
    reach: U8
    """(linked regions, linked regions): 1 where a way leads from the row's region to the column's."""
    bends: U8
    """(vertices,): 0 where no shortest path bends, 1 where one may around beside[v], 2 where one may anyhow."""
    beside: I32
    """(vertices, 2): the vertices before and after along the rim of the mesh."""
    exits: I32
    """(links, 2): the polygons that each way of a link leads from and to, in the order of the first."""
    exits_first: I32
    """(polygons + 1,): the links that lead from polygon p are exits_first[p] .. exits_first[p + 1]."""
    ends: F64
    """(links, 7): start and end, each as (u, v, height), and the cost."""
    corner: F64
    """(3,): least u, least v and the side of a cell of the spatial index."""
    cells_first: I32
    """(rows, columns + 1): those in cell (r, c) are touching[cells_first[r, c]] .. touching[cells_first[r, c + 1]]."""
    touching: I32
    """(...,): polygons, by cell."""
    sights: Sights
    cheapest: float
    """The least cost of a unit of length, links included."""
    uniform: bool
    """Whether all ground costs the same and no link exists: the exact search applies."""


class Answers(NamedTuple):
    """What a batch of n queries found."""

    status: U8
    """(n,): places in messages.STATUSES."""
    cost: F64
    """(n,): NaN where there is no path."""
    expansions: I32
    """(n,)"""
    offsets: I32
    """(n + 1,): the waypoints of query i are rows offsets[i] .. offsets[i + 1]."""
    waypoints: F32
    """(m, 3): in the mesh's own axes."""
