"""Tiny networks for tests, written as ONNX files with their catalog."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from app.engines.catalog import Catalog, load

FEATURES, INTENTS = 4, 3


def weights() -> np.ndarray:
    """(FEATURES, INTENTS) float32 of the network below."""
    return np.random.default_rng(7).normal(size=(FEATURES, INTENTS)).astype(np.float32)


def write(folder: Path, *, sha256: str = "", features: int = FEATURES) -> Catalog:
    """A catalog with one network, logits = obs @ weights."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["obs", "w"], ["logits"])],
        "tiny",
        [helper.make_tensor_value_info("obs", TensorProto.FLOAT, ["npcs", FEATURES])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["npcs", INTENTS])],
        [numpy_helper.from_array(weights(), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"schema": "abc"})
    onnx.save(model, str(folder / "tiny.onnx"))
    found = hashlib.sha256((folder / "tiny.onnx").read_bytes()).hexdigest()
    (folder / "catalog.toml").write_text(f"""
[[models]]
id = "tiny"
file = "tiny.onnx"
sha256 = "{sha256 or found}"
licence = "Apache-2.0"
engine = "onnx"
inputs = [{{name = "obs", type = "float32", shape = [-1, {features}]}}]
outputs = [{{name = "logits", type = "float32", shape = [-1, {INTENTS}]}}]
""")
    return load(folder / "catalog.toml")
