"""What is worth remembering, and how it weighs: lines and happenings as memories, word for word.

Pure: no clock, no chance, no model. It says who holds a memory and who may be told of it; it does not know how
memories are kept, found or passed on.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

import msgspec

from app.core.ids import stable_hash
from app.core.messages import Event
from app.world.events import Happened, MemoryNoted, QuestRecorded, Verb
from app.world.scene import quest_head
from app.world.state import World

TEXT_MAX = 2_000
"""Characters that a memory's text may have in the log; longer is cut at the end."""
TOPIC_MAX = 200
HOLDERS_MAX = 16
"""NPCs that remember one happening; those concerned come first."""
LINE = 0.2
"""What a line weighs that carries no feeling, promises nothing and names nothing."""
NOTE = 0.5
"""What a note weighs where its writer does not say."""
CONCERNED = 0.1
"""What a happening weighs more where one of its NPCs remembers it themselves."""

Standing = Callable[[World, str], Iterable[str]]
"""(world, place) -> the ids of the NPCs there."""
Told = Literal["witnessed", "own_claim"]

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_WEIGHTY = re.compile(
    r"\b(?:promise\w*|swear|sworn|oath|vow|secret\w*|never forget|remember|owe\w*|debt|my name is|call me|i am from"
    r"|marry|married|born|kill\w*|murder\w*|betray\w*|treasure|must|tomorrow|always|never)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d")


class _Rule(NamedTuple):
    """How a happening weighs, and how it is told: `{actor}`, `{target}`, `{item}` and `{place}` are names.

    The first wording whose names are all there is taken.
    """

    importance: float
    emotion: str
    wordings: tuple[str, ...]


_RULES: Mapping[Verb, _Rule] = {
    "killed": _Rule(0.9, "afraid", ("{actor} killed {target}{at}.",)),
    "died": _Rule(0.9, "sad", ("{actor} died{at}.",)),
    "stole": _Rule(0.75, "angry", ("{actor} stole {item} from {target}{at}.", "{actor} stole {item}{at}.",
                                   "{actor} stole from {target}{at}.")),
    "attacked": _Rule(0.7, "afraid", ("{actor} attacked {target}{at}.",)),
    "defended": _Rule(0.65, "happy", ("{actor} defended {target}{at}.", "{actor} defended {place}.")),
    "destroyed": _Rule(0.6, "angry", ("{actor} destroyed {item}{at}.", "{actor} destroyed {target}{at}.")),
    "gave": _Rule(0.55, "happy", ("{actor} gave {item} to {target}{at}.", "{actor} made a gift to {target}{at}.")),
    "escorted": _Rule(0.5, "happy", ("{actor} brought {target} safely{to_place}.",)),
    "captured": _Rule(0.7, "surprised", ("{actor} captured {target}{at}.",)),
    "rescued": _Rule(0.7, "happy", ("{actor} rescued {target}{at}.",)),
    "unlocked": _Rule(0.4, "surprised", ("{actor} opened {place}.", "{actor} unlocked {item}{at}.")),
    "crafted": _Rule(0.3, "neutral", ("{actor} made {item}{at}.",)),
    "traded": _Rule(0.3, "neutral", ("{actor} traded {item} to {target}{at}.", "{actor} traded with {target}{at}.")),
    "trained": _Rule(0.25, "neutral", ("{actor} trained with {target}{at}.",)),
}  # fmt: skip
"""What is remembered of what happens. A verb that is not here passes without a trace."""

REMEMBERED: frozenset[Verb] = frozenset({*_RULES, "talked"})
"""Verbs of which anything may be remembered."""
_FIRST_MEETING = _Rule(0.5, "neutral", ("{actor} and {target} met for the first time{at}.",))

