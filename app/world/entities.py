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


class StoredMap(msgspec.Struct, frozen=True, kw_only=True):
    """A map as uploaded: `data` is the zlib-compressed file, `version` counts from 1."""

    name: str
    version: int
    format: str
    sha256: str
    width: int
    height: int
    data: bytes
