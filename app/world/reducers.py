"""How each change alters a state. Same state and same event, same result: replay depends on it.

`check` refuses a change before anything is applied; `apply` then cannot fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from app.core.errors import Conflict, Invalid, NotFound, TooLarge, nearest
from app.core.messages import Change, Event
from app.world import entities, events, saves, subjects, usage
from app.world.state import State, World, pair

PROPOSING: tuple[events.Source, ...] = ("planner", "schedule")
"""Sources whose directives give way to all others."""
BOARD_KEYS_MAX = 64
"""Keys of one NPC's blackboard that the game may write."""
FACTS_KEPT_MAX = 32
"""Versions of one fact that are kept in RAM; older ones stay in the log."""


def check(world: World, change: Change) -> None:
    """Raise Invalid, NotFound or Conflict when `change` cannot happen in `world`."""
    checker = _CHECKS.get(type(change))
    if checker is not None:
        checker(world, change)


def apply(state: State, event: Event) -> None:
    """Bring `state` to where it is after `event`."""
    state.seq = event.seq
    state.game_s = max(state.game_s, event.game_s)
    change = event.change
    if isinstance(change, events.WordsUsed):
        _use(state, change, event.wall_ms)
    else:
        _APPLIES[type(change)](state, change)


def _require_finite(what: str, *numbers: object) -> None:
    for number in numbers:
        if isinstance(number, float) and not math.isfinite(number):
            raise Invalid(f"{what} is {number!r}", hint="send a finite number")


def _check_upsert(world: World, change: events.EntityUpserted) -> None:
    entity = change.entity
    _require_finite(f"an attribute of {entity.id!r}", *entity.attributes.values())
    if isinstance(entity, entities.Location):
        _require_finite(f"the position of {entity.id!r}", entity.x, entity.y)
    if isinstance(entity, entities.Item):
        _require_finite(f"the value of {entity.id!r}", entity.value)
    if isinstance(entity, entities.Faction):
        _require_finite(f"a relation of {entity.id!r}", *entity.relations.values())


def _check_removed(world: World, change: events.EntityRemoved) -> None:
    known = table(world.state, change.entity_kind)
    if change.id not in known:
        raise NotFound(f"no {change.entity_kind} {change.id!r}", hint=nearest(change.id, known))


def _check_fact(world: World, change: events.FactAsserted) -> None:
    fact = change.fact
    _require_finite(f"fact {fact.subject!r} {fact.predicate!r}", fact.value, fact.from_s, fact.until_s)
    if fact.until_s is not None and fact.until_s <= fact.from_s:
        raise Invalid(f"until_s {fact.until_s!r} is not after from_s {fact.from_s!r}", hint="leave until_s out")


def _check_happened(world: World, change: events.Happened) -> None:
    _require_finite(f"{change.verb!r}", change.quantity, *change.details.values())
    for role in ("actor", "target"):
        id = getattr(change, role)
        if id and world.entity(id) is None:
            known = {**world.state.npcs, **world.state.players}
            raise NotFound(f"{role} {id!r} of {change.verb!r} is no entity", hint=nearest(id, known))
    if change.item and change.item not in world.state.items:
        raise NotFound(f"item {change.item!r} is no item", hint=nearest(change.item, world.state.items))
    if change.location and change.location not in world.state.locations:
        raise NotFound(
            f"location {change.location!r} is no location", hint=nearest(change.location, world.state.locations)
        )


def _check_settled(world: World, change: events.ProposalSettled) -> None:
    if change.id not in world.state.proposals:
        raise NotFound(f"no open proposal {change.id!r}", hint="it was settled, or never offered")


def _check_relation(world: World, change: events.RelationChanged) -> None:
    _require_finite("delta", change.delta)
    world.npc(change.npc)


def _check_intent(world: World, change: events.IntentSet) -> None:
    if not world.npc(change.npc).alive:
        raise Conflict(f"NPC {change.npc!r} is dead", hint="only the living follow intents")
    told = world.directive(change.npc)
    if change.source in PROPOSING and told is not None and told.source not in PROPOSING:
        raise Conflict(f"NPC {change.npc!r} follows {told.source} until {told.until_s!r}", hint="wait for its end")


