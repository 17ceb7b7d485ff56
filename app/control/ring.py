"""The signing keys, by id: the newest signs, older ones verify until the last token that they signed is over.

A token is a JWS in compact form (RFC 7515) with HS256: who verifies is who signs, one of the replicas over one
database. Its header has the members `alg`, `kid` and `typ` and no other, so nothing in it can name a key, a place to
fetch one, another algorithm or an extension.
"""

from __future__ import annotations

import binascii
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from app.core.errors import Unauthenticated

ALGORITHM = "HS256"
KEY_BYTES_MIN = 32
TEXT_LENGTH_MAX = 4_096
LEARN_MS = 2_000
"""A new key signs this long after it was made: every replica knows it by then."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key of the ring; it signs from `signs_ms` until a newer one does, or it is retired."""

    id: str
    value: bytes
    created_ms: int
    signs_ms: int
    retired_ms: int | None = None


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: str
    kid: str
    typ: str = ""


_header = msgspec.json.Decoder(_Header)


def draw_signing_key(created_ms: int, *, signs_ms: int) -> SigningKey:
    """A key of 256 random bits."""
    return SigningKey(f"s{secrets.token_hex(6)}", secrets.token_bytes(KEY_BYTES_MIN), created_ms, signs_ms)


class Ring:
    """The keys that this server knows. It is told the time, and `token_ms`: the longest life of what it signs."""

    def __init__(self, keys: Iterable[SigningKey] = (), *, token_ms: int) -> None:
        self._keys: dict[str, SigningKey] = {}
        self._token_ms = token_ms
        for key in keys:
            self.learn(key)

    def learn(self, key: SigningKey) -> None:
        """Know `key` from now on, in its present state; a short one is left out, so that nothing it signed holds."""
        if len(key.value) >= KEY_BYTES_MIN:
            self._keys[key.id] = key

    @property
    def keys(self) -> list[SigningKey]:
        """All, oldest first."""
        return sorted(self._keys.values(), key=_age)

    def signer(self, now_ms: int) -> SigningKey:
        """The key that signs now; raises Unauthenticated when every key is retired."""
        held = [key for key in self.keys if key.retired_ms is None]
        ready = [key for key in held if key.signs_ms <= now_ms]
        if not held:
            raise Unauthenticated("no signing key is in force", hint="manage.py keyring rotate")
        return ready[-1] if ready else held[0]

    def verifies(self, key: SigningKey, now_ms: int) -> bool:
        """Whether what `key` signed may still hold."""
        if key.retired_ms is not None:
            return False
        newer = [other.signs_ms for other in self._keys.values() if _age(other) > _age(key)]
        return not newer or now_ms <= min(newer) + self._token_ms

    def warm(self) -> None:
        """Load what signs and verifies, in a worker thread, so that the first token waits for nothing."""
        from joserfc import jwk, jws  # noqa: F401  # both load cryptography

    def sign(self, payload: bytes, *, typ: str, now_ms: int) -> str:
        """The payload as a signed text."""
        from joserfc import jws  # a start should not wait for it
        from joserfc.jwk import OctKey

        key = self.signer(now_ms)
        header = {"alg": ALGORITHM, "kid": key.id, "typ": typ}
        return jws.serialize_compact(header, payload, OctKey.import_key(key.value), algorithms=[ALGORITHM])

    def verify(self, text: str, *, now_ms: int) -> tuple[str, bytes]:
        """(typ, payload) of a text that a key of the ring signed; raises ValueError for any other."""
        from joserfc import jws
        from joserfc.errors import JoseError
        from joserfc.jwk import OctKey

        header, payload = _parts(text)
        key = self._keys.get(header.kid)
        if header.alg != ALGORITHM or key is None or not self.verifies(key, now_ms):
            raise ValueError("the header names no key that holds")
        try:
            jws.deserialize_compact(text, OctKey.import_key(key.value), algorithms=[ALGORITHM])
        except JoseError as error:
            raise ValueError("the signature does not hold") from error
        return header.typ, payload


def _age(key: SigningKey) -> tuple[int, int, str]:
    return key.signs_ms, key.created_ms, key.id


def _parts(text: str) -> tuple[_Header, bytes]:
    """(header, payload), before anything is verified; raises ValueError unless each part has its one spelling."""
    if len(text) > TEXT_LENGTH_MAX:
        raise ValueError("too long")
    parts = text.split(".")
    if len(parts) != 3:
        raise ValueError("not three parts")
    head, payload, _ = (_canonical(part) for part in parts)
    try:
        json.loads(head, object_pairs_hook=_no_twins)
        return _header.decode(head), payload
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("the header cannot be read") from error


def _canonical(part: str) -> bytes:
    """The bytes of unpadded base64url; raises ValueError for another spelling of the same bytes (RFC 4648, 3.5)."""
    try:
        found = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if urlsafe_b64encode(found).rstrip(b"=") != part.encode("utf-8", "surrogatepass"):
        raise ValueError("not the one spelling")
    return found


def _no_twins(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a member comes twice")
    return found
