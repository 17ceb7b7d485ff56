"""A network that somebody brings as a file: what a catalog would say of it, read from the file itself.

It proves nothing; opening it does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.core.errors import EngineDown
from app.engines import catalog
from app.engines.onnx import TYPES, sessions

_WORDS = {theirs: ours for ours, theirs in TYPES.items()}


def entry_of(path: Path) -> catalog.Entry:
    """The file's entry, its id the file's name; raises EngineDown when it is not there or no network."""
    import onnxruntime

    try:
        data = path.read_bytes()
        options = sessions.session_options(onnxruntime, sessions.Options())
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise EngineDown(f"model file {path.name!r}: {error.strerror}", hint="name a file that is there") from error
    except sessions.faults() as error:
        said = str(error).strip().splitlines()[0]
        raise EngineDown(f"model file {path.name!r}: {said}", hint="export the network as one .onnx file") from error
    return catalog.Entry(
        id=path.name,
        file=str(path.resolve()),
        sha256=hashlib.sha256(data).hexdigest(),
        licence="",
        engine="onnx",
        inputs=_tensors(session.get_inputs()),
        outputs=_tensors(session.get_outputs()),
    )


def _tensors(puts: Sequence[Any]) -> tuple[catalog.Tensor, ...]:
    return tuple(
        catalog.Tensor(
            name=put.name,
            type=_WORDS.get(put.type, put.type),
            shape=tuple(size if isinstance(size, int) else -1 for size in put.shape),
        )
        for put in puts
    )
