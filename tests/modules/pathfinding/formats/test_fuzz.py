"""Whatever bytes arrive, a reader returns a sound map or raises Invalid, and nothing else."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.modules.pathfinding import formats
from app.modules.pathfinding.formats import READERS, Format
from app.modules.pathfinding.surfaces import Mesh, Surface
from tests.modules.pathfinding.formats.cases import FIXTURES, LIMITS, fixture


def _archive() -> bytes:
    file = io.BytesIO()
    np.savez(
        file, passable=np.ones((4, 5), bool), cost=np.full((4, 5), 2.0), terrain=np.zeros((4, 5), np.uint8),
        terrains=np.array(["road", "mud"]), terrain_costs=np.array([1.0, 2.0]), links=np.array([[0, 0, 4, 3, 1.0, 1]]),
    )  # fmt: skip
    return file.getvalue()


SEEDS: list[tuple[Format, bytes]] = [
    ("movingai", b"type octile\nheight 3\nwidth 4\nmap\n.@GT\nSW..\nO...\n"),
    ("rows", b".#1\n9S.\n"),
    ("npz", _archive()),
    *(("tiled", fixture(path.name)) for path in sorted(FIXTURES.glob("*.tmj"))),
    *(("godot", fixture(path.name)) for path in sorted(FIXTURES.glob("godot*"))),
    ("unity", fixture("unity.json")),
    ("recast", fixture("recast.json")),
    ("recast", fixture("recast.obj")),
]

TOKENS = [
    b"-1", b"0", b"1", b"65535", b"4294967295", b"99999999999999999999", b"1e999", b"-0.0", b"1.5", b"NaN", b"null",
    b"true", b'""', b'"a"', b"[]", b"{}", b"[[", b"]", b"}", b",", b"\n", b"\r", b"\x00", b"\xff", b"(", b")", b'"',
]  # fmt: skip
PIECES = re.compile(rb'-?\d+(?:\.\d+)?|"[^"]*"|[\[\]{},:()]|[A-Za-z]+|.', re.DOTALL)


def check(data: bytes, format: Format) -> None:
    """Read the bytes and, where they are a map, look whether it is one."""
    try:
        read = formats.read(data, format, LIMITS)
    except Invalid as error:
        refused = error
    else:
        check_read(read)
        return
    assert refused.message
    assert refused.hint


def check_read(read: Surface | Mesh) -> None:
    assert 2 <= len(read.terrains) <= 256
    if isinstance(read, Surface):
        check_surface(read)
    else:
        check_mesh(read)


def check_surface(surface: Surface) -> None:
    rows, columns = surface.terrain.shape
    assert rows * columns <= LIMITS.map_cells_max
    assert (surface.terrain.dtype, rows) == (np.uint8, surface.layers * (surface.height + 1) - 1)
    assert surface.terrain.max() < len(surface.terrains)
    assert (surface.terrain[surface.height :: surface.height + 1] == 0).all()
    if surface.scale is not None:
        assert (surface.scale.dtype, surface.scale.shape) == (np.float32, surface.terrain.shape)
        assert np.isfinite(surface.scale).all()
        assert (surface.scale > 0).all()
    for link in surface.links:
        assert all(surface.terrain[int(y), int(x)] for x, y in (link.start, link.end))


def check_mesh(mesh: Mesh) -> None:
    count = len(mesh.areas)
    assert 0 < count <= LIMITS.polygons_max
    assert (mesh.first[0], mesh.first[-1], len(mesh.first)) == (0, len(mesh.corners), count + 1)
    assert (np.diff(mesh.first) >= 3).all()
    assert ((mesh.corners >= 0) & (mesh.corners < len(mesh.vertices))).all()
    assert ((mesh.areas >= 0) & (mesh.areas < len(mesh.terrains))).all()
    assert np.isfinite(mesh.vertices).all()


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300), format=st.sampled_from(sorted(READERS)))
def test_arbitrary_bytes_are_a_map_or_invalid(data: bytes, format: Format) -> None:
    check(data, format)


@settings(max_examples=500, deadline=None)
@given(seed=st.sampled_from(SEEDS), draw=st.data())
def test_a_file_with_changed_bytes_is_a_map_or_invalid(seed: tuple[Format, bytes], draw: st.DataObject) -> None:
    format, data = seed
    changed = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(changed) - 1))
        kind = draw.draw(st.sampled_from(["set", "cut", "drop", "double"]))
        if kind == "set":
            changed[at] = draw.draw(st.integers(0, 255))
        elif kind == "cut":
            del changed[max(at, 1) :]
        elif kind == "drop":
            del changed[at : at + draw.draw(st.integers(1, 20))]
            changed = changed or bytearray(b"x")
        else:
            changed[at:at] = changed[at : at + 20]
    check(bytes(changed), format)


@settings(max_examples=600, deadline=None)
@given(seed=st.sampled_from([seed for seed in SEEDS if seed[0] != "npz"]), draw=st.data())
def test_a_file_with_changed_words_is_a_map_or_invalid(seed: tuple[Format, bytes], draw: st.DataObject) -> None:
    format, data = seed
    pieces = PIECES.findall(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(pieces) - 1))
        pieces[at] = draw.draw(st.sampled_from([*TOKENS, b"", pieces[at] * 2]))
    check(b"".join(pieces), format)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(name=st.sampled_from(["unity.json", "godot3d.json", "recast.json", "tiled.tmj"]), value=JSON, draw=st.data())
def test_a_field_of_any_other_value_is_a_map_or_invalid(name: str, value: object, draw: st.DataObject) -> None:
    file = json.loads(fixture(name))
    places = list(_places(file))
    holder, key = draw.draw(st.sampled_from(places))
    holder[key] = value
    known: dict[str, Format] = {"u": "unity", "g": "godot", "r": "recast", "t": "tiled"}
    check(json.dumps(file).encode(), known[name[0]])


def _places(value: object) -> list[tuple[object, object]]:
    """Every place of a document that holds a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, child in inner for found in ((value, key), *_places(child))]


@pytest.mark.parametrize("format", sorted(set(READERS) - {"movingai", "rows", "npz"}))
def test_deep_nesting_is_invalid(format: Format) -> None:
    for field in (b"vertices", b"verts", b"layers", b"polygons", b"links", b"x"):
        check(b'{"' + field + b'":' + b"[" * 200_000, format)
        check(b'{"' + field + b'":' * 100_000, format)
