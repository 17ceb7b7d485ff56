"""The shipped policy on the real runtime: verified, told what it runs on, the same for every batch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest

from app.core.clock import Deadline, SystemClock
from app.core.errors import Broken, EngineDown, NotFound
from app.core.ids import stable_hash
from app.engines import catalog
from app.engines.onnx import PROVIDERS, Engine, open_onnx
from app.modules.behavior import schema

MODELS = Path(__file__).resolve().parents[2] / "models"
ENTRY = catalog.load(MODELS / "catalog.toml").entry("behavior-open-world")


def opened(*providers: str, batch_rows_max: int = 256, workers_max: int = 2) -> Engine:
    return open_onnx(
        name="policy",
        entry=ENTRY,
        folder=MODELS,
        providers=providers or ("cpu",),
        batch_rows_max=batch_rows_max,
        workers_max=workers_max,
    )


def soon() -> Deadline:
    return Deadline.after_ms(5_000.0, SystemClock())


def observations(rows: int) -> np.ndarray:
    return np.random.default_rng(stable_hash("obs")).random((rows, 64), np.float32)


def test_what_ships_is_small_licensed_and_of_the_present_schema() -> None:
    assert (MODELS / ENTRY.file).stat().st_size < 200_000
    assert ENTRY.licence
    assert ENTRY.command
    assert ENTRY.fingerprint == schema.load("open_world").fingerprint


async def test_the_shipped_policy_opens_and_carries_its_schema() -> None:
    engine = opened()
    assert engine.status().state == "ready"
    assert engine.status().provider == "cpu"
    assert engine.metadata["fingerprint"] == ENTRY.fingerprint
    assert tuple(engine.metadata["roles"].split(",")) == ENTRY.roles
    await engine.close()
    await engine.close()


async def test_a_row_does_not_depend_on_its_neighbors_or_on_joining() -> None:
    engine = opened()
    obs = observations(700)
    whole = (await engine.run({"obs": obs}, soon()))["logits"]
    parts = await asyncio.gather(*(engine.run({"obs": obs[at : at + 70]}, soon()) for at in range(0, 700, 70)))
    assert np.concatenate([part["logits"] for part in parts]).tobytes() == whole.tobytes()
    await engine.close()


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_answer_for_a_row_is_the_same_bits_in_every_batch(workers: int) -> None:
    engine = opened(batch_rows_max=1_024, workers_max=workers)
    obs = observations(4_096)
    alone = engine.compute({"obs": obs[:1]})["logits"].tobytes()
    whole = (await engine.run({"obs": obs}, soon()))["logits"]
    assert whole[:1].tobytes() == alone
    for size in (1, 2, 3, 7, 16, 65, 128, 333, 1_024, 1_500, 3_000):
        first = 4_096 - size
        part = (await engine.run({"obs": obs[first:]}, soon()))["logits"]
        assert part.tobytes() == whole[first:].tobytes(), size
    await engine.close()


async def test_a_missing_provider_is_named_with_its_mend_and_the_next_one_runs() -> None:
    engine = opened("nv_tensorrt_rtx", "cuda", "cpu")
    status = engine.status()
    passed_over = status.asked[: status.asked.index(status.provider)]
    assert status.state == ("degraded" if passed_over else "ready")
    assert all(PROVIDERS[word][0] in status.detail for word in passed_over)
    assert all(PROVIDERS[word][1] in status.mend for word in passed_over)
    assert (await engine.run({"obs": observations(3)}, soon()))["logits"].shape == (3, 16)
    await engine.close()


def test_no_provider_at_all_is_engine_down_and_an_unknown_one_is_named() -> None:
    with pytest.raises(EngineDown, match="warp"):
        opened("warp")


async def test_wrong_shapes_are_engine_down_with_the_runtimes_words() -> None:
    engine = opened()
    with pytest.raises(EngineDown, match="policy"):
        await engine.run({"obs": np.zeros((3, 63), np.float32)}, soon())
    with pytest.raises(EngineDown):
        await engine.run({"seen": np.zeros((3, 64), np.float32)}, soon())
    await engine.close()


def test_a_changed_file_or_shape_does_not_open(tmp_path: Path) -> None:
    (tmp_path / ENTRY.file).write_bytes((MODELS / ENTRY.file).read_bytes() + b"x")
    with pytest.raises(EngineDown, match="sha256"):
        open_onnx(name="policy", entry=ENTRY, folder=tmp_path)
    with pytest.raises(EngineDown, match="No such file"):
        open_onnx(name="policy", entry=msgspec.structs.replace(ENTRY, file="none.onnx"), folder=tmp_path)
    other = (msgspec.structs.replace(ENTRY.inputs[0], shape=(-1, 65)),)
    with pytest.raises(EngineDown, match="catalog"):
        open_onnx(name="policy", entry=msgspec.structs.replace(ENTRY, inputs=other), folder=MODELS)


def test_a_catalog_names_the_nearest_model_and_the_place_of_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        catalog.load(MODELS / "catalog.toml").entry("behavior-openworld")
    assert "behavior-open-world" in caught.value.hint
    (tmp_path / "catalog.toml").write_text('[[models]]\nid = "x"\n')
    with pytest.raises(Broken, match=r"models\[0\]"):
        catalog.load(tmp_path / "catalog.toml")
