"""Leases: one owner at a time, and a token that only grows."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.core.errors import Conflict
from app.core.ports import Leases


async def test_of_many_at_once_one_gets_it(leases: Leases, tenant: str) -> None:
    got = await asyncio.gather(*(leases.acquire(tenant, "w", f"host {n}:1", ttl_ms=5000) for n in range(50)))
    winners = [lease for lease in got if lease is not None]
    assert len(winners) == 1
    holder = await leases.holder(tenant, "w")
    assert holder is not None
    assert (holder.owner, holder.token) == (winners[0].owner, winners[0].token)


async def test_the_token_grows_with_every_owner_and_above_what_was_seen(leases: Leases, tenant: str) -> None:
    tokens = []
    for owner in ("a", "b", "b", "a"):
        lease = await leases.acquire(tenant, "w", owner, ttl_ms=5000)
        assert lease is not None
        tokens.append(lease.token)
        if owner == "a" or len(tokens) == 3:
            await leases.release(lease)
    assert tokens == sorted(set(tokens))
    lease = await leases.acquire(tenant, "w", "c", ttl_ms=5000, above=2**52)
    assert lease is not None
    assert lease.token == 2**52 + 1


async def test_a_lease_lasts_as_long_as_it_is_renewed(leases: Leases, tenant: str) -> None:
    lease = await leases.acquire(tenant, "w", "a", ttl_ms=400)
    assert lease is not None
    for _ in range(4):
        await asyncio.sleep(0.12)
        lease = await leases.renew(lease, ttl_ms=400)
        assert await leases.acquire(tenant, "w", "b", ttl_ms=400) is None
    assert 0.0 < lease.until_s - time.monotonic() <= 0.4
    await asyncio.sleep(0.42)
    with pytest.raises(Conflict, match=str(lease.token)):
        await leases.renew(lease, ttl_ms=400)
    taken = await leases.acquire(tenant, "w", "b", ttl_ms=1500)
    assert taken is not None
    assert taken.token > lease.token


async def test_a_lost_lease_can_neither_be_renewed_nor_take_the_next_one_away(leases: Leases, tenant: str) -> None:
    old = await leases.acquire(tenant, "w", "a", ttl_ms=30)
    await asyncio.sleep(0.04)
    new = await leases.acquire(tenant, "w", "b", ttl_ms=5000)
    assert old is not None
    assert new is not None
    with pytest.raises(Conflict):
        await leases.renew(old, ttl_ms=30)
    await leases.release(old)
    holder = await leases.holder(tenant, "w")
    assert holder is not None
    assert holder.owner == "b"
    await leases.release(new)
    assert await leases.holder(tenant, "w") is None


async def test_a_restarted_owner_gets_its_lease_back_and_the_old_one_ends(leases: Leases, tenant: str) -> None:
    before = await leases.acquire(tenant, "w", "host:1", ttl_ms=5000)
    after = await leases.acquire(tenant, "w", "host:1", ttl_ms=5000)
    assert before is not None
    assert after is not None
    assert after.token > before.token
    with pytest.raises(Conflict):
        await leases.renew(before, ttl_ms=5000)
