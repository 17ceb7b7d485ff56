"""A quest as it lies in the event log, and as clients are told of it.

The body of a shared quest speaks of its members by their place in the record's `party`: it is sealed under its
leader's key, and whoever is forgotten must be forgotten in it without anybody having to open it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from app.core.errors import Conflict
from app.modules.quests.draft import Draft
from app.modules.quests.lifecycle.states import KEPT, LIVE, PAID
from app.modules.quests.messages import QuestUpdated, Verdict
from app.modules.quests.quest import Branch, Goal, Quest
from app.world.events import QuestRecorded


class _Shelved(Quest, frozen=True, kw_only=True):
    """A kept quest, with the studio's own words of it, and what was said of it; its proof stands in the quest."""

    draft: Draft
    verdict: Verdict


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Quest] = msgspec.msgpack.Decoder(Quest)
_shelf: msgspec.msgpack.Decoder[_Shelved] = msgspec.msgpack.Decoder(_Shelved)


def record(quest: Quest) -> QuestRecorded:
    """The change that makes `quest` the world's present version of it."""
    places = {member: f"@{number}" for number, member in enumerate(quest.members)}
    body = _encoder.encode(_renamed(quest, lambda member: places.get(member, "")) if places else quest)
    return QuestRecorded(id=quest.id, state=quest.state, body=body, party=quest.members)


def read(change: QuestRecorded) -> Quest:
    """The quest inside a recorded change."""
    if change.state in KEPT:
        shelved = _shelf.decode(change.body)
        return Quest(**{name: getattr(shelved, name) for name in Quest.__struct_fields__})
    quest = _decoder.decode(change.body)
    return _renamed(quest, lambda place: change.party[int(place[1:])] if place else "") if change.party else quest


def shelved(quest: Quest, draft: Draft, verdict: Verdict) -> QuestRecorded:
    """The change that keeps a quest, with what it was made from and the verdict on it."""
    fields = {name: getattr(quest, name) for name in Quest.__struct_fields__}
    said = msgspec.structs.replace(verdict, certificate=None) if verdict.certificate == quest.certificate else verdict
    kept = _Shelved(**fields, draft=draft, verdict=said)
    return QuestRecorded(id=quest.id, state=quest.state, body=_encoder.encode(kept))


def verdict_of(change: QuestRecorded) -> Verdict:
    """What was said of a kept quest when it was kept."""
    kept = _shelf.decode(change.body)
    proved = kept.certificate if change.state == "verified" else None
    return msgspec.structs.replace(kept.verdict, certificate=kept.verdict.certificate or proved)


def draft_of(change: QuestRecorded) -> Draft:
    """What a kept quest was made from; raises Conflict for any other quest."""
    if change.state not in KEPT:
        raise Conflict(f"quest {change.id!r} is {change.state}", hint="only a kept quest can be offered by its id")
    return _shelf.decode(change.body).draft


def push_of(change: QuestRecorded) -> QuestUpdated:
    """What the game is told of a recorded change."""
    quest = read(change)
    newest = quest.repairs[-1] if quest.repairs else None
    return QuestUpdated(
        quest=quest.id,
        player=quest.player,
        giver=quest.giver,
        title=quest.title,
        state=quest.state,
        ai_generated=quest.ai_generated,
        goals_done=sum(goal.done for goal in quest.goals),
        goals=len(quest.goals),
        reason=quest.reason,
        next_step=next((step for step in quest.steps if not step.done), None) if quest.state in LIVE else None,
        reward=quest.reward if quest.state == "completed" else None,
        scope=quest.scope,
        members=quest.members,
        payouts=quest.payouts if quest.state in PAID else (),
        repair=newest,
    )


def _renamed(quest: Quest, name: Callable[[str], str]) -> Quest:
    """The quest with its members called otherwise, wherever it speaks of them."""
    contributions = ((name(member), deeds) for member, deeds in quest.contributions.items())
    return msgspec.structs.replace(
        quest,
        members=tuple(name(member) for member in quest.members),
        contributions={member: deeds for member, deeds in contributions if member},
        goals=_goals(quest.goals, name),
        branches=tuple(_branch(way, name) for way in quest.branches),
        payouts=tuple(msgspec.structs.replace(owed, player=name(owed.player)) for owed in quest.payouts),
    )


def _branch(way: Branch, name: Callable[[str], str]) -> Branch:
    return msgspec.structs.replace(way, goals=_goals(way.goals, name))


def _goals(goals: Iterable[Goal], name: Callable[[str], str]) -> tuple[Goal, ...]:
    return tuple(msgspec.structs.replace(goal, by=tuple(map(name, goal.by))) if goal.by else goal for goal in goals)
