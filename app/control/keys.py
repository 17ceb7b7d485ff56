"""API keys: their text, what is kept of it, and whether a text is that of a key.

A key is `ik_<prefix>_<secret><checksum>`: the secret holds 256 random bits, the checksum lets a scanner tell a real key
without asking anybody. It knows no database and no clock.
"""

from __future__ import annotations

import hmac
import secrets
import string
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from app.core.digests import digest, peppered
from app.core.module import Scope

KEY_PREFIX = "ik_"
KEY_PATTERN = r"\bik_[0-9a-f]{12}_[0-9A-Za-z]{49}\b"
"""What a secret scanner looks for; `has_checksum` then tells a key from its like."""
PREFIX_BYTES = 6
SECRET_LENGTH = 43
"""62 ** 43 is a little over 2 ** 256."""
CHECKSUM_LENGTH = 6
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the database knows it. Of its secrets it holds digests: plain ones of old, peppered ones since."""

    tenant: str
    prefix: str
    label: str
    scopes: Scope
    role: str
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None
    secret_sha256: str
    secret_hmac: str
    rotation: int
    """How often its secret was replaced."""
    previous_digest: str
    """Of the secret before this one, which holds until `previous_until_ms`."""
    previous_until_ms: int

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            tenant=row["tenant"],
            prefix=row["prefix"],
            label=row["label"],
            scopes=Scope(row["scopes"]),
            role=row.get("role") or "",
            created_ms=row["created_ms"],
            expires_ms=row["expires_ms"],
            revoked_ms=row["revoked_ms"],
            secret_sha256=row["secret_sha256"],
            secret_hmac=row.get("secret_hmac") or "",
            rotation=row.get("rotation") or 0,
            previous_digest=row.get("previous_digest") or "",
            previous_until_ms=row.get("previous_until_ms") or 0,
        )

    @property
    def plain_digest(self) -> str:
        """The plain digest of a key that has no peppered one, made by a release from before the pepper."""
        return "" if self.secret_hmac else self.secret_sha256

    def ends_ms(self, rotation: int) -> int | None:
        """When what was proved by the secret of that rotation ends; None is never, 0 long ago."""
        if rotation == self.rotation:
            return self.expires_ms
        if rotation != self.rotation - 1:
            return 0
        return self.previous_until_ms if self.expires_ms is None else min(self.previous_until_ms, self.expires_ms)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A fresh key: `text` is shown once, `row` goes to the database, which peppers the digest in it."""

    text: str
    row: dict[str, Any]


def make_key(*, label: str, scopes: Scope, created_ms: int, expires_ms: int | None = None, role: str = "") -> NewKey:
    """Draw a key of 256 random bits."""
    prefix = secrets.token_hex(PREFIX_BYTES)
    text = draw_text(prefix)
    row = {
        "prefix": prefix,
        "secret_sha256": digest(split(text)[1]),
        "label": label,
        "scopes": int(scopes),
        "role": role,
        "created_ms": created_ms,
        "expires_ms": expires_ms,
        "revoked_ms": None,
    }
    return NewKey(text, row)


def draw_text(prefix: str) -> str:
    """The text of a key with that prefix and a fresh secret."""
    body = f"{KEY_PREFIX}{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))}"
    return body + checksum(body)


def split(text: str) -> tuple[str, str]:
    """(prefix, secret) of a key's text; the checksum counts to the secret, so that older keys are read alike."""
    prefix, _, secret = text.removeprefix(KEY_PREFIX).partition("_")
    return prefix, secret


def has_checksum(text: str) -> bool:
    """Whether the text is that of a real key, as a secret scanner may ask."""
    body, told = text[:-CHECKSUM_LENGTH], text[-CHECKSUM_LENGTH:]
    return text.isascii() and checksum(body) == told


def checksum(body: str) -> str:
    """CRC-32 (ISO 3309, as in zlib) of all that precedes it, in base 62 with digits first, six characters."""
    left, found = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        left, place = divmod(left, len(ALPHABET))
        found = ALPHABET[place] + found
    return found


def rotation_of(key: Key | None, secret: str, pepper: bytes) -> int | None:
    """Which of the key's secrets this is, by rotation; None when it is neither. Takes the same time for any answer."""
    plain = digest(secret)
    kept_form = peppered(plain, pepper)
    nobody = "-" * len(plain)
    kept = ("", "", "") if key is None else (key.secret_hmac, key.plain_digest, key.previous_digest)
    by_hmac, by_sha256 = _same(kept_form, kept[0] or nobody), _same(plain, kept[1] or nobody)
    by_previous = _same(kept_form, kept[2] or nobody) | _same(plain, kept[2] or nobody)
    if key is None or not (by_hmac | by_sha256 | by_previous):
        return None
    return key.rotation if by_hmac | by_sha256 else key.rotation - 1


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one, other)
