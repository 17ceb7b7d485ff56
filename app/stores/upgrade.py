"""Runs Alembic; apart from the database so that a start on a current schema never imports it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade(connection: Connection, migrations: Path, revision: str = "head") -> None:
    """Apply the revisions of the `migrations` folder up to `revision`.

    On SQLite all in the transaction that the caller has begun; on PostgreSQL each in its own (see migrations/env.py).
    """
    if connection.dialect.name == "postgresql":
        connection.commit()  # ends the one that reading the revision began
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
