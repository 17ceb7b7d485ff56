"""How long a map takes from its bytes to arrays, in every format, and to the ground of an agent class.

It measures inside the process, on maps of the greatest size that is usual; it checks no content.
"""

from __future__ import annotations

import base64
import io
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import report

from app.modules.pathfinding import formats
from app.modules.pathfinding.formats import Format
from app.modules.pathfinding.formats.agents import ground
from app.modules.pathfinding.surfaces import AgentClass, Surface

SIDE = 2_048
QUADS = 256


@dataclass(frozen=True)
class Limits:
    """The limits that files are read under."""

    side_cells_max: int = 4_096
    map_cells_max: int = 4_194_304
    layers_max: int = 16
    links_max: int = 4_096
    vertices_max: int = 262_144
    polygons_max: int = 262_144


def measure(told: report.Report, *, quick: bool) -> None:
    """Add the least milliseconds of several readings of each file."""
    rounds = 3 if quick else 9
    files: dict[str, tuple[Format, bytes]] = {
        "movingai": ("movingai", movingai()),
        "npz": ("npz", npz()),
        "tiled_csv": ("tiled", tiled(packed=False)),
        "tiled_zlib": ("tiled", tiled(packed=True)),
    }
    for name, (format, data) in files.items():
        told.add(f"read_ms.{name}_{SIDE}", least_ms(format, data, rounds), "ms", "lower", goal=1_000)
    vertices, triangles = sheet()
    for name, (format, data) in {
        "unity": ("unity", unity(vertices, triangles)),
        "godot": ("godot", godot(vertices, triangles)),
        "obj": ("recast", obj(vertices, triangles)),
    }.items():
        told.add(f"read_ms.{name}_{len(triangles)}_triangles", least_ms(format, data, rounds), "ms", "lower")
    surface = formats.read(files["movingai"][1], "movingai", Limits())
    assert isinstance(surface, Surface)
    weighted = AgentClass(size=3, costs={"swamp": 3.0})
    for name, agent in (("", AgentClass()), ("_size_3", AgentClass(size=3)), ("_size_3_weighted", weighted)):
        taken = least(lambda agent=agent: ground(surface, agent), rounds)
        told.add(f"ground_ms.{SIDE}{name}", taken, "ms", "lower", goal=1_000)


def least(work: Callable[[], object], rounds: int) -> float:
    """The least milliseconds of several runs."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken) * 1_000


def least_ms(format: str, data: bytes, rounds: int) -> float:
    """The least milliseconds of several readings of a file."""
    return least(lambda: formats.READERS[format](data, Limits()), rounds)


def letters() -> np.ndarray:
    """Noise of all letters, (SIDE, SIDE) uint8."""
    return np.frombuffer(b"....GGSSWT@", np.uint8)[np.random.default_rng(1).integers(0, 11, (SIDE, SIDE))]


def movingai() -> bytes:
    """A Moving AI map."""
    head = b"type octile\nheight %d\nwidth %d\nmap\n" % (SIDE, SIDE)
    return head + b"\n".join(row.tobytes() for row in letters())


def npz() -> bytes:
    """An archive with a cost for each cell."""
    random, file = np.random.default_rng(2), io.BytesIO()
    passable, cost = random.random((SIDE, SIDE)) > 0.3, random.uniform(0.5, 9, (SIDE, SIDE)).astype(np.float32)
    np.savez_compressed(file, passable=passable, cost=cost)
    return file.getvalue()


def tiled(*, packed: bool) -> bytes:
    """A Tiled map of one layer of 700 tiles, some of which block, cost or have a terrain."""
    gids = np.random.default_rng(3).integers(1, 700, (SIDE, SIDE)).astype("<u4")
    kinds = {"collision": True, "cost": 3.0, "terrain": "mud"}
    tiles = [{"id": place, "properties": [{"name": name, "value": kinds[name]}]} for place, name in enumerate(kinds)]
    layer: dict[str, object] = {"type": "tilelayer", "width": SIDE, "height": SIDE, "data": gids.ravel().tolist()}
    if packed:
        data = base64.b64encode(zlib.compress(gids.tobytes())).decode()
        layer |= {"data": data, "encoding": "base64", "compression": "zlib"}
    head = {"orientation": "orthogonal", "width": SIDE, "height": SIDE, "tilewidth": 16, "tileheight": 16}
    sets = [{"firstgid": 1, "tilecount": 700, "tiles": tiles}]
    return msgspec.json.encode(head | {"layers": [layer], "tilesets": sets})


def sheet() -> tuple[np.ndarray, np.ndarray]:
    """A sheet of QUADS x QUADS squares: vertices (n, 3), and triangles (m, 3) of places in them."""
    x, z = np.meshgrid(np.arange(QUADS + 1.0), np.arange(QUADS + 1.0))
    vertices = np.stack([x.ravel(), np.zeros(x.size), z.ravel()], axis=1)
    corner = (np.arange(QUADS)[:, None] * (QUADS + 1) + np.arange(QUADS)).ravel()
    across = corner + QUADS + 2
    halves = [corner, corner + 1, across, corner, across, corner + QUADS + 1]
    return vertices, np.stack(halves, axis=1).reshape(-1, 3)


def unity(vertices: np.ndarray, triangles: np.ndarray) -> bytes:
    """The sheet as Unity exports it."""
    points = [{"x": x, "y": y, "z": z} for x, y, z in vertices.tolist()]
    return msgspec.json.encode({"vertices": points, "indices": triangles.ravel().tolist()})


def godot(vertices: np.ndarray, triangles: np.ndarray) -> bytes:
    """The sheet as the script for Godot exports it."""
    return msgspec.json.encode({"vertices": vertices.tolist(), "polygons": triangles.tolist()})


def obj(vertices: np.ndarray, triangles: np.ndarray) -> bytes:
    """The sheet as an OBJ."""
    points = [f"v {x} {y} {z}" for x, y, z in vertices.tolist()]
    return "\n".join(points + [f"f {a} {b} {c}" for a, b, c in (triangles + 1).tolist()]).encode()
