"""Tiled's JSON map (`.tmj`): floors of stacked tile layers, and links between cells.

It knows the map, its layers and objects; tilesets.py knows what tiles say, cells.py how their numbers
are packed. Layout: https://doc.mapeditor.org/en/stable/reference/json-map-format/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

import msgspec

from app.modules.pathfinding.formats import documents
from app.modules.pathfinding.formats.cells import Area, Chunk, Stored, fill
from app.modules.pathfinding.formats.floors import combined
from app.modules.pathfinding.formats.limits import Limits, check_count, check_size, grid_link, wrong
from app.modules.pathfinding.formats.tilesets import FLAG, INTEGER, NUMBER, Property, Tileset, tiles, value
from app.modules.pathfinding.surfaces import Link, Surface

GROUPS_MAX = 16
"""Groups within groups."""

TILE_LAYERS_MAX = 64
"""Tile layers of one map."""

STACKED_MAX = 8
"""Tiles of all layers together, in maps of the greatest size: unpacking takes a moment for each."""

EMPTY = msgspec.Raw(b"")
Pixels = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
Side = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class Thing(msgspec.Struct, frozen=True):
    """An object of an object layer; up to Tiled 1.8 and from 1.10 on its class is called `type`."""

    id: int
    x: Pixels
    y: Pixels
    width: Pixels = 0.0
    height: Pixels = 0.0
    gid: int = 0
    type: str = ""
    class_: str = msgspec.field(default="", name="class")
    properties: list[Property] = []


class Layer(msgspec.Struct, frozen=True):
    """A layer of any type; groups hold others."""

    type: Literal["tilelayer", "objectgroup", "imagelayer", "group"]
    name: str = ""
    width: Side = 0
    height: Side = 0
    data: msgspec.Raw = EMPTY
    chunks: list[Chunk] | None = None
    encoding: str = "csv"
    compression: str = ""
    objects: list[Thing] = []
    layers: list[Layer] = []
    properties: list[Property] = []


class Map(msgspec.Struct, frozen=True):
    """The file; what it has beside these fields is for drawing."""

    orientation: str
    width: Side
    height: Side
    tilewidth: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    tileheight: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    layers: list[Layer]
    tilesets: list[Tileset]
    infinite: bool = False
    properties: list[Property] = []


DECODER = msgspec.json.Decoder(Map)


class Placed(NamedTuple):
    """A layer with its path in the file, and the floor and collision that it, or a group around it, names."""

    layer: Layer
    path: str
    floor: int
    collision: bool | None


def read(data: bytes, limits: Limits) -> Surface:
    """The map as a grid, a layer for each floor in the order of their numbers.

    A cell that no tile of its floor covers is blocked, unless the map's property `empty_passable` is true.
    Cell (0, 0) of an infinite map is the upper left corner of its leftmost and topmost chunks.
    Raises Invalid naming the JSON path, or the line and column of malformed JSON.
    """
    file = documents.decode(DECODER, data)
    if file.orientation != "orthogonal":
        raise wrong("orientation", f"{file.orientation!r}", "only orthogonal maps are grids of squares")
    placed = list(_placed(file.layers, "layers", (0, None), 1))
    drawn = [each for each in placed if each.layer.type == "tilelayer"]
    if not drawn:
        raise wrong("layers", "no tile layer", "expected at least one")
    check_count("its tile layers", len(drawn), TILE_LAYERS_MAX)
    area = _area(file, drawn)
    floors = sorted({each.floor for each in drawn})
    check_size(area.height, area.width, limits, layers=len(floors))
    covered = len(drawn) * area.height * area.width
    check_count("the tiles of all layers", covered, STACKED_MAX * limits.map_cells_max)
    known = tiles(file.tilesets)
    empty = value(file.properties, "empty_passable", FLAG, "its top")
    surface = combined([_cells(drawn, floor, area) for floor in floors], known, area, empty_passable=empty is True)
    links = _links(file, placed, floors, area)
    check_count("links", len(links), limits.links_max)
    return surface._replace(links=tuple(grid_link(path, surface.terrain, link) for path, link in links))


def _placed(layers: list[Layer], path: str, around: tuple[int, bool | None], depth: int) -> Iterator[Placed]:
    """All layers that are no groups, bottom first; `around` are the floor and collision of their group."""
    if depth > GROUPS_MAX:
        raise wrong(path, "groups within groups", f"expected at most {GROUPS_MAX}")
    for place, layer in enumerate(layers):
        here = f"{path}[{place}]"
        floor = value(layer.properties, "floor", INTEGER, here)
        collision = value(layer.properties, "collision", FLAG, here)
        own = around[0] if floor is None else floor, around[1] if collision is None else collision
        if layer.type == "group":
            yield from _placed(layer.layers, f"{here}.layers", own, depth + 1)
        else:
            yield Placed(layer, here, *own)


def _area(file: Map, drawn: list[Placed]) -> Area:
    """What the map covers; the chunks of an infinite one reach as far as they do."""
    if not file.infinite:
        return Area(0, 0, file.width, file.height)
    chunks = [chunk for each in drawn for chunk in each.layer.chunks or ()]
    if not chunks:
        raise wrong("layers", "an infinite map without a tile", "draw something, or turn off Infinite")
    left, top = min(chunk.x for chunk in chunks), min(chunk.y for chunk in chunks)
    right, bottom = max(chunk.x + chunk.width for chunk in chunks), max(chunk.y + chunk.height for chunk in chunks)
    return Area(left, top, right - left, bottom - top)


def _cells(drawn: list[Placed], floor: int, area: Area) -> Iterator[tuple[Stored, bool | None]]:
    """The tile numbers of a floor's layers, bottom first, and what each layer says of collision."""
    for layer, path, own, collision in drawn:
        if own == floor:
            packed = (layer.encoding, layer.compression)
            chunks = layer.chunks
            if chunks is None:
                chunks = [Chunk(x=area.x, y=area.y, width=layer.width, height=layer.height, data=layer.data)]
                paths = [f"{path}.data"]
            else:
                paths = [f"{path}.chunks[{place}].data" for place in range(len(chunks))]
            yield Stored(fill(chunks, paths, packed, area), path, tuple(chunks), tuple(paths)), collision


