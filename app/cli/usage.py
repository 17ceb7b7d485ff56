"""`manage.py usage`: what models have cost, by the log and the doors, with or without a running server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
from sqlalchemy import Connection

from app.cli.events import world_options
from app.cli.offline import chosen_profile, with_schema
from app.cli.options import profile_options
from app.stores import door_usage, repositories
from app.stores.database import Database
from app.stores.replay import chosen_worlds
from app.stores.tenancy import EVERY_TENANT
from app.stores.usage import read_usage
from app.world.usage import Table, Used, joined, summary

PARTS = ("days", "months", "npcs", "players", "engines")


@click.command()
@profile_options
@world_options
@click.option("--by", type=click.Choice([part[:-1] for part in PARTS]), default="day", help="What a line stands for.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def usage(
    mode: str,
    file: Path | None,
    assignments: tuple[str, ...],
    data: Path | None,
    tenant: str,
    world: str,
    by: str,
    as_json: bool,
) -> None:
    """Show tokens and money of each world, by day, month, NPC, player or engine.

    `TENANT/` with no world behind it is what other programs had written at the doors for none.
    """

    async def work(database: Database) -> dict[str, dict[str, Any]]:
        return await database.run(tenant or EVERY_TENANT, lambda c: _found(c, tenant, world))

    found = with_schema(chosen_profile(mode, file, assignments, data), work)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        _print(found, by)


def _found(connection: Connection, tenant: str, world: str) -> dict[str, dict[str, Any]]:
    """`tenant/world` -> totals, in order; `tenant/` is what was spent for no world, where no world is asked for."""
    tables: dict[str, Table] = {}
    for owner, id in chosen_worlds(connection, tenant, world):
        tables[f"{owner}/{id}"] = read_usage(connection, owner, id)
    for owner in [tenant] if tenant else repositories.tenant_ids(connection):
        for id, table in door_usage.read(connection, owner).items():
            if world in ("", id):
                tables[f"{owner}/{id}"] = joined(tables.get(f"{owner}/{id}", {}), table)
    return {place: summary(table) for place, table in sorted(tables.items())}


def _print(found: dict[str, dict[str, Any]], by: str) -> None:
    from rich.console import Console
    from rich.table import Table as Grid

    table = Grid("world", by, "calls", "tokens in", "cached", "tokens out", "USD")
    for world, parts in found.items():
        for name, used in (*parts[f"{by}s"].items(), ("total", parts["total"])):
            table.add_row(world, name or "-", *_cells(used))
    Console().print(table)


def _cells(used: Used) -> tuple[str, ...]:
    counts = (used.calls, used.tokens_in, used.cached_tokens_in, used.tokens_out)
    return (*map(str, counts), f"{used.cost_nano_usd / 1e9:.6f}")
