"""What a player did lately, in a form small enough to be asked for at each new quest, and what it makes likelier.

It knows quests and numbers, nothing of worlds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.modules.quests.quest import Quest, QuestState

LATELY = 0.8
"""How much each newer quest takes from the weight of one before it."""
PAST_MAX = 24
"""Quests that are looked back on."""
GIVEN_UP = 2.0
"""How many times a quest counts that the player gave up or turned down: it was not to their liking."""
HANDED = frozenset({"delivered"})


@dataclass(frozen=True, slots=True)
class Past:
    """One quest of a player: `bound` are the ids that played a part but the giver's, `handed` the items given away."""

    giver: str
    motive: str
    strategy: str
    state: QuestState
    bound: tuple[str, ...] = ()
    handed: tuple[str, ...] = ()


def past_of(quest: Quest) -> Past:
    """What is kept of a quest, live or ended; `handed` names what was given away by the goals that are done."""
    ways = (quest.goals, *(branch.goals for branch in quest.branches))
    goals = (goal for way in ways for goal in way if goal.done and goal.deed[0] in HANDED)
    return Past(
        giver=quest.giver,
        motive=quest.motive,
        strategy=quest.strategy,
        state=quest.state,
        bound=tuple(dict.fromkeys(id for role, id in quest.roles.items() if role != "giver")),
        handed=tuple(dict.fromkeys(goal.deed[1] for goal in goals)),
    )


class Memory:
    """How worn each motive, strategy and entity is, by a player's quests, the newest first."""

    def __init__(self, history: Sequence[Past]) -> None:
        self._motives: dict[str, float] = {}
        self._strategies: dict[str, float] = {}
        self._bound: dict[str, float] = {}
        self.handed = frozenset(id for past in history for id in past.handed)
        for age, past in enumerate(history[:PAST_MAX]):
            worn = LATELY**age * (GIVEN_UP if past.state == "abandoned" else 1.0)
            _add(self._motives, (past.motive,), worn)
            _add(self._strategies, (past.strategy,), worn)
            _add(self._bound, past.bound, worn)

    def motive(self, motive: str) -> float:
        """What is left of a motive's chance, in (0, 1]."""
        return 1.0 / (1.0 + self._motives.get(motive, 0.0))

    def strategy(self, strategy: str) -> float:
        """What is left of a strategy's chance, in (0, 1]."""
        return 1.0 / (1.0 + 4.0 * self._strategies.get(strategy, 0.0))

    def part(self, id: str) -> float:
        """What is left of an entity's chance to play a part, in (0, 1]."""
        return 1.0 / (1.0 + 2.0 * self._bound.get(id, 0.0))


def _add(table: dict[str, float], keys: Iterable[str], amount: float) -> None:
    for key in keys:
        table[key] = table.get(key, 0.0) + amount