def _check_story(world: World, change: events.StoryMoved) -> None:
    world.npc(change.npc)
    if change.player not in world.state.players:
        raise NotFound(f"no player {change.player!r}", hint=nearest(change.player, world.state.players))


def _check_schedule(world: World, change: events.ScheduleSet) -> None:
    world.npc(change.npc)


def _check_brain(world: World, change: events.BrainAssigned) -> None:
    world.npc(change.npc)


def _check_board(world: World, change: events.BoardWritten) -> None:
    world.npc(change.npc)
    keys = {*world.state.boards.get(change.npc, {}), *change.values}
    if len(keys) > BOARD_KEYS_MAX:
        raise TooLarge(f"NPC {change.npc!r} would have {len(keys)} keys, at most {BOARD_KEYS_MAX}", hint="reuse some")
    for name, value in change.values.items():
        if not math.isfinite(value):
            raise Invalid(f"key {name!r} is {value!r}", hint="write finite numbers")


def _check_steering(world: World, change: events.SteeringSet) -> None:
    if not change.rule and change.name not in world.state.steering:
        hint = nearest(change.name, world.state.steering)
        raise NotFound(f"no steering rule {change.name!r} was set in this world", hint=hint)


def _check_squad(world: World, change: events.SquadSet) -> None:
    squad = change.squad
    where, members = f"squad {squad.id!r}", set(squad.members)
    if not squad.members or len(members) != len(squad.members):
        raise Invalid(f"{where} has members {squad.members[:8]!r}", hint="name one or more, each once")
    for id in squad.members:
        other = world.state.squad_of.get(world.npc(id).id, squad.id)
        if other != squad.id:
            raise Conflict(f"NPC {id!r} is in squad {other!r}", hint="take it out there first")
    for id in (*((squad.leader,) if squad.leader else ()), *squad.roles):
        if id not in members:
            raise Invalid(f"{where} leads or casts {id!r}, no member", hint=nearest(id, members))
    if squad.focus and squad.focus not in world.state.npcs and squad.focus not in world.state.players:
        raise NotFound(f"{where} focuses on {squad.focus!r}, who is nobody", hint="name an NPC or a player")
    _require_finite(f"a value of {where}", squad.spacing_cells, *squad.board.values())


def _check_disbanded(world: World, change: events.SquadDisbanded) -> None:
    if change.id not in world.state.squads:
        raise NotFound(f"no squad {change.id!r}", hint=nearest(change.id, world.state.squads))


def _check_obstacles(world: World, change: events.ObstaclesChanged) -> None:
    if change.map not in world.state.maps:
        raise NotFound(f"no map {change.map!r}", hint=nearest(change.map, world.state.maps))
    for obstacle in change.put:
        _require_finite(f"the place of {obstacle.id!r}", obstacle.x, obstacle.y, obstacle.z)
    for id in change.removed:
        if pair(change.map, id) not in world.state.obstacles:
            raise NotFound(f"no obstacle {id!r} on map {change.map!r}", hint="it was removed, or never added")


def _check_saved(world: World, change: events.WorldRestored | events.SaveDiscarded) -> None:
    if change.slot not in world.state.saves:
        raise NotFound(f"no save {change.slot!r}", hint=nearest(change.slot, world.state.saves))


_CHECKS: dict[type[Change], Callable[[World, Any], None]] = {
    events.EntityUpserted: _check_upsert,
    events.EntityRemoved: _check_removed,
    events.FactAsserted: _check_fact,
    events.Happened: _check_happened,
    events.ObstaclesChanged: _check_obstacles,
    events.ProposalSettled: _check_settled,
    events.RelationChanged: _check_relation,
    events.StoryMoved: _check_story,
    events.IntentSet: _check_intent,
    events.ScheduleSet: _check_schedule,
    events.BrainAssigned: _check_brain,
    events.BoardWritten: _check_board,
    events.SteeringSet: _check_steering,
    events.SquadSet: _check_squad,
    events.SquadDisbanded: _check_disbanded,
    events.WorldRestored: _check_saved,
    events.SaveDiscarded: _check_saved,
}


