"""Trains the network that foresees danger on the tiles of a map, and writes the file that ships.

It learns from made-up countries (`risks.py`), whose true chances are known, so the labels are chances and not fates.
It is given the eyes and the fingerprint of their features, since it knows no module. Needs the extra `train`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from app.learning import risks
from app.learning.export import export
from app.learning.risks import F32, Eyes, Foresight, Judge, Lesson

HIDDEN = (64, 32)
ROWS = 1_024
RATE, DECAY = 2e-3, 1e-4
UNVISITED = 0.2
"""Weight of a tile that nobody visits, beside one that is visited as often as the average."""
VISITS_MAX = 8.0
"""Weight of the busiest tiles."""
HELD_OUT = 9_000
"""Countries from this number on are never learned from."""

Columns = NDArray[np.intp]
Tell = Callable[[float, str], None]
"""(share done in [0, 1], a few words) -> shown to whoever waits."""


class Network(nn.Module):
    """Features of a tile -> 64 -> 32 -> logits of a death and of getting stuck, for each visit."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Linear(features, HIDDEN[0])
        self.second = nn.Linear(HIDDEN[0], HIDDEN[1])
        self.heads = nn.Linear(HIDDEN[1], 2)

    def forward(self, rows: Tensor) -> Tensor:
        """(n, features) -> (n, 2)."""
        found: Tensor = self.heads(functional.relu(self.second(functional.relu(self.first(rows)))))
        return found


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What a run left behind: scores on countries that it never learned from, the network's beside the counts'."""

    model: str
    sha256: str
    fingerprint: str
    seed: int
    countries: int
    tiles: int
    network: Foresight
    counts: Foresight


def train(
    *, seed: int, countries: int, epochs: int, out: Path, eyes: Eyes, symmetries: Columns, fingerprint: str,
    held_out: int = 60, tell: Tell | None = None,
) -> Trained:  # fmt: skip
    """Draw `countries`, learn `epochs` times over them, score `held_out` others, and write everything into `out`.

    `symmetries` (ways, features) are columns to take that turn or mirror what a row shows. Leaves `danger.onnx`
    and `danger.json`. The same arguments give the same network on the same machine.
    """
    tell = tell if tell is not None else lambda share, words: None
    out.mkdir(parents=True, exist_ok=True)
    lessons = []
    for index in range(countries):
        tell(0.6 * index / countries, "living")
        lessons.append(risks.learn(seed * 10_000 + index, eyes))
    weights = fit(lessons, symmetries, seed=seed, epochs=epochs, tell=functools.partial(_later, tell))
    tell(0.9, "measuring")
    held = [risks.learn(seed * 10_000 + HELD_OUT + index, eyes) for index in range(held_out)]
    metadata = {"fingerprint": fingerprint, "seed": str(seed)}
    sha256 = export(weights, out / "danger.onnx", metadata, graph="danger")
    trained = Trained(
        model="danger.onnx", sha256=sha256, fingerprint=fingerprint, seed=seed, countries=countries,
        tiles=sum(len(lesson.rows) for lesson in lessons),
        network=risks.foresight(held, judge(weights)), counts=risks.foresight(held, None),
    )  # fmt: skip
    (out / "danger.json").write_bytes(msgspec.json.format(msgspec.json.encode(trained), indent=2))
    tell(1.0, "done")
    return trained


def _later(tell: Tell, share: float, words: str) -> None:
    tell(0.6 + 0.3 * share, words)


def fit(lessons: Sequence[Lesson], symmetries: Columns, *, seed: int, epochs: int, tell: Tell) -> dict[str, F32]:
    """Weights by layer, as `export` takes them, that fit the lessons: cross-entropy with the true chances.

    Features are standardized while learning; the scale is then folded into the first layer.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rows, risk, visits = (torch.from_numpy(np.concatenate(part)) for part in zip(*(
        (one.rows, one.risk, one.visits) for one in lessons), strict=True))  # fmt: skip
    mean, scale = rows.mean(0), rows.std(0).clamp_min(1e-3)
    weight = UNVISITED + (visits / visits.mean()).clamp_max(VISITS_MAX)
    ways = torch.from_numpy(symmetries)
    network = Network(rows.shape[1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    batches = -(-len(rows) // ROWS)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=max(2, epochs * batches))
    dice = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        total = 0.0
        order = torch.randperm(len(rows), generator=dice)
        for chosen in (order[at : at + ROWS] for at in range(0, len(rows), ROWS)):
            way = ways[int(torch.randint(len(ways), (1,), generator=dice))]
            logits = network(((rows[chosen] - mean) / scale)[:, way])
            losses = functional.binary_cross_entropy_with_logits(logits, risk[chosen], reduction="none")
            loss = (losses.sum(1) * weight[chosen]).mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        tell((epoch + 1) / epochs, f"loss {total / batches:.5f}")
    found = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    inverse = 1.0 / scale.numpy()
    found["first.bias"] = found["first.bias"] - found["first.weight"] @ (mean.numpy() * inverse)
    found["first.weight"] = found["first.weight"] * inverse
    return found


def judge(weights: dict[str, F32]) -> Judge:
    """The network as a function of rows, without torch."""

    def logits(rows: F32) -> F32:
        hidden = rows
        for layer in ("first", "second", "heads"):
            hidden = hidden @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
            hidden = hidden if layer == "heads" else np.maximum(hidden, 0.0)
        return hidden

    return logits
