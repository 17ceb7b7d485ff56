"""`manage.py db`: brings the schema forward, and says whether it is what this release expects.

Exit code of `check`: 0 all good, 1 something is not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from app.cli.offline import MIGRATIONS, chosen_profile, with_database
from app.cli.options import profile_options
from app.stores.bringup import current_revision
from app.stores.database import Database
from app.stores.tenancy import SERVERS

BAD = 1


@click.group()
def db() -> None:
    """Upgrade and check the database's schema."""


@db.command()
@profile_options
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the embedded database.")
def upgrade(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None) -> None:
    """Bring the schema to the newest revision; a current one is left alone."""

    async def work(database: Database) -> tuple[str, str]:
        before = await database.run(SERVERS, current_revision)
        await database.upgrade()
        return before, await database.run(SERVERS, current_revision)

    before, after = with_database(chosen_profile(mode, file, assignments, data), work)
    click.echo(f"schema {after}" if before == after else f"schema {before or 'empty'} -> {after}")


@db.command()
@profile_options
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the embedded database.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def check(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, as_json: bool) -> None:
    """Compare the schema, its history and its SQL with what this release expects; nothing is written."""
    from app.stores.schema import examine

    found = with_database(
        chosen_profile(mode, file, assignments, data),
        lambda database: database.run(SERVERS, lambda c: examine(c, MIGRATIONS)),
    )
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        for finding in found:
            click.echo(f"{finding.state:8} {finding.check}{f': {finding.detail}' if finding.detail else ''}")
    if any(finding.state == "bad" for finding in found):
        sys.exit(BAD)
