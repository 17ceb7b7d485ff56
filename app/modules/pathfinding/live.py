"""A map as it stands in one world: the version that answers, its obstacles, who walks where, and its fields.

It knows which tables follow which obstacles; it does not know messages, deadlines or the event log.
Its methods run in worker threads, `touch` alone on the event loop.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from app.modules.pathfinding.board import Board, Rectangle, merged, raster
from app.modules.pathfinding.grounds import FOUND, PARTIAL, Ground, Paths
from app.modules.pathfinding.prepared import Prepared
from app.modules.pathfinding.settings import Settings
from app.modules.pathfinding.walkers import Walkers
from app.world.entities import Obstacle, StoredMap

Standing = Callable[[str], Obstacle | None]
"""Obstacle id -> how it stands now on this map, None where there is none."""


class Live:
    """One map of one world, from the first question about it on."""

    def __init__(self, stored: StoredMap, prepared: Prepared, standing: Standing, settings: Settings) -> None:
        self.name, self.version = stored.name, stored.version
        self.prepared = prepared
        self.walkers = Walkers(settings.walkers_max)
        self._settings = settings
        self._standing = standing
        self._touched: deque[str] = deque()
        self._syncing = threading.Lock()
        self._walking = threading.Lock()
        self._applied: dict[str, Obstacle] = {}
        self._board = Board(*prepared.size)
        self._own: dict[str, Ground] = {}

    def touch(self, ids: Iterable[str]) -> None:
        """Note that these obstacles were added, moved or removed."""
        self._touched.extend(ids)

    def ground(self, agent_class: str) -> Ground:
        """What agents of that class walk on now; raises NotFound."""
        shared = self.prepared.ground(agent_class)
        with self._syncing:
            self._sync()
            if not self._applied and agent_class not in self._own:
                return shared
            if agent_class not in self._own:
                own = self._own[agent_class] = shared.own()
                own.follow(self._board, [Rectangle(0, 0, self._board.columns, self._board.rows)])
            return self._own[agent_class]

    def sync(self) -> None:
        """Bring every table that is in use to the obstacles as they are."""
        with self._syncing:
            self._sync()

    def _sync(self) -> None:
        areas: list[Rectangle] = []
        while self._touched:
            id = self._touched.popleft()
            before, after = self._applied.pop(id, None), self._standing(id)
            if after is not None:
                self._applied[id] = after
            if before != after:
                areas += self._board.change(before, after)
        if areas:
            areas = merged(areas, self._settings.repair_cells_max)
            for ground in self._own.values():
                ground.follow(self._board, areas)

    @property
    def obstacles(self) -> int:
        """How many stand on the map, as far as `sync` knows."""
        return len(self._applied)

    @property
    def bytes(self) -> int:
        """What the tables of its own take in memory."""
        return sum(ground.bytes for ground in self._own.values())

    def walk(self, walkers: Sequence[str], paths: Paths) -> None:
        """Remember the ways of walkers, in the order of `paths`; who has found none walks no more."""
        ways = paths.waypoints[:, self.prepared.plane].astype(np.float32) + np.float32(self.prepared.middle)
        with self._walking:
            for row, walker in enumerate(walkers):
                there = paths.status[row] in (FOUND, PARTIAL)
                self.walkers.walk(walker, ways[paths.offsets[row] : paths.offsets[row + 1]] if there else ways[:0])

    def hit(self, obstacles: Sequence[Obstacle]) -> tuple[str, ...]:
        """The walkers whose newest way these obstacles come into."""
        boxes = []
        for obstacle in obstacles:
            if obstacle.closed and not obstacle.clears:
                left, top, mask = raster(obstacle, self._board.rows, self._board.columns)
                boxes.append((left, top, left + mask.shape[1], top + mask.shape[0]))
        with self._walking:
            return self.walkers.hit(boxes)
