"""What the network sees of each tile: its ground, what happened on and around it, and the map as a whole.

It knows shapes and the layout of features; it does not know the network nor what its answer costs.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.overlays.counts import AMBUSH, DEATH, F32, KINDS, SIDE_CELLS_MAX, TILE, VISIT, tiles

AROUND = 5
"""Tiles on a side of the square whose counts the network sees."""
NEAR = 3
"""The same for ground and the time since harm."""
CLEARANCE_MAX = 8
"""Cells to the nearest wall, from which on ground is simply open."""
REGION = 13
"""Tiles on a side of the square within which tiles as wide as one tell of it."""
WIDTHS = (0.25, 0.5)
"""Clearance, as a share of CLEARANCE_MAX, up to which a tile counts as narrow, and as middling; beyond as open."""
LAYOUT = (
    ("counted", 2), ("recent", 2), ("sums", 2 * len(KINDS)), ("alike", 4), ("map", 3),
    ("counts", AROUND * AROUND * len(KINDS)),
    ("share", NEAR * NEAR), ("clearance", NEAR * NEAR), ("tightness", NEAR * NEAR),
)  # fmt: skip
SQUARES = (*(AROUND for _ in KINDS), NEAR, NEAR, NEAR)
"""The sides of the squares of tiles that the last features of a row are."""
FEATURES = sum(width for _, width in LAYOUT)
_MEANT = repr((LAYOUT, KINDS, TILE, AROUND, NEAR, CLEARANCE_MAX, REGION, WIDTHS))
FINGERPRINT = hashlib.sha256(_MEANT.encode()).hexdigest()[:16]
"""Of the layout that a network was trained for; it stands in the network's metadata."""


class Ground(NamedTuple):
    """A map as tiles, all (tile rows, tile columns) float32 in [0, 1] but the sides in cells."""

    rows: int
    columns: int
    share: F32
    """Passable cells of a tile."""
    clearance: F32
    """The widest way through it: the most clearance of its passable cells, of CLEARANCE_MAX."""
    tightness: F32
    """The mean clearance of its passable cells; 0 where there are none."""


def survey(free: NDArray[np.generic]) -> Ground:
    """The ground of `free` (rows, columns), not 0 where one can stand; raises Invalid.

    Clearance is the chessboard distance to the nearest blocked cell or the map's edge.
    """
    if free.ndim != 2 or not (1 <= free.shape[0] <= SIDE_CELLS_MAX and 1 <= free.shape[1] <= SIDE_CELLS_MAX):
        raise Invalid(f"the map has shape {free.shape!r}", hint=f"expected sides of 1 to {SIDE_CELLS_MAX} cells")
    rows, columns = free.shape
    inside = np.pad(free != 0, 1).astype(np.uint8)
    clear = inside.copy()
    for _ in range(CLEARANCE_MAX - 1):
        wide = inside[:, :-2] & inside[:, 1:-1] & inside[:, 2:]
        inside[1:-1, 1:-1] = wide[:-2] & wide[1:-1] & wide[2:]
        clear += inside
    padding = ((0, tiles(rows) * TILE - rows), (0, tiles(columns) * TILE - columns))
    blocks = np.pad(clear[1:-1, 1:-1], padding).reshape(tiles(rows), TILE, tiles(columns), TILE)
    passable = (blocks > 0).sum(axis=(1, 3), dtype=np.float32)  # (tile rows, tile columns)
    total = blocks.sum(axis=(1, 3), dtype=np.float32)
    return Ground(
        rows,
        columns,
        passable / np.float32(TILE * TILE),
        blocks.max(axis=(1, 3)).astype(np.float32) / np.float32(CLEARANCE_MAX),
        total / np.maximum(passable, 1.0) / np.float32(CLEARANCE_MAX),
    )


