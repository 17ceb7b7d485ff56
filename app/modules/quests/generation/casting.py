"""Casting: which entities of a world play the parts of a plot.

It proposes; whether the quest can be completed is proved afterwards. Choice is by seeded hash, so the same seed
casts the same entities in any process. Likelier are those who can be replaced, who are new to the player, and who
are of its level; whoever plays a part in another live quest is left alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from app.core.ids import stable_hash
from app.modules.quests.generation.balance import price
from app.modules.quests.generation.history import Memory
from app.modules.quests.generation.strategies import GIVER, Plot, Role, StrategyFile
from app.modules.quests.generation.strategies import load_strategies as _load
from app.modules.quests.planning.facts import Hero, View
from app.world.entities import Npc

STAND_INS_MAX = 3
"""Stand-ins that make an entity likelier to be cast; more make no difference."""
GUARDED_WORDS = frozenset({"of_giver"})
"""Conditions whose entity may be in use elsewhere: everyone shares the giver's place."""


def load_strategies() -> StrategyFile:
    """The shipped strategies, with every condition known; raises Broken naming the one at fault."""
    return _load(CONDITIONS.keys() | BONDS.keys())


@dataclass
class Stage:
    """Where a casting takes place.

    `level` is the quest's, `budget` a typical reward of it in coins; `reach` are the places the player can come to,
    `taken` entities in use, `spared` those who must come to no harm, `memory` what the player did lately.
    """

    view: View
    hero: Hero
    giver: str
    seed: int
    level: int
    budget: float
    reach: frozenset[str]
    taken: frozenset[str]
    memory: Memory
    spared: frozenset[str] = frozenset()
    _pools: dict[tuple[str, ...], list[str]] = field(default_factory=dict)

    def place(self, id: str) -> str:
        """Where an NPC, item or location is found; empty when nowhere."""
        view = self.view
        if id in view.npcs:
            return view.place_of(view.npcs[id])
        if id in view.items:
            recipe = view.recipes.get(id)
            return self.place(recipe.place or self.hero.place if recipe else view.items[id].holder)
        return id if id in view.locations else ""

    def near(self, id: str) -> bool:
        """Whether the player can get there, perhaps with a key."""
        return self.place(id) in self.reach

    def pool(self, role: Role) -> list[str]:
        """Who meets those conditions of a role that do not depend on the rest of the cast."""
        words = tuple(word for word in role.conditions if word in CONDITIONS)
        key = (role.type, *words)
        if key not in self._pools:
            tests = [CONDITIONS[word] for word in words]
            shared = not GUARDED_WORDS.isdisjoint(words)
            every = _universe(self.view, role.type)
            free = every if shared else [id for id in every if id not in self.taken and not self._done_with(id)]
            self._pools[key] = [id for id in free if all(test(self, id) for test in tests) and self.near(id)]
        return self._pools[key]

    def _done_with(self, id: str) -> bool:
        """Whether the player was paid for handing it over, so that it cannot go round and be paid for again."""
        return id in self.memory.handed and id in self.view.items and not self.view.respawns(self.view.items[id])

    def stand_ins(self, id: str) -> int:
        """How many others can take its part over when it is lost; what cannot be lost has as many as count."""
        view = self.view
        if id in view.items:
            kind = view.common_kind(view.items[id])
            return min(STAND_INS_MAX, self._kinds.get(kind, 1) - 1) if kind else 0
        npc = view.npcs.get(id)
        if npc is None or "essential" in npc.tags or view.respawns(npc) or npc.attributes.get("heir") in view.npcs:
            return STAND_INS_MAX
        return min(STAND_INS_MAX, self._sides.get(self._side(npc), 1) - 1) if npc.faction else 0

    @cached_property
    def replaceable(self) -> bool:
        """Whether anything at all here has stand-ins."""
        return any(count > 1 for table in (self._kinds, self._sides) for count in table.values())

    @cached_property
    def _kinds(self) -> dict[str, int]:
        kinds = (self.view.common_kind(item) for item in self.view.items.values())
        return Counter(kind for kind in kinds if kind)

    @cached_property
    def _sides(self) -> dict[tuple[str, bool, bool], int]:
        return Counter(self._side(npc) for npc in self.view.npcs.values() if npc.alive and npc.faction)

    def _side(self, npc: Npc) -> tuple[str, bool, bool]:
        return npc.faction, self.view.hostile(npc, self.hero.entity), self.view.person(npc)

    def liking(self, id: str) -> float:
        """How gladly `id` is cast: more with stand-ins, less when it was in the last quests or is off the level."""
        view = self.view
        weight = self.memory.part(id) * (1 + self.stand_ins(id))
        if id in view.items and view.items[id].holder in view.npcs:
            return weight / (1.0 + price(view.items[id], view.settings) / self.budget)
        if id in view.npcs and view.hostile(view.npcs[id], self.hero.entity):
            return weight / (1 + abs(view.npcs[id].level - self.level))
        return weight

    def captive_of(self, faction: str) -> Iterator[str]:
        """The members of a faction that are held captive."""
        npcs = self.view.npcs.values()
        return (npc.id for npc in npcs if npc.faction == faction and npc.alive and "captive" in npc.tags)


