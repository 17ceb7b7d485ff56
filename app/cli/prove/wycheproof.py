"""Wycheproof's vectors of signed texts (C2SP/wycheproof, Apache-2.0) against the verification of our tokens.

Each vector's key is put into a ring as the database would hold it: HS256 alone, under its one id. A key or a set of
keys that the ring cannot hold is left out, and what it signed must be refused like anything that nobody signed.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.control.ring import ALGORITHM, Ring, SigningKey

FILES = ("json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json")
NOW_MS = 1_800_000_000_000


@dataclass(frozen=True, slots=True)
class Vector:
    """One signed text and what must become of it; `ours` says that its key is one that the ring holds."""

    name: str
    comment: str
    text: str
    valid: bool
    ours: bool
    accepted: bool


def vectors(folder: Path) -> Iterator[Vector]:
    """Every vector of a JWS in the folder's files, tried."""
    for file in FILES:
        for group in json.loads((folder / file).read_text())["testGroups"]:
            ring = Ring(_held(group["private"]), token_ms=0)
            for test in group["tests"]:
                if "jws" in test:
                    text = test["jws"] if isinstance(test["jws"], str) else json.dumps(test["jws"])
                    name = f"{file}#{test['tcId']}"
                    yield Vector(
                        name, test["comment"], text, test["result"] == "valid", bool(ring.keys), _accepts(ring, text)
                    )


def _accepts(ring: Ring, text: str) -> bool:
    try:
        ring.verify(text, now_ms=NOW_MS)
    except ValueError:
        return False
    return True


def _held(given: dict[str, Any]) -> Sequence[SigningKey]:
    """The keys as our table would hold them; none when one of them could not be there."""
    keys = given.get("keys", [given])
    ids = {key.get("kid") for key in keys}
    if len(ids) != len(keys) or not all(_is_ours(key) for key in keys):
        return ()
    return [SigningKey(key["kid"], _bytes(key["k"]), NOW_MS, NOW_MS) for key in keys]


def _is_ours(key: dict[str, Any]) -> bool:
    use = key.get("use", "sig") == "sig" and "verify" in key.get("key_ops", ["verify"])
    return key.get("kty") == "oct" and key.get("alg", ALGORITHM) == ALGORITHM and use


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
