"""Who speaks: checks keys and tokens against what is known in RAM, and vouches for callers to other replicas.

Keys, signing keys and revocations are learned from the database by `Access` (app/control/access.py); nothing is read
per request. Any doubt means Unauthenticated, always with the same words and after the same work.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from app.control.keys import KEY_PREFIX, Key, rotation_of, split
from app.control.records import FAMILY, Changes, Rule
from app.control.ring import Ring
from app.control.tokens import ACCESS, AUDIENCES, ISSUER, VOUCHED, Claims, Tokens, token_id
from app.core.clock import Clock
from app.core.errors import Conflict, Forbidden, Unauthenticated
from app.core.module import Scope

VOUCHED_MS_MAX = 60_000
"""How long another replica takes this one's word for who sent a request."""
CODE_MS_MAX = 3_600_000
"""How long a one-time code for the console holds."""
CODES_MAX = 1_000
TOKEN_MINUTES_MAX = 15
ALL_SCOPES = Scope(sum(Scope))

Subject = tuple[str, str]
"""(tenant, actor) of whoever something was changed for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who speaks: the tenant, the actor, what it may do, and until when in Unix milliseconds.

    The actor is `key:PREFIX`, `operator:ID` or `replica:NAME`. A part of the program that has proved who somebody is
    makes one with the first four fields and hands it to `Grants.sign_in`.
    """

    tenant: str
    actor: str
    scopes: Scope
    since_ms: int
    """When the credential itself (a key, a password) was last shown."""
    expires_ms: int | None = None
    vouched: bool = False
    """Whether another replica has sent the caller's request here: it was counted there, and goes no further."""
    by_token: bool = False
    """Whether a token was shown, and not the credential itself."""
    family: str = ""
    """The sign-in that the token comes from; it ends with it."""
    generation: int = 0
    """How often the actor's tokens had been revoked when this one was written."""
    rotation: int = 0
    """Which secret of the key was shown."""

    @property
    def subject(self) -> Subject:
        return self.tenant, self.actor

    def among(self, subjects: Collection[Subject]) -> bool:
        """Whether the access of its actor, or of its sign-in, is among what has changed."""
        if (self.tenant, self.actor) in subjects:
            return True
        return bool(self.family) and (self.tenant, f"{FAMILY}{self.family}") in subjects

    def require(self, scope: Scope) -> None:
        """Raise Forbidden without `scope`."""
        if scope & ~self.scopes:
            raise Forbidden(f"this key lacks the scope {scope.name!r}", hint="use a key that has it")

    def require_credential(self) -> None:
        """Raise Forbidden when a token was shown: what it opened would outlive it."""
        if self.by_token:
            raise Forbidden(
                "a token is not exchanged for another", hint="renew it by POST /v1/auth/refresh, or show the key"
            )


