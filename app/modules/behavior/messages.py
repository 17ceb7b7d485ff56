"""The messages of the behavior module.

Matrices travel as little-endian bytes: `bin` in msgpack, base64 in JSON. Small clients may send lists
or named features instead. It knows shapes only; meanings are in `schemas/open_world.toml`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from app.core.messages import ModelText, Reply, Request
from app.modules.behavior.considerations import Curve
from app.world.entities import Formation, Id, Name, Squad

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


class Steered(msgspec.Struct, frozen=True, kw_only=True):
    """What one of the author's rules did: the bonus that it gave an intent, or that it vetoed it."""

    name: str
    intent: str
    bonus: float
    veto: bool


class Explained(Reply, frozen=True, kw_only=True):
    """The last decision of one NPC with everything that went into it.

    `scores` holds one number per intent on the rung's own scale (logits or utilities); `reasons` the
    strongest first; `option` names the utility option that won, empty for the policy. `scores` hold the author's
    steering, which `steering` lists; `directive` was given by `directive_source` (author, quest, planner, schedule).
    `directive_why` is what a planner's model gave as its reason, which `ai_generated` then marks.
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
    directive_source: str = ""
    directive_why: ModelText = ""
    ai_generated: bool
    steering: tuple[Steered, ...] = ()


class SetIntent(Request, frozen=True, kw_only=True):
    """Give an NPC a slow goal, from an author, a planner or a quest; it follows it where that is sane."""

    op: ClassVar[str] = "behavior.intent"

    npc: Id
    intent: Name
    target: Annotated[str, msgspec.Meta(max_length=128)] = ""
    until_s: float | None = None
    source: Literal["author", "quest"] = "author"
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class IntentAccepted(Reply, frozen=True, kw_only=True):
    """The goal is committed; `seq` is its event."""

    npc: str
    intent: str
    seq: int


class SteeringRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an author wants of all brains: where `when` holds, an intent is worth `bonus` more, or is vetoed.

    `roles` empty means everyone. `bonus` is in utilities and multiplies the odds of the intent by exp(8 x bonus),
    whichever brain scores; it counts in the measure of the product of the curves. `veto` takes the intent away
    where that product is over 0.5 and something else is allowed.
    """

    name: Id
    intent: Name
    roles: Annotated[tuple[Name, ...], msgspec.Meta(max_length=32)] = ()
    when: Annotated[tuple[Curve, ...], msgspec.Meta(max_length=16)] = ()
    bonus: Annotated[float, msgspec.Meta(ge=-4.0, le=4.0)] = 0.0
    veto: bool = False


class Steer(Request, frozen=True, kw_only=True):
    """Lay rules over the brains of a world, and take others back by name; those of files stand until replaced."""

    op: ClassVar[str] = "behavior.steer"

    set: Annotated[tuple[SteeringRule, ...], msgspec.Meta(max_length=32)] = ()
    clear: Annotated[tuple[Id, ...], msgspec.Meta(max_length=32)] = ()
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class SteerAccepted(Reply, frozen=True, kw_only=True):
    """Committed; `rules` are the world's own, `files` those that the profile names, in the order of their effect."""

    rules: tuple[str, ...]
    files: tuple[str, ...]
    seq: int


class SetSchedule(Request, frozen=True, kw_only=True):
    """Give NPCs the hours of a schedule, or with an empty name those of their archetype again."""

    op: ClassVar[str] = "behavior.schedule"

    npcs: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=1_024)]
    schedule: Name = ""
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class ScheduleAccepted(Reply, frozen=True, kw_only=True):
    """Committed; `seq` is the last event."""

    npcs: int
    schedule: str
    seq: int


class SetSquad(Request, frozen=True, kw_only=True):
    """Make a squad, or make it exactly this. See app.world.entities.Squad for what the fields mean."""

    op: ClassVar[str] = "behavior.squad"

    id: Id
    members: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=64)]
    leader: Annotated[str, msgspec.Meta(max_length=128)] = ""
    formation: Formation = "line"
    spacing_cells: Annotated[float, msgspec.Meta(ge=0.25, le=64.0)] = 2.0
    roles: Annotated[dict[Id, Name], msgspec.Meta(max_length=64)] = {}
    focus: Annotated[str, msgspec.Meta(max_length=128)] = ""
    board: Annotated[
        dict[Name, Annotated[str, msgspec.Meta(max_length=256)] | float | bool], msgspec.Meta(max_length=64)
    ] = {}
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class SquadAccepted(Reply, frozen=True, kw_only=True):
    """Committed; `seq` is the event."""

    id: str
    members: int
    seq: int


class GetSquad(Request, frozen=True, kw_only=True):
    """Read a squad."""

    op: ClassVar[str] = "behavior.squad_get"

    id: Id


class SquadTold(Reply, frozen=True, kw_only=True):
    """A squad as it is now; `fallen` are dead members, `shaken` a squad whose leader or greater half is dead."""

    squad: Squad
    fallen: tuple[str, ...]
    shaken: bool


class Disband(Request, frozen=True, kw_only=True):
    """End a squad; its members are on their own."""

    op: ClassVar[str] = "behavior.disband"

    id: Id
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class Disbanded(Reply, frozen=True, kw_only=True):
    """Committed; `seq` is the event."""

    id: str
    seq: int


class Pose(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a squad's leader stands, in cells, and faces, in radians from the x axis to the y axis."""

    squad: Id
    x: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
    y: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
    heading_rad: Annotated[float, msgspec.Meta(ge=-1e3, le=1e3)] = 0.0


class GetFormation(Request, frozen=True, kw_only=True):
    """Where the living members of squads belong around their leaders.

    `by` rank: places go by role and order of members, and when one falls only those who fill a gap move; by way:
    members take the places with the shortest ways in all, so that these do not cross, from where world.report
    told that they stand (members that were not reported go by rank).
    """

    op: ClassVar[str] = "behavior.formation"

    poses: Annotated[tuple[Pose, ...], msgspec.Meta(min_length=1, max_length=256)]
    by: Literal["rank", "way"] = "rank"


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """One squad's places, the leader's first: `members`, the slot of each, and its (x, y) in cells."""

    squad: str
    members: tuple[str, ...]
    slots: tuple[int, ...]
    places: tuple[tuple[float, float], ...]


class Formed(Reply, frozen=True, kw_only=True):
    """One answer for each pose, in order. The places are goals as path.find and path.steer take them."""

    squads: tuple[Places, ...]
