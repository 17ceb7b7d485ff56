"""Identifiers and seeds: sortable ids for records, stable hashes for anything drawn by chance."""

from __future__ import annotations

import hashlib
import secrets

import msgspec

ID_LENGTH_MAX = 128
"""Characters in an id that a client gives."""


def new_id(wall_ms: int) -> str:
    """A 26-character id that sorts by time (UUIDv7 layout, RFC 9562, as base 32)."""
    value = (wall_ms & ((1 << 48) - 1)) << 80 | secrets.randbits(80)
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    return "".join(alphabet[(value >> shift) & 31] for shift in range(125, -1, -5))


def stable_hash(*parts: str | int) -> int:
    """A 63-bit hash of the parts that is the same in every process and on every machine."""
    packed = msgspec.msgpack.encode(parts)
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little") >> 1
