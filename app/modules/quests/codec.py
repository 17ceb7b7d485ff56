"""A quest as it lies in the event log, and as clients are told of it."""

from __future__ import annotations

import msgspec

from app.modules.quests.messages import Quest, QuestUpdated
from app.world.events import QuestRecorded

LIVE = frozenset({"offered", "active"})
"""States from which a quest can still change."""

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Quest] = msgspec.msgpack.Decoder(Quest)


def record(quest: Quest) -> QuestRecorded:
    """The change that makes `quest` the world's present version of it."""
    return QuestRecorded(id=quest.id, state=quest.state, body=_encoder.encode(quest))


def read(change: QuestRecorded) -> Quest:
    """The quest inside a recorded change."""
    return _decoder.decode(change.body)


def push_of(change: QuestRecorded) -> QuestUpdated:
    """What the game is told of a recorded change."""
    quest = read(change)
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
    )
