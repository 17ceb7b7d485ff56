"""From a mesh and a class of agents to the arrays that are searched.

It knows costs, outlines and links; the searches are in other files.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.modules.pathfinding.meshes import index, linking, merging, regions, sights
from app.modules.pathfinding.meshes.graph import BLIND, F64, I32, U8, Prepared
from app.modules.pathfinding.surfaces import BLOCKED, AgentClass, Mesh

SIGHTS_MAX = 4_000_000
"""Sights of one mesh, 12 bytes each; a mesh with more is searched without."""
NOTHING = np.empty(0, np.int32)


class Shapes(NamedTuple):
    """Polygons before anything is known of their neighbors."""

    points: F64
    heights: F64
    first: I32
    corners: I32
    cost: F64
    apart: U8
    """(polygons,): 1 where a polygon may be shut and opened, and so stays as it is."""


def prepare(mesh: Mesh, agent: AgentClass, apart: I32 = NOTHING) -> Prepared:
    """The mesh as agents of one class search it; `apart` are polygons of the mesh that may be shut, such as doors.

    Ground that the agent may not enter is left out, and so are polygons without area and neighbors.
    Neighbors of equal cost are joined where the result is convex and flat. Raises Invalid where a
    polygon is not convex or a number is out of range.
    """
    shapes, kept = outlines(mesh, agent, apart)
    twins, owner = neighbors(shapes.first, shapes.corners)
    group = np.unique(shapes.cost, return_inverse=True)[1].astype(np.int32)
    group = np.where(shapes.apart > 0, -1 - np.arange(len(group)), group).astype(np.int32)
    planes = planes_of(shapes)
    spans = np.diff(shapes.points[[shapes.corners, shapes.corners[_ahead(shapes.first)]]], axis=0)[0]
    order = np.argsort(-(spans**2).sum(axis=1), kind="stable")
    first, corners, place = merging.merge(
        shapes.first, shapes.corners, twins, owner, group, shapes.points, shapes.heights, planes, order
    )
    cost, shut_able = np.zeros(len(first) - 1), np.zeros(len(first) - 1, np.uint8)
    cost[place], shut_able[place] = shapes.cost, shapes.apart
    source = np.full(len(mesh.first) - 1, -1, np.int32)
    source[kept] = place
    merged = shapes._replace(first=first, corners=corners, cost=cost, apart=shut_able)
    return with_sights(linking.link(assemble(merged, mesh.up, source), mesh))


def outlines(mesh: Mesh, agent: AgentClass, apart: I32) -> tuple[Shapes, NDArray[np.int64]]:
    """The polygons that the agent may walk on, wound alike, and their numbers in the mesh."""
    _check(mesh)
    axes = [axis for axis in range(3) if axis != mesh.up]
    costs = np.array([area_cost(mesh, agent, number) for number in range(len(mesh.terrains))])
    points = np.ascontiguousarray(mesh.vertices[:, axes], np.float64)  # (vertices, 2)
    first, corners = _distinct(mesh.first, mesh.corners)
    turned = _doubled_areas(points, first, corners)
    most = 1.0 if (turned > 0).sum() >= (turned < 0).sum() else -1.0
    sign = np.where(turned == 0, most, np.sign(turned))
    corners = np.where(np.repeat(sign, np.diff(first)) > 0, corners, corners[_mirrored(first)])
    twins, _ = neighbors(first, corners)
    joined = np.add.reduceat(np.append(twins >= 0, False), np.minimum(first[:-1], len(twins))) > 0
    use = np.isfinite(costs[mesh.areas]) & (np.diff(first) >= 3) & ((turned != 0) | joined)
    kept = np.flatnonzero(use)
    sizes = np.diff(first)[kept]
    corners = corners[np.repeat(use, np.diff(first))].astype(np.int32)
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    flags = np.zeros(len(use), np.uint8)
    flags[apart] = 1
    heights = np.ascontiguousarray(mesh.vertices[:, mesh.up], np.float64)
    shapes = Shapes(points, heights, first, corners, costs[mesh.areas[kept]], flags[kept])
    _check_convex(shapes, kept)
    return shapes, kept


def area_cost(mesh: Mesh, agent: AgentClass, number: int) -> float:
    """What a unit of length costs the agent on a kind of ground, infinite where it does not go."""
    terrain = mesh.terrains[number]
    if number == BLOCKED or terrain.name in agent.forbidden:
        return np.inf
    return float(agent.costs.get(terrain.name, terrain.cost))


def _check(mesh: Mesh) -> None:
    """Raise Invalid where a number of the mesh points nowhere."""
    if not np.isfinite(mesh.vertices).all():
        vertex = int(np.flatnonzero(~np.isfinite(mesh.vertices).all(axis=1))[0])
        place = mesh.vertices[vertex].tolist()
        raise Invalid(f"vertex {vertex!r} of the mesh is {place!r}", hint="send finite numbers")
    for name, places, most in (
        ("corner", mesh.corners, len(mesh.vertices)),
        ("area", mesh.areas, len(mesh.terrains)),
    ):
        wrong = np.flatnonzero((places < 0) | (places >= most))
        if len(wrong):
            value = int(places[wrong[0]])
            raise Invalid(f"{name} {int(wrong[0])!r} of the mesh is {value!r}", hint=f"expected 0 to {most - 1}")


def _check_convex(shapes: Shapes, kept: NDArray[np.int64]) -> None:
    """Raise Invalid for a corner that turns the wrong way by more than rounding explains."""
    here, to = shapes.corners, shapes.corners[_ahead(shapes.first)]
    after = to[_ahead(shapes.first)]
    legs = shapes.points[to] - shapes.points[here], shapes.points[after] - shapes.points[to]
    cross = legs[0][:, 0] * legs[1][:, 1] - legs[0][:, 1] * legs[1][:, 0]
    sizes = np.sqrt((legs[0] ** 2).sum(axis=1) * (legs[1] ** 2).sum(axis=1))
    rounding = 1e-3 * sizes + 1e-6 * np.abs(shapes.points).max(initial=0.0) * np.sqrt(sizes)
    wrong = np.flatnonzero(cross < -rounding)
    if len(wrong):
        polygon = int(kept[np.searchsorted(shapes.first, wrong[0], side="right") - 1])
        raise Invalid(f"polygon {polygon!r} of the mesh is not convex", hint="cut it into convex polygons or triangles")


def _distinct(first: I32, corners: I32) -> tuple[I32, I32]:
    """Polygons without a corner that repeats the one before it."""
    keep = corners != corners[_ahead(first)]
    sizes = np.add.reduceat(np.append(keep, False), np.minimum(first[:-1], len(keep))) * (np.diff(first) > 0)
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32), corners[keep]


def _ahead(first: I32) -> NDArray[np.int64]:
    """The half-edge that follows each, (half-edges,)."""
    ahead = np.arange(1, first[-1] + 1)
    full = np.diff(first) > 0
    ahead[first[1:][full] - 1] = first[:-1][full]
    return ahead


def _mirrored(first: I32) -> NDArray[np.int64]:
    """Places of the corners when every polygon is walked the other way around."""
    sizes = np.diff(first)
    return np.repeat(first[:-1] + first[1:] - 1, sizes) - np.arange(first[-1])


def _doubled_areas(points: F64, first: I32, corners: I32) -> F64:
    """Twice the signed area of each polygon; positive where it is wound to the left."""
    base = points[corners[np.repeat(np.minimum(first[:-1], len(corners) - 1), np.diff(first))]]
    here, to = points[corners] - base, points[corners[_ahead(first)]] - base
    cross = here[:, 0] * to[:, 1] - here[:, 1] * to[:, 0]
    sums = np.concatenate([[0.0], np.cumsum(cross)])
    rough: F64 = sums[first[1:]] - sums[first[:-1]]
    exact = np.add.reduceat(np.append(cross, 0.0), np.minimum(first[:-1], len(cross)))
    return np.where(np.diff(first) > 0, exact, rough)


def neighbors(first: I32, corners: I32) -> tuple[I32, I32]:
    """The twin of each half-edge (-1: none) and its polygon; of several at one place the first two are joined."""
    owner = np.repeat(np.arange(len(first) - 1), np.diff(first)).astype(np.int32)
    to = corners[_ahead(first)].astype(np.int64)
    most = int(corners.max(initial=0)) + 1
    keys, unique = np.unique(corners * np.int64(most) + to, return_index=True)
    wanted = to * most + corners
    found = np.searchsorted(keys, wanted)
    found = np.minimum(found, max(len(keys) - 1, 0))
    twins = np.where(keys[found] == wanted, unique[found], -1) if len(keys) else np.empty(0, np.int64)
    mutual = (twins >= 0) & (twins[twins] == np.arange(len(twins)))
    return np.where(mutual, twins, -1).astype(np.int32), owner


def planes_of(shapes: Shapes) -> F64:
    """The plane of each polygon, (polygons, 3), through the middle of its corners (Newell's normal)."""
    first, corners = shapes.first, shapes.corners
    if len(corners) == 0:
        return np.empty((0, 3))
    whole = np.column_stack([shapes.points, shapes.heights])[corners]
    sizes = np.maximum(np.diff(first), 1)[:, None]
    cuts = first[:-1]
    middle = np.add.reduceat(whole, cuts, axis=0) / sizes
    here = whole - np.repeat(middle, np.diff(first), axis=0)
    normal = np.add.reduceat(np.cross(here, here[_ahead(first)]), cuts, axis=0)
    steep = np.abs(normal[:, 2]) < 1e-9 * np.abs(normal).sum(axis=1) + 1e-300
    slopes = np.where(steep[:, None], 0.0, -normal[:, :2] / np.where(steep, 1.0, normal[:, 2])[:, None])
    level = middle[:, 2] - (slopes * middle[:, :2]).sum(axis=1)
    return np.column_stack([level, slopes])


def assemble(shapes: Shapes, up: int, source: I32) -> Prepared:
    """Everything that follows from the shapes alone; no links and no landmarks yet."""
    twins, owner = neighbors(shapes.first, shapes.corners)
    polygons = len(shapes.cost)
    shut = np.zeros(polygons, np.uint8)
    bends, beside = rim(shapes, twins)
    corner, cells_first, touching = index.spread(shapes.points, shapes.first, shapes.corners)
    labels, regions_count = regions.label(shapes.first, twins, owner, shut)
    return Prepared(
        up=up,
        points=shapes.points,
        heights=shapes.heights,
        first=shapes.first,
        corners=shapes.corners,
        twins=twins,
        owner=owner,
        cost=shapes.cost,
        planes=planes_of(shapes),
        shut=shut,
        kept_apart=shapes.apart,
        source=source,
        labels=labels,
        stems=regions.dead_ends(shapes.first, twins, owner),
        linked=np.full(regions_count + 1, -1, np.int32),
        reach=np.empty((0, 0), np.uint8),
        bends=bends,
        beside=beside,
        exits=np.empty((0, 2), np.int32),
        exits_first=np.zeros(polygons + 1, np.int32),
        ends=np.empty((0, 7)),
        corner=corner,
        cells_first=cells_first,
        touching=touching,
        sights=BLIND,
        cheapest=float(shapes.cost.min(initial=np.inf)),
        uniform=bool((shapes.cost == shapes.cost[:1]).all()),
    )


def rim(shapes: Shapes, twins: I32) -> tuple[U8, I32]:
    """Where shortest paths may bend, and each vertex's neighbors along the rim; see Prepared."""
    first, corners, points = shapes.first, shapes.corners, shapes.points
    ahead = _ahead(first)
    here, to = corners, corners[ahead]
    before = np.empty_like(here)
    before[ahead] = here
    out, back = points[to] - points[here], points[before] - points[here]
    angle = np.arctan2(out[:, 0] * back[:, 1] - out[:, 1] * back[:, 0], (out * back).sum(axis=1))
    count = len(points)
    total = np.bincount(here, np.abs(angle), count)
    open_ = twins < 0
    leaves, enters = np.bincount(here[open_], minlength=count), np.bincount(to[open_], minlength=count)
    beside = np.full((count, 2), -1, np.int32)
    beside[to[open_], 0] = here[open_]
    beside[here[open_], 1] = to[open_]
    single = (leaves == 1) & (enters == 1)
    p, q = points[beside[:, 0]], points[beside[:, 1]]
    turn = (points - p)[:, 0] * (q - p)[:, 1] - (points - p)[:, 1] * (q - p)[:, 0]
    flat = single & (turn >= 0) & (total < 1.5 * np.pi)
    bends = np.where(leaves + enters == 0, 0, np.where(single & (total < 2.0 * np.pi + 1e-3), 1, 2))
    bends[flat] = 0
    loose = corners[np.repeat(shapes.apart, np.diff(first)) > 0]
    bends[loose] = 2
    return bends.astype(np.uint8), beside


def with_sights(mesh: Prepared, entries_max: int = SIGHTS_MAX) -> Prepared:
    """The same with its sights, where the exact search will use them."""
    if not mesh.uniform or len(mesh.owner) == 0:
        return mesh
    return mesh._replace(sights=sights.look(mesh, entries_max))
