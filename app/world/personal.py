"""What an event says of a person, apart from the rest of it: taken out, put back, and brought to another name.

Pure. A person is a player, or a subject of facts that is no entity at all. Ids are the game's own pseudonyms and stay
readable until their person is erased. It knows no keys: how the part that is taken out is kept is the stores' matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from app.core.messages import Change
from app.world import entities, events
from app.world.scene import quest_head
from app.world.state import State, World

T = TypeVar("T")
NAMELESS = "-"
"""The predicate of a fact whose content is sealed or gone."""
EMPTY: Mapping[type[Change], Mapping[str, Any]] = {
    events.Happened: {"topic": "", "details": {}},
    events.ProposalOffered: {"arguments": {}},
    events.ProposalSettled: {"reason": ""},
    events.QuestRecorded: {"body": b""},
    events.MemoryNoted: {"text": "", "topic": ""},
    events.StoryMoved: {"run": b""},
}
"""The personal fields of each change, and what stands in their place."""
PLAYER_EMPTY: Mapping[str, Any] = {"name": "", "tags": (), "attributes": {}}
FACT_EMPTY: Mapping[str, Any] = {"predicate": NAMELESS, "value": ""}

_encoder = msgspec.msgpack.Encoder()


class PlayerLeaves(msgspec.Struct, frozen=True, array_like=True):
    """What a player's entity holds of the person."""

    name: str
    tags: tuple[str, ...]
    attributes: dict[str, entities.Value]


class FactLeaves(msgspec.Struct, frozen=True, array_like=True):
    predicate: str
    value: entities.Value


class HappenedLeaves(msgspec.Struct, frozen=True, array_like=True):
    topic: str
    details: dict[str, entities.Value]


class OfferedLeaves(msgspec.Struct, frozen=True, array_like=True):
    arguments: dict[str, entities.Value]


class SettledLeaves(msgspec.Struct, frozen=True, array_like=True):
    reason: str


class QuestLeaves(msgspec.Struct, frozen=True, array_like=True):
    body: bytes


class MemoryLeaves(msgspec.Struct, frozen=True, array_like=True):
    text: str
    topic: str


class StoryLeaves(msgspec.Struct, frozen=True, array_like=True):
    run: bytes


_LEAVES: Mapping[type[Change], type[msgspec.Struct]] = {
    events.EntityUpserted: PlayerLeaves,
    events.FactAsserted: FactLeaves,
    events.Happened: HappenedLeaves,
    events.ProposalOffered: OfferedLeaves,
    events.ProposalSettled: SettledLeaves,
    events.QuestRecorded: QuestLeaves,
    events.MemoryNoted: MemoryLeaves,
    events.StoryMoved: StoryLeaves,
}
_decoders = {kind: msgspec.msgpack.Decoder(leaves) for kind, leaves in _LEAVES.items()}


def persons_of(world: World, change: Change) -> tuple[str, ...]:
    """The ids of whom the change has something personal to say; the keys of the first two seal it."""
    finder = _PERSONS.get(type(change))
    return finder(world, change) if finder is not None else ()


def taken_out(change: Change) -> tuple[Change, bytes]:
    """(the change without its personal fields, these fields as bytes) of one that has a person."""
    part = _part(change)
    fields = _LEAVES[type(change)].__struct_fields__
    leaves = _LEAVES[type(change)](*(getattr(part, name) for name in fields))
    return emptied(change), _encoder.encode(leaves)


def emptied(change: Change) -> Change:
    """The change without its personal fields."""
    return _with_part(change, dict(_empty(change)))


def put_back(change: Change, leaves: bytes) -> Change:
    """What `taken_out` was given."""
    found = _decoders[type(change)].decode(leaves)
    return _with_part(change, {name: getattr(found, name) for name in found.__struct_fields__})


def swapped(value: T, old: str, new: str) -> T:
    """The value with `new` wherever `old` stands as a whole text; an id of anything but a player is left alone."""
    found: Any = value
    if isinstance(value, str):
        found = new if value == old else value
    elif isinstance(value, tuple):
        found = tuple(swapped(each, old, new) for each in value)
    elif isinstance(value, dict):
        found = {swapped(key, old, new): swapped(each, old, new) for key, each in value.items()}
    elif isinstance(value, msgspec.Struct):
        found = _swapped_struct(value, old, new)
    return found  # type: ignore[no-any-return]  # the same type by construction


def unnamed(memory: events.MemoryNoted, person: str, names: Sequence[str]) -> events.MemoryNoted:
    """A memory of several without one of them: empty where it is theirs, else with nobody's name for theirs."""
    if person in (memory.speaker, memory.told_by, *memory.participants):
        return msgspec.structs.replace(memory, **EMPTY[events.MemoryNoted])
    named = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in sorted(names, key=len, reverse=True)))
    text, topic = named.sub("someone", memory.text), named.sub("someone", memory.topic)
    return msgspec.structs.replace(memory, text=text, topic=topic)


def mentions(value: object, id: str) -> bool:
    """Whether the encoded value may hold the id; cheap, and never wrongly no."""
    return id.encode() in _encoder.encode(value)


