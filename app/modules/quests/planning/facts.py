"""From a world to facts: a frozen view of the state, and the planning problem about a few of its entities.

Only what can matter to the goals is compiled. `focus` follows each entity to everything that an action
could need for it (an item's holder, a closed place's keys, a topic's tellers), so leaving out the rest
never hides a plan. Numbers become bands here; walking becomes paths between the places that matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import msgspec

from app.modules.quests.planning.domain import Fact, Schema, knowledge_of, own_news, seen_news, slain_news
from app.modules.quests.planning.grounding import Problem
from app.modules.quests.settings import Settings
from app.world import entities
from app.world.state import State

MERCHANTS = frozenset({"merchant", "trader", "shopkeeper", "peddler", "innkeeper", "smith", "blacksmith", "baker"})
MONSTERS = frozenset({"monster", "beast", "predator", "bandit", "wolf", "undead", "raider", "outlaw"})
BEASTS = frozenset({"beast", "predator", "prey", "animal", "wolf", "deer", "livestock"})
"""Those with whom nobody can speak or deal."""
WILD = frozenset({"wild", "resource", "gatherable", "plant", "herb", "ore", "wood"})
WALK_COST = 0.5
"""Effort of passing one place on the way."""
PRICE_COST = 0.02
"""Effort of paying one unit of an item's value."""
TOPIC_LENGTH_MAX = 200
"""Characters of a topic, as events allow."""
LEVEL_COST = 1.0
"""Effort for each level that a foe has, before the player's are taken off."""


