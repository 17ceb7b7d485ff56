"""Tiled maps: what their layers, tiles and objects say, and how a wrong one is refused."""

from __future__ import annotations

import base64
import gzip
import json
import math
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest

from app.core.errors import Invalid
from app.modules.pathfinding import formats
from app.modules.pathfinding.formats import agents
from app.modules.pathfinding.surfaces import AgentClass, Link, Surface
from tests.modules.pathfinding.formats.cases import LIMITS, fixture, grid, refusal

TILES = [
    {"id": 0},
    {"id": 1, "properties": [{"name": "collision", "type": "bool", "value": True}]},
    {"id": 2, "properties": [{"name": "cost", "type": "float", "value": 3}]},
    {"id": 3, "properties": [{"name": "terrain", "type": "string", "value": "mud"}]},
]


def layer(data: Any, *, width: int = 2, height: int = 1, **fields: Any) -> dict[str, Any]:
    return {"type": "tilelayer", "width": width, "height": height, "data": data, **fields}


def tiled(*layers: dict[str, Any], width: int = 2, height: int = 1, **fields: Any) -> bytes:
    head = {"orientation": "orthogonal", "width": width, "height": height, "tilewidth": 16, "tileheight": 16}
    sets = [{"firstgid": 1, "tilecount": 4, "tiles": TILES}]
    return json.dumps(head | {"layers": layers, "tilesets": sets} | fields).encode()


def prop(name: str, value: object) -> dict[str, Any]:
    return {"properties": [{"name": name, "value": value}]}


def costs(surface: Surface) -> list[list[float]]:
    """The cost of each cell, 0 where blocked."""
    free, cost, stride, uniform = agents.ground(surface, AgentClass())
    shown = free * np.float32(uniform) if cost is None else cost
    return np.round(shown.reshape(-1, stride)[1:-1, 1:-1], 4).tolist()


def names(surface: Surface) -> list[list[str]]:
    return [[surface.terrains[number].name for number in row] for row in surface.terrain.tolist()]


