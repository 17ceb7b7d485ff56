"""Whether a proposed act may be offered to the game. Pure: the same world and proposal, the same verdict.

The list of acts is closed and everything is refused that is not allowed here. It does not know who
proposed: a model, a rule or a hostile player speaking through a model are all judged alike. What it
allows is only an offer; the game server decides (world.confirm).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from app.core.errors import nearest
from app.world.entities import Fact, Npc, Player, Value
from app.world.scene import quest_head
from app.world.state import World

RELATION_TRUST = 0.3
"""How an NPC must feel about someone before it gives, follows or opens; talk alone does not lead here."""
RELATION_SECRET = 0.5
"""How an NPC must feel about someone before it tells what is not public."""
RELATION_HOSTILE = -0.3
"""How an NPC must feel about someone before it attacks or flees."""
POWER_TAG = "may:"
"""An NPC tagged `may:ACTION` has that power beside those of its archetype."""

_TRADERS = ("merchant", "trader", "shopkeeper", "innkeeper", "blacksmith", "smith", "baker", "peddler", "alchemist")
_FIGHTERS = ("guard", "soldier", "bandit", "predator", "monster", "hunter")
_COMPANIONS = ("companion", "mercenary", "guide")


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """An act that someone wants an NPC to do."""

    action: str
    arguments: dict[str, Value] = {}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's answer; `reason` says what stood in the way."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything a rule may look at. `other` is whom the NPC deals with, `last_s` when it last offered each action."""

    world: World
    npc: Npc
    other: Npc | Player
    arguments: Mapping[str, str]
    last_s: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Action:
    """One act: the kind of entity that each argument names, who has the power for it, and when it is eligible.

    `archetypes` empty means that only the tag grants it, `everyone` that each NPC may. `rule` returns what
    stands in the way, or nothing.
    """

    parameters: Mapping[str, str]
    rule: Callable[[Moment], str]
    archetypes: tuple[str, ...] = ()
    everyone: bool = False


def check_proposal(
    world: World,
    proposal: Proposed,
    npc: str,
    player: str,
    *,
    last_s: Mapping[str, float] = MappingProxyType({}),
    cooldown_s: float = 0.0,
) -> Verdict:
    """Judge one act of `npc` toward `player`, a player or an NPC.

    `last_s` tells in game seconds when each action was last offered to this player; within `cooldown_s` of it
    the action is refused. Raises nothing: whatever is wrong is a refusal with its reason.
    """
    action = ACTIONS.get(proposal.action)
    if action is None:
        return _refused(f"no act {proposal.action[:40]!r}; {nearest(proposal.action[:40], ACTIONS)}")
    actor, other = world.state.npcs.get(npc), world.state.players.get(player) or world.state.npcs.get(player)
    if actor is None or other is None:
        return _refused(f"{npc!r} or {player!r} is nobody here")
    if npc == player:
        return _refused(f"{npc!r} offers nothing to itself")
    moment = Moment(world, actor, other, _strings(proposal.arguments), last_s)
    for step in (_bound(action, proposal, world), _able(proposal.action, action, moment), _present(moment)):
        if step:
            return _refused(step)
    waiting = _waiting(proposal.action, moment, cooldown_s)
    if waiting:
        return _refused(waiting)
    against = action.rule(moment)
    return _refused(against) if against else Verdict(allowed=True)


def may_know(npc: Npc, fact: Fact) -> bool:
    """Whether an NPC may know a fact: it is public, or names the NPC or its faction."""
    return not fact.known_by or npc.id in fact.known_by or (npc.faction != "" and npc.faction in fact.known_by)


def may_tell(world: World, npc: Npc, other: Npc | Player, fact: Fact) -> bool:
    """Whether `npc` may say a fact to `other`: both know it, or the NPC does and trusts deeply."""
    if not may_know(npc, fact):
        return False
    shared = not fact.known_by or other.id in fact.known_by
    return shared or world.relation(npc.id, other.id) >= RELATION_SECRET


def trades(npc: Npc) -> bool:
    """Whether an NPC has the power to trade."""
    return npc.archetype in _TRADERS or f"{POWER_TAG}trade" in npc.tags


def _refused(reason: str) -> Verdict:
    return Verdict(allowed=False, reason=reason)


def _strings(arguments: Mapping[str, Value]) -> dict[str, str]:
    return {name: value for name, value in arguments.items() if isinstance(value, str)}


def _bound(action: Action, proposal: Proposed, world: World) -> str:
    """Every parameter is there once, nothing else is, and each names an existing entity of its kind."""
    given, wanted = set(proposal.arguments), set(action.parameters)
    if given != wanted:
        return f"{proposal.action!r} takes {sorted(wanted)!r}, not {sorted(given)[:8]!r}"
    for name, kind in action.parameters.items():
        value = proposal.arguments[name]
        if not isinstance(value, str) or not _exists(world, kind, value):
            return f"{name} {str(value)[:60]!r} names no {kind}"
    return ""


def _exists(world: World, kind: str, id: str) -> bool:
    state = world.state
    match kind:
        case "item":
            return id in state.items
        case "location":
            return id in state.locations
        case "quest":
            return id in state.quests
        case "person":
            return id in state.npcs or id in state.players
        case _:
            return bool(id)


