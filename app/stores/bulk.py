"""Many rows into one table in few statements, in the way that each database takes them fastest.

SQLite's driver holds the interpreter's lock between rows and gives it up inside a statement, so a statement of
many rows lets the event loop run meanwhile. PostgreSQL takes them by COPY, which costs the least time here and
there and writes the least log. It knows no table by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

Row = tuple[Any, ...]
"""Values in the order of the table's columns."""
ROWS_PER_STATEMENT = 256
"""A power of two; what is left over goes in smaller ones, so that few statements are ever prepared."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows, in order, in the connection's transaction."""
    if connection.dialect.name == "postgresql":
        _copy(connection, table, rows)
        return
    at, size = 0, ROWS_PER_STATEMENT
    while at < len(rows):
        while size > len(rows) - at:
            size //= 2
        connection.exec_driver_sql(_values(table, size), tuple(chain.from_iterable(rows[at : at + size])))
        at += size


@lru_cache(maxsize=64)
def _values(table: Table, rows: int) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    one = f"({', '.join('?' for _ in table.columns)})"
    return f'INSERT INTO "{table.name}" ({names}) VALUES {", ".join([one] * rows)}'  # noqa: S608  # names of ours


def _copy(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    from asyncpg import InterfaceError, PostgresError  # type: ignore[import-untyped]

    async def copy(driver: Any) -> None:
        await driver.copy_records_to_table(table.name, records=rows, columns=[column.name for column in table.columns])

    adapted: Any = connection.connection.dbapi_connection
    driver = adapted.driver_connection
    if driver.is_closed() or not driver.is_in_transaction():
        connection.exec_driver_sql("SELECT 1")  # SQLAlchemy begins, or finds the end, with a statement of its own
    try:
        adapted.run_async(copy)
    except (PostgresError, InterfaceError) as error:
        raise DBAPIError(f"COPY {table.name}", None, error) from error
