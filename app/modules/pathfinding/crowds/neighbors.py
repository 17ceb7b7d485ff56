"""Who stands near whom: agents sorted by the bucket of a square grid, and the nearest of each.

It knows places only. The grid is wrapped around at its edges, so that its size depends on how many
agents there are and not on how far they are spread; distances tell apart who shares a bucket by that.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import I32, I64
from app.modules.pathfinding.surfaces import F32

AROUND = (0, -1, 1)
"""A bucket is as wide as a radius: what it needs lies in it and in those beside it."""
LOOKS_MAX = 1_024
"""Where agents stand on one another by the thousand, each looks at no more than these."""
RANKED_MAX = 48
"""Up to so many are ordered by counting, for each, who is nearer."""
GUESS = 1.3
"""A circle that should hold so many times the wanted neighbors is tried before the whole radius."""


class Buckets(NamedTuple):
    """Agents in the order of their buckets, row by row; within a bucket by x, y, then number."""

    side: int
    """Buckets in a row, a power of two, and rows."""
    begin: I32
    """(side * side + 1,): the agents in bucket b are order[begin[b]] .. order[begin[b + 1]]."""
    order: I32
    """(n,): agents by bucket."""


class Around(NamedTuple):
    """The agents in a bucket and in the eight beside it; scratch, (LOOKS_MAX + 1,) each."""

    xs: F32
    ys: F32
    places: I32
    squares: F32
    """Squared distances from one agent."""
    bits: I32
    """The same memory, because floats that are not negative are ordered as their bits are."""
    keys: I64
    """Who is within a circle: the bits of the squared distance, then the place."""


def scratch() -> Around:
    """Room for one thread."""
    squares = np.empty(LOOKS_MAX + 1, np.float32)
    xs, ys = np.empty(LOOKS_MAX + 1, np.float32), np.empty(LOOKS_MAX + 1, np.float32)
    places, keys = np.empty(LOOKS_MAX + 1, np.int32), np.empty(LOOKS_MAX + 1, np.int64)
    return Around(xs, ys, places, squares, squares.view(np.int32), keys)


@compiled
def sort_agents(positions: F32, radius: float) -> Buckets:
    """Put agents at `positions` (n, 2) into buckets for queries of a radius, by counting."""
    count = positions.shape[0]
    side = 4
    while side * side < count:
        side *= 2
    bucket_of = np.empty(count, np.int32)
    begin = np.zeros(side * side + 1, np.int32)
    for agent in range(count):
        column = math.floor(positions[agent, 0] / radius) & (side - 1)
        row = math.floor(positions[agent, 1] / radius) & (side - 1)
        bucket_of[agent] = row * side + column
        begin[row * side + column] += 1
    for bucket in range(side * side):
        begin[bucket + 1] += begin[bucket]
    # begin[b] is now where bucket b ends; it sinks to where the bucket begins as that fills from its end.
    order = np.empty(count, np.int32)
    for agent in range(count - 1, -1, -1):
        begin[bucket_of[agent]] -= 1
        order[begin[bucket_of[agent]]] = agent
    for bucket in range(side * side):
        if begin[bucket + 1] - begin[bucket] <= LOOKS_MAX:
            _sort_bucket(positions, order, begin[bucket], begin[bucket + 1])
    return Buckets(side, begin, order)


@inlined
def _sort_bucket(positions: F32, order: I32, first: int, last: int) -> None:
    """Order by x, then y, those who came in the order of their numbers."""
    for place in range(first + 1, last):
        agent = order[place]
        x, y = positions[agent, 0], positions[agent, 1]
        hole = place
        while hole > first:
            rival = order[hole - 1]
            if positions[rival, 0] < x or (positions[rival, 0] == x and positions[rival, 1] <= y):
                break
            order[hole] = rival
            hole -= 1
        order[hole] = agent


@inlined
def look_around(buckets: Buckets, positions: F32, bucket: int, around: Around) -> int:
    """Copy the agents in a bucket and beside it to `around`; how many there are."""
    side, begin, order = buckets.side, buckets.begin, buckets.order
    count = 0
    for down in AROUND:
        base = (bucket // side + down) & (side - 1)
        for aside in AROUND:
            near = base * side + ((bucket + aside) & (side - 1))
            for place in range(begin[near], min(begin[near + 1], begin[near] + LOOKS_MAX - count)):
                around.xs[count] = positions[order[place], 0]
                around.ys[count] = positions[order[place], 1]
                around.places[count] = place
                count += 1
    return count


@inlined
def nearest(around: Around, count: int, place: int, x: float, y: float, radius: float, most: int, found: I32) -> int:
    """Write the `most` agents nearest to the one at `place`, (x, y), to `found`, nearest first; how many there are.

    They are told by their places. Of equally near ones the first by place comes first.
    """
    xs, ys, places, squares, bits, keys = around
    for index in range(count):
        dx = xs[index] - np.float32(x)
        dy = ys[index] - np.float32(y)
        squares[index] = dx * dx + dy * dy
    bound = np.float32(radius * radius)
    tight = np.float32(radius * radius * GUESS * 9.0 * most / (math.pi * count))
    near = 0
    for attempt in range(2):
        within = min(tight, bound) if attempt == 0 else bound
        near = 0
        for index in range(count):
            keys[near] = np.int64(bits[index]) << 32 | places[index]
            near += (squares[index] <= within) & (places[index] != place)
        if near >= most or tight >= bound:
            break
    near = _cut(keys, near, max(most, RANKED_MAX), most)
    for one in range(near):
        rank = 0
        for other in range(near):
            rank += keys[other] < keys[one]
        if rank < most:
            found[rank] = keys[one] & 0xFFFFFFFF
    return min(near, most)


@inlined
def _cut(keys: I64, near: int, enough: int, most: int) -> int:
    """Drop the greater half of the keys' range until no more than `enough` are left, never the least `most`."""
    low = 0
    high = 0
    for index in range(near):
        high = max(high, keys[index])
    while near > enough:
        pivot = low + (high - low) // 2
        inside = 0
        for index in range(near):
            inside += keys[index] <= pivot
        if inside < most:
            low = pivot
            continue
        high = pivot
        inside = 0
        for index in range(near):
            key = keys[index]
            keys[inside] = key
            inside += key <= pivot
        near = inside
    return near
