"""The Alembic history and the tables are the same schema."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import create_engine

from app.stores.database import open_database
from app.stores.tables import SCHEMA_REVISION
from app.stores.upgrade import upgrade

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def schema(file: Path) -> dict[str, list[tuple[object, ...]]]:
    connection = sqlite3.connect(file)
    try:
        tables = [
            row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        ]
        found = {table: sorted(connection.execute(f"PRAGMA table_info({table})")) for table in tables}
        indexes = connection.execute("SELECT tbl_name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name")
        found["indexes"] = list(indexes)
        return found
    finally:
        connection.close()


def test_a_fresh_database_is_what_the_migrations_make(tmp_path: Path) -> None:
    fresh = open_database("", folder=tmp_path / "fresh", migrations=MIGRATIONS)
    assert fresh.upgrade() == ""
    (tmp_path / "migrated").mkdir()
    engine = create_engine(f"sqlite:///{tmp_path / 'migrated' / 'innkeeper.db'}")
    upgrade(engine, MIGRATIONS)
    engine.dispose()
    fresh._engine.dispose()
    assert schema(tmp_path / "fresh" / "innkeeper.db") == schema(tmp_path / "migrated" / "innkeeper.db")


def test_a_current_database_is_left_alone(tmp_path: Path) -> None:
    for found in ("", SCHEMA_REVISION):
        database = open_database("", folder=tmp_path, migrations=MIGRATIONS)
        assert database.upgrade() == found
        database._engine.dispose()


def test_an_older_database_is_brought_forward(tmp_path: Path) -> None:
    database = open_database("", folder=tmp_path, migrations=MIGRATIONS)
    database.upgrade()
    connection = sqlite3.connect(tmp_path / "innkeeper.db")
    connection.execute("DELETE FROM alembic_version")
    for table in ("checkpoints", "idempotency", "events", "worlds", "secrets", "api_keys", "tenants"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("INSERT INTO alembic_version VALUES ('base')")
    connection.execute("DELETE FROM alembic_version")
    connection.commit()
    connection.close()
    upgrade(database._engine, MIGRATIONS)
    assert database.upgrade() == SCHEMA_REVISION
    database._engine.dispose()
