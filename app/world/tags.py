"""What of a world a change makes different, as tags: whatever was written about it is then out of date.

Pure. A tag is the kind and the id of something: `npc:greta`, `quest:q7`, `item:axe`, `fact:world`. It does not know
what is kept under them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.core.messages import Change, Event
from app.world import events
from app.world.entities import Kind
from app.world.reducers import table
from app.world.state import World

_KINDS: tuple[Kind, ...] = ("npc", "player", "item", "location", "faction")


def tags_of(world: World, told: Iterable[Event]) -> tuple[str, ...]:
    """The tags of committed events, each once; none for most of what happens."""
    found: dict[str, None] = {}
    for event in told:
        finder = _FINDERS.get(type(event.change))
        if finder is not None:
            found |= dict.fromkeys(finder(world, event.change))
    return tuple(found)


def erased(told: Iterable[Event]) -> tuple[str, ...]:
    """The persons of whom nothing may be used any more."""
    return tuple(
        event.change.subject
        for event in told
        if isinstance(event.change, events.SubjectErased | events.SubjectRestricted)
    )


def _of_upsert(_world: World, change: events.EntityUpserted) -> tuple[str, ...]:
    return (f"{change.entity.__struct_config__.tag}:{change.entity.id}",)


def _of_removal(_world: World, change: events.EntityRemoved) -> tuple[str, ...]:
    return (f"{change.entity_kind}:{change.id}",)


def _of_fact(world: World, change: events.FactAsserted) -> tuple[str, ...]:
    subject = change.fact.subject
    known = [f"{kind}:{subject}" for kind in _KINDS if subject in table(world.state, kind)]
    return (f"fact:{subject}", *known)


def _of_happening(world: World, change: events.Happened) -> tuple[str, ...]:
    """What an act changes for good: who died or was taken, what changed hands, which door is open."""
    match change.verb:
        case "killed" | "captured" | "rescued":
            return _anyone(world, change.target)
        case "died":
            return _anyone(world, change.actor)
        case "destroyed":
            return (*_anyone(world, change.target), f"item:{change.item}")
        case "took" | "stole" | "crafted" | "gave" | "traded" | "dropped":
            return (f"item:{change.item}",) if change.item else ()
        case "unlocked":
            return (f"location:{change.location}",) if change.location else ()
        case _:
            return ()


def _anyone(world: World, id: str) -> tuple[str, ...]:
    if not id:
        return ()
    return tuple(f"{kind}:{id}" for kind in _KINDS if id in table(world.state, kind)) or (f"item:{id}",)


def _of_quest(_world: World, change: events.QuestRecorded) -> tuple[str, ...]:
    return (f"quest:{change.id}",)


def _of_erasure(_world: World, change: events.SubjectErased) -> tuple[str, ...]:
    return (f"player:{change.subject}", *(f"quest:{quest}" for quest in change.quests))


def _of_restriction(_world: World, change: events.SubjectRestricted) -> tuple[str, ...]:
    return (f"player:{change.subject}",)


_FINDERS: Mapping[type[Change], Callable[[World, Any], tuple[str, ...]]] = {
    events.EntityUpserted: _of_upsert,
    events.EntityRemoved: _of_removal,
    events.FactAsserted: _of_fact,
    events.Happened: _of_happening,
    events.QuestRecorded: _of_quest,
    events.SubjectErased: _of_erasure,
    events.SubjectRestricted: _of_restriction,
}