def known_in(state: State, id: str) -> bool:
    """Whether the state holds anything of the person."""
    keys = (*state.facts, *state.relations, *state.stories, *(key for rows in state.usage.values() for key in rows))
    if id in state.players or id in state.withheld or any(id in key.split("\x1f") for key in keys):
        return True
    whole = _encoder.encode(id)  # with its length, so no part of a longer id
    return any(whole in _encoder.encode(getattr(state, name)) for name in _PLACES)


_PLACES = ("facts", "proposals", "items", "intents", "squads")


def _swapped_struct(value: msgspec.Struct, old: str, new: str) -> msgspec.Struct:
    fixed = _FIXED.get(type(value), ())
    if isinstance(value, events.EntityRemoved) and value.entity_kind != "player":
        fixed = ("id",)
    changed = {}
    for name in value.__struct_fields__:
        before = getattr(value, name)
        after = before if name in fixed else swapped(before, old, new)
        if after is not before and after != before:
            changed[name] = after
    return msgspec.structs.replace(value, **changed) if changed else value


_FIXED: Mapping[type[msgspec.Struct], tuple[str, ...]] = {
    entities.Npc: ("id",),
    entities.Item: ("id",),
    entities.Location: ("id",),
    entities.Faction: ("id",),
    entities.Squad: ("id", "members", "leader", "roles"),
    events.ProposalOffered: ("id", "npc"),
    events.QuestRecorded: ("id", "body"),
    events.RelationChanged: ("npc",),
    events.IntentSet: ("npc",),
    events.ScheduleSet: ("npc", "schedule"),
    events.BrainAssigned: ("npc", "brain"),
    events.BoardWritten: ("npc", "values"),
    events.SteeringSet: ("name",),
    events.SquadDisbanded: ("id",),
    events.WordsUsed: ("npc",),
    events.MemoryNoted: ("id", "holders", "source", "place", "quest", "thread", "links"),
    events.MemoryForgotten: ("holder", "ids"),
    events.StoryMoved: ("npc", "story", "run"),
}
"""Fields that name something else than a player, whatever they hold."""


def _part(change: Change) -> msgspec.Struct:
    if isinstance(change, events.EntityUpserted):
        return change.entity
    return change.fact if isinstance(change, events.FactAsserted) else change


def _empty(change: Change) -> Mapping[str, Any]:
    if isinstance(change, events.EntityUpserted):
        return PLAYER_EMPTY
    return FACT_EMPTY if isinstance(change, events.FactAsserted) else EMPTY[type(change)]


def _with_part(change: Change, fields: dict[str, Any]) -> Change:
    part = msgspec.structs.replace(_part(change), **fields)
    if isinstance(change, events.EntityUpserted):
        return msgspec.structs.replace(change, entity=part)
    if isinstance(change, events.FactAsserted):
        return msgspec.structs.replace(change, fact=part)
    return part  # type: ignore[return-value]  # the change itself


def _of_entity(_world: World, change: events.EntityUpserted) -> tuple[str, ...]:
    return (change.entity.id,) if isinstance(change.entity, entities.Player) else ()


def _of_fact(world: World, change: events.FactAsserted) -> tuple[str, ...]:
    subject = change.fact.subject
    if subject in world.state.players:
        return (subject,)
    return () if world.entity(subject) is not None else (subject,)


def _of_happened(world: World, change: events.Happened) -> tuple[str, ...]:
    if not change.details and not change.topic:
        return ()
    players = world.state.players
    found = [id for id in (change.actor, change.target) if id in players]
    return tuple(dict.fromkeys(found))


def _of_offer(world: World, change: events.ProposalOffered) -> tuple[str, ...]:
    return (change.player,) if change.arguments and change.player in world.state.players else ()


def _of_settled(world: World, change: events.ProposalSettled) -> tuple[str, ...]:
    offered = world.state.proposals.get(change.id)
    return (offered.player,) if change.reason and offered and offered.player in world.state.players else ()


def _of_quest(_world: World, change: events.QuestRecorded) -> tuple[str, ...]:
    player = quest_head(change).player
    return (player,) if player else ()


def _of_memory(world: World, change: events.MemoryNoted) -> tuple[str, ...]:
    """Who said it, then who took part or may be told: more than two are found, the first two seal."""
    players = world.state.players
    found = (change.speaker, change.told_by, *change.participants, *change.known_by)
    return tuple(dict.fromkeys(id for id in found if id in players))


def _of_story(world: World, change: events.StoryMoved) -> tuple[str, ...]:
    return (change.player,) if change.run and change.player in world.state.players else ()


_PERSONS: Mapping[type[Change], Callable[[World, Any], tuple[str, ...]]] = {
    events.EntityUpserted: _of_entity,
    events.FactAsserted: _of_fact,
    events.Happened: _of_happened,
    events.ProposalOffered: _of_offer,
    events.ProposalSettled: _of_settled,
    events.QuestRecorded: _of_quest,
    events.MemoryNoted: _of_memory,
    events.StoryMoved: _of_story,
}
