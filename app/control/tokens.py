"""What a token says, and whether that holds now: JWT (RFC 7519) access tokens in the profile of RFC 9068.

An access token is a client's, for a quarter of an hour at most. A vouched token is one replica's word to another about
a caller; its `typ` and audience differ, so neither passes for the other. It knows no revocation.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

import msgspec

from app.control.ring import Ring

ISSUER = "innkeeper"
ACCESS, VOUCHED = "at+jwt", "vouched+jwt"
AUDIENCES = {ACCESS: "innkeeper", VOUCHED: "innkeeper-replica"}
CLOCK_S_MAX = 5
"""How far the clocks of two replicas may be apart before a fresh token is one of the future."""
CACHE_MS = 30_000


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The claims of a token. `gen`, `rot` and `fam` tell what it stands and falls with."""

    iss: str
    aud: str
    sub: str
    tenant: str
    scopes: int
    iat: int
    nbf: int
    exp: int
    jti: str
    auth_ms: int
    """When the credential itself was last shown."""
    gen: int = 0
    rot: int = 0
    fam: str = ""


_claims = msgspec.json.Decoder(Claims)


@dataclass(slots=True)
class _Seen:
    typ: str
    claims: Claims
    until_ms: int


class Tokens:
    """Writes and reads tokens; what was verified is remembered for half a minute, by the SHA-256 of the whole text."""

    def __init__(self, ring: Ring, *, cache_max: int) -> None:
        self._ring = ring
        self._cache_max = cache_max
        self._seen: dict[bytes, _Seen] = {}

    def write(self, claims: Claims, *, typ: str, now_ms: int) -> str:
        """The token."""
        return self._ring.sign(msgspec.json.encode(claims), typ=typ, now_ms=now_ms)

    def read(self, text: str, *, now_ms: int) -> tuple[str, Claims]:
        """(typ, claims) of a token that holds at `now_ms`; raises ValueError for anything else."""
        name = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        seen = self._seen.get(name)
        if seen is None or not 0 <= seen.until_ms - now_ms <= CACHE_MS:
            typ, payload = self._ring.verify(text, now_ms=now_ms)
            seen = _Seen(typ, _decoded(payload), now_ms + CACHE_MS)
            if len(self._seen) >= self._cache_max:
                self._seen.pop(next(iter(self._seen)))
            self._seen[name] = seen
        _check(seen.typ, seen.claims, now_ms)
        return seen.typ, seen.claims

    def forget(self) -> None:
        """Verify every token anew: a key of the ring has changed."""
        self._seen.clear()


def _decoded(payload: bytes) -> Claims:
    try:
        return _claims.decode(payload)
    except msgspec.MsgspecError as error:
        raise ValueError("the claims cannot be read") from error


def _check(typ: str, claims: Claims, now_ms: int) -> None:
    if AUDIENCES.get(typ) != claims.aud or claims.iss != ISSUER:
        raise ValueError("a token for somebody else")
    if claims.exp * 1000 <= now_ms or (claims.nbf - CLOCK_S_MAX) * 1000 > now_ms:
        raise ValueError("a token of another time")


def token_id() -> str:
    """A `jti`."""
    return secrets.token_urlsafe(9)
