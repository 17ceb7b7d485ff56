"""What a quest is: as clients see it, as it is stored, and what its certificate says.

Steps carry the very event that completes them: a game server posts it with `world.event` and the quest moves on.
Nothing here decides; texts were written when the quest was frozen. Every field added later has a default, so that
quests of older logs are still read.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from app.core.messages import Message, ModelText
from app.world.events import Happened

QuestState = Literal[
    "draft", "verified", "offered", "active", "suspended", "repaired",
    "completed", "failed", "expired", "compensated", "abandoned",
]  # fmt: skip
"""`repaired` is active on a mended way; `suspended` waits for the world; `compensated` failed through no fault of a
player and paid for what was done."""

Scope = Literal["solo", "party", "guild", "server"]
"""Who works on it together: one player, named members, everyone of a faction, everyone."""

Credit = Literal["all_present", "contributors", "leader"]
"""Who of the members is credited when it is completed."""

Share = Literal["each", "split", "one"]
"""What the credited get: the whole reward each, equal parts of one, or all of it the one who did most."""

Harm = Literal["death", "loss", "closing"]
"""What may befall an entity: an NPC dies, an item is destroyed or taken for good, a place closes."""


RepairKind = Literal["replanned", "recast", "heir", "branched", "ending", "suspended", "resumed"]
"""What was done about a change of the world."""


class Goal(Message, frozen=True, kw_only=True):
    """What must have happened: `deed` is a predicate and its arguments, such as delivered(sword, smith).

    `item_kind`, where set, lets any item of that kind stand in for the one named; `archetype` does so for whoever is to
    be slain or captured. `count` such deeds are wanted, each with another thing, and `got` are done.
    """

    deed: tuple[str, ...]
    item_kind: str = ""
    archetype: str = ""
    count: int = 1
    got: int = 0
    each: bool = False
    """Whether every member has to do it; `by` are those who have."""
    by: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    """Where several deeds are wanted: what each was done to, in the order of `by`, so that none counts twice."""
    text: str
    done: bool = False


class Step(Message, frozen=True, kw_only=True):
    """One action of the plan; posting `event` to `world.event` completes it, in any order.

    A step with `goal` set is needed; the others are the shortest known way there and may be skipped. In a quest of a
    guild or of the whole server the event's actor (or target) `player` stands for whoever does it.
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
    """Sum of the plan's step costs, with the price of what is bought and handed over, on which the reward rests."""
    items: tuple[str, ...] = ()
    """Ids of items that the giver hands over; with a split reward they go to the one who did most."""


class Payout(Message, frozen=True, kw_only=True):
    """What one player is owed. `id` is the same whenever it is told, and no other's in any world: pay it once."""

    id: str
    player: str
    experience: int
    coins: int
    items: tuple[str, ...] = ()


class Failure(Message, frozen=True, kw_only=True):
    """A declared end: when `fact` stops being true the quest may be lost, and `text` is how the giver puts it.

    `cause` says who can bring it about: a player by acting otherwise, or the world by itself.
    """

    fact: tuple[str, ...]
    cause: Literal["player", "world"]
    text: str = ""


class Knockout(Message, frozen=True, kw_only=True):
    """What becomes of the quest when `entity` comes to harm: nothing, another way, cast or branch, or it ends."""

    entity: str
    harm: Harm
    outcome: Literal["unharmed", "replanned", "recast", "branched", "fails"]


class BranchProof(Message, frozen=True, kw_only=True):
    """The plan behind one branch, and the hash of (domain version, plan, goals)."""

    branch: str
    plan: tuple[tuple[str, ...], ...]
    plan_sha256: str


