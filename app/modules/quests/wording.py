"""Lets a model word a quest before it is recorded: within the request's time, at a price that the world's log holds.

What the model is shown and what of its answer stands is `prose/model.py`'s matter.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.core.clock import Clock, Deadline
from app.core.messages import Change
from app.core.module import Call
from app.core.prompts import Prompts
from app.core.words import Bill, Words
from app.modules.quests.planning.facts import View
from app.modules.quests.prose.model import Ask, reworded
from app.modules.quests.quest import Quest
from app.modules.quests.settings import Settings
from app.world.moderation import Moderation
from app.world.usage import charged

RESERVE_MS = 250.0
"""Kept of a deadline for checking the texts and for the commit."""


class Wording:
    """A model's hand in a quest's texts. Raises Broken when the rating is none that is shipped."""

    def __init__(self, settings: Settings, words: Words | None, prompts: Prompts, clock: Clock) -> None:
        self._settings = settings
        self._words = words
        self._prompts = prompts
        self._clock = clock
        Moderation.load(settings.rating)

    async def worded(self, call: Call, quest: Quest, view: View) -> tuple[Quest, Sequence[Change]]:
        """The quest as the model worded it where that holds, and what was paid for it, whatever came of it."""
        most_ms = min(self._settings.words_ms, call.deadline.left_ms() - RESERVE_MS)
        if self._words is None or most_ms <= 0.0:
            return quest, ()
        bill = Bill()
        ask = Ask(
            tenant=call.tenant,
            world=call.world,
            deadline=Deadline.after_ms(most_ms, self._clock),
            output_tokens_max=self._settings.words_tokens_max,
            bill=bill,
            rating=self._settings.rating,
        )
        told = await reworded(quest, view, words=self._words, prompts=self._prompts, ask=ask)
        return told, [charged(spent, npc=quest.giver, player=quest.player) for spent in bill.items]
