"""One connection to one database, used from one thread of its own.

It opens the embedded SQLite file (write-ahead log, every commit synced), brings the schema to the
newest revision, and runs functions over a connection. It does not know what they read or write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from app.core.errors import Invalid, StoreDown
from app.stores.tables import SCHEMA_REVISION, metadata

T = TypeVar("T")


class Database:
    """Runs synchronous work over a connection in a single worker thread, one transaction each."""

    def __init__(self, engine: Engine, migrations: Path) -> None:
        self._engine = engine
        self._migrations = migrations
        self._thread = ThreadPoolExecutor(1, "innkeeper-database")

    @property
    def url(self) -> str:
        """The address without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """The result of `work` inside one committed transaction; raises StoreDown when the database fails."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.run_here, work)

    def run_here(self, work: Callable[[Connection], T]) -> T:
        """As `run`, in the calling thread; only for the database's own thread and the command line."""
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise StoreDown(
                f"the database {self.url} failed: {_first_line(error)}", hint="see its log and free disk space"
            ) from error

    def upgrade(self) -> str:
        """Bring the schema to the newest revision and return the revision found before ("" for a fresh one)."""
        found = self.run_here(_revision)
        if found == SCHEMA_REVISION:
            return found
        if not found:
            self.run_here(_create)
            return ""
        from app.stores.upgrade import upgrade

        upgrade(self._engine, self._migrations)
        return found

    async def close(self) -> None:
        """Wait for running work, then close the connection."""
        await asyncio.to_thread(self._thread.shutdown)
        self._engine.dispose()


def open_database(url: str, *, folder: Path, migrations: Path) -> Database:
    """The database at `url`, or the SQLite file in `folder` when it is empty.

    Raises Invalid for an address of another kind than SQLite.
    """
    if not url:
        folder.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{folder / 'innkeeper.db'}"
    if not url.startswith("sqlite"):
        raise Invalid(f"database.url {url.split('@')[-1]!r} is not SQLite", hint="leave it empty or use sqlite:///FILE")
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _configure_sqlite)
    return Database(engine, migrations)


def _configure_sqlite(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # the DBAPI connection has no common type
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def _create(connection: Connection) -> None:
    metadata.create_all(connection)
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": SCHEMA_REVISION})


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
