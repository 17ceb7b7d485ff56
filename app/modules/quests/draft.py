"""A studio's own quest, as it is handed in for a verdict. It says what is to be done; the proof finds out how."""

from __future__ import annotations

from typing import Annotated

import msgspec

from app.core.messages import Message
from app.modules.quests.quest import Credit, Scope, Share
from app.world.entities import Id, Name, Text

Level = Annotated[int, msgspec.Meta(ge=0, le=1_000)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=32)]
Ids = Annotated[tuple[Id, ...], msgspec.Meta(max_length=64)]
OptionalId = Annotated[str, msgspec.Meta(max_length=128)]
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
Members = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
Amount = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class DraftStep(Message, frozen=True, kw_only=True):
    """One step of a hand-written quest: an action of the vocabulary and what it is done to.

    Only the fields that the action takes are read; `after` names steps that must come first. `kind` may stand in the
    place of `item` (an item kind) or of `target` (an archetype): any `count` different ones of that kind do.
    """

    id: Id
    action: Name
    target: OptionalId = ""
    item: OptionalId = ""
    location: OptionalId = ""
    topic: Name = ""
    kind: OptionalId = ""
    count: Count = 1
    each: bool = False
    """Whether every member of a shared quest has to do it."""
    optional: bool = False
    """Whether the quest is completed without it; an optional step is proved like the others."""
    text: Text = ""
    after: Ids = ()


class DraftBranch(Message, frozen=True, kw_only=True):
    """One of several ways to go on after the common steps; the quest ends with any one of them."""

    id: Id
    text: Text = ""
    forbid: Names = ()
    steps: Annotated[tuple[DraftStep, ...], msgspec.Meta(min_length=1, max_length=64)]


class DraftReward(Message, frozen=True, kw_only=True):
    """What the author promises; without one, the studio's curve decides. Items are ids that the giver has."""

    experience: Amount = 0
    coins: Amount = 0
    items: Ids = ()


class DraftFailure(Message, frozen=True, kw_only=True):
    """A way to lose the quest that the author means: `entity` dies, is lost, or closes."""

    entity: Id
    text: Text = ""


class Draft(Message, frozen=True, kw_only=True):
    """A studio's own quest. Without `player` it is proved for a newcomer who stands before the giver."""

    id: OptionalId = ""
    """The studio's own name for it; prerequisites of others name it."""
    title: Title
    description: Text = ""
    giver: Id
    player: OptionalId = ""
    level: Level = 0
    steps: Annotated[tuple[DraftStep, ...], msgspec.Meta(min_length=1, max_length=64)]
    branches: Annotated[tuple[DraftBranch, ...], msgspec.Meta(max_length=8)] = ()
    forbid: Names = ()
    requires: Ids = ()
    """Ids of quests that come first."""
    failures: Annotated[tuple[DraftFailure, ...], msgspec.Meta(max_length=64)] = ()
    reward: DraftReward | None = None
    scope: Scope = "solo"
    guild: OptionalId = ""
    members_max: Members = 1
    """Players that can work on it together, or have it at the same time."""
    credit: Credit = "contributors"
    share: Share = "each"
    from_s: Seconds = 0.0
    until_s: Seconds | None = None
    """Game seconds between which it can be done."""
    repeat_s: Seconds | None = None
    """Game seconds after which the same player may have it again; without it, once."""
