"""What a run of the compiler leaves behind as data: its outputs with what each lost and won, and each step's loss."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from app.learning.compress.quality import Gap, Loss


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step on the way to an output, with what the network had lost after it."""

    output: str
    step: str
    agreement: float
    error_mean: float


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One compiled network; `refused` says why it was not written, and is empty where it was."""

    id: str
    name: str
    """What was done: `int8`, `fp16-64x64`, …"""
    sha256: str
    bytes: int
    layers: tuple[int, ...]
    """Widths from input to output; empty where the network is not a plain one."""
    calibration: str
    loss: Loss
    part_us: float
    """The least microseconds for 1,024 rows on one thread."""
    variance: str
    """How answers depend on the batch; empty when they do not."""
    scorecard: Mapping[str, Gap]
    """Empty where the network is not the village's, or its scorecard was not asked for."""
    refused: tuple[str, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole run; what `report.json` holds."""

    source: str
    source_sha256: str
    source_bytes: int
    command: str
    seed: int
    observations: str
    agreement_min: float
    fp32_us: float
    outputs: tuple[Output, ...]
    steps: tuple[Step, ...]
