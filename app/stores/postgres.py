"""PostgreSQL through asyncpg and a small pool; a session commits durably and gives up on locks in time.

While it is watched, a transaction that takes too long is cut by closing its connection, all of them are when
the server is gone, and whoever comes meanwhile is told at once. What was cut may still have been committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.core.errors import StoreDown
from app.core.ports import Log
from app.stores.bringup import LOCK_MS_MAX, bring_up, fits, patiently
from app.stores.database import failures_named
from app.stores.vault import Vault
from app.stores.watch import NO_LIMIT_S, RETRY_AFTER_S, Limits, Running, Watch

T = TypeVar("T")
POOL_MAX = 5
CONNECT_S_MAX = 5
CLOSE_S_MAX = 5
CONNECT_WATCHED_S_MAX = 2
"""While the server is watched, nobody waits for a connection for long."""
MIGRATION_LOCK = 0x1_44_4B_50
"""Advisory lock that lets one of several replicas create or migrate the schema."""
SETTINGS = {"synchronous_commit": "on", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s"}


class Driver(Protocol):
    """What is asked of an asyncpg connection."""

    def terminate(self) -> None: ...
    def is_closed(self) -> bool: ...


class PostgresDatabase:
    """A PostgreSQL database; work runs on the event loop's connections."""

    alone = None

    def __init__(self, url: URL, migrations: Path, vault: Vault) -> None:
        self.vault = vault
        self._url = url.set(drivername="postgresql+asyncpg")
        self._migrations = migrations
        self._drivers: WeakSet[Driver] = WeakSet()
        self._connect_s = CONNECT_S_MAX
        self._engine = self._open(POOL_MAX)
        self._probes = self._open(1)
        """A connection of the watch's own, since a pool that is used up is no fault."""
        self._watch: Watch | None = None

    @property
    def url(self) -> str:
        return self._url.render_as_string(hide_password=True)

    @property
    def fault(self) -> str:
        return self._watch.fault if self._watch is not None else ""

    def watch(self, *, limits: Limits, log: Log) -> None:
        self._connect_s = CONNECT_WATCHED_S_MAX
        self._watch = Watch(
            f"the database {self.url}", limits=limits, log=log, probe=self._probe, hang_up=self._hang_up
        )

    async def run(self, work: Callable[[Connection], T]) -> T:
        return await self._within(self._watch.limits.transaction_s if self._watch is not None else NO_LIMIT_S, work)

    async def run_long(self, work: Callable[[Connection], T]) -> T:
        return await self._within(NO_LIMIT_S, work)

    async def upgrade(self) -> None:
        if not await self.run(fits):
            await patiently(self._migrate)

    async def scrub(self, names: Sequence[str]) -> None:
        with failures_named(self.url):
            async with self._engine.connect() as connection:
                alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
                for name in names:
                    await alone.execute(text(f'VACUUM "{name}"'))

    async def close(self) -> None:
        if self.fault:
            self._hang_up()
        if self._watch is not None:
            await self._watch.close()
        try:
            async with asyncio.timeout(CLOSE_S_MAX):
                for engine in (self._engine, self._probes):
                    await engine.dispose()
        except TimeoutError:
            self._hang_up()

    async def _migrate(self) -> None:
        with failures_named(self.url):
            async with self._engine.connect() as connection:
                await connection.run_sync(self._bring_up_alone)

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

    def _open(self, connections: int) -> AsyncEngine:
        engine = create_async_engine(
            self._url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=CONNECT_S_MAX,
            connect_args={"server_settings": SETTINGS},
        )
        engine.sync_engine.update_execution_options(vault=self.vault)
        event.listen(engine.sync_engine, "do_connect", self._connecting)
        event.listen(engine.sync_engine, "connect", self._connected)
        event.listen(engine.sync_engine, "checkout", _require_open)
        return engine

    def _connecting(self, _dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> None:
        options["timeout"] = self._connect_s

    def _connected(self, connection: Any, _record: object) -> None:
        self._drivers.add(connection.driver_connection)

    def _hang_up(self) -> None:
        """Close every connection at once, without a word to a server that would not answer."""
        for driver in list(self._drivers):
            driver.terminate()

    async def _within(self, limit_s: float, work: Callable[[Connection], T]) -> T:
        """The result of `work`, unless the watch cuts it: then its connection is closed and StoreDown says why."""
        if self._watch is None:
            return await self._transact(self._engine, work)
        self._watch.require()
        cut_for = ""
        driver: Driver | None = None

        def cut(reason: str) -> None:
            nonlocal cut_for
            cut_for = reason
            if driver is not None:
                driver.terminate()

        def begun(connection: Connection) -> T:
            nonlocal driver
            driver = connection.connection.driver_connection
            if cut_for:
                raise StoreDown(cut_for)
            return work(connection)

        running = Running(cut, limit_s)
        self._watch.begin(running)
        try:
            return await self._transact(self._engine, begun)
        except StoreDown as error:
            if cut_for:
                raise StoreDown(cut_for, hint="it is tried again by itself", retry_after_s=RETRY_AFTER_S) from error
            raise
        finally:
            self._watch.end(running)

    async def _transact(self, engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
        with failures_named(self.url):
            async with engine.begin() as connection:
                return await connection.run_sync(work)

    async def _probe(self) -> None:
        await self._transact(self._probes, lambda connection: connection.execute(text("SELECT 1")))


def _require_open(connection: Any, _record: object, _proxy: object) -> None:
    """Let the pool replace a connection that was closed while nobody used it; that costs no round trip."""
    driver: Driver = connection.driver_connection
    if driver.is_closed():
        raise DisconnectionError("the connection was closed while it was idle")
