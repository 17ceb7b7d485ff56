"""A few seconds of training: it leaves what ships, resumes after a kill, and torch equals ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from app.core.errors import Invalid
from app.learning.envs.environment import Brain
from app.modules.behavior import considerations, logic, schema

LAYOUT = schema.load("open_world")
pytestmark = pytest.mark.needs_torch


def rules() -> Brain:
    return logic.rule_brain(considerations.load("open_world", LAYOUT))


def test_a_short_run_leaves_a_policy_that_equals_torch_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    import torch  # here, because where it is missing this file must still be collected

    from app.learning.ppo import Policy
    from app.learning.train import train

    told: list[str] = []

    def run(minutes: float, seed: int) -> object:
        return train(
            minutes=minutes, seed=seed, out=tmp_path, rules=rules(), fingerprint=LAYOUT.fingerprint,
            tell=lambda share, words: told.append(words), card_villages=2, card_steps=20,
        )  # fmt: skip

    run(0.02, 5)
    before = len(told)
    run(0.021, 5)  # The time before the kill counts: at most a round or two are left.
    assert len(told) - before <= 3
    with pytest.raises(Invalid, match="seed 5"):
        run(0.03, 6)

    session = onnxruntime.InferenceSession(str(tmp_path / "policy.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["fingerprint"] == LAYOUT.fingerprint
    policy = Policy()
    policy.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True)["policy"])
    obs = np.random.default_rng(0).random((300, 64), np.float32)
    with torch.no_grad():
        expected = policy.logits(torch.from_numpy(obs)).numpy()
    assert session.run(None, {"obs": obs})[0] == pytest.approx(expected, abs=1e-4)
    card = json.loads((tmp_path / "scorecard.json").read_text())
    assert set(card["scorecard"]["measures"]) >= {"survival", "crime_stopped", "profit"}
    assert (tmp_path / "curve.png").stat().st_size > 1_000
