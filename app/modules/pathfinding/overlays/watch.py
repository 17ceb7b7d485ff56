"""One map as one class of agents fears it: from tallies to chances to the cost that its searches add.

Every step is a function of values, so that a worker thread may do it; it does not know worlds, events or engines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.modules.pathfinding.overlays import danger
from app.modules.pathfinding.overlays.counts import F32, HARMS, STUCK, Tally
from app.modules.pathfinding.overlays.danger import CHANCE_MAX, CHANCE_MIN, DANGERS, I32, Levels
from app.modules.pathfinding.overlays.ground import FEATURES, Ground, features
from app.modules.pathfinding.overlays.settings import OverlaySettings

Rung = Literal["network", "counts"]


class Overlay(NamedTuple):
    """What a class of agents adds to the cost of a map, at one moment. Its arrays are read-only."""

    map: str
    agents: str
    version: int
    """Higher than that of any overlay before it in its world: caches key on it."""
    rung: Rung
    """What judged the danger."""
    at_s: float
    """In game seconds."""
    levels: Levels
    """(tile rows, tile columns): the cost of each tile as a level; equal levels are equal costs."""
    multiplier: F32
    """(rows, columns) in [1, multiplier_max]: what the cost of each cell is multiplied with."""
    changed: I32
    """(n, 4): x, y, width and height of what differs from the version before, in cells."""


class Snapshot(NamedTuple):
    """The tallies of a map at one moment, the taker's own."""

    at_s: float
    counts: F32
    """(tile rows, tile columns, kinds)."""
    since: F32
    """(tile rows, tile columns): half lives since the last harm."""

    @property
    def harmless(self) -> bool:
        """Whether nothing bad is remembered."""
        return not self.counts[:, :, [*HARMS, STUCK]].any()


class Sight(NamedTuple):
    """What a network is asked about a map, and what the counts alone would say."""

    rows: F32
    """(n, features): the tiles with passable cells."""
    chosen: NDArray[np.intp]
    """(n,): which tiles these are."""
    counted: F32
    """(tile rows, tile columns, dangers): chances by the counts."""


class Watch:
    """A map's ground, the tallies that matter to one class of agents, and the newest overlay.

    `tallies` are added up: those of the class itself and those of all agents. They have the map's
    size; without any, nothing ever happened.
    """

    def __init__(
        self, ground: Ground, tallies: Sequence[Tally], limits: OverlaySettings, *, caution: float = 1.0
    ) -> None:
        self.ground, self.tallies, self.caution = ground, tuple(tallies), caution
        self._limits = limits

    def snapshot(self, at_s: float) -> Snapshot:
        """The tallies now; for the thread that records."""
        tallies = self.tallies or (Tally(self.ground.rows, self.ground.columns, self._limits.half_life_s),)
        counts = sum((tally.decayed(at_s) for tally in tallies[1:]), tallies[0].decayed(at_s))
        since = np.min([tally.since(at_s) for tally in tallies], axis=0)
        return Snapshot(at_s, counts, np.asarray(since / np.float32(self._limits.half_life_s), np.float32))

    def see(self, taken: Snapshot) -> Sight:
        """What a network is asked, and what the counts say; for a worker thread."""
        counted = danger.chances(self.ground, taken.counts)
        return Sight(*features(self.ground, taken.counts, taken.since, counted), counted)

    def reckon(self, taken: Snapshot) -> Sight:
        """What the counts say, and no rows to ask about; for a worker thread, where there is no network."""
        nothing = np.empty((0, FEATURES), np.float32), np.empty(0, np.intp)
        return Sight(*nothing, danger.chances(self.ground, taken.counts))

    def judge(self, sight: Sight, logits: F32 | None) -> F32:
        """The chances, (tile rows, tile columns, dangers): the network's for the tiles it saw, or the counts'.

        `logits` (n, dangers) are its answer to `sight.rows`.
        """
        if logits is None:
            return sight.counted
        risk = np.full_like(sight.counted, CHANCE_MIN).reshape(-1, len(DANGERS))
        risk[sight.chosen] = np.clip(1.0 / (1.0 + np.exp(-np.clip(logits, -30.0, 30.0))), CHANCE_MIN, CHANCE_MAX)
        return risk.reshape(sight.counted.shape)

    def levels(self, risk: F32, before: Levels | None) -> Levels:
        """The cost of each tile as a level, held where it hardly moved."""
        return danger.settled(danger.multiplier(risk, self.ground, self.caution, self._limits), before)

    def cost(self, levels: Levels) -> F32:
        """The multiplier of each cell, (rows, columns)."""
        return danger.spread(danger.worth(levels, self._limits), self.ground.rows, self.ground.columns)

    def changed(self, levels: Levels, before: Levels) -> I32:
        """Where two overlays differ, as rectangles of cells (n, 4) of x, y, width, height."""
        ground, most = self.ground, self._limits.rectangles_max
        return danger.rectangles(levels != before, ground.rows, ground.columns, most)
