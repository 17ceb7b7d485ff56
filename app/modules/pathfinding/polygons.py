"""A navmesh as one class of agents walks on it, as exported or with the obstacles of a world cut out.

It knows the mesh engine and points; it does not know messages, versions or who asks. Places are (n, 3)
float32 points in the mesh's own axes; those off the mesh move to the nearest place on it, up to the snap.
"""

from __future__ import annotations

import math

import numpy as np

from app.core.clock import Deadline
from app.core.errors import Invalid
from app.modules.pathfinding.grids.graph import I32
from app.modules.pathfinding.grounds import EXACT, HIERARCHICAL, PARTIAL, Flags, News, Paths, Spots, Wish, joined
from app.modules.pathfinding.meshes import obstacles, places, queries, search
from app.modules.pathfinding.meshes.graph import BLIND, Prepared
from app.modules.pathfinding.meshes.prepare import prepare
from app.modules.pathfinding.settings import Settings
from app.modules.pathfinding.surfaces import AgentClass, Mesh
from app.modules.pathfinding.turns import Turns
from app.world.entities import Box, Circle, Obstacle

NOWHERE = np.empty((0, 3), np.float32)
PAIRS_TRIED = 128
"""Ways that are searched twice before the quicker search is trusted with a mesh."""


class MeshGround:
    """The questions of grounds.Ground, over polygons."""

    costs = None
    passable_cells = 0

    def __init__(self, mesh: Prepared, agent: AgentClass, limits: Settings) -> None:
        self._mesh = mesh
        self._agent = agent
        self._limits = limits
        self._turns = Turns()

    @property
    def engine_name(self) -> str:
        return "polyanya" if self._mesh.uniform else "corridors"

    @property
    def bytes(self) -> int:
        parts = (*self._mesh, *self._mesh.sights)
        return sum(part.nbytes for part in parts if isinstance(part, np.ndarray))

    @property
    def components(self) -> int:
        return len(np.unique(self._mesh.labels[self._mesh.labels > 0]))

    @property
    def regions(self) -> I32:
        source = self._mesh.source
        found: I32 = np.where(source >= 0, self._mesh.labels[np.maximum(source, 0)], 0).astype(np.int32)
        return found

    def refine(self, limits: Settings) -> None:
        """Keep what sees what, which lets searches go from corner to corner, only where that proves right."""
        by_cones = self._mesh._replace(sights=BLIND)
        if not self._agrees(by_cones):
            self._mesh = by_cones

    def _agrees(self, by_cones: Prepared) -> bool:
        """Whether both searches find ways of one length between places drawn all over the mesh.

        They do wherever polygons are sound; where an export has slivers, a corner may be missing from what it sees.
        """
        drawn = queries.random_points(self._mesh, 2 * PAIRS_TRIED, 1)
        snap, most = self._limits.snap_units, self._limits.expansions_max
        one, other = (
            search.answers(mesh, drawn[::2].copy(), drawn[1::2].copy(), math.inf, False, most, snap)
            for mesh in (self._mesh, by_cones)
        )
        return bool(np.allclose(one.cost, other.cost, rtol=1e-6, equal_nan=True))

    def find(self, starts: Spots, goals: Spots, wish: Wish, deadline: Deadline) -> Paths:
        """Answers to all pairs; those not begun before the deadline are over budget. Always pulled straight."""
        parts: list[Paths] = []
        for first in range(0, len(starts), wish.chunk_pairs):
            if deadline.left_s() <= 0.0:
                break
            chunk = slice(first, first + wish.chunk_pairs)
            with self._turns.reading():
                parts.append(self._found(starts[chunk], goals[chunk], wish))
        return joined(parts, len(starts), NOWHERE)

    def _found(self, starts: Spots, goals: Spots, wish: Wish) -> Paths:
        found = search.answers(
            self._mesh, starts, goals, wish.max_cost, wish.partial, wish.expansions_max, self._limits.snap_units
        )
        exact = self._mesh.uniform
        rung = np.full(len(starts), EXACT if exact else HIERARCHICAL, np.uint8)
        bound = np.where(exact & (found.status <= PARTIAL), np.float32(1.0), np.float32(np.nan))
        return Paths(found.status, found.cost, found.expansions, rung, bound, found.offsets, found.waypoints)

    def reachable(self, starts: Spots, goals: Spots) -> Flags:
        with self._turns.reading():
            return queries.reachable(self._mesh, starts, goals, self._limits.snap_units)

    def nearest(self, wanted: Spots, reach_from: Spots | None) -> Spots:
        """The place on the mesh nearest to each, (n, 3); raises Invalid when `reach_from` is off the mesh."""
        with self._turns.reading():
            if reach_from is None:
                return places.nearest_points(self._mesh, wanted, math.inf)[0]
            region = self._region("reach_from", reach_from)
            return np.array([self._nearest(point, region) for point in wanted], np.float32).reshape(-1, 3)

    def _nearest(self, point: Spots, region: int) -> list[float]:
        wide, deep = places.axes(self._mesh.up)
        found: list[float] = [math.nan] * 3
        at = [float(point[axis]) for axis in (wide, deep, self._mesh.up)]
        polygon, x, y = places.nearest(self._mesh, at[0], at[1], at[2], math.inf, region)
        if polygon >= 0:
            found[wide], found[deep] = x, y
            found[self._mesh.up] = float(self._mesh.planes[polygon] @ np.array([1.0, x, y]))
        return found

    def _region(self, name: str, point: Spots) -> int:
        """The region that a point lies in, up to the snap; raises Invalid."""
        _, polygons, _ = places.nearest_points(self._mesh, point, self._limits.snap_units)
        if polygons[0] < 0:
            raise Invalid(f"{name} {point[0].tolist()!r} is off the mesh", hint="ask path.nearest for a place on it")
        return int(self._mesh.labels[polygons[0]])

    def raycast(self, starts: Spots, ends: Spots) -> tuple[Flags, Spots]:
        """Straight lines over the ground: whether each reaches its end, and where it stops."""
        with self._turns.reading():
            share, last = queries.raycast(self._mesh, starts, ends, self._limits.snap_units)
        return share == 1.0, last

    def draw(self, count: int, seed: int, reach_from: Spots | None, around: Spots | None, radius: float) -> Spots:
        """Places by the seed, (count, 3), evenly over the ground; NaN where none qualifies."""
        with self._turns.reading():
            region = places.ANY if reach_from is None else self._region("reach_from", reach_from)
            if around is None:
                return queries.random_points(self._mesh, count, seed, region=region)
            x, y, z = around[0].tolist()
            return queries.random_points(
                self._mesh, count, seed, region=region, around=(x, y, z), radius=max(radius, 1e-6)
            )

    def own(self) -> OwnMesh:
        return OwnMesh(self._mesh, self._agent, self._limits)


