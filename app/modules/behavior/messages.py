"""The messages of the behavior module.

Matrices travel as little-endian bytes: `bin` in msgpack, base64 in JSON. Small clients may send lists
or named features instead. It knows shapes only; meanings are in the schemas (docs/reference/behavior.md).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from app.core.messages import ModelText, Reply, Request
from app.modules.behavior.rule import SteeringRule
from app.world.entities import Formation, Id, Name, Squad

NPCS_MAX = 65_536
"""NPCs in one frame that the wire accepts; `settings.npcs_max` may be lower."""

DEFAULT = "open_world"
"""The schema of requests that name none."""

Packed = Annotated[bytes, msgspec.Meta(max_length=64 * 1024 * 1024)]
Tick = Annotated[int, msgspec.Meta(ge=0, le=(1 << 62))]
Row = Annotated[tuple[float | None, ...], msgspec.Meta(max_length=1_024)]
Number = float | bool | Name | None
"""A feature's value: a number, or true and false as 1 and 0. Anything else is an error of that NPC alone."""
Named = Annotated[dict[Name, Number], msgspec.Meta(max_length=1_024)]


class Seen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody whom an NPC sees: of which kind (foe, friend: see the schema), and a slot's features by name."""

    kind: Name
    features: Annotated[dict[Name, Number], msgspec.Meta(max_length=64)] = {}
    npc: Annotated[str, msgspec.Meta(max_length=128)] = ""


class Decide(Request, frozen=True, kw_only=True):
    """One tick of n NPCs: who they are, what each sees, what each may do.

    NPCs: either `handles` (n uint32, from world.upsert) or `npcs` (n ids). Observations: exactly one
    of `obs` (n x features float32), `obs_b64` (the same as base64 text), `rows` (n lists) or `features`
    (n maps of feature name to value in the schema's unit).

    All else may be left out. Who they are: `archetypes` (n uint8, index into the schema's roles) or
    `archetype_names`; without them the role columns of the observation say it, or the NPC's entity.
    What they may do: `mask` (n x intents uint8, 1 = allowed) or `allowed` (n lists of intents); without them
    everything. Whom they see: `candidates` (n x k x c float32: the kind, then a slot's features), with
    `candidates_each` = k and `candidate_handles` (n x k uint32), or `seen` (n lists); the server fills the
    slots from them. `importance` (n float32 or n uint8): who keeps the better brain when time is short.
    `strict` refuses values outside the schema's range, NPC by NPC, instead of clipping them. `parameters` asks
    for the numbers that go with each intent. The same world, tick and observations give the same answer.
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
    allowed: Annotated[
        tuple[Annotated[tuple[Name, ...], msgspec.Meta(max_length=256)], ...], msgspec.Meta(max_length=NPCS_MAX)
    ] = ()
    archetypes: Packed = b""
    archetype_names: Annotated[tuple[Name, ...], msgspec.Meta(max_length=NPCS_MAX)] = ()
    candidates: Packed = b""
    candidates_each: Annotated[int, msgspec.Meta(ge=0, le=254)] = 0
    candidate_handles: Packed = b""
    seen: Annotated[
        tuple[Annotated[tuple[Seen, ...], msgspec.Meta(max_length=254)], ...], msgspec.Meta(max_length=NPCS_MAX)
    ] = ()
    importance: Packed = b""
    dt_s: Annotated[float, msgspec.Meta(ge=0.0, le=3_600.0)] | None = None
    strict: bool = False
    parameters: bool = False
    schema: Name = DEFAULT
    format: Literal["bytes", "lists"] = "bytes"


Fault = Literal[
    "unknown_npc", "nothing_allowed", "unknown_archetype", "wrong_width", "unknown_feature", "not_finite",
    "out_of_range", "unknown_intent", "broken_candidate",
]  # fmt: skip
"""What can be wrong with one NPC's part of a tick, the gravest first; its place is its number in the raw layout."""


class RowError(msgspec.Struct, frozen=True, kw_only=True):
    """What was wrong with one NPC's part; the others were answered as usual, and mostly so was this one.

    Without a decision are unknown NPCs and those that may do nothing. Whose observation or archetype cannot be
    used gets a reflex. An unknown intent in `allowed` or a broken candidate is left out.
    """

    row: int
    npc: str
    code: Fault
    message: str


class Lists(msgspec.Struct, frozen=True, kw_only=True):
    """The decisions as plain lists; an intent of "" means none, a target of -1 means nobody."""

    intents: tuple[str, ...]
    targets: tuple[int, ...]
    confidence: tuple[float, ...]
    rungs: tuple[str, ...]
    parameters: tuple[dict[str, float], ...] = ()


