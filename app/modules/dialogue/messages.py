"""The messages of the dialogue module."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from app.core.messages import Chunk, ModelText, Reply, Request
from app.core.words import Part
from app.world.entities import Id, Name, Value

Utterance = Annotated[str, msgspec.Meta(max_length=1_000)]
Participants = Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=16)]
Emotion = Literal["neutral", "happy", "sad", "angry", "afraid", "surprised"]


class Open(Request, frozen=True, kw_only=True):
    """Begin a dialogue with `npc`; `participants` are ids of players, or of NPCs for NPC–NPC talk."""

    op: ClassVar[str] = "dialogue.open"

    npc: Id
    participants: Participants
    location: Name = ""
    """Where they stand; empty takes the NPC's own location."""


class Opened(Reply, frozen=True, kw_only=True):
    """`dialogue` names the conversation in the requests that follow."""

    dialogue: str
    npc: str
    participants: tuple[str, ...]
    location: str


class Say(Request, frozen=True, kw_only=True):
    """One participant's line; the addressed NPC answers.

    Empty `text` from a player lets the NPC speak first; empty `text` from an NPC lets that NPC speak. Sent again
    with the same `key`, it is said once: the reply is the first one, without its chunks.
    """

    op: ClassVar[str] = "dialogue.say"

    dialogue: Id
    speaker: Id
    text: Utterance = ""
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class Spoken(Chunk, frozen=True, kw_only=True):
    """The next sentences of the line, already checked; joined by one space they are the reply's `text`."""

    dialogue: str
    npc: str
    text: ModelText
    index: int
    ai_generated: bool
    """True only when a model wrote them."""


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
    """The NPC's whole line. `relation_delta` is how its feeling for the speaker moved, in [-1, 1]."""

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


class Explained(Reply, frozen=True, kw_only=True):
    """`context` as the engine saw it, `context_cut` what did not fit, `line_cut` what the gate took out.

    `intent` is what the line it answers was understood as; `falls` gives the reason of each rung that failed.
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
