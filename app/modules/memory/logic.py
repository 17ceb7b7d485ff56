"""What memory decides: what an event makes a holder remember, what is passed on, what goes first. Pure.

It knows memories and worlds' states, no store and no clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from app.core.errors import Invalid
from app.core.ids import stable_hash
from app.core.memory import Recollection
from app.core.messages import Event
from app.modules.memory import messages
from app.modules.memory.settings import GossipSettings
from app.world.events import MemoryNoted, MemorySource
from app.world.state import State

TOLD_BY = "told_by:"
_SHOWN = tuple(name for name in messages.Remembered.__struct_fields__ if name not in ("source", "provenance"))
PLAIN: tuple[MemorySource, ...] = ("witnessed", "server_fact", "own_claim")
"""Sources that a client may give as they stand."""


def recollection(event: Event) -> Recollection:
    """The memory that a MemoryNoted is."""
    noted: MemoryNoted = event.change
    return Recollection(
        id=noted.id,
        seq=event.seq,
        text=noted.text,
        source=noted.source,
        told_by=noted.told_by,
        tellers=noted.tellers,
        speaker=noted.speaker,
        participants=noted.participants,
        known_by=noted.known_by,
        place=noted.place,
        quest=noted.quest,
        topic=noted.topic,
        thread=noted.thread,
        game_s=event.game_s,
        wall_ms=event.wall_ms,
        importance=noted.importance,
        emotion=noted.emotion,
        strength=noted.strength,
        pinned=noted.pinned,
        links=noted.links,
        ai_generated=noted.ai_generated,
        until_s=None if noted.ttl_s is None else event.game_s + noted.ttl_s,
    )


def remembered(memory: Recollection) -> messages.Remembered:
    """The memory as a client is told of it."""
    fields: dict[str, Any] = {name: getattr(memory, name) for name in _SHOWN}
    source = f"{TOLD_BY}{memory.told_by}" if memory.source == "told_by" else memory.source
    return messages.Remembered(**fields, source=source, provenance=memory.tellers)


def source_of(text: str) -> tuple[MemorySource, str]:
    """(source, who told) of a client's `source`; raises Invalid."""
    if text.startswith(TOLD_BY) and len(text) > len(TOLD_BY):
        return "told_by", text.removeprefix(TOLD_BY)
    for source in PLAIN:
        if text == source:
            return source, ""
    raise Invalid(f"source {text!r} is none", hint=f"give {', '.join(PLAIN)}, or {TOLD_BY}ID")


def persons(memory: Recollection) -> tuple[str, ...]:
    """Whom a memory is of: who said it, told it, or took part."""
    return tuple(dict.fromkeys(id for id in (memory.speaker, memory.told_by, *memory.participants) if id))


def concerns(memory: Recollection, id: str) -> bool:
    """Whether a memory is of an entity or was told to it."""
    return id in (memory.speaker, memory.told_by, memory.place, memory.quest) or id in memory.participants


def usable(state: State, memories: Iterable[Recollection]) -> tuple[Recollection, ...]:
    """The memories without those of persons of whom nothing may be used now."""
    if not state.withheld:
        return tuple(memories)
    return tuple(memory for memory in memories if not _held_back(state, memory))


def _held_back(state: State, memory: Recollection) -> bool:
    if any(id in state.withheld for id in (*persons(memory), *memory.known_by)):
        return True
    names = [held.name for held in state.withheld.values() if held.name]
    return any(name in memory.text for name in names)


def may_hear(memory: Recollection, listener: str, faction: str = "") -> bool:
    """Whether somebody, or the faction that they are of, may be told."""
    return not memory.known_by or listener in memory.known_by or (faction != "" and faction in memory.known_by)


def keeping_weight(memory: Recollection, half_life_s: float) -> float:
    """What decides which memory goes first: importance, halved with each half-life of age.

    It is a logarithm, so that the order of two memories never changes with time.
    """
    return math.log2(max(memory.importance, 1e-6)) + memory.game_s / half_life_s


def root_of(memory: Recollection) -> str:
    """What a rumor was at first, by its id: the memory itself where it is no hearsay."""
    return memory.links[-1] if memory.source == "told_by" and memory.links else memory.id


def is_gossip(memory: Recollection, settings: GossipSettings) -> bool:
    """Whether an NPC would pass it on: anybody may hear it, it weighs enough and has not gone around too far."""
    return (
        not memory.known_by
        and not memory.pinned
        and memory.until_s is None
        and memory.source in ("witnessed", "told_by", "server_fact")
        and len(memory.tellers) < settings.hops_max
        and memory.importance * memory.strength >= settings.weight_min
    )


def hearsay(memory: Recollection, teller: str, listener: str, *, decay: float) -> MemoryNoted:
    """What `listener` remembers when `teller` has told them; the same rumor told twice has the same id."""
    root = root_of(memory)
    known = memory.known_by
    return MemoryNoted(
        id=f"heard-{stable_hash(root, listener):016x}",
        holders=(listener,),
        source="told_by",
        text=memory.text,
        told_by=teller,
        tellers=(*memory.tellers, teller),
        speaker=memory.speaker,
        participants=memory.participants,
        known_by=tuple(dict.fromkeys((*known, teller, listener))) if known else (),
        place=memory.place,
        quest=memory.quest,
        topic=memory.topic,
        importance=memory.importance,
        emotion=memory.emotion,
        strength=round(memory.strength * decay, 6),
        links=(memory.id,) if root == memory.id else (memory.id, root),
        ai_generated=memory.ai_generated,
    )


def shared_audience(memories: Iterable[Recollection], npc: str) -> tuple[str, ...]:
    """Who may hear what was made from all of these: never more than may hear each; nobody else, the NPC alone."""
    audience: set[str] | None = None
    for memory in memories:
        if memory.known_by:
            audience = set(memory.known_by) if audience is None else audience & set(memory.known_by)
    if audience is None:
        return ()
    return tuple(sorted(audience | {npc}))
