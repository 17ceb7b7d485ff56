"""PostgreSQL through asyncpg and a small pool; a session commits durably and gives up on locks in time.

The owner migrates; whatever comes after that runs as a role that row-level security binds, in transactions that say
with their first word whose they are. While it is watched, a transaction that takes too long is cut by closing its
connection, all of them are when the server is gone, and whoever comes meanwhile is told at once. What was cut may
still have been committed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.core.errors import Invalid, StoreDown
from app.core.ports import Log
from app.stores import roles
from app.stores.bringup import LOCK_MS_MAX, bring_up, fits, patiently
from app.stores.database import failures_named
from app.stores.tenancy import SERVERS, SETTING, Tenants, setting_of
from app.stores.vault import Vault
from app.stores.watch import NO_LIMIT_S, RETRY_AFTER_S, Limits, Running, Watch

T = TypeVar("T")
POOL_MAX = 5
CONNECT_S_MAX = 5
CLOSE_S_MAX = 5
ROLLBACK_S_MAX = 5
CONNECT_WATCHED_S_MAX = 2
"""While the server is watched, nobody waits for a connection for long."""
MIGRATION_LOCK = 0x1_44_4B_50
"""Advisory lock that lets one of several replicas create or migrate the schema."""
SETTINGS = {
    "synchronous_commit": "on",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
    SETTING: "",
}


class Driver(Protocol):
    """What is asked of an asyncpg connection."""

    def terminate(self) -> None: ...
    def is_closed(self) -> bool: ...
    async def execute(self, query: str) -> str: ...


class PostgresDatabase:
    """A PostgreSQL database; work runs on the event loop's connections."""

    alone = None

    def __init__(self, url: URL, migrations: Path, vault: Vault, *, owner: URL | None = None) -> None:
        """`owner` migrates, where `url` is not to."""
        self.vault = vault
        self._url = url.set(drivername="postgresql+asyncpg")
        self._login = url.username if owner is not None else None
        self._migrations = migrations
        self._drivers: WeakSet[Driver] = WeakSet()
        self._connect_s = CONNECT_S_MAX
        self._role = ""
        """What new connections step down to; empty until the schema is there."""
        self._engine = self._open(self._url, POOL_MAX, self._stepping_down)
        self._probes = self._open(self._url, 1, self._stepping_down)
        """A connection of the watch's own, since a pool that is used up is no fault."""
        self._owner = self._open((owner or url).set(drivername="postgresql+asyncpg"), 1, self._connecting)
        self.weakness = ""
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

    async def run(self, tenants: Tenants, work: Callable[[Connection], T]) -> T:
        limit_s = self._watch.limits.transaction_s if self._watch is not None else NO_LIMIT_S
        return await self._within(self._engine, limit_s, tenants, work)

    async def run_long(self, tenants: Tenants, work: Callable[[Connection], T]) -> T:
        return await self._within(self._engine, NO_LIMIT_S, tenants, work)

    async def upgrade(self) -> None:
        limit_s = self._watch.limits.transaction_s if self._watch is not None else NO_LIMIT_S
        if not await self._within(self._owner, limit_s, SERVERS, self._prepared):
            await patiently(self._migrate)
        for engine in (self._engine, self._probes, self._owner):
            await engine.dispose()
        self.weakness = await self.run(SERVERS, roles.weakness)

    async def scrub(self, names: Sequence[str]) -> None:
        with failures_named(self.url):
            async with self._owner.connect() as connection:  # whoever owns a table may vacuum it
                for name in names:
                    await connection.execute(text(f'VACUUM "{name}"'))

    async def close(self) -> None:
        if self.fault:
            self._hang_up()
        if self._watch is not None:
            await self._watch.close()
        try:
            async with asyncio.timeout(CLOSE_S_MAX):
                for engine in (self._engine, self._probes, self._owner):
                    await engine.dispose()
        except TimeoutError:
            self._hang_up()

    def _prepared(self, connection: Connection) -> bool:
        """Whether nothing is to be done; then it is known as which role the server works."""
        role = roles.role_for(connection, self._login) if fits(connection) else None
        self._role = role or ""
        return role is not None

    async def _migrate(self) -> None:
        with failures_named(self.url):
            async with self._owner.connect() as connection:
                await connection.execution_options(isolation_level="READ COMMITTED")
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
            if not self._prepared(connection):
                roles.prepare(connection, self._login)
                connection.commit()
                self._prepared(connection)
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)
            connection.execute(text("RESET lock_timeout"))
            connection.commit()

    def _open(self, url: URL, connections: int, connecting: Callable[..., None]) -> AsyncEngine:
        # Transactions are begun and ended here, so that a BEGIN can name the tenants in the same round trip.
        tls = _tls_of(url)
        engine = create_async_engine(
            url.difference_update_query(("sslmode", "sslrootcert")),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=CONNECT_S_MAX,
            isolation_level="AUTOCOMMIT",
            connect_args={} if tls is None else {"ssl": tls},
        )
        engine.sync_engine.update_execution_options(vault=self.vault)
        event.listen(engine.sync_engine, "do_connect", connecting)
        event.listen(engine.sync_engine, "connect", self._connected)
        event.listen(engine.sync_engine, "checkout", _require_open)
        return engine

    def _connecting(self, _dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> None:
        options["timeout"] = self._connect_s
        options["server_settings"] = SETTINGS

    def _stepping_down(self, dialect: object, record: object, arguments: object, options: dict[str, Any]) -> None:
        self._connecting(dialect, record, arguments, options)
        if self._role:
            options["server_settings"] = {**SETTINGS, "role": self._role}

    def _connected(self, connection: Any, _record: object) -> None:
        self._drivers.add(connection.driver_connection)

    def _hang_up(self) -> None:
        """Close every connection at once, without a word to a server that would not answer."""
        for driver in list(self._drivers):
            driver.terminate()

    async def _within(
        self, engine: AsyncEngine, limit_s: float, tenants: Tenants, work: Callable[[Connection], T]
    ) -> T:
        """The result of `work`, unless the watch cuts it: then its connection is closed and StoreDown says why."""
        if self._watch is None:
            return await self._transact(engine, tenants, work)
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
            return await self._transact(engine, tenants, begun)
        except StoreDown as error:
            if cut_for:
                raise StoreDown(cut_for, hint="it is tried again by itself", retry_after_s=RETRY_AFTER_S) from error
            raise
        finally:
            self._watch.end(running)

    async def _transact(self, engine: AsyncEngine, tenants: Tenants, work: Callable[[Connection], T]) -> T:
        named = setting_of(tenants).replace("'", "''")
        with failures_named(self.url):
            async with engine.connect() as connection:
                driver: Driver = (await connection.get_raw_connection()).driver_connection  # type: ignore[assignment]
                committed = False
                await _say(driver, f"BEGIN; SET LOCAL {SETTING} = '{named}'")
                try:
                    with _named_by_driver("the work"):
                        done = await connection.run_sync(work)
                    committed = await _say(driver, "COMMIT") == "COMMIT"
                    if not committed:
                        raise StoreDown("the transaction had failed, so nothing of it was committed")
                finally:
                    if not committed:
                        await asyncio.shield(_roll_back(driver))
                return done

    async def _probe(self) -> None:
        await self._transact(self._probes, SERVERS, lambda connection: connection.execute(text("SELECT 1")))


async def _say(driver: Driver, words: str) -> str:
    """Send what has no parameters, in one round trip, and give the last command's tag."""
    with _named_by_driver(words.partition(";")[0]):
        return await driver.execute(words)


@contextmanager
def _named_by_driver(what: str) -> Iterator[None]:
    """Turn the driver's own errors into SQLAlchemy's, which lets some through: a line that broke is no bug of ours."""
    from asyncpg import InterfaceError, InternalClientError, PostgresError  # type: ignore[import-untyped]

    try:
        yield
    except (PostgresError, InterfaceError, InternalClientError) as error:
        raise DBAPIError(what, None, error) from error


async def _roll_back(driver: Driver) -> None:
    """Leave nothing of the transaction; a connection that cannot say so is closed, and the pool makes another."""
    try:
        async with asyncio.timeout(ROLLBACK_S_MAX):
            if not driver.is_closed():
                await _say(driver, "ROLLBACK")
    except (DBAPIError, OSError, TimeoutError):
        driver.terminate()


def _tls_of(url: URL) -> ssl.SSLContext | bool | None:
    """What libpq's `sslmode` and `sslrootcert` ask for, which asyncpg knows only in part; None where nothing does.

    Raises Invalid for a mode that is not known.
    """
    mode, root = (str(url.query.get(name, "")) for name in ("sslmode", "sslrootcert"))
    match mode:
        case "":
            return None
        case "disable":
            return False
        case "require" | "verify-ca" | "verify-full":
            return _context(root, checks_name=mode == "verify-full", checks=mode != "require")
        case _:
            raise Invalid(f"database.url has sslmode {mode!r}", hint="give verify-full")


def _context(root: str, *, checks_name: bool, checks: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=root or None)
    except OSError as error:
        raise Invalid(f"database.url names sslrootcert {root!r}: {error.strerror}", hint="check the path") from error
    context.check_hostname = checks_name
    context.verify_mode = ssl.CERT_REQUIRED if checks else ssl.CERT_NONE
    return context


def _require_open(connection: Any, _record: object, _proxy: object) -> None:
    """Let the pool replace a connection that was closed while nobody used it; that costs no round trip."""
    driver: Driver = connection.driver_connection
    if driver.is_closed():
        raise DisconnectionError("the connection was closed while it was idle")
