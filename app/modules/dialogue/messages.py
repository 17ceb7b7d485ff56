"""The messages of the dialogue module."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from app.core.messages import Chunk, ModelText, Reply, Request
from app.core.words import Part
from app.world.entities import Id, Name, Value

Utterance = Annotated[str, msgspec.Meta(max_length=1_000)]
Participants = Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=64)]
"""How many there may really be says `participants_max` of the profile."""
Emotion = Literal["neutral", "happy", "sad", "angry", "afraid", "surprised"]


class Open(Request, frozen=True, kw_only=True):
    """Begin a dialogue with `npc`; `participants` are ids of players and NPCs, as many as the profile allows."""

    op: ClassVar[str] = "dialogue.open"

    npc: Id
    participants: Participants
    location: Name = ""
    """Where they stand; empty takes the NPC's own location."""


class Opened(Reply, frozen=True, kw_only=True):
    """`dialogue` names the conversation in the requests that follow; `participants` are all but `npc`."""

    dialogue: str
    npc: str
    participants: tuple[str, ...]
    location: str


class Join(Request, frozen=True, kw_only=True):
    """One more takes part; what was said before, they have not heard. Joining twice is joining once."""

    op: ClassVar[str] = "dialogue.join"

    dialogue: Id
    participant: Id


class Leave(Request, frozen=True, kw_only=True):
    """One takes part no longer; leaving twice is leaving once.

    Where the NPC of the dialogue leaves, another NPC that takes part becomes it.
    """

    op: ClassVar[str] = "dialogue.leave"

    dialogue: Id
    participant: Id


class Say(Request, frozen=True, kw_only=True):
    """One participant's line; the addressed NPC answers.

    `to` names the NPC that is addressed; left empty, it is found by the words. A `whisper` is heard by its speaker and
    the addressed NPC alone, and so is the answer. Empty `text` from a player lets an NPC speak first; empty `text`
    from an NPC lets that NPC speak, to `to` if that is given. Sent again with the same `key`, it is said once: the
    reply is the first one, without its chunks.
    """

    op: ClassVar[str] = "dialogue.say"

    dialogue: Id
    speaker: Id
    text: Utterance = ""
    to: Name = ""
    whisper: bool = False
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class Spoken(Chunk, frozen=True, kw_only=True):
    """The next sentences of the line, already checked; joined by one space they are the reply's `text`.

    A `filler` bridges the wait for a model: it is spoken, and is no part of the line.
    """

    dialogue: str
    npc: str
    text: ModelText
    index: int
    ai_generated: bool
    """True only when a model wrote them."""
    filler: bool = False


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """An act that the NPC offers; it becomes an effect only through world.confirm."""

    id: str
    action: str
    arguments: dict[str, Value]


