"""Loads every kernel from disk, or compiles it, before the first request needs one: seconds on a machine's first start.

It knows which calls reach all kernels with the types that requests bring; nothing else uses it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from app.core.clock import Deadline, SystemClock
from app.modules.pathfinding.board import Board, Rectangle
from app.modules.pathfinding.grounds import News, Wish
from app.modules.pathfinding.options import Options
from app.modules.pathfinding.settings import Settings
from app.world.entities import CellSet, Obstacle

if TYPE_CHECKING:
    from app.modules.pathfinding.cells import OwnCells

STARTS, GOALS = np.array([[0, 0]], np.int16), np.array([[2, 2]], np.int16)
ROWS = (b"...\n.#.\n...", b"121\n1#1\n111")
"""Ground of one cost, and weighted ground."""


def warm() -> None:
    """Ask everything once of the smallest maps that reach all of it, what is asked most first."""
    from app.modules.pathfinding.cells import CellGround
    from app.modules.pathfinding.prepared import prepare

    settings = Settings()
    for rows in ROWS:
        prepared = prepare(rows, "rows", Options(), settings, lambda *_: None)
        ground = prepared.ground("")
        ask = Wish(math.inf, True, 1.05, True, 1_000, 64)
        soon = Deadline.after_ms(600_000, SystemClock())
        ground.find(STARTS, GOALS, ask, soon)
        prepared.refine(settings)
        ground.find(STARTS, GOALS, ask, soon)
        if isinstance(ground, CellGround):
            _warm_own(ground.own())
            _warm_own(ground.weighable())


def _warm_own(ground: OwnCells) -> None:
    """What changes, and what reads what has changed."""
    board, whole = Board(3, 3), [Rectangle(0, 0, 3, 3)]
    crate = Obstacle(id="crate", shape=CellSet(cells=((0, 0),)), x=2, y=1)
    bridge = Obstacle(id="bridge", shape=CellSet(cells=((0, 0),)), x=1, y=1, clears=True)
    for before, after in ((None, crate), (crate, None), (None, bridge)):
        board.change(before, after)
        ground.follow(News(board, whole, {}))
    soon = Deadline.after_ms(600_000, SystemClock())
    ground.find(STARTS, GOALS, Wish(math.inf, True, 1.0, True, 1_000, 64), soon)
    ground.nearest(STARTS, None)
    ground.raycast(STARTS, GOALS)
    _warm_flows(ground)


def _warm_flows(ground: OwnCells) -> None:
    from app.modules.pathfinding.crowds.crowd import Crowd, Outlook
    from app.modules.pathfinding.crowds.orca import steer
    from app.modules.pathfinding.grids import fields, flow
    from app.modules.pathfinding.grids.repair import repair

    free, weights, stride = ground.open()
    field = fields.build(free, weights, stride, ground.cells(GOALS))
    repair(field, free, weights, (1, 1, 2, 2))
    flow.sample(field, np.array([[0.5, 0.5]], np.float32))
    ground.flee(STARTS, GOALS, radius=2.0, sight_steps=4.0, steps=2)
    pairs, ones = np.array([[0.5, 0.5], [2.5, 2.5]], np.float32), np.full(2, 0.4, np.float32)
    steer(Crowd(pairs, pairs, pairs, ones, ones), ground.walls(), Outlook())
