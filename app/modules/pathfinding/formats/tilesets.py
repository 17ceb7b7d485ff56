"""Tiled's tilesets: what the properties of a tile say about the cells that it covers.

It knows `collision`, `cost` and `terrain`, and tile numbers (gids); it does not know layers.
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.modules.pathfinding.formats import documents
from app.modules.pathfinding.formats.limits import (
    BLOCKED_TERRAIN,
    GROUND,
    TERRAINS_MAX,
    check_cost,
    check_count,
    check_name,
    wrong,
)
from app.modules.pathfinding.surfaces import BLOCKED, Terrain

T = TypeVar("T")

GIDS_MAX = 1_048_576
"""Tiles of all tilesets together: each takes a row of the tables below."""

EMPTY = msgspec.Raw(b"")
Place = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]


class Property(msgspec.Struct, frozen=True):
    """A custom property; what its value must be depends on its name."""

    name: str
    value: msgspec.Raw = EMPTY


class Shapes(msgspec.Struct, frozen=True):
    """The collision shapes that Tiled's editor draws on a tile."""

    objects: list[msgspec.Raw] = []


class Tile(msgspec.Struct, frozen=True):
    """A tile that has properties or shapes; Tiled leaves out the others."""

    id: Annotated[int, msgspec.Meta(ge=0, lt=2**28)]
    properties: list[Property] = []
    objectgroup: Shapes | None = None


class Tileset(msgspec.Struct, frozen=True):
    """A tileset inside a map; `source` stands in place of all else when it is a file of its own."""

    firstgid: Annotated[int, msgspec.Meta(ge=1, lt=2**28)]
    source: str = ""
    tilecount: Annotated[int, msgspec.Meta(ge=0, lt=2**28)] = 0
    tiles: list[Tile] = []


class Tiles(NamedTuple):
    """Tables by gid, (gids,) each; gid 0 is no tile."""

    known: NDArray[np.bool_]
    collides: NDArray[np.bool_]
    cost: NDArray[np.float32]
    """NaN where the tile says neither cost nor terrain."""
    terrain: NDArray[np.uint8]
    """0 where the tile does not say; else its place in the terrains."""
    terrains: tuple[Terrain, ...]


FLAG = msgspec.json.Decoder(bool)
NUMBER = msgspec.json.Decoder(float)
TEXT = msgspec.json.Decoder(str)
INTEGER = msgspec.json.Decoder(Place)


def value(properties: list[Property], name: str, decoder: msgspec.json.Decoder[T], path: str) -> T | None:
    """The value of a property, None where there is none of that name; raises Invalid when it is of another type."""
    for place, each in enumerate(properties):
        if each.name == name:
            return documents.part(decoder, each.value, f"{path}.properties[{place}].value")
    return None


def tiles(sets: list[Tileset]) -> Tiles:
    """The tables of a map's tilesets; raises Invalid naming the path of what is wrong."""
    for place, each in enumerate(sets):
        if each.source:
            what = f"the tileset is the file {each.source[:80]!r}"
            raise wrong(f"tilesets[{place}].source", what, "embed it: in Tiled's tileset panel, or on export")
    last = [each.firstgid + max(each.tilecount, 1 + max((tile.id for tile in each.tiles), default=-1)) for each in sets]
    size = max(last, default=1)
    check_count("the tiles of tilesets", size, GIDS_MAX)
    terrains = {BLOCKED_TERRAIN.name: (BLOCKED, BLOCKED_TERRAIN), GROUND.name: (1, GROUND)}
    table = Tiles(
        np.zeros(size, bool), np.zeros(size, bool), np.full(size, np.nan, np.float32), np.zeros(size, np.uint8), ()
    )
    table.known[0] = True
    for place, each in enumerate(sets):
        table.known[each.firstgid : last[place]] = True
        for number, tile in enumerate(each.tiles):
            _say(table, each.firstgid + tile.id, tile, terrains, f"tilesets[{place}].tiles[{number}]")
    return table._replace(terrains=tuple(terrain for _, terrain in terrains.values()))


def _say(table: Tiles, gid: int, tile: Tile, terrains: dict[str, tuple[int, Terrain]], path: str) -> None:
    """Write down what one tile says."""
    collision = value(tile.properties, "collision", FLAG, path)
    shaped = tile.objectgroup is not None and len(tile.objectgroup.objects) > 0
    table.collides[gid] = shaped if collision is None else collision
    cost = value(tile.properties, "cost", NUMBER, path)
    name = value(tile.properties, "terrain", TEXT, path)
    if cost is not None:
        check_cost(f"{path}, property cost", cost)
    if name == BLOCKED_TERRAIN.name:
        table.collides[gid] = True
    elif name:
        check_name(f"{path}, property terrain", name)
        number, first = terrains.setdefault(name, (len(terrains), Terrain(name, 1.0 if cost is None else cost)))
        check_count("the terrains of tilesets", len(terrains) - 1, TERRAINS_MAX)
        table.terrain[gid] = number
        cost = first.cost if cost is None else cost
    table.cost[gid] = math.nan if cost is None else cost
