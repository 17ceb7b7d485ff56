"""`manage.py events`: the event log as a file and back, and the proof that it still gives every projection.

Export and replay read the database beside a running server; import wants one without events. Exit code of `replay`:
0 equal, 1 something differs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from sqlalchemy import Connection

from app.cli.offline import chosen_profile, progress, with_database, with_schema
from app.cli.options import profile_options
from app.core.errors import Invalid
from app.core.profile import Profile
from app.stores import export as lines
from app.stores import replay as replays
from app.stores.database import Database
from app.stores.projections import projections_of
from app.stores.tenancy import EVERY_TENANT

DIFFERS = 1


@click.group()
def events() -> None:
    """Export the event log, or rebuild from it."""


def world_options(command: click.decorators.FC) -> click.decorators.FC:
    """`--world`, `--tenant` and `--data` for a command over the log."""
    for option in (
        click.option("--data", type=click.Path(path_type=Path), help="Folder of the embedded database."),
        click.option("--tenant", default="", help="Only this tenant's worlds."),
        click.option("--world", default="", help="Only this world."),
    ):
        command = option(command)
    return command


@events.command()
@profile_options
@world_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write; - is standard output.")
def export(
    mode: str,
    file: Path | None,
    assignments: tuple[str, ...],
    data: Path | None,
    tenant: str,
    world: str,
    out: Path,
) -> None:
    """Write every event as one JSON line."""
    profile = chosen_profile(mode, file, assignments, data)
    if str(out) == "-":
        written = _export(profile, tenant, world, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    else:
        written = _export_to(profile, tenant, world, out)
    click.echo(f"{written} events exported", err=True)


def _export_to(profile: Profile, tenant: str, world: str, out: Path) -> int:
    """Write beside `out` and rename, so that a file of that name is always whole."""
    partial = out.with_name(f"{out.name}.partial")
    try:
        with partial.open("wb") as file:
            written = _export(profile, tenant, world, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(out)
    except OSError as error:
        raise Invalid(f"{str(out)!r} cannot be written: {error.strerror}", hint="check the folder") from error
    finally:
        partial.unlink(missing_ok=True)
    return written


@events.command("import")
@profile_options
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the embedded database.")
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def import_(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, path: Path) -> None:
    """Write the events of an export into a database that has none."""
    profile = chosen_profile(mode, file, assignments, data)

    async def work(database: Database) -> int:
        await database.upgrade()
        with path.open("rb") as body, progress("import", sum(1 for _ in body)) as told:
            body.seek(0)
            return await database.run(EVERY_TENANT, lambda c: lines.read_events(c, body, told))

    click.echo(f"{with_database(profile, work)} events imported", err=True)


def _export(profile: Profile, tenant: str, world: str, out: BinaryIO) -> int:
    async def work(database: Database) -> int:
        total = await database.run(tenant or EVERY_TENANT, lambda c: lines.count_events(c, tenant, world))
        with progress("export", total) as told:
            return await database.run(tenant or EVERY_TENANT, lambda c: lines.write_events(c, out, tenant, world, told))

    return with_schema(profile, work)


@events.command()
@profile_options
@world_options
@click.option("--check", "rebuild", flag_value=False, default=True, type=bool, help="Compare only; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def replay(
    mode: str,
    file: Path | None,
    assignments: tuple[str, ...],
    data: Path | None,
    tenant: str,
    world: str,
    rebuild: bool,
    as_json: bool,
) -> None:
    """Rebuild every projection of the log (world state, features) and compare it with what is saved."""
    profile = chosen_profile(mode, file, assignments, data)
    chosen = projections_of(profile)

    def every(connection: Connection, told: replays.Progress) -> list[replays.Replayed]:
        return [
            (one.rebuild if rebuild else one.check)(connection, owner, id, told)
            for owner, id in replays.chosen_worlds(connection, tenant, world)
            for one in chosen
        ]

    async def work(database: Database) -> list[replays.Replayed]:
        total = await database.run(tenant or EVERY_TENANT, lambda c: lines.count_events(c, tenant, world))
        with progress("replay", total * len(chosen)) as told:
            return await database.run(tenant or EVERY_TENANT, lambda c: every(c, told))

    found = with_schema(profile, work)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        tell_replayed(found)
    if any(replayed.faults for replayed in found):
        sys.exit(DIFFERS)


def tell_replayed(found: list[replays.Replayed]) -> None:
    """One line for each projection of a world, and one for each fault."""
    for replayed in found:
        verdict = "DIFFERS" if replayed.faults else "equal"
        of = f"{replayed.tenant}/{replayed.world}  {replayed.projection}"
        click.echo(f"{of}  {replayed.seq} events  {replayed.sha256[:16]}  {verdict}")
        for fault in replayed.faults:
            click.echo(f"  {fault}")
    if not found:
        click.echo("no worlds")
