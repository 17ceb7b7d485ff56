"""Many rows into one table in few statements, in the way that each database takes them fastest.

SQLite's driver holds the interpreter's lock between rows and gives it up inside a statement, so a statement of
many rows lets the event loop run meanwhile. PostgreSQL takes them column by column, as one array each: COPY is closed
to tables under row-level security. It knows no table by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Column, Connection, String, Table
from sqlalchemy.dialects import postgresql

Row = tuple[Any, ...]
"""Values in the order of the table's columns."""
ROWS_PER_STATEMENT = 256
"""A power of two; what is left over goes in smaller ones, so that few statements are ever prepared."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows, in order, in the connection's transaction."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_unnest(table), tuple(map(list, zip(*rows, strict=True))))
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


@lru_cache(maxsize=64)
def _unnest(table: Table) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    arrays = ", ".join(f"${at}::{_array_type(column)}" for at, column in enumerate(table.columns, 1))
    return f'INSERT INTO "{table.name}" ({names}) SELECT * FROM unnest({arrays})'  # noqa: S608  # names of ours


def _array_type(column: Column[Any]) -> str:
    """The type without its length: a cast to a length would cut what is too long, and the table refuses it."""
    if isinstance(column.type, String):
        return "text[]"
    return f"{column.type.compile(dialect=postgresql.dialect())}[]"  # type: ignore[no-untyped-call]
