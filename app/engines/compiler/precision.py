"""Lower precision, written into the graph: FP16, and static INT8 per channel between Quantize and Dequantize nodes.

Precision never stands in a builder's flags. Dynamic INT8 is refused: its scales follow the rows that happen to
share a batch, so an NPC's decision would depend on its neighbors.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from app.core.errors import Invalid
from app.engines.compiler import graph

F32 = NDArray[np.float32]
CALIBRATION_PART_ROWS = 4_096
DYNAMIC_OPERATORS = ("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM")


@dataclass(frozen=True, slots=True)
class Calibration:
    """How ranges are found: `method` MinMax, Percentile or Entropy; `percentile` of Percentile alone."""

    method: str
    percentile: float = 0.0

    @property
    def words(self) -> str:
        return f"{self.method} {self.percentile:g}" if self.percentile else self.method


CALIBRATIONS: Mapping[str, tuple[Calibration, ...]] = {
    "minmax": (Calibration("MinMax"),),
    "percentile": tuple(Calibration("Percentile", percentile) for percentile in (99.9, 99.99, 99.999)),
    "entropy": (Calibration("Entropy"),),
}


@dataclass(frozen=True, slots=True)
class Range:
    """How one tensor of activations is told as uint8: value = scale * (number - zero)."""

    scale: float
    zero: int


def refuse_dynamic(model: ModelProto, name: str) -> None:
    """Raises Invalid when scales are computed while the network runs."""
    found = sorted({node.op_type for node in model.graph.node if node.op_type in DYNAMIC_OPERATORS})
    if found:
        raise Invalid(
            f"{name!r} holds {', '.join(found)}: dynamic INT8, whose answer for a row depends on its batch",
            hint="quantize statically: manage.py models compile --to int8",
        )


def to_fp16(model: ModelProto, *, io_half: bool) -> ModelProto:
    """The graph in float16; its input and output stay float32 unless `io_half`."""
    from onnxruntime.transformers import float16

    new = ModelProto()
    new.CopyFrom(model)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # It tells of every weight too small for float16; the measures tell what it cost.
        found = float16.convert_float_to_float16(new, keep_io_types=not io_half)
    return graph.in_order(found)


def to_int8(
    model: ModelProto, rows: F32, calibration: Calibration, *, weight_bits: int, last_fp32: bool,
    ranges: Mapping[str, Range] | None = None,
) -> ModelProto:  # fmt: skip
    """Static INT8: weights int8 per channel and symmetric, activations uint8, the output float32.

    `rows` (rows, features) calibrate unless `ranges` names each tensor's. `weight_bits` 7 keeps the sums of two
    products within int16, without which CPUs that lack VNNI saturate silently. `last_fp32` leaves the last layer be.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    extra: dict[str, Any] = {"WeightSymmetric": True}
    if calibration.percentile:
        extra["CalibPercentile"] = calibration.percentile
    if ranges:
        extra["TensorQuantOverrides"] = {name: [_override(each)] for name, each in ranges.items()}
    copy = ModelProto()  # The quantizer moves the weights of what it is given out of it.
    copy.CopyFrom(model)
    dense = [node.name for node in model.graph.node if node.op_type in ("Gemm", "MatMul", "Conv")]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            copy, path, _reader(model.graph.input[0].name, rows), quant_format=QuantFormat.QDQ, per_channel=True,
            reduce_range=weight_bits == 7, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            nodes_to_exclude=dense[-1:] if last_fp32 else [], extra_options=extra,
            calibrate_method=getattr(CalibrationMethod, calibration.method),
        )  # fmt: skip
        found = onnx.load(path)
    return graph.with_metadata(_float_output(found), graph.metadata(model))


def ranges_of(model: ModelProto) -> dict[str, Range]:
    """Tensor name -> its range, for every tensor of activations that a quantized graph has."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {
        node.input[0]: Range(float(constants[node.input[1]]), int(constants[node.input[2]]))
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] not in constants
    }


def _override(each: Range) -> dict[str, Any]:
    from onnxruntime.quantization import QuantType

    return {
        "scale": np.array(each.scale, np.float32),
        "zero_point": np.array(each.zero, np.uint8),
        "quant_type": QuantType.QUInt8,
    }


def _reader(name: str, rows: F32) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the runtime ships no types
        def __init__(self) -> None:
            count = -(-len(rows) // CALIBRATION_PART_ROWS)
            size = len(rows) // count  # Histograms take parts of one size alone, so that up to `count` rows are left.
            self._parts = iter([{name: rows[size * part : size * (part + 1)]} for part in range(count)])

        def get_next(self) -> dict[str, F32] | None:
            return next(self._parts, None)

    return Reader()


def _float_output(model: ModelProto) -> ModelProto:
    """The graph without the rounding of its own output, which would cost decisions and time."""
    makers = {name: node for node in model.graph.node for name in node.output}
    for output in model.graph.output:
        last = makers[output.name]
        rounding = makers.get(last.input[0]) if last.op_type == "DequantizeLinear" else None
        if rounding is None or rounding.op_type != "QuantizeLinear":
            continue
        makers[rounding.input[0]].output[0] = output.name
        model.graph.node.remove(last)
        model.graph.node.remove(rounding)
    used = {name for node in model.graph.node for name in node.input}
    constants = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer prints and warns on every step; its findings are measured, not read."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
