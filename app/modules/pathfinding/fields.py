"""The fields of one map that are kept: by their goals, mended as the ground changes, dropped when nobody asks.

It knows classes of agents by name and fields by what they lead to; when and where the ground changes it is told.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from app.core.clock import Clock
from app.core.errors import EngineDown, NotFound
from app.modules.pathfinding.board import Rectangle
from app.modules.pathfinding.cells import CellGround
from app.modules.pathfinding.grids import batch_fields, fields, flow
from app.modules.pathfinding.grids.batch_fields import FieldEngine
from app.modules.pathfinding.grids.graph import I32, U8
from app.modules.pathfinding.grids.repair import repair
from app.modules.pathfinding.grounds import F32, Spots
from app.modules.pathfinding.settings import Settings

GroundOf = Callable[[str, str], CellGround]
"""(class of agents, overlay) -> what they walk on now."""


class Kept:
    """One field, who it is for, and when it was last asked for."""

    def __init__(self, name: str, agent_class: str, overlay: str, step_cost: float, field: fields.Field) -> None:
        self.name = name
        self.agent_class, self.overlay = agent_class, overlay
        self.asked_s = 0.0
        self.step_cost = step_cost
        self.field = field
        self.mendable = True
        """Whether the kernels filled it; one of the network's is filled by them when the ground changes."""

    @property
    def reached_cells(self) -> int:
        """Cells from which a goal is reached."""
        return int(np.count_nonzero((self.field.reach >= 0.0) & np.isfinite(self.field.reach)))


class Fields:
    """Used from worker threads; one at a time, for reading a field is quick."""

    def __init__(self, ground_of: GroundOf, network: FieldEngine | None, settings: Settings, clock: Clock) -> None:
        """`network` fills many fields at once, where a GPU runs it; without one the kernels fill them in turn."""
        self._ground_of = ground_of
        self._network = network
        self._settings = settings
        self._clock = clock
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, agent_class: str, overlay: str, goals: Sequence[Spots]) -> list[Kept]:
        """A field for each set of goals (n, 2) int16, kept from now on; goals that are blocked do not count."""
        names = [_named(agent_class, overlay, cells) for cells in goals]
        while True:
            ground = self._ground_of(agent_class, overlay)
            with ground.reading(), self._lock:
                wanted = {name: cells for name, cells in zip(names, goals, strict=True) if name not in self._kept}
                for kept in self._filled(agent_class, overlay, ground, wanted):
                    self._kept[kept.name] = kept
                found = [self._kept[name] for name in names]
                for kept in found:
                    self._touch(kept)
            if self._ground_of(agent_class, overlay) is ground:
                return found
            with self._lock:  # the first obstacle came meanwhile, and these fields have not heard of it
                for name in wanted:
                    self._kept.pop(name, None)

    def _filled(
        self, agent_class: str, overlay: str, ground: CellGround, wanted: Mapping[str, Spots]
    ) -> Iterator[Kept]:
        free, cost, stride = ground.open()
        goals = [ground.cells(places) for places in wanted.values()]
        together = self._solved(free, cost, stride, goals)
        for row, (name, cells) in enumerate(zip(wanted, goals, strict=True)):
            if together is None:
                field = fields.build(free, cost, stride, cells)
            else:
                field = fields.from_distances(together.distances[row], together.flow[row], free, cells)
            kept = Kept(name, agent_class, overlay, ground.step_cost, field)
            kept.mendable = together is None
            yield kept

    def _solved(self, free: U8, cost: F32, stride: int, goals: Sequence[I32]) -> batch_fields.Solved | None:
        """All fields by the network; None where there is none, it fails, or they are too few or too many for it."""
        most = self._settings.fields_together_cells_max
        few = len(goals) < self._settings.fields_together_min
        if self._network is None or few or len(goals) * free.size > most:
            return None
        try:
            return batch_fields.solve(self._network, free, cost, stride, goals, cells_max=most)
        except EngineDown:
            return None

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
        free, cost, stride = ground.open()
        with self._lock:
            for kept in self._kept.values():
                if (kept.agent_class, kept.overlay) != (agent_class, overlay):
                    continue
                if not kept.mendable:
                    kept.field, kept.mendable = fields.build(free, cost, stride, kept.field.goals), True
                    continue
                for area in areas:
                    repair(kept.field, free, cost, ground.anchors(area))


def _named(agent_class: str, overlay: str, goals: Spots) -> str:
    """The name of a field: the same goals for the same agents are the same field."""
    said = b"\0".join([agent_class.encode(), overlay.encode(), np.unique(goals, axis=0).tobytes()])
    return hashlib.sha256(said).hexdigest()[:24]
