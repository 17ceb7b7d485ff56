"""Whether a policy would decide better than what was recorded, estimated from the recording alone.

Each recorded decision has an advantage: how much better than expected it turned out. Weighted by how much likelier the
new policy is to decide so, their mean is what one of its decisions is worth beside a recorded one (Kakade and Langford
2002). Importance weights are normalized by their sum. Pure numpy over log-probabilities; it knows no network.
"""

from __future__ import annotations

import msgspec
import numpy as np

from app.learning.datasets import F64, Bools, Plays

RATIO_MAX = 10.0
"""One decision may not weigh more than this; the estimate leans to what was recorded by it."""
DRAWS = 400
"""Of trajectories, for the interval."""
EFFECTIVE_MIN = 0.05
DECISIONS_MIN = 200
"""Below these an estimate says nothing."""


class Span(msgspec.Struct, frozen=True):
    """A mean with the half-width of its 95 % interval."""

    mean: float
    half: float


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision is worth, in units of reward: as recorded, under the policy, and the difference.

    Its limits: it looks one decision ahead in the situations of the recording, not at those that the policy would
    bring about; it holds for the policy with its chances, which is served by its first choice; and only where the
    recording has tried what the policy wants. `effective_share` is how much of the recording speaks.
    """

    decisions: int
    recorded: Span
    policy: Span
    difference: Span
    effective_share: float

    @property
    def word(self) -> str:
        """better, worse, even where the interval holds 0, or unknown where too little of the recording speaks."""
        if self.effective_share < EFFECTIVE_MIN or self.decisions < DECISIONS_MIN:
            return "unknown"
        if abs(self.difference.mean) <= self.difference.half:
            return "even"
        return "better" if self.difference.mean > 0.0 else "worse"


def estimate(plays: Plays, old: F64, new: F64, advantages: F64, counted: Bools, *, seed: int) -> Estimate | None:
    """Compare by the log-probabilities `old`, `new` (N,) of what was done, over the rows that are `counted` (N,).

    `advantages` (N,) are those of the recorded decisions. The interval draws whole trajectories, since the decisions
    of one are not independent. None where nothing is counted or all of it is one trajectory.
    """
    rows = np.flatnonzero(counted)
    owners, place = np.unique(plays.trajectory[rows], return_inverse=True)
    if len(owners) < 2:
        return None
    ratio = np.exp((new[rows] - old[rows]).clip(-20.0, np.log(RATIO_MAX)))
    gain = advantages[rows]
    # (4, trajectories): what each contributes to the two means.
    parts = (np.ones(len(rows)), gain, ratio, ratio * gain)
    sums: F64 = np.stack([np.bincount(place, part, len(owners)) for part in parts]).astype(np.float64)
    recorded, policy = _means(sums.sum(1))
    generator = np.random.Generator(np.random.PCG64(seed))
    counts = generator.multinomial(len(owners), np.full(len(owners), 1.0 / len(owners)), DRAWS)
    drawn = _means(sums @ counts.T)  # two of (DRAWS,)
    return Estimate(
        decisions=len(rows), recorded=_span(recorded, drawn[0]), policy=_span(policy, drawn[1]),
        difference=_span(policy - recorded, drawn[1] - drawn[0]),
        effective_share=round(float(ratio.sum() ** 2 / (ratio**2).sum() / len(rows)), 4),
    )  # fmt: skip


def _means(sums: F64) -> tuple[F64, F64]:
    """The mean gain as recorded and as weighted."""
    return sums[1] / np.maximum(sums[0], 1.0), sums[3] / np.maximum(sums[2], 1e-30)


def _span(mean: F64, draws: F64) -> Span:
    return Span(round(float(mean), 6), round(1.96 * float(draws.std(ddof=1)), 6))