def _links(file: Map, placed: list[Placed], floors: list[int], area: Area) -> list[tuple[str, Link]]:
    """The objects of class `link`, from their own cell to that of their target, each with its path."""
    ends: dict[int, tuple[float, float]] = {}
    links: list[tuple[str, Thing]] = []
    for layer, path, floor, _ in placed:
        for place, thing in enumerate(layer.objects):
            here = f"{path}.objects[{place}]"
            is_link = "link" in (thing.type, thing.class_)
            if floor in floors:
                ends[thing.id] = _cell(file, thing, floors.index(floor), area)
            elif is_link:
                raise wrong(here, f"it is on floor {floor!r}, which has no tiles", f"floors are {floors}")
            if is_link:
                links.append((here, thing))
    return [(path, _link(thing, path, ends)) for path, thing in links]


def _cell(file: Map, thing: Thing, layer: int, area: Area) -> tuple[float, float]:
    """The cell under the middle of an object; tile objects stand on their y, others hang from it."""
    x = (thing.x + thing.width / 2.0) // file.tilewidth - area.x
    y = (thing.y + thing.height / (-2.0 if thing.gid else 2.0)) // file.tileheight - area.y
    if not (0 <= x < area.width and 0 <= y < area.height):
        return x, -1.0  # outside: refused when a link ends here
    return x, y + layer * (area.height + 1)


def _link(thing: Thing, path: str, ends: dict[int, tuple[float, float]]) -> Link:
    target = value(thing.properties, "target", INTEGER, path)
    if target is None:
        raise wrong(path, "a link without a target", "add a property target of type object")
    if target not in ends:
        raise wrong(path, f"no object {target!r}", "its target is the id of another object of this map")
    cost = value(thing.properties, "cost", NUMBER, path)
    one_way = value(thing.properties, "one_way", FLAG, path)
    return Link(ends[thing.id], ends[target], 1.0 if cost is None else cost, one_way is True)
