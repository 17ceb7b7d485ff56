"""What learned costs are worth: danger foreseen and deaths spared by the network, by counts, and by neither.

Countries are made up from seeds that the shipped network never learned from; all three live through the same ones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
import report

from app.core.clock import SystemClock
from app.engines import catalog
from app.engines.onnx import Engine, open_onnx
from app.learning import risks
from app.learning.risks import F32, Judge
from app.modules.pathfinding.overlays import ground
from app.modules.pathfinding.overlays.counts import DEATH, VISIT
from app.modules.pathfinding.overlays.settings import OverlaySettings
from app.modules.pathfinding.overlays.trial import Trial
from app.modules.pathfinding.overlays.world import Overlays

FIRST_SEED = 50_000
"""Training took seeds 10,000 to 10,599, and no setting was chosen by what happens from here on."""
SIDE = 2_048
ROUNDS = 5


def measure(told: report.Report, *, quick: bool) -> None:
    """Add every figure; about four minutes on one core, `quick` half a minute."""
    entry = catalog.load(report.ROOT / "models" / "catalog.toml").entry("danger")
    engine = open_onnx(name="danger", entry=entry, folder=report.ROOT / "models", workers_max=1)

    def judge(rows: F32) -> F32:
        return np.asarray(engine.compute({"obs": rows})["logits"])

    foreseen(told, judge, countries=8 if quick else 100)
    spared(told, judge, countries=8 if quick else 100)
    refreshed(told, engine)
    asyncio.run(engine.close())


def foreseen(told: report.Report, judge: Judge, *, countries: int) -> None:
    """How well deaths of visits are foreseen, and the part of it that anyone could foresee."""
    lessons = [risks.learn(FIRST_SEED + index, Trial) for index in range(countries)]
    ours, counts = risks.foresight(lessons, judge), risks.foresight(lessons, None)
    told.add("danger_brier_ratio", ours.brier / counts.brier, "ratio", "lower", goal=1.0, peer="counts", peer_value=1.0)
    told.add("danger_log_loss", ours.log_loss, "nats", "lower", peer="counts", peer_value=counts.log_loss)
    told.add("danger_miss", ours.miss, "1e-6", "lower", peer="counts", peer_value=counts.miss)


def spared(told: report.Report, judge: Judge, *, countries: int) -> None:
    """Deaths of a walk where all plan by the network, by counts, or by plain ground, in the same countries."""
    plans: dict[str, Callable[[int], risks.Toll]] = {
        "network": lambda seed: risks.toll(seed, Trial, judge),
        "counts": lambda seed: risks.toll(seed, Trial, None),
        "none": lambda seed: risks.toll(seed, Trial, None, heed=False),
    }
    tolls = {
        name: np.array([live(FIRST_SEED + index) for index in range(countries)], np.float64)
        for name, live in plans.items()
    }  # (countries, 2): deaths and cells of a walk
    deaths = {name: float(found[:, 0].mean()) for name, found in tolls.items()}
    for name in ("counts", "none"):
        told.add(
            f"danger_deaths_ratio.{name}", deaths["network"] / deaths[name], "ratio", "lower", goal=1.0,
            peer=name, peer_value=1.0,
        )  # fmt: skip
    gaps = tolls["network"][:, 0] - tolls["counts"][:, 0]
    half = 1.96 * gaps.std(ddof=1) / np.sqrt(len(gaps))
    told.add("danger_deaths_gap", float(gaps.mean()), "deaths/walk", "lower")
    told.add("danger_deaths_gap_half_interval", float(half), "deaths/walk", "lower")
    for name, value in deaths.items():
        told.add(f"danger_deaths.{name}", value, "deaths/walk", "lower")
        told.add(f"danger_cells.{name}", float(tolls[name][:, 1].mean()), "cells/walk", "lower")


def refreshed(told: report.Report, engine: Engine) -> None:
    """The quickest of a few refreshes of a busy 2048 x 2048 map, with the network and without, and the survey."""
    random = np.random.default_rng(1)
    free = (random.random((SIDE, SIDE)) < 0.9).astype(np.uint8)
    surveyed = ground.survey(free)
    told.add("danger_survey_ms", _quickest_ms(lambda: ground.survey(free)), "ms", "lower")
    for name, network in (("network", engine), ("counts", None)):
        known = Overlays(OverlaySettings(refresh_s=0.0), network, SystemClock())
        known.lay("map", surveyed, {"guard": 1.0})
        known.record("map", "", VISIT, random.integers(0, SIDE, (200_000, 2)), 0.0)
        taken_ms = []
        for index in range(ROUNDS):
            known.record("map", "", DEATH, random.integers(0, SIDE, (500, 2)), float(index))
            began = time.perf_counter()
            asyncio.run(known.refresh(float(index)))
            taken_ms.append((time.perf_counter() - began) * 1000.0)
        told.add(f"danger_refresh_ms.{name}", min(taken_ms), "ms", "lower")


def _quickest_ms(work: Callable[[], object]) -> float:
    return min(report.seconds(work) for _ in range(ROUNDS)) * 1000.0
