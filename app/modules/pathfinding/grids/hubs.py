"""Hub labels over a subgoal graph: what turns a search into a look-up, for as long as the map stays as it is.

A node's label lists hubs with their distances; two nodes meet at the best hub that both list (pruned
landmark labeling: Akiba, Iwata, Yoshida 2013). Hubs are taken in the order in which they lie on most
shortest paths that no hub lies on yet, by samples (Delling, Goldberg, Pajor, Werneck 2014).
It knows how the arrays of graph.Hubs are computed, not how they are read.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import I16, I32, I64, LINK_BITS, LINK_MASK, Graph, Hubs
from app.modules.pathfinding.grids.heap import NODE_BITS, NODE_MASK, pop, push
from app.modules.pathfinding.grids.octile import ANYWHERE, onward
from app.modules.pathfinding.grids.subgoals import DX, DY, FAR

SAMPLE_NODES = 8
"""Trees are sampled until they hold so many nodes for each node of the graph."""
UNSEEN = 2**62

# Columns of Labels.entries.
HUB, DISTANCE, NEXT, PLACE = 0, 1, 2, 3


class Labels(NamedTuple):
    """Labels while they grow.

    `spans` (nodes, 3) int32: where a node's entries begin, how many there are, and for how many there is room.
    `entries` (room, 4) int32: rank of the hub, distance, direction << 24 | next node, and the place of the
    hub's entry in the next node's label.
    """

    spans: I32
    entries: I32


class Tree(NamedTuple):
    """A pruned tree of shortest paths, the last one grown, and what growing takes."""

    distance: I64
    """(nodes,): UNSEEN where nothing was met."""
    parent: I32
    """(nodes,): direction << 24 | node."""
    order: I32
    """(nodes,): the tree's nodes, nearest first."""
    met: I32
    """(nodes + 1,): all nodes with a distance, then -1."""
    to_hub: I64
    """(nodes,): the root's distances to its hubs, by rank."""
    heap: I64


class Sample(NamedTuple):
    """Trees in one pool.

    For each place its node, its parent's place, the nodes below it that no hub covers, the place after its tree,
    and the next place of the same node, -1 for none; `places` (nodes,) are the first of these.
    """

    node: I32
    parent: I32
    below: I32
    end: I32
    more: I32
    places: I32
    score: I64
    """(nodes,): sampled paths that lead through a node and no hub."""


@compiled
def link_cells(stride: int, clear: I16) -> I32:
    """Hubs.links, from the clearance of subgoals.measure_clearance."""
    links = np.zeros(clear.shape, np.int32)
    cells = clear.shape[0]
    for quadrant in range(4):
        step = DX[4 + quadrant] + DY[4 + quadrant] * stride
        for index in range(stride, cells - stride):
            cell = index if step < 0 else cells - 1 - index
            ahead = clear[cell, 4 + quadrant]
            if ahead == 0 or ahead == 1:
                continue
            for turn in range(2):
                side = (quadrant + turn) & 3
                view = clear[cell, side] if clear[cell, side] > 0 else FAR
                steps = 1
                seen = clear[cell + step, side]
                further = links[cell + step, 2 * quadrant + turn]
                while further > 0 and not 0 < seen < view:
                    steps += further & LINK_MASK
                    seen = further >> LINK_BITS & LINK_MASK
                    further = links[cell + steps * step, 2 * quadrant + turn]
                if 0 < seen < view:
                    more = 1 if further > 0 else 0
                    links[cell, 2 * quadrant + turn] = steps | seen << LINK_BITS | more << 2 * LINK_BITS
    return links