class View:
    """A world at one moment. Derived tables are built when first asked for, and hold for that moment only."""

    def __init__(self, state: State, settings: Settings) -> None:
        self.seq = state.seq
        self.game_s = state.game_s
        self.settings = settings
        self.npcs = state.npcs
        self.players = state.players
        self.items = state.items
        self.locations = state.locations
        self.factions = state.factions
        self.facts = state.facts
        self.relations = state.relations

    @classmethod
    def snapshot(cls, state: State, settings: Settings) -> View:
        """A view that a worker thread may read while the world goes on; entities never change, tables do."""
        view = cls(state, settings)
        view.npcs = dict(state.npcs)
        view.players = dict(state.players)
        view.items = dict(state.items)
        view.locations = dict(state.locations)
        view.factions = dict(state.factions)
        view.facts = dict(state.facts)
        view.relations = dict(state.relations)
        return view

    def place_of(self, npc: entities.Npc) -> str:
        """Where an NPC is to be found: its location, else its work, else its home, if that is a known place."""
        for place in (npc.location, npc.work, npc.home):
            if place in self.locations:
                return place
        return ""

    def entity(self, id: str) -> entities.AnyEntity | None:
        """The entity of any kind with that id, or None."""
        return (
            self.npcs.get(id)
            or self.players.get(id)
            or self.items.get(id)
            or self.locations.get(id)
            or self.factions.get(id)
        )

    def name(self, id: str) -> str:
        """What people call it: its name, or its id made readable."""
        entity = self.entity(id)
        return (entity.name if entity is not None else "") or id.replace("_", " ").replace("-", " ")

    def opinion(self, faction: str, other: str) -> float:
        """How a faction sees another, in [-1, 1]."""
        known = self.factions.get(faction)
        return known.relations.get(other, 0.0) if known is not None else 0.0

    def hostile(self, npc: entities.Npc, player: entities.Player | None) -> bool:
        """Whether an NPC is a foe: a monster by nature, or of a faction at odds with the player's."""
        if npc.archetype in MONSTERS or "hostile" in npc.tags:
            return True
        worst = self.settings.hostile_relation_max
        mine = player.faction if player is not None else ""
        return bool(mine and npc.faction) and (
            self.opinion(npc.faction, mine) <= worst or self.opinion(mine, npc.faction) <= worst
        )

    def person(self, npc: entities.Npc) -> bool:
        """Whether an NPC can be spoken to."""
        return npc.archetype not in BEASTS and "beast" not in npc.tags

    def beatable(self, npc: entities.Npc, level: int) -> bool:
        """Whether a player of that level can win against it and the game lets it die."""
        return "essential" not in npc.tags and npc.level <= level + self.settings.foe_levels_above_max

    def sells(self, npc: entities.Npc, item: entities.Item) -> bool:
        """Whether an NPC parts with an item for coin."""
        if item.holder != npc.id or "bound" in item.tags:
            return False
        return npc.archetype in MERCHANTS or "merchant" in npc.tags or "tradeable" in item.tags

    def wild(self, item: entities.Item) -> bool:
        """Whether an item grows or lies about for anyone to gather."""
        return item.item_kind in WILD or not WILD.isdisjoint(item.tags)

    @cached_property
    def _current(self) -> tuple[entities.Fact, ...]:
        newest = (history[-1] for history in self.facts.values())
        now = self.game_s
        return tuple(fact for fact in newest if fact.from_s <= now and (fact.until_s is None or now < fact.until_s))

    @cached_property
    def tellers(self) -> Mapping[str, tuple[str, ...]]:
        """Topic -> the NPCs who can tell it, from facts that only some know."""
        told: dict[str, dict[str, None]] = {}
        for fact in self._current:
            topic = f"{fact.subject} {fact.predicate}"
            if fact.known_by and len(topic) <= TOPIC_LENGTH_MAX:
                told.setdefault(topic, {}).update(dict.fromkeys(self._knowers(fact)))
        return {topic: tuple(npcs) for topic, npcs in told.items() if npcs}

    def _knowers(self, fact: entities.Fact) -> list[str]:
        known = set(fact.known_by)
        direct = [id for id in fact.known_by if id in self.npcs]
        factions = known & self.factions.keys()
        return direct + [id for id, npc in self.npcs.items() if npc.faction in factions] if factions else direct

    @cached_property
    def told_by(self) -> Mapping[str, tuple[str, ...]]:
        """NPC -> the topics that it can tell."""
        told: dict[str, list[str]] = {}
        for topic, npcs in self.tellers.items():
            for npc in npcs:
                told.setdefault(npc, []).append(topic)
        return {npc: tuple(topics) for npc, topics in told.items()}

    @cached_property
    def keys_of(self) -> Mapping[str, tuple[str, ...]]:
        """Closed place -> the items that open it: an item's `opens` attribute, or a `locked_by` fact."""
        keys: dict[str, list[str]] = {}
        for item in self.items.values():
            opened = item.attributes.get("opens")
            if isinstance(opened, str) and opened in self.locations and not self.locations[opened].open:
                keys.setdefault(opened, []).append(item.id)
        for fact in self._current:
            if fact.predicate == "locked_by" and fact.value in self.items and fact.subject in self.locations:
                keys.setdefault(fact.subject, []).append(str(fact.value))
        return {place: tuple(dict.fromkeys(items)) for place, items in keys.items()}

    @cached_property
    def present(self) -> Mapping[str, tuple[entities.Npc, ...]]:
        """Place -> the living NPCs found there."""
        found: dict[str, list[entities.Npc]] = {}
        for npc in self.npcs.values():
            if npc.alive:
                found.setdefault(self.place_of(npc), []).append(npc)
        return {place: tuple(npcs) for place, npcs in found.items()}

    @cached_property
    def precious_value(self) -> float:
        """The value from which an item counts as precious: that of the upper quarter, and more than nothing."""
        values = sorted(item.value for item in self.items.values() if item.value > 0.0)
        return values[3 * len(values) // 4] if values else math.inf

    def threatened(self, place: str, player: entities.Player | None) -> bool:
        """Whether a foe stands in a place or one step away, or the game says so."""
        location = self.locations[place]
        if location.attributes.get("threatened") is True or "threatened" in location.tags:
            return True
        near = (place, *location.connects)
        return any(self.hostile(npc, player) for spot in near for npc in self.present.get(spot, ()))

    def skills_of(self, npc: entities.Npc) -> tuple[str, ...]:
        """What an NPC teaches: its `teaches` attribute, words parted by commas."""
        taught = npc.attributes.get("teaches")
        return tuple(word.strip() for word in taught.split(",") if word.strip()) if isinstance(taught, str) else ()

    def walk(self, start: str) -> dict[str, int]:
        """Places reachable from `start` through open ones, with the number of steps; closed ones end a way."""
        steps = {start: 0}
        queue = [start]
        for place in queue:
            if place != start and not self.locations[place].open:
                continue
            for near in self.locations[place].connects:
                if near in self.locations and near not in steps:
                    steps[near] = steps[place] + 1
                    queue.append(near)
        return steps


class Hero(msgspec.Struct, frozen=True):
    """The player as a problem sees it; an id of "" is a newcomer whom no world knows yet."""

    id: str
    place: str
    level: int
    entity: entities.Player | None = None


def hero_of(view: View, player: str, giver: str, level: int = 0) -> Hero:
    """The player where it is, or before the giver when the world does not say where."""
    entity = view.players.get(player)
    host = view.npcs.get(giver)
    there = entity.location if entity is not None and entity.location in view.locations else ""
    place = there or (view.place_of(host) if host is not None else "")
    return Hero(id=player, place=place, level=max(1, entity.level if entity is not None else level), entity=entity)


@dataclass(slots=True)
class Focus:
    """The entities and topics that a problem speaks of, in the order in which they were met."""

    npcs: dict[str, None]
    items: dict[str, None]
    places: dict[str, None]
    topics: dict[str, None]

    def size(self) -> int:
        return len(self.npcs) + len(self.items) + len(self.places) + len(self.topics)


def focus(view: View, hero: Hero, seeds: Iterable[str]) -> Focus:
    """Everything that an action could need for the seeds (ids or topics), by closure.

    Closed places that only bar a way are not followed: name those with keys (`view.keys_of`) as seeds too.
    """
    found = Focus({}, {}, {}, {})
    queue = [hero.place, *seeds]
    for id in queue:
        if id in view.locations:
            if id not in found.places:
                found.places[id] = None
                queue.extend(() if view.locations[id].open else view.keys_of.get(id, ()))
        elif id in view.items:
            if id not in found.items:
                found.items[id] = None
                queue.append(view.items[id].holder)
        elif id in view.npcs:
            if id not in found.npcs:
                found.npcs[id] = None
                queue.append(view.place_of(view.npcs[id]))
        elif not native(view, id) and id in view.tellers and id not in found.topics:
            found.topics[id] = None
            queue.extend(view.tellers[id])
    return found


def native(view: View, topic: str) -> bool:
    """Whether a topic is one of those that the domain itself makes: a place seen, a foe slain, someone's news."""
    kind, _, about = topic.partition(" ")
    return kind in ("seen", "slain", "news") and view.entity(about) is not None


def compiled(
    view: View,
    hero: Hero,
    *,
    about: Focus,
    schemas: tuple[Schema, ...],
    goals: tuple[Fact, ...],
    given: tuple[Fact, ...] = (),
) -> Problem:
    """The problem of reaching `goals`; `given` are facts no world keeps: deeds done, what an author vouches for."""
    facts: dict[Fact, None] = {}
    weights: dict[Fact, float] = {}
    if hero.place:
        facts["here", hero.place] = None
    for id in about.npcs:
        _npc_facts(view, hero, id, facts, weights)
    for id in about.items:
        _item_facts(view, hero, id, facts, weights)
    _place_facts(view, hero, about, facts, weights)
    if any(goal[0] in ("defended", "step") for goal in goals):
        facts.update(
            dict.fromkeys(("threatened", place) for place in about.places if view.threatened(place, hero.entity))
        )
    for topic in about.topics:
        facts.update(dict.fromkeys(("tells", npc, topic) for npc in view.tellers[topic]))
    for fact in given:
        facts.update(dict.fromkeys((fact, *knowledge_of(fact))))
    return Problem(init=tuple(facts), goals=goals, schemas=schemas, weights=weights)


def foes(view: View, ids: Iterable[str], level: int) -> tuple[Fact, ...]:
    """Facts by which those named may be fought although the world does not call them hostile.

    An author, or a quest that was made before a faction changed its mind, names them as foes.
    """
    beatable = [id for id in ids if id in view.npcs and view.beatable(view.npcs[id], level)]
    return tuple(fact for id in beatable for fact in (("killable", id), ("tidings", id, slain_news(id))))


def _npc_facts(view: View, hero: Hero, id: str, facts: dict[Fact, None], weights: dict[Fact, float]) -> None:
    npc = view.npcs[id]
    place = view.place_of(npc)
    if place:
        facts["at", id, place] = None
    facts["alive" if npc.alive else "dead", id] = None
    hostile = view.hostile(npc, hero.entity)
    if view.person(npc):
        facts["hostile" if hostile else "friendly", id] = None
        facts["tells", id, own_news(id)] = None
    if hostile and view.beatable(npc, hero.level):
        facts["killable", id] = None
        facts["tidings", id, slain_news(id)] = None
        weights["killable", id] = LEVEL_COST * max(0, npc.level - hero.level)
    for skill in view.skills_of(npc):
        facts["teaches", id, skill] = None


def _item_facts(view: View, hero: Hero, id: str, facts: dict[Fact, None], weights: dict[Fact, float]) -> None:
    item = view.items[id]
    if item.holder in view.npcs:
        facts["holds", item.holder, id] = None
        if view.sells(view.npcs[item.holder], item):
            facts["sells", item.holder, id] = None
            weights["sells", item.holder, id] = PRICE_COST * max(0.0, item.value)
    elif item.holder in view.locations:
        facts["lies", id, item.holder] = None
    elif hero.id and item.holder == hero.id:
        facts["has", id] = None
    if view.wild(item):
        facts["wild", id] = None


def _place_facts(view: View, hero: Hero, about: Focus, facts: dict[Fact, None], weights: dict[Fact, float]) -> None:
    for place in about.places:
        facts["open" if view.locations[place].open else "closed", place] = None
        facts["tidings", place, seen_news(place)] = None
        if not view.locations[place].open:
            facts.update(dict.fromkeys(("opens", key, place) for key in view.keys_of.get(place, ())))
        for other, steps in view.walk(place).items():
            if other in about.places and other != place:
                facts["path", place, other] = None
                weights["path", place, other] = WALK_COST * steps
