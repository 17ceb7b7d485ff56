"""What has been said of late in a world, so that the next text is worded otherwise.

It compares runs of words and knows neither grammar nor quests' meaning. A caller bounds how many quests it takes in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

from app.modules.quests.prose.grammar import words_of
from app.modules.quests.quest import Quest

RUNS = ((2, 1.0), (3, 2.0), (4, 4.0))
"""Lengths of runs of words that are compared, and how much a repeated one weighs."""


class Heard:
    """The runs of words of some texts."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._runs: set[tuple[str, ...]] = set().union(*map(_all_runs, texts))

    def add(self, text: str) -> None:
        """Take in one more text."""
        self._runs |= _all_runs(text)

    def known(self, text: str, enough: float = math.inf) -> float:
        """How much of a text has been heard: 0 where nothing of it has, 7 where all has.

        The count stops at `enough`. Where no shorter run is known, no longer one is.
        """
        words = words_of(text)
        share = 0.0
        for length, weight in RUNS:
            runs = _runs(words, length)
            met = len([run for run in runs if run in self._runs])
            if not met:
                break
            share += weight * met / len(runs)
            if share >= enough:
                break
        return share


def texts_of(quest: Quest) -> tuple[str, ...]:
    """What is heard with a quest: its title, its plea and its steps."""
    return (quest.title, quest.description, *(step.text for step in quest.steps))


@lru_cache(8_192)
def _all_runs(text: str) -> frozenset[tuple[str, ...]]:
    """Every run of a text; the same texts are heard with each new quest."""
    words = words_of(text)
    return frozenset(run for length, _ in RUNS for run in _runs(words, length))


def _runs(words: Sequence[str], length: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[at:] for at in range(length)), strict=False))
