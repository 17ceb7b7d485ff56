"""A network's bytes opened on the CPU to be measured: what it answers, and how long it takes.

It knows ONNX Runtime; the served engine is `app/engines/onnx.py`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid

F32 = NDArray[np.float32]
PART_ROWS = 1_024
"""Rows of a run, as the server's batches have them."""


@dataclass(frozen=True, slots=True)
class Session:
    """A network of one matrix in and one matrix out; use `open_session` to make one."""

    runtime: Any
    inputs: str
    half: bool
    """Whether it takes and gives float16."""

    def run(self, obs: F32) -> F32:
        """(rows, features) float32 -> (rows, outputs) float32, in parts of PART_ROWS."""
        taken = obs.astype(np.float16) if self.half else obs
        parts = [
            self.runtime.run(None, {self.inputs: taken[first : first + PART_ROWS]})[0]
            for first in range(0, len(taken), PART_ROWS)
        ]
        return np.concatenate(parts).astype(np.float32, copy=False)


def open_session(data: bytes, *, threads: int = 1) -> Session:
    """Open `data` on the CPU; raises Invalid with the runtime's own words when it does not run."""
    runtime = open_runtime(data, threads=threads)
    port = runtime.get_inputs()[0]
    return Session(runtime, port.name, port.type == "tensor(float16)")


def open_runtime(data: bytes, *, threads: int = 1) -> Any:
    """The runtime's own session over `data` on the CPU."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    faults = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NotImplemented)
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except faults as error:
        words = str(error).strip().splitlines()[0]
        raise Invalid(f"the runtime does not take the network: {words}", hint="export it again") from error


def part_us(sessions: Sequence[Session], obs: F32, *, rounds: int = 200) -> list[float]:
    """The least microseconds that each needs for PART_ROWS rows, taken in turns so that all meet the same machine."""
    part = np.ascontiguousarray(np.resize(obs, (PART_ROWS, obs.shape[1])))
    taken = [part.astype(np.float16) if each.half else part for each in sessions]
    best = [float("inf")] * len(sessions)
    for _ in range(rounds):
        for index, each in enumerate(sessions):
            began = time.perf_counter()
            each.runtime.run(None, {each.inputs: taken[index]})
            best[index] = min(best[index], time.perf_counter() - began)
    return [seconds * 1e6 for seconds in best]
