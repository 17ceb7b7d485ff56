"""Eight worlds as files: three villages, two towers, two of islands, and a city of a hundred places."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from app.core.messages import Change, Event
from app.world.entities import Fact, Faction, Item, Location, Npc, Player
from app.world.events import EntityUpserted, FactAsserted
from app.world.reducers import apply, check
from app.world.state import World

FOLDER = Path(__file__).parent
NAMES = (
    "alder_vale",
    "salt_harbor",
    "high_pasture",
    "watchtower",
    "mage_tower",
    "three_isles",
    "drowned_reach",
    "city",
)


class Sheet(msgspec.Struct, forbid_unknown_fields=True):
    """A world as its file is written.

    `roads` are pairs of places joined both ways, `one_way` pairs joined from the first to the second. A row of an
    entity begins with its name; an NPC's goes on with archetype and place, an item's with kind, holder and value, and
    either may end with a table of further fields.
    """

    title: str
    start: str
    level: int
    roads: list[str]
    places: dict[str, list[Any]]
    npcs: dict[str, list[Any]]
    items: dict[str, list[Any]]
    one_way: list[str] = []
    factions: dict[str, dict[str, float]] = {}
    faction: str = ""
    facts: list[dict[str, Any]] = []


def load(name: str, *, tenant: str = "test") -> World:
    """The world of that file, made by events as a game server would, with one player, `hero`."""
    sheet = msgspec.convert(tomllib.loads((FOLDER / f"{name}.toml").read_text()), Sheet)
    world = World(tenant, name)
    for change in changes(sheet):
        check(world, change)
        seq = world.state.seq + 1
        apply(world.state, Event(seq=seq, id=f"e{seq}", wall_ms=0, game_s=0.0, change=change))
    return world


def changes(sheet: Sheet) -> list[Change]:
    """Everything that makes the world, in an order in which each thing finds what it names."""
    ways: dict[str, list[str]] = {id: [] for id in sheet.places}
    for pair in sheet.roads:
        one, other = pair.split()
        ways[one].append(other)
        ways[other].append(one)
    for pair in sheet.one_way:
        one, other = pair.split()
        ways[one].append(other)
    entities = [
        *(Faction(id=id, name=id.replace("_", " ").title(), relations=felt) for id, felt in sheet.factions.items()),
        *(Location(id=id, connects=tuple(ways[id]), **_fields(row, "name")) for id, row in sheet.places.items()),
        *(Npc(id=id, **_fields(row, "name", "archetype", "location")) for id, row in sheet.npcs.items()),
        Player(id="hero", name="Robin", location=sheet.start, level=sheet.level, faction=sheet.faction),
        *(Item(id=id, **_fields(row, "name", "item_kind", "holder", "value")) for id, row in sheet.items.items()),
    ]
    asserted = [FactAsserted(fact=msgspec.convert(row, Fact)) for row in sheet.facts]
    return [*(EntityUpserted(entity=entity) for entity in entities), *asserted]


def _fields(row: list[Any], *names: str) -> dict[str, Any]:
    more = row[-1] if isinstance(row[-1], dict) else {}
    return dict(zip(names, row, strict=False)) | {
        key: tuple(v) if isinstance(v, list) else v for key, v in more.items()
    }
