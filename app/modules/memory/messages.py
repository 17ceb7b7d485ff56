"""The messages of the memory module."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from app.core.ids import ID_LENGTH_MAX
from app.core.messages import ModelText, Reply, Request
from app.world.entities import Id, Name

Key = Annotated[str, msgspec.Meta(max_length=128)]
AnyId = Annotated[str, msgspec.Meta(max_length=ID_LENGTH_MAX)]
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
Persons = Annotated[tuple[Id, ...], msgspec.Meta(max_length=64)]
NoteSource = Annotated[str, msgspec.Meta(max_length=8 + ID_LENGTH_MAX)]
Weight = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
JobState = Literal["waiting", "running", "done", "failed"]


class Write(Request, frozen=True, kw_only=True):
    """A request that changes what is remembered; sent again with the same `key`, it has one effect and one answer."""

    key: Key = ""


class Note(Write, frozen=True, kw_only=True):
    """Let `npc`, and those of `also`, remember a text word for word; both may name factions, whose members share it.

    `source` is `witnessed`, `server_fact`, `own_claim`, or `told_by:ID`. `known_by` empty lets anybody be told, and
    gossip spread; else only these may hear of it. Without `importance` the words are weighed. `ttl_s` and `game_s` are
    in game seconds.
    """

    op: ClassVar[str] = "memory.note"

    npc: Id
    text: Words
    also: Persons = ()
    source: NoteSource = "witnessed"
    speaker: AnyId = ""
    participants: Persons = ()
    known_by: Persons = ()
    place: AnyId = ""
    quest: AnyId = ""
    topic: Name = ""
    thread: AnyId = ""
    importance: Weight | None = None
    ttl_s: Annotated[float, msgspec.Meta(gt=0.0)] | None = None
    pinned: bool = False
    game_s: float | None = None


class Noted(Reply, frozen=True, kw_only=True):
    """`seq` is the memory's place in the world's log."""

    id: str
    seq: int
    importance: float
    emotion: str


class Recall(Request, frozen=True, kw_only=True):
    """What comes to an NPC's mind: by words, and by who and what is at hand.

    `listener` is who will hear of it: nothing that they must not learn is in the answer. Without one the NPC is
    with its own thoughts. The lines of `but_thread` are left out.
    """

    op: ClassVar[str] = "memory.recall"

    npc: Id
    text: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    listener: AnyId = ""
    participants: Persons = ()
    place: AnyId = ""
    quests: Annotated[tuple[Id, ...], msgspec.Meta(max_length=64)] = ()
    but_thread: AnyId = ""
    most: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 8


class Remembered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One memory. `provenance` are those through whose mouths it came, the first to tell it first."""

    id: str
    seq: int
    text: ModelText
    source: str
    provenance: tuple[str, ...]
    speaker: str
    participants: tuple[str, ...]
    known_by: tuple[str, ...]
    place: str
    quest: str
    topic: str
    thread: str
    game_s: float
    wall_ms: int
    importance: float
    emotion: str
    strength: float
    pinned: bool
    links: tuple[str, ...]
    ai_generated: bool
    score: float
    why: dict[str, float]


class Recalled(Reply, frozen=True, kw_only=True):
    """The memories that fit best, best first, and those that are always at hand, newest first.

    `ai_generated` says whether a model wrote any of them.
    """

    npc: str
    memories: tuple[Remembered, ...]
    pinned: tuple[Remembered, ...]
    ai_generated: bool


class Forget(Write, frozen=True, kw_only=True):
    """Let an NPC forget memories: by their ids, all of one dialogue, or all about one entity. Exactly one is given."""

    op: ClassVar[str] = "memory.forget"

    npc: Id
    ids: Annotated[tuple[Id, ...], msgspec.Meta(max_length=1_000)] = ()
    thread: AnyId = ""
    about: AnyId = ""


class Forgot(Reply, frozen=True, kw_only=True):
    """How many memories are gone, and the world's newest event then."""

    npc: str
    forgotten: int
    seq: int


class Tell(Write, frozen=True, kw_only=True):
    """The game saw `npc` tell another NPC some of what it remembers; it is hearsay there.

    What only some may hear of stays among them: a memory that `to` must not learn is refused.
    """

    op: ClassVar[str] = "memory.tell"

    npc: Id
    to: Id
    ids: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=64)]


class Told(Reply, frozen=True, kw_only=True):
    """The ids of what was told, as `to` remembers it."""

    npc: str
    to: str
    ids: tuple[str, ...]


class Reflect(Request, frozen=True, kw_only=True):
    """Begin to draw conclusions from what an NPC remembers, about one person or about those it met most.

    The answer comes at once; the work goes on in the background, within `tokens_max`.
    """

    op: ClassVar[str] = "memory.reflect"

    npc: Id
    about: AnyId = ""
    tokens_max: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None


class Job(Request, frozen=True, kw_only=True):
    """How far a reflection is."""

    op: ClassVar[str] = "memory.job"

    job: Id


class Reflected(Reply, frozen=True, kw_only=True):
    """A reflection: `memories` are the ids of its conclusions, `rung` is `words` or `rules`."""

    job: str
    npc: str
    state: JobState
    rung: str
    memories: tuple[str, ...]
    tokens: int
    error: str
