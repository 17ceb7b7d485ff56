"""The ground that a village stands on: which cells can be walked, which way is nearest, which place is whose.

Read from a Moving AI map. It knows no people; searching for ways is the server's work, this only measures.
Cells are (x, y), counted from 0 at the top left; flat index = y * width + x.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid

Cell = tuple[int, int]
PASSABLE = frozenset(".GS")


@dataclass(frozen=True, slots=True)
class Ground:
    """A map's largest region. `walkable` is (height, width) bool; `text` the map file that it was read from."""

    text: str
    walkable: NDArray[np.bool_]

    @property
    def width(self) -> int:
        return int(self.walkable.shape[1])

    @property
    def height(self) -> int:
        return int(self.walkable.shape[0])

    def nearest(self, allowed: NDArray[np.bool_]) -> NDArray[np.int32]:
        """(height, width, 2) int32: the allowed cell (x, y) nearest to each cell, walls or not, by city blocks."""
        labels = spread(np.flatnonzero(allowed).tolist(), np.ones_like(self.walkable))
        return np.stack((labels % self.width, labels // self.width), axis=-1).astype(np.int32)

    def zones(self, cells: Sequence[Cell]) -> NDArray[np.int32]:
        """(height, width) int32: index of the place in `cells` that is nearest on foot, -1 where none is."""
        sources = [y * self.width + x for x, y in cells]
        labels = spread(sources, self.walkable)
        index = np.full(self.width * self.height + 1, -1, np.int32)
        index[sources] = np.arange(len(sources))
        return index[labels]


def read(text: str) -> Ground:
    """The ground of a Moving AI map (Sturtevant 2012), reduced to its largest region; raises Invalid."""
    header, found, body = text.partition("map\n")
    rows = [line for line in body.splitlines() if line]
    if not found or not header.startswith("type") or not rows or len({len(row) for row in rows}) != 1:
        raise Invalid(f"a map that begins {text[:20]!r} is not a Moving AI map", hint="give a .map file")
    cells = np.array([[letter in PASSABLE for letter in row] for row in rows], np.bool_)
    return Ground(text=text, walkable=largest_region(cells))


def write(rows: Sequence[Sequence[str]]) -> str:
    """The Moving AI map file of rows of terrain letters."""
    lines = ["".join(row) for row in rows]
    return f"type octile\nheight {len(lines)}\nwidth {len(lines[0])}\nmap\n" + "\n".join(lines) + "\n"


def largest_region(passable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The cells of the largest connected region.

    Four neighbors are enough: a diagonal step needs both cells beside it free.
    """
    left = passable.copy()
    best = np.zeros_like(passable)
    while left.any():
        start = int(np.flatnonzero(left)[0])
        region = spread([start], left) >= 0
        if region.sum() > best.sum():
            best = region
        left &= ~region
        if left.sum() <= best.sum():
            break
    return best


def spread(sources: Sequence[int], passable: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(height, width) int32: the flat index of the source nearest to each cell by passable steps, -1 where none is."""
    height, width = passable.shape
    free = passable.ravel().tolist()
    label = [-1] * (height * width)
    for source in sources:
        label[source] = source
    queue = deque(sources)
    while queue:
        at = queue.popleft()
        mine = label[at]
        x = at % width
        for near, inside in (
            (at - 1, x > 0),
            (at + 1, x < width - 1),
            (at - width, at >= width),
            (at + width, at < (height - 1) * width),
        ):
            if inside and label[near] < 0 and free[near]:
                label[near] = mine
                queue.append(near)
    return np.array(label, np.int32).reshape(height, width)


def neighbors(zones: NDArray[np.int32], places: int) -> list[set[int]]:
    """For each place, the places whose zones touch its own: they are one step apart."""
    found: list[set[int]] = [set() for _ in range(places)]
    for one, other in ((zones[:, :-1], zones[:, 1:]), (zones[:-1], zones[1:])):
        touching = (one != other) & (one >= 0) & (other >= 0)
        for a, b in {*zip(one[touching].tolist(), other[touching].tolist(), strict=True)}:
            found[a].add(b)
            found[b].add(a)
    return found
