"""What the JSON of all navmesh exports may say alike: areas with names and costs, and links.

It knows their meaning; where they stand in a file is each format's own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.modules.pathfinding.formats import documents
from app.modules.pathfinding.formats.limits import (
    BLOCKED_TERRAIN,
    COST_MIN,
    TERRAINS_MAX,
    Limits,
    check_cost,
    check_count,
    check_link_cost,
    check_name,
    wrong,
)
from app.modules.pathfinding.formats.polygons import check_point
from app.modules.pathfinding.surfaces import BLOCKED, Link, Terrain

NAMES_BYTES_MAX = 65_536
"""Bytes that all names of areas take in a file."""


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A point as Unity's JsonUtility writes it."""

    x: float
    y: float
    z: float


NAMES = msgspec.json.Decoder(list[str])
VECTORS = msgspec.json.Decoder(list[Vector])
VECTOR = msgspec.json.Decoder(Vector)
PAIRS = msgspec.json.Decoder(list[tuple[float, float]])
TRIPLES = msgspec.json.Decoder(list[tuple[float, float, float]])


class Areas(NamedTuple):
    """The terrains of a file, and the area number of each but the first, which is the blocked one."""

    terrains: tuple[Terrain, ...]
    numbers: NDArray[np.int64]


def areas(
    used: NDArray[np.int64], names: msgspec.Raw, costs: msgspec.Raw, defaults: dict[int, str], *, most: int
) -> Areas:
    """The terrains of the areas that are used or named; area a has names[a] and costs[a].

    `names` may leave an area "" and `costs` may leave it 0, where the file has no such area; `defaults` are the
    engine's own names, and any other area is called "area N". Raises Invalid.
    """
    called = _names(names, most)
    priced = documents.reals(costs, "areaCosts", most).tolist()
    numbers = sorted({*used.tolist(), *(place for place, name in enumerate(called) if name)})
    check_count("its areas", len(numbers), TERRAINS_MAX)
    terrains = [BLOCKED_TERRAIN]
    seen = {BLOCKED_TERRAIN.name: -1}
    for number in numbers:
        given = called[number] if number < len(called) else ""
        name = check_name(f"areaNames[{number}]", given or defaults.get(number, f"area {number}"))
        if name in seen:
            raise wrong(f"areaNames[{number}]", f"the name {name!r} again", "give each area a name of its own")
        seen[name] = number
        cost = priced[number] if number < len(priced) and (priced[number] != 0 or number in used) else 1.0
        terrains.append(Terrain(name, check_cost(f"areaCosts[{number}]", cost)))
    return Areas(tuple(terrains), np.array(numbers, np.int64))


def _names(names: msgspec.Raw, most: int) -> list[str]:
    text = bytes(names)
    if not text:
        return []
    check_count("the bytes of areaNames", len(text), NAMES_BYTES_MAX)
    called = documents.part(NAMES, names, "areaNames")
    check_count("areaNames", len(called), most)
    return called


def places(known: Areas, numbers: NDArray[np.int64], blocked: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The places of the polygons' areas in the terrains, (polygons,) int32; BLOCKED where `blocked`."""
    return np.where(blocked, BLOCKED, np.searchsorted(known.numbers, numbers) + 1).astype(np.int32)


def check_areas(place: str, numbers: NDArray[np.int64], most: int) -> None:
    """Raise Invalid naming the polygon whose area is not 0 .. most - 1."""
    outside = (numbers < 0) | (numbers >= most)
    if outside.any():
        at = int(outside.argmax())
        raise wrong(f"{place}[{at}]", f"area {int(numbers[at])!r}", f"expected 0 to {most - 1}")


def points(raw: msgspec.Raw, path: str, most: int, *, axes: int) -> NDArray[np.float64]:
    """Points as objects, as arrays of `axes` numbers or as one flat array, (n, 3); a flat export has z = 0.

    Raises Invalid naming the path; no more than `most` points are read.
    """
    text = bytes(raw)
    inner = text[1:].lstrip()[:1]
    if inner not in (b"{", b"["):
        numbers = documents.reals(raw, path, axes * most)
        if len(numbers) % axes:
            raise wrong(path, f"{len(numbers)!r} numbers", f"expected {axes} for each point")
        return _with_height(numbers.reshape(-1, axes))
    check_count(path, text.count(inner), most + 1)
    if inner == b"{":
        vectors = documents.part(VECTORS, raw, path)
        return np.array([(vector.x, vector.y, vector.z) for vector in vectors]).reshape(-1, 3)
    check_count(path, text.count(b",") + 1, axes * most)
    if axes == 2:
        return _with_height(np.array(documents.part(PAIRS, raw, path), np.float64).reshape(-1, 2))
    return np.array(documents.part(TRIPLES, raw, path), np.float64).reshape(-1, 3)


def _with_height(given: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.pad(given, ((0, 0), (0, 3 - given.shape[1])))


def point(raw: msgspec.Raw, path: str, *, axes: int) -> tuple[float, ...]:
    """One point, as an object or an array of `axes` numbers; raises Invalid naming the path."""
    if bytes(raw)[:1] == b"{":
        vector = documents.part(VECTOR, raw, path)
        return (vector.x, vector.y, vector.z)
    numbers = documents.reals(raw, path, axes)
    if len(numbers) != axes:
        raise wrong(path, f"{len(numbers)!r} numbers", f"expected {axes}")
    return (*numbers.tolist(), *[0.0] * (3 - axes))


class Way(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A link as an export script writes it."""

    start: msgspec.Raw
    end: msgspec.Raw
    cost: float | None = None
    bidirectional: bool = True


def links(ways: list[Way], limits: Limits, *, axes: int) -> tuple[Link, ...]:
    """The links of a file; one without a cost costs its length. Raises Invalid."""
    check_count("links", len(ways), limits.links_max)
    return tuple(
        link(
            f"links[{place}]",
            (point(way.start, f"links[{place}].start", axes=axes), point(way.end, f"links[{place}].end", axes=axes)),
            way.cost,
            not way.bidirectional,
        )
        for place, way in enumerate(ways)
    )


def link(place: str, ends: tuple[tuple[float, ...], tuple[float, ...]], cost: float | None, one_way: bool) -> Link:
    """A link between two points of the world; without a cost it costs its length. Raises Invalid."""
    start, end = (check_point(f"{place}.{name}", point) for name, point in zip(("start", "end"), ends, strict=True))
    if cost is None:
        cost = max(math.dist(start, end), COST_MIN)
    return Link(start, end, check_link_cost(f"{place}.cost", cost), one_way)
