"""Backups: a folder with a copy and a manifest that says what the copy must hold.

Three kinds: `sqlite` (the online backup API), `dump` (pg_dump of one snapshot) and `base` (pg_basebackup, the
start of point-in-time recovery). Copies are made while the server runs. The manifest is written last: a folder
without one is no backup. Wrapped keys lie beside the copy (backup_keys.py), in a base backup inside it. It knows
files and PostgreSQL's programs, not the command line.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import msgspec
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import StaticPool

from app.core.errors import Conflict, Invalid, StoreDown
from app.stores import tables
from app.stores.backup_keys import TABLES as KEY_TABLES
from app.stores.backup_keys import read_keys, write_keys
from app.stores.cluster import Cluster, Tools, find_tools, private_cluster
from app.stores.database import Database, failures_named, open_database
from app.stores.replay import Progress, Replayed, check_world, newest_seqs
from app.stores.tenancy import EVERY_TENANT, SERVERS, SETTING

FORMAT = 1
MANIFEST = "manifest.json"
COPY = {"sqlite": "innkeeper.db", "dump": "innkeeper.dump", "base": "base/backup_manifest"}
CHUNK_BYTES = 1 << 20

Kind = Literal["sqlite", "dump", "base"]


class WorldSeq(msgspec.Struct, frozen=True, kw_only=True):
    """The newest event that the copy holds of a world; a base backup may hold more."""

    tenant: str
    world: str
    seq: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What was copied. `role` and `database` say how a base backup is entered once it runs."""

    format: int = FORMAT
    kind: Kind
    created_ms: int
    schema_revision: str
    worlds: tuple[WorldSeq, ...]
    copy_bytes: int
    copy_sha256: str
    postgres_major: int = 0
    role: str = ""
    database: str = ""


class _BaseFile(msgspec.Struct, frozen=True):
    path: str = msgspec.field(name="Path")
    size: int = msgspec.field(name="Size")
    checksum: str = msgspec.field(name="Checksum")


class _BaseManifest(msgspec.Struct, frozen=True):
    """The part of PostgreSQL's backup_manifest that is checked here; the log in pg_wal is proved by a start."""

    files: tuple[_BaseFile, ...] = msgspec.field(name="Files")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup; raises Invalid when the folder is none, or one of a newer release."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise Invalid(
            f"{str(folder)!r} is no backup: {MANIFEST} is missing", hint="name the backup's folder"
        ) from error
    except msgspec.DecodeError as error:
        raise Invalid(f"{folder / MANIFEST} cannot be read: {error}", hint="take another backup") from error
    if manifest.format != FORMAT:
        raise Invalid(f"{str(folder)!r} has format {manifest.format}; this release reads {FORMAT}", hint="upgrade")
    return manifest


