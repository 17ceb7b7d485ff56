"""A few seconds of training: it leaves what ships, survives a kill bit for bit, and torch equals ONNX Runtime."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from app.core.errors import Invalid
from app.engines import catalog
from app.learning.envs.rewards import Rewards
from app.modules.behavior import considerations, logic, schema

LAYOUT = schema.load("open_world")
ROOT = Path(__file__).resolve().parents[2]
STEPS = 6 * 98_304
"""Six rounds: one imitates, five reinforce."""
pytestmark = pytest.mark.needs_torch

PROGRAM = """
import sys
from pathlib import Path
from app.cli import baselines
from app.learning.train import Budget, Course, Run
seen, rules = baselines.rules()
run = Run(Course(seed=5, rules=rules, fingerprint=seen.fingerprint), Path(sys.argv[1]), threads=int(sys.argv[2]))
print("begins at", run.progress.round, flush=True)
tell = lambda share, words: print("round", run.progress.round, flush=True)
run.go(Budget(steps=int(sys.argv[3])), tell, checkpoint_s=0)
print("ended", flush=True)
"""


def course(**changes: Any) -> Any:
    from app.learning.train import Course  # here, because where torch is missing this file must still be collected

    rules = logic.rule_brain(considerations.load("open_world", LAYOUT))
    return Course(**{"seed": 5, "rules": rules, "fingerprint": LAYOUT.fingerprint} | changes)


def started(folder: Path, threads: int = 2) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(folder), str(threads), str(STEPS)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def weights(folder: Path) -> str:
    import torch

    kept = torch.load(folder / "checkpoint.pt", weights_only=True)["policy"]
    return hashlib.sha256(b"".join(kept[name].numpy().tobytes() for name in sorted(kept))).hexdigest()


def test_a_run_killed_midway_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    whole = started(tmp_path / "whole", threads=1)
    with started(tmp_path / "killed") as killed:
        assert killed.stdout is not None
        assert "round 3\n" in killed.stdout
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    resumed = started(tmp_path / "killed")
    told, _ = resumed.communicate()
    begun = int(told.splitlines()[0].removeprefix("begins at "))
    assert 2 <= begun < 6
    assert told.endswith("round 6\nended\n")
    assert whole.communicate()[0].endswith("ended\n")
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def test_a_short_run_leaves_everything_that_ships_and_refuses_to_go_on_as_another(tmp_path: Path) -> None:
    import torch

    from app.learning.nets import Policy
    from app.learning.results import FILES, Finish, train
    from app.learning.train import Budget

    told: list[tuple[float, str]] = []
    finish = Finish(villages=2, steps=20, episode_steps=40, frames_max=8, id="mine", command="manage.py train behavior")
    budget = Budget(steps=100_000)

    def tell(share: float, words: str) -> None:
        told.append((share, words))

    trained = train(course(), budget, tmp_path, tell=tell, finish=finish)
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    assert told[-1] == (1.0, "drawing")
    for changed in ({"seed": 6}, {"rewards": Rewards(gold=0.2)}, {"fingerprint": "0" * 16}):
        with pytest.raises(Invalid, match="seed 5"):
            train(course(**changed), budget, tmp_path, finish=finish)

    session = onnxruntime.InferenceSession(str(tmp_path / "policy.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["fingerprint"] == LAYOUT.fingerprint
    policy = Policy()
    policy.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True)["policy"])
    obs = np.random.default_rng(0).random((300, 64), np.float32)
    with torch.no_grad():
        expected = policy.logits(torch.from_numpy(obs)).numpy()
    assert session.run(None, {"obs": obs})[0] == pytest.approx(expected, abs=1e-4)

    card = json.loads((tmp_path / "scorecard.json").read_text())
    assert set(card["scorecard"]["measures"]) == {"survival", "needs_met", "crime_stopped", "profit", "plausibility"}
    assert set(card["scorecard"]["measures"]["profit"]["rivals"]) == {"utility", "random"}
    entry = catalog.load(tmp_path / "catalog.toml").entry("mine")
    (tmp_path / entry.file).write_bytes((tmp_path / "policy.onnx").read_bytes())
    assert catalog.read_verified(entry, tmp_path)
    assert entry.roles == trained.roles
    for name in ("curve.png", "scorecard.png", "episode.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 400
    with Image.open(tmp_path / "episode.gif") as picture:
        assert getattr(picture, "n_frames", 1) == 8
    assert (tmp_path / "episode.gif").stat().st_size < 3_000_000


def test_of_several_seeds_the_better_on_held_out_villages_is_kept(tmp_path: Path) -> None:
    from app.learning.results import Finish, train
    from app.learning.train import Budget

    finish = Finish(villages=2, steps=20, episode_steps=12, frames_max=2)
    trained = train(course(), Budget(steps=390_000), tmp_path, seeds=2, finish=finish)
    assert trained.seed in (5, 6)
    assert weights(tmp_path) == weights(tmp_path / f"seed-{trained.seed}")
    assert weights(tmp_path / "seed-5") != weights(tmp_path / "seed-6")
    assert trained.agent_steps == 196_608


def test_a_budget_of_minutes_counts_those_before_a_kill(tmp_path: Path) -> None:
    from app.learning.train import Budget, Run

    told: list[str] = []

    def tell(share: float, words: str) -> None:
        told.append(words)

    began = time.perf_counter()
    first = Run(course(), tmp_path, threads=2)
    first.go(Budget(minutes=0.05), tell)
    assert first.progress.spent_s >= 3.0
    before = len(told)
    second = Run(course(), tmp_path, threads=2)
    second.go(Budget(minutes=0.05), tell)
    assert len(told) == before  # Nothing was left to do.
    assert second.progress.spent_s < time.perf_counter() - began


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--minutes", "1", "--steps", "9"], "not both"),
        (["--id", "My Policy"], "My Policy"),
        (["--rewards", "nowhere.toml"], "nowhere.toml"),
        (["--minutes", "-3"], "-3"),
        (["--seeds", "99"], "99"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_make_no_sense_fail_with_a_word_and_leave_nothing(
    tmp_path: Path, options: list[str], says: str
) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), "train", "behavior", "--out", str(tmp_path / "out"), *options]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ran.returncode == 2
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "out").exists()
