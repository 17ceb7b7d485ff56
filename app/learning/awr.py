"""Networks and losses of offline learning: cloning, a value baseline, advantage-weighted regression.

The last is cloning with each decision weighted by how much better than expected it turned out (Peng et al. 2019). It
knows tensors and the layout of a schema; rounds, checkpoints and files are in `offline.py`. Needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from app.learning.datasets import F32, F64, NONE, U8, Plays

HIDDEN = 128
AIM_SHARE = 0.3
"""What choosing the slot weighs beside choosing the intent."""
FORBIDDEN = -1e9
TAIL_PERCENT = 1.0
"""Of the advantages, which are drawn in at either end, so that a few cannot lead."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A schema in the learner's terms."""

    name: str
    fingerprint: str
    roles: tuple[str, ...]
    intents: tuple[str, ...]
    features: int
    aims: U8
    """(intents, slots) 1 where the intent may aim at the slot"""
    slot_columns: NDArray[np.intp]
    """(slots,) columns that are above 0 where the slot is filled"""
    role_columns: NDArray[np.intp]
    """(roles,)"""

    @property
    def slots(self) -> int:
        return int(self.aims.shape[1])


class Net(nn.Module):
    """Features -> 128 -> 128 -> intents and slots, the layers of the policy that ships."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.first = nn.Linear(layout.features, HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.heads = nn.Linear(HIDDEN, len(layout.intents) + layout.slots)
        nn.init.orthogonal_(self.heads.weight, 0.01)

    def forward(self, obs: Tensor) -> Tensor:
        """(n, features) -> (n, intents + slots)."""
        found: Tensor = self.heads(functional.relu(self.second(functional.relu(self.first(obs)))))
        return found


class Value(nn.Module):
    """Features -> 128 -> 128 -> the return that is to be expected, in units of their spread."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(layout.features, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1)
        )

    def forward(self, obs: Tensor) -> Tensor:
        """(n, features) -> (n,)."""
        found: Tensor = self.layers(obs)
        return found[:, 0]


@dataclass(frozen=True, slots=True)
class Rows:
    """Decisions as tensors (n, …)."""

    obs: Tensor
    mask: Tensor
    intent: Tensor
    slot: Tensor
    """-1 where the intent aimed at nothing"""

    @classmethod
    def of(cls, plays: Plays) -> Rows:
        """The same memory where it can be shared."""
        slot = plays.target.astype(np.int64)
        slot[slot == NONE] = -1
        return cls(
            torch.from_numpy(np.ascontiguousarray(plays.obs)), torch.from_numpy(plays.mask != 0),
            torch.from_numpy(plays.intent.astype(np.int64)), torch.from_numpy(slot),
        )  # fmt: skip

    def at(self, rows: Tensor) -> Rows:
        """Some of them."""
        return Rows(self.obs[rows], self.mask[rows], self.intent[rows], self.slot[rows])


@dataclass(frozen=True, slots=True)
class Odds:
    """Log-probabilities under a network: of all intents (n, intents), and of the slots for one intent (n, slots)."""

    intents: Tensor
    slots: Tensor
    some: Tensor
    """(n,) whether the intent has any slot to aim at"""

    def of(self, rows: Rows) -> Tensor:
        """(n,) of what was done; the slot counts where one was aimed at."""
        aimed = self.some & (rows.slot >= 0)
        slot = self.slots.gather(1, rows.slot.clamp(min=0)[:, None])[:, 0].clamp(min=-20.0)
        return self.intents.gather(1, rows.intent[:, None])[:, 0] + torch.where(aimed, slot, 0.0)


def odds(layout: Layout, logits: Tensor, rows: Rows, intents: Tensor) -> Odds:
    """What `logits` (n, intents + slots) say, with slots as `intents` (n,) may aim."""
    split = len(layout.intents)
    aims = torch.from_numpy(layout.aims != 0)
    open_slots = aims[intents] & (rows.obs[:, torch.from_numpy(layout.slot_columns)] > 0.0)
    return Odds(
        functional.log_softmax(logits[:, :split].masked_fill(~rows.mask, FORBIDDEN), dim=1),
        functional.log_softmax(logits[:, split:].masked_fill(~open_slots, FORBIDDEN), dim=1),
        open_slots.any(1),
    )


