"""How soon one engine's first text comes, learned from its calls.

It keeps milliseconds that it is told and reads no clock.
"""

from __future__ import annotations

from bisect import insort
from collections import deque

SAMPLES_MAX = 64
"""First texts of which the quantile is taken."""
EASE = 0.2
"""How much of an error one observation corrects (EWMA)."""


class Pace:
    """A moving mean and a quantile of the time to first text."""

    __slots__ = ("_mean_ms", "_noted_s", "_recent", "_sorted", "_stale_s")

    def __init__(self, stale_ms: float) -> None:
        self._stale_s = stale_ms / 1000.0
        self._mean_ms = 0.0
        self._noted_s = float("-inf")
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []

    def note(self, ms: float, now_s: float) -> None:
        """A first text came after `ms`."""
        fresh = now_s - self._noted_s > self._stale_s
        self._mean_ms = ms if fresh else self._mean_ms + EASE * (ms - self._mean_ms)
        self._noted_s = now_s
        self._recent.append(ms)
        insort(self._sorted, ms)
        if len(self._recent) > SAMPLES_MAX:
            self._sorted.remove(self._recent.popleft())

    def note_none_by(self, ms: float, now_s: float) -> None:
        """None had come after `ms`, when the wait was given up: twice that is expected, as of a lost packet."""
        if 2.0 * ms > self._mean_ms:
            self.note(2.0 * ms, now_s)

    def expected_ms(self, now_s: float) -> float | None:
        """When the next first text is expected; None where nothing is known of late, so that it is tried again."""
        return None if now_s - self._noted_s > self._stale_s else self._mean_ms

    def p90_ms(self, samples_min: int) -> float | None:
        """What nine of ten first texts did not pass (nearest rank); None for fewer samples than that."""
        count = len(self._sorted)
        return None if count < max(1, samples_min) else self._sorted[-(-9 * count // 10) - 1]