@compiled
def label_nodes(first: I32, edges: I32, entries_max: int, reads_max: int) -> tuple[I32, I32, int]:
    """Labels.spans and entries of all nodes, and how many entries there are.

    -1 where that takes more than `entries_max` entries or more than `reads_max` reads of edges and entries, or where
    a distance is over FAR. It goes in rounds: sample trees, then take hubs until half of the sampled paths lead
    through one. The more is covered the smaller are the trees; the last round has a tree from every node.
    """
    count = first.shape[0]
    labels = Labels(np.zeros((count, 3), np.int32), np.empty((16 * count, 4), np.int32))
    tree = _new_tree(count, edges.shape[0])
    sample = _new_sample(count)
    place_of = np.empty(count, np.int32)
    is_hub = np.zeros(count, np.uint8)
    queue = np.empty(2 * count + 1, np.int64)
    stride = _stride_over(count)
    root = 0
    rank = 0
    used = 0
    total = 0
    reads = 0
    while rank < count:
        sample.places[:] = -1
        sample.score[:] = 0
        sampled = 0
        tried = 0
        while tried < count and sampled < SAMPLE_NODES * count:
            root = (root + stride) % count
            tried += 1
            if is_hub[root] == 0:
                nodes, read = _grow(root, first, edges, labels, tree)
                _add_tree(tree, nodes, sample, sampled, place_of)
                sampled += nodes
                reads += read
        size = 0
        for node in range(count):
            if sample.score[node] > 0:
                size = push(queue, size, (UNSEEN - (sample.score[node] << NODE_BITS)) | node)
        uncovered = sampled
        while size > 0 and (tried == count or 2 * uncovered > sampled):
            key = queue[0]
            node = key & NODE_MASK
            size = pop(queue, size)
            if UNSEEN - (sample.score[node] << NODE_BITS) != key - node:
                if sample.score[node] > 0:
                    size = push(queue, size, (UNSEEN - (sample.score[node] << NODE_BITS)) | node)
                continue
            nodes, read = _grow(node, first, edges, labels, tree)
            reads += read
            total += nodes
            if total > entries_max or reads > reads_max or tree.distance[tree.order[nodes - 1]] > FAR:
                return labels.spans, labels.entries, -1
            if used + 2 * total + 8 * nodes > labels.entries.shape[0]:
                labels = Labels(labels.spans, _resized(labels.entries, used, 2 * (used + 2 * total + 8 * nodes)))
            used = _add_entries(tree, nodes, rank, labels, used, place_of)
            is_hub[node] = 1
            rank += 1
            uncovered -= _cover(sample, node)
    return labels.spans, labels.entries, total


@compiled
def _new_tree(count: int, edges: int) -> Tree:
    return Tree(
        np.full(count, UNSEEN, np.int64),
        np.empty(count, np.int32),
        np.empty(count, np.int32),
        np.full(count + 1, -1, np.int32),
        np.full(count, UNSEEN, np.int64),
        np.empty(edges + count + 1, np.int64),
    )


@compiled
def _new_sample(count: int) -> Sample:
    places = np.empty((5, (SAMPLE_NODES + 1) * count), np.int32)
    return Sample(
        places[0], places[1], places[2], places[3], places[4], np.empty(count, np.int32), np.empty(count, np.int64)
    )


@inlined
def _stride_over(count: int) -> int:
    """A number without a common factor with `count`, near the golden section: roots lie all over the map."""
    step = int(count * 0.618) | 1
    while True:
        a, b = step, count
        while b > 0:
            a, b = b, a % b
        if a == 1:
            return step
        step += 1


@compiled
def _grow(root: int, first: I32, edges: I32, labels: Labels, tree: Tree) -> tuple[int, int]:
    """Dijkstra from `root` that stops at nodes whose distance the labels give; how many it settled, and its reads."""
    distance, parent, met, heap = tree.distance, tree.parent, tree.met, tree.heap
    spans, entries = labels.spans, labels.entries
    known = 0
    while met[known] >= 0:
        distance[met[known]] = UNSEEN
        known += 1
    for entry in range(spans[root, 0], spans[root, 0] + spans[root, 1]):
        tree.to_hub[entries[entry, HUB]] = entries[entry, DISTANCE]
    distance[root] = 0
    parent[root] = ANYWHERE << NODE_BITS | root
    met[0] = root
    known = 1
    settled = 0
    reads = 0
    size = push(heap, 0, root)
    while size > 0:
        key = heap[0]
        size = pop(heap, size)
        node = key & NODE_MASK
        here = key >> NODE_BITS
        if here > distance[node]:
            continue
        entry = spans[node, 0]
        end = entry + spans[node, 1]
        while entry < end and tree.to_hub[entries[entry, HUB]] + entries[entry, DISTANCE] > here:
            entry += 1
        reads += entry - spans[node, 0]
        if entry < end:
            continue
        tree.order[settled] = node
        settled += 1
        low, high = onward(parent[node] >> NODE_BITS)
        for part in range(2):
            begin = first[node, low] if part == 0 else first[node, 0]
            stop = first[node, 8] if part == 0 and low > high else first[node, high + 1]
            reads += stop - begin
            for edge in range(begin, stop):
                other = edges[edge, 0] & NODE_MASK
                there = here + edges[edge, 1]
                if there < distance[other]:
                    if distance[other] == UNSEEN:
                        met[known] = other
                        known += 1
                    distance[other] = there
                    parent[other] = (edges[edge, 0] & ~NODE_MASK) | node
                    size = push(heap, size, (there << NODE_BITS) | other)
            if low <= high:
                break
    met[known] = -1
    for entry in range(spans[root, 0], spans[root, 0] + spans[root, 1]):
        tree.to_hub[entries[entry, HUB]] = UNSEEN
    return settled, reads


