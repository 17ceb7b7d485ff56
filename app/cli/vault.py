"""`manage.py vault`: the master keys that wrap all others, beside a running server or without one."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.offline import chosen_profile, progress, with_schema
from app.cli.options import profile_options
from app.stores import rotation
from app.stores.database import Database
from app.stores.tenancy import EVERY_TENANT

data_option = click.option("--data", type=click.Path(path_type=Path), help="Folder of the database and the ring.")


@click.group()
def vault() -> None:
    """Rotate the master key."""


@vault.command()
@profile_options
@data_option
@click.option("--retire", is_flag=True, help="Forget the old master keys when nothing needs them any more.")
@click.option("--resume", is_flag=True, help="Go on with a rotation that was cut, without another new key.")
def rotate(
    mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, retire: bool, resume: bool
) -> None:
    """Make a new master key and wrap every key by it.

    A server that runs meanwhile goes on with the old one, which stays in the ring, until it starts again.
    """
    profile = chosen_profile(mode, file, assignments, data)

    async def work(database: Database) -> tuple[int, int]:
        total = await database.run(EVERY_TENANT, rotation.count_keys)
        if not resume:
            database.vault.ring.add()
        with progress("rotate", total) as told:
            changed = await rotation.rewrap_all(database, told)
        retired = await database.run(EVERY_TENANT, rotation.retire_masters) if retire else 0
        return changed, retired

    changed, retired = with_schema(profile, work)
    click.echo(f"{changed} keys wrapped anew, {retired} master keys retired")
