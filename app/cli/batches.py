"""`manage.py batches`: work that can wait, straight in the database; a running server obeys at its next look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from app.cli.offline import chosen_profile, with_schema
from app.cli.tenants import tenant_options
from app.core.batches import OVER, Batch
from app.core.errors import Conflict
from app.stores import batches as shelf
from app.stores import repositories
from app.stores.database import Database
from app.stores.tenancy import EVERY_TENANT


@click.group()
def batches() -> None:
    """List, show and cancel work that can wait."""


def _run(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, tenants: str, work: Any) -> Any:
    """The result of `work` over a connection, for those tenants."""

    async def run(database: Database) -> Any:
        return await database.run(tenants, work)

    return with_schema(chosen_profile(mode, file, assignments, data), run)


@batches.command(name="list")
@tenant_options
@click.option("--tenant", default="", help="One tenant's; every tenant's when left out.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
def list_(
    mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, tenant: str, as_json: bool
) -> None:
    """Show batches, how far they are and what they have cost."""

    def work(connection: Any) -> list[Batch]:
        tenants = [tenant] if tenant else repositories.tenant_ids(connection)
        return [batch for one in tenants for batch in shelf.of_tenant(connection, one)]

    found = _run(mode, file, assignments, data, tenant or EVERY_TENANT, work)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("tenant", "id", "state", "engine", "lines", "done", "failed", "USD")
    for batch in found:
        counts = map(str, (batch.lines, batch.done, batch.failed))
        table.add_row(
            batch.tenant, batch.id, _state(batch), batch.engine or "-", *counts, f"{batch.cost_nano_usd / 1e9:.6f}"
        )
    Console(width=160).print(table)


def _state(batch: Batch) -> str:
    return "to be cancelled" if batch.cancel and batch.state not in OVER else batch.state


@batches.command()
@tenant_options
@click.option("--tenant", required=True)
@click.argument("id")
def show(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, tenant: str, id: str) -> None:
    """Print the batch ID and why lines of it failed, as JSON; never what was written."""

    def work(connection: Any) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(shelf.get(connection, tenant, id))
        outcomes = shelf.outcomes(connection, tenant, id, ())
        found["errors"] = {str(outcome.row): outcome.error for outcome in outcomes if outcome.error}
        return found

    click.echo(msgspec.json.encode(_run(mode, file, assignments, data, tenant, work)).decode())


@batches.command()
@tenant_options
@click.option("--tenant", required=True)
@click.argument("id")
def cancel(mode: str, file: Path | None, assignments: tuple[str, ...], data: Path | None, tenant: str, id: str) -> None:
    """Want no more of the batch ID; what is written already is kept."""

    def work(connection: Any) -> None:
        if (state := shelf.get(connection, tenant, id).state) in OVER:
            raise Conflict(f"batch {id!r} is {state}", hint="see manage.py batches list")
        shelf.want_cancelled(connection, tenant, id)

    _run(mode, file, assignments, data, tenant, work)
    click.echo(f"{id} will be cancelled")
