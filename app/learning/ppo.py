"""How the policy learns: imitation of rules first, then proximal policy optimization (PPO: Schulman et al. 2017).

Knows batches, losses and the optimizer; the network is `nets.py`, the arithmetic beside it `envs/choices.py`, the world
`envs/environment.py`, the loop around it `train.py`. Work is cut the same way for any number of threads. Needs torch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.learning.envs import choices
from app.learning.envs.environment import Brain, Environment
from app.learning.envs.village import F32, FEATURES, I8, INTENTS, ROLES
from app.learning.nets import PART_ROWS, WEIGHTS, Pass, Policy, views

DISCOUNT = 0.99
TRACE = 0.95
CLIP = 0.2
VALUE_SHARE = 0.5
SLOT_SHARE = 0.2
"""What the slot weighs beside the intent when rules are imitated."""
SLOPE_MAX = 0.5
"""Longest gradient of one step."""
SHARES = 2
"""Parts of the villages that are played at once."""


def brain(policy: Policy) -> Brain:
    """The policy as it is served: the best allowed intent and slot, no chance. Any thread may ask it."""

    @torch.no_grad()
    def decide(obs: F32, mask: NDArray[np.uint8]) -> tuple[I8, I8]:
        passes = Pass(policy)
        intents, slots = np.empty(len(obs), np.int8), np.empty(len(obs), np.int8)
        for part in parts(len(obs)):
            choices.best(passes.logits(obs[part]), obs[part], mask[part], intents[part], slots[part])
        return intents, slots

    return decide


def parts(rows: int) -> list[slice]:
    """Rows in order, PART_ROWS at a time."""
    return [slice(first, min(rows, first + PART_ROWS)) for first in range(0, rows, PART_ROWS)]


class Batch:
    """Experience of a round, in buffers that the next round uses again: arrays (steps, rows) or (steps, rows, k)."""

    def __init__(self, steps: int, rows: int) -> None:
        shape = (steps, rows)
        self.obs = np.zeros((*shape, FEATURES), np.float32)
        self.mask = np.zeros((*shape, len(INTENTS)), np.uint8)
        self.intents, self.slots = np.zeros(shape, np.int8), np.zeros(shape, np.int8)
        self.filled = np.zeros(shape, np.uint8)
        """Which slots the intent could aim at, see choices.choose."""
        self.likely = np.zeros(shape, np.float32)
        self.rules = np.zeros(shape, np.int8)
        """What the rules would have wanted, for imitation."""
        self.rewards = np.zeros(shape, np.float32)
        self.ends = np.zeros(shape, np.bool_)
        self.alive = np.zeros(shape, np.bool_)
        self.values = np.zeros((steps + 1, rows), np.float32)
        self.advantage = np.zeros(shape, np.float32)
        self.returns = np.zeros(shape, np.float32)
        self.learns = np.zeros(shape, np.bool_)
        """Not the dead, nor those that followed the rules."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one pass over a batch showed: shares and means over its rows."""

    agreement: float = 0.0
    entropy: float = 0.0
    clipped: float = 0.0


Rows = NDArray[np.intp]
Loss = Callable[[Rows, F32, F32, int], tuple[F32, float, float]]
"""(rows, their logits, their obs, rows in the whole step) -> the slope (n, 16) and two sums over the rows."""


