"""From trained weights to an ONNX file: three layers, logits, and in its metadata the layout that it was trained for.

The graph is written node by node, so the same weights give the same bytes. It knows onnx and numpy, not torch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
LAYERS = ("first", "second", "heads")


def export(
    weights: Mapping[str, NDArray[np.float32]], path: Path, metadata: Mapping[str, str], *, graph: str = "behavior"
) -> str:
    """Write `path` and return its sha256.

    `weights` holds `<layer>.weight` (out, in) and `<layer>.bias` (out,) of LAYERS. Input `obs` (rows, features)
    float32, output `logits` (rows, outputs) float32; `graph` names the graph.
    """
    nodes, tensors = [], []
    value = "obs"
    for index, layer in enumerate(LAYERS):
        names = (f"{layer}.weight", f"{layer}.bias")
        tensors += [numpy_helper.from_array(np.ascontiguousarray(weights[name]), name) for name in names]
        last = index == len(LAYERS) - 1
        out = "logits" if last else f"{layer}.sum"
        nodes.append(helper.make_node("Gemm", [value, f"{layer}.weight", f"{layer}.bias"], [out], layer, transB=1))
        value = out
        if not last:
            value = f"{layer}.out"
            nodes.append(helper.make_node("Relu", [out], [value], f"{layer}.relu"))
    features, outputs = weights["first.weight"].shape[1], weights["heads.weight"].shape[0]
    body = helper.make_graph(
        nodes,
        graph,
        [helper.make_tensor_value_info("obs", TensorProto.FLOAT, ["rows", features])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", outputs])],
        tensors,
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    helper.set_model_props(model, dict(sorted(metadata.items())))
    onnx.checker.check_model(model)
    data = model.SerializeToString(deterministic=True)
    draft = path.with_suffix(".tmp")
    draft.write_bytes(data)
    os.replace(draft, path)
    return hashlib.sha256(data).hexdigest()
