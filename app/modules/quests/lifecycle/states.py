"""The states of a quest and every way from one to the next, as data; nothing else changes a quest's state.

It knows neither worlds nor plans. Time is the game's own, in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from app.core.errors import Conflict
from app.modules.quests.quest import Quest, QuestState

Cause = Literal["kept", "accepted", "done", "mended", "stopped", "resumed", "own_doing", "world", "late", "given_up"]
"""Why a quest changes its state: what a player asks for, what the game reports, what the world or time does."""

_PLAYED: Mapping[Cause, QuestState] = MappingProxyType(
    {
        "done": "completed", "mended": "repaired", "stopped": "suspended", "own_doing": "failed",
        "world": "compensated", "late": "expired", "given_up": "abandoned",
    }
)  # fmt: skip
MOVES: Mapping[QuestState, Mapping[Cause, QuestState]] = MappingProxyType(
    {
        "draft": {"kept": "verified"},
        "verified": {"kept": "draft"},
        "offered": {"accepted": "active", "stopped": "suspended", "late": "expired", "given_up": "abandoned"},
        "active": _PLAYED,
        "repaired": _PLAYED,
        "suspended": {
            "done": "completed", "mended": "repaired", "resumed": "active", "own_doing": "failed",
            "world": "compensated", "late": "compensated", "given_up": "abandoned",
        },
        "completed": {}, "failed": {}, "expired": {}, "compensated": {}, "abandoned": {},
    }
)  # fmt: skip
"""State -> cause -> next state. Whoever waits in vain for the world to mend is compensated, not merely too late."""

KEPT = frozenset[QuestState]({"draft", "verified"})
"""On the shelf: nobody's, and nothing happens to them."""
PLAYED = frozenset[QuestState]({"active", "repaired"})
"""A way is known, and deeds count."""
COUNTING = PLAYED | {"suspended"}
"""Deeds count."""
LIVE = COUNTING | {"offered"}
"""States from which a quest can still change."""
PAID = frozenset[QuestState]({"completed", "compensated"})
"""Ended, and somebody is owed something."""


def moved(quest: Quest, cause: Cause, *, game_s: float, reason: str = "") -> Quest:
    """The quest in its next state; raises Conflict where that state has no such way out."""
    state = MOVES[quest.state].get(cause)
    if state is None:
        raise Conflict(f"quest {quest.id!r} is already {quest.state}", hint="only a live quest can change")
    ended = game_s if state not in LIVE and state not in KEPT else None
    waits = quest.waits_s if state == "suspended" else None
    blamed = quest.blamed and state == "suspended"
    return msgspec.structs.replace(quest, state=state, reason=reason, ended_s=ended, waits_s=waits, blamed=blamed)


def due_s(quest: Quest, game_s: float) -> float | None:
    """When time next does something to the quest, in game seconds; None where it never will.

    A live quest has a last moment, a suspended one its patience, and one that was accepted early its beginning.
    """
    if quest.state not in LIVE:
        return None
    times = [quest.until_s]
    if quest.state == "suspended":
        times += [quest.waits_s, quest.from_s if early(quest, game_s) else None]
    return min((when for when in times if when is not None), default=None)


def early(quest: Quest, game_s: float) -> bool:
    """Whether its time has not come yet, so that no deed counts."""
    return game_s < quest.from_s