class Learner:
    """Plays and improves a policy with `threads` at once; how many does not change a bit of what is learned."""

    def __init__(self, policy: Policy, *, rate: float, step_rows: int, threads: int) -> None:
        self.policy = policy
        self._step_rows = step_rows
        self._weights = nn.Parameter(policy.flat)
        self.optimizer = torch.optim.Adam([self._weights], lr=rate, eps=1e-5, fused=True)
        self._gradients = torch.zeros(-(-step_rows // PART_ROWS), WEIGHTS)
        self._threads = ThreadPoolExecutor(threads)
        self._passes = Passes(policy)

    def set_rate(self, rate: float) -> None:
        """The step size from now on."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def collect(
        self, environment: Environment, rules: Brain, batch: Batch, *, scripted: NDArray[np.bool_], key: int
    ) -> None:
        """Live the steps of `batch` and fill it; `scripted` (rows,) marks who follows the rules, `key` is chance."""
        shares, first = environment.split(SHARES), 0
        works = []
        for share, other in enumerate(shares):
            rows = slice(first, first + other.rows)
            works.append((other, rules, batch, rows, scripted[rows], choices.mix(key, share)))
            first = rows.stop
        list(self._threads.map(lambda work: self._play(*work), works))
        np.logical_and(batch.alive, ~scripted, out=batch.learns)
        choices.scale(batch.advantage, environment.village.role.reshape(-1), batch.learns, len(ROLES))

    @torch.no_grad()
    def _play(
        self, environment: Environment, rules: Brain, batch: Batch, rows: slice, scripted: NDArray[np.bool_], key: int
    ) -> None:
        """Fill the columns `rows` of a batch."""
        passes = self._passes.mine()
        for step in range(len(batch.obs)):
            seen, may = environment.observe()
            obs, mask = batch.obs[step, rows], batch.mask[step, rows]
            obs[:], mask[:] = seen, may
            batch.alive[step, rows] = environment.village.alive.reshape(-1) == 1
            wanted, aims = rules(obs, mask)
            intents, slots = batch.intents[step, rows], batch.slots[step, rows]
            filled, likely = batch.filled[step, rows], batch.likely[step, rows]
            for part in parts(len(obs)):
                chance, logits = choices.mix(key, step, part.start), passes.logits(obs[part])
                drawn = (intents[part], slots[part], filled[part], likely[part])
                choices.choose(logits, obs[part], mask[part], chance, *drawn)
                batch.values[step, rows][part] = passes.worth(obs[part])
            moment = environment.step(np.where(scripted, wanted, intents), np.where(scripted, aims, slots))
            batch.rules[step, rows] = wanted
            batch.rewards[step, rows] = moment.reward.reshape(-1)
            batch.ends[step, rows] = moment.died.reshape(-1)
        last = environment.observe()[0]
        for part in parts(len(last)):
            batch.values[-1, rows][part] = passes.worth(last[part])
        values, advantage = batch.values[:, rows], batch.advantage[:, rows]
        choices.advantages(batch.rewards[:, rows], values, batch.ends[:, rows], DISCOUNT, TRACE, advantage)
        np.add(advantage, values[:-1], out=batch.returns[:, rows])

    def imitate(self, batch: Batch, dice: torch.Generator, *, epochs: int) -> Lesson:
        """Copy the rules' intents and learn the value, `epochs` times over the batch."""

        def loss(pick: Rows, logits: F32, obs: F32, total: int) -> tuple[F32, float, float]:
            slope = np.empty_like(logits)
            agree = choices.copy(logits, obs, _at(batch.mask, pick), _at(batch.rules, pick), SLOT_SHARE, total, slope)
            return slope, agree, 0.0

        return Lesson(agreement=[self._epoch(batch, dice, loss)[0] for _ in range(epochs)][-1])

    def improve(self, batch: Batch, dice: torch.Generator, *, epochs: int, entropy: float, anchor: float) -> Lesson:
        """Clipped policy gradient, `epochs` times over the batch.

        `entropy` is what spread is worth, `anchor` what agreement with the rules is.
        """

        def loss(pick: Rows, logits: F32, obs: F32, total: int) -> tuple[F32, float, float]:
            slope = np.empty_like(logits)
            acted = (_at(batch.intents, pick), _at(batch.slots, pick), _at(batch.filled, pick), _at(batch.likely, pick))
            mask, gain, wanted = _at(batch.mask, pick), _at(batch.advantage, pick), _at(batch.rules, pick)
            spread, cut = choices.push(logits, mask, *acted, gain, wanted, CLIP, entropy, anchor, total, slope)
            return slope, spread, cut

        shown = np.mean([self._epoch(batch, dice, loss) for _ in range(epochs)], axis=0)
        same = (batch.intents == batch.rules)[batch.learns]
        return Lesson(
            agreement=float(same.mean()) if len(same) else 0.0, entropy=float(shown[0]), clipped=float(shown[1])
        )

    @torch.no_grad()
    def _epoch(self, batch: Batch, dice: torch.Generator, loss: Loss) -> tuple[float, float]:
        """Every row that learns once, shuffled; the means of the two figures that `loss` returns with each slope."""
        rows = np.flatnonzero(batch.learns)
        order = rows[torch.randperm(len(rows), generator=dice).numpy()]
        shown = np.zeros(2)
        for first in range(0, len(order), self._step_rows):
            step = order[first : first + self._step_rows]
            works = list(enumerate(step[part] for part in parts(len(step))))
            slopes = [self._threads.submit(self._slope, batch, at, pick, loss, len(step)) for at, pick in works]
            for slope in slopes:
                shown += slope.result()
            self._weights.grad = self._gradients[: len(works)].sum(0)
            nn.utils.clip_grad_norm_([self._weights], SLOPE_MAX)
            self.optimizer.step()
        total = max(1, len(order))
        return float(shown[0] / total), float(shown[1] / total)

    @torch.no_grad()
    def _slope(self, batch: Batch, at: int, pick: Rows, loss: Loss, total: int) -> tuple[float, float]:
        """The gradient of the rows `pick`, a part of a step of `total`, into the `at`-th buffer."""
        passes = self._passes.mine()
        obs = _at(batch.obs, pick)
        slope, *shown = loss(pick, passes.logits(obs), obs, total)
        error = (passes.worth(obs) - _at(batch.returns, pick)) * np.float32(2.0 * VALUE_SHARE / total)
        passes.backward(slope, error, views(self._gradients[at]))
        return shown[0], shown[1]


class Passes:
    """One Pass for each thread that asks."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self._kept = policy, threading.local()

    def mine(self) -> Pass:
        """That of the calling thread."""
        found: Pass | None = getattr(self._kept, "passes", None)
        if found is None:
            found = self._kept.passes = Pass(self._policy)
        return found


def _at(array: NDArray[Any], pick: Rows) -> NDArray[Any]:
    """Those rows of (steps, rows, ...) as if it were flat."""
    return array.reshape(-1, *array.shape[2:])[pick]
