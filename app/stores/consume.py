"""One member of a consumer group: reads, calls a handler, acknowledges. It knows no kind of stream.

A handler that fails leaves its entry for another try while the ones behind it go on; an entry that fails too
often becomes a dead letter. Entries come at least once: repeats that this member has seen are
acknowledged without a call, and a handler keeps its own effects idempotent by the event's id.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.core.errors import Unavailable
from app.core.ports import Delivery, Entry, Log, Stream
from app.stores.embedded.streams import WAIT_MS_MAX

Handle = Callable[[Entry], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a member reads, and under which names."""

    tenant: str
    stream: str
    group: str
    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one member."""

    tries_max: int
    handle_ms: int = 5_000
    entries_max: int = 64
    known_ids_max: int = 65_536
    down_ms: int = 500
    """Pause after a read that failed."""


class Consumer:
    """Owns the task that reads; start it once, close it once."""

    def __init__(self, stream: Stream, place: Place, handle: Handle, *, limits: Limits, log: Log) -> None:
        self._stream = stream
        self._place = place
        self._handle = handle
        self._limits = limits
        self._log = log
        self._known: OrderedDict[str, None] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"consume {self._place.stream} as {self._place.group}")

    async def close(self) -> None:
        """Stop reading; what was not acknowledged is delivered to another member."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        at = self._place
        while True:
            try:
                found = await self._stream.read(
                    at.tenant,
                    at.stream,
                    at.group,
                    at.member,
                    entries_max=self._limits.entries_max,
                    wait_ms=WAIT_MS_MAX,
                )
                done = [delivery for delivery in found if await self._settle(delivery)]
                await self._stream.done(at.tenant, at.stream, at.group, done)
            except Unavailable as error:
                self._log.warning("stream.unread", stream=at.stream, group=at.group, reason=error.message)
                await asyncio.sleep(self._limits.down_ms / 1000.0)

    async def _settle(self, delivery: Delivery) -> bool:
        """Whether the entry is to be acknowledged."""
        id = delivery.entry.id
        if id in self._known:
            return True
        reason = await self._try(delivery.entry)
        if not reason:
            self._known[id] = None
            if len(self._known) > self._limits.known_ids_max:
                self._known.popitem(last=False)
            return True
        at = self._place
        self._log.warning("entry.failed", stream=at.stream, group=at.group, id=id, tries=delivery.tries, reason=reason)
        if delivery.tries >= self._limits.tries_max:
            await self._stream.bury(at.tenant, at.stream, at.group, delivery, reason)
        return False

    async def _try(self, entry: Entry) -> str:
        """Call the handler in a task of its own, so that nothing it raises ends the reading; why it failed, or ''."""
        task = asyncio.ensure_future(self._handle(entry))
        try:
            await asyncio.wait({task}, timeout=self._limits.handle_ms / 1000.0)
        finally:
            ended = task.done()
            if not ended:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if not ended:
            return f"the handler took over {self._limits.handle_ms} ms"
        if task.cancelled():
            return "the handler was canceled"
        error = task.exception()
        return repr(error) if error is not None else ""
