"""Small networks as .onnx bytes, written without the onnx package: what tests need and no more (onnx.proto, IR 9)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.engines import catalog

Weights = Mapping[str, NDArray[np.float32]]


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def chunk(field: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], **integers: int) -> bytes:
    parts = [chunk(1, name) for name in inputs] + [chunk(2, name) for name in outputs] + [chunk(4, op)]
    parts += [chunk(5, chunk(1, name) + number(3, value) + number(20, 2)) for name, value in integers.items()]
    return b"".join(parts)


def tensor(name: str, values: NDArray[np.float32]) -> bytes:
    dims = b"".join(number(1, size) for size in values.shape)
    return dims + number(2, 1) + chunk(8, name) + chunk(9, np.ascontiguousarray(values, "<f4").tobytes())


def put(name: str, width: int, kind: int = 1) -> bytes:
    shape = chunk(1, chunk(2, "rows")) + chunk(1, number(1, width))
    return chunk(1, name) + chunk(2, chunk(1, number(1, kind) + chunk(2, shape)))


def model(
    nodes: Sequence[bytes], tensors: Weights, inputs: Mapping[str, int], outputs: Mapping[str, int],
    metadata: Mapping[str, str],
) -> bytes:  # fmt: skip
    """A model whose arrays are (rows, width) float32."""
    graph = b"".join(
        [
            *(chunk(1, one) for one in nodes),
            chunk(2, "tiny"),
            *(chunk(5, tensor(name, values)) for name, values in tensors.items()),
            *(chunk(11, put(name, width)) for name, width in inputs.items()),
            *(chunk(12, put(name, width)) for name, width in outputs.items()),
        ]
    )
    props = b"".join(chunk(14, chunk(1, key) + chunk(2, value)) for key, value in metadata.items())
    return number(1, 9) + chunk(8, chunk(1, "") + number(2, 17)) + chunk(7, graph) + props


def linear(*, seed: int, inputs: int = 8, outputs: int = 4, metadata: Mapping[str, str] | None = None) -> bytes:
    """Logits = obs @ w."""
    weights = {"w": np.random.default_rng(seed).normal(size=(inputs, outputs)).astype(np.float32)}
    gemm = node("MatMul", ["obs", "w"], ["logits"])
    return model([gemm], weights, {"obs": inputs}, {"logits": outputs}, metadata or {})


def by_batch(*, inputs: int = 8, outputs: int = 4) -> bytes:
    """The same with an input that is quantized by the whole batch."""
    weights = {"w": np.random.default_rng(0).normal(size=(inputs, outputs)).astype(np.float32)}
    nodes = [
        node("DynamicQuantizeLinear", ["obs"], ["q", "scale", "zero"]),
        node("DequantizeLinear", ["q", "scale", "zero"], ["seen"]),
        node("MatMul", ["seen", "w"], ["logits"]),
    ]
    return model(nodes, weights, {"obs": inputs}, {"logits": outputs}, {})


def over_rows(*, inputs: int = 8) -> bytes:
    """A network whose rows see each other: each less their mean."""
    nodes = [node("ReduceMean", ["obs"], ["mean"], keepdims=1), node("Sub", ["obs", "mean"], ["logits"])]
    return model(nodes, {}, {"obs": inputs}, {"logits": inputs}, {})


def gru_weights(*, features: int, width: int, outputs: int) -> dict[str, NDArray[np.float32]]:
    generator = np.random.default_rng(7)
    shapes = {f"{kind}{gate}": (features if kind == "w" else width, width) for gate in "zrn" for kind in "wu"}
    shapes["v"] = (width, outputs)
    return {name: (generator.normal(size=shape) / 2.0).astype(np.float32) for name, shape in shapes.items()}


def gru(*, features: int, width: int, outputs: int, metadata: Mapping[str, str]) -> bytes:
    """A gated recurrent unit (Cho et al. 2014) with a linear head: obs, state_in -> logits, state_out."""
    nodes = [node("Sub", ["one", "z"], ["keep"])]
    for gate, squash in (("z", "Sigmoid"), ("r", "Sigmoid")):
        nodes += [
            node("MatMul", ["obs", f"w{gate}"], [f"x{gate}"]),
            node("MatMul", ["state_in", f"u{gate}"], [f"h{gate}"]),
            node("Add", [f"x{gate}", f"h{gate}"], [f"s{gate}"]),
            node(squash, [f"s{gate}"], [gate]),
        ]
    nodes += [
        node("MatMul", ["obs", "wn"], ["xn"]),
        node("MatMul", ["state_in", "un"], ["hn"]),
        node("Mul", ["r", "hn"], ["rn"]),
        node("Add", ["xn", "rn"], ["sn"]),
        node("Tanh", ["sn"], ["n"]),
        nodes.pop(0),
        node("Mul", ["keep", "n"], ["fresh"]),
        node("Mul", ["z", "state_in"], ["old"]),
        node("Add", ["fresh", "old"], ["state_out"]),
        node("MatMul", ["state_out", "v"], ["logits"]),
    ]
    weights = gru_weights(features=features, width=width, outputs=outputs) | {"one": np.ones((1, width), np.float32)}
    return model(
        nodes, weights, {"obs": features, "state_in": width}, {"logits": outputs, "state_out": width}, metadata
    )


def gru_step(
    obs: NDArray[np.float32], state: NDArray[np.float32], outputs: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What `gru` computes, in numpy."""
    w = gru_weights(features=obs.shape[1], width=state.shape[1], outputs=outputs)
    z = 1.0 / (1.0 + np.exp(-(obs @ w["wz"] + state @ w["uz"])))
    r = 1.0 / (1.0 + np.exp(-(obs @ w["wr"] + state @ w["ur"])))
    n = np.tanh(obs @ w["wn"] + r * (state @ w["un"]))
    after = (1.0 - z) * n + z * state
    return after @ w["v"], after


def entry(folder: Path, name: str, data: bytes, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> catalog.Entry:
    """The bytes as a file of `folder`, and the catalog's words for it."""
    (folder / f"{name}.onnx").write_bytes(data)

    def tensors(widths: Mapping[str, int]) -> tuple[catalog.Tensor, ...]:
        return tuple(catalog.Tensor(name=each, type="float32", shape=(-1, width)) for each, width in widths.items())

    return catalog.Entry(
        id=name, file=f"{name}.onnx", sha256=hashlib.sha256(data).hexdigest(), licence="Apache-2.0", engine="onnx",
        inputs=tensors(inputs), outputs=tensors(outputs),
    )  # fmt: skip
