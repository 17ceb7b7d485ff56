"""What a run of offline learning leaves behind: its report, whether it may ship, a curve, an entry for the catalog.

Pure words and pictures; it trains and measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from app.learning.datasets import LeftOut
from app.learning.offpolicy import Estimate

Method = Literal["awr", "clone"]
SHADES = {"value": "#f3e9d2", "value again": "#f7f0e0", "clone": "#dfe7f3", "awr": "#e0f0e3"}


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One place of the learning curve."""

    phase: str
    step: int
    loss: float
    """Of the steps since the last point."""
    held_loss: float
    """On trajectories that are not learned from."""
    agreement: float
    """With what was recorded there, weighted as learned; 0 while the baseline learns."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy must keep to be written."""

    agreement_min: float
    """Share of held-out decisions, weighted as learned, in which its first choice is the recorded one."""
    worse_max: float
    """Reward of a decision by which it may be estimated worse than what was recorded, beyond the interval."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`report.json`."""

    method: Method
    seed: int
    steps: int
    minutes: float
    started_from: str
    rows: int
    held_rows: int
    trajectories: int
    rewards: int
    left_out: LeftOut
    fingerprint: str
    agreement: float
    """As Bounds.agreement_min has it."""
    clone_agreement: float
    """The share of held-out decisions that plain cloning gets right."""
    estimate: Estimate | None
    role_estimates: dict[str, Estimate]
    roles: tuple[str, ...]
    """Those that the policy leads."""
    bounds: Bounds
    refused: str = ""
    """Why nothing was written; empty where policy.onnx was."""
    model: str = ""
    sha256: str = ""
    scorecard: dict[str, Any] | None = None
    """In the simulated village, where the schema is the village's."""


def refusal(agreement: float, found: Estimate | None, roles: Sequence[str], bounds: Bounds) -> str:
    """Why a policy must not be written, and by how much; empty where it may."""
    if agreement < bounds.agreement_min:
        short = bounds.agreement_min - agreement
        return f"it agrees with {agreement:.1%} of held-out decisions, {short:.1%} less than the bound"
    if found is not None and found.word == "worse":
        worst = found.difference.mean + found.difference.half
        if worst < -bounds.worse_max:
            return (
                f"a decision is estimated {found.difference.mean:+.4f} ± {found.difference.half:.4f} beside a "
                f"recorded one, {-worst - bounds.worse_max:.4f} beyond the bound"
            )
    if not roles:
        return "no role has enough rows in which it is not worse"
    return ""


def snippet(report: Report, *, id: str, command: str, features: int, outputs: int) -> str:
    """An entry for models/catalog.toml."""
    found = report.estimate
    lines = [
        "[[models]]",
        f'id = "{id}"',
        f'file = "{id}.onnx" # {report.model} of this folder',
        f'sha256 = "{report.sha256}"',
        'licence = "yours"',
        'engine = "onnx"',
        f'inputs = [{{ name = "obs", type = "float32", shape = [-1, {features}] }}]',
        f'outputs = [{{ name = "logits", type = "float32", shape = [-1, {outputs}] }}]',
        f'fingerprint = "{report.fingerprint}"',
        f"roles = {_listed(report.roles)}",
        f"command = {msgspec.json.encode(command).decode()}",
        f"seed = {report.seed}",
        "",
        "[models.scorecard]",
        f'agreement = "{report.agreement:.3f} of held-out decisions, {report.method}"',
    ]
    if found is not None:
        gap = f"{found.difference.mean:+.4f} ± {found.difference.half:.4f}, {found.word}"
        lines.append(f'estimate = "a decision beside a recorded one: {gap}"')
    return "\n".join(lines) + "\n"


def _listed(names: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def draw(curve: Sequence[Point], bounds: Bounds, path: Path) -> None:
    """The learning curve as a picture: losses above, agreement below, phases shaded."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    steps = np.array([point.step for point in curve])
    for phase, first, last in _phases(curve):
        for axes in (above, below):
            axes.axvspan(steps[first], steps[last], color=SHADES[phase], zorder=0)
        above.text((steps[first] + steps[last]) / 2, 1.02, phase, transform=above.get_xaxis_transform(), ha="center")
        rows = slice(first, last + 1)
        label = (lambda words: words) if first == 0 else (lambda words: None)
        above.plot(steps[rows], [p.loss for p in curve[rows]], color="#9aa9bf", label=label("learned from"))
        above.plot(
            steps[rows], [p.held_loss for p in curve[rows]], color="#1f4e96", linewidth=2, label=label("held out")
        )
        if not phase.startswith("value"):
            below.plot(steps[rows], [p.agreement for p in curve[rows]], color="#2f7d4f", linewidth=2)
    above.set_ylabel("loss")
    above.legend(loc="upper right")
    below.axhline(bounds.agreement_min, color="#b04a3a", linestyle="--", label="bound")
    below.set_ylim(0.0, 1.0)
    below.set_ylabel("agreement, held out")
    below.set_xlabel("steps")
    below.legend(loc="lower right")
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.margins(x=0)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110)


def _phases(curve: Sequence[Point]) -> list[tuple[str, int, int]]:
    """(phase, its first point, its last point)."""
    firsts = [at for at in range(len(curve)) if at == 0 or curve[at].phase != curve[at - 1].phase]
    lasts = [at - 1 for at in (*firsts[1:], len(curve))]
    return [(curve[first].phase, first, last) for first, last in zip(firsts, lasts, strict=True)]


def rows_of(report: Report) -> list[tuple[str, str]]:
    """What a person wants to read, as pairs of words."""
    found = report.estimate
    out = [
        ("decisions", f"{report.rows:,} in {report.trajectories:,} trajectories, {report.held_rows:,} held out"),
        ("rewards", f"{report.rewards:,} joined"),
        ("left out", _told(msgspec.to_builtins(report.left_out)) or "nothing"),
        ("agreement", f"{report.agreement:.1%} weighted as learned; plain cloning {report.clone_agreement:.1%}"),
    ]
    if found is not None:
        gap = f"{found.difference.mean:+.4f} ± {found.difference.half:.4f}"
        out.append(("estimate", f"a decision is worth {gap} beside a recorded one: {found.word}"))
        out.append(("which rests on", f"{found.effective_share:.0%} of {found.decisions:,} held-out decisions"))
    out.append(("leads", ", ".join(report.roles) or "no role"))
    return out


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count)
