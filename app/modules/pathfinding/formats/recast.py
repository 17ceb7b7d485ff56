"""Recast's navmesh: rcPolyMesh with the fields of dtNavMeshCreateParams as JSON, or as OBJ text.

It knows what can be had from Recast: a program that builds with it holds an rcPolyMesh and, for off-mesh
connections, a dtNavMeshCreateParams, and writes their fields under their own names; RecastDemo's
duDumpPolyMeshToObj and most navmesh tools write `v` and `f` lines. Tiles are joined by rcMergePolyMeshes
before. Layouts: https://github.com/recastnavigation/recastnavigation, Recast.h and DetourNavMeshBuilder.h.
"""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.modules.pathfinding.formats import documents, exports
from app.modules.pathfinding.formats.letters import misplaced
from app.modules.pathfinding.formats.limits import Limits, check_count, wrong
from app.modules.pathfinding.formats.polygons import CORNERS_MAX, Draft, Places, mesh
from app.modules.pathfinding.surfaces import Link, Mesh

AREAS_MAX = 64
"""Recast has areas 0 .. 63; 63 is RC_WALKABLE_AREA."""

NULL_AREA, NULL_INDEX = 0, 0xFFFF
"""RC_NULL_AREA, and RC_MESH_NULL_IDX, which fills the corners that a polygon does not have."""

DEFAULTS = {63: "walkable"}
EMPTY = msgspec.Raw(b"")

