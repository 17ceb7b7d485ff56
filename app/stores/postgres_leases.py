"""Leases in PostgreSQL, by its own clock: for replicas that share a database and no Redis-protocol server."""

from __future__ import annotations

from sqlalchemy import Connection, TextClause, text

from app.core.clock import Clock
from app.core.ports import Lease
from app.stores.database import Database
from app.stores.embedded.leases import lost

_NOW_US = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
_NOW_MS = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
_ACQUIRE = text(f"""
    INSERT INTO leases (tenant, name, owner, token, until_ms)
    VALUES (:tenant, :name, :owner, greatest({_NOW_US}, CAST(:above AS bigint) + 1), {_NOW_MS} + :ttl_ms)
    ON CONFLICT (tenant, name) DO UPDATE SET
        owner = excluded.owner, token = greatest(leases.token + 1, excluded.token), until_ms = excluded.until_ms
    WHERE leases.until_ms <= {_NOW_MS} OR leases.owner = excluded.owner
    RETURNING token
""")  # noqa: S608  # constants of ours
_RENEW = text(f"""
    UPDATE leases SET until_ms = {_NOW_MS} + :ttl_ms
    WHERE tenant = :tenant AND name = :name AND token = :token AND until_ms > {_NOW_MS}
""")  # noqa: S608  # constants of ours
_RELEASE = text("UPDATE leases SET until_ms = 0 WHERE tenant = :tenant AND name = :name AND token = :token")
_HOLDER = text(f"""
    SELECT owner, token, until_ms - {_NOW_MS} AS left_ms FROM leases
    WHERE tenant = :tenant AND name = :name AND until_ms > {_NOW_MS}
""")  # noqa: S608  # constants of ours


class PostgresLeases:
    """Implements app.core.ports.Leases over a table; a lease that was given back keeps its row, for its token."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def acquire(self, tenant: str, name: str, owner: str, *, ttl_ms: int, above: int = 0) -> Lease | None:
        # The time is read before the call: the lease ends here no later than at the server.
        until_s = self._until_s(ttl_ms)
        values = {"tenant": tenant, "name": name, "owner": owner, "above": above, "ttl_ms": ttl_ms}
        token = await self._database.run(tenant, lambda connection: connection.execute(_ACQUIRE, values).scalar())
        if token is None:
            return None
        return Lease(tenant=tenant, name=name, owner=owner, token=token, until_s=until_s)

    async def renew(self, lease: Lease, *, ttl_ms: int) -> Lease:
        until_s = self._until_s(ttl_ms)
        if not await self._database.run(
            lease.tenant, lambda connection: _changed(connection, _RENEW, lease, ttl_ms=ttl_ms)
        ):
            raise lost(lease)
        return Lease(tenant=lease.tenant, name=lease.name, owner=lease.owner, token=lease.token, until_s=until_s)

    async def release(self, lease: Lease) -> None:
        await self._database.run(lease.tenant, lambda connection: _changed(connection, _RELEASE, lease))

    async def holder(self, tenant: str, name: str) -> Lease | None:
        now_s = self._clock.monotonic_s()
        values = {"tenant": tenant, "name": name}
        row = await self._database.run(tenant, lambda connection: connection.execute(_HOLDER, values).first())
        if row is None:
            return None
        until_s = now_s + row.left_ms / 1000.0
        return Lease(tenant=tenant, name=name, owner=row.owner, token=row.token, until_s=until_s)

    def _until_s(self, ttl_ms: int) -> float:
        return self._clock.monotonic_s() + ttl_ms / 1000.0


def _changed(connection: Connection, statement: TextClause, lease: Lease, **more: int) -> bool:
    values = {"tenant": lease.tenant, "name": lease.name, "token": lease.token, **more}
    return bool(connection.execute(statement, values).rowcount)
