"""Rotation: a new master key re-wraps every key, new data keys re-seal rows; in pages, beside a running server.

Each page is a transaction and finds what is left to do by itself, so a run that was cut goes on where it was. It does
not know the command line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import Connection, Table, func, select, update

from app.core.errors import Invalid
from app.stores import fields, tables
from app.stores.database import Database
from app.stores.sealing import SUBJECT
from app.stores.tenancy import EVERY_TENANT
from app.stores.vault import Vault, key_of, vault_of

PAGE_ROWS = 500
PROBE = "probe"
HEAD_BYTES = 9
"""Version and key id of what is sealed."""
Progress = Callable[[int], None]


def require_masters(connection: Connection, now_ms: int) -> None:
    """Raise Invalid unless the ring holds every master key that wraps a key here.

    A first start leaves a key behind, so that a replica with another ring is refused before it seals anything.
    """
    vault = vault_of(connection)
    vault.data_key(connection, "", PROBE, now_ms)
    for table in (tables.data_keys, tables.subject_keys):
        head = func.substr(table.c.wrapped, 1, HEAD_BYTES)
        for found in connection.execute(select(head).distinct()).scalars():
            if found:
                vault.ring.key(key_of(bytes(found)))
    for id in fields.masters(connection):
        vault.ring.key(id)


def count_keys(connection: Connection) -> int:
    """How many keys a rotation of the master key looks at."""
    found = (select(func.count()).select_from(table) for table in (tables.data_keys, tables.subject_keys))
    return sum(int(connection.execute(query).scalar() or 0) for query in found)


async def rewrap_all(database: Database, told: Progress) -> int:
    """Wrap every key by the current master key; how many were not yet."""
    changed = 0
    for table in (tables.data_keys, tables.subject_keys):
        after: tuple[str, bytes] = ("", b"")
        while True:
            looked, done, after = await database.run(
                EVERY_TENANT,
                lambda c, table=table, after=after: _page(c, table, after),  # type: ignore[misc]  # bound at once
            )
            changed += done
            told(looked)
            if looked < PAGE_ROWS:
                break
            await asyncio.sleep(0)
    return changed + await database.run(EVERY_TENANT, fields.reseal)


def retire_masters(connection: Connection) -> int:
    """Forget old master keys that wrap nothing any more; raises Invalid while one still does."""
    vault = vault_of(connection)
    current = vault.ring.current[0]
    for table in (tables.data_keys, tables.subject_keys):
        head = func.substr(table.c.wrapped, 1, HEAD_BYTES)
        left = {key_of(bytes(found)) for found in connection.execute(select(head).distinct()).scalars() if found}
        if left - {current}:
            raise Invalid("an old master key still wraps keys", hint="run manage.py vault rotate to its end first")
    if fields.masters(connection) - {current}:
        raise Invalid("an old master key still seals fields", hint="run manage.py vault rotate to its end first")
    return vault.ring.retire()


def _page(connection: Connection, table: Table, after: tuple[str, bytes]) -> tuple[int, int, tuple[str, bytes]]:
    vault = vault_of(connection)
    purpose = table.c.purpose if "purpose" in table.c else None
    columns = [table.c.tenant, table.c.id, table.c.wrapped, *([purpose] if purpose is not None else [])]
    past = (table.c.tenant > after[0]) | ((table.c.tenant == after[0]) & (table.c.id > after[1]))
    rows = connection.execute(select(*columns).where(past).order_by(table.c.tenant, table.c.id).limit(PAGE_ROWS)).all()
    done = 0
    for row in rows:
        wrapped = _rewrapped(vault, row.id, row.wrapped, row.tenant, SUBJECT if purpose is None else row.purpose)
        if wrapped is not None:
            of = (table.c.tenant == row.tenant, table.c.id == row.id)
            connection.execute(update(table).where(*of).values(wrapped=wrapped))
            done += 1
    return len(rows), done, (rows[-1].tenant, rows[-1].id) if rows else after


def _rewrapped(vault: Vault, id: bytes, wrapped: bytes, tenant: str, purpose: str) -> bytes | None:
    return vault.rewrap(id, wrapped, tenant, purpose) if wrapped else None
