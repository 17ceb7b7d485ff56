"""The Alembic history and the tables are the same schema, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from app.stores import repositories
from app.stores.database import open_database
from app.stores.tenancy import EVERY_TENANT
from tests.stores.conftest import MIGRATIONS


def schema(connection: Connection) -> dict[str, Any]:
    """Columns, keys and constraints of every table, as the database tells them."""
    found = inspect(connection)
    return {
        table: (
            [{**column, "type": str(column["type"])} for column in found.get_columns(table)],
            found.get_pk_constraint(table)["constrained_columns"],
            [unique["column_names"] for unique in found.get_unique_constraints(table)],
        )
        for table in sorted(found.get_table_names())
    }


def age(connection: Connection) -> None:
    """Make the oldest schema: Alembic's own table and nothing else."""
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))


async def test_a_fresh_database_is_what_the_migrations_make(
    tmp_path: Path, url: str, postgres: Callable[[], str]
) -> None:
    other = postgres() if url.startswith("postgresql") else f"sqlite:///{tmp_path / 'migrated.db'}"
    fresh = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    migrated = open_database(other, folder=tmp_path, migrations=MIGRATIONS)
    await fresh.upgrade()
    await migrated.run(EVERY_TENANT, age)
    await migrated.upgrade()
    assert await fresh.run(EVERY_TENANT, schema) == await migrated.run(EVERY_TENANT, schema)
    await fresh.close()
    await migrated.close()


async def test_a_current_database_is_left_alone(tmp_path: Path, url: str) -> None:
    first = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    await first.upgrade()
    await first.run(EVERY_TENANT, lambda connection: repositories.insert_world(connection, "t", "w", 0))
    await first.close()
    second = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    await second.upgrade()
    assert await second.run(EVERY_TENANT, repositories.world_ids) == [("t", "w")]
    await second.close()


async def test_an_older_schema_is_brought_forward(tmp_path: Path, url: str) -> None:
    database = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    await database.run(EVERY_TENANT, age)
    await database.upgrade()
    assert "events" in await database.run(EVERY_TENANT, schema)
    await database.close()
