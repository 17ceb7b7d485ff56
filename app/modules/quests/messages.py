"""The messages of the quests module; what a quest is stands in `quest.py`, what a studio hands in in `draft.py`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from app.core.messages import Message, ModelText, Push, Reply, Request
from app.modules.quests.draft import (
    Draft,
    DraftBranch,
    DraftFailure,
    DraftReward,
    DraftStep,
    Level,
    Names,
    OptionalId,
    Seconds,
)
from app.modules.quests.exports.schema import Format
from app.modules.quests.quest import (
    Branch,
    BranchProof,
    Certificate,
    Credit,
    Failure,
    Goal,
    Harm,
    Knockout,
    Payout,
    Quest,
    QuestState,
    QuestText,
    Repair,
    RepairKind,
    Reward,
    Scope,
    Share,
    Step,
)
from app.modules.quests.report import Found, Report, Row
from app.world.entities import Id, Name

__all__ = [
    "Branch", "BranchProof", "Certificate", "Credit", "Draft", "DraftBranch", "DraftFailure", "DraftReward",
    "DraftStep",
    "Failure", "Found", "Goal", "Harm", "Knockout", "Message", "Payout", "Quest", "QuestState", "QuestText", "Repair",
    "RepairKind", "Report", "Reward", "Row", "Scope", "Share", "Step",
]  # fmt: skip

Seed = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Key = Annotated[str, msgspec.Meta(max_length=128)]
Party = Annotated[tuple[Id, ...], msgspec.Meta(max_length=64)]
Most = Annotated[int, msgspec.Meta(ge=0, le=1_000)]
Span = Annotated[float, msgspec.Meta(gt=0, le=1e12)]


class Generate(Request, frozen=True, kw_only=True):
    """Let `giver` think of a quest for `player`, prove it, and offer it.

    The same seed in the same world gives the same quest. `level` 0 means the player's own. `motive`
    picks one of the nine; `forbid` names actions that the quest must not need, such as `kill`.
    `key` makes a retry harmless.
    """

    op: ClassVar[str] = "quests.generate"

    giver: Id
    player: Id
    seed: Seed | None = None
    level: Level = 0
    motive: Name = ""
    forbid: Names = ()
    language: Name = ""
    """Of the texts, such as `en`, `de` or `de-AT`; empty means the giver's own where there is a grammar for it."""
    scope: Scope = "solo"
    members: Party = ()
    """The others of a party; they join by being named."""
    guild: OptionalId = ""
    """The faction of a quest of scope `guild`, and of no other."""
    members_max: Most = 0
    """How many may take part; 0 means as many as are named."""
    credit: Credit = "contributors"
    share: Share = "each"
    last_s: Span | None = None
    """Game seconds from its offer until it expires."""
    repeat_s: Seconds | None = None
    words: bool = False
    """Whether a model may word the texts, where the server has one; what it writes is checked like a grammar's."""
    key: Key = ""


class QuestReply(Reply, frozen=True, kw_only=True):
    """The quest as it is now; `seq` is the world's newest event."""

    quest: Quest
    seq: int
    ai_generated: bool
    """Whether a model wrote any of its texts."""


class Verify(Request, frozen=True, kw_only=True):
    """Prove that a hand-written quest can be completed in the world as it is."""

    op: ClassVar[str] = "quests.verify"

    quest: Draft


class Verdict(Reply, frozen=True, kw_only=True):
    """`rejected` is a proof that no way exists; `unknown` means that the search gave up, nothing more.

    `check` is where it stopped (V0 types, V1 references and order, V2 plan, V3 branches, V4 soft locks, V5 robustness,
    V6 parties, V7 other quests and reward), or the last that passed. `unreachable` are the first steps that cannot be
    done, `missing` a smallest set of facts that would mend the first of them, `nearest` the closest known id for each
    unknown one, `variant` the steps that can be done all the same: the nearest quest that would be verified.
    `warnings` name what is no proof of a fault but deserves a look.
    """

    verdict: Literal["verified", "verified_with_assumptions", "rejected", "unknown"]
    check: str = ""
    reason: str = ""
    unreachable: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    nearest: dict[str, str] = msgspec.field(default_factory=dict)
    variant: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    certificate: Certificate | None = None


