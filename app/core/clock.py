"""Time as a port: the wall clock for records, the monotonic clock for deadlines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

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
        return await Rest(work, waited_for)


class Stepped(Protocol):
    """What is advanced by hand: a coroutine, or one step of an asynchronous generator."""

    def send(self, value: Any, /) -> Any: ...
    def throw(self, error: BaseException, /) -> Any: ...
    def close(self) -> None: ...


class Rest(Generic[T]):
    """The rest of a coroutine that waits for something already: an iterator that hands everything on to it."""

    def __init__(self, work: Stepped, waited_for: Any) -> None:
        self._work, self._waited_for, self._begun = work, waited_for, False

    def __await__(self) -> Generator[Any, Any, T]:
        return cast("Generator[Any, Any, T]", self)

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        if self._begun:
            return self._work.send(None)
        self._begun = True
        return self._waited_for

    def throw(self, *error: Any) -> Any:
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()
