"""What is kept of a secret: digests that tell whether a text is that secret, and nothing else about it."""

from __future__ import annotations

import hashlib
import hmac


def digest(secret: str) -> str:
    """SHA-256, in hexadecimal; good for secrets of 256 random bits, never for passwords."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def peppered(secret_digest: str, pepper: bytes) -> str:
    """HMAC-SHA-256 of a secret's digest under the server's pepper, in hexadecimal."""
    return hmac.new(pepper, secret_digest.encode(), hashlib.sha256).hexdigest()
