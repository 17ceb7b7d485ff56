"""What a GPU runs on, driven on the CPU: fixed buffers, padding, bindings, and the words for providers and caches."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from app.core.errors import EngineDown
from app.engines import catalog
from app.engines.onnx import gates, gpu, runners, sessions
from tests.engines import tiny_onnx

MODELS = Path(__file__).resolve().parents[2] / "models"
ENTRY = catalog.load(MODELS / "catalog.toml").entry("behavior-open-world")
FIELD = catalog.load(MODELS / "catalog.toml").entry("field")
SIZES = (1, 8, 32, 128)


def session() -> onnxruntime.InferenceSession:
    opened = sessions.open_session(
        (MODELS / ENTRY.file).read_bytes(), name="policy", entry=ENTRY, options=sessions.Options()
    )
    assert opened.session.get_providers() == ["CPUExecutionProvider"]
    return opened.session


def observations(rows: int) -> NDArray[np.float32]:
    return np.random.default_rng(rows).random((rows, 64), np.float32)


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 31, 33, 128, 129, 300, 1_000])
def test_padded_runs_in_fixed_buffers_give_the_bits_of_plain_ones(rows: int) -> None:
    one = session()
    buckets, plain = runners.Buckets("policy", one, SIZES), runners.Plain("policy", one)
    obs = observations(rows)
    found = buckets.compute({"obs": obs})["logits"]
    assert found.tobytes() == plain.compute({"obs": obs})["logits"].tobytes()
    again = observations(1)
    assert buckets.compute({"obs": again})["logits"].shape == (1, 16)
    assert found.tobytes() == plain.compute({"obs": obs})["logits"].tobytes(), "an answer changed after it was given"


def test_a_bucket_s_buffers_never_move() -> None:
    buckets = runners.Buckets("policy", session(), SIZES)

    def places() -> list[int]:
        held = [value for bucket in buckets._buckets for value in (*bucket.inputs.values(), *bucket.outputs.values())]
        return [value.data_ptr() for value in held]

    before = places()
    for rows in (3, 128, 500, 1):
        buckets.compute({"obs": observations(rows)})
    assert places() == before
    assert len(set(before)) == 2 * len(SIZES)


def test_rows_in_buckets_do_not_depend_on_each_other_either() -> None:
    one = session()
    buckets = runners.Buckets("policy", one, SIZES)
    gates.prove_invariance(gates.Subject("policy", buckets.compute, one.get_inputs()))


def test_a_recurrent_network_runs_in_buckets_too(tmp_path: Path) -> None:
    data = tiny_onnx.gru(features=6, width=5, outputs=4, metadata={})
    entry = tiny_onnx.entry(tmp_path, "gru", data, {"obs": 6, "state_in": 5}, {"logits": 4, "state_out": 5})
    one = sessions.open_session(data, name="gru", entry=entry, options=sessions.Options()).session
    obs, state = observations(11)[:, :6].copy(), observations(11)[:, :5].copy()
    found = runners.Buckets("gru", one, SIZES).compute({"obs": obs, "state_in": state})
    logits, after = tiny_onnx.gru_step(obs, state, 4)
    np.testing.assert_allclose(found["logits"], logits, atol=1e-5)
    np.testing.assert_allclose(found["state_out"], after, atol=1e-5)


@pytest.mark.parametrize(
    "inputs",
    [
        {"obs": np.zeros((3, 63), np.float32)},
        {"obs": np.zeros((3, 64), np.float64)},
        {"seen": np.zeros((3, 64), np.float32)},
    ],
)
def test_arrays_that_do_not_fit_the_buffers_are_engine_down(inputs: dict[str, NDArray[np.generic]]) -> None:
    with pytest.raises(EngineDown, match="policy"):
        runners.Buckets("policy", session(), SIZES).compute(inputs)


def test_provider_options_follow_the_buckets_the_bound_and_the_graph() -> None:
    options = sessions.Options(providers=("cuda",), gpu_memory_bytes_max=2**30, buckets=(1, 8))
    cuda = sessions.provider_options("cuda", ENTRY, options, version="1")
    assert (cuda["gpu_mem_limit"], cuda["enable_cuda_graph"]) == (str(2**30), "1")
    rtx = sessions.provider_options("nv_tensorrt_rtx", ENTRY, options, version="1")
    assert rtx["nv_profile_min_shapes"] == rtx["nv_profile_max_shapes"] == "obs:1x64,obs:8x64"
    assert (rtx["enable_cuda_graph"], rtx["nv_max_workspace_size"]) == ("1", str(2**30))
    old = sessions.provider_options("tensorrt", ENTRY, options, version="1")
    assert (old["trt_profile_opt_shapes"], old["trt_cuda_graph_enable"]) == ("obs:1x64,obs:8x64", "1")
    loops = sessions.provider_options("nv_tensorrt_rtx", FIELD, options, version="1")
    assert loops["enable_cuda_graph"] == "0"
    assert not any("profile_min" in name for name in loops)


def test_an_engine_cache_is_of_one_model_provider_card_and_driver(tmp_path: Path) -> None:
    card = gpu.Gpu("NVIDIA GeForce RTX 4090", 89, "580.10", 24 * 2**30)
    said = {"sha256": "ab", "provider": "tensorrt", "version": "1.32", "gpu": card}
    base = gpu.cache_folder(tmp_path, **said)
    assert base.parent == tmp_path
    assert "tensorrt-1-32-sm89" in base.name
    others = [
        {"sha256": "ac"},
        {"provider": "nv_tensorrt_rtx"},
        {"version": "1.33"},
        {"gpu": gpu.Gpu("NVIDIA GeForce RTX 3060", 86, "580.10", 12 * 2**30)},
        {"gpu": gpu.Gpu("NVIDIA GeForce RTX 4090", 89, "581.00", 24 * 2**30)},
    ]
    folders = {gpu.cache_folder(tmp_path, **(said | other)) for other in others}
    assert len(folders | {base}) == len(others) + 1


def test_a_plugin_that_does_not_load_is_named_and_the_next_provider_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plugin = types.ModuleType("onnxruntime_ep_nv_tensorrt_rtx")
    (tmp_path / "plugin.so").write_bytes(b"not a library")
    plugin.get_library_path = lambda: str(tmp_path / "plugin.so")
    monkeypatch.setitem(sys.modules, plugin.__name__, plugin)
    options = sessions.Options(providers=("nv_tensorrt_rtx", "cpu"))
    opened = sessions.open_session((MODELS / ENTRY.file).read_bytes(), name="policy", entry=ENTRY, options=options)
    assert (opened.provider, opened.session.get_providers()) == ("cpu", ["CPUExecutionProvider"])
    ((word, reason),) = opened.missing
    assert word == "nv_tensorrt_rtx"
    assert "does not load" in reason


class Fallen:
    """A runtime that claims CUDA and then quietly runs on the CPU."""

    __version__ = "1"
    SessionOptions = onnxruntime.SessionOptions

    @staticmethod
    def get_available_providers() -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    @staticmethod
    def preload_dlls() -> None: ...

    @staticmethod
    def InferenceSession(data: bytes, options: object, providers: list[object]) -> object:  # noqa: N802  # its name
        return types.SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])


def test_a_session_that_silently_runs_elsewhere_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", Fallen)
    opened = sessions.open_session(b"", name="policy", entry=ENTRY, options=sessions.Options(providers=("cuda", "cpu")))
    assert opened.provider == "cpu"
    assert opened.missing == (("cuda", "CUDAExecutionProvider gave way to CPUExecutionProvider: no driver or library"),)
    with pytest.raises(EngineDown, match="gave way"):
        sessions.open_session(b"", name="policy", entry=ENTRY, options=sessions.Options(providers=("cuda",)))