@pytest.mark.parametrize("name", ["tiled.tmj", "tiled-zlib.tmj"])
def test_a_village_of_two_floors_is_read(name: str) -> None:
    surface = grid(fixture(name), "tiled")
    assert (surface.layers, surface.height, surface.width) == (2, 4, 6)
    assert costs(surface) == [
        [1.0, 1.0, 1.0, 1.0, 0.0, 1.0],
        [1.0, 3.5, 3.5, 1.0, 0.0, 1.0],
        [1.0, 3.5, 1.0, 1.0, 1.0, 1.0],
        [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        [0.0] * 6,
        [0.0, 0.0, 1.0, 1.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, 1.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, 1.0, 1.0, 0.0],
        [0.0] * 6,
    ]
    assert names(surface)[2] == ["ground", "mud", "road", "road", "road", "road"]
    assert surface.links == (Link((0, 0), (2, 5), 2.0, False), Link((4, 7), (0, 0), 1.0, True))


def test_an_infinite_map_begins_at_its_upper_left_chunk() -> None:
    surface = grid(fixture("tiled-infinite.tmj"), "tiled")
    assert (surface.height, surface.width) == (16, 32)
    expected = np.ones((16, 32))
    expected[8:, :16] = 0.0
    expected[:, 16:20] = 3.5
    expected[5, 16 + 5] = 0.0
    assert costs(surface) == expected.tolist()
    assert surface.links == (Link((0, 0), (31, 6), 1.0, False),)


def test_any_collision_blocks_and_the_topmost_cost_and_terrain_win() -> None:
    assert costs(grid(tiled(layer([1, 2]), layer([3, 1])), "tiled")) == [[3.0, 0.0]]
    assert costs(grid(tiled(layer([3, 3]), layer([0, 4])), "tiled")) == [[3.0, 1.0]]
    surface = grid(tiled(layer([4, 4]), layer([0, 3])), "tiled")
    assert (costs(surface), names(surface)) == ([[1.0, 3.0]], [["mud", "mud"]])


def test_a_layer_says_whether_its_tiles_collide() -> None:
    assert costs(grid(tiled(layer([1, 1]), layer([0, 1], **prop("collision", True))), "tiled")) == [[1.0, 0.0]]
    assert costs(grid(tiled(layer([1, 2], **prop("collision", False))), "tiled")) == [[1.0, 1.0]]
    group = {"type": "group", "layers": [layer([0, 1])], **prop("collision", True)}
    assert costs(grid(tiled(layer([1, 1]), group), "tiled")) == [[1.0, 0.0]]


def test_a_tile_with_shapes_collides_unless_it_says_no() -> None:
    shapes = {"objectgroup": {"objects": [{"id": 1, "x": 0, "y": 0}]}}
    tiles = [{"id": 0, **shapes}, {"id": 1, **shapes, **prop("collision", False)}, {"id": 2, "objectgroup": {}}]
    data = tiled(layer([1, 2]), tilesets=[{"firstgid": 1, "tilecount": 3, "tiles": tiles}])
    assert costs(grid(data, "tiled")) == [[0.0, 1.0]]


def test_a_cell_without_a_tile_is_blocked_unless_the_map_says_otherwise() -> None:
    assert costs(grid(tiled(layer([0, 1])), "tiled")) == [[0.0, 1.0]]
    assert costs(grid(tiled(layer([0, 2]), **prop("empty_passable", True)), "tiled")) == [[1.0, 0.0]]


def test_flipped_and_turned_tiles_are_the_same_tiles() -> None:
    assert costs(grid(tiled(layer([0xF000_0003, 0x8000_0002])), "tiled")) == [[3.0, 0.0]]


def test_terrains_cost_what_their_first_tile_says() -> None:
    tiles = [
        {"id": number, "properties": [{"name": "terrain", "value": "mud"}, *extra]}
        for number, extra in enumerate([[{"name": "cost", "value": 2.0}], [], [{"name": "cost", "value": 6.0}]])
    ]
    data = tiled(layer([1, 2, 3], width=3), width=3, tilesets=[{"firstgid": 1, "tilecount": 3, "tiles": tiles}])
    surface = grid(data, "tiled")
    assert surface.terrains[2] == ("mud", 2.0)
    assert costs(surface) == [[2.0, 2.0, 6.0]]
    assert agents.ground(surface, AgentClass(costs={"mud": 1.0})).cost is not None
    assert math.isinf(surface.terrains[0].cost)


def test_floors_are_layers_in_the_order_of_their_numbers() -> None:
    inner = {"type": "group", "layers": [layer([0, 1], **prop("floor", -1)), layer([1, 0])], **prop("floor", 7)}
    surface = grid(tiled(inner), "tiled")
    assert (surface.layers, costs(surface)) == (2, [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])


@pytest.mark.parametrize(("compression", "pack"), [("", bytes), ("zlib", zlib.compress), ("gzip", gzip.compress)])
def test_packed_layers_equal_listed_ones(compression: str, pack: Any) -> None:
    text = base64.b64encode(pack(np.array([3, 2], "<u4").tobytes())).decode()
    data = tiled(layer(text, encoding="base64", compression=compression))
    assert costs(grid(data, "tiled")) == [[3.0, 0.0]]


def test_a_packed_layer_is_inflated_no_further_than_its_size() -> None:
    text = base64.b64encode(zlib.compress(bytes(100_000_000), 9)).decode()
    data = tiled(layer(text, encoding="base64", compression="zlib"))
    tracemalloc.start()
    try:
        assert "layers[0].data: more bytes" in refusal(data, "tiled").message
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("numbers", [b"1," * 3_000_000 + b"1", b"[]," * 900_000 + b"[]"])
def test_numbers_beyond_a_layer_s_size_are_counted_and_not_read(numbers: bytes) -> None:
    data = tiled(layer("HERE")).replace(b'"HERE"', b"[" + numbers + b"]")
    tracemalloc.start()
    try:
        with pytest.raises(Invalid, match=r"layers\[0\].data"):
            formats.read(data, "tiled", LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(data) + 1_000_000
    finally:
        tracemalloc.stop()


def test_more_layers_than_can_be_unpacked_in_a_moment_are_refused() -> None:
    assert (
        "the tiles of all layers"
        in refusal(tiled(*(layer([]) for _ in range(17)), width=64, height=16), "tiled").message
    )


def link(**fields: Any) -> dict[str, Any]:
    thing = {"id": 1, "x": 8, "y": 8, "type": "link"} | prop("target", 2) | fields
    return {"type": "objectgroup", "objects": [thing, {"id": 2, "x": 24, "y": 8}]}


def test_links_lead_from_the_middle_of_objects() -> None:
    for fields in (
        {},
        {"x": 0, "y": 0, "width": 16, "height": 15},
        {"y": 16, "x": 0, "width": 1, "height": 16, "gid": 1},
    ):
        assert grid(tiled(layer([1, 1]), link(**fields)), "tiled").links == (Link((0, 0), (1, 0), 1.0, False),)


@pytest.mark.parametrize(
    ("data", "place", "expected"),
    [
        (tiled(layer([1, 1]), orientation="isometric"), "orientation: 'isometric'", "orthogonal"),
        (tiled(layer([1, 1]), tilesets=[{"firstgid": 1, "source": "a.tsx"}]), "tilesets[0].source", "embed it"),
        (tiled(), "no tile layer", "at least one"),
        (tiled(layer([1])), "layers[0].data: 1 tiles", "expected 2"),
        (tiled(layer([1, 1, 1])), "layers[0].data: 3 of them", "at most 2"),
        (tiled(layer([1, 5])), "layers[0].data[1]: no tileset has a tile 5", "last tile is 4"),
        (tiled(layer([1, 1]), layer([-1, 0])), "layers[1].data[0]: the tile number -1", "0 to 4294967295"),
        (tiled(layer([1, "a"])), "layers[0].data[1]: expected `int`, got `str`", "page"),
        (tiled(layer([1, 1.5])), "layers[0].data[1]: expected `int`, got `float`", "page"),
        (tiled(layer([1, 1], width=3)), "3 x 1 tiles", "2 x 1"),
        (tiled(layer([1, 1]), width=65), "width is 65", "1 to 64"),
        (tiled(layer("AQ", encoding="base64")), "layers[0].data: this is no base64", "export"),
        (tiled(layer("AQAAAA==", encoding="base64")), "4 bytes", "8 for 2 tiles"),
        (tiled(layer("AQAAAA==", encoding="base64", compression="zlib")), "no base64 zlib", "export"),
        (tiled(layer("AQAAAA==", encoding="base64", compression="zstd")), "the compression 'zstd'", "zlib"),
        (tiled(layer("x", encoding="hex")), "the encoding 'hex'", "CSV"),
        (tiled(layer([1, 1], **prop("floor", 1.5))), "layers[0].properties[0].value: expected `int`", "page"),
        (tiled(layer([1, 1], **prop("collision", "yes"))), "layers[0].properties[0].value: expected `bool`", "page"),
        (tiled(*(layer([1, 1], **prop("floor", floor)) for floor in range(5))), "5 layers", "1 to 4"),
        (tiled(layer([1, 1]), link(properties=[])), "layers[1].objects[0]: a link without a target", "target"),
        (tiled(layer([1, 1]), link(**prop("target", 9))), "no object 9", "id"),
        (tiled(layer([1, 0]), link()), "its end (1.0, 0.0) is blocked", "walked on"),
        (tiled(layer([1, 1]), link(x=-1)), "its start (-1.0, -1.0) is outside", "2 x 1"),
        (tiled(layer([1, 1]), link() | prop("floor", 3)), "layers[1].objects[0]: it is on floor 3", "[0]"),
        (tiled(layer([1, 1]), infinite=True), "an infinite map without a tile", "Infinite"),
        (
            tiled(layer(None, chunks=[{"x": 0, "y": 0, "width": 16, "height": 99999999, "data": []}]), infinite=True),
            "height is 99999999", "1 to 64",
        ),
        (
            tiled(layer([1, 1]), tilesets=[{"firstgid": 200_000_000}]),
            "the tiles of tilesets: 200000000 of them", "1048576",
        ),
        (
            tiled(layer([1, 1]), tilesets=[{"firstgid": 1, "tiles": [{"id": 0, **prop("cost", 0)}]}]),
            "tilesets[0].tiles[0], property cost: a cost of 0.0", "0.001",
        ),
        (b'{"orientation": "orthogonal",\n "width": 2,\n  oops}', "line 3, column 3", "JSON"),
        (b'{"orientation": "orthogonal",', "line 1, column 30", "JSON"),
        (b'{"orientation": 3}', "orientation: expected `str`, got `int`", "page"),
        (b"{}", "its top: object missing required field", "page"),
        (b"[" * 100_000, "its top: expected `object`, got `array`", "page"),
    ],
)  # fmt: skip
def test_a_wrong_map_is_refused_with_its_path_and_the_mend(data: bytes, place: str, expected: str) -> None:
    error = refusal(data, "tiled")
    assert place in error.message
    assert expected in error.hint