Side = Annotated[float, msgspec.Meta(gt=0, le=1_000)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class PolyMesh(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON form. With `cs`, `ch` and `bmin`, vertices are voxels, else world units."""

    npolys: Count
    nvp: Annotated[int, msgspec.Meta(ge=3, le=64)]
    verts: msgspec.Raw
    polys: msgspec.Raw
    cs: Side | None = None
    ch: Side | None = None
    bmin: tuple[float, float, float] | None = None
    areas: msgspec.Raw = EMPTY
    flags: msgspec.Raw = EMPTY
    areaNames: msgspec.Raw = EMPTY  # noqa: N815 - the same spelling in all exports
    areaCosts: msgspec.Raw = EMPTY  # noqa: N815
    offMeshConVerts: msgspec.Raw = EMPTY  # noqa: N815 - Detour's spelling
    offMeshConDir: msgspec.Raw = EMPTY  # noqa: N815
    offMeshConAreas: msgspec.Raw = EMPTY  # noqa: N815
    # These are in Recast's structures too, and change nothing here.
    offMeshConRad: msgspec.Raw = EMPTY  # noqa: N815
    offMeshConFlags: msgspec.Raw = EMPTY  # noqa: N815
    offMeshConUserID: msgspec.Raw = EMPTY  # noqa: N815
    offMeshConCount: msgspec.Raw = EMPTY  # noqa: N815
    regs: msgspec.Raw = EMPTY
    nverts: msgspec.Raw = EMPTY
    maxpolys: msgspec.Raw = EMPTY
    bmax: msgspec.Raw = EMPTY
    borderSize: msgspec.Raw = EMPTY  # noqa: N815
    maxEdgeError: msgspec.Raw = EMPTY  # noqa: N815


DECODER = msgspec.json.Decoder(PolyMesh)


def read(data: bytes, limits: Limits) -> Mesh:
    """The polygons as a mesh in the world's units, y up.

    Raises Invalid naming the JSON path, or the line and column of an OBJ or of malformed JSON.
    """
    return _json(data, limits) if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" else _obj(data, limits)


def _json(data: bytes, limits: Limits) -> Mesh:
    file = documents.decode(DECODER, data, PolyMesh.__struct_fields__)
    check_count("npolys", file.npolys, limits.polygons_max)
    counts, corners, columns = _polygons(file, limits)
    numbers = _each(file.areas, "areas", file.npolys, limits)
    if numbers is None:
        numbers = np.full(file.npolys, AREAS_MAX - 1)
    exports.check_areas("areas", numbers, AREAS_MAX)
    flags = _each(file.flags, "flags", file.npolys, limits)
    doors = _each(file.offMeshConAreas, "offMeshConAreas", 0, limits)
    if doors is not None:
        exports.check_areas("offMeshConAreas", doors, AREAS_MAX)
    blocked = numbers == NULL_AREA if flags is None else flags == 0
    used = numbers[~blocked] if doors is None else np.concatenate([numbers[~blocked], doors])
    known = exports.areas(used, file.areaNames, file.areaCosts, DEFAULTS, most=AREAS_MAX)
    areas = exports.places(known, numbers, blocked)
    starts = np.cumsum(counts) - counts
    places = Places(
        vertex=lambda vertex: f"verts[{3 * vertex}]",
        polygon=lambda polygon: f"polygon {polygon} (polys[{polygon * columns}])",
        corner=lambda polygon, corner: f"polys[{polygon * columns + corner - int(starts[polygon])}]",
    )
    draft = Draft(_vertices(file, limits), counts, corners, areas, up=1)
    return mesh(draft, places, known.terrains, _links(file, doors, known, limits), limits)


def _vertices(file: PolyMesh, limits: Limits) -> NDArray[np.float64]:
    """The vertices in world units, (vertices, 3)."""
    numbers = documents.reals(file.verts, "verts", 3 * limits.vertices_max)
    if len(numbers) % 3:
        raise wrong("verts", f"{len(numbers)!r} numbers", "expected three for each vertex")
    points = numbers.reshape(-1, 3)
    if file.cs is None and file.ch is None and file.bmin is None:
        return points
    if file.cs is None or file.ch is None or file.bmin is None:
        raise wrong("its top", "only some of cs, ch and bmin", "send all three for voxels, none for world units")
    return points * (file.cs, file.ch, file.cs) + file.bmin


def _polygons(file: PolyMesh, limits: Limits) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """How many corners each polygon has, all corners, and how many entries of polys a polygon takes."""
    columns = 2 * file.nvp
    flat = documents.integers(file.polys, "polys", columns * limits.polygons_max)
    if len(flat) < columns * file.npolys or len(flat) % columns:
        expected = f"expected {columns} for each of {file.npolys} polygons: its corners, then its neighbors"
        raise wrong("polys", f"{len(flat)!r} numbers", expected)
    rows = flat[: columns * file.npolys].reshape(-1, columns)[:, : file.nvp]  # (polygons, nvp)
    there = rows != NULL_INDEX
    gap = there[:, 1:] & ~there[:, :-1]
    if gap.any():
        polygon, corner = divmod(int(gap.argmax()), file.nvp - 1)
        raise wrong(f"polys[{polygon * columns + corner}]", f"{NULL_INDEX} before a corner", "put it last")
    return there.sum(axis=1), rows[there], columns


def _each(raw: msgspec.Raw, path: str, count: int, limits: Limits) -> NDArray[np.int64] | None:
    """One number for each polygon, or all of them for a count of 0; None where the file does not say."""
    if raw is EMPTY:
        return None
    numbers = documents.integers(raw, path, 2 * limits.polygons_max)
    if len(numbers) < count:
        raise wrong(path, f"{len(numbers)!r} of them for {count!r} polygons", "expected one for each")
    return numbers[:count] if count else numbers


def _links(file: PolyMesh, doors: NDArray[np.int64] | None, known: exports.Areas, limits: Limits) -> tuple[Link, ...]:
    """The off-mesh connections; one costs its length times its area's cost, as in Detour."""
    ends = documents.reals(file.offMeshConVerts, "offMeshConVerts", 6 * limits.links_max)
    if len(ends) % 6:
        raise wrong("offMeshConVerts", f"{len(ends)!r} numbers", "expected six for each connection")
    count = len(ends) // 6
    both = documents.integers(file.offMeshConDir, "offMeshConDir", limits.links_max)
    for path, given in (("offMeshConDir", both), ("offMeshConAreas", doors)):
        if given is not None and len(given) not in (0, count):
            raise wrong(path, f"{len(given)!r} of them for {count!r} connections", "expected one for each")
    found = []
    for place, (ax, ay, az, bx, by, bz) in enumerate(ends.reshape(-1, 6).tolist()):
        factor = 1.0
        if doors is not None and len(doors):
            factor = known.terrains[int(np.searchsorted(known.numbers, doors[place])) + 1].cost
        cost = max(math.dist((ax, ay, az), (bx, by, bz)) * factor, 0.001)
        one_way = len(both) > 0 and int(both[place]) == 0
        found.append(exports.link(f"offMeshConVerts[{6 * place}]", ((ax, ay, az), (bx, by, bz)), cost, one_way))
    return tuple(found)


def _obj(data: bytes, limits: Limits) -> Mesh:
    """The `v` and `f` lines of a Wavefront OBJ; all other lines are passed over."""
    check_count("its lines", data.count(b"\n") + 1, 2 * (limits.vertices_max + limits.polygons_max))
    vertices: list[list[float]] = []
    corners: list[int] = []
    counts: list[int] = []
    lines: list[int] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        kind, *fields = line.split(None, CORNERS_MAX + 2) or (b"",)
        if kind == b"v":
            vertices.append(_coordinates(fields, number))
            check_count("v", len(vertices), limits.vertices_max)
        elif kind == b"f":
            corners += _face(fields, number)
            counts.append(len(fields))
            lines.append(number)
    places = Places(
        vertex=lambda vertex: f"vertex {vertex + 1}",
        polygon=lambda polygon: f"line {lines[polygon]}",
        corner=lambda polygon, corner: f"line {lines[polygon]}",
    )
    if not counts:
        raise misplaced(1, 1, "an rcPolyMesh as JSON, or v and f lines of an OBJ")
    draft = Draft(
        np.array(vertices, np.float64).reshape(-1, 3), np.array(counts, np.int64), np.array(corners, np.int64) - 1,
        np.ones(len(counts), np.int32), up=1,
    )  # fmt: skip
    known = exports.areas(np.array([AREAS_MAX - 1]), EMPTY, EMPTY, DEFAULTS, most=AREAS_MAX)
    return mesh(draft, places, known.terrains, (), limits)


def _coordinates(fields: list[bytes], line: int) -> list[float]:
    try:
        if len(fields) < 3 or any(b"_" in field for field in fields):
            raise ValueError
        return [float(field) for field in fields[:3]]
    except ValueError as error:
        raise misplaced(line, 3, "three numbers") from error


def _face(fields: list[bytes], line: int) -> list[int]:
    corners = [field.partition(b"/")[0] for field in fields]
    if not all(corner.isdigit() and len(corner) < 10 for corner in corners):
        raise misplaced(line, 3, "numbers of vertices, from 1")
    return [int(corner) for corner in corners]
