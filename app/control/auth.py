"""API keys and the short-lived tokens that they are exchanged for.

A key is `ik_<prefix>_<secret>`; the database holds only the SHA-256 of its 256-bit secret. A token
is a JWT (RFC 7519, HS256) of at most 15 minutes. Any doubt means Unauthenticated, always with the same words.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from app.core.clock import Clock
from app.core.errors import Conflict, Forbidden, Unauthenticated
from app.core.module import Scope

KEY_PREFIX = "ik_"
AUDIENCE = "innkeeper"
RENEWAL_MS_MAX = 12 * 3_600_000
"""How long tokens may be renewed by tokens before the key must be shown again."""
VOUCHED_MS_MAX = 60_000
"""How long another replica takes this one's word for who sent a request."""
CODE_MS_MAX = 3_600_000
"""How long a one-time code for the console holds."""
CODES_MAX = 1_000
ALL_SCOPES = Scope(sum(Scope))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks: the tenant, what it may do, and until when in Unix milliseconds."""

    tenant: str
    key: str
    scopes: Scope
    expires_ms: int | None
    since_ms: int
    """When the key itself was last shown; tokens renew each other only for a while from then."""
    vouched: bool = False
    """Whether another replica has sent the caller's request here: it was counted there, and goes no further."""

    def require(self, scope: Scope) -> None:
        """Raise Forbidden without `scope`."""
        if scope & ~self.scopes:
            raise Forbidden(f"this key lacks the scope {scope.name!r}", hint="use a key that has it")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the database knows it."""

    tenant: str
    prefix: str
    secret_sha256: str
    scopes: Scope
    expires_ms: int | None
    revoked_ms: int | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            tenant=row["tenant"],
            prefix=row["prefix"],
            secret_sha256=row["secret_sha256"],
            scopes=Scope(row["scopes"]),
            expires_ms=row["expires_ms"],
            revoked_ms=row["revoked_ms"],
        )


@dataclass(frozen=True, slots=True)
class NewKey:
    """A fresh key: `text` is shown once, `row` is what the database keeps."""

    text: str
    row: dict[str, Any]


def make_key(*, label: str, scopes: Scope, created_ms: int, expires_ms: int | None = None) -> NewKey:
    """Draw a key of 256 random bits."""
    prefix = secrets.token_hex(4)
    secret = secrets.token_urlsafe(32)
    row = {
        "prefix": prefix,
        "secret_sha256": _sha256(secret),
        "label": label,
        "scopes": int(scopes),
        "created_ms": created_ms,
        "expires_ms": expires_ms,
        "revoked_ms": None,
    }
    return NewKey(f"{KEY_PREFIX}{prefix}_{secret}", row)


class Authority:
    """Checks keys and tokens, and issues tokens. Keys live in RAM; `learn` adds one."""

    def __init__(self, *, clock: Clock, signing_key: bytes, token_minutes: int) -> None:
        self._clock = clock
        self._signing_key = signing_key
        self._token_ms = token_minutes * 60_000
        self._keys: dict[str, Key] = {}
        self._codes: dict[str, tuple[Identity, int]] = {}

    def learn(self, key: Key) -> None:
        """Know `key` from now on, in its present state."""
        self._keys[key.prefix] = key

    def identify(self, credential: str) -> Identity:
        """Who a key or token belongs to; raises Unauthenticated."""
        if credential.startswith(KEY_PREFIX):
            return self._identify_key(credential)
        return self._identify_token(credential)

    def issue(self, identity: Identity) -> tuple[str, int]:
        """A token for `identity` and its end in Unix milliseconds; raises Unauthenticated when renewed for too long."""
        if self._clock.wall_ms() - identity.since_ms > RENEWAL_MS_MAX:
            raise _refusal()
        return self._sign(identity, self._token_ms, vouched=identity.vouched)

    def vouch(self, identity: Identity) -> tuple[str, int]:
        """As `issue`, for another replica, about a caller whose credential holds here now: for a minute."""
        return self._sign(identity, VOUCHED_MS_MAX, vouched=True)

    def _sign(self, identity: Identity, token_ms: int, *, vouched: bool) -> tuple[str, int]:
        import jwt  # it loads cryptography, which a start should not wait for

        now_ms = self._clock.wall_ms()
        expires_ms = now_ms + token_ms
        key = self._keys[identity.key]
        if key.expires_ms is not None:
            expires_ms = min(expires_ms, key.expires_ms)
        claims = {
            "aud": AUDIENCE,
            "sub": identity.key,
            "tenant": identity.tenant,
            "scopes": int(identity.scopes),
            "iat": now_ms // 1000,
            "auth_ms": identity.since_ms,
            "vouched": vouched,
            "exp": expires_ms // 1000,
        }
        return jwt.encode(claims, self._signing_key, algorithm="HS256"), expires_ms // 1000 * 1000

    def make_code(self, identity: Identity) -> str:
        """A code that opens the console once for `identity`."""
        now_ms = self._clock.wall_ms()
        self._codes = {code: held for code, held in self._codes.items() if held[1] > now_ms}
        if len(self._codes) >= CODES_MAX:
            raise Conflict(f"{CODES_MAX} console links wait to be opened", hint="open one, or wait an hour")
        code = secrets.token_urlsafe(24)
        self._codes[code] = identity, now_ms + CODE_MS_MAX
        return code

    def take_code(self, code: str) -> Identity:
        """Whom the code stands for; it then stands for nobody. Raises Unauthenticated."""
        identity, expires_ms = self._codes.pop(code, (None, 0))
        if identity is None or expires_ms <= self._clock.wall_ms():
            raise _refusal()
        return identity

    def _identify_key(self, text: str) -> Identity:
        prefix, _, secret = text.removeprefix(KEY_PREFIX).partition("_")
        key = self._keys.get(prefix)
        # An unknown key costs the same hash as a wrong one, and gets the same answer.
        expected = key.secret_sha256 if key is not None else _sha256("")
        if not hmac.compare_digest(_sha256(secret), expected) or key is None or not self._holds(key):
            raise _refusal()
        return Identity(key.tenant, key.prefix, key.scopes, key.expires_ms, self._clock.wall_ms())

    def _identify_token(self, text: str) -> Identity:
        import jwt

        try:
            # The end is checked below, by the clock that the rest of the server goes by.
            claims = jwt.decode(
                text,
                self._signing_key,
                algorithms=["HS256"],
                audience=AUDIENCE,
                options={"require": ["exp", "sub", "aud"], "verify_exp": False, "verify_iat": False},
            )
            prefix, tenant, scopes = str(claims["sub"]), str(claims["tenant"]), Scope(int(claims["scopes"]))
            expires_ms, since_ms = int(claims["exp"]) * 1000, int(claims["auth_ms"])
            vouched = bool(claims.get("vouched"))
        except (jwt.PyJWTError, KeyError, ValueError, TypeError) as error:
            raise _refusal() from error
        key = self._keys.get(prefix)
        if key is None or key.tenant != tenant or not self._holds(key) or expires_ms <= self._clock.wall_ms():
            raise _refusal()
        return Identity(tenant, prefix, scopes & key.scopes, expires_ms, since_ms, vouched)

    def _holds(self, key: Key) -> bool:
        unexpired = key.expires_ms is None or key.expires_ms > self._clock.wall_ms()
        return key.revoked_ms is None and unexpired


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _refusal() -> Unauthenticated:
    return Unauthenticated(
        "the credential does not hold", hint="send an API key, or a token from POST /v1/auth/token that is not expired"
    )
