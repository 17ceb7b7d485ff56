"""A subgoal graph that follows its grid as cells are blocked and opened, changed only where the change is felt.

It knows which entries of graph.py's arrays depend on which cells; it does not know what an obstacle
is. After a change, searches find what they would find on a graph prepared anew.

Clearances are mended outward from the changed cells, each ray until a value comes out as it was. The
edges of a node depend on the clearances along its diagonals, so that the nodes at the ends of the
diagonals from each changed clearance are joined anew. Landmark distances were measured on the grid
that `Repaired` began with: as long as cells were only blocked since, they bound paths from below;
once a cell opens that was blocked then, they are set to zero, which bounds nothing.
"""

from __future__ import annotations

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import I32, I64, NO_HUBS, U8, Graph
from app.modules.pathfinding.grids.heap import NODE_BITS
from app.modules.pathfinding.grids.labels import label_components
from app.modules.pathfinding.grids.relabeling import block_cells, open_cells
from app.modules.pathfinding.grids.subgoals import DX, DY, FAR, connect, extend, is_corner, resized

ROOM = 256
"""Rows that arrays are made longer by, at least."""
LABELS_MAX = 65_536
"""Labels given before all are counted anew."""

NODES, SPARE, EDGES, MARKED = 0, 1, 2, 3
"""Places in `used`: nodes ever made, nodes free again, rows of edges written, nodes to join anew."""


