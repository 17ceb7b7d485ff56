"""PostgreSQL through asyncpg and a small pool; a session commits durably and gives up on locks in time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine

from app.stores.bringup import LOCK_MS_MAX, bring_up, fits, patiently
from app.stores.database import failures_named

T = TypeVar("T")
POOL_MAX = 5
CONNECT_S_MAX = 5
MIGRATION_LOCK = 0x1_44_4B_50
"""Advisory lock that lets one of several replicas create or migrate the schema."""
SETTINGS = {"synchronous_commit": "on", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s"}


class PostgresDatabase:
    """A PostgreSQL database; work runs on the event loop's connections."""

    alone = None

    def __init__(self, url: URL, migrations: Path) -> None:
        self._engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            pool_size=POOL_MAX,
            max_overflow=0,
            pool_timeout=CONNECT_S_MAX,
            pool_pre_ping=True,
            connect_args={"timeout": CONNECT_S_MAX, "server_settings": SETTINGS},
        )
        self._migrations = migrations

    @property
    def url(self) -> str:
        return self._engine.url.render_as_string(hide_password=True)

    async def run(self, work: Callable[[Connection], T]) -> T:
        with failures_named(self.url):
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)

    async def upgrade(self) -> None:
        if not await self.run(fits):
            await patiently(self._migrate)

    async def _migrate(self) -> None:
        with failures_named(self.url):
            async with self._engine.connect() as connection:
                await connection.run_sync(self._bring_up_alone)

    async def close(self) -> None:
        await self._engine.dispose()

    def _bring_up_alone(self, connection: Connection) -> None:
        """Migrate while no other replica does; the lock is the session's, for each revision commits by itself."""
        key = {"key": MIGRATION_LOCK}
        connection.execute(text(f"SET lock_timeout = {LOCK_MS_MAX}"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
        connection.commit()
        try:
            bring_up(connection, self._migrations)
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)
            connection.execute(text("RESET lock_timeout"))
            connection.commit()
