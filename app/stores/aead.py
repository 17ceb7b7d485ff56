"""AES-256-GCM (NIST SP 800-38D) and HKDF-SHA-256 (RFC 5869) in the one shape that is used here.

Keys are 256 bits, nonces 96 and tags 128; every other size is refused. It knows neither keys' names nor where what is
sealed is kept.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.core.errors import Invalid

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


def encrypt(key: bytes, nonce: bytes, plain: bytes, bound: bytes) -> bytes:
    """Ciphertext and tag; `bound` is authenticated beside it. Raises Invalid for a size that is not used here."""
    _require_sizes(key, nonce)
    return AESGCM(key).encrypt(nonce, plain, bound)


def decrypt(key: bytes, nonce: bytes, sealed: bytes, bound: bytes) -> bytes:
    """The plain bytes; raises Invalid where a single bit differs, of the sealed bytes or of `bound`."""
    _require_sizes(key, nonce)
    if len(sealed) < TAG_BYTES:
        raise Invalid(f"{len(sealed)} sealed bytes hold no tag", hint="the value was cut short")
    try:
        return AESGCM(key).decrypt(nonce, sealed, bound)
    except InvalidTag as error:
        raise Invalid("a sealed value was changed or moved", hint="restore it from a backup") from error


def derive(key: bytes, info: bytes, length: int = KEY_BYTES, salt: bytes = b"") -> bytes:
    """A key for the one purpose that `info` names."""
    return HKDF(algorithm=SHA256(), length=length, salt=salt or None, info=info).derive(key)


def _require_sizes(key: bytes, nonce: bytes) -> None:
    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise Invalid(
            f"a key of {len(key)} and a nonce of {len(nonce)} bytes are not used here",
            hint=f"they have {KEY_BYTES} and {NONCE_BYTES}",
        )
