"""Small secrets that lie sealed in a column: which they are, and their sealing anew under the current master key.

Whoever owns a column seals and opens it by the vault; this knows where they are, for the rotation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Table, select, text, update

from app.stores import tables
from app.stores.vault import key_of, vault_of

CLEAR_SECRET = "token_signing_key"  # noqa: S105  # a name
"""The release before this one reads it, and nobody since."""


class Field(NamedTuple):
    """A sealed column of the table `name`, and the column that is the key of its place."""

    name: str
    column: str
    key: str

    @property
    def table(self) -> Table:
        return tables.metadata.tables[self.name]


FIELDS = (
    Field("secrets", "value", "name"),
    Field("signing_keys", "value", "id"),
    Field("operators", "totp_secret", "id"),
    Field("operator_codes", "data", "digest"),
    Field("batch_lines", "request", "id"),
    Field("batch_lines", "outcome", "id"),
    Field("reports", "body", "id"),
    Field("reports", "note", "id"),
)


def keep_secret(connection: Connection, name: str, fresh: bytes) -> bytes:
    """The server's secret of that name, `fresh` from now on where there was none; several may ask at once."""
    vault = vault_of(connection)
    sealed = vault.seal("", "secrets", "value", name, fresh)
    statement = text("INSERT INTO secrets (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING")
    connection.execute(statement, {"name": name, "value": sealed})
    kept = connection.execute(select(tables.secrets.c.value).where(tables.secrets.c.name == name)).scalar_one()
    return vault.open("", "secrets", "value", name, bytes(kept))


def reseal(connection: Connection) -> int:
    """Seal every field under the current master key; how many were not."""
    vault, changed = vault_of(connection), 0
    for field, row in _rows(connection):
        tenant, blob = row.get("tenant", ""), bytes(row[field.column])
        if key_of(blob) == vault.ring.current[0]:
            continue
        place = (tenant, field.name, field.column, row[field.key])
        value = vault.seal(*place, vault.open(*place, blob))
        connection.execute(update(field.table).where(*_of(field, row)).values({field.column: value}))
        changed += 1
    return changed


def masters(connection: Connection) -> set[bytes]:
    """The ids of the master keys that seal a field."""
    return {key_of(bytes(row[field.column])) for field, row in _rows(connection)}


def _rows(connection: Connection) -> Iterator[tuple[Field, RowMapping]]:
    for field in FIELDS:
        for row in connection.execute(select(field.table)).mappings().all():
            if row[field.column] and row[field.key] != CLEAR_SECRET:
                yield field, row


def _of(field: Field, row: RowMapping) -> Iterator[Any]:
    return (column == row[column.name] for column in field.table.primary_key.columns)
