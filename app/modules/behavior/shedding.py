"""Whom the policy decides for when it cannot decide for all in time, and how that is told: once, not per tick or NPC.

It knows no network; how many rows fit is asked elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock
from app.core.ladder import Watcher

Rows = NDArray[np.intp]


def most_important(importance: NDArray[np.generic] | None, rows: int, fit: int) -> tuple[Rows, Rows]:
    """The `fit` most important of `rows` rows and the others, each in their order; without importance the first."""
    if importance is None:
        every = np.arange(rows)
        return every[:fit], every[fit:]
    chosen = np.zeros(rows, np.bool_)
    chosen[np.argsort(-importance.astype(np.float32), kind="stable")[:fit]] = True
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


class Shedding:
    """Tells when the policy begins to shed rows, and when it has shed none for `rest_ms`."""

    def __init__(self, watcher: Watcher, clock: Clock, *, rest_ms: float) -> None:
        self._watcher, self._clock, self._rest_s = watcher, clock, rest_ms / 1000.0
        self._last_s: float | None = None

    def note(self, rows: int, shed: int) -> None:
        """A tick of `rows` NPCs, `shed` of which go to the next rung."""
        if shed:
            if self._last_s is None:
                self._watcher.rung_fell("behavior", "policy", f"too busy for {shed} of {rows} NPCs in time")
            self._last_s = self._clock.monotonic_s()
        elif self._last_s is not None and self._clock.monotonic_s() - self._last_s >= self._rest_s:
            self._last_s = None
            self._watcher.rung_rose("behavior", "policy")
