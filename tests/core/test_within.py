"""Work under a time limit: what it returns, raises and frees, whether it ever waits or not."""

from __future__ import annotations

import asyncio

import pytest

from app.core.clock import within


async def quick(value: int) -> int:
    return value


async def slow(value: int, steps: list[str]) -> int:
    try:
        for _ in range(3):
            await asyncio.sleep(0.001)
            steps.append("step")
        await asyncio.sleep(0)
        return value
    finally:
        steps.append("freed")


async def test_work_that_never_waits_is_done_even_with_no_time_left() -> None:
    assert await within(0.0, quick(3)) == 3


async def test_work_that_waits_is_finished_in_time() -> None:
    steps: list[str] = []
    assert await within(5.0, slow(4, steps)) == 4
    assert steps == ["step", "step", "step", "freed"]


async def test_late_work_is_cut_off_and_frees_what_it_holds() -> None:
    steps: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.sleep(3_600)
        finally:
            steps.append("freed")

    with pytest.raises(TimeoutError):
        await within(0.01, endless())
    assert steps == ["freed"]


async def test_an_error_comes_through_before_and_after_the_first_wait() -> None:
    async def fail(waits: bool) -> None:
        if waits:
            await asyncio.sleep(0)
        raise ValueError("broken")

    for waits in (False, True):
        with pytest.raises(ValueError, match="broken"):
            await within(1.0, fail(waits))


async def test_a_cancel_reaches_the_work_and_is_no_timeout() -> None:
    steps: list[str] = []
    task = asyncio.create_task(within(60.0, slow_forever(steps)))
    await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["freed"]


async def slow_forever(steps: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        steps.append("freed")


async def test_limits_may_stand_within_limits() -> None:
    async def inner() -> str:
        try:
            await within(0.005, slow_forever([]))
        except TimeoutError:
            await asyncio.sleep(0.001)
            return "inner"
        return "none"

    assert await within(5.0, inner()) == "inner"
