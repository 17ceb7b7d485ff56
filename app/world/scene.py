"""What one speaker knows and sees as it opens its mouth: plain values, for any engine that writes words.

The dialogue module composes a scene from a world; an engine without a model writes from it. It does
not know how either works. Everything in a scene may be said to the listener: what must stay secret is left out.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from app.world.entities import Persona
from app.world.events import QuestRecorded

Intent = Literal[
    "greet", "ask_quest", "ask_place", "ask_person", "trade", "threaten", "thank", "goodbye", "small_talk",
    "unknown", "chatter", "apologize", "compliment", "insult", "yes", "no", "joke", "ask_self", "ask_memory",
    "ask_rumor", "ask_time", "ask_weather", "ask_why", "flirt", "bargain", "request", "story", "tell",
]  # fmt: skip
"""What the line that is answered wants; `chatter` is talk among NPCs, which wants nothing.

`tell` is something that the listener says of itself, `yes` and `no` answer what the speaker asked.
"""

PartOfDay = Literal["dawn", "morning", "noon", "afternoon", "evening", "night"]
Compass = Literal["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west", ""]
Need = Literal["hungry", "tired", "hurt", ""]
Reach = Literal["here", "near", "far", "remote", ""]
Mood = Literal["calm", "cheerful", "grim", "angry", "afraid", "weary"]


class Someone(msgspec.Struct, frozen=True, kw_only=True):
    """A person as the speaker knows them; `place` is where they are usually found, `relation` lies in [-1, 1]."""

    id: str
    name: str
    role: str = ""
    place: str = ""
    alive: bool = True
    here: bool = False
    relation: float = 0.0


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """A place and the way to it from where the speaker stands; `via` is the next place on the way, if not itself.

    `keeper` is the name of one who works there. Map rows grow to the south.
    """

    id: str
    name: str
    direction: Compass = ""
    reach: Reach = ""
    via: str = ""
    keeper: str = ""
    open: bool = True


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that may be told; `subject` is a name where the entity has one."""

    subject_id: str
    subject: str
    predicate: str
    value: str
    asked: bool = False
    """Whether it is here only since it was asked about."""


class QuestNote(msgspec.Struct, frozen=True, kw_only=True):
    """A quest that the speaker has to give, or has given to the listener."""

    id: str
    title: str
    description: str
    state: str
    todo: str = ""
    """The first thing still to do, for a quest that the listener carries."""


class Ware(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the speaker holds; `price` in the game's coin, 0 where it has none."""

    name: str
    price: float = 0.0


class News(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened of late where the speaker would hear of it; every field but `verb` is a name or empty."""

    verb: str
    actor: str
    target: str = ""
    item: str = ""
    place: str = ""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was said before in this dialogue."""

    speaker: str
    name: str
    text: str
    npc: bool
    topic: str = ""
    ai_generated: bool = False
    """Whether a model wrote any of it."""


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the speaker remembers and may tell the listener; names, not ids.

    `text` is word for word what was said or noted. `told_by` is who passed it on, empty where the speaker was there.
    `verb` tells an event (`killed`, `gave`), `line` what somebody said, `note` all else.
    """

    id: str
    text: str
    kind: Literal["line", "event", "note", "derived"] = "note"
    verb: str = ""
    speaker: str = ""
    """Who said it, or did it."""
    others: tuple[str, ...] = ()
    """Who else took part."""
    by_listener: bool = False
    """Whether it was the listener who said or did it..."""
    by_me: bool = False
    """...or the speaker itself."""
    to_me: bool = False
    """Whether it was said to the speaker, and not only overheard."""
    topic: str = ""
    """What a line wanted, as an intent; what else a memory is about."""
    place: str = ""
    told_by: str = ""
    days_ago: float = 0.0
    """Game days since."""
    importance: float = 0.3
    emotion: str = "neutral"
    strength: float = 1.0
    ai_generated: bool = False


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """The moment before a line.

    `heard` is what the listener said, as data; `asked` is the word it asked about when that named nothing known.
    `said` are the sentences of this very line that went out already; `stale` are lines not to repeat; `places`
    and `people` are those nearby that the speaker knows.
    """

    npc: Someone
    persona: Persona
    listener: Someone
    listener_is_npc: bool = False
    intent: Intent = "unknown"
    heard: str = ""
    asked: str = ""
    topic: str = ""
    spot: Spot | None = None
    person: Someone | None = None
    here: Spot | None = None
    met_before: bool = False
    part_of_day: PartOfDay = "morning"
    weather: str = ""
    need: Need = ""
    known: tuple[Known, ...] = ()
    quests: tuple[QuestNote, ...] = ()
    wares: tuple[Ware, ...] = ()
    trader: Someone | None = None
    news: tuple[News, ...] = ()
    lines: tuple[Line, ...] = ()
    lines_before: int = 0
    """Lines of this dialogue before the first of `lines`."""
    said: tuple[str, ...] = ()
    turned_down: tuple[str, ...] | None = None
    """Of a scene that is played again: what had gone round too often then; None, whoever writes asks now."""
    stale: tuple[str, ...] = ()
    places: tuple[Spot, ...] = ()
    people: tuple[Someone, ...] = ()
    recalled: tuple[Recalled, ...] = ()
    """What the speaker is reminded of now, best first."""
    pinned: tuple[Recalled, ...] = ()
    """Promises and standing orders toward the listener."""
    lore: tuple[Known, ...] = ()
    """Background that the talk touches."""
    mood: Mood = "calm"
    present: tuple[Someone, ...] = ()
    """Who else stands within earshot, players first."""
    whisper: bool = False
    addressed: bool = True
    """Whether the line that is answered was meant for the speaker; false where it speaks up in a group."""

    def npc_feels(self) -> float:
        """How the speaker feels about the listener, in [-1, 1]."""
        return self.listener.relation


class GoalHead(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a quest still wants, in words."""

    text: str = ""
    done: bool = False


class QuestHead(msgspec.Struct, frozen=True, kw_only=True):
    """What talk needs of a quest record, read without knowing the rest of it."""

    giver: str = ""
    player: str = ""
    title: str = ""
    description: str = ""
    goals: tuple[GoalHead, ...] = ()


_heads = msgspec.msgpack.Decoder(QuestHead)


def quest_head(record: QuestRecorded) -> QuestHead:
    """The head of a quest's body; empty where the body holds no such fields."""
    try:
        return _heads.decode(record.body)
    except msgspec.DecodeError:
        return QuestHead()
