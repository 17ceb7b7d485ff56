"""Trains the behavior policy: the loop, its budget, its checkpoints, and what it leaves behind.

Imitation of the rules until most decisions are theirs, then PPO in mixed company. A killed run goes on from its last
checkpoint; a budget of steps then ends with the very same weights. It is given the rules and the schema's fingerprint,
since it knows no module. Needs the extra `train`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.core.errors import Invalid
from app.learning.envs.choices import mix
from app.learning.envs.environment import Brain, Environment
from app.learning.envs.rewards import Rewards
from app.learning.envs.village import ROLES, Village
from app.learning.nets import Policy
from app.learning.ppo import SHARES, Batch, Learner

VILLAGES, NPCS, STEPS = 64, 48, 32
ROUND_STEPS = VILLAGES * NPCS * STEPS
"""Agent steps of one round of play and learning."""
EPOCHS = 3
STEP_ROWS = 4_096
"""Rows behind one step of the optimizer."""
AGREEMENT, IMITATION_SHARE_MAX = 0.88, 0.2
"""The rules are imitated until so many decisions are theirs, or for this share of the budget."""
ANCHOR, ANCHOR_SHARE = 0.5, 0.5
"""What agreement with the rules is worth at first, and the share of the budget by which that has faded to nothing."""
RATE, ENTROPY = 7e-4, 0.008
SCRIPTED_SHARE = 0.4
"""Chance that a role of a village follows the rules instead, so that the policy meets strangers."""
FRESH_EVERY = 40
"""Rounds after which new villages are drawn."""
CHECKPOINT_S = 30.0
VERSION = 2
"""Of the checkpoint file."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Wall time, counting that before a kill, or agent steps: those make a run repeatable on any machine."""

    minutes: float | None = None
    steps: int | None = None

    def share(self, progress: Progress) -> float:
        """How much of it is spent, in [0, 1]."""
        if self.steps is not None:
            return min(1.0, progress.agent_steps / self.steps)
        return min(1.0, progress.spent_s / (60.0 * (self.minutes or 1e-9)))

    def part(self, runs: int) -> Budget:
        """What each of several runs may spend."""
        minutes = None if self.minutes is None else self.minutes / runs
        return Budget(minutes, None if self.steps is None else -(-self.steps // runs))


@dataclass(frozen=True, slots=True)
class Point:
    """One round on the learning curve; shares and means over its rows."""

    minutes: float
    agent_steps: int
    reward: float
    """Of a decision of those that learn."""
    rules_reward: float
    """Of a decision of those that follow the rules beside them."""
    agreement: float
    """Share of decisions that are the rules' own."""
    entropy: float
    """Of the intents, in nats; 0 while rules are imitated."""
    imitates: bool


@dataclass(slots=True)
class Progress:
    """How far a run is; what a checkpoint keeps beside the weights."""

    round: int = 0
    spent_s: float = 0.0
    agent_steps: int = 0
    curve: list[Point] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Course:
    """What decides how a run goes, beside the machine."""

    seed: int
    rules: Brain
    fingerprint: str
    """Of the schema that the policy is for."""
    rewards: Rewards = field(default_factory=Rewards)


Tell = Callable[[float, str], None]
"""(share done in [0, 1], a few words) -> shown to whoever waits."""


class Run:
    """One training in one folder, from its start or from its checkpoint."""

    def __init__(self, course: Course, folder: Path, *, threads: int) -> None:
        torch.set_num_threads(1)  # The learner shares its work among threads itself.
        _warm(course.rules)
        torch.manual_seed(course.seed)
        self.course, self.folder, self.progress = course, folder, Progress()
        self.policy = Policy()
        self._learner = Learner(self.policy, rate=RATE, step_rows=STEP_ROWS, threads=threads)
        self._dice = torch.Generator().manual_seed(course.seed)
        self._batch = Batch(STEPS, VILLAGES * NPCS)
        self._environment, self._scripted = self._draw()
        folder.mkdir(parents=True, exist_ok=True)
        self._checkpoint = folder / "checkpoint.pt"
        if self._checkpoint.exists():
            self._resume()

    def go(self, budget: Budget, tell: Tell, *, checkpoint_s: float = CHECKPOINT_S) -> None:
        """Train until the budget is spent; the last state is on disk then."""
        saved_s = self.progress.spent_s
        while (share := budget.share(self.progress)) < 1.0:
            began = time.perf_counter()
            self._round(share)
            self.progress.spent_s += time.perf_counter() - began
            if self.progress.spent_s - saved_s >= checkpoint_s:
                self.save()
                saved_s = self.progress.spent_s
            tell(share, self._words())
        self.save()

    def _words(self) -> str:
        rate = self.progress.agent_steps / max(1e-9, self.progress.spent_s)
        return f"reward {self.progress.curve[-1].reward:+.4f}, {rate / 1000.0:.0f}k steps/s"

    def _round(self, share: float) -> None:
        """Collect and learn once, with `share` of the budget spent."""
        progress, batch = self.progress, self._batch
        if progress.round and progress.round % FRESH_EVERY == 0:
            self._environment, self._scripted = self._draw()
        key = mix(self.course.seed, progress.round)
        self._learner.collect(self._environment, self.course.rules, batch, scripted=self._scripted, key=key)
        imitates = self._imitates(share)
        if imitates:
            lesson = self._learner.imitate(batch, self._dice, epochs=EPOCHS)
        else:
            left = 1.0 - share
            self._learner.set_rate(RATE * max(0.05, left))
            anchor = ANCHOR * max(0.0, 1.0 - share / ANCHOR_SHARE)
            lesson = self._learner.improve(batch, self._dice, epochs=EPOCHS, entropy=ENTROPY * left, anchor=anchor)
        progress.round += 1
        progress.agent_steps += ROUND_STEPS
        scripted = batch.alive & self._scripted
        progress.curve.append(
            Point(
                minutes=progress.spent_s / 60.0, agent_steps=progress.agent_steps,
                reward=_mean(batch.rewards, batch.learns), rules_reward=_mean(batch.rewards, scripted),
                agreement=lesson.agreement, entropy=lesson.entropy, imitates=imitates,
            )
        )  # fmt: skip

    def _imitates(self, share: float) -> bool:
        last = self.progress.curve[-1] if self.progress.curve else None
        if last is None:
            return True
        return last.imitates and last.agreement < AGREEMENT and share < IMITATION_SHARE_MAX

    def _draw(self) -> tuple[Environment, NDArray[np.bool_]]:
        """New villages, and which rows follow the rules: whole roles of a village, at chance (rows,)."""
        seed = self.course.seed * 100_003 + self.progress.round
        environment = Environment(VILLAGES, NPCS, seed, rewards=self.course.rewards)
        scripted = torch.rand((VILLAGES, len(ROLES)), generator=self._dice) < SCRIPTED_SHARE
        role = torch.from_numpy(environment.village.role.astype(np.int64))
        rows: NDArray[np.bool_] = scripted.gather(1, role).flatten().numpy()
        return environment, rows

    def save(self) -> None:
        """Write a checkpoint that is whole or not there."""
        state = {
            "version": VERSION,
            "course": self._name(),
            "policy": self.policy.state_dict(),
            "optimizer": self._learner.optimizer.state_dict(),
            "dice": self._dice.get_state(),
            "villages": {name: torch.from_numpy(array) for name, array in _plain(self._environment.village).items()},
            "scripted": torch.from_numpy(self._scripted),
            "progress": asdict(self.progress),
        }
        draft = self._checkpoint.with_suffix(".tmp")
        torch.save(state, draft)
        os.replace(draft, self._checkpoint)

    def _resume(self) -> None:
        state = torch.load(self._checkpoint, weights_only=True)
        if state.get("version") != VERSION or state["course"] != self._name():
            raise Invalid(
                f"{self._checkpoint} is of another run: {state.get('course')!r}, not {self._name()!r}",
                hint="choose another folder with --out, or remove the old one",
            )
        self.policy.load_state_dict(state["policy"])
        self._learner.optimizer.load_state_dict(state["optimizer"])
        self._dice.set_state(state["dice"])
        kept = dict(state["progress"])
        kept["curve"] = [Point(**point) for point in kept["curve"]]
        self.progress = Progress(**kept)
        arrays = {name: array.numpy() for name, array in state["villages"].items()}
        arrays["draws"] = arrays["draws"].view(np.uint64)
        self._environment = Environment.over(Village(**arrays), rewards=self.course.rewards)
        self._scripted = state["scripted"].numpy()

    def _name(self) -> str:
        """What must not change between a kill and a resumption."""
        changed = [f"{name}={value:g}" for name, value in self.course.rewards._asdict().items()]
        return f"seed {self.course.seed}, schema {self.course.fingerprint}, rewards {' '.join(changed)}"


def _warm(rules: Brain) -> None:
    """Load or compile the kernels, which the budget shall not pay for."""
    learner = Learner(Policy(), rate=RATE, step_rows=STEP_ROWS, threads=1)
    environment, dice = Environment(SHARES, NPCS, 0), torch.Generator()
    batch = Batch(1, environment.rows)
    learner.collect(environment, rules, batch, scripted=np.zeros(environment.rows, np.bool_), key=0)
    learner.imitate(batch, dice, epochs=1)
    learner.improve(batch, dice, epochs=1, entropy=ENTROPY, anchor=ANCHOR)


def _plain(village: Village) -> Mapping[str, NDArray[Any]]:
    """The arrays by name; torch's files know no uint64."""
    return {**village._asdict(), "draws": village.draws.view(np.int64)}


def _mean(values: NDArray[np.float32], rows: NDArray[np.bool_]) -> float:
    return float(values[rows].mean()) if rows.any() else 0.0
