"""A graph made plainer: constants folded, dead nodes removed, MatMul and Add joined to Gemm.

ONNX Runtime's basic optimizations do the work: they use standard operators alone, so the file runs on every provider.
A MatMul that is left, of a layer without bias, becomes a Gemm as well: then the network is plain, and can be tuned.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, helper, numpy_helper

from app.core.errors import Invalid
from app.engines.compiler import graph


def simplified(data: bytes, name: str) -> ModelProto:
    """The plainer graph of `data`, with its metadata; raises Invalid naming `name` when it is none or cannot run."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    before = graph.read(data, name)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simplified.onnx"
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except (state.Fail, state.InvalidGraph, state.NotImplemented) as error:
            raise Invalid(f"{name!r} does not run: {str(error).strip().splitlines()[0]}", hint="export it") from error
        after = graph.read(path.read_bytes(), name)
    used = {node.domain for node in after.graph.node} | {""}
    imports = [each for each in after.opset_import if each.domain in used]
    del after.opset_import[:]
    after.opset_import.extend(imports)
    return graph.with_metadata(_gemms(after), graph.metadata(before))


def _gemms(model: ModelProto) -> ModelProto:
    """Every MatMul of a matrix of rows with constant weights as a Gemm with a bias of zeros; changed in place."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer if len(tensor.dims) == 2}
    known = onnx.shape_inference.infer_shapes(model).graph
    flat = {
        value.name
        for value in (*known.input, *known.value_info, *known.output)
        if len(value.type.tensor_type.shape.dim) == 2
    }
    for index, node in enumerate(model.graph.node):
        if node.op_type != "MatMul" or node.input[0] not in flat or node.input[1] not in weights:
            continue
        weight = numpy_helper.to_array(weights[node.input[1]])
        bias = f"{node.output[0]}.bias"
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(weight.shape[1], weight.dtype), bias))
        dense = helper.make_node("Gemm", [*node.input, bias], list(node.output), node.name or f"gemm{index}")
        model.graph.node[index].CopyFrom(dense)
    return model
