"""Strategies and their casting: which entities of a world play the roles of a quest.

It proposes; whether the quest can be completed is proved afterwards. Choice is by seeded hash, so the
same seed casts the same entities in any process, whatever order the tables are in.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Literal

import msgspec

from app.core.errors import Broken, nearest
from app.core.ids import stable_hash
from app.modules.quests.planning.domain import Fact, data, own_news, seen_news, slain_news
from app.modules.quests.planning.facts import Hero, View

RoleType = Literal["npc", "item", "place", "topic", "skill"]
RungName = Literal["strategy", "simple", "template"]


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"conditions": "is"}):
    """A part in a quest: its type, and conditions on who may play it."""

    name: str
    type: RoleType
    conditions: tuple[str, ...] = ()


class Strategy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to serve a motive; `needs` are the reserved actions that its plan may use."""

    id: str
    goals: tuple[str, ...]
    roles: tuple[Role, ...]
    motive: str = ""
    needs: tuple[str, ...] = ()
    rung: RungName = "strategy"


class Motive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How likely a motive is, and for whom it is likelier."""

    weight: float
    archetypes: dict[str, float]


class StrategyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    motives: dict[str, Motive]
    strategy: tuple[Strategy, ...]


def load_strategies() -> StrategyFile:
    """Read and check the shipped strategies; raises Broken naming the one at fault."""
    found = msgspec.convert(tomllib.loads(data("strategies.toml").decode()), StrategyFile)
    for strategy in found.strategy:
        if strategy.rung == "strategy" and strategy.motive not in found.motives:
            raise Broken(f"strategy {strategy.id!r} serves no known motive: {strategy.motive!r}")
        for role in strategy.roles:
            for condition in role.conditions:
                word = condition.split()[0]
                if word not in CONDITIONS:
                    raise Broken(f"strategy {strategy.id!r} has a condition {word!r}", hint=nearest(word, CONDITIONS))
    return found


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a casting takes place. `reach` are the places the player can walk to, `taken` entities in use."""

    view: View
    hero: Hero
    giver: str
    seed: int
    reach: Mapping[str, int]
    taken: frozenset[str]

    def place(self, id: str) -> str:
        """Where an NPC, item or location is found; empty when nowhere."""
        view = self.view
        if id in view.npcs:
            return view.place_of(view.npcs[id])
        if id in view.items:
            return self.place(view.items[id].holder)
        return id if id in view.locations else ""

    def near(self, id: str) -> bool:
        """Whether the player can get there, perhaps with a key."""
        place = self.place(id)
        return place in self.reach or place in self.view.keys_of


Cast = Mapping[str, str]
Condition = Callable[[Stage, Cast, str, str], bool]
"""(stage, roles so far, candidate, the condition's own argument) -> whether it may play the part."""


def castings(stage: Stage, strategy: Strategy, *, bindings_max: int, candidates_max: int) -> Iterator[dict[str, str]]:
    """Up to `bindings_max` different casts, in seeded order; each entity plays one part."""
    every = _filled(stage, strategy, {"giver": stage.giver}, strategy.roles, candidates_max)
    return islice(every, bindings_max)


def _filled(
    stage: Stage, strategy: Strategy, cast: dict[str, str], roles: Sequence[Role], candidates_max: int
) -> Iterator[dict[str, str]]:
    if not roles:
        yield cast
        return
    role = roles[0]
    for candidate in _candidates(stage, strategy, cast, role)[:candidates_max]:
        yield from _filled(stage, strategy, {**cast, role.name: candidate}, roles[1:], candidates_max)


def _candidates(stage: Stage, strategy: Strategy, cast: Cast, role: Role) -> list[str]:
    """Who may play `role`, in an order drawn from the seed."""
    tests = [condition.partition(" ") for condition in role.conditions]
    placed = role.type in ("npc", "item", "place")
    own_place = "of_giver" in role.conditions
    fitting = [
        id
        for id in _universe(stage, cast, role)
        if (own_place or (id not in stage.taken and id not in cast.values()))
        and all(CONDITIONS[word](stage, cast, id, argument) for word, _, argument in tests)
        and (not placed or stage.near(id))
    ]
    return sorted(fitting, key=lambda id: (stable_hash(stage.seed, strategy.id, role.name, id), id))


