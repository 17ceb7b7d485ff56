"""Many rows into one table in few statements, in the way that each database takes them fastest.

SQLite's driver holds the interpreter's lock between rows and gives it up inside a statement, so a statement of
many rows lets the event loop run meanwhile. PostgreSQL takes one array for each column. It knows no table by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table

Row = tuple[Any, ...]
"""Values in the order of the table's columns."""
ROWS_PER_STATEMENT = 256
"""A power of two; what is left over goes in smaller ones, so that few statements are ever prepared."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows, in order, in the connection's transaction."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            _arrays(table, connection), tuple(list(column) for column in zip(*rows, strict=True))
        )
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


@lru_cache(maxsize=16)
def _arrays_of(table: Table, types: tuple[str, ...]) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    arrays = ", ".join(f"CAST(${number} AS {type_}[])" for number, type_ in enumerate(types, 1))
    return f'INSERT INTO "{table.name}" ({names}) SELECT * FROM unnest({arrays})'  # noqa: S608  # names of ours


def _arrays(table: Table, connection: Connection) -> str:
    return _arrays_of(table, tuple(column.type.compile(connection.dialect) for column in table.columns))
