"""The engines over cells under one face: which kernels answer on ground of one cost, and which on weighted ground.

It knows kernels and their tables; it does not know sizes of agents, obstacles or who asks. An engine of one's own
may change its cells; whoever changes them sees to it that nobody searches meanwhile.
"""

from __future__ import annotations

import threading
from typing import Protocol

import numpy as np

from app.modules.pathfinding import logic
from app.modules.pathfinding.grids import costs, hubs, search, weighted
from app.modules.pathfinding.grids.graph import I16, I32, U8, Graph
from app.modules.pathfinding.grids.hierarchy import Scratch
from app.modules.pathfinding.grids.mending import Repaired
from app.modules.pathfinding.grids.overlay import Weighted
from app.modules.pathfinding.grounds import EXACT, F32, PARTIAL, Flags, Paths, Wish
from app.modules.pathfinding.settings import Settings


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

    @property
    def weights(self) -> F32:
        """What a step on each cell costs in units of `step_cost`, (cells,); empty where that is 1 everywhere."""
        ...

    @property
    def step_cost(self) -> float:
        """What a straight step of weight 1 costs."""
        ...

    def find(self, starts: I16, goals: I16, wish: Wish) -> Paths: ...

    def reachable(self, starts: I16, goals: I16) -> Flags: ...

    def refine(self, limits: Settings) -> None: ...

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

    weights = np.empty(0, np.float32)

    def __init__(self, graph: Graph, step_cost: float) -> None:
        self._graph = graph
        self._step_cost = step_cost

    @property
    def step_cost(self) -> float:
        return self._step_cost

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

    def refine(self, limits: Settings) -> None:
        """Compute hub labels, where that does not cost too much: from then on paths are looked up."""
        self._graph = hubs.refine(self._graph, limits.label_entries_max, limits.label_reads_max)


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


class Weighed:
    """Steps cost what the ground says, and links lead from place to place: gates, landmarks, and cells near goals."""

    name = "gates"
    step_cost = 1.0

    def __init__(self, ground: Weighted) -> None:
        self._ground = ground
        self._rooms = threading.local()

    @property
    def stride(self) -> int:
        return self._ground.stride

    @property
    def free(self) -> U8:
        return self._ground.free

    @property
    def labels(self) -> I32:
        return self._ground.labels

    @property
    def weights(self) -> F32:
        return self._ground.cost

    @property
    def costs(self) -> F32:
        return np.where(self._ground.free > 0, self._ground.cost, np.float32(np.inf))

    @property
    def bytes(self) -> int:
        return self._ground.bytes

    @property
    def links(self) -> int:
        return self._ground.links.size

    def find(self, starts: I16, goals: I16, wish: Wish) -> Paths:
        """Paths of at most `wish.weight` times the least cost."""
        found, rung, bound = weighted.find_paths(
            self._ground,
            starts,
            goals,
            max_cost=wish.max_cost,
            partial=wish.partial,
            weight=wish.weight,
            expansions_max=wish.expansions_max,
            exact=wish.weight == 1.0,
            scratch=self._room(),
        )
        promised = np.where(np.isfinite(bound) & (found.status <= PARTIAL), bound, np.float32(np.nan))
        return Paths(found.status, found.cost, found.expansions, rung, promised, found.offsets, found.waypoints)

    def _room(self) -> Scratch:
        """What searches of this thread write to."""
        room: Scratch | None = getattr(self._rooms, "scratch", None)
        if room is None:
            room = self._rooms.scratch = weighted.scratch_for(self._ground)
        return room

    def reachable(self, starts: I16, goals: I16) -> Flags:
        """Whether both ends lie in one region, or links lead from the one's to the other's."""
        here = logic.labels_at(self.labels, self.stride, starts)
        there = logic.labels_at(self.labels, self.stride, goals)
        out, into = self._ground.port_of[here], self._ground.port_of[there]
        linked = (out >= 0) & (into >= 0) & (self._ground.reach[np.maximum(out, 0), np.maximum(into, 0)] > 0)
        flags: Flags = (here > 0) & (there > 0) & ((here == there) | linked)
        return flags

    def refine(self, limits: Settings) -> None:
        """There is nothing to add."""

    def own(self) -> OwnWeighed:
        return OwnWeighed(self._ground)


class OwnWeighed(Weighed):
    """The same over cells that change in passability and cost: boxes that a change touches are measured anew."""

    def __init__(self, ground: Weighted) -> None:
        copies = [part.copy() if isinstance(part, np.ndarray) else part for part in ground]
        super().__init__(Weighted(*copies))  # type: ignore[arg-type]  # each part is of its own type, as it was
        self._wanted_free = ground.free.copy()
        self._plain = np.where(ground.free > 0, ground.cost, np.float32(1.0))
        """(cells,): what cells cost without danger; what obstacles clear is plain ground."""
        self._wanted_cost = self._plain.copy()

    def set_cells(self, left: int, top: int, free: U8) -> None:
        height, width = free.shape
        self._wanted_free.reshape(-1, self.stride)[top : top + height, left : left + width] = free
        self._repair(left, top, width, height)

    def set_danger(self, left: int, top: int, multiplier: F32) -> None:
        """Multiply the plain costs from a cell on, border included, by (height, width) factors of at least 1."""
        height, width = multiplier.shape
        at = np.s_[top : top + height, left : left + width]
        self._wanted_cost.reshape(-1, self.stride)[at] = self._plain.reshape(-1, self.stride)[at] * multiplier
        self._repair(left, top, width, height)

    def _repair(self, left: int, top: int, width: int, height: int) -> None:
        rectangle = (left - 1, top - 1, width, height)
        self._ground = costs.repair(self._ground, rectangle, self._wanted_free, self._wanted_cost)
        if not self._ground.landmarks_hold:
            self._ground = costs.refresh(self._ground)