async def take(database: Database, url: str, folder: Path, *, physical: bool) -> Manifest:
    """Copy the database at `url`, which `database` has open, into the new `folder`.

    Raises Conflict when the folder is not empty, Invalid for a physical copy of SQLite, StoreDown.
    """
    _make_empty(folder)
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if physical:
            raise Invalid("a physical backup is PostgreSQL's", hint="leave --physical out")
        manifest = await asyncio.to_thread(_copy_sqlite, sqlite_path(parsed), folder)
    elif physical:
        manifest = await _copy_base(database, parsed, folder)
    else:
        manifest = await database.run(EVERY_TENANT, lambda connection: _dump(connection, parsed, folder))
    _write_durably(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def verify(folder: Path, told: Progress) -> list[Replayed]:
    """Prove a backup: its bytes, its schema, its newest events, and that its log gives its state.

    A copy of PostgreSQL's is brought to life in a private server, without touching any other.
    Raises StoreDown when the copy is not what the manifest says.
    """
    manifest = read_manifest(folder)
    check_bytes(folder, manifest)
    if manifest.kind != "sqlite":
        return _examine_alive(folder, manifest, told)
    with _sqlite_connection(folder / COPY["sqlite"]) as connection:
        return examine(connection, manifest, told)


def check_bytes(folder: Path, manifest: Manifest) -> None:
    """Raise StoreDown when the copy's bytes changed since the backup."""
    path = folder / COPY[manifest.kind]
    size, sha256 = _fingerprint(path)
    if (size, sha256) != (manifest.copy_bytes, manifest.copy_sha256):
        raise StoreDown(
            f"{path} has {size} bytes and sha256 {sha256[:16]}…, the manifest says {manifest.copy_bytes} and "
            f"{manifest.copy_sha256[:16]}…",
            hint="this copy is damaged; use another backup",
        )
    if manifest.kind == "base":
        _check_base(folder / "base")


def _check_base(base: Path) -> None:
    """Hold every file against PostgreSQL's own backup_manifest; raise StoreDown at the first that differs."""
    listed = msgspec.json.decode((base / "backup_manifest").read_bytes(), type=_BaseManifest)
    for file in listed.files:
        if _fingerprint(base / file.path) != (file.size, file.checksum):
            raise StoreDown(f"{base / file.path} is not what it was", hint="this copy is damaged; use another backup")


def examine(connection: Connection, manifest: Manifest, told: Progress) -> list[Replayed]:
    """Hold an open copy against its manifest and replay every world of it; raises StoreDown at a difference."""
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision != manifest.schema_revision:
        raise StoreDown(
            f"the copy's schema is {revision!r}, the manifest says {manifest.schema_revision!r}",
            hint="use another backup",
        )
    found = {(tenant, id): seq for tenant, id, seq in newest_seqs(connection)}
    for world in manifest.worlds:
        seq = found.get((world.tenant, world.world), -1)
        if seq < world.seq or (manifest.kind != "base" and seq > world.seq):
            raise StoreDown(
                f"world {world.world!r} ends at event {seq}, the manifest says {world.seq}", hint="use another backup"
            )
    return [check_world(connection, tenant, id, told) for tenant, id in found]


def _make_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Conflict(f"{str(folder)!r} is not empty", hint="name a new folder for each backup")


def _copy_sqlite(source: Path, folder: Path) -> Manifest:
    if not source.exists():
        raise Invalid(f"there is no database at {str(source)!r}", hint="name the data folder with --data")
    target = folder / COPY["sqlite"]
    with failures_named(f"sqlite:///{source}"):
        try:
            with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
                live.backup(copy)  # one step is one snapshot, which a writer cannot disturb
                copy.execute("PRAGMA journal_mode=DELETE")  # one file, that can be read where nothing may be written
                _take_keys_out(copy, folder)
        except sqlite3.Error as error:
            raise StoreDown(f"the copy of {source} failed: {error}", hint="free disk space and try again") from error
    with _sqlite_connection(target) as connection:
        return _manifest("sqlite", connection, target)


def _take_keys_out(copy: sqlite3.Connection, folder: Path) -> None:
    """Move the wrapped keys from the copy to a file of their own, and leave nothing of them in its pages."""
    copy.commit()
    engine = create_engine("sqlite://", creator=lambda: copy, poolclass=StaticPool)
    with engine.connect() as connection:
        if inspect(connection).has_table(tables.subject_keys.name):
            write_keys(folder, read_keys(connection))
    copy.rollback()
    copy.execute("PRAGMA secure_delete=ON")
    for table in KEY_TABLES:
        with suppress(sqlite3.OperationalError):  # a schema from before sealing has no such table
            copy.execute(f"DELETE FROM {table.name}")  # noqa: S608  # a name of ours
    copy.commit()
    copy.execute("VACUUM")


def _dump(connection: Connection, url: URL, folder: Path) -> Manifest:
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    snapshot = str(connection.execute(text("SELECT pg_export_snapshot()")).scalar())
    tools = find_tools("pg_dump")
    target = folder / COPY["dump"]
    address, environment = libpq(url)
    arguments = [
        "--format=custom",
        "--no-owner",
        "--no-privileges",  # the next start grants them anew, to the role that is there
        "--enable-row-security",
        "--no-password",
        f"--snapshot={snapshot}",
        f"--file={target}",
        *(f"--exclude-table-data={table.name}" for table in KEY_TABLES),
        address,
    ]
    tools.run("pg_dump", arguments, environment={**environment, "PGOPTIONS": f"-c {SETTING}={EVERY_TENANT}"})
    if inspect(connection).has_table(tables.subject_keys.name):
        write_keys(folder, read_keys(connection))
    return _manifest("dump", connection, target, postgres_major=_major(connection))


async def _copy_base(database: Database, url: URL, folder: Path) -> Manifest:
    address, environment = libpq(url)
    major = await database.run(SERVERS, _major)
    seqs = await database.run(EVERY_TENANT, lambda connection: (_revision(connection), _worlds(connection)))
    arguments = [f"--pgdata={folder / 'base'}", "--wal-method=stream", "--checkpoint=fast", "--no-password"]
    arguments += ["--manifest-checksums=SHA256", f"--dbname={address}"]
    tools = find_tools("pg_basebackup", major=major)
    await asyncio.to_thread(tools.run, "pg_basebackup", arguments, environment=environment)
    size, sha256 = _fingerprint(folder / COPY["base"])
    return Manifest(
        kind="base",
        created_ms=_now_ms(),
        schema_revision=seqs[0],
        worlds=seqs[1],
        copy_bytes=size,
        copy_sha256=sha256,
        postgres_major=major,
        role=url.username or "",
        database=url.database or "",
    )


def _manifest(kind: Kind, connection: Connection, copy: Path, *, postgres_major: int = 0) -> Manifest:
    size, sha256 = _fingerprint(copy)
    return Manifest(
        kind=kind,
        created_ms=_now_ms(),
        schema_revision=_revision(connection),
        worlds=_worlds(connection),
        copy_bytes=size,
        copy_sha256=sha256,
        postgres_major=postgres_major,
    )


def _examine_alive(folder: Path, manifest: Manifest, told: Progress) -> list[Replayed]:
    with private_cluster(find_tools("initdb", major=manifest.postgres_major)) as cluster:
        url = _start_copy(cluster, folder, manifest)

        async def work() -> list[Replayed]:
            database = open_database(url, folder=cluster.folder, migrations=cluster.folder)
            try:
                return await database.run(EVERY_TENANT, lambda connection: examine(connection, manifest, told))
            finally:
                await database.close()

        return asyncio.run(work())


def _start_copy(cluster: Cluster, folder: Path, manifest: Manifest) -> str:
    if manifest.kind == "base":
        cluster.adopt(folder / "base")
        cluster.start()
        return cluster.url(manifest.database, manifest.role)
    cluster.create()
    cluster.start()
    load_dump(cluster.tools, folder / COPY["dump"], make_url(cluster.url()), arguments=())
    return cluster.url()


def load_dump(tools: Tools, dump: Path, url: URL, *, arguments: tuple[str, ...]) -> None:
    """Run pg_restore, all or nothing; raises StoreDown."""
    address, environment = libpq(url)
    fixed = [
        "--no-owner",
        "--no-privileges",
        "--no-password",
        "--exit-on-error",
        "--single-transaction",
        f"--dbname={address}",
    ]
    tools.run("pg_restore", [*fixed, *arguments, str(dump)], environment=environment)


def libpq(url: URL) -> tuple[str, dict[str, str]]:
    """The address as PostgreSQL's programs read it, and the environment that holds its password."""
    plain = url.set(drivername="postgresql")
    secret = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    shown = URL.create("postgresql", plain.username, None, plain.host, plain.port, plain.database, plain.query)
    return shown.render_as_string(hide_password=False), secret


@contextmanager
def _sqlite_connection(path: Path) -> Iterator[Connection]:
    """A copy that nobody writes, opened so that not even a lock file appears beside it."""
    address = f"sqlite:///file:{quote(str(path.resolve()))}?mode=ro&immutable=1&uri=true"
    engine = create_engine(address)
    try:
        with failures_named(f"sqlite:///{path}"), engine.connect() as connection:
            said = connection.execute(text("PRAGMA integrity_check")).scalar()
            if said != "ok":
                raise StoreDown(f"{path} is damaged: {said}", hint="use another backup")
            yield connection
    finally:
        engine.dispose()


def sqlite_path(url: URL) -> Path:
    """The file of an SQLite address; raises Invalid for a database in memory."""
    if not url.database or url.database == ":memory:":
        raise Invalid("a database in memory cannot be copied", hint="give database.url a file")
    return Path(url.database)


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        raise Invalid("this database holds no Innkeeper schema", hint="check database.url and --data")
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())


def _worlds(connection: Connection) -> tuple[WorldSeq, ...]:
    return tuple(WorldSeq(tenant=tenant, world=id, seq=seq) for tenant, id, seq in newest_seqs(connection))


def _major(connection: Connection) -> int:
    return int(connection.execute(text("SHOW server_version_num")).scalar() or 0) // 10_000


def _fingerprint(path: Path) -> tuple[int, str]:
    try:
        with path.open("rb") as file:
            return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StoreDown(f"{path} cannot be read: {error.strerror}", hint="use another backup") from error


def _write_durably(path: Path, body: bytes) -> None:
    """Write the file and everything before it to the disk."""
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.sync()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
