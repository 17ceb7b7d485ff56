"""One map by itself, as simulations and benchmarks put learned costs to the test.

It is what a world does to one of its maps, without events, classes and refreshing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.modules.pathfinding.overlays.counts import F32, KINDS, Tally
from app.modules.pathfinding.overlays.ground import survey
from app.modules.pathfinding.overlays.settings import OverlaySettings
from app.modules.pathfinding.overlays.watch import Sight, Watch


class Trial:
    """A map, its tally and the cost that the newest look at it came to."""

    def __init__(self, free: NDArray[np.generic], limits: OverlaySettings | None = None) -> None:
        limits = limits if limits is not None else OverlaySettings()
        ground = survey(free)
        self._tally = Tally(ground.rows, ground.columns, limits.half_life_s)
        self._watch = Watch(ground, [self._tally], limits)

    def record(self, kind: str, cells: NDArray[np.generic], at_s: float) -> None:
        """Count one event of the kind in each of `cells` (n, 2) of x, y."""
        self._tally.record_many(KINDS.index(kind), cells, at_s)

    def look(self, at_s: float) -> Sight:
        """What a network is asked at that time."""
        self._seen = self._watch.see(self._watch.snapshot(at_s))
        return self._seen

    def risk(self, logits: F32 | None) -> F32:
        """The chances by the last look, (tile rows, tile columns, dangers): the network's, or else the counts'."""
        return self._watch.judge(self._seen, logits)

    def cost(self, risk: F32) -> F32:
        """The multiplier of each cell, (rows, columns)."""
        return self._watch.cost(self._watch.levels(risk, None))
