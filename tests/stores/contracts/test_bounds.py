"""The in-process twins stay small: what is full forgets, or says no, as each one may."""

from __future__ import annotations

import pytest

from app.core.errors import Overloaded
from app.core.rates import Rate
from app.stores.embedded.cache import EmbeddedCache
from app.stores.embedded.leases import EmbeddedLeases
from app.stores.embedded.limiter import EmbeddedLimiter

ONE = Rate(units=1, period_ms=1000, burst=1)


class HandClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return int(self.now_s * 1000)


async def test_a_full_cache_forgets_what_was_used_longest_ago() -> None:
    cache = EmbeddedCache(clock=HandClock(), entries_max=2, value_bytes_max=10)
    for key in ("a", "b"):
        await cache.set("t", key, b"v", ttl_ms=1000)
    assert await cache.get("t", "a") == b"v"
    await cache.set("t", "c", b"v", ttl_ms=1000)
    assert [await cache.get("t", key) for key in ("a", "b", "c")] == [b"v", None, b"v"]


async def test_a_purge_that_is_no_longer_remembered_still_holds() -> None:
    cache = EmbeddedCache(clock=HandClock(), entries_max=2, value_bytes_max=10)
    await cache.set("t", "k", b"v", ttl_ms=1000, tags=["old"])
    for tag in ("old", "x", "y"):
        await cache.purge("t", tag)
    assert await cache.get("t", "k") is None
    await cache.set("t", "k", b"new", ttl_ms=1000, tags=["old"])
    assert await cache.get("t", "k") == b"new"


async def test_a_full_limiter_denies_new_keys_until_old_ones_have_paid() -> None:
    clock = HandClock()
    limiter = EmbeddedLimiter(clock=clock, keys_max=2)
    assert [(await limiter.take("t", key, ONE)).allowed for key in ("a", "b", "c")] == [True, True, False]
    clock.now_s += 1.5
    assert (await limiter.take("t", "c", ONE)).allowed


async def test_no_more_than_the_rate_is_granted_over_time() -> None:
    clock = HandClock()
    limiter = EmbeddedLimiter(clock=clock, keys_max=2)
    rate = Rate(units=7, period_ms=1000, burst=3)
    granted = 0
    for _ in range(10_000):
        clock.now_s += 0.001
        granted += (await limiter.take("t", "k", rate)).allowed
    assert 70 <= granted <= 73


async def test_leases_that_ended_make_room_and_held_ones_do_not() -> None:
    clock = HandClock()
    leases = EmbeddedLeases(clock=clock, names_max=2)
    for name in ("a", "b"):
        assert await leases.acquire("t", name, "me", ttl_ms=1000)
    with pytest.raises(Overloaded, match="2 leases"):
        await leases.acquire("t", "c", "me", ttl_ms=1000)
    clock.now_s += 2
    assert await leases.acquire("t", "c", "me", ttl_ms=1000)
