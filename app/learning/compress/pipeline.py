"""The compiler's run: a network in, smaller and quicker ones out, each measured beside it and refused under the bound.

It orders the steps; what they do stands in the files beside it and in `app/engines/compiler`. Everything is made in
memory: files appear at the end, each whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from onnx import ModelProto

from app.core.errors import Invalid
from app.engines import catalog
from app.engines.compiler import graph, invariance, listing, precision
from app.engines.compiler.precision import Calibration
from app.engines.compiler.session import Session, open_session, part_us
from app.engines.onnx import gates
from app.learning.compress import quality, rows, students
from app.learning.compress.picture import draw
from app.learning.compress.report import Output, Report, Step
from app.learning.compress.rows import F32
from app.learning.compress.sources import Source
from app.learning.envs.environment import Brain
from app.learning.envs.village import I8

PRECISIONS = ("fp32", "fp16", "int8")
CALIBRATION_ROWS = 32_768
PLAY_SEEDS = 7_919
"""Apart from the seeds of training (seed * 100,003) and of the scorecard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is wanted. Every shape comes in every precision of `to`."""

    to: tuple[str, ...] = ("int8",)
    prune_share: float = 0.0
    """Share of each hidden layer's units to remove; 0 = none."""
    widths: tuple[int, ...] = ()
    """Hidden widths to distill to; empty = not."""
    calibrate: str = "auto"
    """minmax, percentile, entropy, or auto: all of them, and the best by agreement."""
    weight_bits: int = 7
    last_fp32: bool = False
    io_half: bool = False
    fit_steps: int = 3_000
    """Steps of distillation, and of learning again after pruning."""
    tune_steps: int = 1_500
    """Steps of quantization-aware tuning; 0 = none."""
    rows: int = 131_072
    agreement_min: float = 0.97
    villages: int = 48
    """Of the scorecard; 0 = no scorecard."""
    village_steps: int = 960
    seed: int = 1
    threads: int = 1


Tell = Callable[[str, float], None]
"""(what is being done, share of it in [0, 1]) -> shown to whoever waits."""


@dataclass(frozen=True, slots=True)
class _Draft:
    name: str
    data: bytes
    model: ModelProto
    layers: tuple[int, ...]
    calibration: str


def compile_network(
    source: Source, plan: Plan, *, rules: Brain | None, fingerprint: str, observations: Path | None, out: Path,
    command: str, tell: Tell,
) -> Report:  # fmt: skip
    """Compile `source` as planned and write what holds into `out`, with report.json, quality.png and catalog.toml.

    `rules` lead the wild of the village and, with the schema's `fingerprint`, tell that the network is the village's;
    another one needs `observations`. Raises Invalid when the plan does not fit the network.
    """
    torch.set_num_threads(plan.threads)
    run = _Run(source, plan, rules if graph.metadata(source.model).get("fingerprint") == fingerprint else None, tell)
    run.look(observations)
    drafts = [
        run.lowered(name, model, precision_name)
        for name, model in run.shapes()
        for precision_name in dict.fromkeys(plan.to)
    ]
    report = run.measured(drafts, command)
    _write(report, drafts, source, out)
    return report


