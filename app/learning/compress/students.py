"""Networks that learn to decide as another does: smaller ones, pruned ones, and ones that know they will be rounded.

Distillation (Hinton et al. 2015) on the legal decision; structured pruning of hidden units by what they pass on
(Molchanov et al. 2017); quantization-aware tuning with straight-through gradients (Jacob et al. 2018). Needs torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from app.engines.compiler.graph import Layer
from app.engines.compiler.precision import Range
from app.learning.compress.quality import Layout
from app.learning.compress.rows import F32, Rows

PART_ROWS = 2_048
SLOT, NEAR = 0.5, 0.02
"""Weights beside the soft decision: of the teacher's target slot, and of the logits themselves. The teacher's very
choice is no target: it would sharpen the student and move the borders between decisions."""
RATE_FRESH, RATE_TUNE = 3e-3, 3e-4
SILENT = -1e9

Tell = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Rounding:
    """How a layer will be rounded: its input as uint8, its weights per row to `levels` steps to each side, 0 = not."""

    scale: float
    zero: int
    levels: int


class Student(nn.Module):
    """Linear layers with a Relu between them; `rounding` holds one entry a layer, None where it stays FP32."""

    def __init__(self, layers: Sequence[Layer], rounding: Sequence[Rounding | None]) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.from_numpy(layer.weight.copy())) for layer in layers])
        self.biases = nn.ParameterList([nn.Parameter(torch.from_numpy(layer.bias.copy())) for layer in layers])
        self.rounding = tuple(rounding)

    def forward(self, obs: Tensor) -> Tensor:
        """(n, features) -> (n, outputs)."""
        value = obs
        for index, (weight, bias, rounding) in enumerate(zip(self.weights, self.biases, self.rounding, strict=True)):
            if index:
                value = functional.relu(value)
            if rounding is not None:
                value = _rounded_value(value, rounding)
                weight = _rounded_weight(weight, rounding.levels) if rounding.levels else weight
            value = functional.linear(value, weight, bias)
        return value

    def layers(self) -> tuple[Layer, ...]:
        """The weights as they are, not rounded."""
        return tuple(
            Layer(weight.detach().numpy().copy(), bias.detach().numpy().copy())
            for weight, bias in zip(self.weights, self.biases, strict=True)
        )


def _rounded_value(value: Tensor, rounding: Rounding) -> Tensor:
    """What is left of the value as uint8; the gradient passes where it is in range."""
    low, high = -rounding.zero * rounding.scale, (255 - rounding.zero) * rounding.scale
    inside = value.clamp(low, high)
    found: Tensor = inside + ((inside / rounding.scale).round() * rounding.scale - inside).detach()
    return found


def _rounded_weight(weight: Tensor, levels: int) -> Tensor:
    """What is left of a weight (out, in) with one scale a row."""
    scale = weight.detach().abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / levels
    found: Tensor = weight + ((weight / scale).round() * scale - weight).detach()
    return found


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned: rows, and the logits (n, outputs) that the teacher gives for them."""

    how: Layout
    rows: Rows
    wanted: F32


def distill(lesson: Lesson, widths: Sequence[int], *, steps: int, seed: int, tell: Tell) -> tuple[Layer, ...]:
    """A fresh network with these hidden widths that decides as the teacher does."""
    generator = np.random.Generator(np.random.PCG64(seed))
    sizes = [lesson.rows.obs.shape[1], *widths, lesson.wanted.shape[1]]
    fresh = [
        Layer(
            generator.normal(0.0, np.sqrt(2.0 / inputs), (outputs, inputs)).astype(np.float32),
            np.zeros(outputs, np.float32),
        )
        for inputs, outputs in itertools.pairwise(sizes)
    ]
    return _fit(Student(fresh, [None] * len(fresh)), lesson, rate=RATE_FRESH, steps=steps, seed=seed, tell=tell)