class Authority:
    """Checks credentials against what it was told. It never waits: whatever it does not know does not hold."""

    def __init__(self, *, clock: Clock, ring: Ring, pepper: bytes, token_minutes: int, cache_max: int = 4_096) -> None:
        self._clock = clock
        self._pepper = pepper
        self._token_ms = min(token_minutes, TOKEN_MINUTES_MAX) * 60_000
        self.ring = ring
        self._tokens = Tokens(ring, cache_max=cache_max)
        self._keys: dict[str, Key] = {}
        self._rules: dict[Subject, Rule] = {}
        self._codes: dict[str, tuple[Identity, int]] = {}
        self._used: set[Subject] = set()
        self.listeners: list[Callable[[Collection[Subject]], None]] = []
        """Told whose access has changed, with what is known already in force: to end or narrow what is open."""

    def learn(self, changes: Changes) -> None:
        """Know keys, rules and signing keys in their present state from now on, and tell the listeners."""
        for key in changes.keys:
            self._keys[key.prefix] = key
        for rule in changes.rules:
            self._rules[rule.tenant, rule.actor] = rule
        for signing_key in changes.signing_keys:
            self.ring.learn(signing_key)
        if changes.signing_keys:
            self._tokens.forget()
        changed = {(key.tenant, f"key:{key.prefix}") for key in changes.keys}
        changed |= {(rule.tenant, rule.actor) for rule in changes.rules}
        for listener in self.listeners if changed else ():
            listener(changed)

    def forget_rules(self, ended_before_ms: int) -> None:
        """Drop the rules of sign-ins that ended so long ago that nothing of them is left."""
        self._rules = {
            subject: rule
            for subject, rule in self._rules.items()
            if not (rule.of_family and rule.ended_ms < ended_before_ms)
        }

    def take_used(self) -> set[Subject]:
        """The keys that were shown since this was last asked."""
        used, self._used = self._used, set()
        return used

    def identify(self, credential: str) -> Identity:
        """Who a key or token belongs to; raises Unauthenticated, whatever goes wrong."""
        try:
            found = self._of_key(credential) if credential.startswith(KEY_PREFIX) else self._of_token(credential)
            return self.current(found)
        except Unauthenticated:
            raise
        except Exception as error:
            raise refusal() from error

    def current(self, identity: Identity) -> Identity:
        """The same caller with what it may do now; raises Unauthenticated when its access has ended."""
        scopes, expires_ms = identity.scopes, identity.expires_ms
        rule = self._rules.get(identity.subject)
        if rule is not None and identity.by_token and rule.generation > identity.generation:
            raise refusal()
        if identity.family and (identity.tenant, f"{FAMILY}{identity.family}") in self._rules:
            raise refusal()
        kind, _, prefix = identity.actor.partition(":")
        if kind == "key":
            key = self._keys.get(prefix)
            if key is None or key.tenant != identity.tenant or key.revoked_ms is not None:
                raise refusal()
            scopes = scopes & key.scopes if identity.by_token else key.scopes
            ends = [each for each in (key.ends_ms(identity.rotation), expires_ms) if each is not None]
            expires_ms = min(ends) if ends else None
        if rule is not None and rule.scopes is not None:
            scopes &= rule.scopes
        if expires_ms is not None and expires_ms <= self._clock.wall_ms():
            raise refusal()
        return replace(identity, scopes=scopes, expires_ms=expires_ms)

    def issue(self, identity: Identity) -> tuple[str, int]:
        """An access token for `identity` and its end in Unix milliseconds."""
        return self._write(identity, self._token_ms, ACCESS)

    def vouch(self, identity: Identity) -> tuple[str, int]:
        """As `issue`, for another replica, about a caller whose credential holds here now: for a minute."""
        return self._write(identity, VOUCHED_MS_MAX, VOUCHED)

    def vouch_for_replica(self, tenant: str) -> tuple[str, int]:
        """A vouched token by which this replica itself listens to the tenant's worlds at another."""
        now_ms = self._clock.wall_ms()
        return self.vouch(Identity(tenant=tenant, actor="replica:listener", scopes=Scope.READ, since_ms=now_ms))

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
            raise refusal()
        return self.current(identity)

    def _of_key(self, text: str) -> Identity:
        prefix, secret = split(text)
        key = self._keys.get(prefix)
        # An unknown key costs the same as a wrong, an expired or a revoked one, and gets the same answer.
        rotation = rotation_of(key, secret, self._pepper)
        if key is None or rotation is None:
            raise refusal()
        subject = key.tenant, f"key:{prefix}"
        rule = self._rules.get(subject)
        self._used.add(subject)
        return Identity(
            tenant=key.tenant,
            actor=subject[1],
            scopes=key.scopes,
            since_ms=self._clock.wall_ms(),
            generation=rule.generation if rule is not None else 0,
            rotation=rotation,
        )

    def _of_token(self, text: str) -> Identity:
        typ, claims = self._tokens.read(text, now_ms=self._clock.wall_ms())
        return Identity(
            tenant=claims.tenant,
            actor=claims.sub,
            scopes=Scope(claims.scopes),
            since_ms=claims.auth_ms,
            expires_ms=claims.exp * 1000,
            vouched=typ == VOUCHED,
            by_token=True,
            family=claims.fam,
            generation=claims.gen,
            rotation=claims.rot,
        )

    def _write(self, identity: Identity, token_ms: int, typ: str) -> tuple[str, int]:
        now_ms = self._clock.wall_ms()
        expires_ms = now_ms + token_ms
        if identity.expires_ms is not None:
            expires_ms = min(expires_ms, identity.expires_ms)
        claims = Claims(
            iss=ISSUER,
            aud=AUDIENCES[typ],
            sub=identity.actor,
            tenant=identity.tenant,
            scopes=int(identity.scopes),
            iat=now_ms // 1000,
            nbf=now_ms // 1000,
            exp=expires_ms // 1000,
            jti=token_id(),
            auth_ms=identity.since_ms,
            gen=identity.generation,
            rot=identity.rotation,
            fam=identity.family,
        )
        return self._tokens.write(claims, typ=typ, now_ms=now_ms), expires_ms // 1000 * 1000


def refusal() -> Unauthenticated:
    """The one answer to every credential that does not hold."""
    return Unauthenticated(
        "the credential does not hold", hint="send an API key, or a token from POST /v1/auth/token that is not expired"
    )
