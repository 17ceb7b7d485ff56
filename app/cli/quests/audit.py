"""`manage.py quests audit`: a studio's quest database, proved as a whole; it needs no server and no database."""

from __future__ import annotations

import click


@click.command()
def audit() -> None:
    """Prove every quest of a file."""
