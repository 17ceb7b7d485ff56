"""The messages of the quests module, and the quest itself as clients see it and as it is stored.

Steps carry the very event that completes them: a game server posts it with `world.event` and the
quest moves on. Nothing here decides; texts were already written when a quest was frozen.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from app.core.messages import Message, Push, Reply, Request
from app.world.entities import Id, Name, Text
from app.world.events import Happened

QuestState = Literal["offered", "active", "completed", "failed", "abandoned"]
Level = Annotated[int, msgspec.Meta(ge=0, le=1_000)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=32)]
OptionalId = Annotated[str, msgspec.Meta(max_length=128)]
Key = Annotated[str, msgspec.Meta(max_length=128)]


class Goal(Message, frozen=True, kw_only=True):
    """What must have happened: `deed` is a predicate and its arguments, such as delivered(sword, smith).

    `item_kind`, where set, lets any item of that kind stand in for the one named.
    """

    deed: tuple[str, ...]
    item_kind: str = ""
    text: str
    done: bool = False


class Step(Message, frozen=True, kw_only=True):
    """One action of the plan; posting `event` to `world.event` completes it, in any order.

    A step with `goal` set is needed; the others are the shortest known way there and may be skipped.
    """

    id: str
    action: str
    text: str
    event: Happened
    deed: tuple[str, ...]
    goal: bool
    done: bool = False


class Reward(Message, frozen=True, kw_only=True):
    """What the giver promises; the game pays it out when the quest is completed."""

    experience: int
    coins: int
    effort: float
    """Sum of the plan's step costs, on which the reward rests."""


class Certificate(Message, frozen=True, kw_only=True):
    """Why the quest can be completed: the plan, replayed from the world at `world_seq`.

    `plan_sha256` is the hash of the domain version, the plan and the goals; `assumptions` are what
    the world does not say and the proof takes for granted.
    """

    domain_version: int
    checks: tuple[str, ...]
    world_seq: int
    seed: int
    plan: tuple[tuple[str, ...], ...]
    plan_sha256: str
    assumptions: tuple[str, ...] = ()
    rung: str = ""
    """Which way it was made: `strategy`, `simple`, `template` or `authored`."""
    tries: int = 1


class Quest(Message, frozen=True, kw_only=True):
    """A quest in its present state; `roles` gives the entity bound to each part of the story."""

    id: str
    state: QuestState
    giver: str
    player: str
    title: str
    description: str
    text_ids: tuple[str, ...] = ()
    motive: str = ""
    strategy: str = ""
    level: int
    forbid: tuple[str, ...] = ()
    roles: dict[str, str] = msgspec.field(default_factory=dict)
    goals: tuple[Goal, ...]
    steps: tuple[Step, ...]
    reward: Reward
    certificate: Certificate
    reason: str = ""
    """Why it failed or was abandoned, in words that the giver can say."""
    replanned: int = 0
    """How often the way changed because the world did."""


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
    key: Key = ""


class QuestReply(Reply, frozen=True, kw_only=True):
    """The quest as it is now; `seq` is the world's newest event."""

    quest: Quest
    seq: int


class DraftStep(Message, frozen=True, kw_only=True):
    """One step of a hand-written quest: an action of the vocabulary and what it is done to.

    Only the fields that the action takes are read; `after` names steps that must come first.
    """

    id: Id
    action: Name
    target: OptionalId = ""
    item: OptionalId = ""
    location: OptionalId = ""
    topic: Name = ""
    after: Annotated[tuple[Id, ...], msgspec.Meta(max_length=64)] = ()


class Draft(Message, frozen=True, kw_only=True):
    """A studio's own quest. Without `player` it is proved for a newcomer who stands before the giver."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    description: Text = ""
    giver: Id
    player: OptionalId = ""
    level: Level = 0
    steps: Annotated[tuple[DraftStep, ...], msgspec.Meta(min_length=1, max_length=64)]
    forbid: Names = ()


class Verify(Request, frozen=True, kw_only=True):
    """Prove that a hand-written quest can be completed in the world as it is."""

    op: ClassVar[str] = "quests.verify"

    quest: Draft


class Verdict(Reply, frozen=True, kw_only=True):
    """`rejected` is a proof that no way exists; `unknown` means that the search gave up, nothing more.

    `check` is where it stopped (V0 types, V1 references and order, V2 plan), `unreachable` the first
    steps that cannot be done, `missing` a smallest set of facts that would mend the first of them,
    `nearest` the closest known id for each unknown one.
    """

    verdict: Literal["verified", "verified_with_assumptions", "rejected", "unknown"]
    check: str = ""
    reason: str = ""
    unreachable: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    nearest: dict[str, str] = msgspec.field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    certificate: Certificate | None = None


class Offer(Request, frozen=True, kw_only=True):
    """Offer a hand-written quest to its player; it is verified first. `key` makes a retry harmless."""

    op: ClassVar[str] = "quests.offer"

    quest: Draft
    key: Key = ""


class Accept(Request, frozen=True, kw_only=True):
    """The player takes an offered quest; accepting an active one again changes nothing."""

    op: ClassVar[str] = "quests.accept"

    quest: Id


class Abandon(Request, frozen=True, kw_only=True):
    """The player gives a quest up, or turns the offer down."""

    op: ClassVar[str] = "quests.abandon"

    quest: Id


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
    next: str = ""


class QuestUpdated(Push, frozen=True, kw_only=True):
    """A quest's state or progress changed; `goals_done` of `goals` are behind the player."""

    op: ClassVar[str] = "quest.updated"

    quest: str
    player: str
    giver: str
    title: str
    state: QuestState
    goals_done: int
    goals: int
    reason: str = ""
    next_step: Step | None = None
    reward: Reward | None = None
    """Set when the quest is completed: what the game now pays out."""
