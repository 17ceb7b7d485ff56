"""`manage.py behavior`: look into what NPCs decided, outside a server."""

from __future__ import annotations

import click

from app.cli.recordings import export, replay


@click.group()
def behavior() -> None:
    """Recorded play: repeat it, or take it elsewhere."""


behavior.add_command(replay)
behavior.add_command(export)
