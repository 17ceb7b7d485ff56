"""`manage.py quests audit`: a studio's quest database, proved as a whole.

It needs no server. The world comes from the same file or tables, or, with `--world`, from the server's own database,
which may be in use.

Exit codes: 0 every quest can be completed, 1 some cannot (with `--strict`: or there are warnings), 2 the source cannot
be read.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec

from app.cli.options import profile_options
from app.core.errors import Invalid

BROKEN = 1
SMALL_QUESTS = 200
"""Below so many, one process is faster than several."""


@click.command()
@click.argument("source", type=click.Path(path_type=Path), metavar="[FILE]", required=False)
@click.option("--columns", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="MAP.toml",
              help="The column map of a database; FILE is then SQLite, a dump or a folder of CSV files.")  # fmt: skip
@click.option("--world", "world_name", default="", metavar="NAME", help="Take the world from the server's database.")
@click.option("--tenant", default="", help="Whose world, with --world.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the server's data, with --world.")
@click.option("--start", default="", metavar="PLACE", help="Where newcomers enter the world.")
@click.option("--jobs", type=click.IntRange(0, 256), default=0, help="Processes; by default as many as help.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings and unknowns too.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the report as one page.")
@click.option("--schema", "as_schema", is_flag=True, help="Print the JSON Schema of the file, and do nothing else.")
@profile_options
def audit(
    source: Path | None,
    columns: Path | None,
    world_name: str,
    tenant: str,
    data: Path | None,
    start: str,
    jobs: int,
    strict: bool,
    as_json: bool,
    html: Path | None,
    as_schema: bool,
    mode: str,
    file: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Prove every quest of FILE: what cannot be completed, why, and what would mend it."""
    from app.cli.offline import chosen_profile
    from app.cli.quests import jobs as work
    from app.cli.quests import pages, reading, shown
    from app.cli.quests.source import schema

    if as_schema:
        click.echo(msgspec.json.encode(schema()))
        return
    if source is None or not source.exists():
        raise click.UsageError(f"there is no file {str(source or '')!r}; name the quests' file, or ask for --schema")
    profile = chosen_profile(mode, file, assignments, data)
    quests = reading.read(source, columns)
    if not quests.entries and not quests.found:
        raise Invalid(f"{quests.name!r} has no quests", hint="name the file or the table that holds them")
    state = reading.world(quests, profile, tenant, world_name)
    entered = reading.entrance(state, start or quests.start)
    chosen = jobs or (1 if len(quests.entries) < SMALL_QUESTS else os.cpu_count() or 1)
    with shown.bar() as proving:
        report = work.audited(
            state, profile.modules["quests"], quests.entries, start=entered, jobs=chosen, extra=quests.found,
            proving=proving,
        )  # fmt: skip
    if html is not None:
        html.write_text(pages.page(quests.name, report), encoding="utf-8")
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        shown.show(quests.name, report)
    broken = any(found.weight != "warning" for found in report.found)
    sys.exit(BROKEN if broken or (strict and (report.found or report.verdicts.get("unknown"))) else 0)
