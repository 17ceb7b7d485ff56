"""Chance from a seed: every draw is named, so that one more draw elsewhere changes none of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from app.core.ids import stable_hash

Option = TypeVar("Option")


class Dice:
    """Draws that are the same in every process for the same seed and the same name of the draw."""

    def __init__(self, *seed: str | int) -> None:
        self._seed = seed

    def of(self, *name: str | int) -> Dice:
        """Dice of their own for a part of what is drawn."""
        return Dice(*self._seed, *name)

    def unit(self, *name: str | int) -> float:
        """A number in [0, 1)."""
        return (stable_hash(*self._seed, *name) >> 10) / float(1 << 53)

    def below(self, most: int, *name: str | int) -> int:
        """A whole number in [0, most)."""
        return stable_hash(*self._seed, *name) % most

    def between(self, low: int, high: int, *name: str | int) -> int:
        """A whole number in [low, high]."""
        return low + self.below(max(1, high - low + 1), *name)

    def bell(self, mean: float, spread: float, *name: str | int) -> float:
        """About a normal number, at most `spread` away from the mean: the sum of three even ones."""
        drawn = sum(self.unit(*name, turn) for turn in range(3))
        return mean + spread * (drawn / 1.5 - 1.0)

    def pick(self, options: Sequence[Option], *name: str | int) -> Option:
        """One of the options, of which there is at least one."""
        return options[self.below(len(options), *name)]

    def shuffled(self, options: Iterable[str], *name: str | int) -> list[str]:
        """The options in a drawn order."""
        return sorted(options, key=lambda option: (stable_hash(*self._seed, *name, option), option))
