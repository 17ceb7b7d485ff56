"""How a person signs in: a password and then a code or a passkey, or a passkey alone, which is both.

Refusals have one text and cost the same work. Tries at a password are counted before they are checked, so that many at
once are no way around the wait; a passkey cannot be guessed, so it gets in during that wait, and nobody can lock
somebody else out for good. It hands over an identity and knows no tokens.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from app.control.auth import Identity
from app.control.passkeys import Passkeys, Site, decode, whose
from app.control.passwords import Hasher
from app.control.people import Operator, People, Purpose, Ticket
from app.control.permissions import SCOPES
from app.core.clock import Clock
from app.core.digests import digest
from app.core.errors import Unauthenticated
from app.core.module import Scope
from app.core.ports import Audit, Vault

FREE_TRIES = 5
"""Wrong passwords or codes in a row without a wait; each further one doubles it."""
WAITS_MS = (*([0] * FREE_TRIES), *(min(900_000, 1_000 << power) for power in range(11)))
"""How long the next try is refused after so many failures in a row; the last one goes for any more."""
SECOND_MS_MAX = 300_000
"""How long a code may be entered after the password."""
CODE_TRIES_MAX = 5
PERIOD_S = 30
DRIFT_STEPS = 1
"""A code of the step before or after the present one is taken too (RFC 6238, 5.2)."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a sign-in has come to: an identity, or a ticket for what must follow."""

    identity: Identity | None = None
    ticket: str = ""
    enrolled: bool = True
    """Whether there is a second factor; without one the identity may do nothing but add one."""


