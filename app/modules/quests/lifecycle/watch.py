"""What a quest still needs of the world, fact by fact, so that an event is known to be harmless without any planning.

The needs are the preconditions of the plan's rest that no earlier action of it brings about. A fact is looked up in
the world's own tables; whether a broken need has a cure is asked in `repair.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

from app.core.messages import Change
from app.modules.quests.lifecycle.credit import takers
from app.modules.quests.lifecycle.reroute import rest_of
from app.modules.quests.planning.domain import Fact, Vocabulary, ground
from app.modules.quests.planning.facts import View, foes
from app.modules.quests.quest import Quest
from app.world.entities import Faction, Item, Location, Npc, Player
from app.world.events import EntityRemoved, EntityUpserted, FactAsserted, Happened
from app.world.state import pair

DISTURBING = frozenset(
    {
        "took",
        "gave",
        "dropped",
        "traded",
        "killed",
        "died",
        "destroyed",
        "stole",
        "crafted",
        "unlocked",
        "captured",
        "rescued",
    }
)
"""Verbs that can take something away that a quest still needs. People walking about cannot."""


def disturbed_by(change: Change) -> tuple[str, ...]:
    """The entities and topics whose quests may be touched by `change`; empty for nearly all events."""
    match change:
        case Happened() if change.verb in DISTURBING:
            return tuple(id for id in (change.item, change.target, change.actor, change.location) if id)
        case EntityRemoved():
            return (change.id,)
        case EntityUpserted(entity=Npc() | Item() | Location() | Faction() as entity):
            return (entity.id,)
        case FactAsserted(fact=fact):
            return f"{fact.subject} {fact.predicate}", fact.subject
        case _:
            return ()


def around(view: View, change: Change) -> tuple[str, ...]:
    """The places that are safer where someone was slain or taken: its own and those one step away."""
    if not isinstance(change, Happened) or change.verb not in ("killed", "died", "captured"):
        return ()
    npc = view.npcs.get(change.actor if change.verb == "died" else change.target)
    place = view.place_of(npc) if npc is not None else ""
    return (place, *view.locations[place].connects) if place else ()


def ways_touched(change: Change) -> bool:
    """Whether the change may open or bar a way, which no single entity of a plan tells."""
    match change:
        case EntityUpserted(entity=Location()) | EntityRemoved(entity_kind="location"):
            return True
        case Happened(verb="unlocked"):
            return True
        case _:
            return False


def needs_of(quest: Quest, vocabulary: Vocabulary) -> tuple[Fact, ...]:
    """The facts that the rest of the plan takes for granted, each once, in the order in which it does."""
    brought: set[Fact] = set()
    needed: dict[Fact, None] = {}
    for name, *args in rest_of(quest, vocabulary):
        schema = vocabulary.schemas.get(name)
        if schema is None or len(args) < len(schema.params):
            continue
        parts = (("has", part) for part in args[len(schema.params) :])  # what a recipe puts in
        taken = (*(ground(pattern, args) for pattern in schema.pre), *parts)
        needed.update(dict.fromkeys(fact for fact in taken if fact not in brought))
        brought -= {ground(pattern, args) for pattern in schema.delete}
        brought |= {ground(pattern, args) for pattern in schema.add}
    return tuple(needed)


def broken(
    needs: Sequence[Fact], quest: Quest, view: View, *, about: Collection[str], ways: bool = False
) -> tuple[Fact, ...]:
    """The needs about these entities or topics that do not hold any more; with `ways`, all that speak of ways too."""
    scene = _Scene(view, quest)
    looked_at = (fact for fact in needs if (ways and fact[0] in _WAYS) or any(term in about for term in fact[1:]))
    return tuple(fact for fact in looked_at if fact[0] in _HOLDS and not _HOLDS[fact[0]](scene, *fact[1:]))


def hurt(needs: Sequence[Fact], quest: Quest, view: View, change: Change) -> bool:
    """Whether what the event was done to is now missing: a need about it is broken, or its declared loss came true."""
    if not isinstance(change, Happened):
        return False
    about = {change.target, change.item} - {""}
    declared = (failure.fact for failure in quest.certificate.failures)
    lost = any(is_over(fact, quest, view) for fact in declared if not about.isdisjoint(fact[1:]))
    return lost or bool(broken(needs, quest, view, about=about))


def lacks(needs: Sequence[Fact], quest: Quest, view: View) -> tuple[Fact, ...]:
    """All needs that do not hold any more."""
    scene = _Scene(view, quest)
    return tuple(fact for fact in needs if fact[0] in _HOLDS and not _HOLDS[fact[0]](scene, *fact[1:]))


def is_over(fact: Fact, quest: Quest, view: View) -> bool:
    """Whether someone who was to live is dead, what was to exist is gone, or what was to be open is closed."""
    return fact[0] in _LASTING and not _LASTING[fact[0]](_Scene(view, quest), fact[1])


_WAYS = frozenset({"here", "path", "open", "closed"})
"""Predicates that a place which opens or closes may change, wherever it lies."""


class _Scene:
    """A world as one quest sees it: who takes part, and who of them is looked at for what an NPC thinks of players."""

    def __init__(self, view: View, quest: Quest) -> None:
        self.view = view
        self.members = takers(quest)
        self.level = max((player.level for player in self.players()), default=max(1, quest.level))

    def players(self) -> list[Player]:
        return [self.view.players[id] for id in self.members if id in self.view.players]

    def player(self) -> Player | None:
        """Whom an NPC has to do with: the first of the members who is there."""
        return next(iter(self.players()), None)

    def alive(self, id: str) -> bool:
        return id in self.view.npcs and self.view.npcs[id].alive

    def dead(self, id: str) -> bool:
        return id in self.view.npcs and not self.view.npcs[id].alive

    def held(self, item: str, holder: str) -> bool:
        return item in self.view.items and self.view.items[item].holder == holder

    def exists(self, id: str) -> bool:
        """Whether it is there, and not in the hands of a player who takes no part."""
        item = self.view.items.get(id)
        if item is None:
            return self.view.entity(id) is not None
        return item.holder not in self.view.players or item.holder in self.members

    def has(self, item: str) -> bool:
        return item in self.view.items and self.view.items[item].holder in self.members

    def sells(self, npc: str, item: str) -> bool:
        view = self.view
        return npc in view.npcs and item in view.items and view.sells(view.npcs[npc], view.items[item])

    def open(self, place: str) -> bool:
        return place in self.view.locations and self.view.locations[place].open

    def threatened(self, place: str) -> bool:
        return place in self.view.locations and self.view.threatened(place, self.player())

    def opens(self, item: str, place: str) -> bool:
        """Whether that item is still a key; where a fact names it, the fact is older than the key."""
        found = self.view.items.get(item)
        return found is not None and found.attributes.get("opens", place) == place

    def here(self, place: str) -> bool:
        """Whether one can still walk to where the rest of the plan begins, from wherever the player is now."""
        player = self.player()
        return player is None or player.location not in self.view.locations or self.path(player.location, place)

    def path(self, start: str, end: str) -> bool:
        """Whether one can still walk there; a shut door at the end bars nothing, since the way is to the door."""
        return start in self.view.locations and end in self.view.walk(start, self.level)

    def hostile(self, npc: str) -> bool:
        return npc in self.view.npcs and self.view.hostile(self.view.npcs[npc], self.player())

    def ally(self, npc: str) -> bool:
        return npc in self.view.npcs and not self.view.foe_by_nature(self.view.npcs[npc], self.player())

    def friendly(self, npc: str) -> bool:
        return npc in self.view.npcs and self.view.friendly(self.view.npcs[npc], self.player())

    def captive(self, npc: str) -> bool:
        return npc in self.view.npcs and "captive" in self.view.npcs[npc].tags

    def free(self, npc: str) -> bool:
        return npc in self.view.npcs and not self.captive(npc)

    def killable(self, npc: str) -> bool:
        return bool(foes(self.view, (npc,), self.level))

    def wild(self, item: str) -> bool:
        return item in self.view.items and self.view.wild(self.view.items[item])

    def teaches(self, npc: str, skill: str) -> bool:
        return npc in self.view.npcs and skill in self.view.skills_of(self.view.npcs[npc])

    def told(self, npc: str, topic: str) -> bool:
        """Whether someone can still tell it; of topics that no world keeps a fact of, whether that one is there."""
        person = self.view.npcs.get(npc)
        if person is None:
            return False
        parts = [(topic[:at], topic[at + 1 :]) for at, letter in enumerate(topic) if letter == " "]
        known = [self.view.facts[key][-1] for key in (pair(*part) for part in parts) if key in self.view.facts]
        return not known or any(npc in fact.known_by or person.faction in fact.known_by for fact in known)


_HOLDS: Mapping[str, Callable[..., bool]] = MappingProxyType(
    {
        "alive": _Scene.alive, "dead": _Scene.dead, "free": _Scene.free, "captive": _Scene.captive,
        "hostile": _Scene.hostile, "friendly": _Scene.friendly, "ally": _Scene.ally, "killable": _Scene.killable,
        "teaches": _Scene.teaches, "tells": _Scene.told, "has": _Scene.has, "lies": _Scene.held,
        "holds": lambda scene, npc, item: scene.held(item, npc), "unmade": lambda scene, item: scene.held(item, ""),
        "sells": _Scene.sells, "wild": _Scene.wild, "opens": _Scene.opens, "open": _Scene.open,
        "closed": lambda scene, place: not scene.open(place), "here": _Scene.here, "path": _Scene.path,
        "threatened": _Scene.threatened,
    }
)  # fmt: skip
"""Predicates that a world's tables answer at once. `at` is left out: people may go where they like, and a way is looked
for again from wherever they are."""

_LASTING: Mapping[str, Callable[..., bool]] = MappingProxyType(
    {"alive": _Scene.alive, "exists": _Scene.exists, "open": _Scene.open}
)
"""Predicates that are true until a misfortune ends them, whatever a plan asks for."""
