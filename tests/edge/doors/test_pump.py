"""What is ready at once leaves together, what must be waited for does not hold it up, and a cancel reaches the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import pytest

from app.edge.doors.pump import pump


class Reader:
    """Notes what it is given, and a bar where it is told that more must be waited for."""

    def __init__(self, pause_s: float | None = None) -> None:
        self.noted: list[str] = []
        self._pause_s = pause_s
        self.flushed = 0

    async def flush(self) -> None:
        self.noted.append("|")
        if self._pause_s is not None:
            await asyncio.sleep(self._pause_s)
        self.flushed += 1

    async def read(self, events: AsyncGenerator[str]) -> str:
        async with aclosing(events):
            await pump(events, self.noted.append, self.flush)
        return "".join(self.noted)


async def spoken(text: str) -> AsyncGenerator[str]:
    """Each character at once, but for spaces, which are waited for."""
    for character in text:
        if character == " ":
            await asyncio.sleep(0)
        elif character == "_":
            await asyncio.sleep(0.01)
        else:
            yield character


@pytest.mark.parametrize(
    ("text", "noted"),
    [("abc", "abc"), ("ab c", "ab|c"), (" a_b", "|a|b"), ("a ", "a|"), ("", ""), ("_a  b", "|a|b"), ("a_ b", "a|b")],
)
async def test_what_is_ready_leaves_together(text: str, noted: str) -> None:
    assert await Reader().read(spoken(text)) == noted


async def test_a_reader_that_is_slow_does_not_hold_the_stream_up_and_gets_everything() -> None:
    reader = Reader(0.05)
    assert await reader.read(spoken("_a_b_c")) == "|abc"
    assert reader.flushed == 1


async def test_a_fault_comes_after_what_was_said_before_it() -> None:
    async def broken() -> AsyncGenerator[str]:
        yield "a"
        await asyncio.sleep(0)
        raise ValueError("b")

    reader = Reader()
    with pytest.raises(ValueError, match="b"):
        await reader.read(broken())
    assert reader.noted == ["a", "|"]


@pytest.mark.parametrize("pause_s", [None, 10.0])
async def test_a_cancel_ends_the_stream_where_it_waits(pause_s: float | None) -> None:
    ended = []

    async def endless() -> AsyncGenerator[str]:
        try:
            yield "a"
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    task = asyncio.create_task(Reader(pause_s).read(endless()))
    await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert ended == [True]


async def test_a_timeout_within_the_stream_is_the_stream_s_own() -> None:
    async def hurried() -> AsyncGenerator[str]:
        yield "a"
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            yield "late"

    reader = Reader(0.03)
    assert (await reader.read(hurried()), reader.flushed) == ("a|late", 1)
