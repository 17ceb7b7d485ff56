"""One timer for a whole stream, pushed forward with every event instead of made anew.

It knows tasks and the loop's time. It does not know which of a stream's clocks it serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Rang(TimeoutError):
    """The awaited thing was late by this alarm; no other timeout is of this type."""


class Alarm:
    """Bounds one await after another, in whatever task each is made; never two at once.

    The timer is armed by the first await and stays armed: one that rings too early is set again for the rest, so that
    an event which comes in time costs two assignments. As with asyncio.timeout, a cancel from outside stays a cancel.
    """

    __slots__ = ("_armed_s", "_canceled", "_loop", "_task", "_timer", "_until_s")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_s = 0.0
        self._until_s = 0.0
        self._task: asyncio.Task[object] | None = None
        self._canceled = False

    def now_s(self) -> float:
        """The time by which `wait` counts."""
        return self._loop.time()

    async def wait(self, work: Awaitable[T], until_s: float) -> T:
        """What `work` returns; raises Rang when it has not by `until_s`, after it was canceled."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an alarm waits in a task")
        self._until_s = until_s
        if self._timer is None or self._armed_s > until_s:
            self._arm()
        before = task.cancelling()
        self._task = task
        try:
            return await work
        except asyncio.CancelledError:
            if self._canceled and task.uncancel() <= before:
                self._canceled = False
                raise Rang from None
            raise
        finally:
            self._task = None
            if self._canceled:  # it rang, and something else ended the await first
                self._canceled = False
                task.uncancel()

    def stop(self) -> None:
        """Free the timer; `wait` arms another."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self.stop()
        self._armed_s = self._until_s
        self._timer = self._loop.call_at(self._until_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._until_s:
            self._arm()
            return
        self._canceled = True
        self._task.cancel()
