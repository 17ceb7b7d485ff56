"""A map made ready: what its file holds, and for each class of agents the ground that they walk on.

It knows which engine suits which ground; it does not know threads, worlds or what stands on the map. Its
functions compile and run kernels, so they are called in worker threads only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, NotFound, nearest
from app.modules.pathfinding import formats
from app.modules.pathfinding.cells import CellGround, cells_of
from app.modules.pathfinding.formats.agents import Ground as Walked
from app.modules.pathfinding.formats.agents import ground
from app.modules.pathfinding.grids import costs, subgoals
from app.modules.pathfinding.grounds import F32, Ground, Kind, Spots
from app.modules.pathfinding.messages import Stage
from app.modules.pathfinding.options import Options
from app.modules.pathfinding.polygons import mesh_ground
from app.modules.pathfinding.searches import Search, Uniform, Weighed
from app.modules.pathfinding.settings import Settings
from app.modules.pathfinding.surfaces import U8, AgentClass, Mesh, Surface
from app.world.entities import CellSet, Obstacle

Tell = Callable[[Stage, str, float], None]
"""Is told the stage, the class of agents and the share that is done, from 0 to 1."""

Rest = Callable[[], None]
Told = Callable[[float], None]


class Prepared(NamedTuple):
    """A version of a map, ready to answer; shared by all worlds that have the same one."""

    grounds: Mapping[str, Ground]
    """By class of agents; the one without a name is always there."""
    classes: Mapping[str, AgentClass]
    kind: Kind
    size: tuple[int, int]
    """Rows and columns, layers included; (0, 0) for a navmesh."""
    layers: int
    polygons: int
    links: int
    passable_cells: int
    components: int
    terrains: tuple[str, ...]
    axes: tuple[int, ...]
    """The two of a place that obstacles call x and y."""

    def flat(self, places: Spots) -> F32:
        """Places in the plane that obstacles stand in, (n, 2) float32; a cell's is its middle."""
        plane: F32 = places[:, list(self.axes)].astype(np.float32)
        return plane + np.float32(0.5) if self.kind == "cells" else plane

    def check_obstacle(self, obstacle: Obstacle) -> None:
        """Raise Invalid for one that cannot stand on this kind of map."""
        if self.kind == "points" and (isinstance(obstacle.shape, CellSet) or obstacle.clears):
            what = "clears ground" if obstacle.clears else "is made of cells"
            hint = "on a navmesh circles and boxes block; they clear nothing"
            raise Invalid(f"obstacle {obstacle.id!r} {what}, and this map is a navmesh", hint=hint)

    def lifted(self, flat: NDArray[np.float64]) -> Spots:
        """Places given as x and y, (n, 2): cells, or points of a navmesh at height 0."""
        if self.kind == "cells":
            return np.clip(np.floor(flat), -32_768, 32_767).astype(np.int16)
        points = np.zeros((len(flat), 3), np.float32)
        points[:, list(self.axes)] = flat
        return points

    def ground(self, agent_class: str) -> Ground:
        """The ground of a class; raises NotFound."""
        found = self.grounds.get(agent_class)
        if found is None:
            known = [name for name in self.grounds if name]
            raise NotFound(
                f"the map has no class of agents {agent_class!r}",
                hint=f"{nearest(agent_class, known)}; upload the map with it in agent_classes",
            )
        return found

    def walkable(self) -> U8:
        """Where an agent of size 1 may be, (rows, columns); raises Conflict for a navmesh."""
        return cells_of(self.ground("")).walkable

    @property
    def bytes(self) -> int:
        """What all tables take in memory."""
        return sum(known.bytes for known in self.grounds.values())


def prepare(
    data: bytes, format: formats.Format, options: Options, limits: Settings, tell: Tell, rest: Rest
) -> Prepared:
    """Read a map and prepare it for every class of agents; raises Invalid naming the place and what is wrong.

    `rest` is called before anything but plain grids is prepared, and returns when kernels for that are there.
    """
    tell("reading", "", 0.0)
    content = formats.read(data, format, limits)
    classes = {"": AgentClass(), **options.agent_classes}
    grounds: dict[str, Ground] = {}
    for index, (name, agent) in enumerate(classes.items()):
        told = partial(_tell_share, tell, name, index, len(classes))
        told(0.0)
        grounds[name] = _ground(content, agent, limits, rest, told)
        grounds[name].refine(limits)
    tell("preparing", "", 1.0)
    return _described(content, grounds, classes)


def _tell_share(tell: Tell, name: str, index: int, classes: int, share: float) -> None:
    tell("preparing", name, (index + share) / classes)


def _ground(content: Surface | Mesh, agent: AgentClass, limits: Settings, rest: Rest, told: Told) -> Ground:
    if isinstance(content, Mesh):
        rest()
        return mesh_ground(content, agent, limits)
    return _cells(content, agent, rest, told)


def _cells(surface: Surface, agent: AgentClass, rest: Rest, told: Told) -> CellGround:
    walked = ground(surface, agent)
    single = walked if agent.size == 1 else ground(surface, msgspec.structs.replace(agent, size=1))
    walkable = single.free.reshape(-1, single.stride)[1:-1, 1:-1]
    return CellGround(_engine(surface, walked, rest, told), walkable, agent.size)


def _engine(surface: Surface, walked: Walked, rest: Rest, told: Told) -> Search:
    """Subgoals where every step costs the same and nothing leads past the cells; gates elsewhere."""
    if walked.cost is None and not surface.links:
        return Uniform(subgoals.prepare(walked.free.reshape(-1, walked.stride)), walked.uniform)
    rest()
    prices = walked.free * np.float32(walked.uniform) if walked.cost is None else walked.cost

    def progress(done: int, total: int) -> None:
        told(done / max(total, 1))

    links = _links(surface, walked)
    return Weighed(costs.prepare(walked.free, prices, walked.stride, links=links, progress=progress))


def _links(surface: Surface, walked: Walked) -> costs.Links:
    """The links of which both ends have room for such an agent."""
    ends = np.array([[*link.start, *link.end] for link in surface.links], np.int64).reshape(-1, 4)
    starts, goals = ((ends[:, at + 1] + 1) * walked.stride + ends[:, at] + 1 for at in (0, 2))
    kept = (walked.free[starts] > 0) & (walked.free[goals] > 0) & (starts != goals)
    prices = np.array([link.cost for link in surface.links], np.float64)
    one_way = np.array([link.one_way for link in surface.links], np.uint8)
    return costs.Links(starts[kept].astype(np.int32), goals[kept].astype(np.int32), prices[kept], one_way[kept])


def _described(content: Surface | Mesh, grounds: Mapping[str, Ground], classes: Mapping[str, AgentClass]) -> Prepared:
    return Prepared(
        grounds=grounds,
        classes=classes,
        kind="cells" if isinstance(content, Surface) else "points",
        size=(int(content.terrain.shape[0]), content.width) if isinstance(content, Surface) else (0, 0),
        layers=content.layers if isinstance(content, Surface) else 1,
        polygons=len(content.areas) if isinstance(content, Mesh) else 0,
        links=len(content.links),
        passable_cells=grounds[""].passable_cells,
        components=grounds[""].components,
        terrains=tuple(terrain.name for terrain in content.terrains),
        axes=tuple(axis for axis in range(3) if axis != content.up) if isinstance(content, Mesh) else (0, 1),
    )
