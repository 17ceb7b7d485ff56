"""Offline learning: better than what was recorded and than copying it; poison, kills and failures do not move it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import pytest

from app.core.errors import Conflict, Invalid
from app.engines import catalog
from app.learning.datasets import ARRAYS
from app.learning.envs.environment import DT_S, Environment
from app.learning.envs.village import VILLAGER
from tests.learning.playing import LAYOUT, NPCS, collect, distracted, held, rules
from tests.servers import ROOT

pytestmark = pytest.mark.needs_torch


def layout() -> Any:
    from app.cli.train_offline import layout_of

    return layout_of(LAYOUT)


def learned(out: Path, plays: Any, *, bounds: tuple[float, float] = (0.05, 0.0), **options: Any) -> Any:
    from app.learning.offline import Options, learn
    from app.learning.outcome import Bounds

    chosen = Options(**{"seed": 3, "steps": 40, "part_rows": 512, **options})
    return learn(plays, layout(), options=chosen, out=out, bounds=Bounds(agreement_min=bounds[0], worse_max=bounds[1]))


@pytest.fixture(scope="module")
def small() -> Any:
    return collect(villages=2, steps=840, seed=5).plays()


def returns(brain: Any) -> float:
    """Of people, a minute, in villages that nobody learned from."""
    environment, total = Environment(12, NPCS, 4_242), 0.0
    people, wise, asked = environment.village.role <= VILLAGER, rules(), held(brain)
    for _ in range(240):
        obs, mask = (part.copy() for part in environment.observe())
        both = zip(asked(obs, mask), wise(obs, mask), strict=True)
        intents, slots = (np.where(people.reshape(-1), mine, others) for mine, others in both)
        total += float(environment.step(intents, slots).reward[people].mean())
    return total / (240 * DT_S / 60.0)


def test_weighing_by_what_came_of_it_beats_copying_and_what_was_recorded(tmp_path: Path) -> None:
    from app.learning import awr
    from app.learning.offline import Options, _Run

    plays = collect(villages=16, steps=960, seed=5).plays()
    report = learned(tmp_path, plays, seed=1, steps=600, part_rows=2_048)
    run = _Run(plays, layout(), Options(seed=1, steps=600), None)
    run.resume(tmp_path / "checkpoint.pt")
    recorded, copied = returns(distracted(1)), returns(awr.brain(run.layout, run.clone))
    better = returns(awr.brain(run.layout, run.policy))
    assert better > copied + 0.5
    assert better > recorded + 0.3
    assert report.estimate.word == "better", "the estimate from the recording alone says so too"
    assert report.estimate.effective_share > 0.3
    assert set(report.roles) == set(LAYOUT.roles)
    _check_what_ships(tmp_path, report, run)


def _check_what_ships(out: Path, report: Any, run: Any) -> None:
    import torch

    session = onnxruntime.InferenceSession(str(out / "policy.onnx"), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert (metadata["fingerprint"], metadata["roles"]) == (LAYOUT.fingerprint, ",".join(report.roles))
    obs = np.random.default_rng(0).random((300, 64), np.float32)
    with torch.no_grad():
        expected = run.policy(torch.from_numpy(obs)).numpy()
    assert session.run(None, {"obs": obs})[0] == pytest.approx(expected, abs=1e-4)
    assert json.loads((out / "report.json").read_text())["sha256"] == report.sha256
    assert (out / "curve.png").stat().st_size > 10_000


def test_poison_changes_not_a_byte(tmp_path: Path, small: Any) -> None:
    poisoned = collect(villages=2, steps=840, seed=5, poisoned=True).plays()
    assert poisoned.left_out.absurd_npcs == 1
    assert poisoned.left_out.not_finite_rewards == 1_680
    assert learned(tmp_path / "a", small).sha256 == learned(tmp_path / "b", poisoned).sha256


def test_a_large_reward_below_the_absurd_moves_little(tmp_path: Path, small: Any) -> None:
    reward = small.reward.copy()
    reward[int(np.flatnonzero(small.npc == 3)[20])] = 500.0
    from app.learning import awr
    from app.learning.offline import Options, _Run

    for plays, out in ((small, "a"), (replace(small, reward=reward), "b")):
        learned(tmp_path / out, plays)
        run = _Run(plays, layout(), Options(seed=3, steps=40, part_rows=512), None)
        run.resume(tmp_path / out / "checkpoint.pt")
        weights = run.awr_weights()
        share = weights[plays.npc == 3].sum() / weights.sum()
        assert share < 0.2
        assert weights.max() <= 20.0 + 1e-3
        assert awr.agreement(run.layout, run.policy, run.rows, run.rows.obs[:, 0] * 0 + 1) > 0.1


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.learning.playing import collect
from tests.learning.test_offline import learned
import app.learning.offline as offline
offline.CHECKPOINT_S = 0.0
report = learned(Path({out!r}), collect(villages=2, steps=840, seed=5).plays(), steps=200)
print(report.sha256)
"""


