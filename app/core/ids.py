"""Identifiers and seeds: sortable ids for records, stable hashes for anything drawn by chance."""

from __future__ import annotations

import hashlib
import secrets

import msgspec

ID_LENGTH_MAX = 128
"""Characters in an id that a client gives."""

SEGMENT = r"^(?!\.{1,2}$)[^\x00-\x1f\x7f/\\]+$"
"""What can stand between two slashes of a URL's path, decoded: no dots alone, no separator, no control character."""

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
"""The two characters of each 10 bits."""
_RANDOM_BYTES = 10


def new_id(wall_ms: int) -> str:
    """A 26-character id that sorts by time (UUIDv7 layout, RFC 9562, as base 32)."""
    return _id(wall_ms, secrets.token_bytes(_RANDOM_BYTES))


class Ids:
    """Makes ids for many records at once: randomness is drawn ahead, since a system call for each costs more."""

    AHEAD = 256

    def __init__(self) -> None:
        self._drawn = b""
        self._at = 0

    def new(self, wall_ms: int) -> str:
        """As `new_id`."""
        if self._at == len(self._drawn):
            self._drawn, self._at = secrets.token_bytes(_RANDOM_BYTES * self.AHEAD), 0
        self._at += _RANDOM_BYTES
        return _id(wall_ms, self._drawn[self._at - _RANDOM_BYTES : self._at])


def _id(wall_ms: int, random: bytes) -> str:
    value = (wall_ms & ((1 << 48) - 1)) << 80 | int.from_bytes(random, "big")
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])


def stable_hash(*parts: str | int) -> int:
    """A 63-bit hash of the parts that is the same in every process and on every machine."""
    packed = msgspec.msgpack.encode(parts)
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little") >> 1
