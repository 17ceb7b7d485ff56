"""Another model takes the place of a live one: nothing is lost, nothing mixed, and a bad one changes nothing."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from app.core.clock import Deadline, SystemClock
from app.core.errors import EngineDown
from app.engines import catalog
from app.engines.onnx import Engine, open_onnx, weights
from tests.engines import tiny_onnx

WIDTHS = {"obs": 8}, {"logits": 4}


def soon() -> Deadline:
    return Deadline.after_ms(20_000.0, SystemClock())


def made(folder: Path, seed: int, **metadata: str) -> catalog.Entry:
    return tiny_onnx.entry(folder, f"m{seed}", tiny_onnx.linear(seed=seed, metadata=metadata), *WIDTHS)


def opened(folder: Path, entry: catalog.Entry, **more: object) -> Engine:
    return open_onnx(name="net", entry=entry, folder=folder, batch_rows_max=256, **more)


def expected(seed: int, obs: NDArray[np.float32]) -> NDArray[np.float32]:
    return obs @ np.random.default_rng(seed).normal(size=(8, 4)).astype(np.float32)


async def test_under_load_every_request_is_answered_by_one_model_as_a_whole(tmp_path: Path) -> None:
    entries = [made(tmp_path, seed) for seed in range(3)]
    engine = opened(tmp_path, entries[0])
    obs = np.random.default_rng(9).random((1_000, 8), np.float32)
    wanted = [expected(seed, obs) for seed in range(3)]
    answered_by: set[int] = set()
    stop = False

    async def ask(rows: int) -> None:
        while not stop:
            found = (await engine.run({"obs": obs[:rows]}, soon()))["logits"]
            by = [seed for seed in range(3) if np.allclose(found, wanted[seed][:rows], atol=1e-4)]
            assert len(by) == 1
            answered_by.update(by)
            await asyncio.sleep(0)

    asking = [asyncio.create_task(ask(rows)) for rows in (1, 20, 300, 1_000)]
    for entry in (*entries[1:], *entries, *entries):
        await engine.swap(entry)
        assert engine.compute({"obs": obs[:1]})["logits"].shape == (1, 4)
    stop = True
    await asyncio.gather(*asking)
    assert answered_by == {0, 1, 2}
    await engine.close()


async def test_a_model_that_does_not_load_or_fit_changes_nothing(tmp_path: Path) -> None:
    engine = opened(tmp_path, made(tmp_path, 1, roles="guard"))
    wide = tiny_onnx.entry(tmp_path, "wide", tiny_onnx.linear(seed=3, inputs=9), {"obs": 9}, {"logits": 4})
    other = msgspec.structs.replace(made(tmp_path, 2), fingerprint="other")
    broken = msgspec.structs.replace(made(tmp_path, 4), sha256="0" * 64)
    lying = msgspec.structs.replace(made(tmp_path, 5), probe=(9.0,) * 8)
    dynamic = tiny_onnx.entry(tmp_path, "dynamic", tiny_onnx.by_batch(), *WIDTHS)
    obs = np.random.default_rng(9).random((5, 8), np.float32)
    for bad, why in ((wide, "other arrays"), (other, "schema"), (broken, "sha256"), (lying, "probe"), (dynamic, "bat")):
        with pytest.raises(EngineDown, match=why):
            await engine.swap(bad)
        assert np.allclose((await engine.run({"obs": obs}, soon()))["logits"], expected(1, obs), atol=1e-5)
        assert engine.metadata["roles"] == "guard"
    await engine.swap(made(tmp_path, 2, roles="prey"))
    assert engine.metadata["roles"] == "prey"
    await engine.close()


async def test_what_was_before_is_freed_and_equal_weights_are_held_once(tmp_path: Path) -> None:
    shelf = weights.Shelf()
    big = tiny_onnx.linear(seed=1, inputs=64, outputs=64)
    entry = tiny_onnx.entry(tmp_path, "big", big, {"obs": 64}, {"logits": 64})
    head = tiny_onnx.entry(tmp_path, "twin", big + tiny_onnx.chunk(14, b""), {"obs": 64}, {"logits": 64})
    engines = [opened(tmp_path, each, shelf=shelf) for each in (entry, head, entry)]
    assert len(shelf) == 1
    obs = np.random.default_rng(9).random((5, 64), np.float32)
    answers = {(await engine.run({"obs": obs}, soon()))["logits"].tobytes() for engine in engines}
    assert len(answers) == 1
    fresh = tiny_onnx.entry(
        tmp_path, "new", tiny_onnx.linear(seed=2, inputs=64, outputs=64), {"obs": 64}, {"logits": 64}
    )
    for engine in engines:
        await engine.swap(fresh)
    gc.collect()
    assert len(shelf) == 1  # the new one's alone
    for engine in engines:
        await engine.close()
    del engines, engine
    await asyncio.sleep(0)  # The loop holds what it last woke this test with.
    gc.collect()
    assert len(shelf) == 0
