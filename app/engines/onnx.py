"""ONNX Runtime behind the Network port: one session on the first provider of the profile that works.

A provider that silently gives way to the CPU is a fault: what the session really runs on is compared with
what was asked, and every provider passed over is told with the command that mends it. It knows no game.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.core.clock import Deadline
from app.core.errors import EngineDown, Invalid, nearest
from app.core.ports import Arrays, EngineStatus
from app.engines.batching import Batcher
from app.engines.catalog import Entry, Tensor

if TYPE_CHECKING:
    import onnxruntime

PROVIDERS: Mapping[str, tuple[str, str]] = {
    "cpu": ("CPUExecutionProvider", "uv sync --extra cpu"),
    "cuda": ("CUDAExecutionProvider", "install an NVIDIA driver, then: uv sync --extra gpu"),
    "tensorrt": ("TensorrtExecutionProvider", "install an NVIDIA driver and TensorRT, then: uv sync --extra gpu"),
    "nv_tensorrt_rtx": ("NvTensorRTRTXExecutionProvider", "install an NVIDIA driver, then: uv sync --extra rtx"),
}
"""Name in a profile -> (ONNX Runtime's name, the command that mends its absence)."""
INLINE_S_MAX = 50e-6
"""Runs shorter than this stay on the event loop: a hop to a worker thread costs as much."""
WORKERS = 2
_OWN = ("EPFail", "EngineError", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel",
        "NoSuchFile", "NotImplemented", "RuntimeException")  # fmt: skip
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64",
           "tensor(int32)": "int32", "tensor(uint8)": "uint8", "tensor(bool)": "bool"}  # fmt: skip


def open_onnx(
    *,
    name: str,
    entry: Entry,
    path: Path,
    providers: Sequence[str],
    threads: int,
    batch_rows_max: int,
    queue_rows_max: int,
) -> OnnxNetwork:
    """The network of a verified catalog entry, warmed up.

    Raises Invalid for an unknown provider name, EngineDown when no provider works or the file's arrays
    are not those of the catalog, ModuleNotFoundError without ONNX Runtime.
    """
    import onnxruntime

    passed: list[tuple[str, str]] = []
    for provider in providers:
        if provider not in PROVIDERS:
            raise Invalid(f"engine {name!r} asks for provider {provider!r}", hint=nearest(provider, PROVIDERS))
        try:
            session = _session(onnxruntime, path, provider, threads)
        except EngineDown as error:
            passed.append((provider, error.message))
            continue
        _check_arrays(entry, session)
        network = OnnxNetwork(
            name, session, asked=tuple(providers), provider=provider, passed=tuple(passed),
            entry=entry, batch_rows_max=batch_rows_max, queue_rows_max=queue_rows_max,
        )  # fmt: skip
        network.warm_up()
        return network
    raise EngineDown(f"engine {name!r}: {_told(passed)}", hint=PROVIDERS[providers[0]][1] if providers else "")


class OnnxNetwork:
    """A session with its batcher."""

    def __init__(
        self,
        name: str,
        session: onnxruntime.InferenceSession,
        *,
        asked: tuple[str, ...],
        provider: str,
        passed: tuple[tuple[str, str], ...],
        entry: Entry,
        batch_rows_max: int,
        queue_rows_max: int,
    ) -> None:
        self.name = name
        self._session = session
        self._asked = asked
        self._provider = provider
        self._passed = passed
        self._entry = entry
        self._outputs = [output.name for output in entry.outputs]
        self._metadata = dict(session.get_modelmeta().custom_metadata_map)
        self._rows_warm = batch_rows_max
        self._inline_rows_max = 0
        self._batcher = Batcher(
            self._run, workers=WORKERS, batch_rows_max=batch_rows_max, queue_rows_max=queue_rows_max
        )

    @property
    def metadata(self) -> Mapping[str, str]:
        return self._metadata

    def status(self) -> EngineStatus:
        return EngineStatus(
            name=self.name,
            kind="onnx",
            state="degraded" if self._passed else "ready",
            asked=self._asked,
            provider=self._provider,
            detail=_told(self._passed),
            mend="; ".join(PROVIDERS[provider][1] for provider, _ in self._passed),
        )

    async def run(self, inputs: Arrays, deadline: Deadline) -> Arrays:
        """Outputs by name for `inputs` by name; the first axis of every array is the row."""
        if len(next(iter(inputs.values()))) <= self._inline_rows_max:
            return self._run(inputs)
        return await self._batcher.submit(inputs, deadline)

    async def close(self) -> None:
        self._batcher.close()

    def warm_up(self) -> None:
        """Run once at full size, then time one row and a full batch to learn what may run on the loop."""
        full, one = self._sample(self._rows_warm), self._sample(1)
        self._run(full)
        base_s = min(_seconds(lambda: self._run(one)) for _ in range(5))
        full_s = min(_seconds(lambda: self._run(full)) for _ in range(3))
        row_s = max(full_s - base_s, 1e-9) / self._rows_warm
        self._inline_rows_max = max(0, int((INLINE_S_MAX - base_s) / row_s))

    def _run(self, inputs: Arrays) -> Arrays:
        try:
            outputs: list[Any] = self._session.run(self._outputs, dict(inputs))
        except _failures() as error:
            raise EngineDown(f"network {self.name!r} failed: {_first_line(error)}") from error
        return dict(zip(self._outputs, outputs, strict=True))

    def _sample(self, rows: int) -> Arrays:
        return {tensor.name: np.ones(_shape(tensor, rows), tensor.dtype) for tensor in self._entry.inputs}


def _session(ort: Any, path: Path, provider: str, threads: int) -> onnxruntime.InferenceSession:
    """A session that really runs on `provider`; raises EngineDown saying why it does not."""
    wanted = PROVIDERS[provider][0]
    if wanted not in ort.get_available_providers():
        raise EngineDown(f"{wanted} is not in this build of ONNX Runtime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    try:
        session: onnxruntime.InferenceSession = ort.InferenceSession(str(path), options, providers=[wanted])
    except _failures() as error:
        raise EngineDown(f"{wanted} cannot start: {_first_line(error)}") from error
    if session.get_providers()[0] != wanted:
        raise EngineDown(f"{wanted} gave way to {session.get_providers()[0]}")
    return session


def _check_arrays(entry: Entry, session: onnxruntime.InferenceSession) -> None:
    for what, declared, found in (
        ("input", entry.inputs, session.get_inputs()),
        ("output", entry.outputs, session.get_outputs()),
    ):
        actual = {array.name: (_DTYPES.get(array.type, array.type), len(array.shape), array.shape) for array in found}
        for tensor in declared:
            dtype, rank, shape = actual.get(tensor.name, ("nothing", 0, ()))
            sizes = zip(tensor.shape, shape, strict=False)
            fits = dtype == tensor.dtype and rank == len(tensor.shape)
            if not fits or any(isinstance(want, int) and want != have for want, have in sizes):
                raise EngineDown(
                    f"model {entry.id!r} has {what} {tensor.name!r} as {dtype} {list(shape)}, "
                    f"the catalog says {tensor.dtype} {list(tensor.shape)}",
                    hint="the file and its catalog entry do not belong together",
                )


def _shape(tensor: Tensor, rows: int) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else rows for size in tensor.shape)


def _failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: its own exceptions share no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = (getattr(state, name) for name in _OWN if hasattr(state, name))
    return (RuntimeError, ValueError, OSError, *own)


def _told(passed: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{provider}: {reason}" for provider, reason in passed)


def _seconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
