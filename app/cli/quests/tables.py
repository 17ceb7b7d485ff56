"""Tables of a studio's quest database, read from SQLite, a folder of CSV files or a dump of INSERT statements.

It knows rows and where each stands, nothing of quests. Every value is text as the source writes it, or None.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import Invalid, TooLarge, nearest

ROWS_MAX = 2_000_000
"""Rows of all tables together."""
FILE_BYTES_MAX = 1 << 30
SQLITE_MAGIC = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class Line:
    """One row: its values by column, and where it stands, as `table:row` or `file:line`."""

    values: Mapping[str, str | None]
    where: str


Tables = Mapping[str, list[Line]]


def tables_of(source: Path, names: Iterable[str], *, dialect: str = "") -> Tables:
    """The named tables; raises Invalid where one is not there or cannot be read."""
    wanted = list(dict.fromkeys(names))
    if source.is_dir():
        return {name: _checked(_csv(source, name)) for name in wanted}
    if source.stat().st_size > FILE_BYTES_MAX:
        raise TooLarge(f"{source.name!r} is larger than {FILE_BYTES_MAX} bytes", hint="dump only the quests' tables")
    with source.open("rb") as file:
        magic = file.read(len(SQLITE_MAGIC))
    if magic == SQLITE_MAGIC:
        return _sqlite(source, wanted)
    from app.cli.quests import dump

    return dump.tables_of(source, wanted, dialect=dialect)


def _checked(lines: Iterable[Line]) -> list[Line]:
    kept: list[Line] = []
    for line in lines:
        if len(kept) == ROWS_MAX:
            raise TooLarge(f"more than {ROWS_MAX} rows", hint="dump only the quests' tables")
        kept.append(line)
    return kept


def _sqlite(source: Path, wanted: list[str]) -> Tables:
    """Read-only, and the database may be in use."""
    try:
        connection = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)
        try:
            known = {
                str(name): None
                for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
            }
            require(source, wanted, known)
            return {name: _checked(_selected(connection, name)) for name in wanted}
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise Invalid(f"{source.name!r} cannot be read: {error}", hint="name a whole SQLite database") from error


def _selected(connection: sqlite3.Connection, table: str) -> Iterator[Line]:
    quoted = table.replace('"', '""')
    cursor = connection.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608  # an identifier that sqlite_master lists
    columns = [column[0] for column in cursor.description]
    for number, row in enumerate(cursor, 1):
        values = {name: _text(value) for name, value in zip(columns, row, strict=True)}
        yield Line(values, f"{table}:{number}")


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return f"{value:.17g}" if isinstance(value, float) else str(value)


def _csv(folder: Path, name: str) -> Iterator[Line]:
    path = folder / f"{name}.csv"
    if path.parent != folder or not path.is_file():
        known = {each.stem: None for each in sorted(folder.glob("*.csv"))}
        require(folder, [name], known)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                if None in row or None in row.values():
                    raise Invalid(f"{path.name}:{reader.line_num} has more or fewer columns than the first line")
                yield Line(dict(row), f"{path.name}:{reader.line_num}")
    except (csv.Error, UnicodeDecodeError) as error:
        raise Invalid(f"{path.name!r} cannot be read: {error}", hint="write UTF-8 with one header line") from error


def require(source: Path, wanted: Iterable[str], known: Mapping[str, object]) -> None:
    """Raises Invalid naming the nearest table for the first that is not there."""
    for name in wanted:
        if name not in known:
            raise Invalid(f"there is no table {name!r} in {source.name!r}", hint=nearest(name, known))
