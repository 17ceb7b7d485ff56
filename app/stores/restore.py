"""Restore: a backup takes the place of an empty database, or becomes the data folder of a PostgreSQL server.

Nothing is destroyed: what stood in the place is moved aside (SQLite) or stays until the whole dump is in
(PostgreSQL, one transaction). A base backup with an archive of the write-ahead log is brought to a point in time.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, inspect
from sqlalchemy.engine import make_url

from app.core.clock import SystemClock
from app.core.errors import Conflict, Invalid
from app.stores import tables
from app.stores.backup import COPY, Manifest, check_bytes, examine, load_dump, read_manifest, sqlite_path
from app.stores.backup_keys import load_keys, put_keys
from app.stores.cluster import find_tools
from app.stores.database import Database, open_database
from app.stores.persons import DatabasePersons
from app.stores.replay import Progress, Replayed
from app.stores.tenancy import EVERY_TENANT, SERVERS
from app.stores.tombstones import FILE as TOMBSTONES
from app.stores.tombstones import Tombstones


async def restore(
    folder: Path, url: str, *, data: Path, migrations: Path, overwrite: bool, told: Progress
) -> list[Replayed]:
    """Put the backup where `url` (or the empty one's file in `data`) points, then examine it there.

    Persons who were erased since the backup, by the tombstones in `data`, are erased again.
    Raises Conflict when something is there and `overwrite` is not set, Invalid for the wrong kind, StoreDown.
    """
    manifest = read_manifest(folder)
    backend = make_url(url).get_backend_name() if url else "sqlite"
    if manifest.kind == "base":
        raise Invalid(f"{str(folder)!r} is a physical backup", hint="restore it with --cluster NEW_DATA_FOLDER")
    if (manifest.kind == "sqlite") != (backend == "sqlite"):
        raise Invalid(f"the backup is of kind {manifest.kind!r}, database.url is {backend}", hint="check database.url")
    await asyncio.to_thread(check_bytes, folder, manifest)
    if manifest.kind == "sqlite":
        path = sqlite_path(make_url(url)) if url else data / COPY["sqlite"]
        await asyncio.to_thread(_place_file, folder / COPY["sqlite"], path, overwrite=overwrite)
    database = open_database(url, folder=data, migrations=migrations)
    try:
        if manifest.kind == "dump":
            await _load(database, folder, manifest, url, overwrite=overwrite)
        keys = load_keys(folder)
        if keys is not None:
            await database.run(EVERY_TENANT, lambda connection: put_keys(connection, keys))
        found = await database.run(EVERY_TENANT, lambda connection: examine(connection, manifest, told))
        if keys is not None:
            await DatabasePersons(database, Tombstones(data / TOMBSTONES), SystemClock()).erase_again(told=told)
        return found
    finally:
        await database.close()


def restore_base(folder: Path, cluster: Path, *, archive: Path | None, until: datetime | None) -> Manifest:
    """Make `cluster` the data folder of a server that recovers by itself when it is started.

    With `archive` it replays the write-ahead log from there, to its end or to `until` (UTC), and then takes writes.
    Raises Conflict when the folder is not empty.
    """
    manifest = read_manifest(folder)
    if manifest.kind != "base":
        raise Invalid(f"{str(folder)!r} is of kind {manifest.kind!r}", hint="leave --cluster out")
    if cluster.exists() and any(cluster.iterdir()):
        raise Conflict(f"{str(cluster)!r} is not empty", hint="name a new folder")
    if until is not None and archive is None:
        raise Invalid("a point in time needs the archived log", hint="name it with --wal")
    check_bytes(folder, manifest)
    shutil.copytree(folder / "base", cluster, symlinks=True, dirs_exist_ok=True)
    cluster.chmod(0o700)
    if archive is not None:
        _recover_from(cluster, archive.resolve(), until)
    return manifest


def _recover_from(cluster: Path, archive: Path, until: datetime | None) -> None:
    # The newest segment of a streaming archive (pg_receivewal) is still called .partial.
    fetch = f'cp "{archive}/%f" "%p" || cp "{archive}/%f.partial" "%p"'
    lines = [f"restore_command = '{fetch}'", "recovery_target_action = 'promote'"]
    if until is not None:
        lines.append(f"recovery_target_time = '{until.isoformat()}'")
    with (cluster / "postgresql.auto.conf").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))
    (cluster / "recovery.signal").touch()


def _place_file(copy: Path, path: Path, *, overwrite: bool) -> None:
    if path.exists():
        if not overwrite:
            raise Conflict(f"{str(path)!r} exists", hint="add --overwrite; the present one is moved aside")
        aside = path.with_name(f"{path.name}.replaced-{time.time_ns() // 1_000_000}")
        for ending in ("", "-wal", "-shm"):
            part = path.with_name(path.name + ending)
            if part.exists():
                part.rename(aside.with_name(aside.name + ending))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.restoring")
    shutil.copyfile(copy, partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


async def _load(database: Database, folder: Path, manifest: Manifest, url: str, *, overwrite: bool) -> None:
    def holds(connection: Connection) -> list[str]:
        return sorted(set(inspect(connection).get_table_names()) & {*tables.metadata.tables, "alembic_version"})

    present = await database.run(SERVERS, holds)
    if present and not overwrite:
        raise Conflict(f"the database has the table {present[0]!r}", hint="name an empty database, or add --overwrite")
    clean = ("--clean", "--if-exists") if present else ()
    tools = find_tools("pg_restore")
    await asyncio.to_thread(load_dump, tools, folder / COPY["dump"], make_url(url), arguments=clean)
