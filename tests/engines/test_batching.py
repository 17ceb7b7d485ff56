"""Requests that wait are joined, late ones shed, and one fault never loses another's answer."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.core.clock import Deadline, SystemClock
from app.core.errors import DeadlineExceeded, EngineDown, Overloaded
from app.core.ports import Arrays
from app.engines.batching import Batcher


class Work:
    """Doubles its input, once `gate` is open; notes the rows of each run."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.rows: list[int] = []
        self.fault = False

    def __call__(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        self.gate.wait(5.0)
        self.rows.append(len(inputs["x"]))
        if self.fault:
            raise EngineDown("broken")
        return {"y": inputs["x"] * 2.0}


def batcher(
    work: Work,
    *,
    rows_max: int = 8,
    queue_rows_max: int = 20,
    inline_rows: int = 0,
    split_rows: int = 2,
    workers: int = 1,
) -> Batcher:
    return Batcher(
        work,
        name="net",
        rows_max=rows_max,
        queue_rows_max=queue_rows_max,
        inline_rows=inline_rows,
        split_rows=split_rows,
        workers=workers,
    )


def rows(start: int, count: int) -> Arrays:
    return {"x": np.arange(start, start + count, dtype=np.float32)[:, None]}


def soon(milliseconds: float = 5_000.0) -> Deadline:
    return Deadline.after_ms(milliseconds, SystemClock())


async def test_what_waits_is_joined_and_everyone_gets_their_own_rows() -> None:
    work = Work()
    work.gate.clear()
    on = batcher(work)
    asked = [asyncio.create_task(on.run(rows(10 * index, 2 + index), soon())) for index in range(4)]
    await asyncio.sleep(0.02)
    work.gate.set()
    for index, answer in enumerate(await asyncio.gather(*asked)):
        assert answer["y"].tolist() == (rows(10 * index, 2 + index)["x"] * 2).tolist()
    assert work.rows[0] == 5 or work.rows == [2, 7, 5]
    assert sum(work.rows) == 14
    assert max(work.rows) <= 8
    await on.close()


async def test_a_request_larger_than_a_batch_runs_in_chunks() -> None:
    work = Work()
    on = batcher(work, queue_rows_max=100)
    assert (await on.run(rows(0, 19), soon()))["y"][:, 0].tolist() == [2.0 * value for value in range(19)]
    assert work.rows == [8, 8, 3]
    await on.close()


async def test_a_small_request_runs_at_once_on_the_loop() -> None:
    on = batcher(Work(), inline_rows=4)
    task = asyncio.ensure_future(on.run(rows(0, 3), soon()))
    await asyncio.sleep(0)
    assert task.done()
    await on.close()


async def test_a_late_request_is_shed_before_it_runs_and_a_full_queue_refuses() -> None:
    work = Work()
    work.gate.clear()
    on = batcher(work)
    first = asyncio.create_task(on.run(rows(0, 8), soon()))
    await asyncio.sleep(0.02)
    late = asyncio.create_task(on.run(rows(0, 8), soon(30)))
    patient = asyncio.create_task(on.run(rows(5, 8), soon()))
    await asyncio.sleep(0.06)
    with pytest.raises(Overloaded):
        await on.run(rows(0, 8), soon())
    work.gate.set()
    with pytest.raises(DeadlineExceeded):
        await late
    await asyncio.gather(first, patient)
    assert work.rows == [8, 8]
    with pytest.raises(DeadlineExceeded):
        await on.run(rows(0, 1), soon(-1))
    await on.close()


async def test_a_fault_reaches_those_in_the_run_and_the_next_run_is_fine() -> None:
    work = Work()
    on = batcher(work)
    work.fault = True
    with pytest.raises(EngineDown):
        await on.run(rows(0, 2), soon())
    work.fault = False
    assert len((await on.run(rows(0, 2), soon()))["y"]) == 2
    await on.close()


async def test_closing_fails_what_waits_even_while_a_run_hangs() -> None:
    work = Work()
    work.gate.clear()
    on = batcher(work)
    asked = [asyncio.create_task(on.run(rows(0, 8), soon())) for _ in range(2)]
    await asyncio.sleep(0.02)
    await on.close()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [EngineDown, EngineDown]
    with pytest.raises(EngineDown):
        await on.run(rows(0, 1), soon())
    work.gate.set()


class Pair(Work):
    """Two chunks must be inside at once before either goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2, timeout=5.0)

    def __call__(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        self.both.wait()
        return super().__call__(inputs)


async def test_free_workers_share_a_large_request_and_its_rows_come_back_in_order() -> None:
    work = Pair()
    on = batcher(work, workers=2)
    assert (await on.run(rows(0, 8), soon()))["y"][:, 0].tolist() == [2.0 * value for value in range(8)]
    assert work.rows == [1] * 8
    await on.close()


async def test_two_requests_run_beside_each_other_when_neither_is_worth_sharing() -> None:
    work = Pair()
    on = batcher(work, workers=2, split_rows=8)
    answers = await asyncio.gather(on.run(rows(0, 3), soon()), on.run(rows(50, 4), soon()))
    assert [answer["y"][0, 0] for answer in answers] == [0.0, 100.0]
    assert sorted(work.rows) == [3, 4]
    await on.close()


async def test_many_requests_of_all_sizes_over_two_workers_keep_their_own_rows() -> None:
    on = batcher(Work(), workers=2, queue_rows_max=10_000)
    sizes = [1 + (index * 7) % 23 for index in range(120)]
    answers = await asyncio.gather(*(on.run(rows(index, size), soon()) for index, size in enumerate(sizes)))
    for index, (size, answer) in enumerate(zip(sizes, answers, strict=True)):
        assert answer["y"].tolist() == (rows(index, size)["x"] * 2).tolist()
    await on.close()


async def test_a_fault_in_one_chunk_fails_the_request_and_frees_every_worker() -> None:
    work = Work()
    on = batcher(work, workers=2)
    work.fault = True
    with pytest.raises(EngineDown):
        await on.run(rows(0, 30), soon())
    work.fault = False
    assert len((await on.run(rows(0, 30), soon()))["y"]) == 30
    await on.close()


async def test_a_request_that_its_caller_gave_up_frees_its_worker() -> None:
    work = Work()
    work.gate.clear()
    on = batcher(work)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await on.run(rows(0, 4), soon())
    work.gate.set()
    assert len((await on.run(rows(0, 4), soon()))["y"]) == 4
    await on.close()
