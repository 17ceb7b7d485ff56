"""Trains the behavior policy: the loop, its checkpoints, its curve, its scorecard and the file that ships.

Imitation of the rules for the first tenth of the time, then PPO in mixed company. A killed run goes on from its
last checkpoint. It is given the rules and the schema's fingerprint, since it knows no module. Needs the extra `train`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import torch

from app.core.errors import Invalid
from app.learning import scorecard
from app.learning.envs.environment import Brain, Environment
from app.learning.envs.village import ROLES
from app.learning.export import LAYERS, export
from app.learning.ppo import SCRIPTED_SHARE, Batch, Policy, brain, collect, imitate, improve

VILLAGES, NPCS, STEPS = 64, 48, 32
EPOCHS = 3
PART_ROWS = 4_096
IMITATION_SHARE = 0.1
RATE, ENTROPY = 7e-4, 0.008
FRESH_EVERY = 40
"""Rounds after which new villages are drawn."""
CHECKPOINT_S = 30.0


@dataclass(slots=True)
class Progress:
    """How far a run is; what a checkpoint keeps beside the weights."""

    round: int = 0
    spent_s: float = 0.0
    agent_steps: int = 0
    curve: list[tuple[float, float, float]] = field(default_factory=list)
    """(minutes, mean reward of a step, agreement with the rules or entropy)"""


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What a run left behind."""

    model: str
    sha256: str
    fingerprint: str
    seed: int
    minutes: float
    agent_steps: int
    agent_steps_per_s: float
    roles: tuple[str, ...]
    scorecard: scorecard.Scorecard


Tell = Callable[[float, str], None]
"""(share done in [0, 1], a few words) -> shown to whoever waits."""


def train(
    *, minutes: float, seed: int, out: Path, rules: Brain, fingerprint: str, threads: int = 1, tell: Tell | None = None,
    card_villages: int = 48, card_steps: int = 960,
) -> Trained:  # fmt: skip
    """Train for `minutes` of wall time, counting those before a kill, and write everything into `out`.

    Leaves `policy.onnx`, `scorecard.json`, `curve.png`, `checkpoint.pt`. Raises Invalid when `out` holds the
    checkpoint of another seed or schema. Same seed and machine speed: same villages, not the same bytes.
    """
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(seed, rules, fingerprint)
    run.resume(out / "checkpoint.pt")
    tell = tell or _silent
    saved_s = run.progress.spent_s
    while run.progress.spent_s < minutes * 60.0:
        share = run.progress.spent_s / (minutes * 60.0)
        words = run.round(share)
        tell(share, words)
        if run.progress.spent_s - saved_s > CHECKPOINT_S:
            run.save(out / "checkpoint.pt")
            saved_s = run.progress.spent_s
    run.save(out / "checkpoint.pt")
    tell(1.0, "measuring")
    _draw(run.progress, out / "curve.png")
    return _finish(run, out, card_villages, card_steps)


def _silent(share: float, words: str) -> None:
    """Nobody watches."""


