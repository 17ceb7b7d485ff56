"""Links between polygons: where they lead from and to, and which regions they join.

It knows ends and one-way traffic; what a search makes of links is in corridors.py.
"""

from __future__ import annotations

import numpy as np

from app.modules.pathfinding.meshes import places
from app.modules.pathfinding.meshes.graph import Prepared
from app.modules.pathfinding.surfaces import Mesh

REACH = 2.0
"""How far an end of a link may lie off the mesh, in its units; a link with an end farther off is left out."""


def link(prepared: Prepared, mesh: Mesh) -> Prepared:
    """The prepared mesh with the links of the mesh that both end on ground the agent walks on."""
    if not mesh.links or len(prepared.owner) == 0:
        return prepared
    given = np.array([[*way.start, *way.end] for way in mesh.links], np.float32).reshape(-1, 6)
    halves = (np.ascontiguousarray(given[:, cut]) for cut in (np.s_[:3], np.s_[3:]))
    found = [places.nearest_points(prepared, ends, REACH) for ends in halves]
    axes = [*places.axes(mesh.up), mesh.up]
    exits, ends = [], []
    for number, way in enumerate(mesh.links):
        tail, head = (int(polygons[number]) for _, polygons, _ in found)
        one, two = (points[number, axes].tolist() for points, _, _ in found)
        if tail >= 0 and head >= 0:
            exits.append((tail, head))
            ends.append([*one, *two, way.cost])
            if not way.one_way:
                exits.append((head, tail))
                ends.append([*two, *one, way.cost])
    if not exits:
        return prepared
    order = np.argsort([tail for tail, _ in exits], kind="stable")
    ways = np.array(exits, np.int32)[order]
    cuts = np.searchsorted(ways[:, 0], np.arange(len(prepared.cost) + 1)).astype(np.int32)
    table = np.array(ends, np.float64)[order]
    spans = np.sqrt(((table[:, 3:5] - table[:, :2]) ** 2).sum(axis=1))
    rates = table[:, 6] / np.where(spans > 0.0, spans, np.inf)
    cheapest = min(prepared.cheapest, float(np.where(spans > 0.0, rates, np.inf).min()))
    return closed(prepared._replace(exits=ways, exits_first=cuts, ends=table, cheapest=cheapest, uniform=False))


def closed(prepared: Prepared) -> Prepared:
    """The same with what links join, by its present regions (Warshall 1962)."""
    regions = int(prepared.labels.max(initial=0))
    tails, heads = prepared.labels[prepared.exits[:, 0]], prepared.labels[prepared.exits[:, 1]]
    open_ = (tails > 0) & (heads > 0)
    touched = np.unique([tails[open_], heads[open_]])
    linked = np.full(regions + 1, -1, np.int32)
    linked[touched] = np.arange(len(touched))
    reach = np.eye(len(touched), dtype=np.uint8)
    reach[linked[tails[open_]], linked[heads[open_]]] = 1
    for middle in range(len(touched)):
        reach |= np.outer(reach[:, middle], reach[middle])
    return prepared._replace(linked=linked, reach=reach)


def moved(before: Prepared, after: Prepared) -> Prepared:
    """The links of a mesh on a changed one; those that now end in the air are left out."""
    axes = [*places.axes(before.up), before.up]
    found = []
    for cut in (np.s_[:3], np.s_[3:6]):
        ends = np.empty((len(before.ends), 3), np.float32)
        ends[:, axes] = before.ends[:, cut]
        found.append(places.nearest_points(after, ends, 1e-3 * REACH)[1])
    exits = np.column_stack(found)
    use = (exits >= 0).all(axis=1)
    order = np.flatnonzero(use)[np.argsort(exits[use, 0], kind="stable")]
    cuts = np.searchsorted(exits[order, 0], np.arange(len(after.cost) + 1)).astype(np.int32)
    return closed(after._replace(exits=exits[order], exits_first=cuts, ends=before.ends[order], uniform=False))