_QUESTS: Mapping[str, tuple[float, str, str]] = {
    "active": (0.6, "neutral", "{player} took on the quest “{title}”."),
    "completed": (0.8, "happy", "{player} completed the quest “{title}”."),
    "failed": (0.7, "sad", "{player} failed the quest “{title}”."),
    "abandoned": (0.6, "angry", "{player} abandoned the quest “{title}”."),
    "expired": (0.5, "sad", "{player} came too late for the quest “{title}”."),
    "compensated": (0.6, "sad", "{player} could not finish the quest “{title}” through no fault of their own."),
}
"""State of a quest -> what its giver remembers: importance, feeling, words."""


def line_noted(
    world: World,
    *,
    id: str,
    thread: str,
    speaker: str,
    text: str,
    heard_by: Collection[str],
    place: str,
    ai_generated: bool,
    source: Told = "witnessed",
    topic: str = "",
) -> MemoryNoted:
    """A line of dialogue as those who spoke or heard it remember it; whoever else is told of it is told by them.

    `heard_by` are players and NPCs, with or without the speaker. `source` is `own_claim` for what an NPC says.
    """
    known = tuple(dict.fromkeys((speaker, *heard_by)))
    feeling = emotion_of(text)
    return MemoryNoted(
        id=id,
        holders=tuple(one for one in known if one in world.state.npcs),
        source=source,
        text=text[:TEXT_MAX],
        speaker=speaker,
        participants=known[1:],
        known_by=known,
        place=place,
        topic=topic[:TOPIC_MAX],
        thread=thread,
        importance=importance_of(text, emotion=feeling),
        emotion=feeling,
        ai_generated=ai_generated,
    )


def happening_noted(
    world: World, event: Event, *, strangers: bool = False, standing: Standing | None = None
) -> MemoryNoted | None:
    """What the NPCs concerned, and those who stood by, remember of an event; None for most of what happens.

    `standing` knows the NPCs at a place; without it all are looked at. `strangers` says that the two who talked had
    not met before. The memory has the event's id. What was seen is gossip: anybody may be told. A first meeting is
    known to the two, a quest to its player and its giver; its memory has an id of its own by quest and state, so that
    one recorded again is the same memory.
    """
    change = event.change
    if isinstance(change, QuestRecorded):
        return _quest_noted(world, event, change)
    if not isinstance(change, Happened):
        return None
    if change.verb == "talked":
        return _meeting_noted(world, event, change) if strangers else None
    rule = _RULES.get(change.verb)
    if rule is None:
        return None
    place = change.location or _place_of(world, change.actor)
    text = _worded(world, change, rule, place)
    holders = witnesses(world, change, place, standing or all_standing)
    if not text or not holders:
        return None
    concerned = tuple(id for id in (change.actor, change.target) if id)
    return MemoryNoted(
        id=event.id,
        holders=holders,
        source="witnessed",
        text=text[:TEXT_MAX],
        participants=tuple(dict.fromkeys(id for id in concerned if _is_someone(world, id))),
        place=place,
        topic=change.verb,
        importance=min(1.0, rule.importance + CONCERNED * any(id in holders for id in concerned)),
        emotion=rule.emotion,
    )


def all_standing(world: World, place: str) -> Iterable[str]:
    """The ids of the NPCs at a place; looks at every NPC."""
    return (id for id, npc in world.state.npcs.items() if npc.location == place)


def witnesses(world: World, change: Happened, place: str, standing: Standing) -> tuple[str, ...]:
    """The living NPCs who are concerned or stand at the place, those concerned first, at most HOLDERS_MAX."""
    npcs = world.state.npcs
    found = dict.fromkeys((change.actor, change.target, *(standing(world, place) if place else ())))
    return tuple(id for id in found if id in npcs and npcs[id].alive)[:HOLDERS_MAX]


def importance_of(text: str, *, emotion: str = "neutral", least: float = LINE) -> float:
    """How much words weigh, in (0, 1]: more with a feeling, a promise, a secret, a name or a number."""
    felt = 0.15 if emotion != "neutral" else 0.0
    promised = min(0.3, 0.15 * len(_WEIGHTY.findall(text)))
    named = 0.05 if _NUMBER.search(text) else 0.0
    length = min(0.1, len(text) / 2_000.0)
    return round(min(1.0, least + felt + promised + named + length), 3)


