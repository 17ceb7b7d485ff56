"""One timer for many awaits: late is late, in time is in time, and a cancel from outside stays one."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.engines.orchestration.clocks import Alarm, Rang


async def after(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


async def test_what_is_late_is_canceled_and_what_comes_in_time_is_returned() -> None:
    alarm = Alarm()
    assert await alarm.wait(after(0.0), alarm.now_s() + 5.0) == "done"
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(Rang):
            await alarm.wait(after(30.0), alarm.now_s() + 0.03)
        assert time.monotonic() - started < 5.0
    assert await alarm.wait(after(0.0), alarm.now_s() + 5.0) == "done"
    alarm.stop()


async def test_each_event_in_time_pushes_the_alarm_forward() -> None:
    alarm = Alarm()
    for _ in range(6):
        assert await alarm.wait(after(0.02), alarm.now_s() + 0.1) == "done"
    with pytest.raises(Rang):
        await alarm.wait(after(30.0), alarm.now_s() + 0.1)


async def test_between_two_awaits_it_rings_for_nobody() -> None:
    alarm = Alarm()
    await alarm.wait(after(0.0), alarm.now_s() + 0.02)
    await asyncio.sleep(0.05)
    assert await alarm.wait(after(0.0), alarm.now_s() + 5.0) == "done"
    alarm.stop()


async def test_a_cancel_from_outside_is_no_lateness() -> None:
    alarm, began = Alarm(), asyncio.Event()

    async def wait() -> None:
        began.set()
        await alarm.wait(after(30.0), alarm.now_s() + 20.0)

    task = asyncio.create_task(wait())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    alarm.stop()


async def test_another_timeout_around_it_is_the_one_that_ends() -> None:
    alarm = Alarm()
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.02):
            await alarm.wait(after(30.0), alarm.now_s() + 20.0)
    assert not isinstance(caught.value, Rang)
    with pytest.raises(Rang):
        async with asyncio.timeout(20.0):
            await alarm.wait(after(30.0), alarm.now_s() + 0.02)
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0, "nothing is left behind for whoever counts cancels"
    alarm.stop()


async def test_a_timeout_within_the_work_is_its_own() -> None:
    async def fails() -> None:
        raise TimeoutError("mine")

    alarm = Alarm()
    with pytest.raises(TimeoutError, match="mine"):
        await alarm.wait(fails(), alarm.now_s() + 5.0)
    alarm.stop()
