"""A second opinion on certificates: plays a plan through the world by rules of its own.

It shares no code with the quests module: it reads a quest as plain JSON and a world's entities, and holds the rules of
the game as the module's README tells them to a game designer, not as facts and schemas. What it cannot follow, it
refuses. It does not search: whether there is another way is not its matter.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.world.entities import Item, Location, Npc, Player
from app.world.state import State

FOES = {"monster", "beast", "predator", "bandit", "wolf", "undead", "raider", "outlaw"}
ANIMALS = {"beast", "predator", "prey", "animal", "wolf", "deer", "livestock"}
SELLERS = {"merchant", "trader", "shopkeeper", "peddler", "innkeeper", "smith", "blacksmith", "baker"}
GROWING = {"wild", "resource", "gatherable", "plant", "herb", "ore", "wood"}
AT_ODDS = -0.3
LEVELS_ABOVE = 3


class Wrong(Exception):
    """The certificate does not hold, and why."""


@dataclass
class Play:
    """The world as the player changes it. `has`, `knows` and `done` are the player's own."""

    npcs: dict[str, Npc]
    items: dict[str, Item]
    places: dict[str, Location]
    factions: Mapping[str, Any]
    player: Player
    secrets: Mapping[str, set[str]]
    keys: Mapping[str, set[str]]
    here: str
    captive: set[str]
    open: set[str]
    named_foes: set[str]
    felt: Mapping[str, float]
    has: set[str] = field(default_factory=set)
    knows: set[str] = field(default_factory=set)
    done: list[tuple[str, ...]] = field(default_factory=list)

    def where(self, npc: str) -> str:
        person = self.npcs[npc]
        return next((spot for spot in (person.location, person.work, person.home) if spot in self.places), "")

    def foe(self, npc: str) -> bool:
        person = self.npcs[npc]
        if npc in self.captive:
            return False
        if person.archetype in FOES or "hostile" in person.tags or "monster" in person.tags:
            return True
        ours, theirs = self.player.faction, person.faction
        if not ours or not theirs:
            return False
        felt = [self.factions[one].relations.get(other, 0.0) if one in self.factions else 0.0
                for one, other in ((ours, theirs), (theirs, ours))]  # fmt: skip
        return min(felt) <= AT_ODDS

    def speaks(self, npc: str) -> bool:
        return self.npcs[npc].archetype not in ANIMALS and "beast" not in self.npcs[npc].tags

    def enemy(self, npc: str) -> bool:
        """A foe, or one who would be if it were not bound."""
        bound = npc in self.captive
        self.captive.discard(npc)
        found = self.foe(npc)
        if bound:
            self.captive.add(npc)
        return found

    def friend(self, npc: str) -> bool:
        least = self.npcs[npc].attributes.get("deals_from")
        liked = self.felt.get(npc, 0.0) >= least if isinstance(least, int | float) else True
        return self.speaks(npc) and not self.enemy(npc) and liked

    def admitted(self, place: str) -> bool:
        least = self.places[place].attributes.get("level_min", 0)
        return not isinstance(least, int | float) or max(1, self.player.level) >= least

    def walk(self, goal: str) -> bool:
        """Whether the player can walk from here to there; a closed place is entered by nobody and left by anybody."""
        seen, queue = {self.here}, deque([self.here])
        while queue:
            for near in self.places[queue.popleft()].connects:
                if near not in self.places or not self.admitted(near):
                    continue
                if near == goal:
                    return True
                if near in self.open and near not in seen:
                    seen.add(near)
                    queue.append(near)
        return False

    def with_person(self, npc: str) -> None:
        need(npc in self.npcs, f"there is no {npc!r}")
        need(self.npcs[npc].alive, f"{npc!r} is dead")
        need(self.where(npc) == self.here, f"{npc!r} is at {self.where(npc)!r} and the player at {self.here!r}")

    def move(self, item: str, holder: str) -> None:
        self.items[item] = msgspec.structs.replace(self.items[item], holder=holder)


def need(holds: bool, why: str) -> None:
    if not holds:
        raise Wrong(why)


