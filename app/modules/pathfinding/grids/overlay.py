"""Weighted ground as a small graph: gates on the borders of square boxes, joined inside each box.

The lines x = 0, SIDE, 2 SIDE .. and the same in y cut the grid into boxes that share their borders. Of each
free stretch of a border some cells are gates (the entrances of Botea, Mueller and Schaeffer 2004, more of
them and on shared lines), and ends of links are gates too. Two gates of a box are joined at the cost of the
best way inside it, unless that leads over a third.
It knows one box at a time: how it is laid out, measured and written; not whole maps, not searches.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import F32, F64, I32, I64, U8, U16

SIDE = 16
"""Steps from one line to the next: a box is SIDE + 1 cells wide, borders included."""
ROW = SIDE + 3
"""Cells in a row of a box that is copied out, with a blocked cell at either end."""
AREA = ROW * ROW
CHUNK = 4
"""Cells of a border for each gate on it."""
LANDMARKS = 12
FAR = 1e30
"""Where no way leads."""
UNKNOWN = 65_535
"""A landmark distance where there was no way."""
PURE = 1.0 + 1e-9
"""A way over a third node counts as no longer up to this factor: sums differ by their order."""
WORD_STEPS = 19
"""Steps in one word of Weighted.steps: the count in five bits, then three bits for each."""

# Compass directions, each beside its opposite: d and d ^ 1. The last four are diagonal.
DX = (0, 0, 1, -1, 1, -1, 1, -1)
DY = (-1, 1, 0, 0, -1, 1, 1, -1)
LENGTH = (1.0, 1.0, 1.0, 1.0, 2.0**0.5, 2.0**0.5, 2.0**0.5, 2.0**0.5)
BEFORE = (0, 3, 4, 7)
"""Directions to the neighbors that come earlier, row by row; their opposites come later."""

ALWAYS = 2
"""Marks crossings and ends of links in Weighted.gates: whatever changes, they are gates."""

UNIT, OCTILE, STALE, USED = 0, 1, 2, 3
"""Places in Weighted.state."""


class Weighted(NamedTuple):
    """A weighted grid, prepared; costs.repair and costs.refresh write to its arrays."""

    stride: int
    """Cells in a row, border included."""
    free: U8
    """(cells,): 1 passable, 0 blocked."""
    cost: F32
    """(cells,): cost of one straight step on a cell."""
    floor: F32
    """(cells,): the costs that the landmark distances are true for, infinite where blocked then."""
    labels: I32
    """(cells,): regions by steps alone, from 1 on; 0 where blocked."""
    port_of: I32
    """(regions + 1,): row in `reach` of a region that a link touches, else -1."""
    reach: U8
    """(ports, ports): 1 where links lead from one region to the other, by however many."""
    away: U16
    """(cells, landmarks): whole units from each landmark; UNKNOWN where there was no way."""
    node_of: I32
    """(cells,): the node on each cell of a line or end of a link, -1 for none."""
    cells: I32
    """(nodes,): the cell of each node."""
    gates: U8
    """(nodes,): 1 where a node is a gate; the others have no edges."""
    joins: I32
    """(nodes, 4): places of the node in `terms`, one for each box that it is on the border of; -1 for none."""
    term_first: I32
    """(boxes + 1,): the nodes of box b are terms[term_first[b]] .. terms[term_first[b + 1]]."""
    terms: I32
    """(terms,): nodes."""
    spans: I32
    """(terms, 2): first edge of this node in this box, and the one after the last."""
    rooms: I32
    """(boxes, 2): where the edges of a box begin, and how many fit there."""
    edges: I32
    """(room,): the node that each edge leads to."""
    lengths: F32
    """(room,): its cost; infinite in a row that only carries on the steps of the row before."""
    steps: I64
    """(room,): its steps as compass directions, packed; the count in the low five bits."""
    link_first: I32
    """(nodes + 1,): the links of node n are links[link_first[n]] .. links[link_first[n + 1]]."""
    links: I32
    """(links,): the node that a link leads to; one that leads both ways is written twice."""
    link_costs: F64
    """(links,)"""
    state: F64
    """(4,): cost of a landmark unit, least cost of a straight step (0 where a link is a shortcut), number of
    cells below `floor`, and edges in use."""

    @property
    def landmarks_hold(self) -> bool:
        """Whether landmark distances are true lower bounds; costs.refresh makes them so again."""
        return bool(self.state[STALE] == 0.0)

    @property
    def bytes(self) -> int:
        """What all arrays take."""
        return sum(array.nbytes for array in self[1:])


@compiled
def lay_out(free: U8, stride: int, ends: I32) -> tuple[I32, I32, U8, I32, I32, I32]:
    """Nodes and boxes: Weighted.node_of, cells, gates, joins, term_first and terms.

    A node is any cell on a line, passable now or not, so that changes never renumber, and each cell of `ends`.
    """
    rows = free.size // stride
    node_of = np.full(free.size, -1, np.int32)
    count = 0
    for row in range(1, rows - 1):
        for column in range(1, stride - 1):
            if row % SIDE == 0 or column % SIDE == 0:
                node_of[row * stride + column] = count
                count += 1
    for cell in ends:
        if node_of[cell] < 0:
            node_of[cell] = count
            count += 1
    across, down = boxes_of(stride, rows)
    cells = np.empty(count, np.int32)
    gates = np.zeros(count, np.uint8)
    joins = np.full((count, 4), -1, np.int32)
    term_first = np.zeros(across * down + 1, np.int32)
    terms = np.empty(4 * count, np.int32)
    total = 0
    for box in range(across * down):
        left, top, wide, tall = _extent(box, stride, rows)
        for row in range(top, top + tall):
            for column in range(left, left + wide):
                node = node_of[row * stride + column]
                if node >= 0:
                    cells[node] = row * stride + column
                    gates[node] = ALWAYS if row % SIDE == 0 and column % SIDE == 0 else gates[node]
                    part = 0
                    while joins[node, part] >= 0:
                        part += 1
                    joins[node, part] = total
                    terms[total] = node
                    total += 1
        term_first[box + 1] = total
    for cell in ends:
        gates[node_of[cell]] = ALWAYS
    return node_of, cells, gates, joins, term_first, terms[:total].copy()


@inlined
def boxes_of(stride: int, rows: int) -> tuple[int, int]:
    """Boxes side by side and one below the other."""
    return (stride + SIDE - 2) // SIDE, (rows + SIDE - 2) // SIDE


@inlined
def _extent(box: int, stride: int, rows: int) -> tuple[int, int, int, int]:
    """First column and row of a box, and how many of each, borders included."""
    across = (stride + SIDE - 2) // SIDE
    left = box % across * SIDE
    top = box // across * SIDE
    return left, top, min(SIDE + 1, stride - left), min(SIDE + 1, rows - top)


@compiled
def copy_box(box: int, stride: int, free: U8, cost: F32, moves: U8, ground: F64) -> int:
    """Copy a box out: legal `moves` by compass direction as bits and half costs, both (AREA,); its first cell."""
    rows = free.size // stride
    left, top, wide, tall = _extent(box, stride, rows)
    moves[:] = 0
    ground[:] = 0.0
    for row in range(tall):
        for column in range(wide):
            cell = (top + row) * stride + left + column
            ground[(row + 1) * ROW + column + 1] = 0.5 * cost[cell] if free[cell] != 0 else 0.0
    for row in range(1, tall + 1):
        for column in range(1, wide + 1):
            at = row * ROW + column
            if ground[at] > 0.0:
                north, south = ground[at - ROW] > 0.0, ground[at + ROW] > 0.0
                east, west = ground[at + 1] > 0.0, ground[at - 1] > 0.0
                bits = int(north) | int(south) << 1 | int(east) << 2 | int(west) << 3
                bits |= int(north and east and ground[at - ROW + 1] > 0.0) << 4
                bits |= int(south and west and ground[at + ROW - 1] > 0.0) << 5
                bits |= int(south and east and ground[at + ROW + 1] > 0.0) << 6
                bits |= int(north and west and ground[at - ROW - 1] > 0.0) << 7
                moves[at] = bits
    return top * stride + left


@compiled
def choose_gates(weighted: Weighted, boxes: I32, begin: int, end: int, changed: U8) -> None:
    """Choose the gates on the upper and left border of boxes[begin] .. boxes[end].

    Between two crossings each free stretch is cut into parts of at most CHUNK cells, and the cheapest cell
    of each (the first of equal ones) is a gate. The boxes on either side of a border on which a gate came
    or went are marked in `changed`, (boxes,).
    """
    stride = weighted.stride
    rows = weighted.free.size // stride
    across, _ = boxes_of(stride, rows)
    for index in range(begin, end):
        box = int(boxes[index])
        left, top, wide, tall = _extent(box, stride, rows)
        corner = top * stride + left
        if top > 0 and _choose(weighted, corner, 1, min(SIDE, wide)):
            changed[box] = 1
            changed[box - across] = 1
        if left > 0 and _choose(weighted, corner, stride, min(SIDE, tall)):
            changed[box] = 1
            changed[box - 1] = 1


@compiled
def _choose(weighted: Weighted, corner: int, step: int, length: int) -> bool:
    """Choose the gates between a crossing and the next; whether any came or went."""
    differs = False
    place = 1
    while place < length:
        until = place
        while until < length and weighted.free[corner + until * step] != 0:
            until += 1
        parts = (until - place + CHUNK - 1) // CHUNK
        for part in range(max(parts, 1)):
            low = place + (until - place) * part // max(parts, 1)
            high = place + (until - place) * (part + 1) // max(parts, 1) if parts > 0 else place + 1
            best = -1
            for at in range(low, high):
                cell = corner + at * step
                if weighted.free[cell] != 0 and (best < 0 or weighted.cost[cell] < weighted.cost[best]):
                    best = cell
            for at in range(low, high):
                node = weighted.node_of[corner + at * step]
                if node >= 0 and weighted.gates[node] != ALWAYS:
                    gate = 1 if corner + at * step == best else 0
                    differs |= gate != weighted.gates[node]
                    weighted.gates[node] = gate
        place = max(until, place + 1)
    return differs


@inlined
def in_box(cell: int, corner: int, stride: int) -> int:
    """The place of a cell in the copy of a box whose first cell is `corner`."""
    return (cell // stride - corner // stride + 1) * ROW + cell % stride - corner % stride + 1


@compiled
def fill_boxes(weighted: Weighted, boxes: I32, begin: int, end: int, spare: float) -> int:
    """Write the edges of boxes[begin] .. boxes[end]; where the room ran out, or `end`.

    A box whose edges do not fit where they were gets a new place behind the last, with `spare` more room.
    """
    stride, free, cost, rooms, spans = weighted.stride, weighted.free, weighted.cost, weighted.rooms, weighted.spans
    term_first, terms, cells, gates = weighted.term_first, weighted.terms, weighted.cells, weighted.gates
    pool, pool_lengths, pool_steps = weighted.edges, weighted.lengths, weighted.steps
    most = 1
    for index in range(begin, end):
        box = int(boxes[index])
        most = max(most, term_first[box + 1] - term_first[box])
    moves = np.empty(AREA, np.uint8)
    ground = np.empty(AREA, np.float64)
    distance = np.empty(AREA * most, np.float64)
    matrix = np.empty((most, most), np.float64)
    kept = np.empty((most, most), np.uint8)
    places = np.empty(most, np.int32)
    nodes = np.empty(most, np.int32)
    edges = np.empty(most * most * (AREA // WORD_STEPS + 1), np.int32)
    lengths = np.empty(edges.size, np.float32)
    steps = np.empty(edges.size, np.int64)
    ends = np.empty(most, np.int32)
    for index in range(begin, end):
        box = int(boxes[index])
        corner = copy_box(box, stride, free, cost, moves, ground)
        count = 0
        for term in range(term_first[box], term_first[box + 1]):
            place = in_box(int(cells[terms[term]]), corner, stride)
            if moves[place] != 0 and gates[terms[term]] != 0:
                places[count] = place
                nodes[count] = terms[term]
                count += 1
        measure_box(moves, ground, places, count, distance)
        _reduce(distance, places, count, matrix, kept)
        total = _write(moves, ground, distance, matrix, kept, places, nodes, count, edges, lengths, steps, ends)
        if total > rooms[box, 1]:
            used = int(weighted.state[USED])
            room = total + int(total * spare)
            if used + room > pool.size:
                return index
            rooms[box, 0] = used
            rooms[box, 1] = room
            weighted.state[USED] = used + room
        start = rooms[box, 0]
        for row in range(total):
            pool[start + row] = edges[row]
            pool_lengths[start + row] = lengths[row]
            pool_steps[start + row] = steps[row]
        joined_count = count
        count = 0
        before = 0
        for term in range(term_first[box], term_first[box + 1]):
            joined = count < joined_count and nodes[count] == terms[term]
            after = ends[count] if joined else before
            spans[term, 0] = start + before
            spans[term, 1] = start + after
            before = after
            count += joined
    return end


@compiled
def measure_box(moves: U8, ground: F64, places: I32, count: int, distance: F64) -> None:
    """Costs from each of `places` to every cell of a box, distance[cell * count + source].

    All sources at once, sweeping to and fro over the cells until nothing changes (the sweeping of Zhao
    2005, on steps); a neighbor that has not changed since the last sweep but one is passed over.
    """
    distance[: AREA * count] = FAR
    changed = np.zeros(AREA, np.int32)
    for source in range(count):
        distance[places[source] * count + source] = 0.0
        changed[places[source]] = 2
    sweep = 1
    busy = True
    # The first sweep alone may find nothing: all ways may lead against it.
    while busy or sweep < 3:
        sweep += 1
        busy = False
        for index in range(AREA):
            at = index if sweep & 1 == 0 else AREA - 1 - index
            bits = moves[at]
            if bits == 0:
                continue
            for choice in range(4):
                direction = BEFORE[choice] ^ (sweep & 1)
                other = at + DX[direction] + DY[direction] * ROW
                if bits >> direction & 1 == 0 or changed[other] < sweep - 1:
                    continue
                step = LENGTH[direction] * (ground[at] + ground[other])
                here = at * count
                there = other * count
                lower = False
                for source in range(count):
                    value = distance[there + source] + step
                    lower |= value < distance[here + source]
                    distance[here + source] = min(distance[here + source], value)
                if lower:
                    changed[at] = sweep
                    busy = True


@compiled
def _reduce(distance: F64, places: I32, count: int, matrix: F64, kept: U8) -> None:
    """Costs between places, `matrix` (count, count), and which of them to keep: no third place lies between."""
    for row in range(count):
        for column in range(count):
            matrix[row, column] = distance[places[row] * count + column]
        matrix[row, row] = FAR
        kept[row, row] = 0
    for row in range(count):
        for column in range(row):
            least = matrix[row, column]
            over = least >= FAR
            if not over:
                for third in range(count):
                    over |= matrix[row, third] + matrix[column, third] <= least * PURE
            kept[row, column] = not over
            kept[column, row] = not over


@compiled
def _write(
    moves: U8, ground: F64, distance: F64, matrix: F64, kept: U8, places: I32, nodes: I32, count: int,
    edges: I32, lengths: F32, steps: I64, ends: I32,
) -> int:  # fmt: skip
    """Write the kept edges source by source, with their steps, and where each source's end; the rows written."""
    total = 0
    for source in range(count):
        for target in range(count):
            if kept[source, target] == 0:
                continue
            lengths[total] = matrix[source, target]
            at = places[source]
            word = 0
            taken = 0
            while at != places[target]:
                direction, at = downhill(moves, ground, distance, at, count, target)
                word |= direction << (5 + 3 * taken)
                taken += 1
                if taken == WORD_STEPS and at != places[target]:
                    edges[total] = nodes[target]
                    steps[total] = word | taken
                    total += 1
                    lengths[total] = np.inf
                    word = 0
                    taken = 0
            edges[total] = nodes[target]
            steps[total] = word | taken
            total += 1
        ends[source] = total
    return total


@inlined
def downhill(moves: U8, ground: F64, distance: F64, at: int, count: int, target: int) -> tuple[int, int]:
    """The first direction whose step leads on along a best way to `target`, and the place it leads to."""
    best = FAR
    chosen = 0
    for direction in range(8):
        if moves[at] >> direction & 1:
            other = at + DX[direction] + DY[direction] * ROW
            value = distance[other * count + target] + LENGTH[direction] * (ground[at] + ground[other])
            if value < best:
                best = value
                chosen = direction
    return chosen, at + DX[chosen] + DY[chosen] * ROW
