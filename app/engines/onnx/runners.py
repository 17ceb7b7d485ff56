"""Two ways to run a session in the calling thread: as it comes, and padded into buffers that never move.

The second is what a device wants: CUDA graphs and TensorRT profiles are made for fixed shapes and addresses. It
works on any provider, so that a test drives it on the CPU. Neither knows what the arrays mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import EngineDown
from app.core.ports import Arrays
from app.engines.onnx.sessions import faults

Outputs = dict[str, NDArray[Any]]
KINDS: Mapping[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
}


class Plain:
    """Runs a session on arrays of any size.

    Binding outputs to memory of ours was tried: making a binding costs what the copy that it saves does.
    """

    def __init__(self, name: str, session: Any) -> None:
        self._name, self._session, self._faults = name, session, faults()
        self._outputs = [output.name for output in session.get_outputs()]

    def compute(self, inputs: Arrays) -> Outputs:
        """One run; raises EngineDown with the runtime's own words when it fails."""
        try:
            outputs = self._session.run(self._outputs, dict(inputs))
        except self._faults as error:
            raise _down(self._name, error) from error
        return dict(zip(self._outputs, outputs, strict=True))


@dataclass(slots=True)
class _Bucket:
    """Buffers for runs of `rows` rows, bound once: what the host writes and reads, and what the device sees."""

    rows: int
    host: Outputs
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    binding: Any
    how: Any
    """Run options that name the bucket's CUDA graph."""


class Buckets:
    """Runs a session in the smallest bucket that holds the rows, in the largest again and again when none does.

    Rows beyond those given are whatever was there before: the answer for a row does not depend on others. One
    thread at a time, the one that owns the device. `device` is the runtime's word for where the buffers lie.
    """

    def __init__(self, name: str, session: Any, sizes: Sequence[int], *, device: str = "cpu", host: Any = None) -> None:
        """Buffers for each size of `sizes`; `host` describes memory that the device reaches by itself, where known."""
        self._name, self._session, self._faults, self._device = name, session, faults(), device
        self._sizes = sorted(sizes)
        try:
            self._buckets = [self._bucket(number, rows, host) for number, rows in enumerate(self._sizes)]
        except self._faults as error:
            raise _down(name, error) from error

    def compute(self, inputs: Arrays) -> Outputs:
        """One answer, in one run or several; raises EngineDown with the runtime's own words when it fails."""
        rows = self._check(inputs)
        largest = self._sizes[-1]
        if rows <= largest:
            return self._fill(inputs, 0, rows)
        parts = [self._fill(inputs, first, min(first + largest, rows)) for first in range(0, rows, largest)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _fill(self, inputs: Arrays, first: int, last: int) -> Outputs:
        rows = last - first
        bucket = next(bucket for bucket in self._buckets if bucket.rows >= rows)
        for name, array in inputs.items():
            bucket.host[name][:rows] = array[first:last]
        try:
            if self._device != "cpu":
                for name, value in bucket.inputs.items():
                    value.update_inplace(bucket.host[name])
            self._session.run_with_iobinding(bucket.binding, bucket.how)
            bucket.binding.synchronize_outputs()
            return {name: value.numpy()[:rows].copy() for name, value in bucket.outputs.items()}
        except self._faults as error:
            raise _down(self._name, error) from error

    def _bucket(self, number: int, rows: int, host_memory: Any) -> _Bucket:
        import onnxruntime

        host: Outputs = {}
        inputs, outputs = {}, {}
        binding = self._session.io_binding()
        for put in self._session.get_inputs():
            shape, kind = (rows, *put.shape[1:]), KINDS[put.type]
            host[put.name] = _host_array(onnxruntime, shape, kind, host_memory)
            host[put.name][:] = 0
            inputs[put.name] = onnxruntime.OrtValue.ortvalue_from_numpy(host[put.name], self._device, 0)
            binding.bind_ortvalue_input(put.name, inputs[put.name])
        for put in self._session.get_outputs():
            shape, kind = (rows, *put.shape[1:]), KINDS[put.type]
            outputs[put.name] = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, kind, self._device, 0)
            binding.bind_ortvalue_output(put.name, outputs[put.name])
        how = onnxruntime.RunOptions()
        how.add_run_config_entry("gpu_graph_id", str(number + 1))
        return _Bucket(rows, host, inputs, outputs, binding, how)

    def _check(self, inputs: Arrays) -> int:
        """The rows of a request whose arrays fit the buffers; raises EngineDown for others."""
        wanted = {name: (array.shape[1:], array.dtype) for name, array in self._buckets[0].host.items()}
        given = {name: (array.shape[1:], array.dtype) for name, array in inputs.items()}
        rows = {len(array) for array in inputs.values()}
        if given != wanted or len(rows) != 1:
            raise EngineDown(f"network {self._name!r} takes {wanted!r}, not {given!r}", hint="see models/catalog.toml")
        return rows.pop()


def _host_array(runtime: Any, shape: tuple[int, ...], kind: type[np.generic], memory: Any) -> NDArray[Any]:
    """An array in memory that the device reads by itself (pinned), where the provider tells of such memory."""
    if memory is None:
        return np.empty(shape, kind)
    found: NDArray[Any] = runtime.OrtValue.ortvalue_from_shape_and_type(shape, kind, memory_info=memory).numpy()
    return found


def host_memory(runtime: Any, provider: str) -> Any:
    """Where a plugin provider wants host buffers, or None where it does not say."""
    for device in runtime.get_ep_devices():
        if device.ep_name == provider:
            return device.memory_info(runtime.OrtDeviceMemoryType.HOST_ACCESSIBLE)
    return None


def zeros(puts: Sequence[Any], rows: int, *, shared: frozenset[str], free: int) -> Outputs:
    """Zeros for inputs of a session: `rows` rows, other free dimensions `free`; `shared` inputs have no rows."""
    return made(puts, rows, shared=shared, free=free, fill=lambda shape: np.zeros(shape))


def made(
    puts: Sequence[Any], rows: int, *, shared: frozenset[str], free: int,
    fill: Callable[[tuple[int, ...]], NDArray[Any]],
) -> Outputs:  # fmt: skip
    """Inputs of a session that `fill` makes, in the types that it takes."""
    found: Outputs = {}
    for put in puts:
        shape = tuple(size if isinstance(size, int) else free for size in put.shape)
        shape = shape if put.name in shared else (rows, *shape[1:])
        found[put.name] = fill(shape).astype(KINDS.get(put.type, np.float32))
    return found


def _down(name: str, error: Exception) -> EngineDown:
    return EngineDown(f"network {name!r} failed: {error}", hint="see the engine's status")
