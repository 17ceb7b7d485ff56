"""Bytes of an uploaded map to a Surface (grid) or a Mesh (navmesh): one file a format, one function for all.

It knows which file reads which format; it does not know where bytes come from or how a map is searched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from app.modules.pathfinding.formats import godot, movingai, npz, recast, rows, tiled, unity
from app.modules.pathfinding.formats.limits import Limits
from app.modules.pathfinding.surfaces import Mesh, Surface

Format = Literal["movingai", "rows", "tiled", "npz", "unity", "godot", "recast"]

READERS: dict[Format, Callable[[bytes, Limits], Surface | Mesh]] = {
    "movingai": movingai.read,
    "rows": rows.read,
    "tiled": tiled.read,
    "npz": npz.read,
    "unity": unity.read,
    "godot": godot.read,
    "recast": recast.read,
}
"""docs/reference/map-formats.md has every field of each."""


def read(data: bytes, format: Format, limits: Limits) -> Surface | Mesh:
    """The map that a file holds; grids are uint8 (rows, columns), navmeshes float32 in the engine's units.

    Raises Invalid naming the line and column (text), the JSON path, or the array, row and column (binary);
    nothing larger than `limits` is allocated first.
    """
    return READERS[format](data, limits)
