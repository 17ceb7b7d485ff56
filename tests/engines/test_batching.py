"""Requests that wait are joined, late ones shed, and one fault never loses another's answer."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.core.clock import Deadline, SystemClock
from app.core.errors import DeadlineExceeded, EngineDown, Overloaded
from app.core.ports import After, Arrays
from app.engines.batching import INLINE_US, SPLIT_US, Batcher, Model
from app.engines.costs import Cost, calibrated


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
    split_rows: int = 100,
    workers: int = 1,
    window_us: float = 0.0,
) -> Batcher:
    """One whose rows cost so much that `split_rows` of them are worth a worker."""
    cost = Cost(SPLIT_US / split_rows, 0.0) if not inline_rows else Cost(INLINE_US / inline_rows, 0.0)
    return Batcher(
        Model(work, cost, inline=bool(inline_rows)),
        name="net",
        rows_max=rows_max,
        queue_rows_max=queue_rows_max,
        workers=workers,
        window_us=window_us,
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


async def test_requests_whose_rows_have_another_shape_are_no_company() -> None:
    work = Work()
    work.gate.clear()
    on = batcher(work)
    widths = (1, 3, 3, 2)
    asked = [asyncio.create_task(on.run({"x": np.full((2, width), width, np.float32)}, soon())) for width in widths]
    await asyncio.sleep(0.02)
    work.gate.set()
    for width, answer in zip(widths, await asyncio.gather(*asked), strict=True):
        assert answer["y"].tolist() == [[2.0 * width] * width] * 2
    assert work.rows == [2, 4, 2]
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
    on = batcher(work, workers=2, split_rows=2)
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
    on = batcher(Work(), workers=2, split_rows=2, queue_rows_max=10_000)
    sizes = [1 + (index * 7) % 23 for index in range(120)]
    answers = await asyncio.gather(*(on.run(rows(index, size), soon()) for index, size in enumerate(sizes)))
    for index, (size, answer) in enumerate(zip(sizes, answers, strict=True)):
        assert answer["y"].tolist() == (rows(index, size)["x"] * 2).tolist()
    await on.close()


async def test_a_fault_in_one_chunk_fails_the_request_and_frees_every_worker() -> None:
    work = Work()
    on = batcher(work, workers=2, split_rows=2)
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


class Slow:
    """Takes `row_us` a row, as a network twice the size of the machine would; hangs while `gate` is shut."""

    def __init__(self, row_us: float) -> None:
        self.row_us = row_us
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        self.gate.wait(30.0)
        time.sleep(len(inputs["x"]) * self.row_us / 1e6)
        return {"y": inputs["x"] * 2.0}


def slow_batcher(work: Slow, *, workers: int = 1) -> Batcher:
    model = Model(work, Cost(work.row_us, 0.0))
    return Batcher(model, name="net", rows_max=64, queue_rows_max=10_000, workers=workers)


async def test_what_is_promised_shrinks_with_the_deadline_and_with_what_waits() -> None:
    work = Slow(100.0)
    on = slow_batcher(work)
    promised = on.rows_by(soon(100))
    assert 500 < promised < 1_000
    assert on.rows_by(soon(50)) < promised * 0.6
    assert on.rows_by(soon(-1)) == 0
    work.gate.clear()
    asked = [asyncio.create_task(on.run(rows(0, 200), soon())) for _ in range(3)]
    await asyncio.sleep(0)
    assert on.rows_by(soon(100)) < promised * 0.6
    work.gate.set()
    await asyncio.gather(*asked)
    await on.close()


async def test_nothing_is_promised_behind_a_run_that_hangs_until_it_has_come_back() -> None:
    work = Slow(10.0)
    work.gate.clear()
    on = slow_batcher(work)
    hung = asyncio.create_task(on.run(rows(0, 10), soon()))
    await asyncio.sleep(0.1)
    assert on.hung_s > 0.0
    assert on.rows_by(soon()) == 0
    work.gate.set()
    await hung
    assert on.rows_by(soon()) > 0
    assert on.hung_s == 0.0
    await on.close()


async def test_a_machine_that_slows_down_is_promised_less_of_and_forgiven() -> None:
    cost = Cost(10.0, 5.0)
    for _ in range(200):
        cost.note(100, 10_050.0)
    assert cost.us(100) == pytest.approx(10_050.0, rel=0.1)
    assert cost.rows_within(10_050.0) < 110
    assert cost.rows_at_rest(10_050.0) > 900
    before = cost.us(100)
    cost.note(100, 1e12)  # One run that lost its core for long.
    assert cost.us(100) < before * 1.2
    for _ in range(200):
        cost.forgive()
    assert cost.us(100) == pytest.approx(1_005.0, rel=0.1)


def test_a_cost_is_the_line_through_what_was_timed() -> None:
    cost = calibrated([(1, 15.0), (100, 1_005.0), (1_000, 10_005.0)])
    assert (cost.row_us, cost.run_us) == (pytest.approx(10.0), pytest.approx(5.0))
    assert calibrated([(8, 80.0)]).us(4) == pytest.approx(40.0)


async def test_each_part_is_handed_on_by_the_worker_that_computed_it() -> None:
    done: dict[int, tuple[int, list[float], str]] = {}

    def after(first: int, last: int, outputs: Arrays) -> None:
        done[first] = (last, outputs["y"][first:last, 0].tolist(), threading.current_thread().name)

    on = batcher(Work(), workers=2, queue_rows_max=100, split_rows=2)
    await on.run(rows(0, 20), soon(), after=after)
    assert sorted(first for first in done) == [0, *sorted(last for last, _, _ in done.values())[:-1]]
    assert [value for first in sorted(done) for value in done[first][1]] == [2.0 * value for value in range(20)]
    assert all(name.startswith("net") for _, _, name in done.values())
    await on.close()


async def test_requests_that_are_joined_are_each_handed_their_own_rows() -> None:
    work = Work()
    work.gate.clear()
    on = batcher(work, queue_rows_max=100)
    seen: dict[int, list[float]] = {}

    def after_of(index: int) -> After:
        def after(first: int, last: int, outputs: Arrays) -> None:
            seen.setdefault(index, []).extend(outputs["y"][first:last, 0].tolist())

        return after

    asked = [asyncio.create_task(on.run(rows(10 * at, 2), soon(), after=after_of(at))) for at in range(5)]
    await asyncio.sleep(0.02)
    work.gate.set()
    await asyncio.gather(*asked)
    assert seen == {at: [20.0 * at, 20.0 * at + 2.0] for at in range(5)}
    assert work.rows == [2, 8]
    await on.close()


async def test_what_fails_after_a_run_fails_that_request_alone() -> None:
    def after(first: int, last: int, outputs: Arrays) -> None:
        raise ZeroDivisionError

    on = batcher(Work(), workers=2)
    with pytest.raises(EngineDown, match="ZeroDivision"):
        await on.run(rows(0, 4), soon(), after=after)
    assert len((await on.run(rows(0, 4), soon()))["y"]) == 4
    await on.close()


async def test_a_window_waits_for_company_but_not_for_longer() -> None:
    work = Work()
    on = batcher(work, queue_rows_max=100, window_us=20_000.0)
    first = asyncio.create_task(on.run(rows(0, 2), soon()))
    await asyncio.sleep(0.002)
    second = asyncio.create_task(on.run(rows(5, 3), soon()))
    await asyncio.gather(first, second)
    assert work.rows == [5]
    full = [asyncio.create_task(on.run(rows(0, 4), soon())) for _ in range(2)]
    await asyncio.gather(*full)
    assert work.rows == [5, 8]
    await on.close()


async def test_requests_keep_the_model_that_was_live_when_they_came_and_are_not_mixed() -> None:
    old, new = Work(), Work()
    old.gate.clear()
    on = batcher(old, queue_rows_max=100)
    asked = [asyncio.create_task(on.run(rows(0, 2), soon())) for _ in range(2)]
    await asyncio.sleep(0.02)
    before = on.use(Model(new, Cost(1.0, 0.0)))
    later = [asyncio.create_task(on.run(rows(0, 3), soon())) for _ in range(2)]
    await asyncio.sleep(0.02)
    assert not before.drained.is_set()
    old.gate.set()
    await asyncio.gather(*asked, *later)
    await before.drained.wait()
    assert old.rows == [2, 2]
    assert sum(new.rows) == 6
    await on.close()


async def test_whoever_gave_up_while_waiting_takes_no_room_in_the_queue() -> None:
    work = Work()
    work.gate.clear()
    on = batcher(work)
    running = asyncio.create_task(on.run(rows(0, 8), soon()))
    await asyncio.sleep(0.01)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await on.run(rows(0, 8), soon())
    work.gate.set()
    await running
    assert work.rows == [8]
    await on.close()
