"""A run as pictures: its learning curve, and its scorecard against the baselines. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from app.learning.scorecard import Scorecard, Verdict
from app.learning.train import Point

BLUE, PALE, GRAY, GREEN, GOLD, RED = "#1f4e96", "#b7c9e6", "#8a8f98", "#37864a", "#c98a00", "#c23b3b"
SHADE = {"better": GREEN, "even": GRAY, "worse": RED}
TITLES = {
    "survival": "survival", "needs_met": "needs met", "crime_stopped": "crime stopped", "profit": "profit",
    "plausibility": "plausibility",
}  # fmt: skip


def curve(points: Sequence[Point], path: Path) -> None:
    """Reward of a decision beside the rules' own in the same villages, and below it agreement and entropy."""
    figure = Figure(figsize=(9, 6.2), layout="constrained", dpi=110)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    steps = np.array([point.agent_steps for point in points]) / 1e6
    reward = np.array([point.reward for point in points])
    rules = np.array([point.rules_reward for point in points])
    imitated = steps[np.array([point.imitates for point in points])]
    for axes in (upper, lower):
        if len(imitated):
            axes.axvspan(0.0, imitated[-1], color="#f3ead2", zorder=0)
        axes.grid(alpha=0.25)
    upper.plot(steps, reward, color=PALE, linewidth=0.9, label="policy, each round")
    upper.plot(*_smooth(steps, reward), color=BLUE, linewidth=2.2, label="policy, smoothed")
    upper.plot(*_smooth(steps, rules), color=GOLD, linewidth=1.8, linestyle="--", label="rules beside it, smoothed")
    _span(upper, np.concatenate([reward, rules]))
    upper.set_ylabel("reward of a decision")
    upper.set_title("How the policy learned", loc="left")
    upper.legend(loc="lower right", frameon=False)
    _phases(upper, imitated, steps)
    lower.plot(steps, [point.agreement for point in points], color=GREEN, linewidth=1.4)
    lower.set_ylabel("agreement\nwith the rules", color=GREEN)
    lower.set_ylim(0.0, 1.0)
    lower.set_xlabel(f"million agent steps (in {points[-1].minutes:.1f} minutes)")
    beside: Any = lower.twinx()
    learned = [point for point in points if not point.imitates]
    beside.plot([p.agent_steps / 1e6 for p in learned], [p.entropy for p in learned], color=GRAY, linewidth=1.4)
    beside.set_ylabel("entropy of\nintents, nats", color=GRAY)
    beside.set_ylim(bottom=0.0)
    lower.set_xlim(0.0, steps[-1])
    FigureCanvasAgg(figure)
    figure.savefig(path)


def _smooth(steps: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    width = max(1, min(len(values), 1 + len(values) // 25))
    return steps[width - 1 :], np.convolve(values, np.ones(width) / width, mode="valid")


def _span(axes: Any, values: NDArray[np.float64]) -> None:
    """The first rounds may lie far below the rest: cut there, not at the top."""
    low, high = float(np.percentile(values, 4)), float(values.max())
    axes.set_ylim(low - 0.15 * (high - low + 1e-6), high + 0.08 * (high - low + 1e-6))


def _phases(axes: Any, imitated: NDArray[np.float64], steps: NDArray[np.float64]) -> None:
    top = axes.get_ylim()[1]
    spans = [(0.0, imitated[-1], "imitation")] if len(imitated) else []
    if len(imitated) < len(steps):
        spans.append((spans[-1][1] if spans else 0.0, steps[-1], "reinforcement (PPO)"))
    for first, last, name in spans:
        axes.text((first + last) / 2.0, top, name, ha="center", va="top", fontsize=9, color="#6b5b2e")


def bars(card: Scorecard, path: Path) -> None:
    """Every measure of the policy beside each baseline with 95 % intervals; below, each role against its rules."""
    figure = Figure(figsize=(11, 6.4), layout="constrained", dpi=110)
    upper, lower = cast(Any, figure.subfigures(2, 1, height_ratios=(1.25, 1)))
    axes = upper.subplots(1, len(card.measures))
    for panel, (name, verdict) in zip(axes, card.measures.items(), strict=True):
        _measure(panel, name, verdict)
    minutes = f"{card.minutes:g} minutes of {card.villages} villages"
    upper.suptitle(f"Scorecard: people led by the policy, {minutes}, 95 % intervals", x=0.01, ha="left", fontsize=12)
    _roles(lower.subplots(), card)
    FigureCanvasAgg(figure)
    figure.savefig(path)


def _measure(axes: Any, name: str, verdict: Verdict) -> None:
    names = ["policy", *verdict.rivals]
    means = [verdict.policy.mean, *(rival.mean for rival in verdict.rivals.values())]
    halves = [verdict.policy.half, *(rival.half for rival in verdict.rivals.values())]
    colors = [BLUE, GOLD, *[PALE] * (len(names) - 2)]
    axes.bar(names, means, yerr=halves, color=colors, ecolor="#333", capsize=3)
    axes.axhline(0.0, color="#333", linewidth=0.6)
    gap = verdict.difference
    axes.set_title(TITLES.get(name, name), fontsize=11)
    words = f"{gap.mean:+.3f} ± {gap.half:.3f}: {verdict.word}"
    axes.set_xlabel(words, color=SHADE[verdict.word], fontsize=9, fontweight="bold")
    axes.tick_params(axis="x", labelrotation=35, labelsize=8)
    axes.tick_params(axis="y", labelsize=8)


def _roles(axes: Any, card: Scorecard) -> None:
    names = list(card.roles)
    gaps = [card.roles[name]["reward"].difference for name in names]
    colors = [SHADE[card.roles[name]["reward"].word] for name in names]
    axes.barh(
        names, [gap.mean for gap in gaps], xerr=[gap.half for gap in gaps], color=colors, ecolor="#333", capsize=3
    )
    axes.axvline(0.0, color="#333", linewidth=0.8)
    axes.invert_yaxis()
    axes.set_title(
        "Each role alone in a mixed population: reward per minute, policy minus rules", loc="left", fontsize=11
    )
    axes.grid(alpha=0.25, axis="x")
