"""What stands in an .onnx file, read without the onnx package: its operators and its large tensors.

It knows as much of protobuf's wire format and of onnx.proto as that needs; it checks no graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.errors import EngineDown

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MODEL_GRAPH, GRAPH_NODE, GRAPH_INITIALIZER = 7, 1, 5
NODE_OP, NODE_ATTRIBUTE, ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS = 4, 5, 6, 11
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW = 1, 2, 8, 9
"""Field numbers of onnx.proto (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto)."""
KINDS: dict[int, type[np.generic]] = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 10: np.float16}
DYNAMIC = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})
"""Operators that choose their scale by all rows of a batch, so that an answer depends on its neighbors."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A constant of a graph."""

    name: str
    values: NDArray[np.generic]


def operators(data: bytes) -> set[str]:
    """The operators of all nodes, those of inner graphs too; raises EngineDown when the bytes are no model."""
    return set(_operators(_graph(data)))


def tensors(data: bytes, *, bytes_min: int) -> list[Tensor]:
    """The constants of `bytes_min` bytes or more of the main graph, as views of `data` where it stores them raw."""
    constants = (value for number, value in _fields(_graph(data)) if number == GRAPH_INITIALIZER)
    found = (_tensor(value) for value in constants if isinstance(value, memoryview))
    return [tensor for tensor in found if tensor is not None and tensor.values.nbytes >= bytes_min]


def refuse_dynamic(name: str, data: bytes) -> None:
    """Raise EngineDown for a graph whose quantization depends on the batch."""
    if found := operators(data) & DYNAMIC:
        raise EngineDown(
            f"engine {name!r}: the graph quantizes by batch ({', '.join(sorted(found))}), so rows change each other",
            hint="quantize it statically: `manage.py models compile --help`",
        )


def _graph(data: bytes) -> memoryview:
    for number, value in _fields(memoryview(data)):
        if number == MODEL_GRAPH and isinstance(value, memoryview):
            return value
    raise EngineDown("the file holds no graph", hint="restore it from the release")


def _operators(graph: memoryview) -> Iterator[str]:
    for number, node in _fields(graph):
        if number != GRAPH_NODE or not isinstance(node, memoryview):
            continue
        for field, value in _fields(node):
            if field == NODE_OP and isinstance(value, memoryview):
                yield str(value, "utf-8")
            elif field == NODE_ATTRIBUTE and isinstance(value, memoryview):
                for part, inner in _fields(value):
                    if part in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS) and isinstance(inner, memoryview):
                        yield from _operators(inner)


def _tensor(message: memoryview) -> Tensor | None:
    """The tensor, unless its values are not stored raw or are of a type that nothing here shares."""
    dims: list[int] = []
    kind, name, raw = 0, "", None
    for number, value in _fields(message):
        if number == TENSOR_DIMS:
            dims += [value] if isinstance(value, int) else list(_varints(value))
        elif number == TENSOR_TYPE and isinstance(value, int):
            kind = value
        elif number == TENSOR_NAME and isinstance(value, memoryview):
            name = str(value, "utf-8")
        elif number == TENSOR_RAW and isinstance(value, memoryview):
            raw = value
    dtype = KINDS.get(kind)
    if raw is None or dtype is None or len(raw) != math.prod(dims) * np.dtype(dtype).itemsize:
        return None
    return Tensor(name, np.frombuffer(raw, dtype).reshape(dims))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of a message; raises EngineDown where it is cut short."""
    at = 0
    try:
        while at < len(message):
            key, at = _varint(message, at)
            number, wire = key >> 3, key & 7
            if wire == VARINT:
                value, at = _varint(message, at)
                yield number, value
                continue
            size, at = _varint(message, at) if wire == BYTES else ({FIXED64: 8, FIXED32: 4}[wire], at)
            if at + size > len(message):
                raise IndexError(at)
            yield number, message[at : at + size]
            at += size
    except (IndexError, KeyError) as error:
        raise EngineDown("the file is no ONNX model", hint="restore it from the release") from error


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise IndexError(at)


def _varints(message: memoryview) -> Iterator[int]:
    at = 0
    while at < len(message):
        value, at = _varint(message, at)
        yield value
