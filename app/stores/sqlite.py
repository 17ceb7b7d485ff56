"""SQLite, the embedded default: one connection in one thread, write-ahead log, every commit synced.

A statement that hangs in the disk cannot be cut. While the file is watched its caller is let go, the fault is
named, and whoever comes meanwhile is told at once; the work itself ends when the disk does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import StaticPool

from app.core.errors import StoreDown
from app.core.ports import Log
from app.stores.bringup import LOCK_MS_MAX, bring_up, fits, patiently
from app.stores.database import failures_named
from app.stores.embedded.folder import FolderLock
from app.stores.tenancy import SERVERS, Tenants, setting_of
from app.stores.vault import Vault
from app.stores.watch import NO_LIMIT_S, RETRY_AFTER_S, Limits, Running, Watch

T = TypeVar("T")
BUSY_MS_MAX = 5_000
PRAGMAS = (f"busy_timeout={BUSY_MS_MAX}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")


class SqliteDatabase:
    """A database file; all work waits in line for its one thread. It has no row-level security to tell tenants to."""

    weakness = ""

    def __init__(self, url: URL, migrations: Path, vault: Vault) -> None:
        self._engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
        self._engine.update_execution_options(vault=vault)
        self.vault = vault
        event.listen(self._engine, "connect", _configure)
        self._migrations = migrations
        self._thread = ThreadPoolExecutor(1, "innkeeper-database")
        self.alone = FolderLock(Path(f"{url.database}.lock"))
        self._watch: Watch | None = None

    @property
    def url(self) -> str:
        return self._engine.url.render_as_string()

    @property
    def fault(self) -> str:
        return self._watch.fault if self._watch is not None else ""

    def watch(self, *, limits: Limits, log: Log) -> None:
        self._watch = Watch(f"the database {self.url}", limits=limits, log=log)

    async def run(self, tenants: Tenants, work: Callable[[Connection], T]) -> T:
        setting_of(tenants)
        return await self._within(self._watch.limits.transaction_s if self._watch is not None else NO_LIMIT_S, work)

    async def run_long(self, tenants: Tenants, work: Callable[[Connection], T]) -> T:
        setting_of(tenants)
        return await self._within(NO_LIMIT_S, work)

    async def upgrade(self) -> None:
        if not await patiently(
            lambda: self.run_long(SERVERS, fits)
        ):  # a new file is locked while it turns to write-ahead
            await patiently(lambda: self.run_long(SERVERS, self._bring_up_alone))

    async def scrub(self, names: Sequence[str]) -> None:
        # Deleted rows are overwritten at once (secure_delete); the write-ahead log may still hold their pages.
        await self.run_long(
            SERVERS, lambda connection: connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()
        )

    async def close(self) -> None:
        if self._watch is not None:
            await self._watch.close()
        await asyncio.to_thread(self._thread.shutdown, wait=not self.fault)
        self._engine.dispose()

    def _bring_up_alone(self, connection: Connection) -> None:
        # The driver begins a transaction only for rows; begun by hand it holds tables as well, all or nothing.
        connection.exec_driver_sql(f"PRAGMA busy_timeout={LOCK_MS_MAX}")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            bring_up(connection, self._migrations)
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_MS_MAX}")

    async def _within(self, limit_s: float, work: Callable[[Connection], T]) -> T:
        """The result of `work`; a caller whose time is over is let go, and the work ends later or never."""
        watch, loop = self._watch, asyncio.get_running_loop()
        if watch is None:
            return await loop.run_in_executor(self._thread, self._transact, work)
        watch.require()
        waiter: asyncio.Future[T] = loop.create_future()

        def cut(reason: str) -> None:
            if not waiter.done():
                waiter.set_exception(StoreDown(reason, hint="it is tried again by itself", retry_after_s=RETRY_AFTER_S))
            watch.lose(reason)

        running = Running(cut, limit_s, begun=False)

        def begun() -> T:
            running.begun = True
            return self._transact(work)

        def ended(job: asyncio.Future[T]) -> None:
            watch.end(running)
            if running.over:
                watch.find()
            error = job.exception()
            if waiter.done():
                return
            if error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(job.result())

        watch.begin(running)  # until the thread is free again, also when the caller has left
        loop.run_in_executor(self._thread, begun).add_done_callback(ended)
        return await waiter

    def _transact(self, work: Callable[[Connection], T]) -> T:
        with failures_named(self.url), self._engine.begin() as connection:
            return work(connection)


def _configure(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # the DBAPI connection has no common type
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
