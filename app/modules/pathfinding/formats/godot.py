"""Godot's navmeshes: NavigationMesh (3D) and NavigationPolygon (2D), as JSON or as a saved `.tres`.

It knows the properties `vertices` and `polygons` of both classes and how Godot writes them as text. Layouts:
https://docs.godotengine.org/en/stable/classes/class_navigationmesh.html, class_navigationpolygon.html and
https://docs.godotengine.org/en/stable/engine_details/file_formats/tscn.html.
"""

from __future__ import annotations

import itertools
import re
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.modules.pathfinding.formats import documents, exports
from app.modules.pathfinding.formats.letters import misplaced
from app.modules.pathfinding.formats.limits import Limits, check_count, wrong
from app.modules.pathfinding.formats.polygons import Draft, Places, mesh
from app.modules.pathfinding.surfaces import Mesh

AREAS_MAX = 256
"""Areas of the JSON form; Godot itself has travel costs of regions instead."""

CORNERS_PER_POLYGON_MAX = 16
"""On the average of a file."""

EMPTY = msgspec.Raw(b"")
Kind = Literal["NavigationMesh", "NavigationPolygon"]
Place = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]


class Navigation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON form; without `type`, the length of the first vertex tells which class it is."""

    vertices: msgspec.Raw
    polygons: msgspec.Raw
    type: Kind | None = None
    areas: msgspec.Raw = EMPTY
    areaNames: msgspec.Raw = EMPTY  # noqa: N815 - the same spelling in all exports
    areaCosts: msgspec.Raw = EMPTY  # noqa: N815
    links: list[exports.Way] = []


DECODER = msgspec.json.Decoder(Navigation)
RINGS = msgspec.json.Decoder(list[list[Place]])
FIELDS = (*Navigation.__struct_fields__, *exports.Way.__struct_fields__)

HEADER = re.compile(rb'\s*\[gd_resource\b[^\]\n]*?\btype="([A-Za-z0-9]{1,64})"[^\]\n]*\]')
PROPERTY = {name: re.compile(rb"^" + name + rb" = ", re.MULTILINE) for name in (b"vertices", b"polygons")}
VERTICES = re.compile(rb"(?:Packed|Pool)Vector([23])Array\(([^()]*)\)")
POLYGONS = re.compile(rb"(?:Array\[PackedInt32Array\]\()?\[([^\[\]]*)\]\)?")
POLYGON = re.compile(rb"(?:PackedInt32Array|PoolIntArray)\(([^()]*)\)")
NO_NUMBER = re.compile(rb"[^0-9, \r\n\t+\-.eE]")
AXES = {b"NavigationMesh": 3, b"NavigationPolygon": 2}


class Parts(NamedTuple):
    """Vertices (n, 3), the number of corners of each polygon, and all corners."""

    vertices: NDArray[np.float64]
    counts: NDArray[np.int64]
    corners: NDArray[np.int64]


def read(data: bytes, limits: Limits) -> Mesh:
    """The polygons as a mesh in Godot's units: meters with y up, or pixels with y down and z = 0 from 2D.

    Raises Invalid naming the JSON path, or the line and column of a `.tres` or of malformed JSON.
    """
    header = HEADER.match(data[:4_096])
    return _resource(data, header, limits) if header else _json(data, limits)


def _json(data: bytes, limits: Limits) -> Mesh:
    file = documents.decode(DECODER, data, FIELDS)
    axes = _axes(file)
    vertices = exports.points(file.vertices, "vertices", limits.vertices_max, axes=axes)
    text = bytes(file.polygons)
    check_count("polygons", text.count(b"["), limits.polygons_max + 1)
    check_count("the corners of polygons", text.count(b","), CORNERS_PER_POLYGON_MAX * limits.polygons_max)
    rings = documents.part(RINGS, file.polygons, "polygons")
    counts = np.array([len(ring) for ring in rings], np.int64)
    corners = np.fromiter(itertools.chain.from_iterable(rings), np.int64, int(counts.sum()))
    numbers = documents.integers(file.areas, "areas", limits.polygons_max)
    if file.areas is EMPTY:
        numbers = np.zeros(len(rings), np.int64)
    if len(numbers) != len(rings):
        raise wrong("areas", f"{len(numbers)!r} of them for {len(rings)!r} polygons", "expected one for each")
    exports.check_areas("areas", numbers, AREAS_MAX)
    known = exports.areas(numbers, file.areaNames, file.areaCosts, {0: "ground"}, most=AREAS_MAX)
    areas = exports.places(known, numbers, np.zeros(len(numbers), bool))
    starts = np.cumsum(counts) - counts
    places = Places(
        vertex=lambda vertex: f"vertices[{vertex}]",
        polygon=lambda polygon: f"polygons[{polygon}]",
        corner=lambda polygon, corner: f"polygons[{polygon}][{corner - int(starts[polygon])}]",
    )
    draft = Draft(vertices, counts, corners, areas, up=1 if axes == 3 else 2)
    return mesh(draft, places, known.terrains, exports.links(file.links, limits, axes=axes), limits)


def _axes(file: Navigation) -> int:
    """2 for a NavigationPolygon, 3 for a NavigationMesh."""
    if file.type is not None:
        return 2 if file.type == "NavigationPolygon" else 3
    first = bytes(file.vertices)[:256].replace(b" ", b"").replace(b"\n", b"")
    return 2 if first.startswith(b"[[") and first.partition(b"]")[0].count(b",") == 1 else 3


def _resource(data: bytes, header: re.Match[bytes], limits: Limits) -> Mesh:
    """A saved resource."""
    axes = AXES.get(header[1])
    if axes is None:
        found = header[1].decode()
        raise misplaced(1, 1, f"a resource of type NavigationMesh or NavigationPolygon, found {found!r}")
    parts = _parts(data, axes, limits)
    starts = np.cumsum(parts.counts) - parts.counts
    line = _line(data, _property(data, b"polygons"))
    places = Places(
        vertex=lambda vertex: f"vertex {vertex} of vertices",
        polygon=lambda polygon: f"polygon {polygon} of polygons (line {line})",
        corner=lambda polygon, corner: f"corner {corner - int(starts[polygon])} of polygon {polygon} (line {line})",
    )
    known = exports.areas(np.zeros(1, np.int64), EMPTY, EMPTY, {0: "ground"}, most=AREAS_MAX)
    areas = np.ones(len(parts.counts), np.int32)
    draft = Draft(parts.vertices, parts.counts, parts.corners, areas, up=1 if axes == 3 else 2)
    return mesh(draft, places, known.terrains, (), limits)


def _parts(data: bytes, axes: int, limits: Limits) -> Parts:
    at = _property(data, b"vertices")
    match = VERTICES.match(data, at)
    if match is None or match[1] != str(axes).encode():
        raise misplaced(*documents.line_and_column(data, at), f"PackedVector{axes}Array( and numbers )")
    check_count("vertices", match[2].count(b",") + 1, axes * limits.vertices_max)
    numbers = _numbers(data, match, 2)
    if len(numbers) % axes:
        raise misplaced(*documents.line_and_column(data, at), f"{axes} numbers for each vertex, found {len(numbers)}")
    vertices = np.pad(numbers.reshape(-1, axes), ((0, 0), (0, 3 - axes)))
    at = _property(data, b"polygons")
    match = POLYGONS.match(data, at)
    if match is None:
        raise misplaced(*documents.line_and_column(data, at), "[PackedInt32Array( and numbers ), ...]")
    check_count("polygons", match[1].count(b"("), limits.polygons_max)
    check_count("the corners of polygons", match[1].count(b","), CORNERS_PER_POLYGON_MAX * limits.polygons_max)
    rings: list[re.Match[bytes]] = []
    end = match.start(1)
    for ring in POLYGON.finditer(data, match.start(1), match.end(1)):
        if data[end : ring.start()].strip(b" \r\n\t") != (b"," if rings else b""):
            raise misplaced(*documents.line_and_column(data, end), "PackedInt32Array( and numbers )")
        rings.append(ring)
        end = ring.end()
    if data[end : match.end(1)].strip(b" \r\n\t"):
        raise misplaced(*documents.line_and_column(data, end), "PackedInt32Array( and numbers )")
    counts = [ring[1].count(b",") + 1 if ring[1].strip() else 0 for ring in rings]
    corners = [_corner(data, ring, text) for ring in rings if ring[1].strip() for text in ring[1].split(b",")]
    return Parts(vertices, np.array(counts, np.int64), np.array(corners, np.int64))


def _corner(data: bytes, ring: re.Match[bytes], text: bytes) -> int:
    digits = text.strip()
    if not digits.isdigit() or len(digits) > 10:
        raise misplaced(*documents.line_and_column(data, ring.start(1)), f"numbers of vertices, found {text[:20]!r}")
    return int(digits)


def _numbers(data: bytes, match: re.Match[bytes], group: int) -> NDArray[np.float64]:
    """The numbers of a packed array, (n,); raises Invalid naming the line and column of what is none."""
    text = match[group]
    odd = NO_NUMBER.search(text)
    if odd is not None:
        place = documents.line_and_column(data, match.start(group) + odd.start())
        raise misplaced(*place, "a finite number")
    if not text.strip():
        return np.empty(0)
    try:
        return np.array([float(number) for number in text.split(b",")])
    except ValueError as error:
        place = documents.line_and_column(data, match.start(group))
        raise misplaced(*place, "numbers with a comma between two") from error


def _property(data: bytes, name: bytes) -> int:
    """Where a property's value begins; raises Invalid when the resource does not have it exactly once."""
    found = [match.end() for match in itertools.islice(PROPERTY[name].finditer(data), 2)]
    if len(found) != 1:
        shown = name.decode()
        line = _line(data, len(data))
        raise misplaced(line, 1, f"one property {shown!r}; bake the navmesh before saving it")
    return found[0]


def _line(data: bytes, byte: int) -> int:
    return documents.line_and_column(data, byte)[0]