def table(state: State, kind: entities.Kind) -> dict[str, Any]:
    """The state's entities of one kind, by id."""
    tables: dict[str, dict[str, Any]] = {
        "npc": state.npcs,
        "player": state.players,
        "item": state.items,
        "location": state.locations,
        "faction": state.factions,
    }
    return tables[kind]


def _upsert(state: State, change: events.EntityUpserted) -> None:
    entity = change.entity
    kind: entities.Kind = entity.__struct_config__.tag  # type: ignore[assignment]  # the tag is declared as a Kind
    table(state, kind)[entity.id] = entity
    if isinstance(entity, entities.Npc) and entity.id not in state.handles:
        state.handles[entity.id] = len(state.handles)


def _remove(state: State, change: events.EntityRemoved) -> None:
    del table(state, change.entity_kind)[change.id]
    for key in [key for key in state.stories if change.id in key.split("\x1f")]:
        del state.stories[key]
    if change.entity_kind == "npc":
        state.intents.pop(change.id, None)
        state.schedules.pop(change.id, None)
        state.brains.pop(change.id, None)
        state.boards.pop(change.id, None)
        _leave_squad(state, change.id)


def _assert(state: State, change: events.FactAsserted) -> None:
    fact = change.fact
    key = pair(fact.subject, fact.predicate)
    history = list(state.facts.get(key, ()))
    if history and history[-1].until_s is None and history[-1].from_s < fact.from_s:
        history[-1] = msgspec.structs.replace(history[-1], until_s=fact.from_s)
    history.append(fact)
    history.sort(key=lambda known: known.from_s)
    state.facts[key] = tuple(history[-FACTS_KEPT_MAX:])


def _change_obstacles(state: State, change: events.ObstaclesChanged) -> None:
    state.obstacle_changes[change.map] = state.obstacle_changes.get(change.map, 0) + 1
    for id in change.removed:
        state.obstacles.pop(pair(change.map, id), None)
    for obstacle in change.put:
        state.obstacles[pair(change.map, obstacle.id)] = obstacle


def _store_map(state: State, change: events.MapStored) -> None:
    state.maps[change.map.name] = change.map


def _happen(state: State, change: events.Happened) -> None:
    match change.verb:
        case "moved" | "explored" if change.location:
            _replace_actor(state, change.actor, location=change.location)
        case "took" | "stole" | "crafted" if change.item:
            _hand(state, change.item, change.actor)
        case "gave" | "traded" if change.item and change.target:
            _hand(state, change.item, change.target)
        case "dropped" if change.item:
            _hand(state, change.item, change.location)
        case "destroyed" if change.item:
            state.items.pop(change.item, None)
        case "killed" if change.target:
            _replace_actor(state, change.target, alive=False)
        case "died":
            _replace_actor(state, change.actor, alive=False)
        case "captured" if change.target:
            _retag(state, change.target, gained=("captive",))
        case "rescued" if change.target:
            _retag(state, change.target, lost=("captive",))
        case "unlocked" if change.location:
            place = state.locations[change.location]
            state.locations[change.location] = msgspec.structs.replace(place, open=True)
        case _:
            pass


def _replace_actor(state: State, id: str, **fields: object) -> None:
    if id in state.npcs:
        state.npcs[id] = msgspec.structs.replace(state.npcs[id], **fields)
    if id in state.players:
        state.players[id] = msgspec.structs.replace(state.players[id], **fields)


def _retag(state: State, id: str, *, gained: tuple[str, ...] = (), lost: tuple[str, ...] = ()) -> None:
    """An NPC's tags with some more or fewer; players have none of these."""
    npc = state.npcs.get(id)
    if npc is not None:
        tags = tuple(tag for tag in npc.tags if tag not in (*gained, *lost))
        state.npcs[id] = msgspec.structs.replace(npc, tags=(*tags, *gained))


def _hand(state: State, item: str, holder: str) -> None:
    state.items[item] = msgspec.structs.replace(state.items[item], holder=holder)


def _offer(state: State, change: events.ProposalOffered) -> None:
    state.proposals[change.id] = change


def _settle(state: State, change: events.ProposalSettled) -> None:
    del state.proposals[change.id]


def _relate(state: State, change: events.RelationChanged) -> None:
    key = pair(change.npc, change.other)
    state.relations[key] = min(1.0, max(-1.0, state.relations.get(key, 0.0) + change.delta))


