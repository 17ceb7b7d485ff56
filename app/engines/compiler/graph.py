"""Networks as graphs: read and written, and as layers where they are plain: Gemm and Relu in turn.

It knows onnx and no runtime. A graph that is not plain can be simplified and quantized, not pruned or tuned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from app.core.errors import Invalid
from app.engines import catalog

F32 = NDArray[np.float32]
OPSET, IR_VERSION = 17, 9
TYPES: Mapping[int, str] = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.UINT8: "uint8",
         TensorProto.INT64: "int64"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layer:
    """out = inputs @ weight.T + bias; a Relu stands between layers."""

    weight: F32
    """(out, in)"""
    bias: F32
    """(out,)"""


def read(data: bytes, name: str) -> ModelProto:
    """The graph in `data`; raises Invalid naming `name` when it is none, or not a valid one."""
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        words = str(error).strip().splitlines()[0]
        raise Invalid(f"{name!r} is not a valid ONNX file: {words}", hint="export it again") from error
    return model


def write(model: ModelProto) -> bytes:
    """The same bytes for the same graph."""
    onnx.checker.check_model(model)
    found: bytes = model.SerializeToString(deterministic=True)
    return found


def tensors(values: Sequence[onnx.ValueInfoProto]) -> tuple[catalog.Tensor, ...]:
    """Inputs or outputs in the catalog's terms; a free dimension is -1."""
    return tuple(
        catalog.Tensor(
            name=value.name,
            type=TYPES.get(value.type.tensor_type.elem_type, str(value.type.tensor_type.elem_type)),
            shape=tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in value.type.tensor_type.shape.dim),
        )
        for value in values
    )


def ports(model: ModelProto) -> tuple[catalog.Tensor, catalog.Tensor]:
    """The one input and the one output, each (rows, width) with free rows; raises Invalid when it has others."""
    found = (*tensors(model.graph.input), *tensors(model.graph.output))
    if len(model.graph.input) == len(model.graph.output) == 1 and all(
        len(port.shape) == 2 and port.shape[0] == -1 and port.shape[1] > 0 for port in found
    ):
        return found[0], found[1]
    shapes = ", ".join(f"{port.name} {list(port.shape)}" for port in found)
    raise Invalid(
        f"the network has {shapes}",
        hint="one input and one output of (free rows, fixed width) are compiled; export with a dynamic first dimension",
    )


def renamed(model: ModelProto, *, inputs: str, outputs: str) -> ModelProto:
    """A copy whose one input and one output carry these names."""
    new = ModelProto()
    new.CopyFrom(model)
    names = {new.graph.input[0].name: inputs, new.graph.output[0].name: outputs}
    for node in new.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*new.graph.input, *new.graph.output):
        value.name = names[value.name]
    return new


def metadata(model: ModelProto) -> dict[str, str]:
    """The file's own words about itself."""
    return {entry.key: entry.value for entry in model.metadata_props}


def with_metadata(model: ModelProto, words: Mapping[str, str]) -> ModelProto:
    """A copy that says these words of itself, sorted, and no others."""
    new = ModelProto()
    new.CopyFrom(model)
    del new.metadata_props[:]
    helper.set_model_props(new, dict(sorted(words.items())))
    return new


def layers(model: ModelProto) -> tuple[Layer, ...] | None:
    """The layers of a plain network, or None when it is of another kind."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found: list[Layer] = []
    value, after_gemm = model.graph.input[0].name, False
    for node in model.graph.node:
        if list(node.input[:1]) != [value]:
            return None
        if node.op_type == "Gemm" and not after_gemm:
            layer = _gemm(node, constants)
            if layer is None:
                return None
            found.append(layer)
        elif not (node.op_type == "Relu" and after_gemm):
            return None
        after_gemm, value = node.op_type == "Gemm", node.output[0]
    return tuple(found) if after_gemm and value == model.graph.output[0].name else None


def _gemm(node: NodeProto, constants: Mapping[str, NDArray[np.generic]]) -> Layer | None:
    said = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    plain = said.get("alpha", 1.0) == said.get("beta", 1.0) == 1.0 and not said.get("transA", 0)
    if not plain or len(node.input) != 3 or any(name not in constants for name in node.input[1:]):
        return None
    weight, bias = constants[node.input[1]], constants[node.input[2]]
    weight = weight if said.get("transB", 0) else weight.T
    if weight.dtype != np.float32 or bias.shape != (weight.shape[0],):
        return None
    return Layer(np.ascontiguousarray(weight, np.float32), np.asarray(bias, np.float32))


def in_order(model: ModelProto) -> ModelProto:
    """The same graph with every node after those that feed it, otherwise in the order that it had; changed in place."""
    made = {name for node in model.graph.node for name in node.output}
    left, ordered = list(model.graph.node), []
    while left:
        ready = [node for node in left if not made.intersection(node.input)]
        if not ready:
            raise Invalid(f"the graph {model.graph.name!r} feeds itself", hint="export it again")
        ordered += ready
        made.difference_update(*(node.output for node in ready))
        left = [node for node in left if node not in ready]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
    return model


def chain(parts: Sequence[Layer], like: ModelProto) -> ModelProto:
    """A plain network of these layers with the names, metadata and graph name of `like`."""
    nodes, constants = [], []
    source, goal = like.graph.input[0].name, like.graph.output[0].name
    value = source
    for index, layer in enumerate(parts):
        last = index == len(parts) - 1
        names = (f"layer{index}.weight", f"layer{index}.bias")
        constants += [
            numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)
            for array, name in zip((layer.weight, layer.bias), names, strict=True)
        ]
        out = goal if last else f"layer{index}.sum"
        nodes.append(helper.make_node("Gemm", [value, *names], [out], f"layer{index}", transB=1))
        if not last:
            value = f"layer{index}.out"
            nodes.append(helper.make_node("Relu", [out], [value], f"layer{index}.relu"))
    body = helper.make_graph(
        nodes,
        like.graph.name or "network",
        [helper.make_tensor_value_info(source, TensorProto.FLOAT, ["rows", parts[0].weight.shape[1]])],
        [helper.make_tensor_value_info(goal, TensorProto.FLOAT, ["rows", parts[-1].weight.shape[0]])],
        constants,
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return with_metadata(model, metadata(like))
