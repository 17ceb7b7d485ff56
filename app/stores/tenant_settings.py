"""What tenants have set, in the database: read, written, and told to this process when it changes anywhere.

A change is a row with a larger version. The feed looks often and reads rows only where something changed, so it
serves SQLite and PostgreSQL, and a change made by the command line, alike. It decides nothing about settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from app.core.errors import NotFound, nearest
from app.core.ports import Log
from app.core.tenants import Held, TenantSettings
from app.stores import repositories, tables
from app.stores.database import Database
from app.stores.feed import Feed
from app.stores.tenancy import EVERY_TENANT

_decoder = msgspec.json.Decoder(TenantSettings)
_Signature = tuple[int, int]
_OWN = (
    tables.reports,
    tables.batch_lines,
    tables.batches,
    tables.dialogue_record_persons,
    tables.dialogue_records,
    tables.prompts_versions,
    tables.prompts_labels,
    tables.prompt_evals,
    tables.door_usage,
    tables.tenant_settings,
    tables.api_keys,
)
"""What goes with a tenant."""


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
    """Remove a tenant that has no world, with all that is its own; the worlds that stand in the way, if any."""
    worlds = [claim.world for claim in repositories.claims_of(connection, tenant)]
    if not worlds:
        for table in _OWN:
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
    """Tells this process what was set anywhere, within a second."""

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
        self._seen: _Signature | None = None
        self._feed = Feed(self._look, name="tenant settings", unsure="settings.unsure", log=log)

    async def start(self) -> None:
        """Know what is in force before anybody is answered; raises StoreDown."""
        await self._look()
        self._feed.start()

    async def close(self) -> None:
        """Look no more."""
        await self._feed.close()

    async def put(
        self, tenant: str, changed_ms: int, *, settings: TenantSettings | None = None, suspended: bool | None = None
    ) -> Held:
        """Write a change, and know it here at once; raises NotFound, StoreDown."""
        held = await self._database.run(
            tenant, lambda c: put(c, tenant, changed_ms, settings=settings, suspended=suspended)
        )
        self._learn([held])
        return held

    async def _look(self) -> None:
        seen = await self._database.run(EVERY_TENANT, signature)
        if seen == self._seen:
            return
        known = await self._database.run(EVERY_TENANT, all_held)
        self._learn(known)
        self._keep_only(held.tenant for held in known)
        self._seen = seen
