"""A cache in the process: bounded, least recently used out first. It knows no server and no other replica."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.clock import Clock
from app.core.errors import Invalid

TTL_MS_MAX = 86_400_000
TAGS_MAX = 8


@dataclass(frozen=True, slots=True)
class _Kept:
    value: bytes
    until_s: float
    tags: tuple[tuple[str, int], ...]


class EmbeddedCache:
    """Implements app.core.ports.Cache for one process.

    A purge raises the tag's number, and a value is good while the numbers of its tags are those that it
    was set with; so a purge costs the same whatever it hits.
    """

    def __init__(self, *, clock: Clock, entries_max: int, value_bytes_max: int) -> None:
        self._clock = clock
        self._entries_max = entries_max
        self._value_bytes_max = value_bytes_max
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._purged: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._purges = 0
        self._forgotten = 0
        """Number of the newest purge that is no longer remembered by tag; values as old as it are not trusted."""

    async def get(self, tenant: str, key: str) -> bytes | None:
        return self.peek(tenant, key)

    async def set(self, tenant: str, key: str, value: bytes, *, ttl_ms: int, tags: Sequence[str] = ()) -> None:
        self.keep(tenant, key, value, ttl_ms=ttl_ms, tags=tags)

    async def delete(self, tenant: str, key: str) -> None:
        self.drop(tenant, key)

    async def purge(self, tenant: str, tag: str) -> None:
        self.outdate(tenant, tag)

    def peek(self, tenant: str, key: str) -> bytes | None:
        """The value, or None when it is not there, too old or purged."""
        kept = self._kept.get((tenant, key))
        if kept is None:
            return None
        if kept.until_s <= self._clock.monotonic_s() or not self._current(tenant, kept):
            del self._kept[tenant, key]
            return None
        self._kept.move_to_end((tenant, key))
        return kept.value

    def keep(self, tenant: str, key: str, value: bytes, *, ttl_ms: int, tags: Sequence[str] = ()) -> None:
        """As `set`, at once."""
        check(ttl_ms, tags)
        self.drop(tenant, key)
        if len(value) > self._value_bytes_max:
            return
        until_s = self._clock.monotonic_s() + ttl_ms / 1000.0
        self._kept[tenant, key] = _Kept(value, until_s, tuple((tag, self._purges) for tag in tags))
        if len(self._kept) > self._entries_max:
            self._kept.popitem(last=False)

    def drop(self, tenant: str, key: str) -> None:
        """As `delete`, at once."""
        self._kept.pop((tenant, key), None)

    def outdate(self, tenant: str, tag: str) -> None:
        """As `purge`, at once."""
        self._purges += 1
        self._purged[tenant, tag] = self._purges
        self._purged.move_to_end((tenant, tag))
        if len(self._purged) > self._entries_max:
            self._forgotten = self._purged.popitem(last=False)[1]

    def _current(self, tenant: str, kept: _Kept) -> bool:
        return all(at >= max(self._forgotten, self._purged.get((tenant, tag), 0)) for tag, at in kept.tags)


def check(ttl_ms: int, tags: Sequence[str]) -> None:
    """Raise Invalid for a time to live or a number of tags that no cache takes."""
    if not 0 < ttl_ms <= TTL_MS_MAX:
        raise Invalid(f"ttl_ms is {ttl_ms!r}", hint=f"give 1 to {TTL_MS_MAX} ms")
    if len(tags) > TAGS_MAX:
        raise Invalid(f"a value has {len(tags)} tags", hint=f"give at most {TAGS_MAX}")
