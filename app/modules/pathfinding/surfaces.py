"""What a map is once its file is read, and who walks on it: plain values between formats, engines and pictures.

It knows shapes and units; it does not know files, messages or how anything is searched.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

BLOCKED = 0
"""The terrain that nobody walks on: always the first of a map."""


class Terrain(NamedTuple):
    """A kind of ground: its name, and what one straight step over it costs where an agent says nothing else."""

    name: str
    cost: float


class Link(NamedTuple):
    """A way that is not walked step by step: a stair, a door, a teleport, a drop.

    Ends are (x, y) cells of the whole grid, layers included, or points (x, y, z) of a navmesh.
    """

    start: tuple[float, ...]
    end: tuple[float, ...]
    cost: float
    """In straight steps (grid) or world units (navmesh)."""
    one_way: bool = False


class Surface(NamedTuple):
    """A grid map. Layers lie below each other with one blocked row between them.

    Row y of layer k is row k * (height + 1) + y of `terrain`, which is also its y on the wire.
    """

    terrain: U8
    """(rows, columns): place in `terrains`; BLOCKED where nobody walks."""
    terrains: tuple[Terrain, ...]
    """By number; the first is the blocked one, at infinite cost."""
    scale: F32 | None
    """(rows, columns): what each cell's cost is multiplied with, finite and > 0; None where all are 1."""
    links: tuple[Link, ...] = ()
    layers: int = 1

    @property
    def height(self) -> int:
        """Rows of one layer."""
        return (int(self.terrain.shape[0]) + 1) // self.layers - 1

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.terrain.shape[1])


class Mesh(NamedTuple):
    """A navmesh: convex polygons over shared vertices, in the exporting engine's units and axes."""

    vertices: F32
    """(vertices, 3): x, y, z; `up` says which axis is height."""
    first: I32
    """(polygons + 1,): the corners of polygon p are corners[first[p]] .. corners[first[p + 1]]."""
    corners: I32
    """(corners,): places in `vertices`, around each polygon; equal places are joined edges."""
    areas: I32
    """(polygons,): place in `terrains`; BLOCKED where nobody walks."""
    terrains: tuple[Terrain, ...]
    links: tuple[Link, ...] = ()
    up: int = 1
    """The axis of height: 1 for Unity, Godot and Recast; 2 for a flat 2D export (z = 0)."""


class AgentClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Agents of one size that weigh terrain alike; they share prepared tables and caches."""

    size: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    """Cells on a side. The agent's cell is its middle, or the upper left of the four in the middle."""
    costs: Annotated[dict[str, Annotated[float, msgspec.Meta(gt=0, le=1_000)]], msgspec.Meta(max_length=255)] = {}
    """Terrain name -> what one straight step costs this agent, in place of the terrain's own cost."""
    forbidden: Annotated[tuple[str, ...], msgspec.Meta(max_length=255)] = ()
    """Terrains that this agent never enters."""
    radius: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    """On a navmesh, in units: obstacles are grown by so much before they are walked around."""
    caution: Annotated[float, msgspec.Meta(ge=0, le=10)] = 1.0
    """How much it fears learned dangers: 0 not at all, 1 as the server's settings say, 3 three times as much."""
