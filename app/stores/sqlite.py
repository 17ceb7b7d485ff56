"""SQLite, the embedded default: one connection in one thread, write-ahead log, every commit synced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import StaticPool

from app.stores.bringup import LOCK_MS_MAX, bring_up, fits, patiently
from app.stores.database import failures_named
from app.stores.embedded.folder import FolderLock

T = TypeVar("T")
BUSY_MS_MAX = 5_000
PRAGMAS = (f"busy_timeout={BUSY_MS_MAX}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


class SqliteDatabase:
    """A database file; all work waits in line for its one thread."""

    def __init__(self, url: URL, migrations: Path) -> None:
        self._engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
        event.listen(self._engine, "connect", _configure)
        self._migrations = migrations
        self._thread = ThreadPoolExecutor(1, "innkeeper-database")
        self.alone = FolderLock(Path(f"{url.database}.lock"))

    @property
    def url(self) -> str:
        return self._engine.url.render_as_string()

    async def run(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    async def upgrade(self) -> None:
        if not await patiently(lambda: self.run(fits)):  # a new file is locked while it turns to write-ahead
            await patiently(lambda: self.run(self._bring_up_alone))

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)
        self._engine.dispose()

    def _bring_up_alone(self, connection: Connection) -> None:
        # The driver begins a transaction only for rows; begun by hand it holds tables as well, all or nothing.
        connection.exec_driver_sql(f"PRAGMA busy_timeout={LOCK_MS_MAX}")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            bring_up(connection, self._migrations)
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_MS_MAX}")

    def _run(self, work: Callable[[Connection], T]) -> T:
        with failures_named(self.url), self._engine.begin() as connection:
            return work(connection)


def _configure(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # the DBAPI connection has no common type
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