def reach_of(view: View, hero: Hero) -> frozenset[str]:
    """The places the player can come to without harming anyone: through open ones, and with keys found on the way."""
    reached: set[str] = set()
    queue = [hero.place] if hero.place else []
    barred: dict[str, None] = {}
    while queue:
        for place in queue:
            reached.add(place)
            for near in view.locations[place].connects:
                if near in view.locations and near not in reached and view.admits(near, hero.level):
                    barred[near] = None
        queue = [place for place in barred if place not in reached and _opened(view, hero, place, reached)]
    return frozenset(reached)


def _opened(view: View, hero: Hero, place: str, reached: set[str]) -> bool:
    """Whether a place is open, or one of its keys lies, is sold or is had where the player has been."""
    if view.locations[place].open:
        return True
    for key in view.keys_of.get(place, ()):
        item = view.items[key]
        seller = view.npcs.get(item.holder)
        if item.holder in reached or item.holder == hero.id:
            return True
        if seller is not None and seller.alive and view.sells(seller, item) and view.place_of(seller) in reached:
            return True
    return False


Cast = Mapping[str, str]
Condition = Callable[[Stage, str], bool]
"""(stage, candidate) -> whether it may play the part."""
Bond = Callable[[Stage, Cast, str, str], bool]
"""(stage, roles so far, candidate, the condition's own argument) -> whether it may play the part beside them."""


def castings(
    stage: Stage, plot: Plot, *, bindings_max: int, candidates_max: int, kept: Cast | None = None
) -> Iterator[dict[str, str]]:
    """Up to `bindings_max` different casts, in seeded order; each entity plays one part.

    Roles named in `kept` are played by whom it says, where they still fit. At most `candidates_max` entities are
    looked at for each cast, so that a plot that nobody fits is left soon.
    """
    seen: list[dict[str, str]] = []
    for number in range(bindings_max):
        search = _Search(stage, plot, number, candidates_max, kept or {})
        cast = search.filled({GIVER: stage.giver}, plot.roles)
        if cast is None:
            return
        if cast not in seen:
            seen.append(cast)
            yield cast


@dataclass
class _Search:
    """One depth-first casting; `left` is how many more entities it looks at."""

    stage: Stage
    plot: Plot
    number: int
    left: int
    kept: Cast

    def filled(self, cast: dict[str, str], roles: Sequence[Role]) -> dict[str, str] | None:
        if not roles:
            return cast
        role = roles[0]
        for candidate in self._candidates(cast, role):
            if self.left <= 0:
                return None
            self.left -= 1
            full = self.filled({**cast, role.name: candidate}, roles[1:])
            if full is not None:
                return full
        return None

    def _candidates(self, cast: Cast, role: Role) -> list[str]:
        """Who may play `role` beside `cast`, in an order drawn from the seed."""
        stage = self.stage
        bonds = [(BONDS[word], term) for word, _, term in map(_parted, role.conditions) if word in BONDS]
        used = () if "of_giver" in role.conditions else cast.values()
        pool = stage.pool(role) if role.type in PLACED else _words(stage, cast, role.type)
        fitting = [id for id in pool if id not in used and all(bond(stage, cast, id, term) for bond, term in bonds)]
        if self.kept.get(role.name) in fitting:
            return [self.kept[role.name]]
        salt = stable_hash(stage.seed, self.plot.strategy.id, role.name, self.number)
        return sorted(fitting, key=lambda id: (turn(stable_hash(salt, id), stage.liking(id)), id))


PLACED = frozenset({"npc", "item", "place"})
"""Types of roles that entities play."""


def turn(drawn: int, weight: float) -> float:
    """A key whose ascending order is a weighted draw without repeats (Efraimidis and Spirakis 2006)."""
    uniform = (drawn + 1) / float(1 << 63)
    return -math.log(min(uniform, 1.0 - 1e-12)) / max(weight, 1e-9)


def _parted(condition: str) -> tuple[str, str, str]:
    return condition.partition(" ")


