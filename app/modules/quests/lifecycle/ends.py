"""How a quest ends: completed by its goals, expired or compensated by time and world, failed by its own players.

Pure. It pays out once, with the change of state, and never again: what has ended stays as it is.
"""

from __future__ import annotations

import msgspec

from app.modules.quests.lifecycle.credit import (
    concluded,
    credited,
    finished_way,
    leader,
    part,
    payouts,
    progress,
    takers,
)
from app.modules.quests.lifecycle.states import COUNTING, LIVE, early, moved
from app.modules.quests.planning.facts import View
from app.modules.quests.quest import Quest


def completed(quest: Quest, view: View, place: str = "") -> Quest:
    """The quest, completed and paid out where one way's goals are all done; else as it is."""
    quest = concluded(quest, view.players)
    found = finished_way(quest) if quest.state in COUNTING else None
    return paid(found, view, place) if found is not None else quest


def paid(quest: Quest, view: View, place: str) -> Quest:
    """The quest, completed, with what each credited member is owed."""
    owed = payouts(quest, quest.reward, credited(quest, view.players, place))
    return msgspec.structs.replace(moved(quest, "done", game_s=view.game_s), payouts=owed)


def compensated(quest: Quest, view: View, reason: str, *, share_max: float) -> Quest:
    """The quest, ended by the world, with a part of the reward by what was done of it."""
    return _owing(moved(quest, "world", game_s=view.game_s, reason=reason), view, share_max)


def _owing(quest: Quest, view: View, share_max: float) -> Quest:
    """With what is owed for a quest that was not finished: to those who did something for it, or to the leader."""
    reward = part(quest.reward, min(share_max, progress(quest)))
    if not (reward.experience or reward.coins):
        return quest
    who = [member for member in takers(quest) if member in view.players]
    if quest.credit == "leader":
        who = [member for member in who if member == leader(quest)]
    elif quest.scope != "solo":
        who = [member for member in who if quest.contributions.get(member, 0) > 0]
    return msgspec.structs.replace(quest, payouts=payouts(quest, reward, who))


def late(quest: Quest, view: View, reason: str, *, share_max: float) -> Quest:
    """The quest after its time: expired, or compensated where it waited for the world in vain."""
    ended = moved(quest, "late", game_s=view.game_s, reason=reason)
    return _owing(ended, view, share_max) if ended.state == "compensated" else ended


def overdue(quest: Quest, game_s: float) -> bool:
    """Whether time has ended the quest."""
    if quest.state not in LIVE:
        return False
    after = quest.until_s is not None and game_s >= quest.until_s
    waited = quest.state == "suspended" and quest.waits_s is not None and game_s >= quest.waits_s
    return after or (waited and not early(quest, game_s))
