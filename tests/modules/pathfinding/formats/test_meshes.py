"""Navmeshes of all engines: what the fixtures hold, and how a wrong export is refused."""

from __future__ import annotations

import json
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from app.core.errors import Invalid
from app.modules.pathfinding import formats
from app.modules.pathfinding.formats import Format
from app.modules.pathfinding.surfaces import BLOCKED, Link, Mesh, Terrain
from tests.modules.pathfinding.formats.cases import LIMITS, fixture, mesh, neighbors, polygons, refusal

UNITY = json.loads(fixture("unity.json"))
GODOT = json.loads(fixture("godot3d.json"))
RECAST = json.loads(fixture("recast.json"))


def named(mesh: Mesh) -> list[str]:
    return [mesh.terrains[number].name for number in mesh.areas]


def test_unitys_repeated_vertices_are_welded_so_that_triangles_join() -> None:
    read = mesh(fixture("unity.json"), "unity")
    assert (len(read.vertices), read.up) == (9, 1)
    assert neighbors(read) == {(0, 1), (1, 2), (2, 3)}
    assert named(read) == ["Walkable", "Walkable", "Mud", "Mud", "Walkable"]
    assert read.terrains == (
        Terrain("blocked", math.inf), Terrain("Walkable", 1.0), Terrain("Not Walkable", 1.0),
        Terrain("Jump", 2.0), Terrain("Mud", 4.0),
    )  # fmt: skip
    assert read.links == (Link((14.5, 0.08, 0.0), (18.5, 2.58, 0.0), 8.0, True),)
    assert (read.vertices.dtype, read.first.dtype, read.corners.dtype, read.areas.dtype) == (
        np.float32, np.int32, np.int32, np.int32,
    )  # fmt: skip


def test_unitys_flat_arrays_are_read_like_its_objects() -> None:
    flat = [coordinate for vertex in UNITY["vertices"] for coordinate in vertex.values()]
    nested = [list(vertex.values()) for vertex in UNITY["vertices"]]
    for vertices in (flat, nested):
        read = mesh(json.dumps(UNITY | {"vertices": vertices}).encode(), "unity")
        expected = mesh(fixture("unity.json"), "unity")
        assert all(np.array_equal(one, other) for one, other in zip(read[:4], expected[:4], strict=True))


def test_unitys_area_that_is_not_walkable_is_blocked() -> None:
    read = mesh(json.dumps(UNITY | {"areas": [1, 0, 0, 0, 0]}).encode(), "unity")
    assert read.areas.tolist()[:2] == [BLOCKED, 1]


def test_a_file_with_a_byte_order_mark_is_read() -> None:
    assert len(mesh(b"\xef\xbb\xbf" + fixture("unity.json"), "unity").areas) == 5


def test_a_link_without_a_cost_costs_its_length() -> None:
    link = {"start": [0, 0, 0], "end": [3, 0, 4]}
    read = mesh(json.dumps(UNITY | {"links": [link]}).encode(), "unity")
    assert read.links == (Link((0, 0, 0), (3, 0, 4), 5.0, False),)


def test_godots_mesh_keeps_its_polygons() -> None:
    read = mesh(fixture("godot3d.json"), "godot")
    assert ([len(ring) for ring in polygons(read)], read.up) == ([4, 4, 3], 1)
    assert neighbors(read) == {(0, 1), (1, 2)}
    assert named(read) == ["ground", "mud", "ground"]
    assert read.links == (Link((-3.0, 0.5, 0.0), (6.5, 1.8, 0.0), 2.5, False),)


def test_godots_flat_polygons_lie_at_height_zero() -> None:
    read = mesh(fixture("godot2d.json"), "godot")
    assert (read.up, read.vertices[:, 2].tolist()) == (2, [0.0] * 6)
    assert neighbors(read) == {(0, 1)}
    assert read.links == (Link((16, 16, 0), (240, 80, 0), math.dist((16, 16), (240, 80)), True),)
    flat = json.loads(fixture("godot2d.json"))
    flat["vertices"] = [coordinate for vertex in flat["vertices"] for coordinate in vertex]
    np.testing.assert_array_equal(mesh(json.dumps(flat).encode(), "godot").vertices, read.vertices)
    del flat["type"], flat["links"]
    flat["vertices"] = json.loads(fixture("godot2d.json"))["vertices"]
    assert mesh(json.dumps(flat).encode(), "godot").up == 2


def test_godots_saved_resources_are_read() -> None:
    read = mesh(fixture("godot3d.tres"), "godot")
    assert (read.up, [len(ring) for ring in polygons(read)], neighbors(read)) == (1, [4, 4], {(0, 1)})
    assert read.vertices[0].tolist() == [-4.0, 0.5, -4.0]
    flat = mesh(fixture("godot2d.tres"), "godot")
    assert (flat.up, len(flat.vertices), named(flat)) == (2, 4, ["ground"])


