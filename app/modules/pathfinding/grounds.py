"""What one class of agents walks on, whatever it is made of: the questions that a map answers, as arrays.

It knows the shapes of questions and answers; each kind of ground (cells.py, polygons.py) knows how they are found.
A ground is asked in worker threads only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Deadline
from app.modules.pathfinding.board import Board, Rectangle
from app.modules.pathfinding.grids.graph import F64, I32, U8
from app.modules.pathfinding.settings import Settings
from app.world.entities import Obstacle

F32 = NDArray[np.float32]
Flags = NDArray[np.bool_]
Kind = Literal["cells", "points"]
Spots = NDArray[Any]
"""Places: (n, 2) int16 cells on a grid, (n, 3) float32 points on a navmesh."""

FOUND, PARTIAL, UNREACHABLE, INVALID, OVER_BUDGET = range(5)
"""Places in messages.STATUSES."""
EXACT, BOUNDED, HIERARCHICAL = range(3)
"""Places in messages.RUNGS."""


class Wish(NamedTuple):
    """How paths are wanted."""

    max_cost: float
    partial: bool
    weight: float
    smooth: bool
    expansions_max: int
    chunk_pairs: int
    """Queries searched between two looks at the clock."""


class Paths(NamedTuple):
    """The answers to n questions for a way, in order."""

    status: U8
    cost: F64
    """(n,): NaN where there is no way."""
    expansions: I32
    rung: U8
    bound: F32
    """(n,): the cost is at most so many times the least; NaN where nothing is promised."""
    offsets: I32
    """(n + 1,): the waypoints of query i are rows offsets[i] .. offsets[i + 1]."""
    waypoints: Spots


class News(NamedTuple):
    """What has changed on a map: the areas of a grid that may differ, and all obstacles that stand now."""

    board: Board
    areas: Sequence[Rectangle]
    standing: Mapping[str, Obstacle]


class Ground(Protocol):
    """Answers in arrays; places outside and on blocked ground are data, never an exception."""

    @property
    def engine_name(self) -> str:
        """What answers, for the log."""
        ...

    @property
    def bytes(self) -> int:
        """What its tables take in memory."""
        ...

    @property
    def components(self) -> int:
        """Regions with no way between them."""
        ...

    @property
    def regions(self) -> I32:
        """The region of each cell, (cells,) border included, or of each polygon of the file, (polygons,); 0: none."""
        ...

    @property
    def costs(self) -> F32 | None:
        """What a step on each cell costs, (rows, columns), infinite where blocked; None on a navmesh."""
        ...

    @property
    def passable_cells(self) -> int:
        """Cells where such an agent may be; 0 on a navmesh."""
        ...

    def refine(self, limits: Settings) -> None:
        """Spend time, bounded by the limits, on tables that make answers quicker."""
        ...

    def own(self) -> OwnGround:
        """The same ground with tables of its own."""
        ...

    def find(self, starts: Spots, goals: Spots, wish: Wish, deadline: Deadline) -> Paths: ...

    def reachable(self, starts: Spots, goals: Spots) -> Flags: ...

    def nearest(self, places: Spots, reach_from: Spots | None) -> Spots: ...

    def raycast(self, starts: Spots, ends: Spots) -> tuple[Flags, Spots]: ...

    def draw(self, count: int, seed: int, reach_from: Spots | None, around: Spots | None, radius: float) -> Spots: ...


class OwnGround(Ground, Protocol):
    """Ground that follows the obstacles of one world."""

    def follow(self, news: News) -> None: ...


def joined(parts: list[Paths], pairs: int, places: Spots) -> Paths:
    """The answers of chunks as those of one batch; queries that no chunk reached are over budget.

    `places` (0, k) says what waypoints look like.
    """
    late = pairs - sum(len(part.status) for part in parts)
    if len(parts) == 1 and not late:
        return parts[0]
    begins = np.cumsum([0] + [len(part.waypoints) for part in parts])
    offsets = [part.offsets[:-1] + begin for part, begin in zip(parts, begins, strict=False)]
    return Paths(
        np.concatenate([*(part.status for part in parts), np.full(late, OVER_BUDGET, np.uint8)]),
        np.concatenate([*(part.cost for part in parts), np.full(late, np.nan)]),
        np.concatenate([*(part.expansions for part in parts), np.zeros(late, np.int32)]),
        np.concatenate([*(part.rung for part in parts), np.zeros(late, np.uint8)]),
        np.concatenate([*(part.bound for part in parts), np.full(late, np.nan, np.float32)]),
        np.concatenate([*offsets, np.full(late + 1, begins[-1])]).astype(np.int32),
        np.concatenate([*(part.waypoints for part in parts), places]),
    )