@inlined
def _add_tree(tree: Tree, nodes: int, sample: Sample, base: int, place_of: I32) -> None:
    """Put the tree last grown into the sample's places from `base` on."""
    for index in range(nodes):
        node = tree.order[index]
        place = base + index
        place_of[node] = place
        sample.node[place] = node
        sample.parent[place] = place_of[tree.parent[node] & NODE_MASK]
        sample.below[place] = 1
        sample.end[place] = base + nodes
        sample.more[place] = sample.places[node]
        sample.places[node] = place
    for place in range(base + nodes - 1, base - 1, -1):
        sample.score[sample.node[place]] += sample.below[place]
        if place > base:
            sample.below[sample.parent[place]] += sample.below[place]


@inlined
def _cover(sample: Sample, node: int) -> int:
    """Take the paths through `node` out of the sample; how many they are."""
    below, parent, score = sample.below, sample.parent, sample.score
    covered = score[node]
    place = sample.places[node]
    while place >= 0:
        lost = below[place]
        above = place
        while lost > 0 and parent[above] != above:
            above = parent[above]
            below[above] -= lost
            score[sample.node[above]] -= lost
        score[node] -= lost
        below[place] = 0
        for other in range(place + 1, sample.end[place] if lost > 1 else 0):
            if below[other] > 0 and below[parent[other]] == 0:
                score[sample.node[other]] -= below[other]
                below[other] = 0
        place = sample.more[place]
    return int(covered)


@inlined
def _add_entries(tree: Tree, nodes: int, rank: int, labels: Labels, used: int, place_of: I32) -> int:
    """Add the root of the tree last grown to the label of each of its nodes; how many rows of entries are in use.

    A label that has no room moves behind the others, to twice its room.
    """
    spans, entries = labels.spans, labels.entries
    for index in range(nodes):
        node = tree.order[index]
        if spans[node, 1] == spans[node, 2]:
            for place in range(spans[node, 1]):
                entries[used + place] = entries[spans[node, 0] + place]
            spans[node, 0] = used
            spans[node, 2] = max(8, 2 * spans[node, 1])
            used += spans[node, 2]
        entry = spans[node, 0] + spans[node, 1]
        place_of[node] = spans[node, 1]
        spans[node, 1] += 1
        entries[entry, HUB] = rank
        entries[entry, DISTANCE] = tree.distance[node]
        entries[entry, NEXT] = tree.parent[node] ^ (0 if index == 0 else 4 << NODE_BITS)
        entries[entry, PLACE] = place_of[tree.parent[node] & NODE_MASK]
    return used


@compiled
def _resized(entries: I32, used: int, room: int) -> I32:
    roomier = np.empty((room, 4), np.int32)
    for row in range(used):
        for column in range(4):
            roomier[row, column] = entries[row, column]
    return roomier


@compiled
def pack_labels(nodes: I32, spans: I32, entries: I32, total: int) -> tuple[I32, I32, I32]:
    """Hubs.first, labels and ways, from what label_nodes gives."""
    count = spans.shape[0]
    first = np.zeros((count, 10), np.int32)
    labels = np.empty((total, 2), np.int32)
    ways = np.empty((total, 2), np.int32)
    packed = np.empty(entries.shape[0], np.int32)
    used = 0
    for node in range(count):
        begin, end = spans[node, 0], spans[node, 0] + spans[node, 1]
        for group in range(9):
            first[node, group] = used
            direction = ANYWHERE if group == 0 else group - 1
            for entry in range(begin, end):
                if entries[entry, NEXT] >> NODE_BITS == direction:
                    packed[entry] = used
                    used += 1
        first[node, 9] = used
    for node in range(count):
        for entry in range(spans[node, 0], spans[node, 0] + spans[node, 1]):
            row = packed[entry]
            labels[row, 0] = entries[entry, HUB]
            labels[row, 1] = entries[entry, DISTANCE]
            ways[row, 0] = nodes[node, 0] << 16 | nodes[node, 1]
            ways[row, 1] = packed[spans[entries[entry, NEXT] & NODE_MASK, 0] + entries[entry, PLACE]]
    return first, labels, ways


def refine(graph: Graph, entries_max: int, reads_max: int) -> Graph:
    """The same map with hub labels, for answers in a fraction of the time; the same graph where they cost too much.

    `entries_max` bounds the labels' memory: 16 bytes an entry to keep, up to 130 while it works, and 32 a cell to keep.
    `reads_max` bounds the time: edges and entries read by all its searches, some nanoseconds each.
    """
    spans, entries, total = label_nodes(graph.first, graph.edges, entries_max, reads_max)
    if total < 0:
        return graph
    packed = pack_labels(graph.nodes, spans, entries, total)
    return graph._replace(hubs=Hubs(link_cells(graph.stride, graph.clear), *packed))
