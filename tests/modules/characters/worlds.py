"""Worlds for character tests, built from a seed: places open and closed, factions at odds, people of every sort."""

from __future__ import annotations

import random
from collections.abc import Sequence

from app.core.messages import Change, Event
from app.world import reducers
from app.world.entities import Fact, Faction, Item, Location, Npc, Player
from app.world.state import World, pair

NAMES = (
    "Elm Cottage", "the Copper Lantern", "the Smithy", "North Gate", "Crow Wood", "Market Square", "the Mill",
    "Old Barracks",
    "Weavers' Row", "the Temple", "the Library", "the Docks", "the Stables", "Far Farm", "Bakery", "Spotq",
    "Nookq", "Holeq",
)  # fmt: skip
PEOPLE = ("Oskar Tell", "Yrsa", "Quill Dunmore", "Zeb", "Petronax Vail", "Umber Kool", "Xanthe", "Ivo Brack")


def land(seed: int, *, places: int = 10, people: int = 8) -> World:
    """A land where not everything is open, connected both ways, friendly, or has room."""
    chance = random.Random(seed)
    world = World("studio", "vale")
    state = world.state
    for id, foe in (("crown", "rebels"), ("rebels", "crown"), ("guild", "")):
        state.factions[id] = Faction(id=id, name=f"{id}q", relations={foe: -0.8} if foe else {})
    ids = [f"place{number}" for number in range(places)]
    ways: dict[str, set[str]] = {id: set() for id in ids}
    for number in range(1, places):
        other = ids[chance.randrange(number)]
        ways[ids[number]].add(other)
        if chance.random() < 0.9:
            ways[other].add(ids[number])
    for number, id in enumerate(ids):
        attributes: dict[str, str | float | bool] = {}
        if chance.random() < 0.3:
            attributes["beds"] = float(chance.randint(0, 6))
        if chance.random() < 0.25:
            attributes["faction"] = chance.choice(("crown", "rebels"))
        state.locations[id] = Location(
            id=id,
            name=chance.choice(NAMES) if number else "Elm Cottage",
            connects=tuple(sorted(ways[id])),
            open=number == 0 or chance.random() < 0.8,
            attributes=attributes,
        )
    state.players["hero"] = Player(id="hero", name="Robin", location=ids[0])
    _people(world, chance, ids, people)
    return world


def _people(world: World, chance: random.Random, ids: Sequence[str], people: int) -> None:
    state = world.state
    for number in range(people):
        place = chance.choice(ids)
        state.npcs[f"npc{number}"] = Npc(
            id=f"npc{number}",
            name=PEOPLE[number % len(PEOPLE)] if number < len(PEOPLE) else f"Folk{number}q",
            archetype=chance.choice(("villager", "guard", "innkeeper", "captain", "merchant", "wolf", "child")),
            faction=chance.choice(("", "", "crown", "rebels")),
            home=place,
            work=chance.choice(ids),
            location=place,
            alive=chance.random() < 0.85,
            attributes={"age": float(chance.randint(5, 80))} if chance.random() < 0.6 else {},
        )
    state.items["mug"] = Item(id="mug", name="Mugq", holder=ids[0])
    for number in range(6):
        subject = chance.choice([*ids, "hero"])
        known = tuple(sorted({f"npc{chance.randrange(people)}", chance.choice(("crown", "npc0", "hero"))}))
        fact = Fact(subject=subject, predicate=f"rumor_{number}", value=f"truth {number}", known_by=known)
        state.facts[pair(subject, fact.predicate)] = (fact,)
    one, other = "npc0", f"npc{people - 1}"
    for subject, value in ((one, other), (other, one)):
        state.facts[pair(subject, "rival")] = (Fact(subject=subject, predicate="rival", value=value),)


def apply(world: World, changes: Sequence[Change]) -> None:
    """Commit changes as the journal does, without one."""
    for change in changes:
        reducers.check(world, change)
        event = Event(seq=world.state.seq + 1, id="e", wall_ms=0, game_s=world.state.game_s, change=change)
        reducers.apply(world.state, event)
