"""Where a network to compile comes from: ONNX, PyTorch or TensorFlow, told apart by the file, as ONNX in FP32."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onnx import ModelProto, TensorProto

from app.core.errors import Invalid, NotFound
from app.engines import catalog
from app.engines.compiler import graph, precision, simplify, tensorflow

FILE_BYTES_MAX = 1 << 30
PORTS = ("obs", "logits")
"""What the server calls a policy's input and output."""


@dataclass(frozen=True, slots=True)
class Source:
    """A network as it came and, simplified, as it goes on."""

    id: str
    """The catalog's where it stands there, else the file's name without its suffix."""
    sha256: str
    bytes: int
    model: ModelProto
    listed: catalog.Entry | None = field(default=None)


def open_source(
    path: Path, listed: catalog.Catalog, *, schema: str, fingerprint: str, features: int, id: str = ""
) -> Source:
    """Read `path`, convert it where it is not ONNX, and simplify it.

    A network of PyTorch or TensorFlow says nothing of the schema it was trained for: it is taken to be `schema` with
    its `fingerprint`, and its input and output are named as the server expects. Raises NotFound when there is nothing
    at `path`, Invalid when it is not a network of one FP32 matrix in and one out, EngineDown when a converter lacks.
    """
    if not path.exists():
        raise NotFound(f"no model at {str(path)!r}", hint="give an .onnx, .pt2 or .pt file or a SavedModel folder")
    raw = _bytes(path)
    sha256 = hashlib.sha256(raw).hexdigest()
    entry = next((each for each in listed.models if each.sha256 == sha256), None)
    if path.suffix == ".onnx":
        model = _checked(raw, path.name)
    else:
        words = {"schema": schema, "fingerprint": fingerprint}
        model = _foreign(_converted(path, features=features, schema=schema), path.name, words)
    return Source(id or (entry.id if entry else path.stem), sha256, len(raw), model, entry)


def _bytes(path: Path) -> bytes:
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    size = sum(each.stat().st_size for each in files)
    if size > FILE_BYTES_MAX:
        raise Invalid(f"{path.name!r} has {size:,} bytes", hint=f"{FILE_BYTES_MAX:,} are read at most")
    return b"".join(each.read_bytes() for each in files)


def _converted(path: Path, *, features: int, schema: str) -> bytes:
    if tensorflow.is_tensorflow(path):
        return tensorflow.convert(path)
    from app.learning.compress import torchfiles

    if path.suffix in torchfiles.SUFFIXES:
        return torchfiles.to_onnx(path, features=features, schema=schema)
    raise Invalid(
        f"{path.name!r} is of no known kind", hint="give .onnx, .pt2, .pt, .pth, .h5, .tflite or a SavedModel folder"
    )


def _foreign(data: bytes, name: str, words: Mapping[str, str]) -> ModelProto:
    model = _checked(data, name)
    return graph.with_metadata(
        graph.renamed(model, inputs=PORTS[0], outputs=PORTS[1]), {**words, **graph.metadata(model)}
    )


def _checked(data: bytes, name: str) -> ModelProto:
    model = graph.read(data, name)
    precision.refuse_dynamic(model, name)
    graph.ports(model)
    if any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node):
        raise Invalid(f"{name!r} is quantized already", hint="compile the FP32 network that it was made from")
    kinds = {put.type.tensor_type.elem_type for put in (*model.graph.input, *model.graph.output)}
    if kinds != {TensorProto.FLOAT}:
        found = ", ".join(sorted(graph.TYPES.get(kind, str(kind)) for kind in kinds))
        raise Invalid(f"{name!r} takes and gives {found}", hint="compile the FP32 network that it was made from")
    return simplify.simplified(data, name)