def cut(layers: Sequence[Layer], obs: F32, share: float) -> tuple[Layer, ...]:
    """The layers without the `share` of each hidden layer's units that pass on least; at least one unit stays.

    What a unit passes on is its mean output over `obs` times the length of its outgoing weights; the mean output of
    those removed moves into the biases that they fed.
    """
    kept = list(layers)
    value = obs
    for index in range(len(kept) - 1):
        here, onward = kept[index], kept[index + 1]
        value = np.maximum(value @ here.weight.T + here.bias, 0.0)  # (rows, units)
        mean = value.mean(axis=0)
        worth = value.std(axis=0) * np.linalg.norm(onward.weight, axis=0)
        count = max(1, round(len(worth) * (1.0 - share)))
        stay = np.sort(np.argsort(-worth, kind="stable")[:count])
        gone = np.setdiff1d(np.arange(len(worth)), stay)
        kept[index] = Layer(here.weight[stay], here.bias[stay])
        kept[index + 1] = Layer(
            np.ascontiguousarray(onward.weight[:, stay]), onward.bias + onward.weight[:, gone] @ mean[gone]
        )
        value = value[:, stay]
    return tuple(kept)


def refit(layers: Sequence[Layer], lesson: Lesson, *, steps: int, seed: int, tell: Tell) -> tuple[Layer, ...]:
    """The same network taught again, after units were cut."""
    return _fit(Student(layers, [None] * len(layers)), lesson, rate=RATE_FRESH / 3, steps=steps, seed=seed, tell=tell)


def tune(
    layers: Sequence[Layer], ranges: Sequence[Range | None], lesson: Lesson, *, weight_bits: int, last_fp32: bool,
    steps: int, seed: int, tell: Tell,
) -> tuple[Layer, ...]:  # fmt: skip
    """The same network with weights that decide as the teacher does once they are rounded.

    `ranges` holds each layer's input, None where that stays FP32; `last_fp32` keeps the last layer's weights so.
    """
    most = 64 if weight_bits == 7 else 127
    levels = [most] * (len(layers) - 1) + [0 if last_fp32 else most]
    rounding = [
        Rounding(each.scale, each.zero, steps_each) if each else None
        for each, steps_each in zip(ranges, levels, strict=True)
    ]
    return _fit(Student(layers, rounding), lesson, rate=RATE_TUNE, steps=steps, seed=seed, tell=tell)


def _fit(student: Student, lesson: Lesson, *, rate: float, steps: int, seed: int, tell: Tell) -> tuple[Layer, ...]:
    dice = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(student.parameters(), lr=rate)
    obs, wanted = torch.from_numpy(lesson.rows.obs), torch.from_numpy(lesson.wanted)
    mask = torch.from_numpy(lesson.rows.mask != 0)
    intents, _ = lesson.how.decide(lesson.wanted, lesson.rows)
    open_slots = torch.from_numpy(lesson.how.open_slots(intents, lesson.rows.obs))
    rows = min(PART_ROWS, len(obs))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * 0.5 * (1.0 + float(np.cos(np.pi * step / steps)))
        pick = torch.randint(len(obs), (rows,), generator=dice)
        loss = _difference(lesson.how, student(obs[pick]), wanted[pick], mask[pick], open_slots[pick])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch ships this method without types
        optimizer.step()
        if step % 20 == 0:
            tell(step / steps)
    tell(1.0)
    return student.layers()


def _difference(how: Layout, found: Tensor, wanted: Tensor, mask: Tensor, open_slots: Tensor) -> Tensor:
    """How far a student's decisions (n, outputs) are from its teacher's."""
    split = how.intents
    odds = functional.log_softmax(found[:, :split].masked_fill(~mask, SILENT), dim=1)
    odds_then = functional.log_softmax(wanted[:, :split].masked_fill(~mask, SILENT), dim=1)
    total = functional.kl_div(odds, odds_then, log_target=True, reduction="batchmean")
    total = total + NEAR * functional.mse_loss(found, wanted)
    if how.open_columns:
        slot = functional.log_softmax(found[:, split:].masked_fill(~open_slots, SILENT), dim=1)
        slot_then = wanted[:, split:].masked_fill(~open_slots, SILENT).argmax(dim=1)
        aimed = -slot.gather(1, slot_then[:, None])[:, 0] * open_slots.any(dim=1)
        total = total + SLOT * aimed.mean()
    return total
