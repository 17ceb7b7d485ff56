"""From a view of a world to facts: the planning problem about a few of its entities.

Only what can matter to the goals is compiled. `focus` follows each entity to everything that an action
could need for it (an item's holder, a closed place's keys, a topic's tellers), so leaving out the rest
never hides a plan. Numbers become bands here; walking becomes paths between the places that matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from app.modules.quests.planning.domain import Fact, Schema, knowledge_of, own_news, seen_news, slain_news
from app.modules.quests.planning.grounding import Problem
from app.modules.quests.planning.recipes import crafting, recipe_facts
from app.modules.quests.planning.view import View
from app.world import entities

__all__ = ["Focus", "Hero", "View", "compiled", "focus", "foes", "hero_of", "native"]

WALK_COST = 0.5
"""Effort of passing one place on the way."""
PRICE_COST = 0.02
"""Effort of paying one unit of an item's value."""
LEVEL_COST = 1.0
"""Effort for each level that a foe has, before the player's are taken off."""


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
                if id in view.recipes:
                    queue.extend(view.recipes[id].seeds())
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
    recipes = [view.recipes[id] for id in about.items if id in view.recipes]
    facts.update(dict.fromkeys(recipe_facts(recipes, about.places)))
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
    return Problem(init=tuple(facts), goals=goals, schemas=crafting(schemas, recipes), weights=weights)


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
    facts["captive" if "captive" in npc.tags else "free", id] = None
    if not view.foe_by_nature(npc, hero.entity):
        facts["ally", id] = None
    if view.person(npc):
        if hostile or view.friendly(npc, hero.entity):
            facts["hostile" if hostile else "friendly", id] = None
        facts["tells", id, own_news(id)] = None
    if view.foe_by_nature(npc, hero.entity) and view.beatable(npc, hero.level):
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
        for other, steps in view.walk(place, hero.level).items():
            if other in about.places and other != place:
                facts["path", place, other] = None
                weights["path", place, other] = WALK_COST * steps
