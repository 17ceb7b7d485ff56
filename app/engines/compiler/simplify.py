"""A graph made plainer: constants folded, dead nodes removed, MatMul and Add joined to Gemm.

ONNX Runtime's basic optimizations do the work: they use standard operators alone, so the file runs on every provider.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from onnx import ModelProto

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
    return graph.with_metadata(after, graph.metadata(before))
