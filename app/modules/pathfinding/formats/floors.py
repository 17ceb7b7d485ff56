"""Stacked tile layers of floors, combined into one grid.

It knows the rules: any collision blocks, the topmost cost and the topmost terrain win; it does not know JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from app.modules.pathfinding.formats.cells import Area, Stored
from app.modules.pathfinding.formats.limits import scale_of, wrong
from app.modules.pathfinding.formats.tilesets import Tiles
from app.modules.pathfinding.surfaces import BLOCKED, F32, U8, Surface

PLAIN = 1
"""The place of plain ground among a map's terrains."""


def combined(
    floors: list[Iterable[tuple[Stored, bool | None]]], known: Tiles, area: Area, *, empty_passable: bool
) -> Surface:
    """The grid of floors, each being its tile layers, bottom first, with what they say of collision.

    A layer whose collision is true blocks where it has a tile; one whose collision is false never blocks.
    Raises Invalid naming the path of a tile number that no tileset has.
    """
    rows = len(floors) * (area.height + 1) - 1
    terrain = np.zeros((rows, area.width), np.uint8)
    scale = np.ones((rows, area.width), np.float32)
    for place, layers in enumerate(floors):
        top = place * (area.height + 1)
        inside = slice(top, top + area.height)
        terrain[inside], scale[inside] = _floor(layers, known, area, empty_passable)
    return Surface(terrain=terrain, terrains=known.terrains, scale=scale_of(scale), layers=len(floors))


def _floor(
    layers: Iterable[tuple[Stored, bool | None]], known: Tiles, area: Area, empty_passable: bool
) -> tuple[U8, F32]:
    """The terrain and multiplier of each cell of one floor, (height, width)."""
    shape = area.height, area.width
    covered, blocked = np.full(shape, empty_passable), np.zeros(shape, bool)
    kinds, costs = np.full(shape, PLAIN, np.uint8), np.ones(shape, np.float32)
    for stored, collision in layers:
        gids = stored.gids
        _check_gids(stored, known, area)
        there = gids > 0
        covered |= there
        if collision is None:
            blocked |= known.collides[gids]
        elif collision:
            blocked |= there
        if known.terrain.any():
            named = known.terrain[gids]
            kinds = np.where(named > 0, named, kinds)
        if not np.isnan(known.cost).all():
            priced = known.cost[gids]
            costs = np.where(np.isnan(priced), costs, priced)
    base = np.array([1.0 if terrain.cost == math.inf else terrain.cost for terrain in known.terrains], np.float32)
    free = covered & ~blocked
    return np.where(free, kinds, BLOCKED).astype(np.uint8), np.where(free, costs / base[kinds], np.float32(1.0))


def _check_gids(stored: Stored, known: Tiles, area: Area) -> None:
    """Raise Invalid for a tile number that no tileset has."""
    gids = stored.gids
    most = len(known.known) - 1
    odd = gids > most
    if not odd.any():
        odd = ~known.known[gids]
    if odd.any():
        y, x = divmod(int(odd.argmax()), area.width)
        found = int(gids[y, x])
        raise wrong(stored.place(x, y, area), f"no tileset has a tile {found!r}", f"the last tile is {most}")
