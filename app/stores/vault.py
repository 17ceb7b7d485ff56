"""The vault: what seals values, by which key, and how a sealed value names it.

A sealed value is version | key id | nonce | ciphertext and tag. It is bound to its tenant, table, column and primary
key, so that one which was moved does not open. Data keys and subjects' keys lie in the database, wrapped by a master
key; fields of other tables are sealed by a key derived from the master key for their tenant.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, insert, select

from app.core.errors import StoreDown
from app.stores import tables
from app.stores.aead import KEY_BYTES, NONCE_BYTES, TAG_BYTES, derive
from app.stores.ring import ID_BYTES, Ring

VERSION = b"\x01"
HEAD_BYTES = len(VERSION) + ID_BYTES + NONCE_BYTES
SEALS_MAX = 1 << 31
"""Random nonces of one key; SP 800-38D allows 2^32, and a key is replaced well before."""
OPENED_MAX = 65_536
CHECKPOINT = "checkpoint"
_encode = msgspec.msgpack.Encoder().encode


class Key(NamedTuple):
    """A key in use: its id and its cipher."""

    id: bytes
    aead: AESGCM


class Unopened(StoreDown):
    """A sealed value was changed, moved or cut, or its key is not the one that it names."""


def new_key() -> tuple[Key, bytes]:
    """(a fresh random key, its bytes)."""
    secret = secrets.token_bytes(KEY_BYTES)
    return Key(secrets.token_bytes(ID_BYTES), AESGCM(secret)), secret


def seal(key: Key, where: tuple[str | int, ...], plain: bytes) -> bytes:
    """The value sealed for its place `where`: tenant, table, column, primary key."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    head = VERSION + key.id + nonce
    return head + key.aead.encrypt(nonce, plain, head + _encode(where))


def unseal(key: Key, where: tuple[str | int, ...], blob: bytes) -> bytes:
    """The value in a sealed one; raises Unopened at any changed byte and in any other place."""
    head, nonce = blob[:HEAD_BYTES], blob[HEAD_BYTES - NONCE_BYTES : HEAD_BYTES]
    if len(blob) < HEAD_BYTES + TAG_BYTES or key_of(blob) != key.id:
        raise Unopened(f"a sealed value of {where[1]} is cut or of another key", hint="restore it from a backup")
    try:
        return key.aead.decrypt(nonce, blob[HEAD_BYTES:], head + _encode(where))
    except InvalidTag as error:
        raise Unopened(f"a sealed value of {where[1]} was changed or moved", hint="restore it from a backup") from error


def key_of(blob: bytes) -> bytes:
    """The id of the key that sealed a value; empty for what is no sealed value."""
    return blob[1 : 1 + ID_BYTES] if blob[:1] == VERSION else b""


class Vault:
    """Wraps and unwraps keys by the ring, and keeps those it has unwrapped, a bounded number."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self._opened: OrderedDict[bytes, Key] = OrderedDict()
        self._derived: dict[tuple[bytes, str], Key] = {}

    def seal(self, tenant: str, table: str, column: str, key: str, value: bytes) -> bytes:
        """A field of another table, sealed; `key` is its row's primary key. Raises Invalid without a master key."""
        return seal(self._field_key(self.ring.current[0], tenant), (tenant, table, column, key), value)

    def open(self, tenant: str, table: str, column: str, key: str, blob: bytes) -> bytes:
        """What `seal` was given; raises Unopened, or Invalid where the ring lacks its master key."""
        return unseal(self._field_key(key_of(blob), tenant), (tenant, table, column, key), blob)

    def wrap(self, key: Key, secret: bytes, tenant: str, purpose: str) -> bytes:
        """A data key or a subject's key as the database keeps it."""
        self._keep(key)
        return seal(self._wrapping(self.ring.current[0]), (tenant, "keys", purpose, key.id.hex()), secret)

    def unwrap(self, id: bytes, wrapped: bytes, tenant: str, purpose: str) -> Key:
        """The key in a wrapped one; raises Unopened, or Invalid where the ring lacks the master key."""
        found = self._opened.get(id)
        if found is None:
            secret = self._secret(id, wrapped, tenant, purpose)
            found = self._keep(Key(id, AESGCM(secret)))
        return found

    def rewrap(self, id: bytes, wrapped: bytes, tenant: str, purpose: str) -> bytes | None:
        """The same key wrapped by the current master key; None where it is already."""
        if key_of(wrapped) == self.ring.current[0]:
            return None
        secret = self._secret(id, wrapped, tenant, purpose)
        return seal(self._wrapping(self.ring.current[0]), (tenant, "keys", purpose, id.hex()), secret)

    def forget(self, ids: list[bytes]) -> None:
        """Drop keys that were shredded."""
        for id in ids:
            self._opened.pop(id, None)

    def data_key(self, connection: Connection, tenant: str, purpose: str, now_ms: int) -> Key:
        """The tenant's current key for a purpose; made where there is none."""
        table = tables.data_keys
        query = select(table).where(table.c.tenant == tenant, table.c.purpose == purpose, table.c.retired_ms.is_(None))
        row = connection.execute(query.order_by(table.c.created_ms.desc(), table.c.id).limit(1)).first()
        if row is not None:
            return self.unwrap(row.id, row.wrapped, tenant, purpose)
        key, secret = new_key()
        wrapped = self.wrap(key, secret, tenant, purpose)
        values = {"tenant": tenant, "purpose": purpose, "id": key.id, "wrapped": wrapped, "created_ms": now_ms}
        connection.execute(insert(table).values(values))
        return key

    def named_key(self, connection: Connection, tenant: str, purpose: str, id: bytes) -> Key | None:
        """The tenant's key of that id; None where it was destroyed."""
        table = tables.data_keys
        query = select(table.c.wrapped).where(table.c.tenant == tenant, table.c.purpose == purpose, table.c.id == id)
        wrapped = connection.execute(query).scalar()
        return None if not wrapped else self.unwrap(id, wrapped, tenant, purpose)

    def _secret(self, id: bytes, wrapped: bytes, tenant: str, purpose: str) -> bytes:
        return unseal(self._wrapping(key_of(wrapped)), (tenant, "keys", purpose, id.hex()), wrapped)

    def _keep(self, key: Key) -> Key:
        self._opened[key.id] = key
        if len(self._opened) > OPENED_MAX:
            self._opened.popitem(last=False)
        return key

    def _wrapping(self, master: bytes) -> Key:
        return self._derive(master, "")

    def _field_key(self, master: bytes, tenant: str) -> Key:
        return self._derive(master, f"field {tenant}")

    def _derive(self, master: bytes, purpose: str) -> Key:
        found = self._derived.get((master, purpose))
        if found is None:
            secret = derive(self.ring.key(master), f"innkeeper {purpose or 'wrap'}".encode())
            found = self._derived[master, purpose] = Key(master, AESGCM(secret))
        return found


def vault_of(connection: Connection) -> Vault:
    """The vault of the database that the connection belongs to; one without keys where nobody gave it any."""
    found: Vault | None = connection.get_execution_options().get("vault")
    return found if found is not None else Vault(Ring(None))