def _able(name: str, action: Action, moment: Moment) -> str:
    npc = moment.npc
    if action.everyone or npc.archetype in action.archetypes or f"{POWER_TAG}{name}" in npc.tags:
        return ""
    return f"{npc.id!r} has no power to {name}; tag it {POWER_TAG + name!r} to grant it"


def _present(moment: Moment) -> str:
    if not moment.npc.alive or not moment.other.alive:
        return "the dead neither act nor receive"
    here, there = moment.npc.location, moment.other.location
    return f"{moment.other.id!r} is at {there!r}, not at {here!r}" if here and there and here != there else ""


def _waiting(name: str, moment: Moment, cooldown_s: float) -> str:
    state = moment.world.state
    for open_ in state.proposals.values():
        if (open_.npc, open_.player, open_.action) == (moment.npc.id, moment.other.id, name):
            return f"the same act waits for the game's answer as {open_.id!r}"
    since = moment.last_s.get(name)
    if since is not None and 0.0 <= state.game_s - since < cooldown_s:
        return f"offered {state.game_s - since:.0f} game seconds ago, cooldown {cooldown_s:.0f}"
    return ""


def _relation(moment: Moment, other: str) -> float:
    return moment.world.relation(moment.npc.id, other)


def _trusts(moment: Moment) -> str:
    felt = _relation(moment, moment.other.id)
    return "" if felt >= RELATION_TRUST else f"relation {felt:.2f} is below {RELATION_TRUST}"


def _fears(moment: Moment) -> str:
    felt = _relation(moment, moment.other.id)
    return "" if felt <= RELATION_HOSTILE else f"relation {felt:.2f} is above {RELATION_HOSTILE}"


def _held(moment: Moment, holder: str) -> str:
    item = moment.world.state.items[moment.arguments["item"]]
    if item.holder != holder:
        return f"{item.id!r} is held by {item.holder!r}, not by {holder!r}"
    return f"{item.id!r} is bound to its holder" if "bound" in item.tags else ""


def _gives(moment: Moment) -> str:
    return _held(moment, moment.npc.id) or _promised(moment) or _trusts(moment)


def _promised(moment: Moment) -> str:
    """One thing is offered to one person at a time."""
    item = moment.arguments["item"]
    for open_ in moment.world.state.proposals.values():
        if (open_.npc, open_.action) == (moment.npc.id, "give_item") and open_.arguments.get("item") == item:
            return f"{item!r} is offered to {open_.player!r} as {open_.id!r}"
    return ""


def _takes(moment: Moment) -> str:
    return _held(moment, moment.other.id)


def _offers_quest(moment: Moment) -> str:
    record = moment.world.state.quests[moment.arguments["quest"]]
    head = quest_head(record)
    if not isinstance(moment.other, Player):
        return "quests are for players"
    if record.state != "offered":
        return f"quest {record.id!r} is {record.state!r}, not 'offered'"
    if head.giver != moment.npc.id:
        return f"quest {record.id!r} is not this NPC's to give"
    return f"quest {record.id!r} is for another" if head.player not in ("", moment.other.id) else ""


def _trades(moment: Moment) -> str:
    felt = _relation(moment, moment.other.id)
    return "" if felt > RELATION_HOSTILE else f"relation {felt:.2f} is too low to trade"


def _opens(moment: Moment) -> str:
    place = moment.world.state.locations[moment.arguments["location"]]
    if place.id not in (moment.npc.home, moment.npc.work):
        return f"{place.id!r} is neither its home nor its work"
    return f"{place.id!r} is open already" if place.open else _trusts(moment)


def _attacks(moment: Moment) -> str:
    target = moment.arguments["target"]
    victim = moment.world.state.npcs.get(target) or moment.world.state.players.get(target)
    if victim is None or not victim.alive or target == moment.npc.id:
        return f"{target!r} cannot be attacked"
    if victim.location and moment.npc.location and victim.location != moment.npc.location:
        return f"{target!r} is not here"
    felt = _relation(moment, target)
    return "" if felt <= RELATION_HOSTILE else f"relation to {target!r} is {felt:.2f}, above {RELATION_HOSTILE}"


def _tells(moment: Moment) -> str:
    fact = moment.world.fact(moment.arguments["subject"], moment.arguments["predicate"])
    if fact is None or not may_know(moment.npc, fact):
        return "it knows no such fact"
    return "" if may_tell(moment.world, moment.npc, moment.other, fact) else "it keeps that to itself"


ACTIONS: Mapping[str, Action] = MappingProxyType({
    "give_item": Action({"item": "item"}, _gives),
    "take_item": Action({"item": "item"}, _takes),
    "offer_quest": Action({"quest": "quest"}, _offers_quest, everyone=True),
    "trade": Action({}, _trades, archetypes=_TRADERS),
    "follow": Action({}, _trusts, archetypes=_COMPANIONS),
    "open_door": Action({"location": "location"}, _opens),
    "attack": Action({"target": "person"}, _attacks, archetypes=_FIGHTERS),
    "flee": Action({}, _fears, everyone=True),
    "tell_fact": Action({"subject": "name", "predicate": "name"}, _tells, everyone=True),
})  # fmt: skip
"""The closed list of acts that an NPC can propose by talk."""