def begin(state: State, quest: Mapping[str, Any]) -> Play:
    """The world before the first step, seen by the quest's player."""
    known = quest["player"] or next(iter(quest["members"]), "")
    player = state.players.get(known) or Player(id=known or "player", level=max(1, quest["level"]))
    giver = state.npcs[quest["giver"]]
    secrets: dict[str, set[str]] = {}
    for history in state.facts.values():
        fact = history[-1]
        if fact.known_by:
            secrets.setdefault(f"{fact.subject} {fact.predicate}", set()).update(fact.known_by)
    keys: dict[str, set[str]] = {}
    for item in state.items.values():
        if isinstance(lock := item.attributes.get("opens"), str):
            keys.setdefault(lock, set()).add(item.id)
    for history in state.facts.values():
        if history[-1].predicate == "locked_by":
            keys.setdefault(history[-1].subject, set()).add(str(history[-1].value))
    play = Play(
        npcs=dict(state.npcs), items=dict(state.items), places=dict(state.locations), factions=state.factions,
        player=player, secrets=secrets, keys=keys, here=player.location,
        captive={id for id, npc in state.npcs.items() if "captive" in npc.tags},
        open={id for id, place in state.locations.items() if place.open},
        named_foes={goal["deed"][1] for goal in quest["goals"] if goal["deed"][0] in ("slain", "captured")},
        felt={key.split("\x1f")[0]: felt for key, felt in state.relations.items() if key.endswith(f"\x1f{player.id}")},
        has={id for id, item in state.items.items() if item.holder == player.id},
    )  # fmt: skip
    if play.here not in play.places:
        play.here = play.where(giver.id)
    return play


def _goto(play: Play, place: str, origin: str) -> list[tuple[str, ...]]:
    need(play.here == origin, f"the player is at {play.here!r}, not at {origin!r}")
    need(place in play.open, f"{place!r} is closed")
    need(play.walk(place), f"no way leads from {play.here!r} to {place!r}")
    play.here = place
    return [("visited", place)]


def _explore(play: Play, place: str, news: str) -> list[tuple[str, ...]]:
    need(play.here == place, f"{place!r} is not where the player is")
    play.knows.add(news)
    return [("explored", place)]


def _unlock(play: Play, place: str, origin: str, key: str) -> list[tuple[str, ...]]:
    need(play.here == origin and place not in play.open, f"{place!r} is not a closed place to be opened from here")
    need(play.walk(place), f"{place!r} cannot be reached")
    need(key in play.has and key in play.keys.get(place, ()), f"{key!r} is no key in hand for {place!r}")
    play.open.add(place)
    return [("unlocked", place)]


def _tells(play: Play, npc: str, topic: str) -> bool:
    if topic == f"news {npc}":
        return play.speaks(npc)
    tellers = play.secrets.get(topic, set())
    return npc in tellers or play.npcs[npc].faction in tellers


def _learn(play: Play, npc: str, topic: str, place: str) -> list[tuple[str, ...]]:
    play.with_person(npc)
    need(play.friend(npc) and _tells(play, npc, topic), f"{npc!r} cannot tell of {topic!r}")
    play.knows.add(topic)
    return [("learned", topic)]


def _spy(play: Play, npc: str, topic: str, place: str) -> list[tuple[str, ...]]:
    play.with_person(npc)
    need(play.foe(npc) and play.speaks(npc) and _tells(play, npc, topic), f"{npc!r} cannot be overheard on {topic!r}")
    play.knows.add(topic)
    return [("spied", topic)]


def _report(play: Play, npc: str, topic: str, place: str) -> list[tuple[str, ...]]:
    play.with_person(npc)
    need(play.friend(npc), f"{npc!r} does not listen")
    need(topic in play.knows, f"the player does not know {topic!r}")
    return [("told", npc, topic)]


def _give(play: Play, item: str, npc: str, place: str) -> list[tuple[str, ...]]:
    play.with_person(npc)
    need(play.friend(npc) and item in play.has, f"{item!r} cannot be given to {npc!r}")
    play.has.discard(item)
    play.move(item, npc)
    return [("delivered", item, npc)]


def _take(play: Play, item: str, place: str) -> list[tuple[str, ...]]:
    need(item in play.items and play.items[item].holder == play.here == place, f"{item!r} does not lie here")
    play.has.add(item)
    play.move(item, play.player.id)
    return [("acquired", item)]


def _gather(play: Play, item: str, place: str) -> list[tuple[str, ...]]:
    found = play.items.get(item)
    need(found is not None and (found.item_kind in GROWING or bool(GROWING & set(found.tags))), f"{item!r} is not wild")
    return [*_take(play, item, place), ("gathered", item)]