def test_a_run_that_is_killed_and_goes_on_ends_with_the_same_bytes(tmp_path: Path, small: Any) -> None:
    program = PROGRAM.format(root=str(ROOT), out=str(tmp_path / "killed"))
    first = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    checkpoint = tmp_path / "killed" / "checkpoint.pt"
    until = time.monotonic() + 120.0
    while not checkpoint.exists() and first.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert first.stdout is not None
    first.stdout.close()
    assert checkpoint.exists()
    assert not (tmp_path / "killed" / "report.json").exists(), "it was killed on its way"
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert again.stdout.strip() == learned(tmp_path / "whole", small, steps=200).sha256


def test_a_checkpoint_of_other_play_or_options_is_refused(tmp_path: Path, small: Any) -> None:
    learned(tmp_path, small)
    assert learned(tmp_path, small).sha256, "the same run is done"
    with pytest.raises(Invalid, match="other recordings"):
        learned(tmp_path, small, temperature=0.5)
    with pytest.raises(Invalid, match="other recordings"):
        learned(tmp_path, replace(small, reward=small.reward + np.float32(1.0)))


def test_a_policy_that_breaks_a_bound_is_not_written_and_the_gap_is_told(tmp_path: Path, small: Any) -> None:
    learned(tmp_path, small)
    (tmp_path / "checkpoint.pt").unlink()
    with pytest.raises(Conflict, match=r"agrees with .*% less than the bound"):
        learned(tmp_path, small, bounds=(0.999, 0.0))
    assert not (tmp_path / "policy.onnx").exists()
    report = json.loads((tmp_path / "report.json").read_text())
    assert "less than the bound" in report["refused"]
    assert report["model"] == ""


def test_an_estimate_that_is_worse_beyond_its_interval_refuses() -> None:
    from app.learning.offpolicy import Estimate, Span
    from app.learning.outcome import Bounds, refusal

    def found(mean: float, *, share: float = 0.5) -> Estimate:
        span = Span(0.0, 0.01)
        return Estimate(decisions=5_000, recorded=span, policy=span, difference=Span(mean, 0.01), effective_share=share)

    bounds = Bounds(agreement_min=0.4, worse_max=0.02)
    assert "0.0200 beyond the bound" in refusal(0.5, found(-0.05), ("guard",), bounds)
    assert refusal(0.5, found(-0.025), ("guard",), bounds) == ""
    assert refusal(0.5, found(-0.05, share=0.01), ("guard",), bounds) == "", "too little speaks: unknown"
    assert "no role" in refusal(0.5, found(0.1), (), bounds)


def test_an_estimate_knows_a_better_from_a_worse_policy(small: Any) -> None:
    from app.learning.offpolicy import estimate

    generator = np.random.default_rng(1)
    good = generator.random(len(small)) < 0.5
    gains = np.where(good, 0.1, -0.1) + generator.normal(0.0, 0.5, len(small))
    old, everyone = np.full(len(small), np.log(0.5)), np.ones(len(small), bool)
    verdicts = []
    for share in (0.9, 0.5, 0.1):
        new = np.log(np.where(good, share, 1.0 - share))
        found = estimate(small, old, new, gains, everyone, seed=1)
        assert found is not None
        verdicts.append(found.word)
        assert found.difference.mean == pytest.approx((2 * share - 1) * 0.1, abs=3 * found.difference.half + 0.02)
    assert verdicts == ["better", "even", "worse"]
    assert estimate(small, old, old, gains, ~everyone, seed=1) is None


def test_what_cannot_be_learned_from_is_refused_in_words(tmp_path: Path, small: Any) -> None:
    unpaid = replace(small, rewarded=0, reward=np.zeros_like(small.reward))
    with pytest.raises(Invalid, match="no reward"):
        learned(tmp_path, unpaid)
    assert learned(tmp_path, unpaid, method="clone").estimate is None, "copying needs none"
    with pytest.raises(Invalid, match="too few"):
        learned(tmp_path, small.at(np.arange(len(small)) < 50))
    alone = {name: np.repeat(getattr(small, name)[:1], 2_000, axis=0) for name in ARRAYS}
    one = replace(small, **{**alone, "tick": np.arange(2_000)})
    with pytest.raises(Invalid, match="one trajectory"):
        learned(tmp_path / "b", one)


def test_it_begins_with_the_policy_that_is_given(tmp_path: Path, small: Any) -> None:
    from app.learning.offline import Options, _Run, weights_of

    shipped = weights_of(ROOT / "models" / "behavior-open-world.onnx", layout())
    run = _Run(small, layout(), Options(), shipped)
    assert np.array_equal(run.clone.first.weight.detach().numpy(), shipped["first.weight"])
    with pytest.raises(Invalid, match="made for schema"):
        weights_of(ROOT / "models" / "danger.onnx", layout())
    other = replace(layout(), aims=np.ones((12, 3), np.uint8))
    with pytest.raises(Invalid, match="no layer"):
        weights_of(ROOT / "models" / "behavior-open-world.onnx", other)


def test_the_catalog_entry_can_be_pasted(tmp_path: Path, small: Any) -> None:
    from app.learning.outcome import snippet

    report = learned(tmp_path, small)
    text = snippet(report, id="behavior-own", command='train offline --from "x y"', features=64, outputs=16)
    entry = msgspec.convert(tomllib.loads(text), catalog.Catalog).entry("behavior-own")
    (tmp_path / entry.file).write_bytes((tmp_path / "policy.onnx").read_bytes())
    assert catalog.read_verified(entry, tmp_path)