def features(ground: Ground, counts: F32, since_half_lives: F32, counted: F32) -> tuple[F32, NDArray[np.intp]]:
    """One row for each tile with passable cells, (n, FEATURES) float32, and which tiles these are (n,).

    `counts` (tile rows, tile columns, kinds) decayed; `since_half_lives` (tile rows, tile columns) since the last
    harm; `counted` (tile rows, tile columns, 2) what the counts alone say, as chances a visit.
    """
    chosen = np.flatnonzero(ground.share)
    odds = np.log(counted) - np.log1p(-counted)  # (tile rows, tile columns, 2)
    recent = np.exp2(-since_half_lives)
    padded = np.pad(recent, 1)
    lately = np.max([padded[y : y + recent.shape[0], x : x + recent.shape[1]] for y, x in np.ndindex(3, 3)], axis=0)
    logs = np.log1p(counts)
    layers: list[F32] = [odds[:, :, 0], odds[:, :, 1], recent, lately]
    layers += [np.log1p(sums) for side in (NEAR, AROUND) for sums in _boxed(np.moveaxis(counts, 2, 0), side)]
    layers += _alike(ground, counts)
    whole = _whole(ground, counts, odds)
    squares = [*np.moveaxis(logs, 2, 0), ground.share, ground.clearance, ground.tightness]
    by_feature = np.empty((FEATURES, len(chosen)), np.float32)  # filled along memory, then turned
    for place, layer in enumerate(layers):
        by_feature[place] = layer.ravel()[chosen]
    at = len(layers) + len(whole)
    by_feature[len(layers) : at] = whole[:, None]
    for layer, side in zip(squares, SQUARES, strict=True):
        wide = np.pad(layer, side // 2)
        for y, x in np.ndindex(side, side):
            by_feature[at] = wide[y : y + layer.shape[0], x : x + layer.shape[1]].ravel()[chosen]
            at += 1
    return np.ascontiguousarray(by_feature.T), chosen


def symmetries() -> NDArray[np.intp]:
    """The eight ways to turn and mirror a row's squares, as columns to take: (8, FEATURES); the first changes none."""
    first = FEATURES - sum(side * side for side in SQUARES)
    ways = []
    for turns in range(4):
        for mirrored in (False, True):
            way, at = [np.arange(first)], first
            for side in SQUARES:
                square = np.rot90(np.arange(at, at + side * side).reshape(side, side), turns)
                way.append((square.T if mirrored else square).ravel())
                at += side * side
            ways.append(np.concatenate(way))
    return np.array(ways, np.intp)


def _alike(ground: Ground, counts: F32) -> list[F32]:
    """What happened in the region and on the map on tiles as wide as each, four of (tile rows, tile columns).

    Log odds of an attack or a death for each visit, and how many visits tell of it; first in the region.
    """
    told = np.stack([counts[:, :, DEATH] + counts[:, :, AMBUSH], counts[:, :, VISIT]])  # (2, tile rows, tile columns)
    found = [np.zeros(ground.share.shape, np.float32) for _ in range(4)]
    width_of = np.digitize(ground.clearance, WIDTHS, right=True)
    for width in range(len(WIDTHS) + 1):
        mine = (width_of == width) & (ground.share > 0)
        masked = told * mine
        everywhere = np.broadcast_to(masked.sum(axis=(1, 2), keepdims=True), told.shape)
        for place, (harm, visits) in enumerate((_boxed(masked, REGION), everywhere)):
            found[2 * place][mine] = np.log((harm[mine] + 0.02) / (visits[mine] + 5.0))
            found[2 * place + 1][mine] = np.log1p(visits[mine])
    return found


def _boxed(layers: F32, side: int) -> F32:
    """The sum over the square of tiles around each tile, (n, tile rows, tile columns)."""
    reach = side // 2
    sums = np.pad(layers.astype(np.float64), ((0, 0), (reach + 1, reach), (reach + 1, reach))).cumsum(1).cumsum(2)
    boxes = sums[:, side:, side:] - sums[:, :-side, side:] - sums[:, side:, :-side] + sums[:, :-side, :-side]
    return np.asarray(np.maximum(boxes, 0.0), np.float32)


def _whole(ground: Ground, counts: F32, odds: F32) -> F32:
    """What is the same for all tiles of a map: its usual odds of both dangers, and how well it is known, (3,)."""
    passable = ground.share > 0
    if not passable.any():
        return np.zeros(3, np.float32)
    visits = counts[:, :, VISIT][passable].mean()
    return np.array([*np.median(odds[passable], axis=0), np.log1p(visits)], np.float32)
