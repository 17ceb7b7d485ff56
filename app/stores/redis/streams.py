"""Redis Streams with consumer groups: one stream a call, finite waits, trimming by exact ids.

DragonflyDB's and Redis's streams have differed at the edges (lost groups, entries delivered twice), so a lost
group is made again and consumers know an event by its id. It does not know what an entry says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.core.clock import Clock
from app.core.ports import DeadLetter, Delivery, Entry
from app.stores.embedded.streams import WAIT_MS_MAX, never, overfull
from app.stores.redis.client import Client, Rejected, Word
from app.stores.redis.commands import key_name
from app.stores.redis.scripts import BURY, PUBLISH

PUBLISH_MAX = 100
TRIM_EVERY = 128
Fields = Mapping[bytes, Any]


class RedisStream:
    """Implements app.core.ports.Stream over a server."""

    def __init__(
        self, client: Client, *, clock: Clock, entries_max: int, dead_max: int, tries_max: int, retry_ms: int
    ) -> None:
        self._client = client
        self._clock = clock
        self._entries_max = entries_max
        self._dead_max = dead_max
        self._tries_max = tries_max
        self._retry_ms = retry_ms
        self._joined: set[tuple[str, str]] = set()
        self._look_again_s: dict[tuple[str, str], float] = {}
        self._done: dict[str, int] = {}

    async def publish(self, tenant: str, name: str, entries: Sequence[Entry]) -> None:
        """As the port says, for up to 100 entries; more go in parts of that size, each whole."""
        key = key_name(tenant, "s", name)
        for start in range(0, len(entries), PUBLISH_MAX):
            part = entries[start : start + PUBLISH_MAX]
            words: list[Word] = [self._entries_max]
            for entry in part:
                words.extend((entry.id, entry.body))
            if not await self._client.run(PUBLISH, [key], words):
                await self._trim(key, len(part))
                if not await self._client.run(PUBLISH, [key], words):
                    raise overfull(name, self._entries_max, self._retry_ms / 1000.0)

    async def last(self, tenant: str, name: str) -> str | None:
        rows = await self._client.call("XREVRANGE", key_name(tenant, "s", name), "+", "-", "COUNT", 1)
        return next((_delivery(place, flat, 1).entry.id for place, flat in rows), None)

    async def join(self, tenant: str, name: str, group: str) -> None:
        await self._join(key_name(tenant, "s", name), group)

    async def read(
        self, tenant: str, name: str, group: str, member: str, *, entries_max: int, wait_ms: int
    ) -> Sequence[Delivery]:
        key = key_name(tenant, "s", name)
        if (key, group) not in self._joined:
            await self._join(key, group)
        until_s = self._clock.monotonic_s() + min(wait_ms, WAIT_MS_MAX) / 1000.0
        while True:
            try:
                found = await self._again(tenant, name, group, member, entries_max)
                left_ms = int((until_s - self._clock.monotonic_s()) * 1000.0)
                if not found:
                    found = await self._new(key, group, member, entries_max, min(left_ms, self._retry_ms))
            except Rejected as error:
                if "NOGROUP" not in error.message:
                    raise
                # The server lost its memory: what it still gets is read from the start of what it has.
                await self._join(key, group)
                continue
            if found or until_s <= self._clock.monotonic_s():
                return found

    async def done(self, tenant: str, name: str, group: str, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        key = key_name(tenant, "s", name)
        await self._client.call("XACK", key, group, *(delivery.place for delivery in deliveries))
        self._done[key] = self._done.get(key, 0) + len(deliveries)
        if self._done[key] >= TRIM_EVERY:
            await self._trim(key, 0)

    async def bury(self, tenant: str, name: str, group: str, delivery: Delivery, reason: str) -> None:
        entry = delivery.entry
        words: list[Word] = [self._dead_max, group, delivery.place, entry.id, entry.body, delivery.tries, reason]
        await self._client.run(BURY, [key_name(tenant, "s", name), key_name(tenant, "d", name)], words)

    async def dead(self, tenant: str, name: str, *, entries_max: int) -> Sequence[DeadLetter]:
        key = key_name(tenant, "d", name)
        rows = await self._client.call("XRANGE", key, "-", "+", "COUNT", entries_max)
        return [_letter(_fields(flat)) for _place, flat in rows]

    async def lag(self, tenant: str, name: str, group: str) -> int | None:
        key = key_name(tenant, "s", name)
        for found in await self._groups(key):
            if found[b"name"] == group.encode():
                unread = found.get(b"lag")
                if unread is not None:
                    return int(found[b"pending"]) + int(unread)
        return int(await self._client.call("XLEN", key))

    async def _join(self, key: str, group: str) -> None:
        try:
            await self._client.call("XGROUP", "CREATE", key, group, "0", "MKSTREAM")
        except Rejected as error:
            if "BUSYGROUP" not in error.message:
                raise
        self._joined.add((key, group))

    async def _new(self, key: str, group: str, member: str, entries_max: int, wait_ms: int) -> list[Delivery]:
        # BLOCK 0 would wait without end, so a read that shall not wait leaves the word out.
        block = ("BLOCK", wait_ms) if wait_ms > 0 else ()
        words = ("XREADGROUP", "GROUP", group, member, "COUNT", entries_max, *block, "STREAMS", key, ">")
        reply = await self._client.call(*words, wait_s=max(0, wait_ms) / 1000.0)
        rows = reply[0][1] if reply else []
        return [_delivery(place, flat, 1) for place, flat in rows]

    async def _again(self, tenant: str, name: str, group: str, member: str, entries_max: int) -> list[Delivery]:
        """Take over what waited too long, and bury what was tried too often."""
        key = key_name(tenant, "s", name)
        now_s = self._clock.monotonic_s()
        if now_s < self._look_again_s.get((key, group), 0.0):
            return []
        words = ("XAUTOCLAIM", key, group, member, self._retry_ms, "0-0", "COUNT", entries_max)
        rows = [row for row in (await self._client.call(*words))[1] if row and row[1] is not None]
        if not rows:
            self._look_again_s[key, group] = now_s + self._retry_ms / 2000.0
            return []
        states = await self._client.call("XPENDING", key, group, rows[0][0], rows[-1][0], len(rows) * 2, member)
        tries = {place: times for place, _member, _idle_ms, times in states}
        found = []
        for place, flat in rows:
            delivery = _delivery(place, flat, tries.get(place, 2))
            if delivery.tries > self._tries_max:
                given = Delivery(entry=delivery.entry, place=delivery.place, tries=self._tries_max)
                await self.bury(tenant, name, group, given, never(self._tries_max))
            else:
                found.append(delivery)
        return found

    async def _groups(self, key: str) -> list[Fields]:
        return [_fields(flat) for flat in await self._client.call("XINFO", "GROUPS", key)]

    async def _trim(self, key: str, coming: int) -> None:
        """Delete what every group has done (without a group, what is over the bound), but never the newest."""
        self._done[key] = 0
        groups = await self._groups(key)
        if not groups:
            over = int(await self._client.call("XLEN", key)) + coming - self._entries_max
            if over <= 0:
                return
            rows = await self._client.call("XRANGE", key, "-", "+", "COUNT", over + 1)
            needed = _after(rows[-1][0]) if len(rows) <= over else _place(rows[-1][0])
        else:
            needed = min([await self._needed(key, group) for group in groups])
            newest = await self._client.call("XREVRANGE", key, "+", "-", "COUNT", 1)
            needed = min([needed, *(_place(place) for place, _flat in newest)])
        await self._client.call("XTRIM", key, "MINID", f"{needed[0]}-{needed[1]}")

    async def _needed(self, key: str, group: Fields) -> tuple[int, int]:
        """The first place that a group still needs."""
        if group[b"pending"]:
            count, first, *_ = await self._client.call("XPENDING", key, group[b"name"])
            if count:
                return _place(first)
        return _after(group[b"last-delivered-id"])


def _place(text: bytes) -> tuple[int, int]:
    milliseconds, _, number = text.decode().partition("-")
    return int(milliseconds), int(number)


def _after(text: bytes) -> tuple[int, int]:
    milliseconds, number = _place(text)
    return milliseconds, number + 1


def _fields(flat: Sequence[Any]) -> Fields:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _delivery(place: bytes, flat: Sequence[Any], tries: int) -> Delivery:
    fields = _fields(flat)
    return Delivery(entry=Entry(id=fields[b"id"].decode(), body=fields[b"body"]), place=place.decode(), tries=tries)


def _letter(fields: Fields) -> DeadLetter:
    return DeadLetter(
        entry=Entry(id=fields[b"id"].decode(), body=fields[b"body"]),
        group=fields[b"group"].decode(),
        tries=int(fields[b"tries"]),
        reason=fields[b"reason"].decode(),
    )
