"""What a run costs: time = row_us * rows + run_us, calibrated when a network is loaded, followed while it serves.

Admission, the size of chunks, what runs on the loop and what is shed follow it. It knows no network and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence

PACE = 0.05
"""How much of an error one observation corrects: some thirty runs forget an old machine."""
SURPRISE_MAX = 3.0
"""An observation counts as at most this much over the prediction: a thread that lost its core is no new cost."""
ROW_US_MIN, SLOWER_MAX = 1e-4, 100.0
"""The bounds of what is learned: a row is never free, and never this many times dearer than calibrated."""


class Cost:
    """The line of one model on one provider; `rows_usual` scales the fit."""

    def __init__(self, row_us: float, run_us: float, *, rows_usual: int) -> None:
        self.row_us, self.run_us = max(row_us, ROW_US_MIN), max(run_us, 0.0)
        self._row_us, self._run_us, self._usual = self.row_us, self.run_us, max(1, rows_usual)

    def us(self, rows: int) -> float:
        """Microseconds that a run of `rows` takes."""
        return self.row_us * rows + self.run_us

    def rows_within(self, us: float) -> int:
        """The most rows that a run does in `us`; 0 when not even one."""
        return max(0, int((us - self.run_us) / self.row_us))

    def note(self, rows: int, us: float) -> None:
        """Learn from a run: normalized least mean squares (Widrow and Hoff 1960; Nagumo and Noda 1967)."""
        expected, x = self.us(rows), rows / self._usual
        error = min(us - expected, SURPRISE_MAX * expected)
        step = PACE * error / (x * x + 1.0)
        self._bound(self.row_us + step * x / self._usual, self.run_us + step)

    def forgive(self) -> None:
        """Come a little nearer to what was calibrated: a model that nothing is given any more can teach nothing."""
        self._bound(
            self.row_us + PACE * min(0.0, self._row_us - self.row_us),
            self.run_us + PACE * min(0.0, self._run_us - self.run_us),
        )

    def _bound(self, row_us: float, run_us: float) -> None:
        self.row_us = min(max(row_us, ROW_US_MIN), SLOWER_MAX * self._row_us)
        self.run_us = min(max(run_us, 0.0), SLOWER_MAX * (self._run_us + self._row_us))


def calibrated(timings: Sequence[tuple[int, float]]) -> Cost:
    """The line through (rows, microseconds), by least squares; through the origin where one size was timed."""
    usual = max(rows for rows, _ in timings)
    count, mean = len(timings), sum(rows for rows, _ in timings) / len(timings)
    mean_us = sum(us for _, us in timings) / count
    spread = sum((rows - mean) ** 2 for rows, _ in timings)
    if spread == 0.0:
        return Cost(mean_us / usual, 0.0, rows_usual=usual)
    slope = sum((rows - mean) * (us - mean_us) for rows, us in timings) / spread
    return Cost(slope, mean_us - slope * mean, rows_usual=usual)
