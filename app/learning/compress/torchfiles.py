"""PyTorch files to ONNX: a program of torch.export (.pt2), a TorchScript module, or a checkpoint of our own training.

A program goes through PyTorch's present exporter (torch.export, onnxscript); TorchScript, which that exporter does not
take, through the old one. A checkpoint is written layer by layer. Pickled modules are code and are not read.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from app.core.errors import EngineDown, Invalid
from app.learning.export import LAYERS, export

OPSET = 18
SUFFIXES = (".pt2", ".pt", ".pth")
EXAMPLE_ROWS = 2


def to_onnx(path: Path, *, features: int, schema: str) -> bytes:
    """The ONNX bytes of a PyTorch file; `features` is the width of a TorchScript module's input.

    Raises Invalid when the file is of no known kind or the exporter does not take it, EngineDown when a package of the
    exporter is missing.
    """
    try:
        names = zipfile.ZipFile(path).namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise Invalid(f"{path.name!r} is no PyTorch file: {error}", hint=_hint()) from error
    with _quiet():
        if path.suffix == ".pt2":
            return _program(path)
        if any("/code/" in name for name in names):
            return _script(path, features)
        return _checkpoint(path, schema)


def _program(path: Path) -> bytes:
    try:
        program = torch.export.load(path)  # type: ignore[no-untyped-call]  # torch has no types for it
        exported = torch.onnx.export(program, dynamo=True, opset_version=OPSET, external_data=False)
    except ModuleNotFoundError as error:
        raise EngineDown(f"the package {error.name!r} is not installed", hint="uv sync --extra train") from error
    except (RuntimeError, ValueError, KeyError, torch.onnx.errors.OnnxExporterError) as error:
        raise Invalid(f"{path.name!r} cannot be exported: {_first(error)}", hint=_hint()) from error
    if exported is None:
        raise Invalid(f"the exporter gave nothing for {path.name!r}", hint=_hint())
    data: bytes = exported.model_proto.SerializeToString()
    return data


def _script(path: Path, features: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "module.onnx"
        _export_script(path, features, out)
        return out.read_bytes()


def _export_script(path: Path, features: int, out: Path) -> None:
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]  # nor for it
        torch.onnx.export(
            module, (torch.zeros(EXAMPLE_ROWS, features),), out, dynamo=False, opset_version=17,
            input_names=["obs"], output_names=["logits"], dynamic_axes={"obs": {0: "rows"}, "logits": {0: "rows"}},
        )  # fmt: skip
    except (RuntimeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        raise Invalid(
            f"{path.name!r} cannot be exported with {features} features: {_first(error)}", hint=_hint()
        ) from error


def _checkpoint(path: Path, schema: str) -> bytes:
    try:
        state: Any = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, torch.serialization.pickle.UnpicklingError) as error:  # type: ignore[attr-defined]  # torch raises it
        raise Invalid(f"{path.name!r} is no checkpoint of plain tensors: {_first(error)}", hint=_hint()) from error
    policy = state.get("policy") if isinstance(state, dict) else None
    wanted = {f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")}
    if not isinstance(policy, dict) or not wanted <= set(policy):
        raise Invalid(f"{path.name!r} is no checkpoint of `manage.py train behavior`", hint=_hint())
    words = {"schema": schema, "fingerprint": str(state.get("fingerprint", "")), "seed": str(state.get("seed", 0))}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "policy.onnx"
        export({name: policy[name].numpy() for name in wanted}, out, words)
        return out.read_bytes()


def _hint() -> str:
    return "save torch.export.export(module, (obs,), dynamic_shapes=…) with torch.export.save(program, 'policy.pt2')"


def _first(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters tell of packages that they do without, and that the old one is old."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