class Repaired:
    """A graph of its own over a grid that changes; not for two threads at once."""

    def __init__(self, base: Graph) -> None:
        """Start from a prepared graph, which stays as it is; the copy takes about as much memory again."""
        self.base = base
        self.bounded = True
        """Whether the landmark distances still bound anything."""
        self.differing = 0
        """Cells that are other than in the graph that this began with."""
        self.free: U8 = (base.labels > 0).astype(np.uint8)
        """(cells,): what is passable now."""
        self._given = base.regions
        self._sizes = _longer(np.bincount(base.labels, minlength=base.regions + 1).astype(np.int32), ROOM)
        self._spare = np.zeros(len(base.nodes) + ROOM, np.int32)
        self._marks = np.zeros(len(base.nodes) + ROOM, np.int32)
        self._used = np.array([len(base.nodes), 0, len(base.edges), 0], np.int64)
        self.graph = base._replace(
            labels=base.labels.copy(),
            clear=base.clear.copy(),
            node_of=base.node_of.copy(),
            nodes=_longer(base.nodes, ROOM),
            first=_longer(base.first, ROOM),
            edges=_longer(base.edges, ROOM),
            hubs=NO_HUBS,
        )

    def set_cells(self, left: int, top: int, free: U8) -> int:
        """Make the cells from column `left` and row `top` on, border included, be as `free` (height, width) says.

        The rectangle lies within the border. Returns how many cells changed.
        """
        stride = self.graph.stride
        height, width = free.shape
        now = self.free.reshape(-1, stride)[top : top + height, left : left + width]
        rows, columns = np.nonzero(now != free)
        if len(rows) == 0:
            return 0
        cells = ((rows + top) * stride + columns + left).astype(np.int32)
        opened = free[rows, columns] > 0
        if self.bounded and bool((self.base.labels[cells[opened]] == 0).any()):
            self.bounded = False
            self.graph.nodes[:, 2:] = 0
        away = (self.base.labels[cells] > 0) != opened
        self.differing += 2 * int(away.sum()) - len(cells)
        self._relabel(cells[opened], cells[~opened])
        box = (left + int(columns.min()), top + int(rows.min()), left + int(columns.max()), top + int(rows.max()))
        self._mend(*box)
        return len(rows)

    def _relabel(self, opened: I32, blocked: I32) -> None:
        graph = self.graph
        need = self._given + len(opened) + 4 * len(blocked) + 1
        if need > LABELS_MAX + graph.regions:
            fresh, self._given = label_components(self.free, graph.stride)
            graph.labels[:] = fresh
            self._sizes = np.bincount(fresh).astype(np.int32)
            need = self._given + len(opened) + 4 * len(blocked) + 1
        if need > len(self._sizes):
            self._sizes = _longer(self._sizes, need + ROOM - len(self._sizes))
        if len(opened):
            self._given = open_cells(graph.labels, self.free, self._sizes, self._given, graph.stride, opened)
        if len(blocked):
            self._given = block_cells(graph.labels, self.free, self._sizes, self._given, graph.stride, blocked)

    def _mend(self, x0: int, y0: int, x1: int, y1: int) -> None:
        more = (x1 - x0 + 3) * (y1 - y0 + 3)
        if self._used[NODES] + more > len(self.graph.nodes):
            longer = more + max(ROOM, len(self.graph.nodes) // 4)
            self._spare, self._marks = _longer(self._spare, longer), _longer(self._marks, longer)
            self.graph = self.graph._replace(
                nodes=_longer(self.graph.nodes, longer), first=_longer(self.graph.first, longer)
            )
        box = np.array([x0, y0, x1, y1], np.int64)
        find_corners(self.graph, self.base, self.free, box, self.bounded, self._used, self._spare, self._marks)
        mend_clearance(self.graph, self.free, box, self._used, self._marks)
        edges = rejoin(self.graph, self._used, self._marks)
        self.graph = self.graph._replace(edges=edges)


def _longer(rows: I32, more: int) -> I32:
    return np.concatenate([rows, np.zeros((more, *rows.shape[1:]), rows.dtype)])


@inlined
def _mark(graph: Graph, used: I64, marks: I32, node: int) -> None:
    """List a node to be joined anew, once: `first` below zero says that it is listed."""
    if graph.first[node, 0] >= 0:
        graph.first[node, 0] = -1 - graph.first[node, 0]
        marks[used[MARKED]] = node
        used[MARKED] += 1


@compiled
def find_corners(
    graph: Graph, base: Graph, free: U8, box: I64, bounded: bool, used: I64, spare: I32, marks: I32
) -> None:
    """Make and remove the nodes in and around the box of changed cells: x0, y0, x1, y1, all inside the border."""
    stride = graph.stride
    for row in range(max(box[1] - 1, 1), min(box[3] + 1, free.size // stride - 2) + 1):
        for column in range(max(box[0] - 1, 1), min(box[2] + 1, stride - 2) + 1):
            cell = row * stride + column
            node = graph.node_of[cell]
            if is_corner(free, stride, cell) == (node >= 0):
                continue
            if node >= 0:
                graph.node_of[cell] = -1
                graph.first[node, :] = 0
                spare[used[SPARE]] = node
                used[SPARE] += 1
                continue
            if used[SPARE] > 0:
                used[SPARE] -= 1
                node = spare[used[SPARE]]
            else:
                node = used[NODES]
                used[NODES] += 1
            graph.node_of[cell] = node
            graph.nodes[node, 0] = column
            graph.nodes[node, 1] = row
            graph.nodes[node, 2:] = 0
            if bounded:
                _measure(graph.nodes, base, node, cell)
            graph.first[node, :] = 0
            _mark(graph, used, marks, node)


@compiled
def _measure(nodes: I32, base: Graph, node: int, cell: int) -> None:
    """Landmark distances of a new node, on the grid where those of the others were measured."""
    known = base.node_of[cell]
    if known >= 0:
        nodes[node, 2:] = base.nodes[known, 2:]
        return
    near = np.empty((8 * (base.stride + base.labels.size // base.stride), 3), np.int32)
    nodes[node, 2:] = FAR
    for index in range(connect(cell, base.stride, base.clear, base.node_of, near)):
        for column in range(2, nodes.shape[1]):
            through = np.int64(base.nodes[near[index, 0], column]) + near[index, 1]
            nodes[node, column] = min(np.int64(nodes[node, column]), through)


@compiled
def mend_clearance(graph: Graph, free: U8, box: I64, used: I64, marks: I32) -> None:
    """Mend the clearances that a change in the box is felt in, and mark the nodes whose edges read them.

    Diagonals first: they tell which nodes read a straight clearance.
    """
    stride, clear, node_of = graph.stride, graph.clear, graph.node_of
    top, bottom = max(box[1] - 2, 1), min(box[3] + 2, free.size // stride - 2)
    left, right = max(box[0] - 2, 1), min(box[2] + 2, stride - 2)
    for turn in range(8):
        direction = (turn + 4) & 7
        dx, dy = DX[direction], DY[direction] * stride
        for line in range(bottom - top + 1):
            row = bottom - line if dy > 0 else top + line
            for place in range(right - left + 1):
                column = right - place if dx > 0 else left + place
                cell = row * stride + column
                inside = True
                while inside:
                    value = extend(clear, free, node_of, cell, direction, dx, dy)
                    if value == clear[cell, direction]:
                        break
                    clear[cell, direction] = value
                    _mark_readers(graph, used, marks, cell, direction)
                    cell -= dx + dy
                    back_x, back_y = cell % stride, cell // stride
                    inside = back_x < left or back_x > right or back_y < top or back_y > bottom


@inlined
def _mark_readers(graph: Graph, used: I64, marks: I32, cell: int, direction: int) -> None:
    """Mark the nodes whose edges follow from this clearance: on the cell, or at a diagonal's end behind it."""
    if graph.node_of[cell] >= 0:
        _mark(graph, used, marks, graph.node_of[cell])
    if direction < 4:
        for quadrant in (direction, (direction + 3) & 3):
            behind = 4 + ((quadrant + 2) & 3)
            steps = graph.clear[cell, behind]
            if steps > 0:
                reader = graph.node_of[cell + steps * (DX[behind] + DY[behind] * graph.stride)]
                if reader >= 0:
                    _mark(graph, used, marks, reader)


@compiled
def rejoin(graph: Graph, used: I64, marks: I32) -> I32:
    """Write the edges of all marked nodes anew, in place where they fit, else behind the others; the edges' rows.

    Rows left behind are dropped when they are more than those in use.
    """
    edges = graph.edges
    near = np.empty((8 * (graph.stride + graph.labels.size // graph.stride), 3), np.int32)
    for index in range(used[MARKED]):
        node = marks[index]
        graph.first[node, 0] = -1 - graph.first[node, 0]
        if graph.node_of[graph.nodes[node, 1] * graph.stride + graph.nodes[node, 0]] != node:
            continue
        cell = graph.nodes[node, 1] * graph.stride + graph.nodes[node, 0]
        count = connect(cell, graph.stride, graph.clear, graph.node_of, near)
        begin = graph.first[node, 0]
        if count > graph.first[node, 8] - begin:
            begin = used[EDGES]
            used[EDGES] += count
            if used[EDGES] > edges.shape[0]:
                edges = resized(edges, begin, used[EDGES] + edges.shape[0] // 2)
        graph.first[node, :] = begin
        for edge in range(count):
            edges[begin + edge, 0] = near[edge, 2] << NODE_BITS | near[edge, 0]
            edges[begin + edge, 1] = near[edge, 1]
            graph.first[node, near[edge, 2] + 1] = begin + edge + 1
        for direction in range(8):
            graph.first[node, direction + 1] = max(graph.first[node, direction + 1], graph.first[node, direction])
    used[MARKED] = 0
    live = 0
    for node in range(used[NODES]):
        live += graph.first[node, 8] - graph.first[node, 0]
    if used[EDGES] > 2 * live + 65_536:
        edges = _pack(graph.first, edges, used, live)
    return edges


@compiled
def _pack(first: I32, edges: I32, used: I64, live: int) -> I32:
    """The edges without rows that nobody uses."""
    packed = np.empty((live + live // 2 + 1, 2), np.int32)
    total = 0
    for node in range(used[NODES]):
        begin, end = first[node, 0], first[node, 8]
        for edge in range(begin, end):
            packed[total + edge - begin, 0] = edges[edge, 0]
            packed[total + edge - begin, 1] = edges[edge, 1]
        first[node, :] += total - begin
        total += end - begin
    used[EDGES] = total
    return packed
