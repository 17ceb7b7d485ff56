"""NumPy archives are read without trusting what they claim."""

from __future__ import annotations

import io
import math
import struct
import tracemalloc
import zipfile
from typing import Any

import numpy as np
import pytest

from app.core.errors import Invalid
from app.modules.pathfinding import formats
from app.modules.pathfinding.surfaces import Link, Terrain
from tests.modules.pathfinding.formats.cases import LIMITS, grid, refusal

FREE = np.array([[1, 1, 0], [1, 1, 1]], np.uint8)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def claiming(shape: str, body: bytes = b"", *, descr: str = "|u1", name: str = "passable") -> bytes:
    """An archive whose array claims to be of a shape."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body)
    return file.getvalue()


@pytest.mark.parametrize("passable", [FREE, FREE.astype(bool), np.asfortranarray(FREE), FREE * 7])
def test_passable_cells_are_ground(passable: np.ndarray) -> None:
    surface = grid(npz(passable=passable), "npz")
    assert surface.terrain.tolist() == FREE.tolist()
    assert surface.terrains == (Terrain("blocked", math.inf), Terrain("ground", 1.0))
    assert (surface.scale, surface.layers) == (None, 1)


@pytest.mark.parametrize("type", ["<f4", "<f8", ">f4", ">f8"])
def test_costs_multiply_and_infinite_or_no_cost_blocks(type: str) -> None:
    surface = grid(npz(cost=np.array([[1.0, 2.5, np.inf], [0.0, 0.5, 1_000.0]], type)), "npz")
    assert surface.terrain.tolist() == [[1, 1, 0], [0, 1, 1]]
    assert surface.scale is not None
    assert surface.scale.tolist() == [[1.0, 2.5, 1.0], [1.0, 0.5, 1_000.0]]
    assert surface.scale.dtype == np.float32


def test_layers_lie_below_each_other_with_a_blocked_row_between() -> None:
    surface = grid(npz(passable=np.array([FREE, 1 - FREE]), cost=np.full((2, 2, 3), 2.0)), "npz")
    assert surface.terrain.tolist() == [[1, 1, 0], [1, 1, 1], [0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert (surface.layers, surface.height, surface.width) == (2, 2, 3)
    assert surface.scale is not None
    assert surface.scale.shape == surface.terrain.shape


def test_terrains_have_names_and_costs() -> None:
    surface = grid(
        npz(
            terrain=np.array([[0, 1, 2], [1, 1, 0]], np.uint8), passable=FREE,
            terrains=np.array(["road", "mud", "blocked"]), terrain_costs=np.array([0.5, 3.0, 0.0]),
        ), "npz",
    )  # fmt: skip
    assert [terrain.name for terrain in surface.terrains] == ["blocked", "road", "mud"]
    assert [terrain.cost for terrain in surface.terrains] == [math.inf, 0.5, 3.0]
    assert surface.terrain.tolist() == [[1, 2, 0], [2, 2, 1]]


def test_links_join_cells_of_the_whole_grid() -> None:
    links = np.array([[0, 0, 2, 1, 3.5, 0], [1, 1, 0, 0, 1.0, 1]])
    surface = grid(npz(passable=FREE, links=links), "npz")
    assert surface.links == (Link((0, 0), (2, 1), 3.5, False), Link((1, 1), (0, 0), 1.0, True))


@pytest.mark.parametrize(
    ("arrays", "place", "expected"),
    [
        ({}, "no array of cells", "passable, cost or terrain"),
        ({"pasable": FREE}, "'pasable'", "did you mean 'passable'?"),
        ({"passable": FREE[0]}, "shape (3,)", "2 or 3 axes"),
        ({"passable": FREE.astype("<i8")}, "type '<i8'", "bool or uint8"),
        ({"cost": FREE}, "type '|u1'", "float32 or float64"),
        ({"passable": FREE, "cost": np.ones((3, 2))}, "cost is of shape (3, 2)", "equal shapes"),
        ({"passable": FREE, "cost": [[1.0, 1.0, np.nan], [1.0, 1.0, 1.0]]}, "cost, row 0, column 2: NaN", "inf"),
        ({"passable": FREE, "cost": [[1.0, 1.0, 0.0], [1.0, np.inf, 1.0]]}, "cost, row 1, column 1", "0.001 to 1000"),
        ({"passable": FREE, "cost": [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]}, "cost, row 0, column 1", "0.001 to 1000"),
        ({"cost": [[[1.0]], [[-1.0]]]}, "cost, layer 1, row 0, column 0: a negative cost", "inf"),
        ({"cost": [[1001.0]]}, "is 1001.0", "0.001 to 1000"),
        ({"cost": [[0.0005]]}, "is 0.0005", "0.001 to 1000"),
        ({"terrain": FREE}, "no terrains", "send their names"),
        ({"terrain": FREE, "terrains": ["mud"]}, "terrain, row 0, column 0: no terrain", "0 to 0"),
        ({"terrain": FREE, "terrains": ["mud", "mud"]}, "terrains[1]", "name of its own"),
        ({"terrain": FREE, "terrains": ["mud", "x" * 65]}, "type '<U65'", "expected text"),
        ({"terrain": FREE, "terrains": ["a", ""]}, "terrains[1]", "printable"),
        ({"terrain": FREE, "terrains": ["a", "b"], "terrain_costs": [1.0]}, "1 terrain_costs", "one cost for each"),
        ({"terrain": FREE, "terrains": ["a", "b"], "terrain_costs": [1.0, -1.0]}, "terrain_costs[1]", "0.001"),
        ({"passable": FREE, "terrains": ["a"]}, "no array terrain", "uint8"),
        (
            {"terrain": FREE * 0, "terrains": ["a"], "terrain_costs": [500.0], "cost": np.full((2, 3), 3.0)},
            "is 1500.0", "0.001 to 1000",
        ),
        ({"passable": FREE, "links": np.ones((1, 5))}, "links is of shape (1, 5)", "one_way"),
        ({"passable": FREE, "links": [[0, 0.5, 1, 1, 1, 0]]}, "links, row 0", "whole cells"),
        ({"passable": FREE, "links": [[0, 0, 3, 1, 1, 0.0]]}, "its end (3.0, 1.0) is outside", "3 x 2"),
        ({"passable": FREE, "links": [[0, 0, 2, 0, 1, 0.0]]}, "its end (2.0, 0.0) is blocked", "walked on"),
        ({"passable": FREE, "links": [[0, 0, 1, 1, np.nan, 0]]}, "a cost of nan", "0.001"),
        ({"passable": FREE, "links": np.ones((9, 6))}, "links has 54 items", "48"),
        ({"passable": np.ones((65, 1), bool)}, "height is 65", "1 to 64"),
        ({"passable": np.ones((5, 1, 1), bool)}, "5 layers", "1 to 4"),
        ({"passable": np.ones((2, 64, 20), bool)}, "20 x 129 cells", "2048"),
        ({"passable": np.ones((0, 4), bool)}, "height is 0", "1 to 64"),
    ],
)  # fmt: skip
def test_arrays_that_make_no_map_are_refused_by_name_row_and_column(
    arrays: dict[str, Any], place: str, expected: str
) -> None:
    error = refusal(npz(**arrays), "npz")
    assert place in error.message
    assert expected in error.hint


def test_objects_are_refused_and_never_unpickled() -> None:
    error = refusal(npz(passable=np.array([[print, None]], dtype=object)), "npz")
    assert "'|O'" in error.message


@pytest.mark.parametrize(
    "shape", ["(100000, 100000)", "(4096, 4096, 4096)", "(16777216, 1)", "(" + "9" * 200 + ", 2)", "(0, 16777217)"]
)
def test_ten_gigabytes_that_are_only_claimed_are_never_allocated(shape: str) -> None:
    data = claiming(shape)
    tracemalloc.start()
    try:
        with pytest.raises(Invalid, match=r"shape|height|layers|cells"):
            formats.read(data, "npz", LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_zip_bomb_is_inflated_no_further_than_its_shape_says() -> None:
    data = claiming("(2, 3)", bytes(200_000_000))
    assert len(data) < 300_000
    tracemalloc.start()
    try:
        assert "has more" in refusal(data, "npz").message
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_an_array_shorter_than_its_shape_is_refused() -> None:
    assert "has 5 bytes" in refusal(claiming("(2, 3)", bytes(5)), "npz").message


def test_names_that_are_no_characters_are_refused() -> None:
    data = npz(terrain=FREE * 0, terrains=np.array([0x11_0000], "<u4").view("<U1"))
    assert "not Unicode" in refusal(data, "npz").message


def test_archives_of_other_kinds_are_refused() -> None:
    good = npz(passable=FREE)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", b"hello")
    many = npz(**{f"a{number}": FREE for number in range(17)})
    for data in (b"", b"PK", good[:-1], good + b" ", good[:40] + good[60:], file.getvalue(), many):
        refusal(data, "npz")