def test_recasts_voxels_become_world_units() -> None:
    read = mesh(fixture("recast.json"), "recast")
    assert read.vertices[3].tolist() == pytest.approx([3.0, 0.4, -3.0])
    assert (neighbors(read), named(read)) == ({(0, 1)}, ["walkable", "grass"])
    length = math.dist((-2.0, 0.4, -2.0), (8.0, 0.8, 2.0))
    assert read.links == (Link((-2.0, 0.4, -2.0), (8.0, 0.8, 2.0), pytest.approx(2.0 * length), True),)


def test_recasts_polygons_without_flags_are_blocked() -> None:
    assert mesh(json.dumps(RECAST | {"flags": [0, 1]}).encode(), "recast").areas.tolist()[0] == BLOCKED
    del (without := dict(RECAST))["flags"]
    assert mesh(json.dumps(without | {"areas": [63, 0]}).encode(), "recast").areas.tolist()[1] == BLOCKED


def test_the_lines_of_an_obj_are_read() -> None:
    read = mesh(fixture("recast.obj"), "recast")
    assert (len(read.vertices), neighbors(read), named(read)) == (4, {(0, 1)}, ["walkable"] * 2)
    assert len(mesh(b"v 0 0 0\nv 1 0 0 1.0\r\nv 1 0 1\nf 1/2/3 2//1 3\n", "recast").areas) == 1


