"""ONNX networks: the file that the catalog means, on the provider that is told, the same for every batch."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.clock import Deadline, SystemClock
from app.core.errors import DeadlineExceeded, EngineDown, NotFound, Overloaded
from app.core.ports import Arrays
from app.engines.batching import Batcher
from app.engines.onnx import Engine, open_onnx
from tests.engines.networks import FEATURES, weights, write


def soon(ms: float = 5_000.0) -> Deadline:
    return Deadline.after_ms(ms, SystemClock())


def opened(folder: Path, *providers: str, rows_max: int = 64, queue_rows_max: int = 4096, **change: Any) -> Engine:
    return open_onnx(
        name="policy",
        entry=write(folder, **change).entry("tiny"),
        folder=folder,
        providers=providers or ("cpu",),
        threads=1,
        batch_rows_max=rows_max,
        queue_rows_max=queue_rows_max,
    )


def observations(rows: int) -> np.ndarray:
    """(rows, FEATURES) float32."""
    return np.random.default_rng(rows).normal(size=(rows, FEATURES)).astype(np.float32)


@pytest.mark.parametrize("rows", [1, 2, 63, 64, 65, 1000])
async def test_every_row_gets_its_own_answer_whatever_the_batch(tmp_path: Path, rows: int) -> None:
    network = opened(tmp_path)
    obs = observations(rows)
    whole = (await network.run({"obs": obs}, soon()))["logits"]
    alone = [(await network.run({"obs": row[None]}, soon()))["logits"][0] for row in obs]
    assert np.array_equal(whole, np.array(alone))
    np.testing.assert_allclose(whole, obs @ weights(), rtol=1e-5)
    await network.close()


async def test_parallel_requests_never_mix_their_answers(tmp_path: Path) -> None:
    network = opened(tmp_path)
    asked = [observations(rows) for rows in range(1, 120)]
    answers = await asyncio.gather(*(network.run({"obs": obs}, soon()) for obs in asked))
    for obs, answer in zip(asked, answers, strict=True):
        np.testing.assert_allclose(answer["logits"], obs @ weights(), rtol=1e-4, atol=1e-5)
    await network.close()


async def test_the_model_file_s_metadata_is_known(tmp_path: Path) -> None:
    network = opened(tmp_path)
    assert network.metadata["schema"] == "abc"
    await network.close()


async def test_a_provider_that_is_missing_is_named_with_its_mend_and_the_next_one_answers(tmp_path: Path) -> None:
    network = opened(tmp_path, "nv_tensorrt_rtx", "cuda", "cpu")
    status = network.status()
    assert (status.state, status.provider) == ("degraded", "cpu")
    assert "NvTensorRTRTXExecutionProvider" in status.detail
    assert "CUDAExecutionProvider" in status.detail
    assert "--extra gpu" in status.mend
    assert len((await network.run({"obs": observations(3)}, soon()))["logits"]) == 3
    await network.close()


def test_without_any_working_provider_the_engine_does_not_open(tmp_path: Path) -> None:
    with pytest.raises(EngineDown, match="cuda"):
        opened(tmp_path, "cuda")


def test_an_unknown_provider_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(EngineDown) as refused:
        opened(tmp_path, "cudda")
    assert "'cudda'" in refused.value.message
    assert "'cuda'" in refused.value.hint


def test_a_file_that_is_not_the_catalog_s_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineDown, match="sha256"):
        opened(tmp_path, sha256="0" * 64)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    entry = write(tmp_path).entry("tiny")
    (tmp_path / "tiny.onnx").unlink()
    with pytest.raises(EngineDown, match=r"tiny\.onnx"):
        open_onnx(name="policy", entry=entry, folder=tmp_path)


def test_arrays_that_are_not_the_catalog_s_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineDown, match="the catalog says"):
        opened(tmp_path, features=FEATURES + 1)


def test_an_unknown_model_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as refused:
        write(tmp_path).entry("tinny")
    assert "'tiny'" in refused.value.hint


async def test_a_wrong_width_is_an_engine_error_and_the_next_request_is_answered(tmp_path: Path) -> None:
    network = opened(tmp_path)
    with pytest.raises(EngineDown):
        await network.run({"obs": np.ones((500, FEATURES + 2), np.float32)}, soon())
    assert len((await network.run({"obs": observations(5)}, soon()))["logits"]) == 5
    await network.close()


class Slow:
    """A run that takes a while and remembers its batch sizes."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, inputs: Arrays) -> dict[str, np.ndarray]:
        import time

        time.sleep(0.05)
        self.batches.append(len(inputs["x"]))
        return {"y": inputs["x"] * 2}


def ones(rows: int) -> Arrays:
    return {"x": np.ones((rows, 1), np.float32)}


async def test_requests_that_wait_are_joined_and_a_lone_one_does_not_wait() -> None:
    run = Slow()
    batcher = Batcher(run, name="slow", rows_max=100, queue_rows_max=1000, inline_rows=0)
    answers = await asyncio.gather(*(batcher.run(ones(rows), soon()) for rows in (1, 2, 3, 4)))
    assert [len(answer["y"]) for answer in answers] == [1, 2, 3, 4]
    assert run.batches in ([1, 9], [10])
    await batcher.close()


async def test_late_work_is_shed_before_it_runs() -> None:
    run = Slow()
    batcher = Batcher(run, name="slow", rows_max=1, queue_rows_max=1000, inline_rows=0)
    first = asyncio.create_task(batcher.run(ones(1), soon()))
    await asyncio.sleep(0.01)
    with pytest.raises(DeadlineExceeded):
        await batcher.run(ones(1), soon(10))
    await first
    assert run.batches == [1]
    await batcher.close()


async def test_a_full_queue_refuses() -> None:
    batcher = Batcher(Slow(), name="slow", rows_max=1, queue_rows_max=2, inline_rows=0)
    waiting = [asyncio.create_task(batcher.run(ones(1), soon()))]
    await asyncio.sleep(0.01)
    waiting += [asyncio.create_task(batcher.run(ones(1), soon())) for _ in range(2)]
    await asyncio.sleep(0.01)
    with pytest.raises(Overloaded):
        await batcher.run(ones(2), soon())
    await asyncio.gather(*waiting)
    await batcher.close()


async def test_a_caller_that_gave_up_costs_no_run() -> None:
    run = Slow()
    batcher = Batcher(run, name="slow", rows_max=1, queue_rows_max=10, inline_rows=0)
    first = asyncio.create_task(batcher.run(ones(1), soon()))
    gone = asyncio.create_task(batcher.run(ones(1), soon()))
    await asyncio.sleep(0.01)
    gone.cancel()
    await first
    await batcher.run(ones(1), soon())
    assert len(run.batches) == 2
    await batcher.close()
