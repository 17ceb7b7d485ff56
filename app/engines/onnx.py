"""A network on ONNX Runtime: opened on the first provider of the profile's order that works, visibly.

It verifies the file, warms it, measures what a row costs and implements the Network port. It knows no
module; what rows mean is the caller's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Deadline
from app.core.errors import EngineDown
from app.core.ports import Arrays, EngineStatus
from app.engines import catalog
from app.engines.batching import Batcher

PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "uv pip install onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "uv sync --extra gpu"),
    "tensorrt": ("TensorrtExecutionProvider", "uv sync --extra gpu"),
    "nv_tensorrt_rtx": ("NvTensorRTRTXExecutionProvider", "uv sync --extra rtx"),
}
"""A profile's word -> the runtime's name, and the command that brings it."""
TYPES = {"float32": "tensor(float)", "uint8": "tensor(uint8)", "int64": "tensor(int64)"}
INLINE_US = 150.0
"""Compute below this runs on the loop: a hop to a worker and back costs as much where the cores are busy."""
SPLIT_US = 300.0
"""Compute for each worker from which sharing a run gains more than the second one's waking costs."""


class Engine:
    """A loaded network; `run` joins concurrent requests. Use `open_onnx` to make one."""

    def __init__(
        self, name: str, session: Any, *, asked: tuple[str, ...], provider: str,
        missing: tuple[tuple[str, str], ...], batch_rows_max: int, queue_rows_max: int, workers_max: int,
        made_of: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._name, self._asked, self._provider, self._missing = name, asked, provider, missing
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]
        self._metadata: Mapping[str, str] = {**session.get_modelmeta().custom_metadata_map, **made_of}
        self.row_us = self._warm(batch_rows_max)
        row_us, on_cpu = max(self.row_us, 1e-3), provider == "cpu"
        self._batcher = Batcher(
            self.compute,
            name=name,
            rows_max=batch_rows_max,
            queue_rows_max=queue_rows_max,
            # A device may hang, a CPU does not: only the CPU may run on the loop.
            inline_rows=int(INLINE_US / row_us) if on_cpu else 0,
            split_rows=int(SPLIT_US / row_us),
            # One session serves several threads; a device has one owner.
            workers=min(workers_max, os.cpu_count() or 1) if on_cpu else 1,
        )

    @property
    def name(self) -> str:
        return self._name

    @property
    def metadata(self) -> Mapping[str, str]:
        """The model file's own metadata, with the file's `sha256` and the `runtime`."""
        return self._metadata

    def status(self) -> EngineStatus:
        """What runs, beside what was asked; degraded when a provider before it in the order is missing."""
        mends = sorted({PROVIDERS[word][1] for word, _ in self._missing})
        return EngineStatus(
            name=self._name,
            kind="onnx",
            state="degraded" if self._missing else "ready",
            asked=self._asked,
            provider=self._provider,
            detail="; ".join(reason for _, reason in self._missing),
            mend=" or ".join(mends),
        )

    async def run(self, inputs: Arrays, deadline: Deadline) -> Arrays:
        """See app.core.ports.Network."""
        return await self._batcher.run(inputs, deadline)

    async def close(self) -> None:
        """Stop the worker; safe to call twice."""
        await self._batcher.close()

    def compute(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """One run in this thread; raises EngineDown with the runtime's own words when it fails."""
        try:
            outputs = self._session.run(self._outputs, dict(inputs))
        except _faults() as error:
            raise EngineDown(f"network {self._name!r} failed: {error}", hint="see the engine's status") from error
        return dict(zip(self._outputs, outputs, strict=True))

    def _warm(self, rows: int) -> float:
        """Run on zeros; returns the microseconds of a row in a full batch, at its quickest."""
        taken_s = []
        for size in (1, rows, rows, rows):
            zeros = {put.name: _zeros(put, size) for put in self._session.get_inputs()}
            began = time.perf_counter()
            self.compute(zeros)
            taken_s.append(time.perf_counter() - began)
        return min(taken_s[1:]) * 1e6 / rows


def open_onnx(
    *, name: str, entry: catalog.Entry, folder: Path, providers: Sequence[str] = ("cpu",), batch_rows_max: int = 1_024,
    threads: int = 1, queue_rows_max: int = 65_536, workers_max: int = 2,
) -> Engine:  # fmt: skip
    """Load `entry` of `folder`; importing onnxruntime happens here.

    `providers` is an order of preference out of PROVIDERS; one that is missing or does not take the network is
    reported in the status, and the next is used. Raises EngineDown when the file, its shapes or every provider
    fails, ModuleNotFoundError when onnxruntime is not installed. `workers_max` threads share the rows of a large
    run on the CPU, each with `threads` threads of the runtime's own.
    """
    import onnxruntime

    data = catalog.read_verified(entry, folder)
    unknown = [word for word in providers if word not in PROVIDERS]
    if unknown or not providers:
        raise EngineDown(f"engine {name!r} asks for providers {unknown!r}", hint=f"choose from {sorted(PROVIDERS)}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # Errors are raised as well; lines on stderr would only double them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # session.set_denormal_as_zero stays off: it changes the arithmetic of the thread that calls, which is the loop's.
    session, provider, missing = _open_first(onnxruntime, data, options, providers)
    if session is None:
        raise EngineDown(
            f"engine {name!r}: {'; '.join(reason for _, reason in missing)}",
            hint=" or ".join(sorted({PROVIDERS[word][1] for word in providers})),
        )
    _check_shapes(name, entry, session)
    return Engine(
        name, session, asked=tuple(providers), provider=provider, missing=missing,
        batch_rows_max=batch_rows_max, queue_rows_max=queue_rows_max, workers_max=workers_max,
        made_of={"sha256": entry.sha256, "runtime": f"onnxruntime {onnxruntime.__version__}"},
    )  # fmt: skip


def _open_first(
    runtime: Any, data: bytes, options: Any, providers: Sequence[str]
) -> tuple[Any | None, str, tuple[tuple[str, str], ...]]:
    """(session, its provider's word, the words before it with why they do not run).

    The runtime falls back to the CPU silently, so what it says it runs on is compared with what was asked.
    """
    here = set(runtime.get_available_providers())
    missing: list[tuple[str, str]] = []
    for word in providers:
        wanted = PROVIDERS[word][0]
        if wanted not in here:
            missing.append((word, f"{wanted} is missing from this build of ONNX Runtime"))
            continue
        chosen = [wanted] if word == "cpu" else [wanted, PROVIDERS["cpu"][0]]
        try:
            session = runtime.InferenceSession(data, options, providers=chosen)
        except _faults() as error:
            missing.append((word, f"{wanted} cannot start: {str(error).strip().splitlines()[0]}"))
            continue
        if session.get_providers()[0] == wanted:
            return session, word, tuple(missing)
        missing.append((word, f"{wanted} gave way to {session.get_providers()[0]}: no driver or library"))
    return None, "", tuple(missing)


def _check_shapes(name: str, entry: catalog.Entry, session: Any) -> None:
    for side, declared, found in (
        ("input", entry.inputs, session.get_inputs()),
        ("output", entry.outputs, session.get_outputs()),
    ):
        real = [(put.name, put.type, tuple(d if isinstance(d, int) else -1 for d in put.shape)) for put in found]
        said = [(put.name, TYPES.get(put.type, put.type), put.shape) for put in declared]
        if real != said:
            raise EngineDown(
                f"engine {name!r}: {side}s are {real!r}, the catalog says {said!r}", hint="mend models/catalog.toml"
            )


def _faults() -> tuple[type[Exception], ...]:
    """What the runtime raises; its classes share no parent but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = (
        "EPFail",
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NotImplemented",
        "RuntimeException",
    )
    return (*(getattr(state, name) for name in names), RuntimeError, ValueError)


def _zeros(put: Any, rows: int) -> NDArray[Any]:
    shape = [rows if axis == 0 or not isinstance(size, int) else size for axis, size in enumerate(put.shape)]
    kinds: dict[str, type[np.generic]] = {
        "tensor(float)": np.float32,
        "tensor(uint8)": np.uint8,
        "tensor(int64)": np.int64,
    }
    return np.zeros(shape, kinds.get(put.type, np.float32))
