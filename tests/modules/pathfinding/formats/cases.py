"""What the tests of all formats share: limits, fixtures, and how to look at a refusal."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.core.errors import Invalid
from app.modules.pathfinding import formats
from app.modules.pathfinding.formats import Format
from app.modules.pathfinding.surfaces import Mesh, Surface

FIXTURES = Path(__file__).parent / "fixtures"


@dataclass(frozen=True)
class Limits:
    """Small enough to pass in a test."""

    side_cells_max: int = 64
    map_cells_max: int = 2_048
    layers_max: int = 4
    links_max: int = 8
    vertices_max: int = 64
    polygons_max: int = 32


LIMITS = Limits()


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def grid(data: bytes, format: Format) -> Surface:
    surface = formats.read(data, format, LIMITS)
    assert isinstance(surface, Surface)
    return surface


def mesh(data: bytes, format: Format) -> Mesh:
    read = formats.read(data, format, LIMITS)
    assert isinstance(read, Mesh)
    return read


def refusal(data: bytes, format: Format) -> Invalid:
    with pytest.raises(Invalid) as caught:
        formats.read(data, format, LIMITS)
    assert caught.value.hint, "a refusal says the mend"
    return caught.value


def polygons(mesh: Mesh) -> list[list[int]]:
    """The corners of each polygon."""
    ends = mesh.first.tolist()
    return [mesh.corners[start:end].tolist() for start, end in itertools.pairwise(ends)]


def neighbors(mesh: Mesh) -> set[tuple[int, int]]:
    """Pairs of polygons that share an edge."""
    edges: dict[frozenset[int], list[int]] = {}
    for number, ring in enumerate(polygons(mesh)):
        for here, there in zip(ring, ring[1:] + ring[:1], strict=True):
            edges.setdefault(frozenset((here, there)), []).append(number)
    return {(pair[0], pair[1]) for pair in edges.values() if len(pair) == 2}
