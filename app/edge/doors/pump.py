"""Drives a stream of words so that what is ready at once is told at once: no task and no queue for a piece of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from app.core.clock import Rest

T = TypeVar("T")


async def pump(events: AsyncGenerator[T], take: Callable[[T], None], flush: Callable[[], Awaitable[None]]) -> None:
    """Hand every event to `take`, and call `flush` each time that the next one is not there yet.

    It is not called after the last one. Whoever gives `events` closes them.
    """
    while True:
        step = events.__anext__()
        try:
            waits_for = step.send(None)
        except StopIteration as ready:
            take(ready.value)
            continue
        except StopAsyncIteration:
            return
        try:
            await flush()
        except asyncio.CancelledError as error:
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await Rest[T](step, step.throw(error))
            raise
        try:
            take(await Rest[T](step, waits_for))
        except StopAsyncIteration:
            return