class _Run:
    def __init__(self, seed: int, rules: Brain, fingerprint: str) -> None:
        torch.manual_seed(seed)
        self.seed, self.rules, self.fingerprint = seed, rules, fingerprint
        self.policy = Policy()
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=RATE, eps=1e-5)
        self.progress = Progress()
        self._dice = torch.Generator().manual_seed(seed)
        self._environment = Environment(VILLAGES, NPCS, seed)
        self._scripted = self._cast()

    def round(self, share: float) -> str:
        """Collect and learn once; `share` of the time is spent. Returns words on how it goes."""
        began = time.perf_counter()
        progress = self.progress
        if progress.round and progress.round % FRESH_EVERY == 0:
            self._environment = Environment(VILLAGES, NPCS, self.seed * 100_003 + progress.round)
            self._scripted = self._cast()
        batch, reward = collect(
            self.policy, self._environment, self.rules, STEPS, dice=self._dice, scripted=self._scripted
        )
        aside = self._learn(batch, share)
        progress.round += 1
        progress.agent_steps += STEPS * self._environment.rows
        progress.spent_s += time.perf_counter() - began
        progress.curve.append((progress.spent_s / 60.0, reward, aside))
        rate = progress.agent_steps / max(1e-9, progress.spent_s)
        return f"reward {reward:+.4f}, {rate / 1000.0:.0f}k steps/s"

    def _learn(self, batch: Batch, share: float) -> float:
        if share < IMITATION_SHARE:
            return imitate(self.policy, self.optimizer, batch, rows=PART_ROWS, dice=self._dice)
        left = 1.0 - share
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * max(0.05, left)
        return improve(
            self.policy, self.optimizer, batch, rows=PART_ROWS, epochs=EPOCHS, entropy=ENTROPY * left, dice=self._dice
        )

    def _cast(self) -> torch.Tensor:
        """Which rows follow the rules: whole roles of a village, at chance (rows,)."""
        scripted = torch.rand((VILLAGES, len(ROLES)), generator=self._dice) < SCRIPTED_SHARE
        role = torch.from_numpy(self._environment.village.role.astype(np.int64))
        return scripted.gather(1, role).flatten()

    def save(self, path: Path) -> None:
        """Write a checkpoint that is whole or not there."""
        state = {
            "seed": self.seed,
            "fingerprint": self.fingerprint,
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "dice": self._dice.get_state(),
            "progress": asdict(self.progress),
        }
        draft = path.with_suffix(".tmp")
        torch.save(state, draft)
        os.replace(draft, path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one; villages are drawn anew."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if (state["seed"], state["fingerprint"]) != (self.seed, self.fingerprint):
            raise Invalid(
                f"{path.name} is of seed {state['seed']!r} and schema {state['fingerprint']!r}",
                hint="choose another folder, or remove the old checkpoint",
            )
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._dice.set_state(state["dice"])
        kept = dict(state["progress"])
        kept["curve"] = [tuple(point) for point in kept["curve"]]
        self.progress = Progress(**kept)
        self._environment = Environment(VILLAGES, NPCS, self.seed * 100_003 + self.progress.round)
        self._scripted = self._cast()


def _finish(run: _Run, out: Path, villages: int, steps: int) -> Trained:
    card = scorecard.measure(brain(run.policy), run.rules, villages=villages, steps=steps)
    weights = {name: value.numpy() for name, value in run.policy.state_dict().items() if name.split(".")[0] in LAYERS}
    roles = card.winners()
    minutes = round(run.progress.spent_s / 60.0, 1)
    metadata = {"schema": "open_world", "fingerprint": run.fingerprint, "roles": ",".join(roles), "seed": str(run.seed)}
    sha256 = export(weights, out / "policy.onnx", metadata)
    trained = Trained(
        model="policy.onnx", sha256=sha256, fingerprint=run.fingerprint, seed=run.seed, minutes=minutes,
        agent_steps=run.progress.agent_steps, roles=roles, scorecard=card,
        agent_steps_per_s=round(run.progress.agent_steps / max(1e-9, run.progress.spent_s)),
    )  # fmt: skip
    (out / "scorecard.json").write_bytes(msgspec.json.format(msgspec.json.encode(trained), indent=2))
    return trained


def _draw(progress: Progress, path: Path) -> None:
    """The learning curve as a picture: reward over minutes, smoothed beside raw."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    minutes = np.array([point[0] for point in progress.curve])
    reward = np.array([point[1] for point in progress.curve])
    axes.plot(minutes, reward, color="#b8c4d8", linewidth=1, label="a round")
    width = max(1, len(reward) // 30)
    smooth = np.convolve(reward, np.ones(width) / width, mode="valid")
    axes.plot(minutes[width - 1 :], smooth, color="#1f4e96", linewidth=2, label=f"mean of {width}")
    axes.set_xlabel("minutes")
    axes.set_ylabel("reward per decision")
    axes.legend()
    axes.grid(alpha=0.3)
    FigureCanvasAgg(figure)
    figure.savefig(path)
