"""What a run costs: time = pace * (row_us * rows + run_us), a line calibrated at load and a pace followed since.

The size of chunks and what runs on the loop follow the line; admission and shedding follow the line and the pace.
Runs of one size cannot tell row_us from run_us, so only their common factor is learned from them. It knows no
network and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence

EASE = 0.05
"""How much of an error one observation corrects: some forty runs forget how busy the machine was."""
SURPRISE_MAX = 4.0
"""An observation counts as at most this many times what was expected: a thread that lost its core is no new cost."""
PACE_MIN, PACE_MAX = 0.25, 100.0
"""The bounds of what is learned."""
ROW_US_MIN = 1e-4


class Cost:
    """The line of one model on one provider, and how much slower than that it is at present."""

    def __init__(self, row_us: float, run_us: float) -> None:
        self.row_us, self.run_us = max(row_us, ROW_US_MIN), max(run_us, 0.0)
        self.pace = 1.0

    def us(self, rows: int) -> float:
        """Microseconds that a run of `rows` takes at present."""
        return self.pace * (self.row_us * rows + self.run_us)

    def rows_within(self, us: float) -> int:
        """The most rows that a run does in `us` at present; 0 when not even one."""
        return self.rows_at_rest(us / self.pace)

    def rows_at_rest(self, us: float) -> int:
        """The most rows that a run does in `us` on an idle machine, whatever the pace is."""
        return max(0, int((us - self.run_us) / self.row_us))

    def note(self, rows: int, us: float) -> None:
        """Learn from a run."""
        found = us / (self.row_us * rows + self.run_us)
        self._ease(min(found, SURPRISE_MAX * self.pace))

    def forgive(self) -> None:
        """Come nearer to the idle machine: a model that is given nothing any more can teach nothing."""
        self._ease(min(1.0, self.pace))

    def _ease(self, toward: float) -> None:
        self.pace = min(max(self.pace + EASE * (toward - self.pace), PACE_MIN), PACE_MAX)


def calibrated(timings: Sequence[tuple[int, float]]) -> Cost:
    """The line through (rows, microseconds), by least squares; through the origin where one size was timed."""
    count, mean = len(timings), sum(rows for rows, _ in timings) / len(timings)
    mean_us = sum(us for _, us in timings) / count
    spread = sum((rows - mean) ** 2 for rows, _ in timings)
    if spread == 0.0:
        return Cost(mean_us / mean, 0.0)
    slope = sum((rows - mean) * (us - mean_us) for rows, us in timings) / spread
    return Cost(slope, mean_us - slope * mean)
