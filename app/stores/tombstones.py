"""The erasures of a data folder, outside the database: a backup that is put back cannot bring back what they name.

A line holds a salted hash of tenant and subject, never the id. The file is only added to, each line synced before
the erasure goes on. It knows nothing of what erasing means.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Literal

import msgspec

from app.core.errors import StoreDown

FILE = "erasures.log"
SALT_BYTES = 32
Left = Literal["totals", "numbers"]


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """One erasure: what was known of the person before `at_ms` stays erased."""

    digest: str
    alias: str
    left: Left
    at_ms: int


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    salt: str


_decoder = msgspec.json.Decoder(Tombstone)


class Tombstones:
    """The file, read anew for each question; there are few lines and fewer questions."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def digest(self, tenant: str, subject: str) -> str:
        """The salted hash of a person; makes the file with its salt where there is none."""
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._append(msgspec.json.encode(_Head(salt=secrets.token_hex(SALT_BYTES))))
        with self._path.open("rb") as file:
            salt = bytes.fromhex(msgspec.json.decode(file.readline(), type=_Head).salt)
        return hmac.new(salt, msgspec.msgpack.encode((tenant, subject)), hashlib.sha256).hexdigest()

    def add(self, tombstone: Tombstone) -> None:
        """Write a line and sync it; raises StoreDown when the disk fails."""
        self._append(msgspec.json.encode(tombstone))

    def all(self) -> dict[str, Tombstone]:
        """The newest tombstone of each digest; a last line that a kill has cut is none."""
        if not self._path.exists():
            return {}
        found = {}
        for line in self._path.read_bytes().split(b"\n")[1:]:
            try:
                tombstone = _decoder.decode(line)
            except msgspec.DecodeError:
                continue
            found[tombstone.digest] = tombstone
        return found

    def _append(self, line: bytes) -> None:
        try:
            with os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
                size = file.seek(0, os.SEEK_END)
                if size:
                    file.seek(size - 1)
                    line = line if file.read(1) == b"\n" else b"\n" + line
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreDown(f"{self._path} cannot be written: {error.strerror}", hint="free disk space") from error
