"""How long a picture of a map takes, from arrays to bytes: a published map, and a large one with every layer shown.

It measures inside the process; it looks at no picture.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import report

from app.modules.pathfinding.pictures.grid import Layers, draw_grid, draw_grid_svg
from app.modules.pathfinding.pictures.options import SHOWN_AT_FIRST, Options
from app.modules.pathfinding.surfaces import Surface, Terrain
from paths import published

SIDE = 2_048
TERRAINS = (Terrain("blocked", math.inf), *(Terrain(f"ground {cost}", float(cost)) for cost in range(1, 10)))


def measure(told: report.Report, *, quick: bool) -> None:
    """Add the least milliseconds of several pictures each."""
    rounds = 3 if quick else 9
    small, large = surface("AR0011SR"), surface("AcrosstheCape", SIDE)
    path = np.linspace((10, 10), (SIDE - 10, SIDE - 10), 400) + np.sin(np.arange(400) / 9)[:, None] * (9, -9)
    layers = Layers(
        labels=np.pad((large.terrain > 0).astype(np.int32), 1).ravel(),
        overlay=hills(SIDE, 7) * 3 + 1,
        obstacles=(hills(SIDE, 31) > 0.98).astype(np.uint8),
        paths=[path],
    )
    for name, work, goal in (
        ("picture_ms.AR0011SR", lambda: draw_grid(small, Layers(), Options()), None),
        ("picture_svg_ms.AR0011SR", lambda: draw_grid_svg(small, Layers(), Options()), None),
        (f"picture_ms.{SIDE}", lambda: draw_grid(large, Layers(), Options()), 700.0),
        (f"picture_ms.{SIDE}_layers", lambda: draw_grid(large, layers, Options()), 700.0),
        (f"picture_ms.{SIDE}_costs", lambda: draw_grid(large, layers, Options(show=SHOWN_AT_FIRST | {"costs"})), None),
    ):
        told.add(name, least_ms(work, rounds), "ms", "lower", goal=goal)


def least_ms(work: Callable[[], object], rounds: int) -> float:
    """The least of several runs, after one that loads the font and Pillow."""
    work()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken) * 1_000


def surface(name: str, side: int | None = None) -> Surface:
    """A published map with hills of terrain, laid side by side to fill `side` cells."""
    free = published.bordered(name)[1:-1, 1:-1]
    side = side or max(free.shape)
    free = np.tile(free, (-(-side // free.shape[0]), -(-side // free.shape[1])))[:side, :side]
    return Surface((free * (hills(side, 13) * 8.99 + 1)).astype(np.uint8), TERRAINS, None)


def hills(side: int, waves: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A smooth height in 0 .. 1 for each cell, (side, side) float32."""
    along = np.sin(np.linspace(0, waves * math.pi, side, dtype=np.float32))
    return (along[:, None] * along[::-1] + 1) / 2
