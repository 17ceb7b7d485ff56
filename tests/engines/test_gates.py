"""What a model must show before it goes live: no row depends on another, and the answers of its maker."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import pytest

from app.core.errors import EngineDown
from app.engines import catalog
from app.engines.onnx import Engine, gates, graph, open_onnx, runners, sessions
from tests.engines import tiny_onnx

MODELS = Path(__file__).resolve().parents[2] / "models"
CATALOG = catalog.load(MODELS / "catalog.toml").models


def opened(entry: catalog.Entry, folder: Path = MODELS, *, threads: int = 1) -> Engine:
    return open_onnx(name=entry.id, entry=entry, folder=folder, threads=threads, batch_rows_max=64)


def subject(entry: catalog.Entry, *, threads: int, folder: Path = MODELS) -> gates.Subject:
    """The model in a session of `threads` threads of the runtime's own."""
    options = sessions.session_options(onnxruntime, sessions.Options(threads=threads))
    session = onnxruntime.InferenceSession((folder / entry.file).read_bytes(), options, ["CPUExecutionProvider"])
    shared = frozenset(put.name for put in entry.inputs if put.shared)
    return gates.Subject(entry.id, runners.Plain(entry.id, session).compute, session.get_inputs(), shared)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.id)
def test_a_row_of_every_shipped_model_has_the_same_bits_in_every_batch_place_and_thread(
    entry: catalog.Entry, threads: int
) -> None:
    sizes = gates.SIZES if sessions.has_fixed_rows(entry) else [size for size in gates.SIZES if size <= 333]
    gates.prove_invariance(subject(entry, threads=threads), sizes=sizes, threads=threads)


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.id)
def test_every_shipped_model_answers_its_probe(entry: catalog.Entry) -> None:
    found = gates.probe(subject(entry, threads=1))
    assert len(entry.probe) == gates.PROBE_ROWS
    assert found == pytest.approx(entry.probe, rel=entry.probe_tolerance, abs=entry.probe_tolerance)


def test_a_network_whose_rows_see_each_other_is_refused_with_the_place(tmp_path: Path) -> None:
    entry = tiny_onnx.entry(tmp_path, "mean", tiny_onnx.over_rows(), {"obs": 8}, {"logits": 8})
    with pytest.raises(EngineDown, match="changes with the batch"):
        opened(entry, tmp_path)
    with pytest.raises(EngineDown, match="rows 0 to 1"):
        gates.prove_invariance(subject(entry, threads=2, folder=tmp_path), sizes=(1, 5), threads=2)


def test_a_graph_that_quantizes_by_batch_is_refused_by_name(tmp_path: Path) -> None:
    entry = tiny_onnx.entry(tmp_path, "dynamic", tiny_onnx.by_batch(), {"obs": 8}, {"logits": 4})
    with pytest.raises(EngineDown, match="DynamicQuantizeLinear") as caught:
        opened(entry, tmp_path)
    assert "compile" in caught.value.hint


def test_a_network_that_answers_otherwise_than_its_maker_wrote_is_refused(tmp_path: Path) -> None:
    entry = tiny_onnx.entry(tmp_path, "one", tiny_onnx.linear(seed=1), {"obs": 8}, {"logits": 4})
    probe = gates.probe(subject(entry, threads=1, folder=tmp_path))
    assert opened(msgspec.structs.replace(entry, probe=probe), tmp_path).status().state == "ready"
    wrong = (probe[0] + 0.1, *probe[1:])
    for bad in (wrong, probe[:3], (float("nan"),) * 8):
        with pytest.raises(EngineDown, match="probe"):
            opened(msgspec.structs.replace(entry, probe=bad), tmp_path)


def test_operators_and_constants_of_a_file_are_read_without_the_onnx_package() -> None:
    data = (MODELS / "field.onnx").read_bytes()
    assert {"Loop", "Min", "Pad"} <= graph.operators(data)
    weights = tiny_onnx.gru_weights(features=6, width=5, outputs=4)
    tiny = tiny_onnx.gru(features=6, width=5, outputs=4, metadata={})
    found = {tensor.name: tensor.values for tensor in graph.tensors(tiny, bytes_min=1)}
    assert graph.operators(tiny) == {"MatMul", "Add", "Mul", "Sub", "Sigmoid", "Tanh"}
    assert all(np.array_equal(found[name], values) for name, values in weights.items())


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"\x3a\xff\x01", b"not a model at all"])
def test_bytes_that_are_no_model_are_told_so(data: bytes) -> None:
    with pytest.raises(EngineDown):
        graph.operators(data)
