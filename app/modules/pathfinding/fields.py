"""The fields of one map that are kept: by their goals, mended as the ground changes, dropped when nobody asks.

It knows classes of agents by name and fields by what they lead to; when and where the ground changes it is told.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock
from app.core.errors import NotFound
from app.modules.pathfinding.board import Rectangle
from app.modules.pathfinding.cells import CellGround
from app.modules.pathfinding.grids import fields, flow
from app.modules.pathfinding.grids.repair import repair
from app.modules.pathfinding.grounds import F32, Spots
from app.modules.pathfinding.settings import Settings

GroundOf = Callable[[str, str], CellGround]
"""(class of agents, overlay) -> what they walk on now."""


class Kept:
    """One field, who it is for, and when it was last asked for."""

    def __init__(self, name: str, agent_class: str, overlay: str, ground: CellGround, goals: NDArray[np.int32]) -> None:
        self.name = name
        self.agent_class, self.overlay = agent_class, overlay
        self.asked_s = 0.0
        free, cost, stride = ground.open()
        self.field = fields.build(free, cost, stride, goals)
        self.step_cost = ground.step_cost

    @property
    def reached_cells(self) -> int:
        """Cells from which a goal is reached."""
        return int(np.count_nonzero((self.field.reach >= 0.0) & np.isfinite(self.field.reach)))


class Fields:
    """Used from worker threads; one at a time, for reading a field is quick."""

    def __init__(self, ground_of: GroundOf, settings: Settings, clock: Clock) -> None:
        self._ground_of = ground_of
        self._settings = settings
        self._clock = clock
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, agent_class: str, overlay: str, goals: Sequence[Spots]) -> list[Kept]:
        """A field for each set of goals (n, 2) int16, kept from now on; goals that are blocked do not count."""
        return [self._one(agent_class, overlay, cells) for cells in goals]

    def _one(self, agent_class: str, overlay: str, goals: Spots) -> Kept:
        said = b"\0".join([agent_class.encode(), overlay.encode(), np.unique(goals, axis=0).tobytes()])
        name = hashlib.sha256(said).hexdigest()[:24]
        while True:
            ground = self._ground_of(agent_class, overlay)
            with ground.reading(), self._lock:
                kept = self._kept.get(name)
                if kept is None:
                    kept = Kept(name, agent_class, overlay, ground, ground.cells(goals))
                self._touch(kept)
            if self._ground_of(agent_class, overlay) is ground:
                return kept
            with self._lock:  # the first obstacle came meanwhile, and this field has not heard of it
                self._kept.pop(name, None)

    def sample(self, name: str, points: F32) -> tuple[F32, F32]:
        """Directions (n, 2) and costs (n,) at points in cells; raises NotFound for a field that is not kept."""
        with self._lock:
            kept = self._kept.get(name)
            if kept is None:
                raise NotFound(f"no field {name!r} is kept", hint="ask path.field for it again")
            self._touch(kept)
            found = flow.sample(kept.field, points)
        return found.directions, found.distances * np.float32(kept.step_cost)

    def _touch(self, kept: Kept) -> None:
        kept.asked_s = self._clock.monotonic_s()
        self._kept[kept.name] = kept
        self._kept.move_to_end(kept.name)
        self._drop()

    def _drop(self) -> None:
        """Let go of what nobody asks for, and of the longest unused where there are too many."""
        old_s = self._clock.monotonic_s() - self._settings.field_idle_s
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if oldest.asked_s >= old_s and len(self._kept) <= self._settings.fields_max:
                return
            self._kept.popitem(last=False)

    def used(self) -> set[tuple[str, str]]:
        """The classes of agents and overlays that fields are kept for."""
        with self._lock:
            self._drop()
            return {(kept.agent_class, kept.overlay) for kept in self._kept.values()}

    def mend(self, agent_class: str, overlay: str, ground: CellGround, areas: Sequence[Rectangle]) -> None:
        """Bring fields to the ground as it is now, which has changed in these areas of cells."""
        free, cost, _ = ground.open()
        with self._lock:
            for kept in self._kept.values():
                if (kept.agent_class, kept.overlay) == (agent_class, overlay):
                    for area in areas:
                        repair(kept.field, free, cost, ground.anchors(area))