@pytest.mark.parametrize("item", [b"{},", b"[],", b"1,", b'"",'])
@pytest.mark.parametrize("field", ["vertices", "indices", "areas", "areaNames", "areaCosts", "links"])
def test_an_export_with_millions_of_items_is_counted_and_not_read(field: str, item: bytes) -> None:
    data = json.dumps(UNITY | {field: "HERE"}).encode().replace(b'"HERE"', b"[" + item * 2_000_000 + item[:-1] + b"]")
    tracemalloc.start()
    try:
        with pytest.raises(Invalid):
            formats.read(data, "unity", LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(data)
    finally:
        tracemalloc.stop()


def unity(**fields: Any) -> bytes:
    return json.dumps(UNITY | fields).encode()


def godot(**fields: Any) -> bytes:
    return json.dumps(GODOT | fields).encode()


def recast(**fields: Any) -> bytes:
    return json.dumps({key: value for key, value in (RECAST | fields).items() if value is not None}).encode()


TRES = fixture("godot3d.tres")


@pytest.mark.parametrize(
    ("format", "data", "place", "expected"),
    [
        ("unity", b'{"vertices": [],\n "indices" []}', "line 2, column 12", "JSON"),
        ("unity", unity(areaCost=[1]), "contains unknown field `areaCost`", "did you mean 'areaCosts'?"),
        ("unity", unity(vertices=[{"x": 1, "y": 2}]), "vertices[0]: object missing required field `z`", "page"),
        ("unity", unity(vertices=[1, 2]), "vertices: 2 numbers", "3 for each point"),
        ("unity", unity(vertices=[[1, 2]]), "vertices[0]: expected `array` of length 3", "page"),
        ("unity", unity(vertices=["(0, 0, 0)"]), "vertices[0]: expected `float`, got `str`", "page"),
        ("unity", unity(vertices=[0] * 195), "vertices: 195 of them", "192"),
        ("unity", unity(indices=[0, 1]), "indices: 2 of them", "three for each"),
        ("unity", unity(indices=[0, 1, 99], areas=[0]), "indices[2]: no vertex 99", "0 to 10"),
        ("unity", unity(indices=[0, -1, 2], areas=[0]), "indices[1]: no vertex -1", "0 to 10"),
        ("unity", unity(indices=[0, 1, 2.5], areas=[0]), "indices[2]: expected `int`", "page"),
        ("unity", unity(indices=[0, 1, 2] * 40), "indices: 120 of them", "96"),
        ("unity", unity(areas=[0]), "areas: 1 of them for 5 triangles", "one for each"),
        ("unity", unity(areas=[0, 0, 0, 0, 32]), "areas[4]: area 32", "0 to 31"),
        ("unity", unity(areaCosts=[0.0]), "areaCosts[0]: a cost of 0.0", "0.001 to 1000"),
        ("unity", unity(areaCosts=[1, 1, 1, 1001]), "areaCosts[3]: a cost of 1001.0", "0.001 to 1000"),
        ("unity", unity(areaNames=["a", "b", "c", "a"]), "areaNames[3]: the name 'a' again", "own"),
        ("unity", unity(areaNames=["a\n"]), "areaNames[0]: the name 'a\\n'", "printable"),
        ("unity", unity(links=[{"start": [0, 0], "end": [1, 1, 1]}]), "links[0].start: 2 numbers", "3"),
        ("unity", unity(links=[{"start": [0, 0, 1e30], "end": [1, 1, 1]}]), "links[0].start: the point", "units of 0"),
        ("unity", unity(links=[{"start": [0, 0, 1], "end": [1, 1, 1], "cost": -1}]), "links[0].cost", "0.001"),
        ("unity", unity(links=[{"start": [0, 0, 1], "end": [1, 1, 1]}] * 9), "links: 9 of them", "8"),
        ("unity", unity(vertices=[1e30] * 33), "vertices[0]: the point", "units of 0"),
        ("unity", unity(vertices=[0] * 33), "no polygon", "area from above"),
        ("unity", unity(indices=[0, 1, 2, 1, 0, 2, 0, 1, 3], areas=[0] * 3), "triangle 0", "two polygons"),
        ("godot", godot(polygons=[[0, 1]], areas=[0]), "polygons[0]: 2 corners", "3 to 255"),
        ("godot", godot(polygons=[[0, 1, 2], [0, 1, 77]], areas=[0, 0]), "polygons[1][2]: no vertex 77", "0 to 6"),
        ("godot", godot(polygons=[[0, 1, "2"]]), "polygons[0][2]: expected `int`", "page"),
        ("godot", godot(polygons=[[0, 1, 10**30]]), "polygons[0][2]", "page"),
        ("godot", godot(polygons=[[0, 2, 1, 3]], areas=[0]), "polygons[0]: a polygon whose edges cross", "split"),
        ("godot", godot(polygons=[[0, 1, 2, 0, 2, 3]], areas=[0]), "polygons[0]: a corner", "split"),
        ("godot", godot(type="Navigation"), "type: invalid enum value", "page"),
        ("godot", godot(vertices=[[0, 0], [1, 0]]), "vertices[0]: expected `array` of length 3", "page"),
        ("godot", TRES.replace(b"NavigationMesh", b"Mesh"), "line 1, column 1", "found 'Mesh'"),
        ("godot", TRES.replace(b"polygons", b"polygon"), "line 8, column 1", "one property 'polygons'"),
        ("godot", TRES.replace(b"0.5, 4, 0,", b"0.5, x, 0,"), "line 4, column 53", "finite number"),
        ("godot", TRES.replace(b"-4, 0.5, -4, ", b"-4, 0.5, ", 1), "line 4, column 12", "3 numbers for each vertex"),
        ("godot", TRES.replace(b"Packed", b"Paced"), "line 4, column 12", "PackedVector3Array"),
        ("godot", TRES.replace(b"4, 5)]", b"4, 55)]"), "corner 3 of polygon 1 (line 5)", "0 to 5"),
        ("godot", TRES.replace(b"), PackedInt", b") PackedInt"), "line 5, column 41", "PackedInt32Array"),
        ("godot", TRES.replace(b"4, 5)]", b"4, 5.5)]"), "line 5, column 60", "found b' 5.5'"),
        ("recast", recast(npolys=3), "polys: 24 numbers", "12 for each of 3"),
        ("recast", recast(nvp=2), "nvp: expected `int` >= 3", "page"),
        ("recast", recast(ch=None), "only some of cs, ch and bmin", "all three"),
        ("recast", recast(polys=[0, 1, 65535, 3, 65535, 65535] * 4), "polys[2]: 65535 before a corner", "last"),
        ("recast", recast(verts=[0] * 17), "verts: 17 numbers", "three"),
        ("recast", recast(areas=[64, 1]), "areas[0]: area 64", "0 to 63"),
        ("recast", recast(flags=[1]), "flags: 1 of them", "one for each"),
        ("recast", recast(offMeshConVerts=[1, 2]), "offMeshConVerts: 2 numbers", "six"),
        ("recast", recast(offMeshConDir=[0, 1]), "offMeshConDir: 2 of them for 1", "one for each"),
        ("recast", b"hello", "line 1, column 1", "OBJ"),
        ("recast", b"v 0 0 x\n", "line 1, column 3", "three numbers"),
        ("recast", b"v 0 0 0\nf 1 1 -1\n", "line 2, column 3", "from 1"),
        ("recast", b"v 0 0 0\nf 1 1 2\n", "line 2: no vertex 1", "0 to 0"),
    ],
)  # fmt: skip
def test_a_wrong_export_is_refused_with_its_place_and_the_mend(
    format: Format, data: bytes, place: str, expected: str
) -> None:
    error = refusal(data, format)
    assert place in error.message
    assert expected in error.hint