class ClaimMade(msgspec.Struct, frozen=True, kw_only=True):
    """A checkable statement in the line; `source` names the entity field or fact that bears it out."""

    text: ModelText
    subject: str
    source: str


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What the line consumed; zeros where no model wrote it."""

    input: int = 0
    output: int = 0
    cached_input: int = 0


class Said(Reply, frozen=True, kw_only=True):
    """The NPC's whole line. `relation_delta` is how its feeling for the speaker moved, in [-1, 1].

    `ms_first_token` is the time to whatever was heard first, a filler included. `next_speaker` is who would speak
    next: a player, for whom the game waits, or an NPC, which speaks when the game sends `say` for it without text;
    empty where it is anybody's turn. `heard_by` are the players and NPCs that heard the line, `choices` what an
    authored story lets the player say next. Where the line was `interrupted`, `text` is what was said of it.
    """

    dialogue: str
    npc: str
    text: ModelText
    emotion: Emotion
    relation_delta: float
    proposals: tuple[Proposal, ...]
    claims: tuple[ClaimMade, ...]
    rung: str
    engine: str
    tokens: Tokens
    cost_usd: float
    ms_first_token: float
    ms_total: float
    explain_id: str
    ai_generated: bool
    """True only when a model wrote any of it."""
    next_speaker: str = ""
    heard_by: tuple[str, ...] = ()
    interrupted: bool = False
    choices: tuple[str, ...] = ()


class Interrupt(Request, frozen=True, kw_only=True):
    """Cut the line that is being spoken, at its last whole sentence; `by` is who does, empty for the game itself.

    What was not said has no effect and is not remembered. Where nobody speaks, nothing happens.
    """

    op: ClassVar[str] = "dialogue.interrupt"

    dialogue: Id
    by: Name = ""


class Interrupted(Reply, frozen=True, kw_only=True):
    """Whether a line was cut; its own `Said` tells what was said of it, and comes in reply to its `say`."""

    dialogue: str
    interrupted: bool


class Bark(Request, frozen=True, kw_only=True):
    """One short line of an NPC for something that happens, outside any dialogue: authored, quick, not remembered.

    `event` is a verb of world.event such as `killed`, or a word of the game's own; `actor`, `target`, `item` and
    `location` are the ids of what it is about. An NPC's own lines stand in its persona under `bark_EVENT`, and closer
    ones under `bark_EVENT.MOOD.RELATION.TOPIC`, each part but the event of which may be missing. `mood` is the NPC's
    attribute of that name where it is left out; the relation, `friend`, `foe` or `stranger`, is the one to `actor`.
    """

    op: ClassVar[str] = "dialogue.bark"

    npc: Id
    event: Name = ""
    topic: Name = ""
    actor: Name = ""
    target: Name = ""
    item: Name = ""
    location: Name = ""
    mood: Name = ""


class Barked(Reply, frozen=True, kw_only=True):
    """The line, and who stands within earshot; an author wrote it, never a model."""

    npc: str
    text: str
    event: str
    """The event that the line is for; empty where it fits any."""
    heard_by: tuple[str, ...]


class Close(Request, frozen=True, kw_only=True):
    """End a dialogue; closing one that is gone already is no error."""

    op: ClassVar[str] = "dialogue.close"

    dialogue: Id


class Closed(Reply, frozen=True, kw_only=True):
    """`turns` is how many lines were spoken; 0 when the dialogue was gone already."""

    dialogue: str
    turns: int


class Explain(Request, frozen=True, kw_only=True):
    """Everything behind one line; `explain_id` comes from its reply."""

    op: ClassVar[str] = "dialogue.explain"

    explain_id: Id


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was left out of the context or taken out of the line, and why."""

    what: ModelText
    reason: str


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate said to one proposal."""

    action: str
    arguments: dict[str, Value]
    allowed: bool
    reason: str


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """A memory that the line was written from; `why` are the parts of its `score`."""

    id: str
    text: ModelText
    source: str
    told_by: str = ""
    days_ago: float = 0.0
    strength: float = 1.0
    score: float = 0.0
    why: dict[str, float] = {}


class Explained(Reply, frozen=True, kw_only=True):
    """`context` as the engine saw it, `context_cut` what did not fit, `line_cut` what the gate took out.

    `intent` is what the line it answers was understood as; `falls` gives the reason of each rung that failed. `cache`
    is `hit` for a line that a model wrote before, and that was kept.
    """

    explain_id: str
    dialogue: str
    npc: str
    speaker: str
    heard: str
    intent: str
    context: tuple[Part, ...]
    context_tokens: int
    context_cut: tuple[Cut, ...]
    line: ModelText
    line_cut: tuple[Cut, ...]
    claims: tuple[ClaimMade, ...]
    rulings: tuple[Ruling, ...]
    rung: str
    engine: str
    model: str
    cache: Literal["off", "miss", "hit"]
    falls: tuple[Cut, ...]
    tokens: Tokens
    cost_usd: float
    prompt_version: str
    prompt_label: str
    """The label that led to the version, or `bundled`."""
    seed: int
    ms_first_token: float
    ms_total: float
    ai_generated: bool
    """True when a model wrote anything here: of the line, of what was cut from it, or of what was said before."""
    heard_by: tuple[str, ...] = ()
    filler: str = ""
    """What was said to bridge the wait for the first sentence."""
    interrupted: bool = False
    recalled: tuple[Remembered, ...] = ()
    """What the NPC was reminded of, best first..."""
    pinned: tuple[Remembered, ...] = ()
    """...and what it must keep in mind."""


class Replay(Request, frozen=True, kw_only=True):
    """Make a line again from its record, without an effect: its engines' output through the gate as it is now."""

    op: ClassVar[str] = "dialogue.replay"

    explain_id: Id


class Replayed(Reply, frozen=True, kw_only=True):
    """Whether the line comes out the same. `differs` names what does not: `text`, `cut` or `rulings`.

    `rungs` are those that wrote it, in order; `release` is the one that spoke it.
    """

    explain_id: str
    equal: bool
    differs: tuple[str, ...]
    recorded: ModelText
    replayed: ModelText
    rungs: tuple[str, ...]
    line_cut: tuple[Cut, ...]
    rulings: tuple[Ruling, ...]
    prompt_version: str
    release: str
    ai_generated: bool
