"""Teaches a policy from recorded play: a value baseline, cloning, then advantage-weighted regression, and its proof.

A killed run goes on from its checkpoint; by steps it ends with the same bytes. It is given trajectories, the layout of
their schema and, where there is one, a scorecard to measure on; it knows no module and no file of a recording.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from app.core.errors import Conflict, Invalid
from app.learning import awr, datasets, offpolicy, outcome
from app.learning.awr import Layout, Net, Rows, Value
from app.learning.datasets import F32, F64, Bools, Plays
from app.learning.export import LAYERS, export
from app.learning.outcome import Bounds, Method, Point, Report

PHASES: dict[Method, tuple[tuple[str, float], ...]] = {
    "awr": (("value", 0.15), ("value again", 0.3), ("clone", 0.6), ("awr", 1.0)),
    "clone": (("clone", 1.0),),
}
"""Method -> its phases, each with the share of the time at which it ends."""
RATE = 1e-3
LAP_STEPS = 10
"""Gradient steps between two looks at the clock and at held-out rows."""
CHECKPOINT_S = 30.0
HELD_SHARE = 0.15
LOOK_ROWS = 8_192
"""Held-out rows that the curve is drawn over."""
ROWS_MIN = 1_000
ROLE_ROWS_MIN = 200
"""Held-out rows of a role without which it is not led."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to learn; either `minutes` or `steps` ends it."""

    seed: int = 1
    minutes: float = 5.0
    steps: int | None = None
    """Gradient steps; given, they end the run instead of the clock."""
    method: Method = "awr"
    discount: float = 0.99
    """Per decision of an NPC."""
    trace: float = 0.9
    """Lambda of the advantages."""
    temperature: float = 0.25
    """Of the weights, in spreads of the advantages; smaller follows the best decisions more closely."""
    weight_max: float = 20.0
    part_rows: int = 2_048
    """Rows of a gradient step."""
    threads: int = 1


@dataclass(slots=True)
class Progress:
    """How far a run is; what a checkpoint keeps beside the weights."""

    step: int = 0
    spent_s: float = 0.0
    phase: str = ""
    phase_began: float = 0.0
    """The share of the time at which the phase began."""
    best_loss: float = float("inf")
    curve: list[tuple[Any, ...]] = field(default_factory=list)


Tell = Callable[[float, str], None]
"""(share done in [0, 1], a few words) -> shown to whoever waits."""


def learn(
    plays: Plays, layout: Layout, *, options: Options, bounds: Bounds, out: Path, start: dict[str, F32] | None = None,
    started_from: str = "nothing", tell: Tell | None = None,
    card: Callable[[Any], dict[str, Any]] | None = None,
) -> Report:  # fmt: skip
    """Learn and write `policy.onnx`, `report.json`, `curve.png` and `checkpoint.pt` into `out`.

    `start` holds the weights of a policy to begin with, as export takes them. `card` measures a brain in a simulated
    world. Raises Invalid for too little play, no rewards to weigh by, or a checkpoint of another run; Conflict when the
    policy breaks a bound: then the report says by how much, and no policy is written.
    """
    if len(plays) < ROWS_MIN:
        raise Invalid(f"{len(plays)} decisions are too few to learn from", hint=f"record at least {ROWS_MIN}")
    if options.method == "awr" and not plays.rewarded:
        raise Invalid("no reward belongs to any decision", hint="send behavior.feedback, or learn by --method clone")
    torch.set_num_threads(options.threads)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(plays, layout, options, start)
    run.resume(out / "checkpoint.pt")
    saved_s = run.progress.spent_s
    while (share := run.share()) < 1.0:
        words = run.lap(share)
        if tell is not None:
            tell(share, words)
        if run.progress.spent_s - saved_s > CHECKPOINT_S:
            run.save(out / "checkpoint.pt")
            saved_s = run.progress.spent_s
    run.leave()
    run.save(out / "checkpoint.pt")
    if tell is not None:
        tell(1.0, "measuring")
    outcome.draw([Point(*point) for point in run.progress.curve], bounds, out / "curve.png")
    return _finish(run, bounds, out, started_from, card)


