"""`manage.py key`: API keys, straight in the database; a running server learns of a change within a second."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from app.build.access import DEFAULT_TENANT
from app.build.audit import append_with
from app.cli.offline import database_of
from app.cli.options import load_profile, profile_options
from app.control.auth import ALL_SCOPES
from app.control.keys import draw_text, make_key, split
from app.control.permissions import SCOPES, Role
from app.core.clock import SystemClock
from app.core.digests import digest
from app.core.errors import NotFound, nearest
from app.core.module import Scope
from app.core.profile import Profile
from app.stores import identity
from app.stores.tenancy import EVERY_TENANT, Tenants

T = TypeVar("T")
DAY_MS = 86_400_000
MINUTE_MS = 60_000
GRACE_MINUTES_MAX = 30 * 24 * 60
SECRET_COLUMNS = frozenset({"secret_sha256", "secret_hmac", "previous_digest"})


class Entry(NamedTuple):
    """What the audit trail is told of a change."""

    tenant: str
    action: str
    target: str
    details: dict[str, str | int | bool]


@click.group()
def key() -> None:
    """Make, list, rotate and revoke API keys."""


def run_in_database(
    mode: str, file: Path | None, assignments: tuple[str, ...], tenants: Tenants, work: Callable[[Any], T]
) -> T:
    """The result of `work` over a connection to the profile's database, for those tenants."""
    return _run(load_profile(mode, file, assignments).profile, tenants, work)


def change_in_database(
    mode: str, file: Path | None, assignments: tuple[str, ...], tenant: str, work: Callable[[Any], Entry]
) -> None:
    """Run `work` over the profile's database and note what it did, in one transaction."""
    profile = load_profile(mode, file, assignments).profile

    def noted(connection: Any) -> None:
        entry = work(connection)
        append_with(
            connection, profile, SystemClock(), entry.tenant, "host", entry.action, entry.target, **entry.details
        )

    _run(profile, tenant, noted)


def _run(profile: Profile, tenants: Tenants, work: Callable[[Any], T]) -> T:

    def prepared(connection: Any) -> T:
        identity.prepare(connection)
        return work(connection)

    async def run() -> T:
        database = database_of(profile)
        try:
            await database.upgrade()
            return await database.run(tenants, prepared)
        finally:
            await database.close()

    return asyncio.run(run())


@key.command()
@profile_options
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose it is; a new name makes a tenant.")
@click.option("--label", required=True, help="What the key is for.")
@click.option("--role", type=click.Choice([role.value for role in Role]), help="What it may do, by what it is for.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice([scope.name or "" for scope in Scope]))
@click.option("--days", type=click.IntRange(1, 3_650), help="Days until it expires; never when left out.")
def create(
    mode: str,
    file: Path | None,
    assignments: tuple[str, ...],
    tenant: str,
    label: str,
    role: str | None,
    scopes: tuple[str, ...],
    days: int | None,
) -> None:
    """Make a key and print it, once. Without a role and a scope it may do everything."""
    held = Scope(sum(Scope[name] for name in set(scopes)))
    if role is not None:
        held |= SCOPES[Role(role)]
    elif not scopes:
        held = ALL_SCOPES
    now_ms = _now_ms()
    expires_ms = now_ms + days * DAY_MS if days else None
    new = make_key(label=label, scopes=held, created_ms=now_ms, expires_ms=expires_ms, role=role or "")

    def work(connection: Any) -> Entry:
        identity.add_api_key(connection, tenant, new.row, now_ms)
        details: dict[str, str | int | bool] = {"scopes": int(held), "label": label}
        return Entry(tenant, "key.created", f"key:{new.row['prefix']}", details)

    change_in_database(mode, file, assignments, tenant, work)
    click.echo(new.text)


@key.command(name="list")
@profile_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_(mode: str, file: Path | None, assignments: tuple[str, ...], as_json: bool) -> None:
    """List keys by prefix; secrets are not kept."""
    rows = run_in_database(mode, file, assignments, EVERY_TENANT, identity.api_keys)
    shown = [{name: value for name, value in row.items() if name not in SECRET_COLUMNS} for row in rows]
    if as_json:
        click.echo(json.dumps(shown))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("prefix", "tenant", "label", "role", "scopes", "expires", "revoked", "last used")
    for row in shown:
        used_ms = row["used_day"] * DAY_MS if row["used_day"] else None
        times = [_day(each) for each in (row["expires_ms"], row["revoked_ms"], used_ms)]
        scopes = str(Scope(row["scopes"]).name)
        table.add_row(row["prefix"], row["tenant"], row["label"], row["role"] or "", scopes, *times)
    Console().print(table)


@key.command()
@profile_options
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose it is.")
@click.option(
    "--grace-minutes",
    type=click.IntRange(0, GRACE_MINUTES_MAX),
    default=0,
    show_default=True,
    help="How long the old secret holds beside the new one.",
)
@click.argument("prefix")
def rotate(
    mode: str, file: Path | None, assignments: tuple[str, ...], tenant: str, grace_minutes: int, prefix: str
) -> None:
    """Give the key with PREFIX a new secret and print it, once."""
    text = draw_text(prefix)
    until_ms = _now_ms() + grace_minutes * MINUTE_MS

    def work(connection: Any) -> int:
        return identity.rotate_api_key(connection, tenant, prefix, digest(split(text)[1]), until_ms)

    _change(mode, file, assignments, tenant, prefix, work, "key.rotated")
    click.echo(text)


@key.command()
@profile_options
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="Whose it is.")
@click.argument("prefix")
def revoke(mode: str, file: Path | None, assignments: tuple[str, ...], tenant: str, prefix: str) -> None:
    """Revoke the key with PREFIX, and with it every token, socket and stream that it opened."""
    now_ms = _now_ms()

    def work(connection: Any) -> int:
        return identity.revoke_api_key(connection, tenant, prefix, now_ms)

    _change(mode, file, assignments, tenant, prefix, work, "key.revoked")
    click.echo(f"revoked {prefix}")


def _change(
    mode: str,
    file: Path | None,
    assignments: tuple[str, ...],
    tenant: str,
    prefix: str,
    work: Callable[[Any], int],
    action: str,
) -> None:
    """Run `work` on a key in force and note it as `action`; raises NotFound where there is none."""

    def run(connection: Any) -> Entry:
        known = [row["prefix"] for row in identity.api_keys_of(connection, tenant) if row["revoked_ms"] is None]
        if not work(connection):
            raise NotFound(f"no key {prefix!r} in force", hint=nearest(prefix, known))
        return Entry(tenant, action, f"key:{prefix}", {})

    change_in_database(mode, file, assignments, tenant, run)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _day(moment_ms: int | None) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment_ms / 1000)) if moment_ms else ""
