"""`manage.py profile`: what a profile holds, and where each value came from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
import msgspec

from app.cli.options import load_profile, profile_options
from app.core.profile import flatten
from app.telemetry import hygiene


@click.group()
def profile() -> None:
    """Look at profiles."""


@profile.command()
@profile_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(mode: str, file: Path | None, assignments: tuple[str, ...], as_json: bool) -> None:
    """Print every value with its origin; keys and passwords are not shown."""
    loaded = load_profile(mode, file, assignments)
    values = dict(flatten(msgspec.to_builtins(loaded.profile)))
    rows = [(key, _shown(value), loaded.origins.get(key, "default")) for key, value in sorted(values.items())]
    if as_json:
        click.echo(json.dumps({key: {"value": value, "origin": origin} for key, value, origin in rows}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Mode {mode}")
    for heading in ("key", "value", "origin"):
        table.add_column(heading, overflow="fold")
    for key, value, origin in rows:
        table.add_row(key, json.dumps(value), _near(origin))
    Console().print(table)


def _shown(value: Any) -> Any:
    """The value without a secret: a password in an address, a key that stands where its name belongs."""
    if isinstance(value, str):
        return hygiene.text(value)
    return [_shown(one) for one in value] if isinstance(value, list | tuple) else value


def _near(origin: str) -> str:
    """A file's path from here, where that is shorter."""
    return min(origin, os.path.relpath(origin), key=len) if os.path.isabs(origin) else origin
