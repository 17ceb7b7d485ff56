"""What a map is once it is prepared: flat arrays that the kernels read.

It knows their shapes and meaning, not how they are computed nor what is done with them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
U16 = NDArray[np.uint16]
I16 = NDArray[np.int16]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


LINK_BITS = 15
LINK_MASK = (1 << LINK_BITS) - 1


class Hubs(NamedTuple):
    """Every shortest path between nodes, as hub labels; all arrays are empty until they are computed.

    The label of a node is a list of hubs, each with its distance and the next node on the way to it.
    Any two nodes of a region share a hub that lies on a shortest path between them.
    """

    links: I32 = np.empty((0, 8), np.int32)
    """(cells, 8): where diagonal steps from a cell next meet one that sees a subgoal straight aside, 0 for nowhere.

    Column 2 * k + t: on the diagonal between the directions k and k + 1, aside towards k + t. The value is
    steps | straight steps from there to the subgoal << LINK_BITS | whether a link goes on there << 2 * LINK_BITS. A
    subgoal that is farther aside than one met before does not count: it is reached as cheaply through that one.
    """
    first: I32 = np.empty((0, 10), np.int32)
    """(nodes, 10): in the label of node n, the way to hubs first[n, d + 1] .. first[n, d + 2] begins in compass
    direction d. The first hub, first[n, 0], is the node itself if it is a hub to itself."""
    labels: I32 = np.empty((0, 2), np.int32)
    """(entries, 2): a hub by its rank, and its distance."""
    ways: I32 = np.empty((0, 2), np.int32)
    """(entries, 2): the column << 16 | row of an entry's node, border included, and the entry of the next node on the
    way to the hub; the hub's own entry names itself."""


NO_HUBS = Hubs()


class Graph(NamedTuple):
    """A grid with a blocked border of one cell, and the subgoal graph over it.

    A cell is numbered row * stride + column, border included: cells = (height + 2) * (width + 2).
    """

    stride: int
    """Cells in a row, border included."""
    regions: int
    """Regions without a way between them."""
    labels: I32
    """(cells,): the region of each cell from 1 on, 0 where blocked."""
    clear: I16
    """(cells, 8): free steps by direction, see subgoals.measure_clearance."""
    node_of: I32
    """(cells,): the node on each cell, -1 for none."""
    nodes: I32
    """(nodes, 2 + landmarks): column and row, border included, then the distances from the landmarks."""
    first: I32
    """(nodes, 9): the edges of node n in compass direction d are first[n, d] .. first[n, d + 1].

    Directions go around from north: 0 north, 1 between north and east, 2 east, and so on.
    """
    edges: I32
    """(edges, 2): direction << 24 | the node that an edge leads to, and its cost."""
    hubs: Hubs = NO_HUBS
    """Valid for exactly these nodes and edges: who changes those goes on with NO_HUBS."""

    @property
    def width(self) -> int:
        return self.stride - 2

    @property
    def height(self) -> int:
        return self.labels.size // self.stride - 2


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
    waypoints: I16
    """(m, 2): x, y."""
