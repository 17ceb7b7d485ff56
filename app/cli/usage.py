"""`manage.py usage`: what models have cost, from the event log, beside a running server or without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from app.cli.events import world_options
from app.cli.offline import chosen_profile, with_schema
from app.cli.options import profile_options
from app.stores.database import Database
from app.stores.replay import chosen_worlds
from app.stores.tenancy import EVERY_TENANT
from app.stores.usage import read_usage
from app.world.usage import Used, summary

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
    """Show tokens and money of each world, by day, month, NPC, player or engine."""

    async def work(database: Database) -> dict[str, dict[str, Any]]:
        return await database.run(
            tenant or EVERY_TENANT,
            lambda c: {
                f"{owner}/{id}": summary(read_usage(c, owner, id)) for owner, id in chosen_worlds(c, tenant, world)
            },
        )

    found = with_schema(chosen_profile(mode, file, assignments, data), work)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        _print(found, by)


def _print(found: dict[str, dict[str, Any]], by: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("world", by, "calls", "tokens in", "cached", "tokens out", "USD")
    for world, parts in found.items():
        for name, used in (*parts[f"{by}s"].items(), ("total", parts["total"])):
            table.add_row(world, name or "-", *_cells(used))
    Console().print(table)


def _cells(used: Used) -> tuple[str, ...]:
    counts = (used.calls, used.tokens_in, used.cached_tokens_in, used.tokens_out)
    return (*map(str, counts), f"{used.cost_nano_usd / 1e9:.6f}")
