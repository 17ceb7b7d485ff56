"""`manage.py features`: vectors and history from the event log, point-in-time reads, transformations.

It works on the profile's database and data folder, beside a running server or without one.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.build.access import DEFAULT_TENANT
from app.cli.offline import chosen_profile, with_database
from app.cli.options import profile_options
from app.core.errors import Conflict, Invalid, NotFound
from app.core.profile import Profile
from app.stores import repositories
from app.stores.database import Database
from app.stores.features import transform as transforms
from app.stores.features.history import History, folder_of, require
from app.stores.features.projection import Projection
from app.stores.features.view import View, load
from app.stores.tenancy import EVERY_TENANT

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_VIEW = "people"

data_option = click.option(
    "--data", type=click.Path(path_type=Path), help="The data folder; the profile's, if left out."
)
view_option = click.option("--view", "view_name", default=DEFAULT_VIEW, show_default=True, help="The feature view.")
tenant_option = click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose worlds.")
world_option = click.option("--world", required=True, help="The world.")


@click.group()
def features() -> None:
    """Read what events say about players and NPCs as vectors for models."""


@features.command()
@profile_options
@data_option
@view_option
@click.option("--rebuild", is_flag=True, help="Write the history anew, in one file a day and world where it fits.")
def materialize(
    mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, view_name: str, rebuild: bool
) -> None:
    """Bring the history of every world level with the event log."""
    require("pyarrow")
    profile, view = chosen_profile(mode, file, assignments, data), load(view_name)
    done = with_database(profile, lambda database: _materialize(database, profile, view, rebuild=rebuild))
    for tenant, world, events, rows, seconds in done:
        click.echo(f"{tenant}/{world}: {events} events, {rows} rows written in {seconds:.2f} s")


@features.command()
@profile_options
@data_option
@view_option
@tenant_option
@world_option
@click.option(
    "--labels", type=click.Path(path_type=Path, exists=True), help="CSV or Parquet: kind, entity, at_s[, seq]."
)
@click.option("--out", type=click.Path(path_type=Path), help="The Parquet file to write; needed with --labels.")
def history(
    mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, view_name: str, tenant: str,
    world: str, labels: Path | None, out: Path | None,
) -> None:  # fmt: skip
    """List a world's history, or join it to labels as it was known at each label's moment."""
    view, kept = _history(mode, file, assignments, data, view_name, tenant, world)
    if labels is None:
        for path in kept.files():
            click.echo(f"{path.parent.name}  {path.name}  {path.stat().st_size:,} bytes")
        return
    if out is None:
        raise click.UsageError("--labels needs --out, the Parquet file to write")
    if out.exists():
        raise Conflict(f"{str(out)!r} exists", hint="name a file that does not")
    click.echo(f"{_join(view, kept.files(), labels, out)} labels written to {out}")


@features.command()
@profile_options
@data_option
@view_option
@tenant_option
@world_option
@click.argument("name")
@click.option("--engine", type=click.Choice(["duckdb", "spark"]), default="duckdb", show_default=True)
@click.option("--master", default="local[2]", show_default=True, help="Spark's master.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder of Parquet files to write.")
def transform(
    mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, view_name: str, tenant: str,
    world: str, name: str, engine: transforms.EngineName, master: str, out: Path,
) -> None:  # fmt: skip
    """Run the transformation NAME (days, circles) over a world's history."""
    if engine == "spark":
        require("pyspark")
    _view, kept = _history(mode, file, assignments, data, view_name, tenant, world)
    transforms.run(name, {"history": kept.files()}, out, engine=engine, master=master)
    click.echo(f"{name} written to {out}")


def _history(
    mode: str,
    file: Path | None,
    assignments: tuple[str, ...],
    data: Path | None,
    view_name: str,
    tenant: str,
    world: str,
) -> tuple[View, History]:
    """The view and a world's history, for reading; raises NotFound when there is none."""
    require("duckdb")
    require("pyarrow")
    profile, view = chosen_profile(mode, file, assignments, data), load(view_name)
    kept = History(folder_of(Path(profile.server.data_folder), tenant, world, view), view)
    if not kept.files():
        raise NotFound(f"no history of world {world!r}", hint="write it with manage.py features materialize")
    return view, kept


async def _materialize(
    database: Database, profile: Profile, view: View, *, rebuild: bool
) -> list[tuple[str, str, int, int, float]]:
    """(tenant, world, events folded, rows written, seconds) of every world."""
    root, rows_max = Path(profile.server.data_folder), profile.features.history_rows_max
    done = []
    for tenant, world in await database.run(EVERY_TENANT, repositories.world_ids):
        started_s = time.monotonic()
        folder = folder_of(root, tenant, world, view)
        history = History(folder, view)
        projection = Projection(view, tenant=tenant, world=world, folder=folder, history=history)
        events, rows = await _level(projection, database, rows_max=rows_max, rebuild=rebuild)
        done.append((tenant, world, events, rows, time.monotonic() - started_s))
    return done


async def _level(projection: Projection, database: Database, *, rows_max: int, rebuild: bool) -> tuple[int, int]:
    """(events, rows) that brought a world's projection level with its log."""
    events = rows = 0
    projection.open(anew=rebuild)
    try:
        while page := await projection.page(database):
            events += len(page)
            projection.fold(page, rows_max=rows_max)
            if len(projection.rows) > rows_max // 2:
                rows += await projection.keep()
        rows += await projection.keep()
    finally:
        projection.close()
    return events, rows


def _join(view: View, files: list[Path], labels: Path, out: Path) -> int:
    """Write labels with their vectors; how many there were."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from app.stores.features.pointintime import join

    table = _read_labels(labels)
    seqs, vectors = join(view, files, table)
    table = table.append_column("row_seq", pa.array(seqs))
    for i, name in enumerate(view.names):
        table = table.append_column(name, pa.array(vectors[:, i]))
    pq.write_table(table, out, compression="zstd")
    return int(table.num_rows)


def _read_labels(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path) if path.suffix == ".parquet" else pyarrow.csv.read_csv(path)
    except pa.ArrowInvalid as error:
        raise Invalid(f"the labels in {str(path)!r} cannot be read: {error}", hint="give CSV or Parquet") from error