class _Run:
    def __init__(self, source: Source, plan: Plan, rules: Brain | None, tell: Tell) -> None:
        self.source, self.plan, self.rules, self.tell = source, plan, rules, tell
        inputs, outputs = graph.ports(source.model)
        self.how = quality.BEHAVIOR if rules else quality.plain(outputs.shape[1])
        self.features = inputs.shape[1]
        self.reference = open_session(graph.write(source.model))
        self.steps: list[Step] = []
        self.told_rows = ""

    def look(self, observations: Path | None) -> None:
        """Take rows from `observations`, or let the network play for them."""
        plan = self.plan
        if observations is not None:
            found = rows.load(observations, features=self.features, intents=self.how.intents, rows_max=plan.rows)
            self.told_rows = f"{len(found.obs):,} rows of {observations.name}"
        elif self.rules is not None:
            found = rows.play(
                self.how.brain(self.reference), plan.rows, PLAY_SEEDS * plan.seed,
                lambda share: self.tell("playing for observations", share),
            )  # fmt: skip
            self.told_rows = f"{len(found.obs):,} rows of {rows.VILLAGES} villages that it led, seed {plan.seed}"
        else:
            raise Invalid(
                f"{self.source.id!r} is not of the village's schema", hint="give rows of it: --observations FILE.npz"
            )
        self.learn, self.choose = found.part(0.0, rows.LEARN), found.part(rows.LEARN, rows.CHOOSE)
        self.test = found.part(rows.CHOOSE, 1.0)
        self.lesson = students.Lesson(self.how, self.learn, self.reference.run(self.learn.obs))
        self.wanted_choose = self.reference.run(self.choose.obs)
        self.wanted_test = self.reference.run(self.test.obs)
        stride = max(1, len(self.learn.obs) // CALIBRATION_ROWS)
        self.calibrating = np.ascontiguousarray(self.learn.obs[::stride])

    def shapes(self) -> Iterator[tuple[str, ModelProto]]:
        """(name, FP32 network) of every shape that is wanted; the source's own if no other is."""
        plan, model = self.plan, self.source.model
        layers = graph.layers(model)
        if plan.prune_share:
            if layers is None or len(layers) < 2:
                raise Invalid(f"{self.source.id!r} is not Gemm and Relu in turn", hint="distill it: --distill 64,64")
            name = f"pruned{round(100 * plan.prune_share)}"
            cut = students.cut(layers, self.calibrating, plan.prune_share)
            self.note(name, "cut", graph.chain(cut, model))
            again = students.refit(cut, self.lesson, steps=plan.fit_steps, seed=plan.seed, tell=self.share_of(name))
            yield name, self.note(name, "taught again", graph.chain(again, model))
        if plan.widths:
            name = "x".join(str(width) for width in plan.widths)
            small = students.distill(
                self.lesson, plan.widths, steps=plan.fit_steps, seed=plan.seed, tell=self.share_of(name)
            )
            yield name, self.note(name, "distilled", graph.chain(small, model))
        if not plan.prune_share and not plan.widths:
            yield "", self.note("source", "simplified", graph.chain(layers, model) if layers else model)

    def lowered(self, shape: str, model: ModelProto, to: str) -> _Draft:
        """The network of a shape in one precision."""
        name = f"{shape}-{to}" if shape else to
        calibration = ""
        if to == "fp16":
            lower = precision.to_fp16(model, io_half=self.plan.io_half)
        elif to == "int8":
            lower, calibration = self.quantized(name, model)
        else:
            lower = model
        layers = graph.layers(model)
        widths = (layers[0].weight.shape[1], *(layer.weight.shape[0] for layer in layers)) if layers else ()
        return _Draft(name, graph.write(lower), lower, widths, calibration)

    def quantized(self, name: str, model: ModelProto) -> tuple[ModelProto, str]:
        """The INT8 network that agrees best on the rows kept for choosing, and how it was calibrated."""
        plan = self.plan
        kinds = precision.CALIBRATIONS
        tried = (
            [each for kind in kinds.values() for each in kind] if plan.calibrate == "auto" else kinds[plan.calibrate]
        )
        best: tuple[float, ModelProto, Calibration] | None = None
        for index, calibration in enumerate(tried):
            self.tell(f"calibrating {name}", index / len(tried))
            found = self.int8(model, calibration, None)
            share = self.noted(name, calibration.words, found)
            if best is None or share > best[0]:
                best = share, found, calibration
        if best is None:
            raise Invalid(f"no calibration is named {plan.calibrate!r}", hint=f"choose from {sorted(kinds)}")
        share, found, calibration = best
        tuned = self.tuned(name, model, found, calibration) if plan.tune_steps else None
        if tuned is not None and self.noted(name, "tuned", tuned) > share:
            return tuned, f"{calibration.words}, tuned"
        return found, calibration.words

    def tuned(self, name: str, model: ModelProto, rounded: ModelProto, calibration: Calibration) -> ModelProto | None:
        """The INT8 network with weights that know of its ranges, or None where it is not a plain one."""
        layers = graph.layers(model)
        if layers is None:
            return None
        ranges = precision.ranges_of(rounded)
        fed = [model.graph.input[0].name, *(f"layer{index}.out" for index in range(len(layers) - 1))]
        weights = students.tune(
            layers, [ranges.get(each) for each in fed], self.lesson, weight_bits=self.plan.weight_bits,
            last_fp32=self.plan.last_fp32, steps=self.plan.tune_steps, seed=self.plan.seed,
            tell=self.share_of(f"tuning {name}"),
        )  # fmt: skip
        return self.int8(graph.chain(weights, model), calibration, ranges)

    def int8(
        self, model: ModelProto, calibration: Calibration, ranges: dict[str, precision.Range] | None
    ) -> ModelProto:
        plan, fed = self.plan, self.calibrating
        return precision.to_int8(
            model, fed, calibration, weight_bits=plan.weight_bits, last_fp32=plan.last_fp32, ranges=ranges
        )

    def share_of(self, words: str) -> students.Tell:
        return lambda share: self.tell(words, share)

    def note(self, output: str, step: str, model: ModelProto) -> ModelProto:
        self.noted(output, step, model)
        return model

    def noted(self, output: str, step: str, model: ModelProto) -> float:
        """Write down what a step has lost, on the rows kept for choosing; returns the agreement."""
        found = open_session(graph.write(model)).run(self.choose.obs)
        lost = quality.loss(self.how, found, self.wanted_choose, self.choose)
        self.steps.append(
            Step(output=output, step=step, agreement=lost.agreement, error_mean=lost.error_mean)
        )  # fmt: skip
        return lost.agreement

    def measured(self, drafts: list[_Draft], command: str) -> Report:
        """Everything measured on rows that nothing was learned from or chosen by."""
        sessions = [open_session(draft.data) for draft in drafts]
        self.tell("measuring speed", 0.0)
        fp32_us, *taken_us = part_us([self.reference, *sessions], self.test.obs)
        before = self.lives("FP32", self.reference)
        outputs = [
            self.output(draft, session, us, before)
            for draft, session, us in zip(drafts, sessions, taken_us, strict=True)
        ]
        return Report(
            source=self.source.id, source_sha256=self.source.sha256, source_bytes=self.source.bytes, command=command,
            seed=self.plan.seed, observations=self.told_rows, agreement_min=self.plan.agreement_min,
            fp32_us=round(fp32_us, 1), outputs=tuple(outputs), steps=tuple(self.steps),
        )  # fmt: skip

    def lives(self, name: str, session: Session) -> quality.Lives | None:
        """How people live under a network, or None where that is not asked for or cannot be."""
        plan = self.plan
        if self.rules is None or not plan.villages:
            return None
        brain, done = self.how.brain(session), 0

        def counted(obs: F32, mask: rows.U8) -> tuple[I8, I8]:
            nonlocal done
            done += 1
            self.tell(f"scorecard of {name}", done / plan.village_steps)
            return brain(obs, mask)

        return quality.lives(counted, self.rules, villages=plan.villages, steps=plan.village_steps)

    def output(self, draft: _Draft, session: Session, us: float, before: quality.Lives | None) -> Output:
        found = session.run(self.test.obs)
        finite = bool(np.isfinite(found).all())
        lost = quality.loss(self.how, np.nan_to_num(found, posinf=0.0, neginf=0.0), self.wanted_test, self.test)
        self.tell(f"proving {draft.name}", 0.0)
        variance = invariance.variance(draft.data, obs=self.test.obs)
        under = lost.agreement < self.plan.agreement_min or not finite or bool(variance)
        after = None if under or before is None else self.lives(draft.name, session)
        card = quality.gaps(after, before) if after is not None and before is not None else {}
        return Output(
            id=f"{self.source.id}-{draft.name}", name=draft.name, sha256=hashlib.sha256(draft.data).hexdigest(),
            bytes=len(draft.data), layers=draft.layers, calibration=draft.calibration, loss=lost, part_us=round(us, 1),
            variance=variance, scorecard=card, refused=self.refusals(lost, card, variance, finite=finite),
        )  # fmt: skip

    def refusals(
        self, lost: quality.Loss, card: dict[str, quality.Gap], variance: str, *, finite: bool
    ) -> tuple[str, ...]:
        """Why an output is not written, each with by how much."""
        found = []
        bound = self.plan.agreement_min
        if lost.agreement < bound:
            short = 100.0 * (bound - lost.agreement)
            found.append(f"agreement {lost.agreement:.4f} is {short:.2f} points under the bound of {bound:g}")
        found += [f"{name} is worse: {gap.text}" for name, gap in card.items() if gap.word == "worse"]
        if variance:
            found.append(f"answers depend on the batch: {variance}")
        if not finite:
            found.append("it gives numbers that are not finite")
        return tuple(found)


def entry_of(report: Report, output: Output, model: ModelProto, source: Source) -> catalog.Entry:
    """The catalog's words for an output."""
    words = graph.metadata(model)
    listed, lost = source.listed, output.loss
    provenance = {
        "source": report.source,
        "source_sha256": report.source_sha256,
        "observations": report.observations,
        "agreement": f"{lost.agreement:.4f} ± {lost.agreement_half:.4f} over {lost.rows:,} rows",
        "logit_error": f"{lost.error_mean:g} mean, {lost.error_max:g} max",
        **({"calibration": output.calibration} if output.calibration else {}),
    }
    return catalog.Entry(
        id=output.id, file=f"{output.id}.onnx", sha256=output.sha256, engine="onnx",
        licence=listed.licence if listed else "unstated", inputs=graph.tensors(model.graph.input),
        outputs=graph.tensors(model.graph.output), fingerprint=words.get("fingerprint", ""),
        roles=tuple(role for role in words.get("roles", "").split(",") if role), command=report.command,
        seed=report.seed, provenance=provenance,
        scorecard={name: gap.text for name, gap in output.scorecard.items()},
    )  # fmt: skip


def _write(report: Report, drafts: list[_Draft], source: Source, out: Path) -> None:
    """Networks that hold, the report on all, the picture, and the entries of those that hold."""
    out.mkdir(parents=True, exist_ok=True)
    entries = []
    for output, draft in zip(report.outputs, drafts, strict=True):
        if not output.refused:
            entry = entry_of(report, output, draft.model, source)
            probe, tolerance = gates.probe_of(draft.data), gates.tolerance_of(draft.data)
            entries.append(msgspec.structs.replace(entry, probe=probe, probe_tolerance=tolerance))
            _put(out / f"{output.id}.onnx", draft.data)
    _put(out / "catalog.toml", "\n".join(listing.toml(each) for each in entries).encode())
    _put(out / "report.json", msgspec.json.format(msgspec.json.encode(report), indent=2))
    picture = out / ".quality.tmp"
    draw(
        picture, f"{report.source} compiled", report.outputs, fp32_us=report.fp32_us,
        agreement_min=report.agreement_min,
    )  # fmt: skip
    os.replace(picture, out / "quality.png")


def _put(path: Path, data: bytes) -> None:
    """The file whole, or as it was."""
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_bytes(data)
    os.replace(draft, path)
