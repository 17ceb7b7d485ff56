"""`manage.py key`: API keys, straight in the database; a running server learns of a change when it starts."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from app.build.access import DEFAULT_TENANT
from app.cli.offline import database_of
from app.cli.options import load_profile, profile_options
from app.control.auth import ALL_SCOPES, make_key
from app.core.errors import NotFound, nearest
from app.core.module import Scope
from app.stores import repositories
from app.stores.tenancy import EVERY_TENANT, Tenants

T = TypeVar("T")
DAY_MS = 86_400_000
LEARNS = "a server that is running now learns of this when it starts again"


@click.group()
def key() -> None:
    """Make, list and revoke API keys."""


def _run(mode: str, file: Path | None, assignments: tuple[str, ...], tenants: Tenants, work: Callable[[Any], T]) -> T:
    """The result of `work` over a connection to the profile's database, for those tenants."""
    profile = load_profile(mode, file, assignments).profile

    async def run() -> T:
        database = database_of(profile)
        try:
            await database.upgrade()
            return await database.run(tenants, work)
        finally:
            await database.close()

    return asyncio.run(run())


@key.command()
@profile_options
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose it is; a new name makes a tenant.")
@click.option("--label", required=True, help="What the key is for.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice([scope.name or "" for scope in Scope]))
@click.option("--days", type=click.IntRange(1, 3_650), help="Days until it expires; never when left out.")
def create(
    mode: str,
    file: Path | None,
    assignments: tuple[str, ...],
    tenant: str,
    label: str,
    scopes: tuple[str, ...],
    days: int | None,
) -> None:
    """Make a key and print it, once."""
    held = Scope(sum(Scope[name] for name in scopes)) if scopes else ALL_SCOPES
    now_ms = time.time_ns() // 1_000_000
    new = make_key(label=label, scopes=held, created_ms=now_ms, expires_ms=now_ms + days * DAY_MS if days else None)

    _run(mode, file, assignments, tenant, lambda c: repositories.add_api_key(c, tenant, new.row, now_ms))
    click.echo(new.text)
    click.echo(LEARNS, err=True)


@key.command(name="list")
@profile_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_(mode: str, file: Path | None, assignments: tuple[str, ...], as_json: bool) -> None:
    """List keys by prefix; secrets are not kept."""
    rows = _run(mode, file, assignments, EVERY_TENANT, repositories.api_keys)
    shown = [{name: value for name, value in row.items() if name != "secret_sha256"} for row in rows]
    if as_json:
        click.echo(json.dumps(shown))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("prefix", "tenant", "label", "scopes", "revoked")
    for row in shown:
        table.add_row(
            row["prefix"], row["tenant"], row["label"], str(Scope(row["scopes"]).name), str(row["revoked_ms"])
        )
    Console().print(table)


@key.command()
@profile_options
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose it is.")
@click.argument("prefix")
def revoke(mode: str, file: Path | None, assignments: tuple[str, ...], tenant: str, prefix: str) -> None:
    """Revoke the key with PREFIX."""
    now_ms = time.time_ns() // 1_000_000

    def work(connection: Any) -> tuple[int, list[str]]:
        revoked = repositories.revoke_api_key(connection, tenant, prefix, now_ms)
        return revoked, [row["prefix"] for row in repositories.api_keys(connection) if row["revoked_ms"] is None]

    revoked, known = _run(mode, file, assignments, tenant, work)
    if not revoked:
        raise NotFound(f"no key {prefix!r} in force", hint=nearest(prefix, known))
    click.echo(f"revoked {prefix}")
    click.echo(LEARNS, err=True)
