"""Leases in the process: for the single server, which competes only with itself. It knows no server."""

from __future__ import annotations

from app.core.clock import Clock
from app.core.errors import Conflict, Overloaded
from app.core.ports import Lease


class EmbeddedLeases:
    """Implements app.core.ports.Leases for one process; tokens grow from the wall clock, over restarts too."""

    def __init__(self, *, clock: Clock, names_max: int) -> None:
        self._clock = clock
        self._names_max = names_max
        self._held: dict[tuple[str, str], Lease] = {}
        self._last_token = 0

    async def acquire(self, tenant: str, name: str, owner: str, *, ttl_ms: int, above: int = 0) -> Lease | None:
        held = await self.holder(tenant, name)
        if held is not None and held.owner != owner:
            return None
        if held is None and len(self._held) >= self._names_max and not self._forget():
            raise Overloaded(f"{len(self._held)} leases are held", hint="raise cache.keys_max")
        self._last_token = max(self._clock.wall_ms() * 1000, self._last_token + 1, above + 1)
        lease = Lease(tenant=tenant, name=name, owner=owner, token=self._last_token, until_s=self._until_s(ttl_ms))
        self._held[tenant, name] = lease
        return lease

    async def renew(self, lease: Lease, *, ttl_ms: int) -> Lease:
        held = await self.holder(lease.tenant, lease.name)
        if held is None or held.token != lease.token:
            raise lost(lease)
        renewed = Lease(
            tenant=lease.tenant,
            name=lease.name,
            owner=lease.owner,
            token=lease.token,
            until_s=self._until_s(ttl_ms),
        )
        self._held[lease.tenant, lease.name] = renewed
        return renewed

    async def release(self, lease: Lease) -> None:
        held = self._held.get((lease.tenant, lease.name))
        if held is not None and held.token == lease.token:
            del self._held[lease.tenant, lease.name]

    async def holder(self, tenant: str, name: str) -> Lease | None:
        held = self._held.get((tenant, name))
        return held if held is not None and held.until_s > self._clock.monotonic_s() else None

    def _until_s(self, ttl_ms: int) -> float:
        return self._clock.monotonic_s() + ttl_ms / 1000.0

    def _forget(self) -> bool:
        """Drop leases that have ended; whether there were any."""
        now_s = self._clock.monotonic_s()
        ended = [key for key, lease in self._held.items() if lease.until_s <= now_s]
        for key in ended:
            del self._held[key]
        return bool(ended)


def lost(lease: Lease) -> Conflict:
    """The error of a lease that ended or went to another owner."""
    return Conflict(f"the lease of {lease.name!r} (token {lease.token}) was lost", hint="acquire it again")
