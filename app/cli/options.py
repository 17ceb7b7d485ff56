"""The options that choose a profile, shared by every verb that needs one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from app.build import MODULE_SETTINGS, ROOT
from app.core.profile import Loaded, layers, load

F = TypeVar("F", bound=Callable[..., Any])

MODES = ("1", "2", "3")
DEFAULT_MODE = "2"


def profile_options(command: F) -> F:
    """`--mode`, `--profile` and `--set` for a click command."""
    for option in (
        click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override one value."),
        click.option(
            "--profile", "file", type=click.Path(path_type=Path), help="A TOML file of yours, over the mode's."
        ),
        click.option("--mode", type=click.Choice(MODES), default=DEFAULT_MODE, show_default=True, help="What thinks."),
    ):
        command = option(command)
    return command


def load_profile(mode: str, file: Path | None, assignments: tuple[str, ...], **flags: object) -> Loaded:
    """The profile that the options choose; warnings go to standard error. Raises Invalid."""
    values: dict[str, object] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise click.UsageError(f"--set {assignment!r} has no '='; write --set server.port=9000")
        values[key] = value
    values.update({key.replace("__", "."): value for key, value in flags.items() if value is not None})
    sources = layers(ROOT / "profiles", mode=int(mode), file=file, environment=os.environ, flags=values)
    loaded = load(sources, MODULE_SETTINGS)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    return loaded