def imitation_loss(layout: Layout, net: Net, rows: Rows, weights: Tensor) -> Tensor:
    """How unlikely the recorded decisions are, weighted (n,)."""
    found = odds(layout, net(rows.obs), rows, rows.intent)
    chosen = found.intents.gather(1, rows.intent[:, None])[:, 0]
    aimed = (found.some & (rows.slot >= 0)).float()
    slot = found.slots.gather(1, rows.slot.clamp(min=0)[:, None])[:, 0].clamp(min=-9.0)
    return -((chosen + AIM_SHARE * aimed * slot) * weights).sum() / weights.sum().clamp(min=1e-6)


@torch.no_grad()
def agreement(layout: Layout, net: Net, rows: Rows, weights: Tensor) -> float:
    """The share of decisions, weighted (n,), in which the network's best intent is the recorded one."""
    best = odds(layout, net(rows.obs), rows, rows.intent).intents.argmax(1)
    return float(((best == rows.intent).float() * weights).sum() / weights.sum().clamp(min=1e-6))


@torch.no_grad()
def likelihood(layout: Layout, net: Net, rows: Rows, *, part: int = 65_536) -> F64:
    """(n,) log-probability of each recorded decision."""
    parts = []
    for first in range(0, len(rows.intent), part):
        some = rows.at(torch.arange(first, min(first + part, len(rows.intent))))
        parts.append(odds(layout, net(some.obs), some, some.intent).of(some).double().numpy())
    return np.concatenate(parts) if parts else np.zeros(0)


@torch.no_grad()
def worth(value: Value, obs: Tensor, *, part: int = 65_536) -> F64:
    """(n,) the value of each state, in units of the spread of returns."""
    return np.concatenate([value(obs[first : first + part]).double().numpy() for first in range(0, len(obs), part)])


def weigh(
    advantage: F64, obs: F32, layout: Layout, counted: NDArray[np.bool_], *, temperature: float, most: float
) -> F32:
    """(n,) what each decision weighs: exp(advantage / temperature), at most `most`; 0 where it is not `counted`.

    Advantages are measured in the spread of each role, so that no role drowns another.
    """
    weights = np.zeros(len(advantage), np.float32)
    roles = obs[:, layout.role_columns].argmax(1) if len(layout.role_columns) else np.zeros(len(obs), np.intp)
    for role in range(max(1, len(layout.role_columns))):
        rows = np.flatnonzero((roles == role) & counted)
        if len(rows) < 2:
            continue
        low, high = np.percentile(advantage[rows], (TAIL_PERCENT, 100.0 - TAIL_PERCENT))
        mine = advantage[rows].clip(low, high)
        scaled = (mine - mine.mean()) / (mine.std() + 1e-9)
        weights[rows] = np.exp((scaled / temperature).clip(max=np.log(most)))
    return weights


def brain(layout: Layout, net: Net) -> Callable[[F32, U8], tuple[NDArray[np.int8], NDArray[np.int8]]]:
    """The network as it is served: the best allowed intent and slot, no chance; int8, -1 for none."""

    def decide(obs: F32, mask: U8) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        with torch.no_grad():
            nothing = torch.zeros(len(obs), dtype=torch.int64)
            rows = Rows(torch.from_numpy(obs), torch.from_numpy(mask != 0), nothing, nothing)
            logits = net(rows.obs)
            intents = odds(layout, logits, rows, nothing).intents.argmax(1)
            found = odds(layout, logits, rows, intents)
            slots = torch.where(found.some, found.slots.argmax(1), -1)
        return intents.numpy().astype(np.int8), slots.numpy().astype(np.int8)

    return decide


def load(net: Net, weights: Mapping[str, F32]) -> None:
    """Take the weights of a policy; raises RuntimeError for another shape."""
    net.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
