"""A map as it stands in one world: the version that answers, its obstacles, who walks where, and its fields.

It knows which tables follow which obstacles; it does not know messages, deadlines or the event log.
Its methods run in worker threads, `touch` alone on the event loop.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock
from app.modules.pathfinding.board import Board, Rectangle, extent, merged
from app.modules.pathfinding.cells import CellGround, OwnCells, cells_of
from app.modules.pathfinding.fields import Fields
from app.modules.pathfinding.grids.batch_fields import FieldEngine
from app.modules.pathfinding.grounds import FOUND, PARTIAL, Ground, News, OwnGround, Paths
from app.modules.pathfinding.overlays.danger import rectangles
from app.modules.pathfinding.overlays.watch import Overlay
from app.modules.pathfinding.prepared import Prepared
from app.modules.pathfinding.settings import Settings
from app.modules.pathfinding.walkers import Walkers
from app.world.entities import Obstacle, StoredMap


class Standing(Protocol):
    """The obstacles of one map as its world's state has them; read from worker threads while the loop changes them."""

    def changes(self) -> int:
        """How often they have changed."""
        ...

    def ids(self) -> list[str]: ...

    def get(self, id: str) -> Obstacle | None: ...


class Live:
    """One map of one world, from the first question about it on."""

    def __init__(
        self,
        stored: StoredMap,
        prepared: Prepared,
        standing: Standing,
        *,
        network: FieldEngine | None,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self.name, self.version = stored.name, stored.version
        self.prepared = prepared
        self.walkers = Walkers(settings.walkers_max)
        self._settings = settings
        self._standing = standing
        self._touched: deque[tuple[str, ...]] = deque()
        self._seen = -1
        """Changes that the tables have followed; below zero before the first look."""
        self._syncing = threading.Lock()
        self._walking = threading.Lock()
        self._applied: dict[str, Obstacle] = {}
        self._board = Board(*prepared.size)
        self._whole = Rectangle(0, 0, self._board.columns, self._board.rows)
        self._own: dict[str, OwnGround] = {}
        self._weighed: dict[str, tuple[Overlay, OwnCells]] = {}
        self.fields = Fields(self._cells, network, settings, clock)

    def touch(self, ids: tuple[str, ...]) -> None:
        """Note that one change was committed, and which obstacles it added, moved or removed."""
        self._touched.append(ids)

    def ground(self, agent_class: str, overlay: str = "none") -> Ground:
        """What agents of that class walk on now, with learned dangers where they are ready; raises NotFound."""
        shared = self.prepared.ground(agent_class)
        with self._syncing:
            self._sync()
            if overlay == "danger" and agent_class in self._weighed:
                return self._weighed[agent_class][1]
            return self._followed(agent_class) if self._applied or self._own else shared

    def overlay(self, agent_class: str) -> Overlay | None:
        """The learned dangers that `ground` has, if any."""
        known = self._weighed.get(agent_class)
        return known[0] if known else None

    def weigh(self, overlay: Overlay) -> None:
        """Take over learned dangers; they are in the next query when this returns."""
        known = self._weighed.get(overlay.agents)
        if known is None:
            own = cells_of(self.prepared.ground(overlay.agents)).weighable()
            own.weigh(overlay.multiplier, [self._whole])
            with self._syncing:
                self._sync()
                own.follow(News(self._board, [self._whole], self._applied))
                self._weighed[overlay.agents] = (overlay, own)
            return
        differs = known[0].levels != overlay.levels  # not `overlay.changed`: a version may have been passed over
        most = self._settings.dangers.rectangles_max
        found = rectangles(differs, self._board.rows, self._board.columns, most).tolist()
        areas = [Rectangle(x, y, x + width, y + height) for x, y, width, height in found]
        known[1].weigh(overlay.multiplier, areas)
        self._weighed[overlay.agents] = (overlay, known[1])
        if (overlay.agents, "danger") in self.fields.used():
            self.fields.mend(overlay.agents, "danger", known[1], areas)

    def _followed(self, agent_class: str) -> OwnGround:
        """The ground of a class with tables that follow the obstacles."""
        if agent_class not in self._own:
            own = self._own[agent_class] = self.prepared.ground(agent_class).own()
            own.follow(News(self._board, [self._whole], self._applied))
        return self._own[agent_class]

    def _cells(self, agent_class: str, overlay: str) -> CellGround:
        return cells_of(self.ground(agent_class, overlay))

    def sync(self) -> None:
        """Bring every table that is in use to the obstacles as they are."""
        with self._syncing:
            self._sync()

    def _sync(self) -> None:
        now = self._standing.changes()
        ids: set[str] = set()
        while self._touched:
            ids.update(self._touched.popleft())
            self._seen += 1
        if self._seen < now:  # a change was committed whose call did not live to say so
            ids.update(self._standing.ids(), self._applied)
        self._seen = now
        areas: list[Rectangle] = []
        for id in sorted(ids):
            before, after = self._applied.pop(id, None), self._standing.get(id)
            if after is not None:
                self._applied[id] = after
            if before != after:
                areas += self._board.change(before, after)
        if areas or (ids and self.prepared.kind == "points"):
            news = News(self._board, merged(areas, self._settings.repair_cells_max), self._applied)
            for ground in (*self._own.values(), *(weighed for _, weighed in self._weighed.values())):
                ground.follow(news)
            for agent_class, overlay in self.fields.used():
                known = self._weighed.get(agent_class) if overlay == "danger" else None
                cells = known[1] if known else cells_of(self._followed(agent_class))
                self.fields.mend(agent_class, overlay, cells, news.areas)

    def obstructed(self) -> NDArray[np.bool_]:
        """Where obstacles stand, (rows, columns)."""
        with self._syncing:
            self._sync()
            return self._board.occupied()

    @property
    def bytes(self) -> int:
        """What the tables of its own take in memory."""
        weighed = [ground for _, ground in list(self._weighed.values())]
        return sum(ground.bytes for ground in (*list(self._own.values()), *weighed))

    def walk(self, walkers: Sequence[str], paths: Paths) -> None:
        """Remember the ways of walkers, in the order of `paths`; who has found none walks no more."""
        ways = self.prepared.flat(paths.waypoints)
        with self._walking:
            for row, walker in enumerate(walkers):
                there = paths.status[row] in (FOUND, PARTIAL)
                self.walkers.walk(walker, ways[paths.offsets[row] : paths.offsets[row + 1]] if there else ways[:0])

    def look(self, obstacles: Sequence[Obstacle]) -> tuple[tuple[str, ...], int]:
        """The walkers whose newest way these obstacles would come into, and how many stand on the map now."""
        self.sync()
        boxes = []
        for obstacle in obstacles:
            self.prepared.check_obstacle(obstacle)
            if obstacle.closed and not obstacle.clears:
                left, top, right, bottom = extent(obstacle)
                whole = self.prepared.kind == "cells"  # a cell is blocked as a whole
                boxes.append(
                    (math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
                    if whole
                    else (left, top, right, bottom)
                )
        with self._walking:
            return self.walkers.hit(boxes), len(self._applied)
