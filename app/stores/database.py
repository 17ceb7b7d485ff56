"""The database as the rest of the stores see it: functions run over a connection, one transaction each.

It opens the one that a URL names; each engine of its own file knows threads, pools and settings, and bringup
the schema. Repositories get a synchronous connection from either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from app.core.errors import Invalid, StoreDown
from app.core.ports import Log
from app.stores.embedded.folder import FolderLock
from app.stores.ring import FILE, Ring
from app.stores.tenancy import Tenants
from app.stores.vault import Vault
from app.stores.watch import RETRY_AFTER_S, Limits

T = TypeVar("T")


class Database(Protocol):
    """One database. Every method raises StoreDown when it fails."""

    @property
    def url(self) -> str:
        """The address without its password."""
        ...

    @property
    def vault(self) -> Vault:
        """The keys of what is sealed in it; every connection carries them too."""
        ...

    @property
    def alone(self) -> FolderLock | None:
        """What a server must hold before it serves this database; None for one that several may serve."""
        ...

    @property
    def fault(self) -> str:
        """Why it cannot be counted on now; empty while it can, and while nobody watches it."""
        ...

    def watch(self, *, limits: Limits, log: Log) -> None:
        """Begin to notice when it hangs or is gone, and to fail its callers then instead of letting them wait."""
        ...

    @property
    def weakness(self) -> str:
        """Why row-level security does not bind this server; empty while it does, and where there is none."""
        ...

    async def run(self, tenants: Tenants, work: Callable[[Connection], T]) -> T:
        """The result of `work` inside one committed transaction, in the time that a watched one may take.

        It sees and writes rows of `tenants` alone: one id, several, or all. After a StoreDown it may still be
        committed a little later, and `work` must bear that.
        """
        ...

    async def run_long(self, tenants: Tenants, work: Callable[[Connection], T]) -> T:
        """The same for work whose length depends on how much there is; it waits as long as the database answers."""
        ...

    async def upgrade(self) -> None:
        """Bring the schema to the newest revision; an empty database gets the whole of it."""
        ...

    async def scrub(self, names: Sequence[str]) -> None:
        """Leave nothing of deleted and replaced rows of these tables in the database's files."""
        ...

    async def close(self) -> None:
        """Wait for running work, then close every connection."""
        ...


def open_database(url: str, *, folder: Path, migrations: Path, owner_url: str = "") -> Database:
    """The database at `url`, or the SQLite file in `folder` when it is empty. Nothing is connected yet.

    `owner_url` is the same PostgreSQL database as the role that owns the tables, where `url` is not to migrate.
    The master keys lie in `folder`, or where the environment says.

    Raises Invalid for an address that is neither SQLite nor PostgreSQL, or whose driver is not installed.
    """
    vault = Vault(Ring(folder / FILE))
    if not url:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        url = f"sqlite:///{folder / 'innkeeper.db'}"
    try:
        parsed, owner = make_url(url), make_url(owner_url) if owner_url else None
    except ArgumentError as error:
        raise Invalid("database.url cannot be read", hint="write postgresql://USER:PASSWORD@HOST/NAME") from error
    match parsed.get_backend_name():
        case "sqlite":
            from app.stores.sqlite import SqliteDatabase

            return SqliteDatabase(parsed, migrations, vault)
        case "postgresql":
            return _open_postgres(parsed, migrations, vault, owner)
        case other:
            raise Invalid(f"database.url names {other!r}", hint="use postgresql://… or leave it empty for SQLite")


def _open_postgres(url: URL, migrations: Path, vault: Vault, owner: URL | None) -> Database:
    try:
        from app.stores.postgres import PostgresDatabase

        return PostgresDatabase(url, migrations, vault, owner=owner)
    except ModuleNotFoundError as error:
        raise Invalid(f"the package {error.name!r} is not installed", hint="uv sync --extra postgres") from error


@contextmanager
def failures_named(url: str) -> Iterator[None]:
    """Turn what the driver raises into StoreDown."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreDown(
            f"the database {url} failed: {reason}", hint="see its log and free disk space", retry_after_s=RETRY_AFTER_S
        ) from error
