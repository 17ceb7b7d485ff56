"""Time as a port: the wall clock for records, the monotonic clock for deadlines."""

from __future__ import annotations

import asyncio
import time
import types
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from app.core.errors import DeadlineExceeded

T = TypeVar("T")


class Clock(Protocol):
    """Two readings; tests give their own."""

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never run backward; the zero is arbitrary."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock by which an answer must be there."""

    at_s: float
    clock: Clock

    @classmethod
    def after_ms(cls, milliseconds: float, clock: Clock) -> Deadline:
        """The deadline that lies `milliseconds` from now."""
        return cls(clock.monotonic_s() + milliseconds / 1000.0, clock)

    def left_s(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.at_s - self.clock.monotonic_s())

    def left_ms(self) -> float:
        """Milliseconds left, never below zero."""
        return self.left_s() * 1000.0

    def less_ms(self, milliseconds: float) -> Deadline:
        """An earlier deadline, leaving `milliseconds` for what comes after."""
        return Deadline(self.at_s - milliseconds / 1000.0, self.clock)

    def check(self, what: str) -> None:
        """Raise DeadlineExceeded, naming `what`, when no time is left."""
        if self.left_s() <= 0.0:
            raise DeadlineExceeded(f"{what} did not start before the deadline", hint="give a longer deadline_ms")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns; raises TimeoutError as asyncio.timeout does. Work that never waits needs no timer at all."""
    try:
        waited_for = work.send(None)
    except StopIteration as done:
        found: T = done.value
        return found
    async with asyncio.timeout(seconds):
        return await _go_on(work, waited_for)


@types.coroutine
def _go_on(work: Coroutine[Any, Any, T], waited_for: Any) -> Generator[Any, Any, T]:
    """The rest of a coroutine that waits for something already."""
    try:
        while True:
            try:
                answer = yield waited_for
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:
                waited_for = work.throw(error)
            else:
                waited_for = work.send(answer)
    except StopIteration as done:
        found: T = done.value
        return found