class Decided(Reply, frozen=True, kw_only=True):
    """One decision per NPC, in the order of the request.

    `intents` (n uint8, index into the schema's intents, 255 = none), `targets` (n uint8: the candidate where
    candidates were sent, else the slot; 255 = nobody), `confidence` (n float32 in [0, 1]), `rung_of` (n uint8,
    index into `rungs`), `parameters` (n x p float32 in the schema's order and units, where asked for). `errors`
    are the first ones and `errors_more` how many follow. `clipped` counts values that lay outside the schema's
    range. `lists` repeats the arrays when `format` asked for it.
    """

    tick: int
    npcs: int
    intents: bytes
    targets: bytes
    confidence: bytes
    rung_of: bytes
    rungs: tuple[str, ...]
    parameters: bytes = b""
    errors: tuple[RowError, ...] = ()
    errors_more: int = 0
    clipped: int = 0
    lists: Lists | None = None


class Explain(Request, frozen=True, kw_only=True):
    """Ask why an NPC did what it did last."""

    op: ClassVar[str] = "behavior.explain"

    npc: Id


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that mattered: its name, its value in its unit, and how much it moved the choice.

    A feature's effect is how far the lead of the choice falls without it, a curve's is its height.
    """

    name: str
    value: float
    effect: float


class Tipping(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest change of one feature, as a share of its range, that would have changed the intent.

    `value` and `needed` are in the feature's unit; found by search on a grid that is refined, so a narrower
    change may exist where a brain is not monotone.
    """

    feature: str
    value: float
    needed: float
    share: float
    intent: str


class Steered(msgspec.Struct, frozen=True, kw_only=True):
    """What one of the author's rules did: the bonus that it gave an intent, or that it vetoed it."""

    name: str
    intent: str
    bonus: float
    veto: bool


class Explained(Reply, frozen=True, kw_only=True):
    """The last decision of one NPC with everything that went into it.

    `scores` holds one number per intent on the rung's own scale (logits, utilities; 1 for a reflex), `parts` what
    the chosen intent's score with its taste is the sum of. `reasons` are the strongest first: the features whose
    absence lowers the lead of the intent (policy), the curves of the option that won (utility), the
    conditions that held (reflex). `target_reasons` say the same of the target among those that the intent may aim
    at. `rule` names the option, reflex, node or fact that decided, `steps` the way there, one line each; both are
    empty for the policy. `target` is the slot, `target_npc` who is in it where that is known. `runner_up`
    is the intent that was closest, `lead` by how much, `tipping` what would have changed the intent. `scores` hold
    the author's steering, which `steering` lists; `directive` was given by `directive_source` (author, quest, planner,
    schedule). `directive_why` is what a planner's model gave as its reason, which `ai_generated` then marks.
    """

    npc: str
    tick: int
    schema: str = DEFAULT
    intent: str
    target: int | None
    target_npc: str = ""
    confidence: float
    rung: str
    rule: str = ""
    steps: tuple[str, ...] = ()
    features: dict[str, float]
    scores: dict[str, float]
    parts: tuple[Reason, ...] = ()
    reasons: tuple[Reason, ...]
    target_reasons: tuple[Reason, ...] = ()
    runner_up: str = ""
    lead: float = 0.0
    tipping: Tipping | None = None
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


class Assign(Request, frozen=True, kw_only=True):
    """Let a brain lead NPCs: an authored tree or goals (`tree:guard`, `goals:villager`) or one rung of the ladder.

    Empty, their archetype's own leads them again. Whoever an authored brain is unsure of follows the ladder.
    """

    op: ClassVar[str] = "behavior.assign"

    npcs: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=1_024)]
    brain: Name = ""
    schema: Name = DEFAULT
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class Assigned(Reply, frozen=True, kw_only=True):
    """The brain leads `npcs` NPCs; `seq` is the last of the events."""

    npcs: int
    brain: str
    seq: int


class WriteBoard(Request, frozen=True, kw_only=True):
    """Write keys of the blackboards that authored brains of these NPCs read, such as an alarm."""

    op: ClassVar[str] = "behavior.board"

    npcs: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=1_024)]
    values: Annotated[dict[Name, float], msgspec.Meta(min_length=1, max_length=64)]
    key: Annotated[str, msgspec.Meta(max_length=128)] = ""


class BoardAccepted(Reply, frozen=True, kw_only=True):
    """The values are committed; `seq` is the last of the events."""

    npcs: int
    seq: int