def _from(play: Play, item: str, npc: str) -> None:
    need(item in play.items and play.items[item].holder == npc, f"{npc!r} does not have {item!r}")
    play.has.add(item)
    play.move(item, play.player.id)


def _loot(play: Play, item: str, npc: str, place: str) -> list[tuple[str, ...]]:
    need(not play.npcs[npc].alive and play.where(npc) == play.here, f"{npc!r} does not lie dead here")
    _from(play, item, npc)
    return [("looted", item, npc), ("acquired", item)]


def _trade(play: Play, item: str, npc: str, place: str) -> list[tuple[str, ...]]:
    play.with_person(npc)
    goods = play.items[item]
    sells = play.npcs[npc].archetype in SELLERS or "merchant" in play.npcs[npc].tags or "tradeable" in goods.tags
    need(play.friend(npc) and sells and "bound" not in goods.tags, f"{npc!r} does not sell {item!r}")
    _from(play, item, npc)
    return [("bought", item), ("acquired", item)]


def _steal(play: Play, item: str, npc: str, place: str) -> list[tuple[str, ...]]:
    play.with_person(npc)
    _from(play, item, npc)
    return [("stolen", item), ("acquired", item)]


def _use(play: Play, item: str, place: str) -> list[tuple[str, ...]]:
    need(item in play.has and play.here == place, f"{item!r} cannot be used at {place!r}")
    return [("used", item, place)]


def _beaten(play: Play, npc: str) -> None:
    play.with_person(npc)
    person = play.npcs[npc]
    need("essential" not in person.tags, f"the game protects {npc!r}")
    need(person.level <= max(1, play.player.level) + LEVELS_ABOVE, f"{npc!r} is too strong")
    need(play.foe(npc) or npc in play.named_foes, f"{npc!r} is no foe")


def _kill(play: Play, npc: str, place: str, news: str) -> list[tuple[str, ...]]:
    _beaten(play, npc)
    play.npcs[npc] = msgspec.structs.replace(play.npcs[npc], alive=False)
    play.knows.add(news)
    return [("slain", npc)]


def _capture(play: Play, npc: str, place: str) -> list[tuple[str, ...]]:
    _beaten(play, npc)
    need(npc not in play.captive, f"{npc!r} is taken already")
    play.captive.add(npc)
    return [("captured", npc)]


def _rescue(play: Play, npc: str, place: str) -> list[tuple[str, ...]]:
    play.with_person(npc)
    need(npc in play.captive and not play.enemy(npc), f"{npc!r} is nobody to be freed")
    play.captive.discard(npc)
    return [("rescued", npc)]


def _craft(play: Play, item: str, place: str, *means: str) -> list[tuple[str, ...]]:
    made = play.items[item]
    need(not made.holder and item not in play.has, f"{item!r} exists already")
    need(play.here == place and made.attributes.get("made_at", place) == place, f"{item!r} is not made at {place!r}")
    words = [word.strip() for word in str(made.attributes.get("recipe", "")).split(",")]
    tool = made.attributes.get("tool")
    wanted = [*words, *([str(tool)] if tool else [])]
    need(len(means) == len(wanted) == len(set(means)), f"{item!r} takes {wanted}, not {means}")
    for id, word in zip(means, wanted, strict=True):
        need(id in play.has and word in (id, play.items[id].item_kind), f"{id!r} in hand is no {word!r}")
    play.has -= set(means[: len(words)])
    play.has.add(item)
    return [("crafted", item), ("acquired", item)]


def _escort(play: Play, npc: str, place: str, origin: str) -> list[tuple[str, ...]]:
    play.with_person(npc)
    need(play.friend(npc), f"{npc!r} does not come along")
    need(npc not in play.captive, f"{npc!r} is bound")
    _goto(play, place, origin)
    play.npcs[npc] = msgspec.structs.replace(play.npcs[npc], location=place)
    return [("escorted", npc, place), ("visited", place)]


def _defend(play: Play, place: str, news: str) -> list[tuple[str, ...]]:
    need(play.here == place, f"the player is not at {place!r}")
    spot = play.places[place]
    near = (place, *spot.connects)
    foes = any(npc.alive and play.where(id) in near and play.foe(id) for id, npc in play.npcs.items())
    need(foes or "threatened" in spot.tags or spot.attributes.get("threatened") is True, f"nothing threatens {place!r}")
    play.knows.add(news)
    return [("defended", place)]


