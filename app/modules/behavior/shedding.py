"""Whom the policy decides for when it cannot decide for all in time, and how that is told: once, not per tick or NPC.

It knows no network; how many rows fit is asked elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock
from app.core.ladder import Watcher

Rows = NDArray[np.intp]
POLICY = "policy"


def most_important(importance: NDArray[np.generic] | None, rows: int, fit: int) -> tuple[Rows, Rows]:
    """The `fit` most important of `rows` rows and the others, each in their order; without importance the first."""
    if importance is None:
        every = np.arange(rows)
        return every[:fit], every[fit:]
    chosen = np.zeros(rows, np.bool_)
    chosen[np.argsort(-importance.astype(np.float32), kind="stable")[:fit]] = True
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


class Shedding:
    """Tells when the policy begins to be late or to shed rows, and when it has done neither for `rest_ms`.

    It stands between the ladder and the ladder's watcher, so that both reasons together are one fall.
    """

    def __init__(self, watcher: Watcher, clock: Clock, *, rest_ms: float) -> None:
        self._watcher, self._clock, self._rest_s = watcher, clock, rest_ms / 1000.0
        self._shed_s: float | None = None
        self._failing = False

    def note(self, rows: int, shed: int) -> None:
        """A tick of `rows` NPCs, `shed` of which go to the next rung."""
        if shed:
            if not self._down:
                self._watcher.rung_fell("behavior", POLICY, f"too busy for {shed} of {rows} NPCs in time")
            self._shed_s = self._clock.monotonic_s()
        elif self._shed_s is not None and self._clock.monotonic_s() - self._shed_s >= self._rest_s:
            self._shed_s = None
            self._tell_rise("behavior")

    def rung_fell(self, module: str, rung: str, reason: str) -> None:
        """See app.core.ladder.Watcher."""
        if rung != POLICY:
            self._watcher.rung_fell(module, rung, reason)
            return
        if not self._down:
            self._watcher.rung_fell(module, rung, reason)
        self._failing = True

    def rung_rose(self, module: str, rung: str) -> None:
        """See app.core.ladder.Watcher."""
        if rung != POLICY:
            self._watcher.rung_rose(module, rung)
            return
        self._failing = False
        self._tell_rise(module)

    @property
    def _down(self) -> bool:
        return self._failing or self._shed_s is not None

    def _tell_rise(self, module: str) -> None:
        if not self._down:
            self._watcher.rung_rose(module, POLICY)
