"""Worlds for quest tests, built from a seed, and a player who can do only what the rules below allow.

The rules are written against the world's state and know nothing of the module's facts or planner.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from app.core.messages import Change
from app.modules.quests.messages import Step
from app.world.entities import Fact, Item, Location, Npc, Player
from app.world.events import Happened
from app.world.state import World, pair

ARCHETYPES = ("villager", "guard", "merchant", "farmer", "smith", "scholar", "wolf", "bandit")
KINDS = ("herb", "sword", "ring", "ore", "book")


def village(seed: int, *, npcs: int = 15, places: int = 8, items: int = 14, secrets: int = 6) -> World:
    """A connected village with a few locked places, foes, sellers, herbs, teachers and secrets."""
    chance = random.Random(seed)
    world = World("studio", "vale")
    _places(world, chance, places)
    ids = list(world.state.locations)
    for number in range(npcs):
        kind = chance.choice(ARCHETYPES) if number else "villager"
        world.state.npcs[f"npc{number}"] = Npc(
            id=f"npc{number}",
            name=f"Soul{number}q",
            archetype=kind,
            location=chance.choice(ids) if number else ids[0],
            level=chance.randint(1, 6),
            attributes={"teaches": "archery, tracking"} if kind == "guard" else {},
        )
    world.state.players["hero"] = Player(id="hero", name="Ada", location=ids[0], level=3)
    world.state.players["rival"] = Player(id="rival", location=ids[0])
    _items(world, chance, items)
    for number in range(secrets):
        about, knower = chance.choice(list(world.state.npcs)), chance.choice(list(world.state.npcs))
        fact = Fact(subject=about, predicate=f"secret_{number}", value=True, known_by=(knower,))
        world.state.facts[pair(fact.subject, fact.predicate)] = (fact,)
    return world


def _places(world: World, chance: random.Random, places: int) -> None:
    ids = [f"place{number}" for number in range(places)]
    ways: dict[str, set[str]] = {id: set() for id in ids}
    for number in range(1, places):
        other = ids[chance.randrange(number)]
        ways[ids[number]].add(other)
        ways[other].add(ids[number])
    for number, id in enumerate(ids):
        closed = number > 1 and chance.random() < 0.15
        world.state.locations[id] = Location(
            id=id, name=f"Spot{number}q", connects=tuple(sorted(ways[id])), open=not closed
        )


def _items(world: World, chance: random.Random, items: int) -> None:
    closed = [id for id, place in world.state.locations.items() if not place.open]
    for number in range(items):
        holders = list(world.state.locations) if chance.random() < 0.6 else list(world.state.npcs)
        opens = {"opens": closed[number]} if number < len(closed) else {}
        world.state.items[f"item{number}"] = Item(
            id=f"item{number}",
            name=f"Thing{number}q",
            item_kind=chance.choice(KINDS),
            holder=chance.choice(holders),
            value=float(chance.randint(0, 50)),
            attributes=opens,
        )


def troubled(seed: int) -> World:
    """A village where two friends are held captive and two things can be made."""
    world = village(seed)
    chance, state = random.Random(seed), world.state
    free = [id for id in friends(world) if id != "npc0"]
    for id in chance.sample(free, min(2, len(free))):
        state.npcs[id] = msgspec.structs.replace(state.npcs[id], tags=("captive",))
    places = list(state.locations)
    for id, recipe in (("stew", "herb, ore"), ("charm", "ring")):
        made = {"recipe": recipe, "made_at": chance.choice(places)}
        state.items[id] = Item(id=id, name=f"{id.title()}q", item_kind=id, value=10.0, attributes=made)
    return world


def friends(world: World) -> list[str]:
    """The NPCs at large who are no foes by trade."""
    npcs = world.state.npcs.values()
    return [
        npc.id for npc in npcs if npc.archetype not in ("wolf", "bandit") and npc.alive and "captive" not in npc.tags
    ]


class Hero:
    """A player who breaks no rule of the world: each step is checked before its events are given out."""

    def __init__(self, world: World, player: str = "hero") -> None:
        self.world = world
        self.player = player
        self.known: set[str] = set()

    @property
    def place(self) -> str:
        return self.world.state.players[self.player].location

    def do(self, step: Step) -> Sequence[Change]:
        """The events that doing `step` causes; fails when the world does not allow it."""
        event = step.event
        problem = self.problem(event)
        assert problem == "", f"{step.action} {event}: {problem}"
        self.learn(event)
        if event.verb == "crafted":
            parts = self._parts(event)
            return [event, *(Happened(verb="destroyed", actor=self.player, item=part) for part in parts or ())]
        if event.verb != "escorted":
            return [event]
        return [
            Happened(verb="moved", actor=event.target, location=event.location),
            Happened(verb="moved", actor=self.player, location=event.location),
            event,
        ]

    def whims(self) -> list[Happened]:
        """What the player could do on the spot, whether or not any quest asks for it."""
        state, here = self.world.state, self.place
        own = {"actor": self.player}
        around = [npc.id for npc in state.npcs.values() if npc.location == here]
        possible = [Happened(verb="killed", target=npc, **own) for npc in around]
        for item, holder in ((item.id, item.holder) for item in state.items.values()):
            if holder == self.player:
                possible.append(Happened(verb="dropped", item=item, location=here, **own))
                possible.extend(Happened(verb="gave", item=item, target=npc, **own) for npc in around)
            elif holder == here:
                possible.append(Happened(verb="took", item=item, location=here, **own))
            elif holder in around:
                possible.append(Happened(verb="took", item=item, target=holder, **own))
                possible.append(Happened(verb="stole", item=item, target=holder, **own))
                possible.append(Happened(verb="traded", actor=holder, item=item, target=self.player))
        return [event for event in possible if not self.problem(event)]

    def learn(self, event: Happened) -> None:
        """Remember what the player can tell of after `event`."""
        if event.verb == "learned" and event.actor == self.player:
            self.known.add(event.topic)
        if event.verb in ("explored", "defended"):
            self.known.add(f"seen {event.location}")
        if event.verb == "killed":
            self.known.add(f"slain {event.target}")

    def problem(self, event: Happened) -> str:
        """What forbids the event now; empty when nothing does."""
        state = self.world.state
        other = event.target if event.actor == self.player else event.actor
        if other and event.verb != "took":
            npc = state.npcs.get(other)
            if npc is None or not npc.alive or npc.location != self.place:
                return f"{other} is not here alive"
        owned = not event.item or state.items[event.item].holder == self.player
        if event.verb in ("gave", "used", "unlocked") and not owned:
            return "the player does not have it"
        checks = {
            "moved": self._way, "escorted": self._way, "explored": self._here, "defended": self._here,
            "used": self._here, "took": self._takes, "stole": self._from_npc, "traded": self._from_npc,
            "crafted": self._makes, "captured": self._seizes, "rescued": self._frees,
            "unlocked": self._unlocks, "learned": self._learns, "trained": self._trains,
        }  # fmt: skip
        check = checks.get(event.verb)
        return check(event) if check is not None else ""

    def _way(self, event: Happened) -> str:
        places = self.world.state.locations
        seen, queue = {self.place}, [self.place]
        for place in queue:
            for near in places[place].connects:
                if places[near].open and near not in seen:
                    seen.add(near)
                    queue.append(near)
        return "" if event.location in seen else f"no open way to {event.location}"

    def _here(self, event: Happened) -> str:
        return "" if event.location == self.place else f"the player is at {self.place}"

    def _takes(self, event: Happened) -> str:
        holder = self.world.state.items[event.item].holder
        if holder == self.place:
            return ""
        corpse = self.world.state.npcs.get(holder)
        dead_here = corpse is not None and not corpse.alive and corpse.location == self.place
        return "" if dead_here and holder == event.target else f"it is with {holder}"

    def _from_npc(self, event: Happened) -> str:
        npc = event.target if event.verb == "stole" else event.actor
        return "" if self.world.state.items[event.item].holder == npc else f"{npc} does not have it"

    def _parts(self, event: Happened) -> list[str] | None:
        """What of the player's goes into a thing, by its recipe; None when something is missing."""
        items = self.world.state.items
        parts: list[str] = []
        for word in str(items[event.item].attributes.get("recipe", "")).split(","):
            own = [item.id for item in items.values() if item.holder == self.player and item.id not in parts]
            fitting = [id for id in own if word.strip() in (id, items[id].item_kind)]
            if not fitting:
                return None
            parts.append(fitting[0])
        return parts

    def _makes(self, event: Happened) -> str:
        item = self.world.state.items[event.item]
        if item.holder or self._parts(event) is None:
            return "it exists, or what it is made of is missing"
        return "" if item.attributes.get("made_at", self.place) == self.place else "it is made elsewhere"

    def _seizes(self, event: Happened) -> str:
        npc = self.world.state.npcs[event.target]
        return "" if npc.archetype in ("wolf", "bandit") and "captive" not in npc.tags else "no foe at large"

    def _frees(self, event: Happened) -> str:
        return "" if "captive" in self.world.state.npcs[event.target].tags else "nobody holds it"

    def _unlocks(self, event: Happened) -> str:
        place = self.world.state.locations[event.location]
        if place.open or self.world.state.items[event.item].attributes.get("opens") != event.location:
            return "no such lock or key"
        beside = [near for near in place.connects if not self._way(Happened(verb="moved", actor="x", location=near))]
        return "" if beside else "the door is out of reach"

    def _learns(self, event: Happened) -> str:
        if event.actor != self.player:
            return "" if event.topic in self.known else "the player does not know that"
        here = [npc for npc in self.world.state.npcs.values() if npc.location == self.place and npc.alive]
        tellers = [event.target] if event.target else [npc.id for npc in here]
        told = {f"news {npc}" for npc in tellers} | {
            f"{fact.subject} {fact.predicate}"
            for (fact,) in self.world.state.facts.values()
            if set(fact.known_by) & set(tellers)
        }
        return "" if event.topic in told else "nobody here can tell that"

    def _trains(self, event: Happened) -> str:
        taught = str(self.world.state.npcs[event.target].attributes.get("teaches", ""))
        return "" if event.topic in [word.strip() for word in taught.split(",")] else "not taught"
