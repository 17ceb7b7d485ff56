"""What a speaker is reminded of, as a scene holds it: memories by names, and the mood that they put it in.

Pure: reads the world, changes nothing. What may be told to whom was decided by whoever recalled it; a memory that
names the persons who may know it is held against the listener once more here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from app.core.memory import Recollection
from app.modules.dialogue.settings import Settings
from app.world.entities import Npc, Player
from app.world.events import Verb
from app.world.gate.speech import clean_input
from app.world.scene import Mood, News, Recalled, Scene
from app.world.state import World

VERBS = frozenset(get_args(Verb))
GRIM = frozenset({"killed", "died", "destroyed", "attacked", "stole"})
MEEK = frozenset({"villager", "farmer", "child"})
_FELT: dict[str, Mood] = {
    "happy": "cheerful", "sad": "grim", "angry": "angry", "afraid": "afraid",
}  # fmt: skip
IDLE = frozenset({"greet", "goodbye", "thank", "yes", "no", "small_talk"})
"""Lines that say nothing; they are remembered, and come to nobody's mind when somebody says good morning again."""
MOVING = 0.5
"""Importance times strength from which a memory sets the mood."""


def recalled_of(
    world: World, npc: Npc, other: Npc | Player, found: Iterable[Recollection], settings: Settings
) -> tuple[Recalled, ...]:
    """Memories as a scene holds them, in their order, without idle talk and what the listener must not learn of."""
    told = [each for each in found if _may_hear(other, each) and not (each.speaker and each.topic in IDLE)]
    return tuple(_recalled(world, npc, other, each, settings) for each in told)


def mood_of(scene: Scene) -> Mood:
    """How the speaker is just now: by who stands before them, their body, what happened, and what they recall."""
    felt = scene.npc_feels()
    if felt <= -0.3:
        return "afraid" if scene.need == "hurt" or scene.npc.role in MEEK else "angry"
    if scene.need:
        return "weary"
    if scene.news and _grim(scene.news[0]):
        return "grim"
    for memory in scene.recalled:
        if memory.importance * memory.strength >= MOVING and memory.emotion in _FELT:
            return _FELT[memory.emotion]
    return "cheerful" if felt >= 0.3 else "calm"


def _grim(news: News) -> bool:
    return news.verb in GRIM


def _may_hear(other: Npc | Player, memory: Recollection) -> bool:
    known = memory.known_by
    return not known or other.id in known or (isinstance(other, Npc) and other.faction != "" and other.faction in known)


def _recalled(world: World, npc: Npc, other: Npc | Player, memory: Recollection, settings: Settings) -> Recalled:
    kind = _kind(memory)
    doer = memory.speaker or (memory.participants[0] if kind == "event" and memory.participants else "")
    others = [id for id in memory.participants if id not in (doer, npc.id, other.id)]
    return Recalled(
        id=memory.id,
        text=clean_input(memory.text),
        kind=kind,
        verb=memory.topic if kind == "event" else "",
        speaker=_name(world, doer),
        others=tuple(filter(None, (_name(world, id) for id in others))),
        by_listener=doer == other.id,
        by_me=doer == npc.id,
        to_me=memory.participants[:1] == (npc.id,),
        topic=memory.topic,
        place=_name(world, memory.place),
        told_by=_name(world, memory.told_by),
        days_ago=max(0.0, world.state.game_s - memory.game_s) / settings.day_s,
        importance=memory.importance,
        emotion=memory.emotion,
        strength=memory.strength,
        ai_generated=memory.ai_generated,
    )


def _kind(memory: Recollection) -> Literal["line", "event", "note", "derived"]:
    if memory.source == "derived":
        return "derived"
    if memory.speaker:
        return "line"
    return "event" if memory.topic in VERBS else "note"


def _name(world: World, id: str) -> str:
    """What it is called; nothing where it has no name, for ids of the game are never spoken."""
    found = world.entity(id) if id else None
    return clean_input(found.name) if found is not None else ""
