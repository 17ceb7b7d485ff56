"""Made-up countries are the same for the same seed, and a tiny training leaves a network that foresees something."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import pytest

from app.learning import risks
from app.learning.envs import roads, walks
from app.modules.pathfinding.overlays import ground
from app.modules.pathfinding.overlays.trial import Trial
from tests.modules.pathfinding.overlays import twin


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_country_is_one_piece_with_its_towns_on_it_and_the_same_again(seed: int) -> None:
    country, again = (roads.draw(seed, slices=4, slice_s=300.0) for _ in range(2))
    assert country.free.tobytes() == again.free.tobytes()
    assert country.free.ravel()[country.towns].all()
    _, far = walks.way_home(country.free.astype(np.float32).ravel(), roads.SIDE, int(country.towns[0]))
    assert (np.isfinite(far) == (country.free.ravel() == 1)).all()
    attack, death = country.risk(0.0)
    assert ((attack > 0) & (attack <= 0.8) & (death <= attack)).all()


def test_a_way_home_costs_what_the_twin_s_does() -> None:
    random = np.random.default_rng(2)
    cost = ((random.random((12, 12)) < 0.8) * random.uniform(1, 4, (12, 12))).astype(np.float32)
    cost[0, 0] = cost[11, 11] = 1.0
    cost[0], cost[:, 11] = np.maximum(cost[0], 1.0), np.maximum(cost[:, 11], 1.0)
    onward, far = walks.way_home(cost.ravel(), 12, 143)
    path = twin.way(cost, (0, 0), (11, 11))
    steps = pairwise(path)
    expected = sum(np.hypot(a[0] - b[0], a[1] - b[1]) * (cost[a] + cost[b]) / 2 for a, b in steps)
    assert far[0] == pytest.approx(expected, rel=1e-5)
    cell, walked = 0, 0
    while onward[cell] >= 0:
        cell, walked = int(onward[cell]), walked + 1
    assert (cell, walked) == (143, len(path) - 1)


def test_a_life_under_one_plan_is_the_same_again() -> None:
    first, again = risks.toll(5, Trial, None), risks.toll(5, Trial, None)
    assert first == again
    assert first.deaths > 0


@pytest.mark.needs_torch
def test_a_tiny_training_leaves_a_network_that_beats_knowing_nothing_and_is_the_same_again(tmp_path: Path) -> None:
    from app.learning.dangers import train  # here, because where torch is missing this file must still be collected

    found = [
        train(
            seed=3, countries=2, epochs=40, out=tmp_path / name, eyes=Trial, symmetries=ground.symmetries(),
            fingerprint=ground.FINGERPRINT, held_out=1,
        )
        for name in ("first", "again")
    ]  # fmt: skip
    assert found[0] == found[1]
    assert found[0].network.log_loss < 0.3
    assert msgspec.json.decode((tmp_path / "first" / "danger.json").read_bytes())["sha256"] == found[0].sha256
    session = onnxruntime.InferenceSession(str(tmp_path / "first" / "danger.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["fingerprint"] == ground.FINGERPRINT
    rows = np.zeros((7, ground.FEATURES), np.float32)
    assert session.run(None, {"obs": rows})[0].shape == (7, 2)
