"""The shipped network on the real runtime: it opens, fits the features, and ranks danger as anyone would."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.core.clock import SystemClock
from app.engines import catalog
from app.engines.onnx import Engine, open_onnx
from app.modules.pathfinding.overlays import ground
from app.modules.pathfinding.overlays.counts import DEATH
from app.modules.pathfinding.overlays.settings import OverlaySettings
from app.modules.pathfinding.overlays.trial import Trial
from app.modules.pathfinding.overlays.world import Overlays

MODELS = Path(__file__).resolve().parents[4] / "models"
ENTRY = catalog.load(MODELS / "catalog.toml").entry("danger")


def opened() -> Engine:
    return open_onnx(name="danger", entry=ENTRY, folder=MODELS, batch_rows_max=256)


def visited(trial: Trial, row: int, times: int, *, deaths: int) -> None:
    """Walks along a row of tiles, some of which ended in its middle."""
    for x in range(0, 96, 8):
        trial.record("visit", np.array([[x, row]] * times), 0.0)
    if deaths:
        trial.record("death", np.array([[48, row]] * deaths), 0.0)
        trial.record("ambush", np.array([[48, row]] * deaths), 0.0)


def test_what_ships_is_small_licensed_and_of_the_present_features() -> None:
    assert (MODELS / ENTRY.file).stat().st_size < 200_000
    assert ENTRY.licence
    assert ENTRY.command
    assert ENTRY.fingerprint == ground.FINGERPRINT
    assert ENTRY.inputs[0].shape == (-1, ground.FEATURES)


async def test_the_shipped_network_opens_and_carries_its_layout() -> None:
    engine = opened()
    assert engine.status().state == "ready"
    assert engine.metadata["fingerprint"] == ENTRY.fingerprint
    await engine.close()


async def test_it_ranks_a_road_with_many_deaths_above_one_with_few_and_that_above_one_with_none() -> None:
    engine = opened()
    trial = Trial(np.ones((96, 96), np.uint8))
    for row, deaths in ((12, 12), (48, 2), (84, 0)):
        visited(trial, row, 100, deaths=deaths)
    logits = engine.compute({"obs": trial.look(1.0).rows})["logits"]
    risk = trial.risk(logits)[:, 6, 0]
    assert risk[1] > risk[6] > risk[10]
    assert risk[1] > 5 * risk[10]
    cost = trial.cost(trial.risk(logits))
    assert cost[12, 48] > cost[84, 48] == 1.0
    await engine.close()


async def test_a_world_weighs_its_maps_with_it_and_forgives_in_time() -> None:
    engine = opened()
    known = Overlays(OverlaySettings(half_life_s=60.0), engine, SystemClock())
    known.lay("vale", ground.survey(np.ones((96, 96), np.uint8)), {"guard": 1.0})
    for row in (12, 84):
        for _ in range(40):
            known.walked("vale", "guard", np.array([[0, row], [95, row]]), 0.0)
    known.record("vale", "guard", DEATH, np.array([[48, 12]] * 8), 0.0)
    (deadly,) = await known.refresh(1.0)
    assert deadly.rung == "network"
    assert deadly.multiplier[12, 48] > 2 * deadly.multiplier[84, 48]
    await known.refresh(6_000.0)
    forgiven = known.overlay("vale", "guard")
    assert forgiven is not None
    assert forgiven.multiplier[12, 48] == forgiven.multiplier[84, 48]
    await engine.close()
