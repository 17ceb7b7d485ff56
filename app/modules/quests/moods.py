"""What the players of one world are in the mood for: from how their quests ended, and what befell them of late.

Ends are read from the world's quests. Fights are in no table of a world, so they are remembered while the process runs
and are lost with it; whoever names a seed is answered from the world alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable

from app.core.messages import Change
from app.modules.quests.generation.pacing import Beat, Pace, Pacing, beat_of, end_of, mood_after, pace
from app.modules.quests.quest import Quest
from app.world.events import EntityRemoved, Happened, SubjectErased

BEATS_MAX = 16
"""Beats of one player that are remembered; older ones have faded."""


class Moods:
    """The fights that this process has seen, by player."""

    def __init__(self) -> None:
        self._beats: dict[str, deque[Beat]] = {}

    def note(self, change: Change, players: Container[str], game_s: float) -> None:
        """Remember how an event stirs the players in it, and forget a player who is gone."""
        if isinstance(change, Happened):
            for player in dict.fromkeys((change.actor, change.target)):
                beat = beat_of(change, player, game_s) if player in players else None
                if beat is not None:
                    self._beats.setdefault(player, deque(maxlen=BEATS_MAX)).append(beat)
        elif isinstance(change, EntityRemoved):
            self.forget(change.id)
        elif isinstance(change, SubjectErased):
            self.forget(change.subject)

    def held(self, player: str) -> list[Beat]:
        """What is remembered of a player, the oldest first."""
        return list(self._beats.get(player, ()))

    def forget(self, player: str) -> None:
        """Remember nothing of a player."""
        self._beats.pop(player, None)

    def pace(self, player: str, past: Iterable[Quest], now_s: float, settings: Pacing, *, fights: bool) -> Pace:
        """What the next quest had better be for a player after these quests; without `fights` from them alone."""
        ends = (end_of(quest.state, quest.ended_s) for quest in past if quest.ended_s is not None)
        beats = [beat for beat in ends if beat is not None]
        beats += self._beats.get(player, ()) if fights else ()
        mood = mood_after(sorted(beats, key=lambda beat: (beat.game_s, beat.strength)), settings)
        return pace(mood, now_s, settings)
