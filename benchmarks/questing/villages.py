"""Worlds drawn from a seed, sound ones by size and small ones that something happened to."""

from __future__ import annotations

import random

import msgspec

from app.world.entities import Fact, Item, Location, Npc, Player
from app.world.state import World

SIZES = {"tiny": (5, 6, 7), "small": (10, 15, 20), "mid": (50, 100, 150)}
"""Places, NPCs, items."""
ARCHETYPES = ("villager", "guard", "merchant", "farmer", "smith", "scholar", "wolf", "bandit")
KINDS = ("herb", "sword", "ring", "ore", "book")


def village(size: str, seed: int) -> World:
    """A connected world of that size, with some locked places, their keys, foes, sellers and secrets."""
    places, npcs, items = SIZES[size]
    chance = random.Random(seed)
    world = World("bench", "vale")
    ids = [f"place{number}" for number in range(places)]
    ways: dict[str, set[str]] = {id: set() for id in ids}
    for number in range(1, places):
        other = ids[chance.randrange(number)]
        ways[ids[number]].add(other)
        ways[other].add(ids[number])
    closed = [id for id in ids[2:] if chance.random() < 0.1]
    for id in ids:
        world.state.locations[id] = Location(id=id, connects=tuple(sorted(ways[id])), open=id not in closed)
    for number in range(npcs):
        kind = chance.choice(ARCHETYPES)
        world.state.npcs[f"npc{number}"] = Npc(
            id=f"npc{number}", archetype=kind, location=chance.choice(ids), level=chance.randint(1, 6)
        )
    for number in range(items):
        holder = chance.choice(ids) if chance.random() < 0.6 else f"npc{chance.randrange(npcs)}"
        opens = {"opens": closed[number]} if number < len(closed) else {}
        world.state.items[f"item{number}"] = Item(
            id=f"item{number}",
            item_kind=chance.choice(KINDS),
            holder=holder,
            value=chance.uniform(0, 50),
            attributes=opens,
        )
    world.state.players["hero"] = Player(id="hero", location=ids[0], level=3)
    return world


def damaged(seed: int) -> World:
    """A tiny world after few or many misfortunes: people died or were taken, things are gone, ways cut, doors shut."""
    world, chance = village("tiny", seed), random.Random(f"damage {seed}")
    harm = chance.choice((0.02, 0.08, 0.2))
    state = world.state
    state.facts["npc1\x1ffears"] = (
        Fact(subject="npc1", predicate="fears", value="the dark", known_by=tuple(chance.sample(sorted(state.npcs), 2))),
    )
    for id, npc in state.npcs.items():
        taken = (*npc.tags, "captive") if chance.random() < harm else npc.tags
        state.npcs[id] = msgspec.structs.replace(npc, alive=chance.random() > harm, tags=taken)
    for id in [id for id in state.items if chance.random() < harm]:
        del state.items[id]
    for id, place in state.locations.items():
        ways = tuple(other for other in place.connects if chance.random() > harm)
        state.locations[id] = msgspec.structs.replace(place, connects=ways, open=place.open and chance.random() > harm)
    return world