def _universe(view: View, type: str) -> Sequence[str]:
    match type:
        case "npc":
            return tuple(view.npcs)
        case "item":
            return tuple(view.items)
        case _:
            return tuple(view.locations)


def _words(stage: Stage, cast: Cast, type: str) -> tuple[str, ...]:
    """The topics that the cast can tell, or the skills that it teaches."""
    view = stage.view
    if type == "topic":
        return tuple(dict.fromkeys(topic for id in cast.values() for topic in view.told_by.get(id, ())))
    npcs = (view.npcs[id] for id in cast.values() if id in view.npcs)
    return tuple(dict.fromkeys(skill for npc in npcs for skill in view.skills_of(npc)))


def _friend(stage: Stage, id: str) -> bool:
    npc = stage.view.npcs[id]
    return npc.alive and "captive" not in npc.tags and stage.view.friendly(npc, stage.hero.entity)


def _foe(stage: Stage, id: str) -> bool:
    npc = stage.view.npcs[id]
    return npc.alive and stage.view.hostile(npc, stage.hero.entity) and stage.view.beatable(npc, stage.hero.level)


def _captive(stage: Stage, id: str) -> bool:
    npc = stage.view.npcs[id]
    return npc.alive and "captive" in npc.tags and not stage.view.foe_by_nature(npc, stage.hero.entity)


def _lying(stage: Stage, id: str) -> bool:
    item = stage.view.items[id]
    return item.holder in stage.view.locations and "fixed" not in item.tags


def _sold(stage: Stage, id: str) -> bool:
    view = stage.view
    item = view.items[id]
    seller = view.npcs.get(item.holder)
    if seller is None or seller.id == stage.giver or not seller.alive:
        return False
    return view.sells(seller, item) and _friend(stage, seller.id)


def _held_by_foe(stage: Stage, id: str) -> bool:
    holder = stage.view.items[id].holder
    return holder in stage.view.npcs and _foe(stage, holder)


def _held_by_other(stage: Stage, id: str) -> bool:
    holder = stage.view.items[id].holder
    return holder in stage.view.npcs and holder != stage.giver and stage.view.npcs[holder].alive


def _precious(stage: Stage, id: str) -> bool:
    item = stage.view.items[id]
    return "unique" in item.tags or "luxury" in item.tags or item.value >= stage.view.precious_value


CONDITIONS: Mapping[str, Condition] = MappingProxyType(
    {
        "friend": _friend,
        "foe": _foe,
        "captive": _captive,
        "talking": lambda stage, id: stage.view.friendly(stage.view.npcs[id], stage.hero.entity),
        "elsewhere": lambda stage, id: stage.place(id) != stage.place(stage.giver),
        "lying": _lying,
        "sold": _sold,
        "obtainable": lambda stage, id: _lying(stage, id) or _sold(stage, id),
        "held_by_foe": _held_by_foe,
        "held_by_other": _held_by_other,
        "craftable": lambda stage, id: id in stage.view.recipes,
        "precious": _precious,
        "gatherable": lambda stage, id: _lying(stage, id) and stage.view.wild(stage.view.items[id]),
        "knowing": lambda stage, id: id in stage.view.told_by,
        "teaching": lambda stage, id: bool(stage.view.skills_of(stage.view.npcs[id])),
        "threatened": lambda stage, id: stage.view.threatened(id, stage.hero.entity),
        "locked": lambda stage, id: not stage.view.locations[id].open and id in stage.view.keys_of,
        "of_giver": lambda stage, id: id == stage.place(stage.giver),
    }
)
"""Conditions that a role may have by itself."""

BONDS: Mapping[str, Bond] = MappingProxyType(
    {
        "obtainable": lambda stage, cast, id, _: stage.view.items[id].holder not in cast.values(),
        "kin_of": lambda stage, cast, id, role: (
            stage.view.items[id].item_kind == stage.view.items[cast[role]].item_kind
        ),
        "holding": lambda stage, cast, id, role: stage.view.items[cast[role]].holder == id,
        "place_of": lambda stage, cast, id, role: stage.place(cast[role]) == id,
        "told_by": lambda stage, cast, id, role: id in stage.view.told_by.get(cast[role], ()),
        "telling": lambda stage, cast, id, role: id in stage.view.tellers.get(cast[role], ()),
        "taught_by": lambda stage, cast, id, role: id in stage.view.skills_of(stage.view.npcs[cast[role]]),
    }
)
"""Conditions that tie a role to one cast before it. With `CONDITIONS` the closed set of what a role may have."""
