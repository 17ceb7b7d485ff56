"""Sign-ins: an identity becomes an access token and a refresh token, which is turned into the next pair once.

A refresh token is `ir_<tenant>.<handle>.<secret>`; the database keeps its SHA-256. One that comes a second time was
stolen from somebody: its whole family ends, with every token that came from it (RFC 9700, 4.14.2).
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from app.control.auth import Authority, Identity, refusal
from app.control.records import Family, Records
from app.core.clock import Clock
from app.core.digests import digest
from app.core.errors import StoreDown, Unauthenticated
from app.core.module import Scope
from app.core.ports import Audit
from app.core.profile import Security

REFRESH_PREFIX = "ir_"
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Issued:
    """A pair of tokens and their ends in Unix milliseconds. `refresh` is empty while the database is gone."""

    access: str
    access_ends_ms: int
    refresh: str = ""
    refresh_ends_ms: int = 0


class Grants:
    """Begins, renews and ends sign-ins. `learn` brings this server's own changes into force before it answers."""

    def __init__(
        self,
        authority: Authority,
        records: Records,
        *,
        clock: Clock,
        audit: Audit,
        settings: Security,
        learn: Callable[[], Awaitable[None]],
    ) -> None:
        self._authority = authority
        self._records = records
        self._clock = clock
        self._audit = audit
        self._settings = settings
        self._learn = learn

    async def sign_in(self, identity: Identity) -> Issued:
        """Tokens for somebody who has shown a credential; raises Unauthenticated when it does not hold any more."""
        identity = self._authority.current(identity)
        now_ms = self._clock.wall_ms()
        ends_ms = identity.since_ms + self._settings.refresh_minutes_max * MINUTE_MS
        if identity.expires_ms is not None:
            ends_ms = min(ends_ms, identity.expires_ms)
        family = Family(
            tenant=identity.tenant,
            handle=secrets.token_urlsafe(12),
            id=secrets.token_urlsafe(12),
            actor=identity.actor,
            scopes=identity.scopes,
            rotation=identity.rotation,
            generation=identity.generation,
            since_ms=identity.since_ms,
            ends_ms=ends_ms,
        )
        refresh = _text(family.tenant, family.handle)
        refresh_ends_ms = self._refresh_ends_ms(family, now_ms)
        try:
            family = await self._records.open_family(
                family, digest(refresh), expires_ms=refresh_ends_ms, families_max=self._settings.families_max
            )
        except StoreDown:  # who it is was proved all the same
            return Issued(*self._authority.issue(replace(identity, family=family.id)))
        self._audit.note(identity.tenant, identity.actor, "session.opened", family.id)
        return Issued(*self._access(family, identity.expires_ms), refresh, refresh_ends_ms)

    async def refresh(self, text: str) -> Issued:
        """The next pair for a refresh token; raises Unauthenticated when it does not hold."""
        tenant, handle = _parts(text)
        now_ms = self._clock.wall_ms()
        following = _text(tenant, handle)
        turned = await self._records.turn_family(
            tenant,
            handle,
            digest=digest(text),
            next_digest=digest(following),
            now_ms=now_ms,
            expires_ms=now_ms + self._settings.refresh_idle_minutes * MINUTE_MS,
        )
        if turned.reused is not None:
            family = turned.reused
            self._audit.note(tenant, family.actor, "refresh_token.reused", family.id)
            await self._learn()
        if turned.family is None:
            raise refusal()
        return Issued(*self._access(turned.family, None), following, self._refresh_ends_ms(turned.family, now_ms))

    async def end(self, text: str) -> bool:
        """End what a credential stands for (RFC 7009); False when it does not hold.

        A refresh or access token ends its sign-in; an API key ends every sign-in of its own, and goes on itself.
        """
        now_ms = self._clock.wall_ms()
        if text.startswith(REFRESH_PREFIX):
            tenant, handle = _parts(text)
            family = await self._records.find_family(tenant, handle)
            if family is None:
                return False
            await self._end_family(tenant, family.actor, family.id, now_ms)
            return True
        try:
            identity = self._authority.identify(text)
        except Unauthenticated:
            return False
        if identity.by_token and not identity.family:
            return False
        if identity.by_token:
            await self._end_family(identity.tenant, identity.actor, identity.family, now_ms)
        else:
            await self.revoke_subject(identity.tenant, identity.actor, by=identity.actor)
        return True

    async def revoke_subject(self, tenant: str, actor: str, *, by: str) -> None:
        """End every sign-in and token of an actor, everywhere, now; open sockets and streams too."""
        await self._records.end_actor(tenant, actor, self._clock.wall_ms())
        self._audit.note(tenant, by, "sessions.revoked", actor)
        await self._learn()

    async def limit_subject(self, tenant: str, actor: str, scopes: Scope | None, *, by: str) -> None:
        """Let the tokens that an actor has, and will have, do no more than `scopes`; None lifts that."""
        await self._records.limit_actor(tenant, actor, scopes, self._clock.wall_ms())
        self._audit.note(tenant, by, "sessions.limited", actor, scopes=int(scopes) if scopes is not None else -1)
        await self._learn()

    async def _end_family(self, tenant: str, actor: str, id: str, now_ms: int) -> None:
        await self._records.end_family(tenant, id, now_ms)
        self._audit.note(tenant, actor, "session.ended", id)
        await self._learn()

    def _access(self, family: Family, expires_ms: int | None) -> tuple[str, int]:
        """An access token of the family, for what its actor may do now; raises Unauthenticated."""
        ends = [end for end in (expires_ms, family.ends_ms) if end is not None]
        identity = Identity(
            tenant=family.tenant,
            actor=family.actor,
            scopes=family.scopes,
            since_ms=family.since_ms,
            expires_ms=min(ends),
            by_token=True,
            family=family.id,
            generation=family.generation,
            rotation=family.rotation,
        )
        return self._authority.issue(self._authority.current(identity))

    def _refresh_ends_ms(self, family: Family, now_ms: int) -> int:
        return min(family.ends_ms, now_ms + self._settings.refresh_idle_minutes * MINUTE_MS)


def _text(tenant: str, handle: str) -> str:
    """A refresh token with 256 fresh random bits."""
    name = urlsafe_b64encode(tenant.encode()).rstrip(b"=").decode()
    return f"{REFRESH_PREFIX}{name}.{handle}.{secrets.token_urlsafe(32)}"


def _parts(text: str) -> tuple[str, str]:
    """(tenant, handle) that a refresh token names; raises Unauthenticated for a text that is none."""
    parts = text.removeprefix(REFRESH_PREFIX).split(".")
    if not text.startswith(REFRESH_PREFIX) or len(parts) != 3 or len(text) > 256:
        raise refusal()
    try:
        return urlsafe_b64decode(parts[0] + "=" * (-len(parts[0]) % 4)).decode(), parts[1]
    except ValueError as error:
        raise refusal() from error
