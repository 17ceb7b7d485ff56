"""A world at one moment, as quests see it: who deals, who fights, what lies where, which ways are open.

It reads entities and knows no planning; derived tables are built when first asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

from app.modules.quests.planning.recipes import Recipe, recipes_of, words_of
from app.modules.quests.settings import Settings
from app.world import entities
from app.world.state import State, pair

MERCHANTS = frozenset({"merchant", "trader", "shopkeeper", "peddler", "innkeeper", "smith", "blacksmith", "baker"})
MONSTERS = frozenset({"monster", "beast", "predator", "bandit", "wolf", "undead", "raider", "outlaw"})
BEASTS = frozenset({"beast", "predator", "prey", "animal", "wolf", "deer", "livestock"})
"""Those with whom nobody can speak or deal."""
WILD = frozenset({"wild", "resource", "gatherable", "plant", "herb", "ore", "wood"})
TOPIC_LENGTH_MAX = 200
"""Characters of a topic, as events allow."""


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
        """Whether an NPC is a foe at large: a monster by nature, or of a faction at odds with the player's."""
        return "captive" not in npc.tags and self.foe_by_nature(npc, player)

    def foe_by_nature(self, npc: entities.Npc, player: entities.Player | None) -> bool:
        """Whether it would be a foe if it were free."""
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

    def friendly(self, npc: entities.Npc, player: entities.Player | None) -> bool:
        """Whether an NPC deals with the player: no foe, no beast, and liked as much as its `deals_from` asks for."""
        least = npc.attributes.get("deals_from")
        if not self.person(npc) or self.foe_by_nature(npc, player):
            return False
        if not isinstance(least, int | float) or isinstance(least, bool):
            return True
        return player is not None and self.relations.get(pair(npc.id, player.id), 0.0) >= least

    def respawns(self, entity: entities.Npc | entities.Item) -> bool:
        """Whether it comes back by itself: a `respawn_s`, and for an NPC no tag `permadeath`."""
        after = entity.attributes.get("respawn_s")
        timed = isinstance(after, int | float) and not isinstance(after, bool) and after > 0
        return timed and "permadeath" not in entity.tags and "unique" not in entity.tags

    def admits(self, place: str, level: int) -> bool:
        """Whether a player of that level may enter: the place's `level_min`."""
        least = self.locations[place].attributes.get("level_min")
        return not isinstance(least, int | float) or level >= least

    def named_in(self, npc: entities.Npc, attribute: str, item: entities.Item) -> bool:
        """Whether the NPC's `wants` or `offers`, words parted by commas, name the item or its kind."""
        named = words_of(npc.attributes.get(attribute))
        return item.id in named or item.item_kind in named

    def beatable(self, npc: entities.Npc, level: int) -> bool:
        """Whether a player of that level can win against it and the game lets it die."""
        return "essential" not in npc.tags and npc.level <= level + self.settings.foe_levels_above_max

    def sells(self, npc: entities.Npc, item: entities.Item) -> bool:
        """Whether an NPC parts with an item for coin."""
        return item.holder == npc.id and self.would_sell(npc, item)

    def would_sell(self, npc: entities.Npc, item: entities.Item) -> bool:
        """Whether an NPC would part with an item for coin if it had it."""
        if "bound" in item.tags:
            return False
        return self.deals(npc) or "tradeable" in item.tags or self.named_in(npc, "offers", item)

    def deals(self, npc: entities.Npc) -> bool:
        """Whether an NPC sells whatever it has."""
        return npc.archetype in MERCHANTS or "merchant" in npc.tags

    def common_kind(self, item: entities.Item) -> str:
        """The kind whose items may stand in for it: only for things gathered, which are as good as each other."""
        return item.item_kind if "unique" not in item.tags and self.wild(item) else ""

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
        if self.said_threatened(place):
            return True
        return bool(self.foes_near(place, player))

    def foes_near(self, place: str, player: entities.Player | None) -> tuple[str, ...]:
        """The foes at large who stand in a place or one step away."""
        near = dict.fromkeys((place, *self.locations[place].connects))
        return tuple(npc.id for spot in near for npc in self.present.get(spot, ()) if self.hostile(npc, player))

    def said_threatened(self, place: str) -> bool:
        """Whether the game says so, whoever stands there."""
        location = self.locations[place]
        return location.attributes.get("threatened") is True or "threatened" in location.tags

    @cached_property
    def renewing_kinds(self) -> frozenset[str]:
        """Kinds of which some item comes back by itself."""
        return frozenset(item.item_kind for item in self.items.values() if item.item_kind and self.respawns(item))

    def skills_of(self, npc: entities.Npc) -> tuple[str, ...]:
        """What an NPC teaches: its `teaches` attribute, words parted by commas."""
        return words_of(npc.attributes.get("teaches"))

    @cached_property
    def recipes(self) -> Mapping[str, Recipe]:
        """Item that does not exist yet -> what it is made of."""
        return recipes_of(self.items, self.locations)

    @cached_property
    def _walks(self) -> dict[tuple[str, int | None, str], dict[str, int]]:
        return {}

    def walk(self, start: str, level: int | None = None, closed: str = "") -> Mapping[str, int]:
        """Places reachable from `start` through open ones, with the number of steps; closed ones end a way.

        With a level, places that admit only higher ones are left out; `closed` counts as closed too.
        """
        key = start, level, closed
        if key not in self._walks:
            self._walks[key] = self._walked(start, level, closed)
        return self._walks[key]

    @cached_property
    def _returning(self) -> dict[str, frozenset[str]]:
        return {}

    def traps(self, start: str, level: int) -> tuple[str, ...]:
        """Places that the player can walk to from `start` and not back from."""
        if start not in self._returning:
            ways: dict[str, list[str]] = {}
            for location in self.locations.values():
                for near in location.connects:
                    ways.setdefault(near, []).append(location.id)
            back, queue = {start}, [start]
            for place in queue:
                fresh = [near for near in ways.get(place, ()) if near not in back and self.locations[place].open]
                back.update(fresh)
                queue.extend(fresh)
            self._returning[start] = frozenset(back)
        returning = self._returning[start]
        reach = self.walk(start, level)
        return tuple(place for place in reach if place not in returning and self.locations[place].open)

    def _walked(self, start: str, level: int | None, closed: str) -> dict[str, int]:
        steps = {start: 0}
        queue = [start]
        for place in queue:
            if place != start and (place == closed or not self.locations[place].open):
                continue
            for near in self.locations[place].connects:
                if near in self.locations and near not in steps and (level is None or self.admits(near, level)):
                    steps[near] = steps[place] + 1
                    queue.append(near)
        return steps
