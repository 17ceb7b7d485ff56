"""The entities of a world; ids are the game server's own strings.

Plain values without behavior: reducers change a state by replacing them.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Text = Annotated[str, msgspec.Meta(max_length=2_000)]
Name = Annotated[str, msgspec.Meta(max_length=200)]
Whole = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
"""A number that every encoding of the log can hold."""
Offset = Annotated[int, msgspec.Meta(ge=-4_096, le=4_096)]
Value = str | float | bool
Kind = Literal["npc", "player", "item", "location", "faction"]


class Entity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Anything with an id; `attributes` are the game's own named values."""

    id: Id
    name: Name = ""
    tags: tuple[Name, ...] = ()
    attributes: dict[str, Value] = {}


class Persona(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who an NPC is when it speaks."""

    summary: Text = ""
    voice: Text = ""
    traits: tuple[Name, ...] = ()
    goals: tuple[Text, ...] = ()
    lines: dict[str, tuple[Text, ...]] = {}
    """Authored lines by intent, such as `greet` or `goodbye`."""
    language: Name = "en"


class Npc(Entity, frozen=True, kw_only=True, tag="npc", tag_field="type"):
    """A character that Innkeeper minds. `home` and `work` are location ids."""

    archetype: Name = "villager"
    faction: str = ""
    location: str = ""
    home: str = ""
    work: str = ""
    alive: bool = True
    level: Whole = 1
    persona: Persona = Persona()


class Player(Entity, frozen=True, kw_only=True, tag="player", tag_field="type"):
    """A human's character."""

    faction: str = ""
    location: str = ""
    alive: bool = True
    level: Whole = 1


class Item(Entity, frozen=True, kw_only=True, tag="item", tag_field="type"):
    """One thing; `holder` is the id of the NPC, player or location that has it."""

    item_kind: Name = ""
    holder: str = ""
    value: float = 0.0


class Location(Entity, frozen=True, kw_only=True, tag="location", tag_field="type"):
    """A named place; `x`, `y` are map cells, `connects` the locations one step away."""

    map: str = ""
    x: float = 0.0
    y: float = 0.0
    connects: tuple[str, ...] = ()
    open: bool = True


class Faction(Entity, frozen=True, kw_only=True, tag="faction", tag_field="type"):
    """A group; `relations` to other factions lie in [-1, 1]."""

    relations: dict[str, float] = {}


AnyEntity = Npc | Player | Item | Location | Faction


class Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something the game server asserted; true from `from_s` until `until_s` in game seconds.

    `known_by` empty means public; otherwise ids of NPCs, players or factions that may know it.
    """

    subject: Id
    predicate: Id
    value: Value
    from_s: float = 0.0
    until_s: float | None = None
    known_by: tuple[str, ...] = ()


class Circle(msgspec.Struct, frozen=True, kw_only=True, tag="circle", tag_field="type", forbid_unknown_fields=True):
    """Round, in cells of a grid or units of a navmesh; it blocks every cell that it overlaps."""

    radius: Annotated[float, msgspec.Meta(gt=0, le=1_024)]


class Box(msgspec.Struct, frozen=True, kw_only=True, tag="box", tag_field="type", forbid_unknown_fields=True):
    """Upright, in cells or units; the obstacle's place is its corner of least x and y."""

    width: Annotated[float, msgspec.Meta(gt=0, le=4_096)]
    height: Annotated[float, msgspec.Meta(gt=0, le=4_096)]


class CellSet(msgspec.Struct, frozen=True, kw_only=True, tag="cells", tag_field="type", forbid_unknown_fields=True):
    """Cells of a grid, as (columns, rows) away from the obstacle's place."""

    cells: Annotated[tuple[tuple[Offset, Offset], ...], msgspec.Meta(min_length=1, max_length=4_096)]


class Obstacle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that stands on a map for a while: a crate, a cart, a door, a fallen bridge.

    Cell (x, y) covers [x, x + 1) by [y, y + 1). With `clears` its cells can be walked on although the
    map blocks them; with `closed` false it stands open and changes nothing. Where one blocks and another
    clears, the cell is blocked.
    """

    id: Id
    shape: Circle | Box | CellSet
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    """Used on a navmesh only."""
    closed: bool = True
    clears: bool = False


Formation = Literal["line", "wedge", "column", "circle", "box"]


class Squad(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """NPCs that act together, and what they all know. An NPC is in one squad at most.

    `members` are in the order in which they take places; `leader` is one of them, or empty. `roles` say what a
    member is for (`tank`, `flank`, `support` or a word of the game), `focus` names whom all attack, and `board`
    holds what they all know, in the game's own words.
    """

    id: Id
    members: tuple[Id, ...]
    leader: str = ""
    formation: Formation = "line"
    spacing_cells: float = 2.0
    roles: dict[str, Name] = {}
    focus: str = ""
    board: dict[str, Value] = {}


class StoredMap(msgspec.Struct, frozen=True, kw_only=True):
    """A map as uploaded: `data` is the zlib-compressed file, `version` counts from 1."""

    name: str
    version: int
    format: str
    sha256: str
    width: int
    height: int
    data: bytes
    options: bytes = b""
    """What the uploader asked for besides, in the pathfinding module's own msgpack."""
