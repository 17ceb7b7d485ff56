"""Loads every kernel from disk, or compiles it, before the first request needs one: seconds on a machine's first start.

It knows which calls reach all kernels with the types that requests bring; nothing else uses it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from app.modules.pathfinding.cells import CellGround


def warm() -> None:
    """Ask everything once of the smallest maps that reach all of it, what is asked most first."""
    from app.core.clock import Deadline, SystemClock
    from app.modules.pathfinding.board import Board, Rectangle
    from app.modules.pathfinding.cells import CellGround
    from app.modules.pathfinding.grounds import News, Wish
    from app.modules.pathfinding.options import Options
    from app.modules.pathfinding.prepared import prepare
    from app.modules.pathfinding.settings import Settings
    from app.world.entities import CellSet, Obstacle

    soon = Deadline.after_ms(600_000, SystemClock())
    starts, goals = np.array([[0, 0]], np.int16), np.array([[2, 2]], np.int16)
    for rows in (b"...\n.#.\n...",):
        ground = prepare(rows, "rows", Options(), Settings(), lambda *_: None).ground("")
        own = ground.own()
        board = Board(3, 3)
        for before, after in ((None, True), (True, False)):
            stands = [known and Obstacle(id="a", shape=CellSet(cells=((0, 0),)), x=2, y=1) for known in (before, after)]
            board.change(*(obstacle or None for obstacle in stands))
            own.follow(News(board, [Rectangle(1, 0, 3, 2)], {}))
        wish = Wish(math.inf, True, 1.0, True, 10, 64)
        for one in (ground, own):
            one.find(starts, goals, wish, soon)
        own.nearest(starts, None)
        own.raycast(starts, goals)
        if isinstance(own, CellGround):
            _warm_flows(own, starts, goals)


def _warm_flows(
    ground: CellGround,
    starts: np.ndarray[tuple[int, ...], np.dtype[np.int16]],
    goals: np.ndarray[tuple[int, ...], np.dtype[np.int16]],
) -> None:
    from app.modules.pathfinding.crowds.crowd import Crowd, Outlook
    from app.modules.pathfinding.crowds.orca import steer
    from app.modules.pathfinding.grids import fields, flow
    from app.modules.pathfinding.grids.repair import repair

    free, weights, stride = ground.open()
    field = fields.build(free, weights, stride, ground.cells(goals))
    repair(field, free, weights, (1, 1, 2, 2))
    flow.sample(field, np.array([[0.5, 0.5]], np.float32))
    ground.flee(starts, goals, radius=2.0, sight_steps=4.0, steps=2)
    pairs, ones = np.array([[0.5, 0.5], [2.5, 2.5]], np.float32), np.full(2, 0.4, np.float32)
    steer(Crowd(pairs, pairs, pairs, ones, ones), ground.walls(), Outlook())