class Audit(Request, frozen=True, kw_only=True):
    """Prove many hand-written quests at once, each in the world that those which it requires leave behind."""

    op: ClassVar[str] = "quests.audit"

    quests: Annotated[tuple[Draft, ...], msgspec.Meta(min_length=1, max_length=500)]
    start: OptionalId = ""
    """Where newcomers enter the world; without it, the first place with the tag `start`, if there is one."""


class Audited(Reply, frozen=True, kw_only=True):
    """What the audit found, in the world as it was at `seq`."""

    report: Report
    seq: int


class Offer(Request, frozen=True, kw_only=True):
    """Offer a hand-written quest to its player; it is verified first. `key` makes a retry harmless.

    It is either a `quest` or the name of one that is `kept`, never both.
    """

    op: ClassVar[str] = "quests.offer"

    quest: Draft | None = None
    kept: OptionalId = ""
    """Instead of a quest: the id of one that was kept; `player` is then to whom it is offered."""
    player: OptionalId = ""
    key: Key = ""


class Accept(Request, frozen=True, kw_only=True):
    """The player takes an offered quest; accepting an active one again changes nothing."""

    op: ClassVar[str] = "quests.accept"

    quest: Id


class Abandon(Request, frozen=True, kw_only=True):
    """The player gives a quest up, or turns the offer down."""

    op: ClassVar[str] = "quests.abandon"

    quest: Id


class Join(Request, frozen=True, kw_only=True):
    """A player takes part in a quest of a party, a guild or the server; joining again changes nothing."""

    op: ClassVar[str] = "quests.join"

    quest: Id
    player: Id


class Leave(Request, frozen=True, kw_only=True):
    """A member goes; the leader's place falls to the next. What it did still counts for the others."""

    op: ClassVar[str] = "quests.leave"

    quest: Id
    player: Id


class Keep(Request, frozen=True, kw_only=True):
    """Keep a hand-written quest in the world: as `verified`, or as `draft` where it is not.

    `quests.offer` can then name it, the prerequisites of others find it, and later quests are checked against it.
    Sent again with its `key` it is answered as it was then, whatever has changed since.
    """

    op: ClassVar[str] = "quests.keep"

    quest: Draft
    key: Key = ""


class Kept(Reply, frozen=True, kw_only=True):
    """The quest as it was kept, and why."""

    quest: str
    state: QuestState
    verdict: Verdict
    seq: int


class Get(Request, frozen=True, kw_only=True):
    """Read one quest."""

    op: ClassVar[str] = "quests.get"

    quest: Id


class List(Request, frozen=True, kw_only=True):
    """Read quests in order of their making, filtered by what is given; `after` pages on from a quest that is there."""

    op: ClassVar[str] = "quests.list"

    player: OptionalId = ""
    giver: OptionalId = ""
    state: QuestState | None = None
    after: OptionalId = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class Listed(Reply, frozen=True, kw_only=True):
    """Quests; `next` is the `after` of the next page, empty at the end."""

    quests: tuple[Quest, ...]
    ai_generated: bool
    next: str = ""


class QuestUpdated(Push, frozen=True, kw_only=True):
    """A quest's state or progress changed; `goals_done` of `goals` are behind the player."""

    op: ClassVar[str] = "quest.updated"

    quest: str
    player: str
    giver: str
    title: ModelText
    ai_generated: bool
    state: QuestState
    goals_done: int
    goals: int
    reason: str = ""
    next_step: Step | None = None
    reward: Reward | None = None
    """Set when the quest is completed: what the game now pays out."""
    scope: Scope = "solo"
    members: tuple[str, ...] = ()
    payouts: tuple[Payout, ...] = ()
    """Who is to be paid what, when it is completed or compensated; each once, by its id."""
    repair: Repair | None = None
    """The newest way in which the quest was mended when the world changed; its `seq` tells whether it is news."""


class Export(Request, frozen=True, kw_only=True):
    """A quest as a file of another tool; `svg` is its graph with the certificate."""

    op: ClassVar[str] = "quests.export"

    quest: Id
    format: Format = "json"
    columns: Annotated[str, msgspec.Meta(max_length=65_536)] = ""
    """For `sql`: the studio's column map, as TOML."""


class Exported(Reply, frozen=True, kw_only=True):
    """The file's text, what it is, and how it may be called."""

    text: ModelText
    media_type: str
    file: str
    ai_generated: bool
    """Whether a model wrote any of the quest's texts."""
