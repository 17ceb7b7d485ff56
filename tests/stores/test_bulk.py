"""Many rows in one statement, over each real database: the same rows come back, and what fails is named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from app.core.errors import StoreDown
from app.stores import tables
from app.stores.bulk import Row, insert_rows
from app.stores.database import Database, open_database
from app.stores.tenancy import EVERY_TENANT
from tests.stores.conftest import MIGRATIONS

ROWS: list[Row] = [("t", "w", n, f"{n:026d}", n, 0.5 * n, 1, f'{{"n":"ä\t{n}"}}'.encode()) for n in range(1, 701)]


@pytest.fixture
async def database(url: str, tmp_path: Path) -> AsyncIterator[Database]:
    found = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
    await found.upgrade()
    yield found
    await found.close()


async def test_rows_come_back_as_they_were_written_and_in_order(database: Database) -> None:
    await database.run(EVERY_TENANT, lambda connection: insert_rows(connection, tables.events, ROWS))
    assert await database.run(EVERY_TENANT, _all) == ROWS


async def test_rows_that_cannot_be_written_leave_nothing_and_the_next_go_in(database: Database) -> None:
    with pytest.raises(StoreDown):
        await database.run(EVERY_TENANT, lambda connection: insert_rows(connection, tables.events, [*ROWS, ROWS[0]]))
    assert await database.run(EVERY_TENANT, _count) == 0
    await database.run(EVERY_TENANT, lambda connection: insert_rows(connection, tables.events, ROWS))
    assert await database.run(EVERY_TENANT, _count) == len(ROWS)


async def test_a_connection_cut_before_the_rows_is_a_store_down_and_a_new_one_is_opened(
    postgres: Callable[[], str], tmp_path: Path
) -> None:
    database = open_database(postgres(), folder=tmp_path, migrations=MIGRATIONS)
    await database.upgrade()

    def cut(connection: Connection) -> None:
        connection.connection.dbapi_connection.driver_connection.terminate()
        insert_rows(connection, tables.events, ROWS)

    with pytest.raises(StoreDown):
        await database.run(EVERY_TENANT, cut)
    await database.run(EVERY_TENANT, lambda connection: insert_rows(connection, tables.events, ROWS))
    assert await database.run(EVERY_TENANT, _count) == len(ROWS)
    await database.close()


def _all(connection: Connection) -> list[Row]:
    return [tuple(row) for row in connection.execute(select(tables.events).order_by(tables.events.c.seq))]


def _count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(tables.events)).scalar_one()
