"""What counts say about danger, what danger costs, and where that cost changed. Pure.

Danger is a chance for each visit of a tile, not a number of deaths: a busy road with few deaths is a safe one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.modules.pathfinding.overlays.counts import AMBUSH, DEATH, F32, FLEE, STUCK, TILE, VISIT
from app.modules.pathfinding.overlays.ground import Ground
from app.modules.pathfinding.overlays.settings import OverlaySettings

I32 = NDArray[np.int32]
Levels = NDArray[np.int8]

DANGERS = ("death", "stuck")
"""What is estimated for each visit of a tile: the last axis of every chance."""


class Belief(NamedTuple):
    """How counts become chances. The defaults are about the best for 80 countries of `app/learning/envs/roads.py`."""

    death: float = 1.0
    ambush: float = 0.15
    """Deaths that an ambush stands for, whether or not it ended in one."""
    flee: float = 0.03
    beside: float = 0.3
    """Weight of the four tiles beside one, its own being 1; those at its corners have the square of it."""
    visits: float = 6.0
    """Visits that the map's usual chance weighs as much as, before a tile's own count."""
    usual: float = 0.004
    """The chance on a map where nothing is known."""
    usual_visits: float = 1_000.0
    """Visits that this weighs as much as, before the map's own count."""
    untold: float = 40.0
    """Visits that each tile is taken to have had on a map with fewer visits than events: nobody tells its traffic."""


BELIEF = Belief()
CHANCE_MIN, CHANCE_MAX = 1e-5, 0.95
STEPS_PER_OCTAVE = 2
"""Cost levels between a multiplier and its double: 1, 1.41, 2, 2.83, 4 …"""
SLACK = 0.2
"""Of a level's width: how far beyond its edges a cost must move to leave it, so that it does not flicker."""


def chances(ground: Ground, counts: F32, belief: Belief = BELIEF) -> F32:
    """What a visit of each tile risks by the counts alone, (tile rows, tile columns, dangers) float32.

    Events and visits are smoothed over neighbors, then divided; the map's own average is the prior, and a fixed
    one that of the average (empirical Bayes: Robbins 1956). `counts` (tile rows, tile columns, kinds) decayed.
    """
    harm = belief.death * counts[:, :, DEATH] + belief.ambush * counts[:, :, AMBUSH] + belief.flee * counts[:, :, FLEE]
    events = np.stack([harm, counts[:, :, STUCK]], axis=2)
    there = (ground.share > 0).astype(np.float32)[:, :, None]
    visits = counts[:, :, VISIT, None]
    if visits.sum() < events.sum():
        visits = visits + belief.untold * there
    total = np.maximum(visits.sum(axis=(0, 1)), events.sum(axis=(0, 1)))
    usual = (events.sum(axis=(0, 1)) + belief.usual * belief.usual_visits) / (total + belief.usual_visits)
    near = smoothed(events * there, belief.beside)
    seen = np.maximum(smoothed(visits * there, belief.beside), near)
    found = (near + belief.visits * usual) / (seen + belief.visits)
    return np.asarray(np.clip(found, CHANCE_MIN, CHANCE_MAX), np.float32)


def smoothed(layers: F32, beside: float) -> F32:
    """Each tile with its eight neighbors, weights 1, `beside` and `beside` squared; (tile rows, tile columns, n)."""
    tall = np.pad(layers, ((1, 1), (0, 0), (0, 0)))
    columns = tall[1:-1] + beside * (tall[:-2] + tall[2:])
    wide = np.pad(columns, ((0, 0), (1, 1), (0, 0)))
    return np.asarray(wide[:, 1:-1] + beside * (wide[:, :-2] + wide[:, 2:]), np.float32)


def multiplier(risk: F32, ground: Ground, caution: float, limits: OverlaySettings) -> F32:
    """What the cost of a tile's cells is multiplied with, (tile rows, tile columns) in [1, multiplier_max].

    An agent that walks a tile's length and there risks death with chance p pays as much as for
    TILE + p * death_cells steps, so the cheapest way is the one with the least length and risk together. The median
    risk of the map costs nothing, because no way avoids it. `caution` 1 is as the settings say, 0 fears no death,
    3 fears it three times as much; being stuck is no matter of courage. `risk` (tile rows, tile columns, dangers).
    """
    there = risk[ground.share > 0]  # (n, dangers)
    above = np.maximum(risk - (np.median(there, axis=0) if len(there) else 1.0), 0.0)
    extra = (caution * limits.death_cells * above[:, :, 0] + limits.stuck_cells * above[:, :, 1]) / TILE
    return np.asarray(np.minimum(1.0 + extra, limits.multiplier_max), np.float32)


def settled(wanted: F32, before: Levels | None) -> Levels:
    """The level of each multiplier; one that moved too little to matter keeps the level that it had before."""
    exact = np.log2(wanted) * STEPS_PER_OCTAVE
    levels = np.asarray(np.rint(exact), np.int8)
    if before is None:
        return levels
    return np.asarray(np.where(np.abs(exact - before) <= 0.5 + SLACK, before, levels), np.int8)


def worth(levels: Levels, limits: OverlaySettings) -> F32:
    """The multipliers of levels."""
    return np.minimum(np.exp2(levels / STEPS_PER_OCTAVE), limits.multiplier_max).astype(np.float32)


def spread(by_tile: F32, rows: int, columns: int) -> F32:
    """The value of each cell's tile, (rows, columns)."""
    return np.repeat(np.repeat(by_tile, TILE, axis=0)[:rows], TILE, axis=1)[:, :columns]


def rectangles(changed: NDArray[np.bool_], rows: int, columns: int, most: int) -> I32:
    """At most `most` rectangles of cells (n, 4) int32 of x, y, width, height, which together hold all changed tiles.

    Where exact ones are too many, squares of 2, 4, 8 … tiles are taken whole. Row order.
    """
    side = 1
    found = _runs(changed)
    while len(found) > most:
        side *= 2
        tall, wide = -(-changed.shape[0] // side), -(-changed.shape[1] // side)
        blocks = np.zeros((tall * side, wide * side), bool)
        blocks[: changed.shape[0], : changed.shape[1]] = changed
        found = _runs(np.asarray(blocks.reshape(tall, side, wide, side).any(axis=(1, 3))))
    cells = np.array(found, np.int64).reshape(-1, 4) * (side * TILE)
    corner = np.minimum(cells[:, :2] + cells[:, 2:], (columns, rows))
    return np.concatenate([cells[:, :2], corner - cells[:, :2]], axis=1).astype(np.int32)


def _runs(changed: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Rectangles of tiles that cover the changed ones and no other: runs of a row, joined to equal ones above."""
    edges = np.diff(np.pad(changed, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row_of, begins = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    open_runs: dict[tuple[int, int], list[int]] = {}
    found: list[list[int]] = []
    for row, begin, end in zip(row_of.tolist(), begins.tolist(), ends.tolist(), strict=True):
        above = open_runs.get((begin, end))
        if above is not None and above[1] + above[3] == row:
            above[3] += 1
            continue
        open_runs[begin, end] = [begin, row, end - begin, 1]
        found.append(open_runs[begin, end])
    return [(x, y, width, height) for x, y, width, height in found]
