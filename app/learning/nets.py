"""The policy network, and its slopes by hand: matrix products into buffers that are there already, part by part.

`Policy` is the network as torch knows it; `Pass` computes the same, and the same gradients, without allocating (twice
as fast on a CPU). One Pass belongs to one thread. It knows no loss and no world. Needs torch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from app.learning.envs.village import F32, FEATURES, INTENTS, SLOTS

HIDDEN = 128
OUTPUTS = len(INTENTS) + SLOTS
PART_ROWS = 1_024
"""Rows that are computed at once: their activations stay in a core's own cache."""


class Policy(nn.Module):
    """64 features -> 128 -> 128 -> 12 intents and 4 slots, with a value beside them for learning.

    All weights lie in one tensor, `flat`, of which the layers hold views.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.heads = nn.Linear(HIDDEN, OUTPUTS)
        self.value_first = nn.Linear(FEATURES, HIDDEN)
        self.value = nn.Linear(HIDDEN, 1)
        nn.init.orthogonal_(self.heads.weight, 0.01)
        self.flat = torch.cat([each.detach().flatten() for each in self.parameters()])
        for parameter, view in zip(self.parameters(), views(self.flat), strict=True):
            parameter.data = view

    def logits(self, obs: Tensor) -> Tensor:
        """(n, 64) -> (n, 16): intents, then slots."""
        hidden = functional.relu(self.second(functional.relu(self.first(obs))))
        found: Tensor = self.heads(hidden)
        return found

    def worth(self, obs: Tensor) -> Tensor:
        """(n, 64) -> (n,) expected return."""
        found: Tensor = self.value(functional.relu(self.value_first(obs)))
        return found[:, 0]


_SHAPES = (
    (HIDDEN, FEATURES), (HIDDEN,), (HIDDEN, HIDDEN), (HIDDEN,), (OUTPUTS, HIDDEN), (OUTPUTS,),
    (HIDDEN, FEATURES), (HIDDEN,), (1, HIDDEN), (1,),
)  # fmt: skip
"""Of the weights and biases, in the order of `Policy.parameters`."""
WEIGHTS = sum(int(np.prod(shape)) for shape in _SHAPES)


def views(flat: Tensor) -> list[Tensor]:
    """The weights and biases inside a flat tensor (WEIGHTS,)."""
    found, at = [], 0
    for shape in _SHAPES:
        size = int(np.prod(shape))
        found.append(flat[at : at + size].view(shape))
        at += size
    return found


class Pass:
    """Forward and backward over at most PART_ROWS rows at a time, in buffers of its own."""

    def __init__(self, policy: Policy) -> None:
        self._weights = views(policy.flat)
        self._obs = torch.empty(0)
        self._hidden = [torch.empty(PART_ROWS, HIDDEN) for _ in range(3)]
        self._slopes = [torch.empty(PART_ROWS, HIDDEN) for _ in range(2)]
        self._logits, self._worth = torch.empty(PART_ROWS, OUTPUTS), torch.empty(PART_ROWS, 1)

    def logits(self, obs: F32) -> F32:
        """(n, 64) -> (n, 16), n at most PART_ROWS; the next call writes into what it returns."""
        w1, b1, w2, b2, w3, b3 = self._weights[:6]
        rows = len(obs)
        self._obs = torch.from_numpy(obs)
        first = torch.addmm(b1, self._obs, w1.t(), out=self._hidden[0][:rows]).relu_()
        second = torch.addmm(b2, first, w2.t(), out=self._hidden[1][:rows]).relu_()
        found: F32 = torch.addmm(b3, second, w3.t(), out=self._logits[:rows]).numpy()
        return found

    def worth(self, obs: F32) -> F32:
        """(n, 64) -> (n,) as `logits`."""
        w1, b1, w2, b2 = self._weights[6:]
        rows = len(obs)
        self._obs = torch.from_numpy(obs)
        hidden = torch.addmm(b1, self._obs, w1.t(), out=self._hidden[2][:rows]).relu_()
        found: F32 = torch.addmm(b2, hidden, w2.t(), out=self._worth[:rows]).numpy()[:, 0]
        return found

    def backward(self, slope: F32, value_slope: F32, out: list[Tensor]) -> None:
        """Write the gradients of the rows that `logits` and `worth` saw last into `out`, views as `views` gives.

        `slope` (n, 16) and `value_slope` (n,) are those of the loss by what the two gave.
        """
        w2, w3, value = self._weights[2], self._weights[4], self._weights[8]
        rows, obs = len(slope), self._obs
        first, second, valued = (hidden[:rows] for hidden in self._hidden)
        slope_1, slope_2 = (buffer[:rows] for buffer in self._slopes)
        top, worth = torch.from_numpy(slope), torch.from_numpy(value_slope)[:, None]
        _layer(top, second, out[4], out[5])
        _gate(torch.mm(top, w3, out=slope_2), second)
        _layer(slope_2, first, out[2], out[3])
        _gate(torch.mm(slope_2, w2, out=slope_1), first)
        _layer(slope_1, obs, out[0], out[1])
        _layer(worth, valued, out[8], out[9])
        _gate(torch.mm(worth, value, out=slope_1), valued)
        _layer(slope_1, obs, out[6], out[7])


def _layer(slope: Tensor, inputs: Tensor, weight: Tensor, bias: Tensor) -> None:
    torch.mm(slope.t(), inputs, out=weight)
    torch.sum(slope, 0, out=bias)


def _gate(slope: Tensor, hidden: Tensor) -> None:
    """Nothing flows back through what relu cut off."""
    torch.ops.aten.threshold_backward.grad_input(slope, hidden, 0.0, grad_input=slope)