class Certificate(Message, frozen=True, kw_only=True):
    """Why the quest can be completed: the plan, replayed from the world at `world_seq`.

    `plan_sha256` is the hash of the domain version, the plan and the goals; `assumptions` are what the world does not
    say and the proof takes for granted. `checks` names those that passed, V0 to V7.
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
    branches: tuple[BranchProof, ...] = ()
    """V3: a plan for each other branch."""
    failures: tuple[Failure, ...] = ()
    """V4 and V5: every way to lose the goal. Empty means free of soft locks and robust against every knockout."""
    knockouts: tuple[Knockout, ...] = ()
    """V5: each critical entity and what its loss does."""
    fragility: float = 0.0
    """V5: the share of critical entities whose loss ends the quest, in [0, 1]."""
    players_max: int = 1
    """V6: how many players can go through it, one after another or together, before one is blocked."""


MAIN = "main"
"""The id of the first way once another has taken its place."""


class Branch(Message, frozen=True, kw_only=True):
    """Another way to the end: when all its goals are done, the quest is completed with it."""

    id: str
    text: str = ""
    """What sets this way apart, such as "without shedding blood"."""
    forbid: tuple[str, ...] = ()
    goals: tuple[Goal, ...]
    steps: tuple[Step, ...]
    effort: float


class Repair(Message, frozen=True, kw_only=True):
    """How the quest was mended when the world changed, and how the giver tells it."""

    seq: int
    """The world's newest event then."""
    kind: RepairKind
    lost: str = ""
    """The entity that it lost, and `instead` the one in its place."""
    instead: str = ""
    text: str = ""


class QuestText(Message, frozen=True, kw_only=True):
    """One text: its stable id (`title`, `plea`, `step.s1`), its template, and all that it mentions.

    `entities` are the ids whose names it holds, `facts` those it speaks of; a checker finds nothing else in it.
    """

    id: str
    template: str
    text: ModelText
    entities: tuple[str, ...] = ()
    facts: tuple[tuple[str, ...], ...] = ()


class Quest(Message, frozen=True, kw_only=True):
    """A quest in its present state; `roles` gives the entity bound to each part of the story.

    `goals`, `steps` and the certificate's plan are the way that the quest takes now; `branches` are the others. Of a
    quest of a guild or the whole server `player` is empty; of a party it is the leader.
    """

    id: str
    state: QuestState
    giver: str
    player: str
    title: ModelText
    description: ModelText
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
    language: str = "en"
    texts: tuple[QuestText, ...] = ()
    ai_generated: bool = False
    """Whether a model wrote any of the texts."""
    branches: tuple[Branch, ...] = ()
    branch: str = ""
    """The branch that it takes now, empty for the main way."""
    scope: Scope = "solo"
    guild: str = ""
    """The faction whose members share it, where the scope is a guild."""
    members: tuple[str, ...] = ()
    """Those who take part, in order of joining, the leader first; empty for a solo quest."""
    members_max: int = 1
    credit: Credit = "contributors"
    share: Share = "each"
    contributions: dict[str, int] = msgspec.field(default_factory=dict)
    """Member -> deeds that counted."""
    requires: tuple[str, ...] = ()
    """Ids of quests that the player must have completed before it can be accepted."""
    from_s: float = 0.0
    """Game seconds from which it can be done, and `until_s` after which it is expired."""
    until_s: float | None = None
    repeat_s: float | None = None
    """Game seconds after which the same player may have it again; None means once."""
    repairs: tuple[Repair, ...] = ()
    payouts: tuple[Payout, ...] = ()
    """Who is owed what, once it is completed or compensated."""
    origin: str = ""
    """What it is one more time of: the studio's own name for it, or the kept quest that it was offered from."""
    waits_s: float | None = None
    """Game seconds at which a suspended quest waits no longer, and `ended_s` those at which it ended."""
    ended_s: float | None = None
    purse: str = ""
    """What the ids of its payouts begin with: a hash of tenant, world and quest; empty in older logs."""
    blamed: bool = False
    """Whether a member's own act broke its way, while it is still looked into what can be made of that."""
    names: dict[str, str] = msgspec.field(default_factory=dict)
    """Entity -> what it was called when a text of the quest named it, for when it is gone; of no player."""
