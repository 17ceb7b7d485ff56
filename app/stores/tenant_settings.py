"""What tenants have set, in the database: read, written, and told to this process when it changes anywhere.

A change is a row with a larger version. The feed looks often and reads rows only where something changed, so it
serves SQLite and PostgreSQL, and a change made by the command line, alike. It decides nothing about settings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from app.core.errors import NotFound, StoreDown, nearest
from app.core.ports import Log
from app.core.tenants import Held, TenantSettings
from app.stores import repositories, tables
from app.stores.database import Database
from app.stores.tenancy import EVERY_TENANT

POLL_S = 0.3
_decoder = msgspec.json.Decoder(TenantSettings)
_Signature = tuple[int, int]


def held_of(connection: Connection, tenant: str) -> Held:
    """What is in force for one tenant."""
    table = tables.tenant_settings
    row = connection.execute(select(table).where(table.c.tenant == tenant)).first()
    return Held(tenant=tenant) if row is None else _held(row)


def all_held(connection: Connection) -> list[Held]:
    """What is in force for every tenant that has set anything."""
    return [_held(row) for row in connection.execute(select(tables.tenant_settings))]


def signature(connection: Connection) -> _Signature:
    """(how many tenants have set something, the sum of their versions): another one after every change."""
    table = tables.tenant_settings
    count, versions = connection.execute(select(func.count(), func.coalesce(func.sum(table.c.version), 0))).one()
    return int(count), int(versions)


def put(
    connection: Connection,
    tenant: str,
    changed_ms: int,
    *,
    settings: TenantSettings | None = None,
    suspended: bool | None = None,
) -> Held:
    """Change what is in force; what is None stays. Raises NotFound for a tenant that is not there."""
    table = tables.tenant_settings
    if tenant not in repositories.tenant_ids(connection):
        raise NotFound(f"no tenant {tenant!r}", hint=nearest(tenant, repositories.tenant_ids(connection)))
    before = held_of(connection, tenant)
    held = Held(
        tenant=tenant,
        version=before.version + 1,
        suspended=before.suspended if suspended is None else suspended,
        settings=before.settings if settings is None else settings,
    )
    values = {
        "version": held.version,
        "changed_ms": changed_ms,
        "suspended": held.suspended,
        "body": msgspec.json.encode(held.settings),
    }
    if before.version:
        connection.execute(update(table).where(table.c.tenant == tenant).values(**values))
    else:
        connection.execute(insert(table).values(tenant=tenant, **values))
    return held


def create_tenant(connection: Connection, tenant: str, name: str, created_ms: int) -> bool:
    """Make a tenant; False when it is there."""
    if tenant in repositories.tenant_ids(connection):
        return False
    connection.execute(insert(tables.tenants).values(id=tenant, name=name, created_ms=created_ms))
    return True


def remove_tenant(connection: Connection, tenant: str) -> list[str]:
    """Remove a tenant that has no world, with its keys and settings; the worlds that stand in the way, if any."""
    worlds = [claim.world for claim in repositories.claims_of(connection, tenant)]
    if not worlds:
        for table in (tables.tenant_settings, tables.door_usage, tables.api_keys):
            connection.execute(delete(table).where(table.c.tenant == tenant))
        connection.execute(delete(tables.tenants).where(tables.tenants.c.id == tenant))
    return worlds


def _held(row: object) -> Held:
    found: Sequence[object] = tuple(row)  # type: ignore[arg-type]  # a row of the table
    tenant, version, _, suspended, body = found
    return Held(
        tenant=str(tenant),
        version=int(str(version)),
        suspended=bool(suspended),
        settings=_decoder.decode(body),  # type: ignore[arg-type]  # bytes, by the table
    )


class SettingsFeed:
    """Owns a task that tells this process what was set anywhere, within a second."""

    def __init__(
        self,
        database: Database,
        *,
        learn: Callable[[Iterable[Held]], None],
        keep_only: Callable[[Iterable[str]], None],
        log: Log,
    ) -> None:
        self._database = database
        self._learn = learn
        self._keep_only = keep_only
        self._log = log
        self._seen: _Signature | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Know what is in force before anybody is answered; raises StoreDown."""
        await self._look()
        self._task = asyncio.create_task(self._run(), name="tenant settings")

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def put(
        self, tenant: str, changed_ms: int, *, settings: TenantSettings | None = None, suspended: bool | None = None
    ) -> Held:
        """Write a change, and know it here at once; raises NotFound, StoreDown."""
        held = await self._database.run(
            tenant, lambda c: put(c, tenant, changed_ms, settings=settings, suspended=suspended)
        )
        self._learn([held])
        return held

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self._look()
            except StoreDown as error:  # what was known holds on
                self._log.debug("settings.unsure", reason=error.message)

    async def _look(self) -> None:
        seen = await self._database.run(EVERY_TENANT, signature)
        if seen == self._seen:
            return
        known = await self._database.run(EVERY_TENANT, all_held)
        self._learn(known)
        self._keep_only(held.tenant for held in known)
        self._seen = seen
