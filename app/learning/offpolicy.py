"""What a policy would have earned, estimated from what another one did: per-decision importance sampling.

Rewards of recorded windows are weighted by how much likelier the new policy was to come there (Precup et al. 2000),
the weights of each step normalized over all windows. Pure numpy over log-probabilities; it knows no network.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.learning.datasets import F64, Plays

WINDOW = 16
"""Decisions that the new policy is thought to take; after them the old one goes on."""
RATIO_MAX = 5.0
"""One decision may not weigh more than this; the estimate leans to the old policy by it."""
DRAWS = 400
"""Of trajectories, for the interval."""


class Span(msgspec.Struct, frozen=True):
    """A mean with the half-width of its 95 % interval."""

    mean: float
    half: float


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Return of a window of decisions and of what follows, as recorded and as estimated for the new policy.

    It holds for the new policy with its chances, not only its first choice, and only where the recording has tried
    what the policy wants: `effective_share` is how much of the windows still speaks, and below 0.05 nothing is said.
    """

    windows: int
    decisions: int
    recorded: Span
    policy: Span
    difference: Span
    effective_share: float

    @property
    def word(self) -> str:
        """better, worse, even where the interval holds 0, or unknown where too little of the recording speaks."""
        if self.effective_share < 0.05 or self.windows < 8:
            return "unknown"
        if abs(self.difference.mean) <= self.difference.half:
            return "even"
        return "better" if self.difference.mean > 0.0 else "worse"


@dataclass(frozen=True, slots=True)
class _Windows:
    rewards: F64
    """(W, steps), discounted; 0 beyond the end of a story"""
    after: F64
    """(W,) what the state after the window is worth, discounted"""
    ratios: F64
    """(W, steps) cumulative, 1 beyond the end of a story"""
    owner: NDArray[np.int64]
    """(W,) the trajectory"""


def estimate(
    plays: Plays, old: F64, new: F64, values: F64, *, discount: float, seed: int, window: int = WINDOW
) -> Estimate | None:
    """Compare policies on `plays` by the log-probabilities `old`, `new` (N,) that they give to what was done.

    `values` (N,) are those of the states under the old policy. None where no trajectory is as long as a window.
    """
    cut = _cut(plays, old, new, values, discount=discount, window=window)
    if cut is None:
        return None
    owners = np.unique(cut.owner)
    place = np.searchsorted(owners, cut.owner)
    generator = np.random.Generator(np.random.PCG64(seed))
    counts = generator.multinomial(len(owners), np.full(len(owners), 1.0 / len(owners)), DRAWS)
    drawn = [_returns(cut, count[place].astype(np.float64)) for count in counts]
    recorded, policy = _returns(cut, np.ones(len(place)))
    spread = np.array(drawn)
    last = cut.ratios[:, -1]
    return Estimate(
        windows=len(place), decisions=window,
        recorded=Span(round(recorded, 5), _half(spread[:, 0])), policy=Span(round(policy, 5), _half(spread[:, 1])),
        difference=Span(round(policy - recorded, 5), _half(spread[:, 1] - spread[:, 0])),
        effective_share=round(float(last.sum() ** 2 / (last**2).sum() / len(last)), 4) if last.any() else 0.0,
    )  # fmt: skip


def _half(values: F64) -> float:
    return round(1.96 * float(values.std(ddof=1)), 5)


def _cut(plays: Plays, old: F64, new: F64, values: F64, *, discount: float, window: int) -> _Windows | None:
    """Windows side by side; one begins every `window` rows of a trajectory, if its end or the story's is recorded."""
    starts = np.flatnonzero(np.append([True] if len(plays) else [], plays.last[:-1]).astype(bool))
    lengths = np.diff(np.append(starts, len(plays)))
    over = plays.ends[starts + lengths - 1] if len(starts) else np.zeros(0, bool)
    counts = np.where(over, -(-lengths // window), (lengths - 1) // window)
    if not counts.sum():
        return None
    owner = np.repeat(np.arange(len(starts)), counts)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    begin = starts[owner] + number * window
    stop = (starts + lengths)[owner]
    rows = begin[:, None] + np.arange(window)  # (W, steps)
    inside = rows < stop[:, None]
    rows = np.minimum(rows, stop[:, None] - 1)
    ratios: F64 = np.where(inside, np.exp(np.clip(new[rows] - old[rows], -20.0, np.log(RATIO_MAX))), 1.0)
    rewards = np.where(inside, plays.reward[rows].astype(np.float64), 0.0) * discount ** np.arange(window)
    beyond = begin + window
    goes_on = beyond < stop
    after = np.where(goes_on, values[np.minimum(beyond, stop - 1)], 0.0) * discount**window
    return _Windows(rewards, after, np.cumprod(ratios, axis=1, dtype=np.float64), owner)


def _returns(cut: _Windows, counted: F64) -> tuple[float, float]:
    """Mean return of the windows, each counted so often (W,), under the old and the new policy."""
    share = counted / counted.sum()
    weights = cut.ratios * counted[:, None]
    weights /= np.maximum(weights.sum(axis=0), 1e-30)
    old = float((share[:, None] * cut.rewards).sum() + (share * cut.after).sum())
    new = float((weights * cut.rewards).sum() + (weights[:, -1] * cut.after).sum())
    return old, new
