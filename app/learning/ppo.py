"""The policy network and how it learns: imitation of rules first, then proximal policy optimization.

Knows tensors and losses (PPO: Schulman et al. 2017, advantage estimation: Schulman et al. 2016); the world
it acts in is `envs/environment.py`, the loop around it `train.py`. Needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from app.learning.envs.environment import Brain, Environment
from app.learning.envs.sensing import SLOT_COLUMN
from app.learning.envs.village import AIMS, F32, FEATURES, I8, INTENTS, ROLES, SLOTS

HIDDEN = 128
DISCOUNT = 0.99
TRACE = 0.95
CLIP = 0.2
SCRIPTED_SHARE = 0.35
"""Chance that a role of a village follows the rules instead, so that the policy meets strangers."""

_HP_COLUMNS = [SLOT_COLUMN + 4 * slot + 2 for slot in range(SLOTS)]
_AIMS = torch.tensor([[slot in aims for slot in range(SLOTS)] for aims in AIMS])


class Policy(nn.Module):
    """64 features -> 128 -> 128 -> 12 intents and 4 slots, with a value beside them for learning."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.heads = nn.Linear(HIDDEN, len(INTENTS) + SLOTS)
        self.value_first = nn.Linear(FEATURES, HIDDEN)
        self.value = nn.Linear(HIDDEN, 1)
        nn.init.orthogonal_(self.heads.weight, 0.01)

    def logits(self, obs: Tensor) -> Tensor:
        """(n, 64) -> (n, 16): intents, then slots."""
        hidden = functional.relu(self.second(functional.relu(self.first(obs))))
        found: Tensor = self.heads(hidden)
        return found

    def worth(self, obs: Tensor) -> Tensor:
        """(n, 64) -> (n,) expected return."""
        found: Tensor = self.value(functional.relu(self.value_first(obs)))
        return found[:, 0]


@dataclass(slots=True)
class Batch:
    """Rows of experience, flat; `weight` is 0 for the dead and for those that followed the rules."""

    obs: Tensor
    mask: Tensor
    intents: Tensor
    slots: Tensor
    """-1 where the intent aimed at nothing."""
    likely: Tensor
    advantage: Tensor
    returns: Tensor
    weight: Tensor
    rules: Tensor
    """What the rules would have wanted, for imitation."""


def masked(logits: Tensor, mask: Tensor) -> Tensor:
    """Log-probabilities of the allowed intents (n, 12)."""
    return functional.log_softmax(logits[:, : len(INTENTS)].masked_fill(~mask, -1e9), dim=1)


