"""Quests for the bot to ask for: of all scopes, credits and shares, made by the server or written by hand."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from app.world.events import Happened
from app.world.state import World
from tests.modules.quests.villages import Hero

CREDITS = ("all_present", "contributors", "leader")
SHARES = ("each", "split", "one")
SCOPES = ("solo", "party", "guild", "server")


def shared(chance: random.Random, scope: str, guild: str) -> dict[str, Any]:
    """How a quest of that scope is shared."""
    if scope == "solo":
        return {}
    how = {"scope": scope, "members_max": 4, "credit": chance.choice(CREDITS), "share": chance.choice(SHARES)}
    return how | ({"guild": guild} if scope == "guild" else {})


def draft(world: World, hero: Hero, giver: str, chance: random.Random, how: dict[str, Any]) -> dict[str, Any]:
    """A quest as an author would write it, with every loss declared; whether the world allows it the server proves."""
    spots = [
        id
        for id in world.state.locations
        if id != hero.place and not hero.problem(Happened(verb="moved", actor=hero.player, location=id))
    ]
    spots = spots or [hero.place]
    chance.shuffle(spots)
    kinds: list[Callable[..., dict[str, Any]]] = [_ways, _gathering, _hunt, _errand]
    body = chance.choice(kinds)(world, spots, giver, chance)
    steps = [*body["steps"], *(step for way in body.get("branches", ()) for step in way["steps"])]
    kind_of = {step.get("kind", "") for step in steps} - {""}
    named = {step.get(role, "") for step in steps for role in ("target", "item", "location")} - {""}
    of_kind = [id for id, npc in world.state.npcs.items() if npc.archetype in kind_of]
    of_kind += [id for id, item in world.state.items.items() if item.item_kind in kind_of]
    lost = sorted({giver, *named, *of_kind})[:64]
    failures = [{"entity": id, "text": f"Without {id} it cannot be done."} for id in lost]
    title = f"Work for {giver} {chance.randrange(10**9)}"
    return {"title": title, "giver": giver, "player": hero.player, "failures": failures, **body, **how}


def _ways(_world: World, spots: list[str], giver: str, _chance: random.Random) -> dict[str, Any]:
    """See a place, each on their own, and then one of two others."""
    first, *others = spots[:3]
    ways = [{"id": f"to_{id}", "steps": [{"id": f"see_{id}", "action": "explore", "location": id}]} for id in others]
    return {"steps": [{"id": "see", "action": "explore", "location": first, "each": True}], "branches": ways}


def _gathering(world: World, spots: list[str], giver: str, chance: random.Random) -> dict[str, Any]:
    lying = [item.item_kind for item in world.state.items.values() if item.holder in spots]
    several = sorted({kind for kind in lying if kind and lying.count(kind) > 1})
    if not several:
        return _errand(world, spots, giver, chance)
    return {"steps": [{"id": "get", "action": "take", "kind": chance.choice(several), "count": 2}]}


def _hunt(world: World, _spots: list[str], giver: str, chance: random.Random) -> dict[str, Any]:
    foes = [npc.archetype for npc in world.state.npcs.values() if npc.alive and npc.archetype in ("wolf", "bandit")]
    if not foes:
        return _ways(world, _spots, giver, chance)
    kind = chance.choice(foes)
    return {"steps": [{"id": "hunt", "action": "kill", "kind": kind, "count": min(2, foes.count(kind))}]}


def _errand(world: World, spots: list[str], giver: str, chance: random.Random) -> dict[str, Any]:
    """Bring something that lies about to the giver, perhaps by way of a place."""
    lying = sorted(item.id for item in world.state.items.values() if item.holder in spots)
    if not lying:
        return _ways(world, spots, giver, chance)
    item = chance.choice(lying)
    return {"steps": [{"id": "get", "action": "take", "item": item},
                      {"id": "bring", "action": "give", "item": item, "target": giver, "after": ["get"]}]}  # fmt: skip