class SignIn:
    """The ways in."""

    def __init__(
        self, people: People, *, hasher: Hasher, passkeys: Passkeys, vault: Vault, clock: Clock, audit: Audit
    ) -> None:
        self._people = people
        self._hasher = hasher
        self._passkeys = passkeys
        self._vault = vault
        self._clock = clock
        self._audit = audit

    async def by_password(self, tenant: str, login: str, password: str) -> Step:
        """The first step; raises Unauthenticated."""
        now_ms = self._clock.wall_ms()
        operator = await self._people.by_login(tenant, login.casefold())
        may = operator is not None and await self._begin(operator, now_ms)
        matched = await self._hasher.matches(password, operator.password_hash if operator is not None else "")
        if operator is None or not may or not matched or operator.disabled_ms is not None:
            if operator is not None:
                self._audit.note(tenant, operator.actor, "sign_in.refused", operator.id, locked=not may)
            raise refusal()
        if operator.totp_secret is None:
            await self._people.succeed(tenant, operator.id)
            passkeys = await self._people.passkeys(tenant, operator.id)
            if passkeys:  # whoever has a passkey shows it
                raise refusal()
            return Step(identity=self._identity(operator, enrolled=False), enrolled=False)
        text, ticket = make_ticket(tenant, "second_factor", operator.id, now_ms + SECOND_MS_MAX)
        await self._people.add_tickets([ticket], replacing="second_factor")
        return Step(ticket=text)

    async def by_code(self, ticket_text: str, code: str) -> Step:
        """The second step: a code of an authenticator, or a recovery code; raises Unauthenticated."""
        tenant, found = read_ticket(ticket_text)
        now_ms = self._clock.wall_ms()
        ticket = await self._people.peek_ticket(tenant, found, "second_factor", now_ms, CODE_TRIES_MAX)
        operator = await self._people.operator(tenant, ticket.operator) if ticket is not None else None
        if operator is None or operator.disabled_ms is not None or not await self._takes(operator, code, now_ms):
            raise refusal()
        if await self._people.take_ticket(tenant, found, "second_factor", now_ms) is None:
            raise refusal()
        await self._people.succeed(tenant, operator.id)
        return Step(identity=self._identity(operator))

    def ask_passkey(self, site: Site) -> dict[str, Any]:
        """Options for a passkey of anybody's; the browser knows whose it has."""
        return self._passkeys.request(site, self._passkeys.challenge("sign-in", self._clock.wall_ms()))

    async def by_passkey(self, credential: dict[str, Any], challenge_text: str, site: Site) -> Step:
        """Both factors at once; raises Unauthenticated, and Invalid for an answer that cannot be read."""
        now_ms = self._clock.wall_ms()
        tenant, id = whose(credential)
        try:
            challenge = decode(challenge_text)
        except ValueError:
            raise refusal() from None
        self._passkeys.require_challenge("sign-in", challenge, now_ms)
        passkey = await self._people.passkey(tenant, id)
        operator = await self._people.operator(tenant, passkey.operator) if passkey is not None else None
        if passkey is None or operator is None or operator.disabled_ms is not None:
            raise refusal()
        sign_count = self._passkeys.used(passkey, credential, site, challenge)
        spent = Ticket(
            tenant=tenant,
            digest=digest(challenge_text),
            purpose="spent",
            operator=operator.id,
            expires_ms=now_ms + 2 * SECOND_MS_MAX,
        )
        if not await self._people.add_tickets([spent]) or not await self._people.count_passkey(tenant, id, sign_count):
            self._audit.note(tenant, operator.actor, "passkey.replayed", id)
            raise refusal()
        await self._people.succeed(tenant, operator.id)
        return Step(identity=self._identity(operator))

    async def _begin(self, operator: Operator, now_ms: int) -> bool:
        return await self._people.begin_try(operator.tenant, operator.id, now_ms, WAITS_MS)

    async def _takes(self, operator: Operator, code: str, now_ms: int) -> bool:
        plain = code.replace(" ", "").replace("-", "")
        if not await self._begin(operator, now_ms):
            return False
        if operator.totp_secret is not None and len(plain) == 6 and plain.isascii() and plain.isdigit():
            secret = self._vault.open(operator.tenant, "operators", "totp_secret", operator.id, operator.totp_secret)
            step = step_of(secret.decode(), plain, now_ms // 1000)
            return step is not None and await self._people.take_step(operator.tenant, operator.id, step)
        spent = digest(f"{operator.id}/{plain.casefold()}")
        if await self._people.take_ticket(operator.tenant, spent, "recovery", now_ms) is None:
            return False
        self._audit.note(operator.tenant, operator.actor, "recovery_code.used", operator.id)
        return True

    def _identity(self, operator: Operator, *, enrolled: bool = True) -> Identity:
        self._audit.note(operator.tenant, operator.actor, "sign_in.succeeded", operator.id, enrolled=enrolled)
        return Identity(
            tenant=operator.tenant,
            actor=operator.actor,
            scopes=SCOPES[operator.role] if enrolled else Scope(0),
            since_ms=self._clock.wall_ms(),
        )


def step_of(secret: str, code: str, now_s: int) -> int | None:
    """The time step whose code this is; None when it is of none near now. RFC 6238 with SHA-1, 6 digits, 30 s."""
    import hmac

    import pyotp

    totp = pyotp.TOTP(secret)
    present = now_s // PERIOD_S
    found = None
    for step in range(present - DRIFT_STEPS, present + DRIFT_STEPS + 1):
        if hmac.compare_digest(totp.generate_otp(step), code):
            found = step
    return found


def make_ticket(tenant: str, purpose: Purpose, operator: str, expires_ms: int, body: bytes = b"") -> tuple[str, Ticket]:
    """(text that is shown once, what is kept of it); 256 random bits, and the tenant in plain sight."""
    text = f"{tenant}.{secrets.token_urlsafe(32)}"
    return text, Ticket(
        tenant=tenant, digest=digest(text), purpose=purpose, operator=operator, expires_ms=expires_ms, body=body
    )


def read_ticket(text: str) -> tuple[str, str]:
    """(tenant, digest) of a ticket's text; raises Unauthenticated for a text that is none."""
    tenant, _, secret = text.rpartition(".")
    if not tenant or len(secret) != 43 or len(text) > 256:
        raise refusal()
    return tenant, digest(text)


def refusal() -> Unauthenticated:
    """The one answer to every sign-in that fails."""
    return Unauthenticated(
        "this sign-in does not hold", hint="check name, password and code; after several failures wait a little"
    )
