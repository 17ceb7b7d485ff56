"""Who walks where: the newest way of each walker on a map, and whose way an obstacle comes into.

It knows polylines and boxes; it does not know graphs, sockets or the world's state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


class Walkers:
    """The newest ways, oldest first; the oldest is forgotten where there are too many.

    Not for two threads at once.
    """

    def __init__(self, walkers_max: int) -> None:
        self._walkers_max = walkers_max
        self._ways: OrderedDict[str, F32] = OrderedDict()
        self._legs: F32 | None = None
        self._owners: NDArray[np.int32] = np.empty(0, np.int32)

    def __len__(self) -> int:
        return len(self._ways)

    def walk(self, walker: str, way: F32) -> None:
        """Remember a way, (waypoints, 2) in cells or units; one without waypoints ends the former."""
        self._ways.pop(walker, None)
        if len(way):
            self._ways[walker] = way
        while len(self._ways) > self._walkers_max:
            self._ways.popitem(last=False)
        self._legs = None

    def hit(self, boxes: Sequence[tuple[float, float, float, float]]) -> tuple[str, ...]:
        """The walkers whose ways enter one of the boxes (least x, least y, greatest x, greatest y), by name."""
        if not boxes or not self._ways:
            return ()
        legs = self._all_legs()
        struck = np.zeros(len(legs), np.bool_)
        for box in boxes:
            struck |= enters(legs, box)
        names = list(self._ways)
        return tuple(sorted(names[owner] for owner in np.unique(self._owners[struck]).tolist()))

    def _all_legs(self) -> F32:
        """(legs, 4): x and y of both ends; a way of one waypoint is a leg of no length."""
        if self._legs is None:
            ways = [np.vstack([way, way]) if len(way) == 1 else way for way in self._ways.values()]
            self._legs = np.concatenate([np.hstack([way[:-1], way[1:]]) for way in ways])
            self._owners = np.repeat(np.arange(len(ways), dtype=np.int32), [len(way) - 1 for way in ways])
        return self._legs


def enters(legs: F32, box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """Which legs (n, 4) come inside a box: Liang and Barsky's clipping (1984), all at once."""
    x0, y0 = legs[:, 0].astype(np.float64), legs[:, 1].astype(np.float64)
    dx, dy = legs[:, 2] - x0, legs[:, 3] - y0
    begin, end = np.zeros(len(legs)), np.ones(len(legs))
    inside = np.ones(len(legs), np.bool_)
    for step, low, high in ((dx, box[0] - x0, box[2] - x0), (dy, box[1] - y0, box[3] - y0)):
        still = step == 0.0
        inside &= ~still | ((low < 0.0) & (high > 0.0))
        safe = np.where(still, 1.0, step)
        first, last = np.minimum(low / safe, high / safe), np.maximum(low / safe, high / safe)
        begin = np.where(still, begin, np.maximum(begin, first))
        end = np.where(still, end, np.minimum(end, last))
    return inside & (begin < end)