def _train(play: Play, npc: str, skill: str, place: str) -> list[tuple[str, ...]]:
    play.with_person(npc)
    taught = [word.strip() for word in str(play.npcs[npc].attributes.get("teaches", "")).split(",")]
    need(play.friend(npc) and skill in taught, f"{npc!r} does not teach {skill!r}")
    return [("trained", skill)]


RULES: dict[str, Callable[..., list[tuple[str, ...]]]] = {
    "goto": _goto, "explore": _explore, "unlock": _unlock, "learn": _learn, "spy": _spy, "report": _report,
    "give": _give, "take": _take, "gather": _gather, "loot": _loot, "trade": _trade, "steal": _steal, "use": _use,
    "kill": _kill, "capture": _capture, "rescue": _rescue, "escort": _escort, "defend": _defend, "train": _train,
    "craft": _craft,
}  # fmt: skip


def played(play: Play, plan: Sequence[Sequence[str]]) -> Play:
    """The world after the plan; raises Wrong at the first action that cannot be done."""
    play = deepcopy(play)
    for number, (name, *args) in enumerate(plan):
        need(name in RULES, f"{name!r} is no action that the checker knows")
        try:
            play.done += RULES[name](play, *args)
        except (Wrong, KeyError, TypeError) as why:
            raise Wrong(f"action {number} {name} {args}: {why}") from why
    return play


def check(state: State, quest: Mapping[str, Any]) -> None:
    """Raise Wrong unless the plan of every way can be played from this world and reaches that way's goals."""
    certificate = quest["certificate"]
    proofs = {proof["branch"]: proof for proof in certificate["branches"]}
    ways = [(certificate, quest["goals"], quest["forbid"])]
    for branch in quest["branches"]:
        need(branch["id"] in proofs, f"branch {branch['id']!r} has no proof")
        ways.append((proofs[branch["id"]], branch["goals"], branch["forbid"]))
    for proof, goals, forbidden in ways:
        plan = [tuple(action) for action in proof["plan"]]
        need(bool(plan), "an empty plan proves nothing")
        need(not {name for name, *_ in plan} & set(forbidden), f"the plan does what the quest forbids: {forbidden}")
        end = played(begin(state, quest), plan)
        for goal in goals:
            need(tuple(goal["deed"]) in end.done, f"the plan never does {goal['deed']}")
        sealed = msgspec.msgpack.encode((certificate["domain_version"], plan, [tuple(goal["deed"]) for goal in goals]))
        need(hashlib.sha256(sealed).hexdigest() == proof["plan_sha256"], "the hash is not that of the plan")
    for failure in certificate["failures"]:
        need(bool(failure["text"]), f"nobody can tell why {failure['fact']} matters")
    touched = {term for action in certificate["plan"] for term in action[1:]}
    known = {*state.npcs, *state.items, *state.locations}
    for knockout in certificate["knockouts"]:
        need(knockout["entity"] in known, f"{knockout['entity']!r} is not in the world")
        if knockout["outcome"] == "unharmed":
            unharmed(state, quest, knockout)
    silent = certificate["failures"] == [] and "V4" in certificate["checks"]
    need(not silent or touched.isdisjoint(_mortal(state, quest)), "one who can be killed is needed, and nobody says so")


def unharmed(state: State, quest: Mapping[str, Any], knockout: Mapping[str, str]) -> None:
    """Raise Wrong unless the plan goes through without the entity, or with it dead or closed."""
    play = begin(state, quest)
    id = knockout["entity"]
    if id in play.npcs:
        play.npcs[id] = msgspec.structs.replace(play.npcs[id], alive=False)
    play.items.pop(id, None)
    play.has.discard(id)
    play.open.discard(id)
    played(play, quest["certificate"]["plan"])


def _mortal(state: State, quest: Mapping[str, Any]) -> set[str]:
    """Foes that the plan speaks with: the player could kill them before they have spoken."""
    play = begin(state, quest)
    spoken_to = {action[1] for action in quest["certificate"]["plan"] if action[0] in ("spy",)}
    return {id for id in spoken_to if id in play.npcs and play.foe(id) and "essential" not in play.npcs[id].tags
            and play.npcs[id].level <= play.player.level + LEVELS_ABOVE}  # fmt: skip
