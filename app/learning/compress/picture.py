"""The price of speed as a picture: which decisions a network keeps, how fast it is, how its people live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.learning.compress.report import Output
from app.learning.scorecard import MEASURES

INK, PALE, BAD = "#26324a", "#c9d2e0", "#b3372f"
MARKERS = {"fp32": "o", "fp16": "s", "int8": "D"}
COLORS = ("#1f4e96", "#c26a1b", "#1f7a54", "#7b3f98", "#8a6d1a", "#2b8c9e")


def draw(path: Path, title: str, outputs: Sequence[Output], *, fp32_us: float, agreement_min: float) -> None:
    """Write a PNG: agreement over time for 1,024 rows, and the scorecard's differences where there are any."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scored = [each for each in outputs if each.scorecard]
    figure = Figure(figsize=(12.5 if scored else 7.5, 5.2), layout="constrained", dpi=120)
    figure.suptitle(title, fontsize=13, fontweight="bold", color=INK)
    panels = figure.subplots(1, 2, width_ratios=(1.15, 1)) if scored else [figure.subplots()]
    _speed(panels[0], outputs, fp32_us, agreement_min)
    if scored:
        _lives(panels[1], outputs)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png")


def _speed(axes: Any, outputs: Sequence[Output], fp32_us: float, agreement_min: float) -> None:
    shares = [100.0 * each.loss.agreement for each in outputs]
    floor = 100.0 * agreement_min
    bottom = min([floor, *shares]) - 0.12 * (100.0 - min([floor, *shares])) - 0.05
    axes.axhspan(bottom, floor, color=BAD, alpha=0.07, linewidth=0)
    axes.axhline(floor, color=BAD, linewidth=1, linestyle="--")
    axes.annotate(f"refused below {floor:g} %", (0.015, floor), xycoords=("axes fraction", "data"), color=BAD,
                  fontsize=8, va="bottom", xytext=(0, 3), textcoords="offset points")  # fmt: skip
    axes.axvline(fp32_us, color=INK, linewidth=1, linestyle=":")
    axes.scatter([fp32_us], [100.0], marker="*", s=190, color=INK, zorder=4)
    axes.annotate("FP32 source", (fp32_us, 100.0), xytext=(-10, -3), textcoords="offset points", ha="right",
                  fontsize=9, color=INK)  # fmt: skip
    for index, (each, share) in enumerate(zip(outputs, shares, strict=True)):
        color = COLORS[index % len(COLORS)]
        words = f"{each.name}  {share:.2f} %, {fp32_us / each.part_us:.2f}×, {each.bytes / 1024:.0f} KiB"
        axes.errorbar(each.part_us, share, yerr=100.0 * each.loss.agreement_half, color=color, capsize=3, zorder=3)
        axes.scatter([each.part_us], [share], s=90, marker=MARKERS[each.name.rpartition("-")[2]], edgecolor=color,
                     facecolor="white" if each.refused else color, linewidth=2, alpha=0.85, zorder=3,
                     label=words + (", refused" if each.refused else ""))  # fmt: skip
    axes.legend(fontsize=8, loc="lower right", framealpha=0.9, edgecolor=PALE)
    axes.set_xlim(0, 1.12 * max([fp32_us, *(each.part_us for each in outputs)]))
    axes.set_ylim(bottom, 100.0 + 0.1 * (100.0 - bottom))
    axes.set_xlabel("µs for 1,024 NPCs, one thread (less is faster)")
    axes.set_ylabel("same legal decision as FP32, %")
    axes.grid(color=PALE, alpha=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _lives(axes: Any, outputs: Sequence[Output]) -> None:
    """Each measure's difference from FP32 in its own intervals, so that all five share an axis."""
    axes.axvspan(-1, 1, color=PALE, alpha=0.45, linewidth=0)
    axes.axvline(0, color=INK, linewidth=1)
    for index, each in enumerate(outputs):
        for row, measure in enumerate(MEASURES):
            gap = each.scorecard.get(measure)
            if gap is None:
                continue
            at = row + (index - (len(outputs) - 1) / 2) * 0.7 / max(1, len(outputs))
            half = max(gap.difference.half, 1e-9)
            axes.plot([0, gap.difference.mean / half], [at, at], color=COLORS[index % len(COLORS)], linewidth=2)
            axes.scatter([gap.difference.mean / half], [at], color=COLORS[index % len(COLORS)], s=32, zorder=3,
                         label=each.name if row == 0 else None)  # fmt: skip
    axes.set_yticks(range(len(MEASURES)), [name.replace("_", " ") for name in MEASURES])
    axes.set_ylim(len(MEASURES) - 0.5, -0.5)
    span = max(2.0, *(abs(value) for value in axes.get_xlim()))
    axes.set_xlim(-span, span)
    axes.set_xlabel("difference from FP32, in half-widths of its interval (grey: even)\n← worse          better →")
    axes.legend(fontsize=8, loc="best", frameon=False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
