"""What a start does with the schema that it finds: make it, bring it forward, or live with a newer one.

A newer release migrates first and says in `schema_support` which older releases still work; this one then
leaves the schema alone. Revisions are numbers of four digits, so that their order is the order of text. It
loads Alembic only where there is something to apply. Migrations wait for a lock briefly and often, since whoever
waits for one holds up all who come after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError

from app.core.errors import Invalid, StoreDown
from app.stores.tables import OLDEST_REVISION, SCHEMA_REVISION, metadata, schema_support
from app.stores.tenancy import secure

T = TypeVar("T")
LOCK_MS_MAX = 1_000
"""Longest wait of a migration for one lock."""
LOCK_TRIES_MAX = 20
LOCK_PAUSE_S = 0.5
LOCK_NOT_AVAILABLE = "55P03"
"""PostgreSQL's code for a lock that did not come in time."""


def current_revision(connection: Connection) -> str:
    """The database's revision; empty when it has no schema."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def fits(connection: Connection) -> bool:
    """Whether this release can work on the schema as it is; False when it is older or not there.

    Raises Invalid for a newer schema that this release can no longer work on.
    """
    found = current_revision(connection)
    if found <= SCHEMA_REVISION:
        return found == SCHEMA_REVISION
    oldest = str(connection.execute(select(schema_support.c.oldest)).scalar() or found)
    if oldest > SCHEMA_REVISION:
        raise Invalid(
            f"the schema is {found!r}, for releases from {oldest!r} on; this release knows {SCHEMA_REVISION!r}",
            hint="start the newer release, or restore a backup from before its upgrade",
        )
    return True


def bring_up(connection: Connection, migrations: Path) -> None:
    """Create the schema in an empty database and stamp it, or apply the revisions that an older one lacks."""
    if fits(connection):
        return
    if inspect(connection).has_table("alembic_version"):
        from app.stores.upgrade import upgrade

        upgrade(connection, migrations)
        return
    metadata.create_all(connection)
    secure(connection, metadata)
    connection.execute(insert(schema_support).values(oldest=OLDEST_REVISION))
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": SCHEMA_REVISION})


async def patiently(attempt: Callable[[], Awaitable[T]]) -> T:
    """What `attempt` gives, once nobody holds a lock that it needs; raises StoreDown after `LOCK_TRIES_MAX`."""
    for _ in range(LOCK_TRIES_MAX):
        try:
            return await attempt()
        except StoreDown as error:
            if not _is_lock(error.__cause__):
                raise
        await asyncio.sleep(LOCK_PAUSE_S)
    raise StoreDown(
        f"the schema could not be brought forward: another session held a lock in each of {LOCK_TRIES_MAX} tries "
        f"of {LOCK_MS_MAX} ms; the migration that waited changed nothing",
        hint="end long transactions (pg_stat_activity, pg_locks) or other programs on the file, and run it again",
    )


def _is_lock(cause: BaseException | None) -> bool:
    if not isinstance(cause, DBAPIError):
        return False
    return getattr(cause.orig, "sqlstate", "") == LOCK_NOT_AVAILABLE or "database is locked" in str(cause.orig)
