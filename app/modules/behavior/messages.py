"""The messages of the behavior module.

Matrices travel as little-endian bytes: `bin` in msgpack, base64 in JSON. Small clients may send lists
or named features instead. It knows shapes only; meanings are in `schemas/open_world.toml`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from app.core.messages import Reply, Request
from app.world.entities import Id, Name

NPCS_MAX = 65_536
"""NPCs in one frame that the wire accepts; `settings.npcs_max` may be lower."""

Packed = Annotated[bytes, msgspec.Meta(max_length=64 * 1024 * 1024)]
Tick = Annotated[int, msgspec.Meta(ge=0, le=(1 << 62))]
Row = Annotated[tuple[float, ...], msgspec.Meta(max_length=1_024)]
Named = Annotated[dict[Name, float], msgspec.Meta(max_length=1_024)]


class Decide(Request, frozen=True, kw_only=True):
    """One tick of n NPCs: who they are, what each sees, what each may do.

    NPCs: either `handles` (n uint32, from world.upsert) or `npcs` (n ids). Observations: exactly one
    of `obs` (n x features float32), `obs_b64` (the same as base64 text), `rows` (n lists) or `features`
    (n maps of feature name to value in the schema's unit). `mask` is n x intents uint8, 1 = allowed;
    left out, everything is allowed. The same world, tick and observations give the same answer.
    """

    op: ClassVar[str] = "behavior.decide"

    tick: Tick
    handles: Packed = b""
    npcs: Annotated[tuple[Id, ...], msgspec.Meta(max_length=NPCS_MAX)] = ()
    obs: Packed = b""
    obs_b64: Annotated[str, msgspec.Meta(max_length=90 * 1024 * 1024)] = ""
    rows: Annotated[tuple[Row, ...], msgspec.Meta(max_length=NPCS_MAX)] = ()
    features: Annotated[tuple[Named, ...], msgspec.Meta(max_length=NPCS_MAX)] = ()
    mask: Packed = b""
    schema: Name = "open_world"
    format: Literal["bytes", "lists"] = "bytes"


class RowError(msgspec.Struct, frozen=True, kw_only=True):
    """What was wrong with one NPC's row; the others were answered as usual."""

    row: int
    npc: str
    code: Literal["unknown_npc", "not_finite", "nothing_allowed"]
    message: str


class Lists(msgspec.Struct, frozen=True, kw_only=True):
    """The decisions as plain lists; an intent of "" means none, a target of -1 means no slot."""

    intents: tuple[str, ...]
    targets: tuple[int, ...]
    confidence: tuple[float, ...]
    rungs: tuple[str, ...]


class Decided(Reply, frozen=True, kw_only=True):
    """One decision per NPC, in the order of the request.

    `intents` (n uint8, index into the schema's intents, 255 = none), `targets` (n uint8 slot, 255 = none),
    `confidence` (n float32 in [0, 1]), `rung_of` (n uint8, index into `rungs`). `clipped` counts values
    that lay outside the schema's range. `lists` repeats the arrays when `format` asked for it.
    """

    tick: int
    npcs: int
    intents: bytes
    targets: bytes
    confidence: bytes
    rung_of: bytes
    rungs: tuple[str, ...]
    errors: tuple[RowError, ...] = ()
    clipped: int = 0
    lists: Lists | None = None


class Explain(Request, frozen=True, kw_only=True):
    """Ask why an NPC did what it did last."""

    op: ClassVar[str] = "behavior.explain"

    npc: Id


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that mattered: a feature or a consideration, its value, and how much it moved the choice."""

    name: str
    value: float
    effect: float


class Explained(Reply, frozen=True, kw_only=True):
    """The last decision of one NPC with everything that went into it.

    `scores` holds one number per intent on the rung's own scale (logits or utilities); `reasons` the
    strongest first; `option` names the utility option that won, empty for the policy.
    """

    npc: str
    tick: int
    intent: str
    target: int | None
    confidence: float
    rung: str
    option: str
    features: dict[str, float]
    scores: dict[str, float]
    reasons: tuple[Reason, ...]
    directive: str = ""


class SetIntent(Request, frozen=True, kw_only=True):
    """Give an NPC a slow goal, from an author, a planner or a quest; it follows it where that is sane."""

    op: ClassVar[str] = "behavior.intent"

    npc: Id
    intent: Name
    target: Annotated[str, msgspec.Meta(max_length=128)] = ""
    until_s: float | None = None
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class IntentAccepted(Reply, frozen=True, kw_only=True):
    """The goal is committed; `seq` is its event."""

    npc: str
    intent: str
    seq: int


class Feedback(Request, frozen=True, kw_only=True):
    """What came of decisions, for learning: a reward for each NPC, joined later to what it decided in `tick`.

    NPCs: either `handles` (n uint32) or `npcs` (n ids). Rewards: either `reward` (n float32) or `rewards` (a list);
    several for one NPC and tick are added up. `kind` is the game's own word for what happened. `ends` says that the
    story of these NPCs is over with this tick: nothing later counts for what they did before.
    """

    op: ClassVar[str] = "behavior.feedback"

    tick: Tick
    handles: Packed = b""
    npcs: Annotated[tuple[Id, ...], msgspec.Meta(max_length=NPCS_MAX)] = ()
    reward: Packed = b""
    rewards: Annotated[tuple[float, ...], msgspec.Meta(max_length=NPCS_MAX)] = ()
    kind: Annotated[Name, msgspec.Meta(min_length=1)] = "reward"
    ends: bool = False
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class RewardError(msgspec.Struct, frozen=True, kw_only=True):
    """Why one NPC's reward was not recorded; the others were."""

    row: int
    npc: str
    code: Literal["unknown_npc", "not_finite", "out_of_range"]
    message: str


class FeedbackRecorded(Reply, frozen=True, kw_only=True):
    """`recorded` rewards are on the disk; `errors` lists the first of the `refused` ones."""

    recorded: int
    refused: int = 0
    errors: tuple[RewardError, ...] = ()
