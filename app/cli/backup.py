"""`manage.py backup`, `restore` and `verify`: a copy of the database, its way back, and the proof of both.

`backup` runs beside the server; `restore` refuses while one runs on the same data folder. The first key's text
(api-key) is no part of a backup: the database holds only its hash.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from app.cli.events import DIFFERS, tell_replayed
from app.cli.offline import MIGRATIONS, chosen_profile, progress, with_database
from app.cli.options import profile_options
from app.core.errors import Conflict, Invalid
from app.core.profile import Profile
from app.stores.replay import Replayed

data_option = click.option("--data", type=click.Path(path_type=Path), help="Folder of the embedded database.")


@click.command()
@profile_options
@data_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder for the backup.")
@click.option("--physical", is_flag=True, help="PostgreSQL: copy the whole server, for recovery to a point in time.")
def backup(
    mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, out: Path, physical: bool
) -> None:
    """Copy the database while the server runs."""
    from app.stores.backup import take

    profile = chosen_profile(mode, file, assignments, data)
    manifest = with_database(profile, lambda database: take(database, _url(profile), out.resolve(), physical=physical))
    newest = sum(world.seq for world in manifest.worlds)
    click.echo(f"{out}: {manifest.kind}, {len(manifest.worlds)} worlds, {newest} events, schema "
                   f"{manifest.schema_revision}")  # fmt: skip


@click.command()
@profile_options
@data_option
@click.option("--from", "source", type=click.Path(path_type=Path), required=True, help="The backup's folder.")
@click.option("--overwrite", is_flag=True, help="Replace a database that is not empty.")
@click.option("--cluster", type=click.Path(path_type=Path), help="New data folder of a server, for a physical backup.")
@click.option("--wal", type=click.Path(path_type=Path), help="Archive of the write-ahead log.")
@click.option("--until", help="Point in time in UTC, such as 2026-11-21T18:30:00; the end of the log when left out.")
def restore(
    mode: str,
    file: Path | None,
    assignments: tuple[str, ...],
    data: Path | None,
    source: Path,
    overwrite: bool,
    cluster: Path | None,
    wal: Path | None,
    until: str | None,
) -> None:
    """Put a backup in the place of an empty database."""
    from app.stores import restore as restores

    if cluster is not None:
        point = _point(until)
        manifest = restores.restore_base(source.resolve(), cluster.resolve(), archive=wal, until=point)
        click.echo(f"{cluster}: start PostgreSQL {manifest.postgres_major} on it, then run manage.py events replay")
        return
    profile = chosen_profile(mode, file, assignments, data)
    folder = Path(profile.server.data_folder)
    _require_stopped(folder)
    with progress("restore", 0) as told:
        found = asyncio.run(
            restores.restore(
                source.resolve(), profile.database.url, data=folder, migrations=MIGRATIONS, overwrite=overwrite,
                told=told,
            )
        )  # fmt: skip
    _conclude(found)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def verify(folder: Path) -> None:
    """Prove that the backup in FOLDER is whole and that its events give its state."""
    from app.stores.backup import read_manifest
    from app.stores.backup import verify as prove

    total = sum(world.seq for world in read_manifest(folder).worlds)
    with progress("verify", total) as told:
        found = prove(folder.resolve(), told)
    _conclude(found)


def _conclude(found: list[Replayed]) -> None:
    tell_replayed(found)
    if any(replayed.faults for replayed in found):
        sys.exit(DIFFERS)


def _url(profile: Profile) -> str:
    """The database's address with its password, which an open database does not tell."""
    return profile.database.url or f"sqlite:///{Path(profile.server.data_folder) / 'innkeeper.db'}"


def _require_stopped(folder: Path) -> None:
    """Raise Conflict while a server runs on the data folder; one that was killed has left only its file."""
    from app.cli.serve import ADDRESS_FILE

    try:
        pid = int(json.loads((folder / ADDRESS_FILE).read_text())["pid"])
        os.kill(pid, 0)
    except (OSError, ValueError, KeyError):
        return
    raise Conflict(f"a server (process {pid}) runs on {str(folder)!r}", hint="stop it first")


def _point(until: str | None) -> datetime | None:
    if until is None:
        return None
    try:
        point = datetime.fromisoformat(until)
    except ValueError as error:
        raise Invalid(f"--until {until!r} is no time", hint="write 2026-11-21T18:30:00") from error
    return point if point.tzinfo is not None else point.replace(tzinfo=UTC)