def emotion_of(text: str) -> str:
    """The feeling that most words of the text carry; `neutral` where none does."""
    lexicon = _lexicon()
    counts: dict[str, int] = {}
    for word in _WORD.findall(text.lower()):
        feeling = lexicon.get(word)
        if feeling is not None:
            counts[feeling] = counts.get(feeling, 0) + 1
    if not counts:
        return "neutral"
    most = max(counts.values())
    return next(feeling for feeling in _feelings() if counts.get(feeling) == most)


def _meeting_noted(world: World, event: Event, change: Happened) -> MemoryNoted | None:
    """A first meeting of an NPC and a player, which is of no interest to others."""
    both = (change.actor, change.target)
    npcs = tuple(id for id in both if id in world.state.npcs and world.state.npcs[id].alive)
    if len(npcs) != 1 or not any(id in world.state.players for id in both):
        return None
    place = change.location or _place_of(world, change.actor)
    return MemoryNoted(
        id=event.id,
        holders=npcs,
        source="witnessed",
        text=_worded(world, change, _FIRST_MEETING, place)[:TEXT_MAX],
        participants=both,
        known_by=both,
        place=place,
        topic="met",
        importance=_FIRST_MEETING.importance,
    )


def _quest_noted(world: World, event: Event, change: QuestRecorded) -> MemoryNoted | None:
    head, rule = quest_head(change), _QUESTS.get(change.state)
    giver = world.state.npcs.get(head.giver)
    if rule is None or giver is None or not giver.alive or not head.title or not head.player:
        return None
    importance, feeling, wording = rule
    return MemoryNoted(
        id=f"quest-{stable_hash(change.id, change.state):016x}",
        holders=(giver.id,),
        source="server_fact",
        text=wording.format(player=name_of(world, head.player), title=head.title)[:TEXT_MAX],
        participants=(head.player, giver.id),
        known_by=(head.player, giver.id),
        place=giver.location,
        quest=change.id,
        topic=change.state,
        importance=importance,
        emotion=feeling,
    )


def name_of(world: World, id: str) -> str:
    """What an entity is called in a sentence; ids of the game are never spoken."""
    found = world.entity(id)
    if found is not None and found.name:
        return found.name
    if id in world.state.items:
        return world.state.items[id].item_kind or "something"
    return "a stranger" if id in world.state.players else "somebody"


def _worded(world: World, change: Happened, rule: _Rule, place: str) -> str:
    at = world.state.locations.get(place)
    where = at.name if at is not None else ""
    names = {
        "actor": name_of(world, change.actor),
        "target": name_of(world, change.target) if change.target else "",
        "item": _the(name_of(world, change.item)) if change.item else "",
        "place": where,
        "at": f" at {where}" if where else "",
        "to_place": f" to {where}" if where else "",
    }
    free = ("at", "to_place")
    for wording in rule.wordings:
        needed = [name for name in names if f"{{{name}}}" in wording and name not in free]
        if all(names[name] for name in needed):
            sentence = wording.format(**names)
            return sentence[0].upper() + sentence[1:]
    return ""


def _the(name: str) -> str:
    """A thing with an article, where its name has none and is no proper name."""
    first = name.split(" ", 1)[0].lower()
    return name if name[:1].isupper() or first in ("a", "an", "the", "some", "something") else f"the {name}"


def _place_of(world: World, id: str) -> str:
    npc, player = world.state.npcs.get(id), world.state.players.get(id)
    return npc.location if npc is not None else player.location if player is not None else ""


def _is_someone(world: World, id: str) -> bool:
    return id in world.state.npcs or id in world.state.players


@cache
def _words() -> dict[str, tuple[str, ...]]:
    text = (resources.files("app.world") / "emotions.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, tuple[str, ...]])


@cache
def _lexicon() -> dict[str, str]:
    return {word: feeling for feeling, words in reversed(_words().items()) for word in words}


@cache
def _feelings() -> tuple[str, ...]:
    return tuple(_words())
