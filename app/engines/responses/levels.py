"""The two levels of the cache: lines in the process, and behind them the cache that replicas share, where there is one.

A shared cache that is gone or slow is a miss. A purge takes effect here at once, and is tried there until it is
confirmed; until then nothing with that tag is taken from there. It does not know what makes two requests the same.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress

from app.core.clock import Clock, Deadline
from app.core.errors import StoreDown
from app.core.ports import Cache, Log
from app.core.responses import Responses
from app.engines.responses.keys import EVERYTHING
from app.engines.responses.lines import Line, packed, unpacked
from app.engines.responses.near import Key, Near, Shelf

RETRY_S = 0.5
"""Between two tries of a purge that was not confirmed."""


class Levels:
    """Reads from the near level, else from the shared one; writes and purges both."""

    def __init__(self, limits: Responses, *, clock: Clock, log: Log, shared: Cache | None, local_ms: int) -> None:
        """`local_ms` is how long a line is here without asking the shared cache again, where there is one."""
        self.near = Near(
            clock=clock, entries_max=limits.entries_max, bytes_max=limits.bytes_max, purges_max=limits.purges_max
        )
        self._limits = limits
        self._clock = clock
        self._log = log
        self._shared = shared
        self._local_s = local_ms / 1000.0
        self._waiting: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Purges that the shared cache has not confirmed."""
        self._clean: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Tags that were purged there and that no line was kept with since: nothing is left to purge."""
        self._sweeping: asyncio.Task[None] | None = None

    def look(self, key: Key) -> tuple[Shelf | None, bool]:
        """What is here, and whether the shared cache may know more."""
        shelf = self.near.shelf(key)
        if self._shared is None:
            return shelf, False
        return shelf, shelf is None or self._clock.monotonic_s() - shelf.asked_s > self._local_s

    async def fetch(self, key: Key, slots: int, deadline: Deadline) -> Shelf | None:
        """Ask the shared cache, and see what is here then."""
        shared = self._shared
        if shared is None:
            return self.near.shelf(key)
        mark, ago_s = self.near.mark(), self._clock.monotonic_s()
        limit_s = min(self._limits.look_ms / 1000.0, deadline.left_s())
        found: Sequence[bytes | None] = ()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                found = await asyncio.gather(*(shared.get(key[0], _slot(key, slot)) for slot in range(slots)))
        self.near.open(key).asked_s = ago_s
        for line in (unpacked(data) for data in found if data is not None):
            if line is not None and not self._waits(key[0], line.tags):
                self.near.put(key, line, until_s=self._until_s(line), mark=mark)
        return self.near.shelf(key)

    def keep(self, key: Key, line: Line, *, mark: int) -> int | None:
        """Keep a line here; the slot in which `share` should put it, None where it is not new or not to be kept."""
        if line.size_bytes() > self._limits.line_bytes_max or len(line.tags) > self._limits.tags_max:
            return None
        if not self.near.put(key, line, until_s=self._until_s(line), mark=mark):
            return None
        shelf = self.near.shelf(key)
        return len(shelf.held) - 1 if shelf is not None else None

    async def share(self, key: Key, line: Line, slot: int, *, mark: int) -> None:
        """Put a kept line in the shared cache too, unless it was purged meanwhile."""
        data = packed(line)
        if self._shared is None or data is None:
            return
        for tag in line.tags:
            self._clean.pop((key[0], tag), None)
        if self._waits(key[0], line.tags) or self.near.purged(key[0], line.tags, mark):
            return
        await self._shared.set(key[0], _slot(key, slot), data, ttl_ms=self._limits.ttl_ms, tags=line.tags)
        for tag in line.tags:
            if self.near.purged(key[0], (tag,), mark):  # while it was on its way there
                self._clean.pop((key[0], tag), None)
                self.purge(key[0], tag)

    def purge(self, tenant: str, tag: str) -> None:
        """Forget every line with the tag, here at once and in the shared cache as soon as it answers."""
        self.near.purge(tenant, tag)
        place = (tenant, tag)
        if self._shared is None or tag == EVERYTHING or place in self._clean:
            return
        self._waiting[place] = None
        if len(self._waiting) > self._limits.purges_max:
            self._log.error("responses.alone", reason="too many purges wait for the shared cache")
            self._shared = None
            self._waiting.clear()
            return
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep(), name="purge responses")

    def forget(self, tenant: str, tag: str) -> None:
        """As `purge`, of a person: nothing stays in memory, and any replica may have kept something."""
        self._clean.pop((tenant, tag), None)
        self.purge(tenant, tag)
        self.near.erase(tenant, tag)

    def distrust(self) -> None:
        """A world has come here from another process: what was kept for it there is not known."""
        self._clean.clear()

    async def confirmed(self) -> None:
        """Wait until the shared cache has confirmed every purge."""
        while self._sweeping is not None and not self._sweeping.done():
            await asyncio.wait({self._sweeping})

    async def close(self) -> None:
        """Give up what waits."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    async def _sweep(self) -> None:
        while self._waiting and self._shared is not None:
            place = next(iter(self._waiting))
            self._waiting.move_to_end(place)  # it waits until it is confirmed; others are tried before it is again
            mark = self.near.mark()
            try:
                await self._shared.purge(*place)
            except StoreDown:
                await asyncio.sleep(RETRY_S)
                continue
            if not self.near.purged(place[0], (place[1],), mark):
                self._waiting.pop(place, None)
                self._note_clean(place)

    def _note_clean(self, place: tuple[str, str]) -> None:
        self._clean[place] = None
        if len(self._clean) > self._limits.purges_max:
            self._clean.popitem(last=False)

    def _waits(self, tenant: str, tags: Iterable[str]) -> bool:
        return bool(self._waiting) and any((tenant, tag) in self._waiting for tag in tags)

    def _until_s(self, line: Line) -> float:
        """When the line is over here: at the end of its life, or when the shared cache is to be asked again."""
        left_s = (self._limits.ttl_ms - max(0, self._clock.wall_ms() - line.written_ms)) / 1000.0
        if self._shared is not None:
            left_s = min(left_s, self._local_s)
        return self._clock.monotonic_s() + left_s


def _slot(key: Key, slot: int) -> str:
    return f"words:{key[1]}:{slot}"
