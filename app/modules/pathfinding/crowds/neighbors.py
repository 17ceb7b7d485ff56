"""Who stands near whom: agents sorted by the bucket of a square grid, and the nearest of each.

It knows places only. The grid is wrapped around at its edges, so that its size depends on how many
agents there are and not on how far they are spread; distances tell apart who shares a bucket by that.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from app.modules.pathfinding.compiled import compiled, inlined
from app.modules.pathfinding.grids.graph import F64, I32
from app.modules.pathfinding.surfaces import F32

BUCKETS_A_RADIUS = 2
ROWS = (0, -1, 1, -2, 2)
"""The rows of buckets that a radius reaches, nearest first."""
LOOKS_MAX = 1_024
"""Where agents stand on one another by the thousand, each looks at no more than these."""


class Buckets(NamedTuple):
    """Agents in the order of their buckets, row by row; within a bucket as they came."""

    per_unit: float
    """Buckets in one unit of length."""
    side: int
    """Buckets in a row, a power of two, and rows."""
    begin: I32
    """(side * side + 1,): the agents in bucket b are order[begin[b]] .. order[begin[b + 1]]."""
    order: I32
    """(n,): agents by bucket."""
    spots: F32
    """(n, 2): their positions in that order."""


@compiled
def sort_agents(positions: F32, radius: float) -> Buckets:
    """Put agents at `positions` (n, 2) into buckets for queries of a radius, by counting."""
    count = positions.shape[0]
    side = 8
    while side * side < count:
        side *= 2
    per_unit = BUCKETS_A_RADIUS / radius
    bucket_of = np.empty(count, np.int32)
    begin = np.zeros(side * side + 1, np.int32)
    for agent in range(count):
        column = int(math.floor(positions[agent, 0] * per_unit)) & (side - 1)
        row = int(math.floor(positions[agent, 1] * per_unit)) & (side - 1)
        bucket_of[agent] = row * side + column
        begin[row * side + column] += 1
    for bucket in range(side * side):
        begin[bucket + 1] += begin[bucket]
    # begin[b] is now where bucket b ends; it sinks to where the bucket begins as that fills from its end.
    order = np.empty(count, np.int32)
    spots = np.empty((count, 2), np.float32)
    for agent in range(count - 1, -1, -1):
        begin[bucket_of[agent]] -= 1
        place = begin[bucket_of[agent]]
        order[place] = agent
        spots[place, 0] = positions[agent, 0]
        spots[place, 1] = positions[agent, 1]
    return Buckets(per_unit, side, begin, order, spots)


@inlined
def nearest(buckets: Buckets, place: int, radius: float, most: int, found: I32, away: F64) -> int:
    """The `most` agents nearest to the one at `place`, as places in `order`; how many there are.

    Nearest first in `found`, with squared distances in `away`. Of equally near ones those farther
    west come first, then those farther north, then by number: so all but the last is independent of order.
    """
    per_unit, side, begin, spots = buckets.per_unit, buckets.side, buckets.begin, buckets.spots
    x = float(spots[place, 0])
    y = float(spots[place, 1])
    middle = int(math.floor(y * per_unit))
    bound = radius * radius
    count = 0
    looks = LOOKS_MAX
    for offset in ROWS:
        row = middle + offset
        gap = 0.0
        if offset > 0:
            gap = row / per_unit - y
        elif offset < 0:
            gap = y - (row + 1) / per_unit
        if gap * gap > bound:
            continue
        reach = math.sqrt(bound - gap * gap)
        left = int(math.floor((x - reach) * per_unit))
        right = int(math.floor((x + reach) * per_unit))
        base = (row & (side - 1)) * side
        while left <= right:
            low = left & (side - 1)
            high = min(low + right - left, side - 1)
            left += high - low + 1
            first = begin[base + low]
            last = min(begin[base + high + 1], first + looks)
            looks -= last - first
            for other in range(first, last):
                dx = spots[other, 0] - x
                dy = spots[other, 1] - y
                square = dx * dx + dy * dy
                if square > bound or other == place:
                    continue
                hole = count
                while hole > 0:
                    rival = found[hole - 1]
                    if away[hole - 1] < square:
                        break
                    if away[hole - 1] == square and not _ahead(spots, other, rival):
                        break
                    if hole < most:
                        away[hole] = away[hole - 1]
                        found[hole] = rival
                    hole -= 1
                if hole < most:
                    away[hole] = square
                    found[hole] = other
                    count = min(count + 1, most)
                    if count == most:
                        bound = away[most - 1]
    return count


@inlined
def _ahead(spots: F32, one: int, other: int) -> bool:
    """Which of two equally near agents comes first."""
    if spots[one, 0] != spots[other, 0]:
        return spots[one, 0] < spots[other, 0]
    if spots[one, 1] != spots[other, 1]:
        return spots[one, 1] < spots[other, 1]
    return one < other