class OwnMesh(MeshGround):
    """The same with the obstacles of one world cut out of it."""

    def __init__(self, mesh: Prepared, agent: AgentClass, limits: Settings) -> None:
        super().__init__(mesh, agent, limits)
        self._whole = mesh

    def follow(self, news: News) -> None:
        """Cut out what stands now; the whole mesh again where nothing does."""
        outlines = tuple(self._outline(one) for _, one in sorted(news.standing.items()) if one.closed)
        mesh = obstacles.cut(self._whole, outlines) if outlines else self._whole
        with self._turns.writing():
            self._mesh = mesh

    def _outline(self, obstacle: Obstacle) -> obstacles.Outline:
        wide, deep = places.axes(self._whole.up)
        center = [0.0, 0.0, 0.0]
        center[self._whole.up] = obstacle.z
        shape, reach, grow = obstacle.shape, self._limits.obstacle_reach_units, self._agent.radius
        if isinstance(shape, Circle):
            center[wide], center[deep] = obstacle.x, obstacle.y
            return obstacles.circle(self._whole, (center[0], center[1], center[2]), shape.radius, reach, grow)
        half = (shape.width / 2.0, shape.height / 2.0) if isinstance(shape, Box) else (0.5, 0.5)
        center[wide], center[deep] = obstacle.x + half[0], obstacle.y + half[1]
        sides = [0.0, 0.0, 0.0]
        sides[wide], sides[deep], sides[self._whole.up] = half[0], half[1], reach
        return obstacles.box(self._whole, (center[0], center[1], center[2]), (sides[0], sides[1], sides[2]), 0.0, grow)


def mesh_ground(mesh: Mesh, agent: AgentClass, limits: Settings) -> MeshGround:
    """A navmesh made ready for a class of agents; raises Invalid."""
    return MeshGround(prepare(mesh, agent), agent, limits)
