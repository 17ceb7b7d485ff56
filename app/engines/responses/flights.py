"""One call upstream that many wait for: it runs on its own, and each who waits sees all of it.

Whoever leaves ends it only if nobody is left. What it cost is told to the one who has waited longest and is still
there, so that it is written down once. It knows no key and no cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from app.core.clock import Deadline
from app.core.errors import Broken, DeadlineExceeded, EngineDown, Error
from app.core.words import Bill, Usage, WordsEnd, WordsEvent

Landed = Callable[[list[WordsEvent], Bill], Awaitable[None] | None]
"""Told of a stream that came to its end, before anybody else; what it returns is awaited after they know."""


class Flight:
    """A stream from upstream, as far as it has come."""

    def __init__(self, *, name: str, bill: Bill) -> None:
        self._name = name
        self._bill = bill
        """What the call has cost; it is on nobody's own bill yet."""
        self._events: list[WordsEvent] = []
        self._aboard: list[object] = []
        """Who waits, in the order of their coming; the first of them pays."""
        self._error: Exception | None = None
        self._told: set[asyncio.Future[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._left = False
        self._paid = False
        self.players: set[str] = set()
        self.line = ""
        """Id of the line that it became, where it was kept."""

    @property
    def bill(self) -> Bill:
        return self._bill

    @property
    def over(self) -> bool:
        """Whether it has failed or ended, or nobody waits for it any more."""
        ended = bool(self._events) and isinstance(self._events[-1], WordsEnd)
        return ended or self._left or self._error is not None

    def start(self, events: AsyncGenerator[WordsEvent], landed: Landed) -> asyncio.Task[None]:
        """Run, and close `events` in the end."""
        self._task = asyncio.create_task(self._run(events, landed), name="words")
        return self._task

    async def follow(self, deadline: Deadline, bill: Bill | None) -> AsyncGenerator[WordsEvent]:
        """All of the stream, from its beginning, as it comes. One who waits pays, the others get it for nothing.

        Raises what the stream raised, and DeadlineExceeded when the caller's own deadline passes before.
        """
        me = object()
        self._aboard.append(me)
        at = 0
        try:
            while True:
                while at < len(self._events):
                    event = self._events[at]
                    at += 1
                    if isinstance(event, WordsEnd):
                        paid = self._pay(me, bill)
                        yield event if paid else WordsEnd(reason=event.reason, usage=Usage())
                        return
                    yield event
                if self._error is not None:
                    self._pay(me, bill)
                    raise self._error
                await self._news(deadline)
        finally:
            await self._leave(me, bill)

    async def _run(self, events: AsyncGenerator[WordsEvent], landed: Landed) -> None:
        after: Awaitable[None] | None = None
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, WordsEnd):
                        after = landed([*self._events, event], self._bill)
                    self._events.append(event)
                    self._tell()
                    if isinstance(event, WordsEnd):
                        break
                else:
                    self._error = EngineDown(f"{self._name} ended without a finish", failure="incomplete")
        except Error as error:
            self._error = error
        except asyncio.CancelledError:
            self._error = EngineDown(f"{self._name} was ended")
            raise
        finally:
            if not self.over:
                self._error = Broken(f"{self._name} broke")
            self._tell()
        if after is not None:
            await after

    def _tell(self) -> None:
        for waiting in self._told:
            if not waiting.done():
                waiting.set_result(None)
        self._told.clear()

    async def _news(self, deadline: Deadline) -> None:
        """Wait until there is more; one timer and no task."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(deadline.left_s(), _late, waiting, self._name)
        self._told.add(waiting)
        try:
            await waiting
        finally:
            timer.cancel()
            self._told.discard(waiting)

    def _pay(self, me: object, bill: Bill | None) -> bool:
        """Take the cost, where it is mine to take: who has waited longest does, once."""
        if self._paid or self._aboard[0] is not me:
            return False
        self._paid = True
        if bill is not None:
            bill.items.extend(self._bill.items)
        return True

    async def _leave(self, me: object, bill: Bill | None) -> None:
        """Go; the last one closes the call upstream, and pays what it has cost until then."""
        if len(self._aboard) == 1 and self._task is not None and not self.over:
            self._left = True
            self._task.cancel()
            await asyncio.wait({self._task})
        if self.over:
            self._pay(me, bill)
        self._aboard.remove(me)


def _late(waiting: asyncio.Future[None], name: str) -> None:
    if not waiting.done():
        waiting.set_exception(DeadlineExceeded(f"{name} was late"))