def slot_odds(logits: Tensor, obs: Tensor, intents: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the slots (n, 4) that each intent may aim at, and whether there is any (n,)."""
    open_slots = _AIMS[intents] & (obs[:, _HP_COLUMNS] > 0.0)
    return functional.log_softmax(logits[:, len(INTENTS) :].masked_fill(~open_slots, -1e9), dim=1), open_slots.any(1)


def sample(logits: Tensor, obs: Tensor, mask: Tensor, dice: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw intents (n,), slots (n,) with -1 for none, and the log-probability of both (n,)."""
    odds = masked(logits, mask)
    noise = -torch.log(-torch.log(torch.rand(odds.shape, generator=dice).clamp(1e-9, 1 - 1e-7)))
    intents = (odds + noise).argmax(1)
    slot, some = slot_odds(logits, obs, intents)
    noise = -torch.log(-torch.log(torch.rand(slot.shape, generator=dice).clamp(1e-9, 1 - 1e-7)))
    slots = (slot + noise).argmax(1)
    likely = odds.gather(1, intents[:, None])[:, 0]
    likely = likely + torch.where(some, slot.gather(1, slots[:, None])[:, 0], 0.0)
    return intents, torch.where(some, slots, -1), likely


def brain(policy: Policy) -> Brain:
    """The policy as it is served: the best allowed intent and slot, no chance."""

    def decide(obs: F32, mask: NDArray[np.uint8]) -> tuple[I8, I8]:
        with torch.no_grad():
            seen = torch.from_numpy(obs)
            logits = policy.logits(seen)
            intents = masked(logits, torch.from_numpy(mask) != 0).argmax(1)
            slot, some = slot_odds(logits, seen, intents)
            slots = torch.where(some, slot.argmax(1), -1)
        return intents.numpy().astype(np.int8), slots.numpy().astype(np.int8)

    return decide


@torch.no_grad()
def collect(
    policy: Policy, environment: Environment, rules: Brain, steps: int, *, dice: torch.Generator, scripted: Tensor
) -> tuple[Batch, float]:
    """Live `steps` steps and return what was learned (steps * rows), and the mean reward of a step.

    `scripted` (rows,) bool marks those that follow the rules.
    """
    kept: list[tuple[Tensor, ...]] = []
    rewards, ends = [], []
    for _ in range(steps):
        seen, may = environment.observe()
        obs, mask = torch.from_numpy(seen.copy()), torch.from_numpy(may != 0)
        alive = torch.from_numpy(environment.village.alive.reshape(-1) == 1)
        wanted, aims = (torch.from_numpy(part.astype(np.int64)) for part in rules(seen, may))
        intents, slots, likely = sample(policy.logits(obs), obs, mask, dice)
        moment = environment.step(
            torch.where(scripted, wanted, intents).numpy().astype(np.int8),
            torch.where(scripted, aims, slots).numpy().astype(np.int8),
        )
        kept.append((obs, mask, intents, slots, likely, policy.worth(obs), (alive & ~scripted).float(), wanted))
        rewards.append(torch.from_numpy(moment.reward.reshape(-1)))
        ends.append(torch.from_numpy(moment.died.reshape(-1)))
    last = policy.worth(torch.from_numpy(environment.observe()[0].copy()))
    obs, mask, intents, slots, likely, values, weight, wanted = (torch.stack(part) for part in zip(*kept, strict=True))
    reward = torch.stack(rewards)
    advantage = _estimate(reward, values, torch.stack(ends), last)
    flat = Batch(
        obs=obs.flatten(0, 1), mask=mask.flatten(0, 1), intents=intents.flatten(), slots=slots.flatten(),
        likely=likely.flatten(), advantage=_per_role(advantage, obs, weight).flatten(),
        returns=(advantage + values).flatten(), weight=weight.flatten(), rules=wanted.flatten(),
    )  # fmt: skip
    return flat, float((reward * weight).sum() / weight.sum().clamp(min=1.0))


def _estimate(reward: Tensor, values: Tensor, ends: Tensor, last: Tensor) -> Tensor:
    """Generalized advantages (steps, rows); a death ends what counts."""
    advantage = torch.zeros_like(reward)
    running, following = torch.zeros_like(last), last
    for step in range(len(reward) - 1, -1, -1):
        goes_on = (~ends[step]).float()
        surprise = reward[step] + DISCOUNT * following * goes_on - values[step]
        running = surprise + DISCOUNT * TRACE * goes_on * running
        advantage[step] = running
        following = values[step]
    return advantage


def _per_role(advantage: Tensor, obs: Tensor, weight: Tensor) -> Tensor:
    """Advantages scaled to unit spread within each role, so that no role drowns another."""
    scaled = torch.zeros_like(advantage)
    for role in range(len(ROLES)):
        rows = (obs[:, :, 8 + role] > 0.5) & (weight > 0.0)
        if int(rows.sum()) > 1:
            mine = advantage[rows]
            scaled[rows] = (mine - mine.mean()) / (mine.std() + 1e-6)
    return scaled


def imitate(
    policy: Policy, optimizer: torch.optim.Optimizer, batch: Batch, *, rows: int, dice: torch.Generator
) -> float:
    """One pass that copies the rules' intents and learns the value; returns the share that agrees."""
    agreed = total = 0.0
    for pick in _parts(batch, rows, dice):
        obs, wanted = batch.obs[pick], batch.rules[pick].clamp(min=0)
        logits = policy.logits(obs)
        odds = masked(logits, batch.mask[pick])
        slot, some = slot_odds(logits, obs, wanted)
        nearest = torch.where(_AIMS[wanted][:, 0], 0, 2)
        loss = (
            functional.nll_loss(odds, wanted)
            - 0.2 * (slot.gather(1, nearest[:, None])[:, 0] * some).clamp(min=-9).mean()
        )
        loss = loss + 0.5 * functional.mse_loss(policy.worth(obs), batch.returns[pick])
        _step(policy, optimizer, loss)
        agreed += float((odds.argmax(1) == wanted).sum())
        total += len(pick)
    return agreed / max(1.0, total)


def improve(
    policy: Policy, optimizer: torch.optim.Optimizer, batch: Batch, *, rows: int, epochs: int, entropy: float,
    dice: torch.Generator,
) -> float:  # fmt: skip
    """Clipped policy gradient over the batch; returns the mean entropy."""
    spread, parts = 0.0, 0
    for _ in range(epochs):
        for pick in _parts(batch, rows, dice):
            obs = batch.obs[pick]
            logits = policy.logits(obs)
            odds = masked(logits, batch.mask[pick])
            slot, some = slot_odds(logits, obs, batch.intents[pick])
            likely = odds.gather(1, batch.intents[pick][:, None])[:, 0]
            chosen = slot.gather(1, batch.slots[pick].clamp(min=0)[:, None])[:, 0]
            ratio = (likely + torch.where(some, chosen, 0.0) - batch.likely[pick]).exp()
            gain = batch.advantage[pick]
            goal = torch.min(ratio * gain, ratio.clamp(1.0 - CLIP, 1.0 + CLIP) * gain).mean()
            width = -(odds.exp() * odds.clamp(min=-20.0)).sum(1).mean()
            error = functional.mse_loss(policy.worth(obs), batch.returns[pick])
            _step(policy, optimizer, -goal - entropy * width + 0.5 * error)
            spread += float(width.detach())
            parts += 1
    return spread / max(1, parts)


def _parts(batch: Batch, rows: int, dice: torch.Generator) -> list[Tensor]:
    """The learnable rows, shuffled, in parts of `rows`."""
    mine = batch.weight.nonzero()[:, 0]
    return list(torch.split(mine[torch.randperm(len(mine), generator=dice)], rows))


def _step(policy: Policy, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch ships this method without types
    nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
    optimizer.step()