def _record_quest(state: State, change: events.QuestRecorded) -> None:
    state.quests[change.id] = change


def _move_story(state: State, change: events.StoryMoved) -> None:
    key = pair(change.npc, change.player)
    if change.run:
        state.stories[key] = change
    else:
        state.stories.pop(key, None)


def _set_intent(state: State, change: events.IntentSet) -> None:
    state.intents[change.npc] = change


def _assign_brain(state: State, change: events.BrainAssigned) -> None:
    if change.brain:
        state.brains[change.npc] = change.brain
    else:
        state.brains.pop(change.npc, None)


def _write_board(state: State, change: events.BoardWritten) -> None:
    state.boards[change.npc] = {**state.boards.get(change.npc, {}), **change.values}


def _set_schedule(state: State, change: events.ScheduleSet) -> None:
    if change.schedule:
        state.schedules[change.npc] = change.schedule
    else:
        state.schedules.pop(change.npc, None)


def _set_steering(state: State, change: events.SteeringSet) -> None:
    if change.rule:
        state.steering[change.name] = change.rule
    else:
        state.steering.pop(change.name, None)


def _set_squad(state: State, change: events.SquadSet) -> None:
    squad = change.squad
    before = state.squads.get(squad.id)
    for id in before.members if before is not None else ():
        if id not in squad.members:
            del state.squad_of[id]
    state.squads[squad.id] = squad
    for id in squad.members:
        state.squad_of[id] = squad.id


def _disband(state: State, change: events.SquadDisbanded) -> None:
    for id in state.squads.pop(change.id).members:
        del state.squad_of[id]


def _leave_squad(state: State, npc: str) -> None:
    """Take an NPC out of its squad; the last one to leave ends it."""
    id = state.squad_of.pop(npc, "")
    if not id:
        return
    squad = state.squads[id]
    left = tuple(member for member in squad.members if member != npc)
    if not left:
        del state.squads[id]
        return
    state.squads[id] = msgspec.structs.replace(
        squad,
        members=left,
        leader="" if squad.leader == npc else squad.leader,
        roles={member: role for member, role in squad.roles.items() if member != npc},
    )


def _use(state: State, change: events.WordsUsed, wall_ms: int) -> None:
    used = usage.Used(
        calls=1,
        tokens_in=change.tokens_in,
        tokens_out=change.tokens_out,
        cached_tokens_in=change.cached_tokens_in,
        cost_nano_usd=change.cost_nano_usd,
    )
    key = usage.row_key(change.npc, change.player, change.engine)
    state.usage = usage.add(state.usage, wall_ms, key, used)


def _remember(state: State, change: events.MemoryNoted | events.MemoryForgotten) -> None:
    """Memories are no part of the state: the log holds them, and who remembers which is a projection of it."""


def _save(state: State, change: events.WorldSaved) -> None:
    saves.save(state, change.slot)


def _restore(state: State, change: events.WorldRestored) -> None:
    saves.restore(state, change.slot)


def _discard(state: State, change: events.SaveDiscarded) -> None:
    del state.saves[change.slot]


_APPLIES: dict[type[Change], Callable[[State, Any], None]] = {
    events.EntityUpserted: _upsert,
    events.EntityRemoved: _remove,
    events.FactAsserted: _assert,
    events.MapStored: _store_map,
    events.ObstaclesChanged: _change_obstacles,
    events.Happened: _happen,
    events.ProposalOffered: _offer,
    events.ProposalSettled: _settle,
    events.RelationChanged: _relate,
    events.QuestRecorded: _record_quest,
    events.IntentSet: _set_intent,
    events.ScheduleSet: _set_schedule,
    events.BrainAssigned: _assign_brain,
    events.BoardWritten: _write_board,
    events.SteeringSet: _set_steering,
    events.SquadSet: _set_squad,
    events.SquadDisbanded: _disband,
    events.MemoryNoted: _remember,
    events.MemoryForgotten: _remember,
    events.WorldSaved: _save,
    events.WorldRestored: _restore,
    events.SaveDiscarded: _discard,
    events.StoryMoved: _move_story,
    events.SubjectErased: subjects.erase,
    events.SubjectRestricted: subjects.restrict,
}
