"""Leases that replicas compete for. It knows tokens and times, not what is leased."""

from __future__ import annotations

from app.core.clock import Clock
from app.core.ports import Lease
from app.stores.embedded.leases import lost
from app.stores.redis.client import Client
from app.stores.redis.commands import key_name
from app.stores.redis.scripts import ACQUIRE, RELEASE, RENEW


class RedisLeases:
    """Implements app.core.ports.Leases over a server; without it nobody owns anything, so it raises StoreDown.

    A token is the server's time in microseconds, or one more than the last: it grows although a server that lost
    its memory forgot the last one. Then two owners may each believe in a lease until the older one ends; that is
    what the token on every commit is for.
    """

    def __init__(self, client: Client, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def acquire(self, tenant: str, name: str, owner: str, *, ttl_ms: int, above: int = 0) -> Lease | None:
        # The time is read before the call: the lease ends here no later than at the server.
        until_s = self._until_s(ttl_ms)
        keys = [key_name(tenant, "l", name), key_name(tenant, "f", name)]
        token: bytes | None = await self._client.run(ACQUIRE, keys, [owner, ttl_ms, above])
        if token is None:
            return None
        return Lease(tenant=tenant, name=name, owner=owner, token=int(token), until_s=until_s)

    async def renew(self, lease: Lease, *, ttl_ms: int) -> Lease:
        until_s = self._until_s(ttl_ms)
        keys = [key_name(lease.tenant, "l", lease.name)]
        if not await self._client.run(RENEW, keys, [_held(lease), ttl_ms]):
            raise lost(lease)
        return Lease(tenant=lease.tenant, name=lease.name, owner=lease.owner, token=lease.token, until_s=until_s)

    async def release(self, lease: Lease) -> None:
        await self._client.run(RELEASE, [key_name(lease.tenant, "l", lease.name)], [_held(lease)])

    async def holder(self, tenant: str, name: str) -> Lease | None:
        key = key_name(tenant, "l", name)
        held: bytes | None = await self._client.call("GET", key)
        left_ms: int = await self._client.call("PTTL", key)
        if held is None or left_ms <= 0:
            return None
        token, owner = held.decode().split(" ", 1)
        return Lease(tenant=tenant, name=name, owner=owner, token=int(token), until_s=self._until_s(left_ms))

    def _until_s(self, ttl_ms: int) -> float:
        return self._clock.monotonic_s() + ttl_ms / 1000.0


def _held(lease: Lease) -> str:
    return f"{lease.token} {lease.owner}"
