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
    Members,
    Names,
    OptionalId,
    Seconds,
)
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
from app.world.entities import Id, Name

__all__ = [
    "Branch", "BranchProof", "Certificate", "Credit", "Draft", "DraftBranch", "DraftFailure", "DraftReward",
    "DraftStep",
    "Failure", "Goal", "Harm", "Knockout", "Message", "Payout", "Quest", "QuestState", "QuestText", "Repair",
    "RepairKind", "Reward",
    "Scope", "Share", "Step",
]  # fmt: skip

Seed = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Key = Annotated[str, msgspec.Meta(max_length=128)]
Party = Annotated[tuple[Id, ...], msgspec.Meta(max_length=64)]


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
    """Of the texts, such as `en` or `de`; empty means the giver's own where there is a grammar for it."""
    scope: Scope = "solo"
    members: Party = ()
    """The others of a party; they join by being named."""
    guild: OptionalId = ""
    members_max: Members = 1
    credit: Credit = "contributors"
    share: Share = "each"
    last_s: Seconds | None = None
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


class Offer(Request, frozen=True, kw_only=True):
    """Offer a hand-written quest to its player; it is verified first. `key` makes a retry harmless."""

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
    """Read quests in order of their making, filtered by what is given; `after` pages on."""

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