def _universe(stage: Stage, cast: Cast, role: Role) -> Sequence[str]:
    view = stage.view
    match role.type:
        case "npc":
            return tuple(view.npcs)
        case "item":
            return tuple(view.items)
        case "place":
            return tuple(view.locations)
        case "topic":
            return tuple(topic for id in cast.values() for topic in view.told_by.get(id, ()))
        case "skill":
            return tuple(skill for id in cast.values() if id in view.npcs for skill in view.skills_of(view.npcs[id]))


def _friend(stage: Stage, cast: Cast, id: str, argument: str) -> bool:
    npc = stage.view.npcs[id]
    return npc.alive and stage.view.person(npc) and not stage.view.hostile(npc, stage.hero.entity)


def _foe(stage: Stage, cast: Cast, id: str, argument: str) -> bool:
    npc = stage.view.npcs[id]
    return npc.alive and stage.view.hostile(npc, stage.hero.entity) and stage.view.beatable(npc, stage.hero.level)


def _elsewhere(stage: Stage, cast: Cast, id: str, argument: str) -> bool:
    return stage.place(id) != stage.place(stage.giver)


def _lying(stage: Stage, cast: Cast, id: str, argument: str) -> bool:
    item = stage.view.items[id]
    return item.holder in stage.view.locations and "fixed" not in item.tags


def _sold(stage: Stage, cast: Cast, id: str, argument: str) -> bool:
    item = stage.view.items[id]
    seller = stage.view.npcs.get(item.holder)
    if seller is None or seller.id == stage.giver or not seller.alive:
        return False
    return stage.view.sells(seller, item) and _friend(stage, cast, seller.id, "")


def _held_by_foe(stage: Stage, cast: Cast, id: str, argument: str) -> bool:
    holder = stage.view.items[id].holder
    return holder in stage.view.npcs and _foe(stage, cast, holder, "")


def _held_by_other(stage: Stage, cast: Cast, id: str, argument: str) -> bool:
    holder = stage.view.items[id].holder
    return holder in stage.view.npcs and holder != stage.giver and stage.view.npcs[holder].alive


def _obtainable(stage: Stage, cast: Cast, id: str, argument: str) -> bool:
    if stage.view.items[id].holder in cast.values():
        return False
    return _lying(stage, cast, id, "") or _sold(stage, cast, id, "")


def _precious(stage: Stage, cast: Cast, id: str, argument: str) -> bool:
    item = stage.view.items[id]
    return "unique" in item.tags or "luxury" in item.tags or item.value >= stage.view.precious_value


CONDITIONS: Mapping[str, Condition] = MappingProxyType(
    {
        "friend": _friend,
        "foe": _foe,
        "elsewhere": _elsewhere,
        "lying": _lying,
        "sold": _sold,
        "obtainable": _obtainable,
        "held_by_foe": _held_by_foe,
        "held_by_other": _held_by_other,
        "precious": _precious,
        "gatherable": lambda stage, cast, id, _: _lying(stage, cast, id, "") and stage.view.wild(stage.view.items[id]),
        "kin_of": lambda stage, cast, id, role: (
            stage.view.items[id].item_kind == stage.view.items[cast[role]].item_kind
        ),
        "knowing": lambda stage, cast, id, _: id in stage.view.told_by,
        "told_by": lambda stage, cast, id, role: id in stage.view.told_by.get(cast[role], ()),
        "teaching": lambda stage, cast, id, _: bool(stage.view.skills_of(stage.view.npcs[id])),
        "taught_by": lambda stage, cast, id, role: id in stage.view.skills_of(stage.view.npcs[cast[role]]),
        "threatened": lambda stage, cast, id, _: stage.view.threatened(id, stage.hero.entity),
        "locked": lambda stage, cast, id, _: not stage.view.locations[id].open and id in stage.view.keys_of,
        "of_giver": lambda stage, cast, id, _: id == stage.place(stage.giver),
    }
)
"""The closed set of conditions that a role may have."""


def goals_of(strategy: Strategy, cast: Cast) -> tuple[Fact, ...]:
    """A strategy's goals with the cast in place."""
    return tuple(_goal(text, cast) for text in strategy.goals)


def _goal(text: str, cast: Cast) -> Fact:
    deed, *terms = text.split()
    return (deed, *(_term(term, cast) for term in terms))


def _term(term: str, cast: Cast) -> str:
    kind, parted, role = term.rpartition(":")
    if not parted:
        return cast[term]
    topics = {"seen": seen_news, "slain": slain_news, "news": own_news}
    return topics[kind](cast[role])
