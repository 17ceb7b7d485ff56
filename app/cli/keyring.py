"""`manage.py keyring`: the keys that sign tokens, straight in the database; servers learn of it within a second."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from app.build.records import rotate_ring, signing_key
from app.cli.keys import run_in_database
from app.cli.options import load_profile, profile_options
from app.control.ring import LEARN_MS, Ring
from app.core.errors import Conflict, NotFound, nearest
from app.stores import identity
from app.stores.tenancy import SERVERS

MINUTE_MS = 60_000


@click.group()
def keyring() -> None:
    """List, rotate and retire the keys that sign tokens."""


@keyring.command(name="list")
@profile_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_(mode: str, file: Path | None, assignments: tuple[str, ...], as_json: bool) -> None:
    """List the ring: which key signs, and which still verify."""
    token_ms = load_profile(mode, file, assignments).profile.security.token_minutes * MINUTE_MS
    keys = [signing_key(row) for row in run_in_database(mode, file, assignments, SERVERS, identity.signing_keys)]
    ring, now_ms = Ring(keys, token_ms=token_ms), _now_ms()
    signs = ring.signer(now_ms).id if any(key.retired_ms is None for key in keys) else ""
    shown = [
        {
            "id": key.id,
            "created_ms": key.created_ms,
            "retired_ms": key.retired_ms,
            "signs": key.id == signs,
            "verifies": ring.verifies(key, now_ms),
        }
        for key in ring.keys
    ]
    if as_json:
        click.echo(json.dumps(shown))
        return
    for each in shown:
        state = "signs" if each["signs"] else "verifies" if each["verifies"] else "is over"
        click.echo(f"{each['id']}  {state}")


@keyring.command()
@profile_options
def rotate(mode: str, file: Path | None, assignments: tuple[str, ...]) -> None:
    """Let a new key sign, two seconds from now; the old one verifies until the last token it signed is over."""
    now_ms = _now_ms()
    run_in_database(
        mode,
        file,
        assignments,
        SERVERS,
        lambda c: rotate_ring(c, now_ms, older_than_ms=-1, signs_ms=now_ms + LEARN_MS),
    )
    click.echo("rotated")


@keyring.command()
@profile_options
@click.argument("id")
def retire(mode: str, file: Path | None, assignments: tuple[str, ...], id: str) -> None:
    """End the signing key ID, and with it every token that it signed; raises Conflict for the only one."""

    def work(connection: Any) -> None:
        held = [row["id"] for row in identity.signing_keys(connection) if row["retired_ms"] is None]
        if id not in held:
            raise NotFound(f"no signing key {id!r} in force", hint=nearest(id, held))
        if held == [id]:
            raise Conflict(f"{id!r} is the only signing key", hint="manage.py keyring rotate, then retire it")
        identity.retire_signing_key(connection, id, _now_ms())

    run_in_database(mode, file, assignments, SERVERS, work)
    click.echo(f"retired {id}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
