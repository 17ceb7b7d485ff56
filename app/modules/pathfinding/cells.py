"""A grid as one class of agents walks on it: which search answers, on the map as uploaded or with its obstacles.

It knows engines and areas of cells; it does not know messages, versions or who asks. Ground without
obstacles is shared by everyone; `own` makes one that follows the obstacles of a world.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from app.core.clock import Deadline
from app.modules.pathfinding import logic
from app.modules.pathfinding.board import Board, Rectangle
from app.modules.pathfinding.grids import labels as regions
from app.modules.pathfinding.grids import search
from app.modules.pathfinding.grids.graph import I16, I32, U8, Graph
from app.modules.pathfinding.grids.mending import Repaired
from app.modules.pathfinding.grounds import EXACT, F32, PARTIAL, Flags, News, Paths, Spots, Wish, joined
from app.modules.pathfinding.turns import Turns

NOWHERE = np.empty((0, 2), np.int16)


class Search(Protocol):
    """An engine over cells; `free` and `labels` are (cells,), border included."""

    @property
    def name(self) -> str: ...

    @property
    def stride(self) -> int: ...

    @property
    def free(self) -> U8: ...

    @property
    def labels(self) -> I32: ...

    @property
    def costs(self) -> F32:
        """What a step on each cell costs, (cells,); infinite where blocked."""
        ...

    @property
    def bytes(self) -> int: ...

    def find(self, starts: I16, goals: I16, wish: Wish) -> Paths: ...

    def reachable(self, starts: I16, goals: I16) -> Flags: ...

    def own(self) -> OwnSearch:
        """A copy whose cells may change."""
        ...


class OwnSearch(Search, Protocol):
    """An engine over cells that change."""

    def set_cells(self, left: int, top: int, free: U8) -> None:
        """Make the cells from there on, border included, be as `free` (height, width) says."""
        ...


class Uniform:
    """Every step costs the same: subgoals and landmarks, exact."""

    name = "subgoals"

    def __init__(self, graph: Graph, step_cost: float) -> None:
        self._graph = graph
        self._step_cost = step_cost

    @property
    def graph(self) -> Graph:
        return self._graph

    @property
    def stride(self) -> int:
        return self.graph.stride

    @property
    def free(self) -> U8:
        return (self.graph.labels > 0).astype(np.uint8)

    @property
    def labels(self) -> I32:
        return self.graph.labels

    @property
    def costs(self) -> F32:
        return np.where(self.labels > 0, np.float32(self._step_cost), np.float32(np.inf))

    @property
    def bytes(self) -> int:
        return sum(part.nbytes for part in self.graph if isinstance(part, np.ndarray))

    def find(self, starts: I16, goals: I16, wish: Wish) -> Paths:
        """Shortest paths, in the costs of this ground."""
        found = search.answers(
            self.graph, starts, goals, wish.max_cost / self._step_cost, wish.partial, wish.expansions_max
        )
        rung = np.full(len(starts), EXACT, np.uint8)
        bound = np.where(found.status <= PARTIAL, np.float32(1.0), np.float32(np.nan))
        return Paths(
            found.status, found.cost * self._step_cost, found.expansions, rung, bound, found.offsets, found.waypoints
        )

    def reachable(self, starts: I16, goals: I16) -> Flags:
        """Whether both ends lie in one region."""
        return logic.same_region(self.labels, self.stride, starts, goals)

    def own(self) -> OwnUniform:
        return OwnUniform(self, self._step_cost)


class OwnUniform(Uniform):
    """The same over cells that change: the graph is mended where they do."""

    def __init__(self, shared: Uniform, step_cost: float) -> None:
        super().__init__(shared.graph, step_cost)
        self._shared = shared
        self._repaired = Repaired(shared.graph)

    @property
    def graph(self) -> Graph:
        """The mended graph, or the one that all share while no cell is other than there."""
        return self._repaired.graph if self._repaired.differing else self._shared.graph

    @property
    def free(self) -> U8:
        return self._repaired.free

    def set_cells(self, left: int, top: int, free: U8) -> None:
        self._repaired.set_cells(left, top, free)


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
        return found

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


class OwnCells(CellGround):
    """The same over the cells of one world's map, whose obstacles come and go."""

    def __init__(self, engine: OwnSearch, walkable: U8, size: int) -> None:
        super().__init__(engine, walkable, size)
        self._own_engine = engine

    def follow(self, news: News) -> None:
        """Take over what stands on the board in the areas that may differ."""
        board = news.board
        with self._turns.writing():
            for area in news.areas:
                anchors = area.grown(self.size // 2, (self.size - 1) // 2, board.columns, board.rows)
                self._own_engine.set_cells(anchors.left + 1, anchors.top + 1, self._room(board, anchors))

    def _room(self, board: Board, anchors: Rectangle) -> U8:
        """Where in an area an agent of this size has room, (height, width) uint8."""
        before, after = (self.size - 1) // 2, self.size // 2
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
