"""The master keys, outside the database: a file in the data folder, or a variable of the environment.

Several may be held at once, of which one is current: what is wrapped anew is wrapped by that one. The file is made when
a key is first needed. It knows nothing of what the keys protect.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from app.core.errors import Invalid
from app.stores.aead import KEY_BYTES, derive

FILE = "master.key"
VARIABLE = "INNKEEPER_MASTER_KEY"
FILE_VARIABLE = "INNKEEPER_MASTER_KEY_FILE"
ID_BYTES = 8


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`keys` are base64, the current one first."""

    keys: tuple[str, ...]


class Ring:
    """Master keys by id; an id is derived from its key and tells nothing of it."""

    def __init__(self, path: Path | None, environment: Mapping[str, str] = os.environ) -> None:
        """`path` None: keys of the environment alone, or none at all."""
        named = environment.get(FILE_VARIABLE, "")
        self._path = Path(named) if named else path
        self._text = environment.get(VARIABLE, "")
        self._keys: dict[bytes, bytes] | None = None
        self._read_ns = 0

    @property
    def current(self) -> tuple[bytes, bytes]:
        """(id, key) of the current key; made and written where there is none. Raises Invalid."""
        keys = self._loaded()
        if not keys:
            if self._path is None:
                raise Invalid("there is no master key", hint=f"name the data folder with --data, or set {VARIABLE}")
            self._write((secrets.token_bytes(KEY_BYTES),), fresh=True)
            keys = self._loaded()
        return next(iter(keys.items()))

    def key(self, id: bytes) -> bytes:
        """The key of that id; raises Invalid where the ring does not hold it, which never means that it was erased."""
        found = self._loaded().get(id)
        if found is None:
            where = VARIABLE if self._text else str(self._path)
            raise Invalid(
                f"the master key {id.hex()} is missing in {where}",
                hint=f"put the {FILE} of this database back; replicas share one by {VARIABLE}",
            )
        return found

    def holds(self, id: bytes) -> bool:
        return id in self._loaded()

    def add(self) -> bytes:
        """Make a new current key beside the old ones and return its id; raises Invalid for a ring by variable."""
        self._require_file()
        self._write((secrets.token_bytes(KEY_BYTES), *self._loaded().values()), fresh=False)
        return self.current[0]

    def retire(self) -> int:
        """Forget every key but the current one, and return how many."""
        self._require_file()
        (_, key), *old = self._loaded().items()
        self._write((key,), fresh=False)
        return len(old)

    def _require_file(self) -> None:
        if self._text:
            raise Invalid(
                f"the ring is the variable {VARIABLE}", hint="put a new key in front of the old one there, by a comma"
            )

    def _loaded(self) -> dict[bytes, bytes]:
        changed_ns = self._changed_ns()
        if self._keys is None or changed_ns != self._read_ns:  # another process may have rotated the ring
            self._read_ns = changed_ns
            texts = [part.strip() for part in self._text.split(",")] if self._text else self._read()
            self._keys = {key_id(key): key for key in map(_decoded, texts)}
        return self._keys

    def _changed_ns(self) -> int:
        if self._text or self._path is None:
            return 0
        try:
            return self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _read(self) -> tuple[str, ...]:
        if self._path is None or not self._path.exists():
            return ()
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_File).keys
        except (OSError, msgspec.MsgspecError) as error:
            raise Invalid(f"{self._path} cannot be read: {error}", hint="put the file back from its copy") from error

    def _write(self, keys: tuple[bytes, ...], *, fresh: bool) -> None:
        """Write the file whole and synced; a `fresh` one leaves alone what another process has made meanwhile."""
        assert self._path is not None  # noqa: S101  # asked for by both callers
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        body = msgspec.json.encode(_File(tuple(base64.b64encode(key).decode() for key in keys)))
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        try:
            if fresh:
                os.link(part, self._path)
            else:
                part.replace(self._path)
        except FileExistsError:
            pass
        finally:
            part.unlink(missing_ok=True)
        self._keys = None


def key_id(key: bytes) -> bytes:
    """The name of a key: 8 bytes derived from it."""
    return derive(key, b"innkeeper key id", ID_BYTES)


def _decoded(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Invalid("a master key is no base64", hint="write 32 random bytes as base64") from error
    if len(key) != KEY_BYTES:
        raise Invalid(f"a master key has {len(key)} bytes", hint="write 32 random bytes as base64")
    return key
