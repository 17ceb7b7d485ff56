"""What links make of the regions of a grid, and whether a change leaves the regions as they are.

It knows labels and links, not costs or paths.
"""

from __future__ import annotations

import numpy as np

from app.modules.pathfinding.compiled import compiled
from app.modules.pathfinding.grids.graph import I32, U8


@compiled
def keep_regions(labels: I32, free: U8, stride: int, x: int, y: int, width: int, height: int, margin: int) -> bool:
    """Label the cells of a changed rectangle anew where it is plain that no regions were split or joined.

    That is so where, within `margin` cells of it, all cells beside it with one label hang together and no
    two labels do. `x` and `y` count the border in. Otherwise nothing is written and the answer is False.
    """
    rows = free.size // stride
    left, top = max(x - margin, 0), max(y - margin, 0)
    wide, tall = min(x + width + margin, stride) - left, min(y + height + margin, rows) - top
    parts = np.zeros(wide * tall, np.int32)
    stack = np.empty(wide * tall, np.int32)
    label_of = np.zeros(wide * tall + 1, np.int32)
    count = 0
    for seed in range(wide * tall):
        if parts[seed] != 0 or free[(top + seed // wide) * stride + left + seed % wide] == 0:
            continue
        count += 1
        parts[seed] = count
        stack[0] = seed
        size = 1
        while size > 0:
            size -= 1
            column, row = stack[size] % wide, stack[size] // wide
            inside = x <= left + column < x + width and y <= top + row < y + height
            label = labels[(top + row) * stride + left + column]
            if not inside and label_of[count] == 0:
                label_of[count] = label
            elif not inside and label_of[count] != label:
                return False
            for side in range(4):
                ahead = column + (0, 1, 0, -1)[side]
                beyond = row + (-1, 0, 1, 0)[side]
                if 0 <= ahead < wide and 0 <= beyond < tall:
                    place = beyond * wide + ahead
                    if parts[place] == 0 and free[(top + beyond) * stride + left + ahead] != 0:
                        parts[place] = count
                        stack[size] = place
                        size += 1
        if label_of[count] == 0:
            return False
    for row in range(y - 1, y + height + 1):
        for column in range(x - 1, x + width + 1):
            part = parts[(row - top) * wide + column - left]
            for other in range(1, count + 1):
                torn = part != 0 and other != part and label_of[other] == label_of[part]
                if torn and _beside(parts, other, wide, x - left - 1, y - top - 1, width + 2, height + 2):
                    return False
    for row in range(y, y + height):
        for column in range(x, x + width):
            labels[row * stride + column] = label_of[parts[(row - top) * wide + column - left]]
    return True


@compiled
def _beside(parts: I32, part: int, wide: int, x: int, y: int, width: int, height: int) -> bool:
    """Whether a part has a cell in a rectangle."""
    for row in range(y, y + height):
        for column in range(x, x + width):
            if parts[row * wide + column] == part:
                return True
    return False


@compiled
def lead_on(labels: I32, regions: int, starts: I32, ends: I32) -> tuple[I32, U8]:
    """Where links lead, directly or over others: Weighted.port_of and Weighted.reach.

    `starts` and `ends` (links,) are cells; a link with a blocked end leads nowhere.
    """
    port_of = np.full(regions + 1, -1, np.int32)
    ports = 0
    for link in range(starts.size):
        for cell in (starts[link], ends[link]):
            if labels[cell] != 0 and port_of[labels[cell]] < 0:
                port_of[labels[cell]] = ports
                ports += 1
    reach = np.zeros((ports, ports), np.uint8)
    stack = np.empty(ports + 1, np.int32)
    for port in range(ports):
        reach[port, port] = 1
        stack[0] = port
        size = 1
        while size > 0:
            size -= 1
            here = stack[size]
            for link in range(starts.size):
                if labels[starts[link]] == 0 or labels[ends[link]] == 0 or port_of[labels[starts[link]]] != here:
                    continue
                there = port_of[labels[ends[link]]]
                if reach[port, there] == 0:
                    reach[port, there] = 1
                    stack[size] = there
                    size += 1
    return port_of, reach
