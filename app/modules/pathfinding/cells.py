"""A grid as one class of agents walks on it: which search answers, on the map as uploaded or with its obstacles.

It knows engines and areas of cells; it does not know messages, versions or who asks. Ground without
obstacles is shared by everyone; `own` makes one that follows the obstacles of a world.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np

from app.core.clock import Deadline
from app.core.errors import Broken, Conflict
from app.modules.pathfinding import logic
from app.modules.pathfinding.board import Board, Rectangle
from app.modules.pathfinding.crowds.crowd import Walls
from app.modules.pathfinding.grids import costs, sight
from app.modules.pathfinding.grids import flee as flight
from app.modules.pathfinding.grids import labels as regions
from app.modules.pathfinding.grids.graph import I32, U8
from app.modules.pathfinding.grounds import F32, Flags, Ground, News, Paths, Spots, Wish, joined
from app.modules.pathfinding.searches import OwnSearch, OwnWeighed, Search, Weighed
from app.modules.pathfinding.settings import Settings
from app.modules.pathfinding.turns import Turns

NOWHERE = np.empty((0, 2), np.int16)


class CellGround:
    """The questions of grounds.Ground, over cells."""

    def __init__(self, engine: Search, walkable: U8, size: int) -> None:
        """`walkable` (rows, columns) is where a single cell of such an agent may be, as the map was uploaded."""
        self.engine = engine
        self.walkable = walkable
        self.size = size
        self._turns = Turns()

    @property
    def engine_name(self) -> str:
        return self.engine.name

    @property
    def bytes(self) -> int:
        return self.engine.bytes + self.walkable.nbytes

    @property
    def components(self) -> int:
        return int(np.count_nonzero(np.bincount(self.engine.labels)[1:]))

    @property
    def regions(self) -> I32:
        return self.engine.labels

    @property
    def costs(self) -> F32:
        return self.engine.costs.reshape(-1, self.engine.stride)[1:-1, 1:-1]

    @property
    def passable_cells(self) -> int:
        return int(np.count_nonzero(self.engine.labels))

    def find(self, starts: Spots, goals: Spots, wish: Wish, deadline: Deadline) -> Paths:
        """Answers to all pairs; those not begun before the deadline are over budget."""
        parts: list[Paths] = []
        for first in range(0, len(starts), wish.chunk_pairs):
            if deadline.left_s() <= 0.0:
                break
            chunk = slice(first, first + wish.chunk_pairs)
            with self._turns.reading():
                found = self.engine.find(starts[chunk], goals[chunk], wish)
                parts.append(self._smoothed(found) if wish.smooth else found)
        return joined(parts, len(starts), NOWHERE)

    def _smoothed(self, found: Paths) -> Paths:
        """The same ways pulled straight; what is promised of a way by legal steps is not promised of these."""
        engine = self.engine
        weights = engine.weights if engine.weights.size else None
        taut = sight.smooth(engine.free, weights, engine.stride, found.offsets, found.waypoints)
        bound = np.full(len(found.bound), np.nan, np.float32)
        return found._replace(
            cost=taut.cost * engine.step_cost, bound=bound, offsets=taut.offsets, waypoints=taut.waypoints
        )

    def raycast(self, starts: Spots, ends: Spots) -> tuple[Flags, Spots]:
        """Lines from middle to middle of cells: whether each is clear, and the last free cell on it."""
        lines = np.hstack([starts, ends]).astype(np.float32) + np.float32(0.5)  # (n, 4)
        with self._turns.reading():
            rays = sight.cast(self.engine.free, self.engine.stride, lines)
        return rays.clear > 0, rays.cells

    def flee(
        self, agents: Spots, threats: Spots, *, radius: float, sight_steps: float, steps: int
    ) -> tuple[Spots, F32, F32, I32, Spots]:
        """Refuges (n, 2), the nearest threat's and the agent's own cost to each, and the ways' first cells.

        Agents outside the map and on blocked cells have none; threats there do not count.
        """
        with self._turns.reading():
            free, weights, stride = self.open()
            here = self.cells(agents)
            found = flight.flee(
                free, weights, stride, self.cells(threats), here, radius=radius, sight=sight_steps, steps=steps
            )
        counts = np.count_nonzero(found.paths >= 0, axis=1)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        unit = np.float32(self.engine.step_cost)
        way = self.places(found.paths[found.paths >= 0])
        return self.places(found.targets), found.away * unit, found.length * unit, offsets, way

    def walls(self) -> Walls:
        """Where the centers of agents of this size may not be."""
        return Walls(self.engine.free, self.engine.stride)

    def refine(self, limits: Settings) -> None:
        self.engine.refine(limits)

    def reading(self) -> AbstractContextManager[None]:
        """Hold off changes of the cells."""
        return self._turns.reading()

    def anchors(self, area: Rectangle) -> Rectangle:
        """The cells of the bordered grid that are other for agents of this size when cells of an area are."""
        rows = self.engine.labels.size // self.engine.stride - 2
        grown = area.grown(self.size // 2, (self.size - 1) // 2, self.engine.stride - 2, rows)
        return Rectangle(grown.left + 1, grown.top + 1, grown.right + 1, grown.bottom + 1)

    def open(self) -> tuple[U8, F32, int]:
        """Passable cells (cells,), their weights (empty where all are 1), and the stride, as fields take them."""
        return self.engine.free, self.engine.weights, self.engine.stride

    @property
    def step_cost(self) -> float:
        return self.engine.step_cost

    def cells(self, places: Spots) -> I32:
        """Places (n, 2) as cells of the bordered grid; those outside the map as the blocked cell 0."""
        x, y = places[:, 0].astype(np.int32), places[:, 1].astype(np.int32)
        rows = self.engine.labels.size // self.engine.stride - 2
        inside = (x >= 0) & (x < self.engine.stride - 2) & (y >= 0) & (y < rows)
        return np.where(inside, (y + 1) * self.engine.stride + x + 1, 0).astype(np.int32)

    def places(self, cells: I32) -> Spots:
        """Cells of the bordered grid as places (n, 2) int16, (-1, -1) for none."""
        rows, columns = np.divmod(cells, self.engine.stride)
        places = np.stack([columns - 1, rows - 1], axis=-1)
        return np.where(cells[:, None] < 0, -1, places).astype(np.int16)

    def reachable(self, starts: Spots, goals: Spots) -> Flags:
        with self._turns.reading():
            return self.engine.reachable(starts, goals)

    def nearest(self, places: Spots, reach_from: Spots | None) -> Spots:
        """The passable cell nearest to each, (n, 2) int16; raises Invalid when `reach_from` is not passable."""
        with self._turns.reading():
            region = logic.region_of(self.engine.labels, self.engine.stride, "reach_from", reach_from)
            return regions.nearest_cells(self.engine.labels, self.engine.stride, places, region)

    def draw(self, count: int, seed: int, reach_from: Spots | None, around: Spots | None, radius: float) -> Spots:
        """Passable cells by the seed, (count, 2) int16; raises Invalid when `reach_from` is not passable."""
        with self._turns.reading():
            labels, stride = self.engine.labels, self.engine.stride
            region = logic.region_of(labels, stride, "reach_from", reach_from)
            return logic.draw(logic.candidates(labels, stride, region, around, radius), count, seed)

    def own(self) -> OwnCells:
        return OwnCells(self.engine.own(), self.walkable, self.size)

    def weighable(self) -> OwnCells:
        """The same ground with tables of its own in which every cell may have a cost of its own."""
        engine = self.engine
        if not isinstance(engine, Weighed):
            prices = np.where(engine.labels > 0, np.float32(engine.step_cost), np.float32(0.0))
            engine = Weighed(costs.prepare(engine.free, prices, engine.stride))
        return OwnCells(engine.own(), self.walkable, self.size)


class OwnCells(CellGround):
    """The same over the cells of one world's map, whose obstacles come and go."""

    def __init__(self, engine: OwnSearch, walkable: U8, size: int) -> None:
        super().__init__(engine, walkable, size)
        self._own_engine = engine

    def weigh(self, multiplier: F32, areas: Sequence[Rectangle]) -> None:
        """Take over learned costs, (rows, columns) factors of at least 1, in the areas where they differ."""
        engine = self._own_engine
        if not isinstance(engine, OwnWeighed):
            raise Broken("ground of one cost cannot be weighed", hint="begin from `weighable`")
        with self._turns.writing():
            for area in areas:
                part = multiplier[area.top : area.bottom, area.left : area.right]
                engine.set_danger(area.left + 1, area.top + 1, part)

    def follow(self, news: News) -> None:
        """Take over what stands on the board in the areas that may differ."""
        board = news.board
        with self._turns.writing():
            for area in news.areas:
                anchors = self.anchors(area)
                self._own_engine.set_cells(anchors.left, anchors.top, self._room(board, anchors))

    def _room(self, board: Board, anchors: Rectangle) -> U8:
        """Where in an area of the bordered grid an agent of this size has room, (height, width) uint8."""
        before, after = (self.size - 1) // 2, self.size // 2
        anchors = Rectangle(*(edge - 1 for edge in anchors))
        covered = anchors.grown(before, after, board.columns, board.rows)
        width, height = anchors.right - anchors.left, anchors.bottom - anchors.top
        window = np.zeros((height + self.size - 1, width + self.size - 1), np.uint8)
        top, left = covered.top - (anchors.top - before), covered.left - (anchors.left - before)
        part = board.passable(self.walkable, covered)
        window[top : top + part.shape[0], left : left + part.shape[1]] = part
        room = np.ones((height, width), np.uint8)
        for down in range(self.size):
            for right in range(self.size):
                room &= window[down : down + height, right : right + width]
        return room


def cells_of(ground: Ground) -> CellGround:
    """The ground as cells; raises Conflict for a navmesh."""
    if not isinstance(ground, CellGround):
        raise Conflict("this map is a navmesh", hint="fields, flights and walls are there on grids only")
    return ground
