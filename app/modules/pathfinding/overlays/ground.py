"""What the network sees of each tile: its ground, what happened on and around it, and the map as a whole.

It knows shapes and the layout of features; it does not know the network nor what its answer costs.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.overlays.counts import F32, KINDS, SIDE_CELLS_MAX, TILE, tiles

AROUND = 5
"""Tiles on a side of the square whose counts the network sees."""
NEAR = 3
"""The same for ground and the time since harm."""
CLEARANCE_MAX = 8
"""Cells to the nearest wall, from which on ground is simply open."""
LAYOUT = (
    ("counted", 2), ("counts", AROUND * AROUND * len(KINDS)), ("recent", 2),
    ("share", NEAR * NEAR), ("clearance", NEAR * NEAR), ("tightness", NEAR * NEAR), ("map", 3),
)  # fmt: skip
FEATURES = sum(width for _, width in LAYOUT)
FINGERPRINT = hashlib.sha256(repr((LAYOUT, KINDS, TILE, AROUND, NEAR, CLEARANCE_MAX)).encode()).hexdigest()[:16]
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
    lately = _windows(recent, NEAR).max(axis=(2, 3))
    parts = [
        odds.reshape(-1, 2)[chosen],
        _chosen(np.log1p(counts), AROUND, chosen),
        np.stack([recent.ravel()[chosen], lately.ravel()[chosen]], axis=1),
        *(_chosen(part, NEAR, chosen) for part in (ground.share, ground.clearance, ground.tightness)),
        np.broadcast_to(_whole(ground, counts, odds), (len(chosen), 3)),
    ]
    return np.concatenate(parts, axis=1, dtype=np.float32), chosen


def _whole(ground: Ground, counts: F32, odds: F32) -> F32:
    """What is the same for all tiles of a map: its usual odds of both dangers, and how well it is known, (3,)."""
    passable = ground.share > 0
    if not passable.any():
        return np.zeros(3, np.float32)
    visits = counts[:, :, KINDS.index("visit")][passable].mean()
    return np.array([*np.median(odds[passable], axis=0), np.log1p(visits)], np.float32)


def _windows(layer: F32, side: int) -> F32:
    """The square of tiles around each tile, 0 beyond the map: (tile rows, tile columns, ..., side, side)."""
    reach = side // 2
    padding = ((reach, reach), (reach, reach), *((0, 0) for _ in layer.shape[2:]))
    return sliding_window_view(np.pad(layer, padding), (side, side), axis=(0, 1))


def _chosen(layer: F32, side: int, chosen: NDArray[np.intp]) -> F32:
    """The squares around some tiles, flat: (n, ... * side * side)."""
    windows = _windows(layer, side)
    rows, columns = np.divmod(chosen, windows.shape[1])
    return windows[rows, columns].reshape(len(chosen), -1)