class _Run:
    def __init__(self, plays: Plays, layout: Layout, options: Options, start: dict[str, F32] | None) -> None:
        torch.manual_seed(options.seed)
        self.plays, self.layout, self.options, self._start = plays, layout, options, start
        self.clone, self.policy, self.value = Net(layout), Net(layout), Value(layout)
        if start is not None:
            awr.load(self.clone, start)
        self.held = datasets.held_out(plays, HELD_SHARE, options.seed)
        if not self.held.any() or self.held.all():
            raise Invalid("all play is one trajectory; none can be held out", hint="record more NPCs, or longer")
        self.rows = Rows.of(plays)
        self.progress = Progress()
        self.weights: F32 = np.zeros(len(plays), np.float32)
        """(N,) of the decisions, as they are learned now."""
        self.targets: F32 = np.zeros(len(plays), np.float32)
        """(N,) what the value shall be, in spreads."""
        self.shift, self.scale = 0.0, 1.0
        self._dice = torch.Generator().manual_seed(options.seed)
        self._best: dict[str, Tensor] = {}
        self._optimizer: torch.optim.Optimizer | None = None
        self._pool = torch.zeros(0, dtype=torch.int64)
        self._look = torch.zeros(0, dtype=torch.int64)

    @property
    def identity(self) -> str:
        """What a checkpoint must have been made of."""
        digest = blake2b(digest_size=16)
        for name in datasets.ARRAYS:
            digest.update(np.ascontiguousarray(getattr(self.plays, name)).data.cast("B"))
        options = asdict(self.options)
        del options["minutes"], options["steps"], options["threads"]
        digest.update(repr((options, self.layout.fingerprint, self._start is None)).encode())
        return digest.hexdigest()

    def share(self) -> float:
        """Of the budget, what is spent."""
        if self.options.steps is not None:
            return self.progress.step / self.options.steps
        return self.progress.spent_s / (self.options.minutes * 60.0)

    def lap(self, share: float) -> str:
        """Learn LAP_STEPS times; returns words on how it goes."""
        began = time.perf_counter()
        phase, until = next(each for each in PHASES[self.options.method] if share < each[1])
        progress = self.progress
        if phase != progress.phase:
            self.leave()
            self._enter(phase, share)
        rate = RATE * max(0.05, 1.0 - (share - progress.phase_began) / max(1e-9, until - progress.phase_began))
        losses = [self._step(rate) for _ in range(LAP_STEPS)]
        progress.step += LAP_STEPS
        held_loss, agreed = self._look_at_held()
        loss = sum(losses) / len(losses)
        progress.curve.append((phase, progress.step, round(loss, 5), round(held_loss, 5), round(agreed, 4)))
        progress.spent_s += time.perf_counter() - began
        return f"{phase}: loss {loss:.4f}, held out {held_loss:.4f}"

    def _net(self) -> Net:
        return self.policy if self.progress.phase == "awr" else self.clone

    def _enter(self, phase: str, share: float) -> None:
        """Lay down what the phase learns; kept in the checkpoint, because the baseline goes on learning."""
        progress = self.progress
        progress.phase, progress.phase_began, progress.best_loss, self._best = phase, share, float("inf"), {}
        if phase == "value":
            reward = self.plays.reward.astype(np.float64)
            self._aim_value(datasets.discounted(reward, self.plays.trajectory, self.options.discount), self._far())
        elif phase == "value again":
            values = self.values()
            self._aim_value(values + self.advantages(values), ~self.cut())
        elif phase == "clone":
            self.weights = np.ones(len(self.plays), np.float32)
        else:
            if self._start is not None:
                awr.load(self.policy, self._start)
            else:
                self.policy.load_state_dict(self.clone.state_dict())
            self.weights = self.awr_weights()
        self._prepare(None)

    def _prepare(self, state: dict[str, Any] | None) -> None:
        """The optimizer of the phase, with its `state` where it goes on, and the rows that are drawn from."""
        module = self.value if self.progress.phase.startswith("value") else self._net()
        self._optimizer = torch.optim.Adam(module.parameters(), lr=RATE, eps=1e-6)
        if state is not None:
            self._optimizer.load_state_dict(state)
        learned = self.weights > 0.0
        self._pool = torch.from_numpy(np.flatnonzero(learned & ~self.held))
        held = np.flatnonzero(learned & self.held)
        self._look = torch.from_numpy(held[:: max(1, len(held) // LOOK_ROWS)])
        if not len(self._pool):
            raise Invalid("no decision is left to learn from", hint="record longer trajectories")

    def _aim_value(self, targets: F64, counted: Bools) -> None:
        """Let the value learn `targets` (N,) where `counted`, in units that a few wild ones do not set."""
        mine = targets[counted & ~self.held]
        low, middle, high = np.percentile(mine, (25.0, 50.0, 75.0)) if len(mine) else (0.0, 0.0, 1.0)
        if self.progress.phase == "value":
            self.shift, self.scale = float(middle), float(high - low) / 1.35 or float(mine.std()) or 1.0
        self.targets = ((targets - self.shift) / self.scale).clip(-10.0, 10.0).astype(np.float32)
        self.weights = counted.astype(np.float32)

    def _step(self, rate: float) -> float:
        if self._optimizer is None:
            return 0.0
        draw = torch.randint(len(self._pool), (self.options.part_rows,), generator=self._dice)
        loss = self._loss(self._pool[draw])
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch ships this method without types
        self._optimizer.step()
        return float(loss.detach())

    def _loss(self, rows: Tensor) -> Tensor:
        if self.progress.phase.startswith("value"):
            found: Tensor = functional.smooth_l1_loss(
                self.value(self.rows.obs[rows]), torch.from_numpy(self.targets)[rows]
            )
            return found
        return awr.imitation_loss(self.layout, self._net(), self.rows.at(rows), torch.from_numpy(self.weights)[rows])

    @torch.no_grad()
    def _look_at_held(self) -> tuple[float, float]:
        """(loss, agreement) on rows that are not learned from; the best network of a phase is kept by it."""
        if not len(self._look):
            return 0.0, 0.0
        loss = float(self._loss(self._look))
        if self.progress.phase.startswith("value"):
            return loss, 0.0
        net = self._net()
        if loss < self.progress.best_loss:
            self.progress.best_loss = loss
            self._best = {name: value.clone() for name, value in net.state_dict().items()}
        weights = torch.from_numpy(self.weights)[self._look]
        return loss, awr.agreement(self.layout, net, self.rows.at(self._look), weights)

    def leave(self) -> None:
        """End a phase with the best network that it had."""
        if self._best:
            self._net().load_state_dict(self._best)

    def values(self) -> F64:
        """(N,) of the states, in rewards."""
        found: F64 = awr.worth(self.value, self.rows.obs) * self.scale + self.shift
        return found

    def advantages(self, values: F64) -> F64:
        """(N,) how much better than expected each decision turned out."""
        return datasets.advantages(self.plays, values, discount=self.options.discount, trace=self.options.trace)

    def awr_weights(self) -> F32:
        """(N,) of the decisions under the baseline as it is."""
        return awr.weigh(
            self.advantages(self.values()), self.plays.obs, self.layout, ~self.cut(),
            temperature=self.options.temperature, most=self.options.weight_max,
        )  # fmt: skip

    def cut(self) -> Bools:
        """(N,) last rows of trajectories that merely break off: what came of them is not known."""
        return self.plays.last & ~self.plays.ends

    def _far(self) -> Bools:
        """(N,) rows from which half of what counts is recorded, or all rows where that leaves too few."""
        left = datasets.discounted(np.ones(len(self.plays)), self.plays.trajectory, self.options.discount)
        over = datasets.discounted(self.plays.ends.astype(np.float64), self.plays.trajectory, 1.0) > 0.0
        far: Bools = over | (left * (1.0 - self.options.discount) > 0.5)
        return far if far[~self.held].mean() > 0.2 else np.ones(len(far), bool)

    def save(self, path: Path) -> None:
        """Write a checkpoint that is whole or not there."""
        state = {
            "identity": self.identity,
            **{name: getattr(self, name).state_dict() for name in ("clone", "policy", "value")},
            "optimizer": self._optimizer.state_dict() if self._optimizer is not None else None,
            "best": self._best,
            "dice": self._dice.get_state(),
            "weights": torch.from_numpy(self.weights),
            "targets": torch.from_numpy(self.targets),
            "units": (self.shift, self.scale),
            "progress": asdict(self.progress),
        }
        draft = path.with_suffix(".tmp")
        torch.save(state, draft)
        os.replace(draft, path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["identity"] != self.identity:
            raise Invalid(
                f"{path} was made from other recordings or with other options",
                hint="choose another folder, or remove the old checkpoint",
            )
        for name in ("clone", "policy", "value"):
            getattr(self, name).load_state_dict(state[name])
        kept = dict(state["progress"])
        kept["curve"] = [tuple(point) for point in kept["curve"]]
        self.progress = Progress(**kept)
        self._best, self.weights, self.targets = state["best"], state["weights"].numpy(), state["targets"].numpy()
        self.shift, self.scale = state["units"]
        self._dice.set_state(state["dice"])
        if self.progress.phase:
            self._prepare(state["optimizer"])


def _finish(
    run: _Run, bounds: Bounds, out: Path, started_from: str, card: Callable[[Any], dict[str, Any]] | None
) -> Report:
    """Measure, and write the policy where it keeps the bounds; raises Conflict where not."""
    weighted = run.options.method == "awr"
    net = run.policy if weighted else run.clone
    weights = run.awr_weights() if weighted else np.ones(len(run.plays), np.float32)
    held = torch.from_numpy(np.flatnonzero(run.held))
    mine = run.rows.at(held)
    agreed = awr.agreement(run.layout, net, mine, torch.from_numpy(weights)[held])
    whole, roles = _estimates(run, net) if weighted else (None, {})
    seen = _roles_seen(run)
    led = tuple(role for role in seen if role not in roles or roles[role].word != "worse")
    report = Report(
        method=run.options.method, seed=run.options.seed, steps=run.progress.step,
        minutes=round(run.progress.spent_s / 60.0, 2), started_from=started_from, rows=len(run.plays),
        held_rows=int(run.held.sum()), trajectories=int(run.plays.last.sum()), rewards=run.plays.rewarded,
        left_out=run.plays.left_out, fingerprint=run.layout.fingerprint, agreement=round(agreed, 4),
        clone_agreement=round(awr.agreement(run.layout, run.clone, mine, torch.ones(len(held))), 4), estimate=whole,
        role_estimates=roles, roles=led, bounds=bounds, refused=outcome.refusal(agreed, whole, led, bounds),
        scorecard=card(awr.brain(run.layout, net)) if card is not None else None,
    )  # fmt: skip
    if report.refused:
        (out / "policy.onnx").unlink(missing_ok=True)
    else:
        report = msgspec.structs.replace(report, model="policy.onnx", sha256=_export(run, net, led, out))
    (out / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    if report.refused:
        raise Conflict(f"no policy was written: {report.refused}", hint=f"see {out / 'report.json'}")
    return report


def _export(run: _Run, net: Net, led: tuple[str, ...], out: Path) -> str:
    weights = {name: value.numpy() for name, value in net.state_dict().items() if name.split(".")[0] in LAYERS}
    metadata = {
        "schema": run.layout.name, "fingerprint": run.layout.fingerprint, "roles": ",".join(led),
        "seed": str(run.options.seed), "method": run.options.method,
    }  # fmt: skip
    return export(weights, out / "policy.onnx", metadata)


def _estimates(run: _Run, net: Net) -> tuple[offpolicy.Estimate | None, dict[str, offpolicy.Estimate]]:
    """What the policy would have earned on held-out play: of all NPCs, and of each role."""
    plays = run.plays.at(run.held)
    rows, counted = Rows.of(plays), ~run.cut()[run.held]
    gain = run.advantages(run.values())[run.held]
    old, new = (awr.likelihood(run.layout, each, rows) for each in (run.clone, net))

    def over(part: Bools) -> offpolicy.Estimate | None:
        return offpolicy.estimate(plays, old, new, gain, counted & part, seed=run.options.seed)

    role = plays.obs[:, run.layout.role_columns].argmax(1) if run.layout.roles else np.zeros(len(plays))
    found = {name: over(np.asarray(role == number)) for number, name in enumerate(run.layout.roles)}
    return over(np.ones(len(plays), bool)), {name: one for name, one in found.items() if one is not None}


def _roles_seen(run: _Run) -> tuple[str, ...]:
    """Roles with enough held-out rows to speak of."""
    counts = (run.plays.obs[run.held][:, run.layout.role_columns] > 0.5).sum(0)
    return tuple(role for role, count in zip(run.layout.roles, counts, strict=True) if count >= ROLE_ROWS_MIN)


def weights_of(path: Path, layout: Layout) -> dict[str, F32]:
    """The weights of a policy that was exported here; raises Invalid for another kind, layout or schema."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    metadata = {item.key: item.value for item in model.metadata_props}
    if metadata.get("fingerprint") != layout.fingerprint:
        raise Invalid(
            f"{path.name} was made for schema {metadata.get('fingerprint', '')!r}, not {layout.fingerprint!r}",
            hint="start from nothing, or from a policy of this schema",
        )
    found = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    shapes = {name: tuple(value.shape) for name, value in Net(layout).state_dict().items()}
    wrong = next((name for name, shape in shapes.items() if name not in found or found[name].shape != shape), None)
    if wrong is not None:
        raise Invalid(f"{path.name} has no layer {wrong!r} of shape {shapes[wrong]}", hint="start from nothing")
    return {name: found[name].astype(np.float32) for name in shapes}
