"""Streams in the process: groups, retries and dead letters without a server. What it holds ends with the process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.core.clock import Clock
from app.core.errors import Overloaded
from app.core.ports import DeadLetter, Delivery, Entry

WAIT_MS_MAX = 5_000


@dataclass(slots=True)
class _Pending:
    tries: int
    since_s: float


@dataclass(slots=True)
class _Group:
    next: int
    pending: OrderedDict[int, _Pending] = field(default_factory=OrderedDict)

    def first_needed(self) -> int:
        return min(self.pending, default=self.next)


@dataclass(slots=True)
class _Line:
    """One stream: entries from place `first` on, without gaps."""

    dead: deque[DeadLetter]
    entries: deque[Entry] = field(default_factory=deque)
    first: int = 1
    last_id: str | None = None
    groups: dict[str, _Group] = field(default_factory=dict)
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    def at(self, place: int) -> Entry:
        return self.entries[place - self.first]

    def trim(self, entries_max: int, coming: int) -> None:
        """Drop what every group has done; without a group, what is over the bound."""
        if self.groups:
            needed = min(group.first_needed() for group in self.groups.values())
        else:
            needed = self.first + max(0, len(self.entries) + coming - entries_max)
        while self.first < needed and self.entries:
            self.entries.popleft()
            self.first += 1


class EmbeddedStream:
    """Implements app.core.ports.Stream for one process."""

    def __init__(self, *, clock: Clock, entries_max: int, dead_max: int, tries_max: int, retry_ms: int) -> None:
        self._clock = clock
        self._entries_max = entries_max
        self._dead_max = dead_max
        self._tries_max = tries_max
        self._retry_s = retry_ms / 1000.0
        self._lines: dict[tuple[str, str], _Line] = {}

    async def publish(self, tenant: str, name: str, entries: Sequence[Entry]) -> None:
        line = self._line(tenant, name)
        if len(line.entries) + len(entries) > self._entries_max:
            line.trim(self._entries_max, len(entries))
        if len(line.entries) + len(entries) > self._entries_max:
            raise overfull(name, len(line.entries), self._retry_s)
        for entry in entries:
            line.entries.append(entry)
            line.last_id = entry.id
        line.grown.set()
        line.grown = asyncio.Event()

    async def last(self, tenant: str, name: str) -> str | None:
        return self._line(tenant, name).last_id

    async def join(self, tenant: str, name: str, group: str) -> None:
        line = self._line(tenant, name)
        line.groups.setdefault(group, _Group(line.first))

    async def read(
        self, tenant: str, name: str, group: str, member: str, *, entries_max: int, wait_ms: int
    ) -> Sequence[Delivery]:
        await self.join(tenant, name, group)
        line = self._line(tenant, name)
        until_s = self._clock.monotonic_s() + min(wait_ms, WAIT_MS_MAX) / 1000.0
        while True:
            found = self._take(line, group, entries_max)
            left_s = until_s - self._clock.monotonic_s()
            if found or left_s <= 0.0:
                return found
            try:
                async with asyncio.timeout(min(left_s, self._retry_s)):
                    await line.grown.wait()
            except TimeoutError:
                continue

    async def done(self, tenant: str, name: str, group: str, deliveries: Sequence[Delivery]) -> None:
        line = self._line(tenant, name)
        for delivery in deliveries:
            line.groups[group].pending.pop(int(delivery.place), None)
        line.trim(self._entries_max, 0)

    async def bury(self, tenant: str, name: str, group: str, delivery: Delivery, reason: str) -> None:
        letter = DeadLetter(entry=delivery.entry, group=group, tries=delivery.tries, reason=reason)
        self._line(tenant, name).dead.append(letter)
        await self.done(tenant, name, group, [delivery])

    async def dead(self, tenant: str, name: str, *, entries_max: int) -> Sequence[DeadLetter]:
        return list(self._line(tenant, name).dead)[:entries_max]

    async def lag(self, tenant: str, name: str, group: str) -> int | None:
        line = self._line(tenant, name)
        found = line.groups.get(group)
        return len(found.pending) + line.first + len(line.entries) - found.next if found else len(line.entries)

    def _line(self, tenant: str, name: str) -> _Line:
        line = self._lines.get((tenant, name))
        if line is None:
            line = self._lines[tenant, name] = _Line(deque(maxlen=self._dead_max))
        return line

    def _take(self, line: _Line, name: str, entries_max: int) -> list[Delivery]:
        group = line.groups[name]
        now_s = self._clock.monotonic_s()
        found = self._again(line, name, group, now_s, entries_max)
        while len(found) < entries_max and group.next < line.first + len(line.entries):
            group.pending[group.next] = _Pending(1, now_s)
            found.append(Delivery(entry=line.at(group.next), place=str(group.next), tries=1))
            group.next += 1
        return found

    def _again(self, line: _Line, name: str, group: _Group, now_s: float, entries_max: int) -> list[Delivery]:
        """Deliver what waited too long, and bury what was tried too often."""
        found: list[Delivery] = []
        late = [place for place, pending in group.pending.items() if now_s - pending.since_s >= self._retry_s]
        for place in late[:entries_max]:
            pending = group.pending[place]
            entry = line.at(place)
            if pending.tries >= self._tries_max:
                line.dead.append(DeadLetter(entry=entry, group=name, tries=pending.tries, reason=never(pending.tries)))
                del group.pending[place]
                continue
            group.pending[place] = _Pending(pending.tries + 1, now_s)
            found.append(Delivery(entry=entry, place=str(place), tries=pending.tries + 1))
        return found


def overfull(name: str, entries: int, retry_after_s: float) -> Overloaded:
    """The error of a stream whose slowest group lags too far behind."""
    return Overloaded(
        f"the stream {name!r} holds {entries} entries that a group has not acknowledged",
        hint="start the group's consumers, or raise stream.entries_max",
        retry_after_s=retry_after_s,
    )


def never(tries: int) -> str:
    """The reason of a dead letter that no member ever finished."""
    return f"delivered {tries} times, never acknowledged"
