"""Unity's navmesh: the JSON of `NavMesh.CalculateTriangulation()`, with areas and links beside it.

It knows NavMeshTriangulation (vertices, indices, areas) as JsonUtility writes it; polygons.py joins
the triangles, whose vertices Unity repeats. Layout:
https://docs.unity3d.com/ScriptReference/AI.NavMeshTriangulation.html.
"""

from __future__ import annotations

import msgspec
import numpy as np

from app.modules.pathfinding.formats import documents, exports
from app.modules.pathfinding.formats.limits import Limits, wrong
from app.modules.pathfinding.formats.polygons import Draft, Places, mesh
from app.modules.pathfinding.surfaces import Mesh

AREAS_MAX = 32
"""Unity has that many areas."""

NOT_WALKABLE = 1
DEFAULTS = {0: "Walkable", NOT_WALKABLE: "Not Walkable", 2: "Jump"}
EMPTY = msgspec.Raw(b"")


class Triangulation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    vertices: msgspec.Raw
    indices: msgspec.Raw
    areas: msgspec.Raw = EMPTY
    areaNames: msgspec.Raw = EMPTY  # noqa: N815 - the file's own spelling
    areaCosts: msgspec.Raw = EMPTY  # noqa: N815
    links: list[exports.Way] = []


DECODER = msgspec.json.Decoder(Triangulation)
FIELDS = (*Triangulation.__struct_fields__, *exports.Way.__struct_fields__)
PLACES = Places(
    vertex=lambda vertex: f"vertices[{vertex}]",
    polygon=lambda triangle: f"triangle {triangle} (indices[{3 * triangle}] .. [{3 * triangle + 2}])",
    corner=lambda triangle, corner: f"indices[{corner}]",
)


def read(data: bytes, limits: Limits) -> Mesh:
    """The triangles as a mesh in Unity's meters and axes, y up.

    Raises Invalid naming the JSON path, or the line and column of malformed JSON.
    """
    file = documents.decode(DECODER, data, FIELDS)
    vertices = exports.points(file.vertices, "vertices", limits.vertices_max, axes=3)
    indices = documents.integers(file.indices, "indices", 3 * limits.polygons_max)
    if len(indices) % 3:
        raise wrong("indices", f"{len(indices)!r} of them", "expected three for each triangle")
    triangles = len(indices) // 3
    numbers = documents.integers(file.areas, "areas", limits.polygons_max)
    if file.areas is EMPTY:
        numbers = np.zeros(triangles, np.int64)
    if len(numbers) != triangles:
        raise wrong("areas", f"{len(numbers)!r} of them for {triangles!r} triangles", "expected one for each")
    exports.check_areas("areas", numbers, AREAS_MAX)
    blocked = numbers == NOT_WALKABLE
    known = exports.areas(numbers[~blocked], file.areaNames, file.areaCosts, DEFAULTS, most=AREAS_MAX)
    draft = Draft(vertices, np.full(triangles, 3), indices, exports.places(known, numbers, blocked), up=1)
    return mesh(draft, PLACES, known.terrains, exports.links(file.links, limits, axes=3), limits)
