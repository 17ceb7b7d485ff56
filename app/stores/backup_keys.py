"""The keys of a backup, apart from its copy: without them what is personal in the copy cannot be opened.

The file is small and may be rewritten, which no dump can be: that is how an erasure reaches the backups that are at
hand. The keys in it are wrapped by a master key, which no backup holds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select

from app.core.errors import Invalid
from app.stores import tables
from app.stores.vault import CHECKPOINT

FILE = "keys.bin"
TABLES = (tables.data_keys, tables.subject_keys)


class DataKey(msgspec.Struct, frozen=True, kw_only=True):
    tenant: str
    purpose: str
    id: bytes
    wrapped: bytes
    created_ms: int
    retired_ms: int | None = None


class SubjectKey(msgspec.Struct, frozen=True, kw_only=True):
    """`wrapped` is empty once the person was erased; the id stays, so that a restore knows whom to erase."""

    tenant: str
    id: bytes
    subject: str
    world: str
    wrapped: bytes
    created_ms: int


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    data_keys: tuple[DataKey, ...]
    subject_keys: tuple[SubjectKey, ...]


def read_keys(connection: Connection) -> Keys:
    """Every wrapped key of a database."""
    found: list[Any] = [
        [kind(**row) for row in connection.execute(select(table)).mappings()]
        for table, kind in zip(TABLES, (DataKey, SubjectKey), strict=True)
    ]
    return Keys(data_keys=tuple(found[0]), subject_keys=tuple(found[1]))


def write_keys(folder: Path, keys: Keys) -> None:
    """Put the file in the place of the one that is there, whole and synced."""
    part = folder / f"{FILE}.part"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.msgpack.encode(keys))
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / FILE)


def load_keys(folder: Path) -> Keys | None:
    """The keys of a backup; None for one that a release before sealing took. Raises Invalid."""
    try:
        return msgspec.msgpack.decode((folder / FILE).read_bytes(), type=Keys)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise Invalid(f"{folder / FILE} cannot be read: {error}", hint="use another backup") from error


def put_keys(connection: Connection, keys: Keys) -> None:
    """Give a restored database its keys."""
    for table, rows in zip(TABLES, (keys.data_keys, keys.subject_keys), strict=True):
        connection.execute(delete(table))
        if rows:
            connection.execute(insert(table), [msgspec.structs.asdict(row) for row in rows])


def shred(folder: Path, tenant: str, subjects: Sequence[str]) -> int:
    """Take the keys of persons, and those of the tenant's checkpoints, out of a backup; how many there were.

    Raises Invalid for a folder without keys.
    """
    keys = load_keys(folder)
    if keys is None:
        raise Invalid(f"{str(folder)!r} has no {FILE}", hint="a physical backup, or one from before sealing, ages out")
    mine = [one for one in keys.subject_keys if one.tenant == tenant and one.subject in subjects and one.wrapped]
    kept = tuple(msgspec.structs.replace(one, wrapped=b"") if one in mine else one for one in keys.subject_keys)
    data = tuple(one for one in keys.data_keys if one.tenant != tenant or one.purpose != CHECKPOINT)
    write_keys(folder, Keys(data_keys=data, subject_keys=kept))
    return len(mine)
