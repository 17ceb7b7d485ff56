"""The cache: what was set is there until its time, its deletion or a purge, and never another tenant's."""

from __future__ import annotations

import asyncio

import pytest

from app.core.errors import Invalid
from app.core.ports import Cache
from app.stores.embedded.cache import TTL_MS_MAX
from tests.stores.contracts.conftest import LOCAL_MS

STALE_S = LOCAL_MS / 1000 * 1.5


async def test_a_value_is_there_until_it_is_deleted(cache: Cache, tenant: str) -> None:
    assert await cache.get(tenant, "k") is None
    await cache.set(tenant, "k", b"\x00\xffbytes", ttl_ms=10_000)
    assert await cache.get(tenant, "k") == b"\x00\xffbytes"
    await asyncio.sleep(STALE_S)
    assert await cache.get(tenant, "k") == b"\x00\xffbytes", "also from behind the near cache"
    await cache.delete(tenant, "k")
    assert await cache.get(tenant, "k") is None


async def test_a_value_ends_with_its_time(cache: Cache, tenant: str) -> None:
    await cache.set(tenant, "k", b"v", ttl_ms=50)
    await asyncio.sleep(0.06 + STALE_S)
    assert await cache.get(tenant, "k") is None


async def test_the_newest_value_and_its_tags_count(cache: Cache, tenant: str) -> None:
    await cache.set(tenant, "k", b"old", ttl_ms=10_000, tags=["a"])
    await cache.set(tenant, "k", b"new", ttl_ms=10_000)
    await cache.purge(tenant, "a")
    assert await cache.get(tenant, "k") == b"new"


async def test_a_purge_hits_every_value_with_the_tag_and_no_other(cache: Cache, tenant: str) -> None:
    await cache.set(tenant, "both", b"1", ttl_ms=10_000, tags=["npc", "world"])
    await cache.set(tenant, "one", b"2", ttl_ms=10_000, tags=["world"])
    await cache.set(tenant, "none", b"3", ttl_ms=10_000)
    await cache.purge(tenant, "npc")
    assert [await cache.get(tenant, key) for key in ("both", "one", "none")] == [None, b"2", b"3"]
    await cache.set(tenant, "both", b"4", ttl_ms=10_000, tags=["npc"])
    await asyncio.sleep(STALE_S)
    assert await cache.get(tenant, "both") == b"4", "what is set after a purge stays"
    await cache.purge(tenant, "world")
    await asyncio.sleep(STALE_S)
    assert [await cache.get(tenant, key) for key in ("both", "one")] == [b"4", None]


async def test_tenants_do_not_see_each_other(cache: Cache, tenant: str) -> None:
    await cache.set(tenant, "k", b"mine", ttl_ms=10_000, tags=["t"])
    await cache.set(f"{tenant}}}:c", "k", b"theirs", ttl_ms=10_000, tags=["t"])
    await cache.purge(f"{tenant}}}:c", "t")
    assert await cache.get(tenant, "k") == b"mine"


async def test_a_value_over_the_bound_is_not_kept(cache: Cache, tenant: str) -> None:
    await cache.set(tenant, "k", b"x" * 1001, ttl_ms=10_000)
    assert await cache.get(tenant, "k") is None


@pytest.mark.parametrize("ttl_ms", [0, -1, TTL_MS_MAX + 1])
async def test_a_time_to_live_out_of_range_is_refused(cache: Cache, tenant: str, ttl_ms: int) -> None:
    with pytest.raises(Invalid, match=str(ttl_ms)):
        await cache.set(tenant, "k", b"v", ttl_ms=ttl_ms)
