"""Drives a stream of words so that what is ready at once is told at once: no task and no queue for a piece of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from app.core.clock import Rest

T = TypeVar("T")
Flush = Callable[[], Coroutine[Any, Any, None]]


async def pump(events: AsyncGenerator[T], take: Callable[[T], None], flush: Flush) -> None:
    """Hand every event to `take`, and call `flush` each time that the next one is not there yet.

    A flush that must wait goes on beside the stream, whose own clocks would run out in it otherwise; none is begun
    until it is done, and none after the last event. Whoever gives `events` closes them.
    """
    late: asyncio.Task[None] | None = None
    try:
        while True:
            step = events.__anext__()
            try:
                waits_for = step.send(None)
            except StopIteration as ready:
                take(ready.value)
                continue
            if late is None or late.done():
                late = _begun(flush())
            take(await Rest[T](step, waits_for))
    except StopAsyncIteration:
        if late is not None:
            await late
    finally:
        if late is not None:
            late.cancel()


def _begun(work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """A task for what is left of the work, where it did not end at once."""
    try:
        waits_for = work.send(None)
    except StopIteration:
        return None
    return asyncio.create_task(_finished(work, waits_for), name="door flush")


async def _finished(work: Coroutine[Any, Any, None], waits_for: Any) -> None:
    await Rest[None](work, waits_for)
