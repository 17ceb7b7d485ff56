"""What a suite is and what it hands back: figures, each beside the threshold that it must reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

TIMED = frozenset({"s", "ms", "KiB", "events/s", "of all", "of the peak", "share", "times", "times alone"})
"""Units of what a slow or busy machine changes; all others count what must hold on any."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value. `bound` is the most (or, for `at_least`, the least) that passes."""

    suite: str
    name: str
    value: float
    unit: str
    bound: float
    side: Literal["at_most", "at_least"] = "at_most"

    @property
    def reached(self) -> bool:
        return self.value <= self.bound if self.side == "at_most" else self.value >= self.bound

    @property
    def timed(self) -> bool:
        """Whether the machine's speed has a part in it."""
        return self.unit in TIMED


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a suite that this machine cannot run, and what it lacks; told, never left out silently."""

    suite: str
    name: str
    lacks: str


Outcome = Figure | Gap


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to do: `quick` fits a change, `full` a night. Every draw comes from `seed`."""

    scale: Literal["quick", "full"]
    seed: int
    folder: Path
    told: Callable[[str], None]

    def of(self, *, quick: int, full: int) -> int:
        """The number for this scale."""
        return quick if self.scale == "quick" else full


@dataclass(frozen=True, slots=True)
class Suite:
    """A letter of the test plan and where its `run` is, imported when it runs."""

    letter: str
    title: str
    where: str


Run = Callable[[Plan], Sequence[Outcome]]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not pass (nearest rank); 0 of none."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
