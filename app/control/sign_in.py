"""Signing in: a password and then a second factor, or a passkey alone, becomes tokens.

Whoever is turned away learns nothing: a login that nobody has, a wrong password, a locked and a disabled account take
the same work and get the same words. Tries are counted before they are looked at, in the database, so that replicas
agree and many at once get no more than few one after another. Only failures with the password slow the password, and
only failures with a code slow the codes: a stranger who knows a login can make its owner wait for a quarter of an hour
at most, never keeps out a passkey, and ends no session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.control import passkeys, totp
from app.control.codes import code_refusal, draw_code, recovery_digest, tenant_of
from app.control.grants import Issued
from app.control.operator_records import Code, Kind, Lock, Operator, OperatorRecords
from app.control.operators import Operators, login_key
from app.control.passkeys import Site
from app.control.passwords import Passwords, normal
from app.core.clock import Clock
from app.core.digests import digest
from app.core.errors import Error, Invalid, Unauthenticated
from app.core.ports import Audit
from app.core.sign_in import SignIn

STRANGERS = 2
"""Hexadecimal digits of a login that nobody has by which its tries are counted: so many rows at most, 256."""
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A right password; one of `factors` is still needed."""

    text: str
    factors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a passkey is asked to sign; `text` goes back with the answer."""

    text: str
    options: dict[str, Any]


class SignIns:
    """Proves who somebody is. Every refusal is Unauthenticated with the words of its step."""

    def __init__(
        self,
        records: OperatorRecords,
        operators: Operators,
        passwords: Passwords,
        *,
        clock: Clock,
        audit: Audit,
        settings: SignIn,
        fallback_tenant: str,
    ) -> None:
        """Tries for a tenant that is not there are counted at `fallback_tenant`."""
        self._records = records
        self._operators = operators
        self._passwords = passwords
        self._clock = clock
        self._audit = audit
        self._settings = settings
        self._fallback = fallback_tenant
        self._lock = Lock(settings.failures_max, settings.lock_ms_max)

    async def with_password(self, tenant: str, login: str, password: str) -> Ticket | Issued:
        """A ticket for the second step, or tokens where a password is all there is."""
        there = await self._records.has_tenant(tenant)
        key = login_key(login)
        found = await self._records.find(tenant if there else self._fallback, key)
        found = found if there else None
        place = tenant if there else self._fallback
        subject = f"password:{found.id}" if found is not None else f"stranger:{digest(key)[:STRANGERS]}"
        free = await self._records.attempt(place, subject, self._lock, self._clock.wall_ms())
        holds = await self._passwords.verify(found.password_hash if found is not None else "", _typed(password))
        if found is None or not (free and holds and found.active):
            self._failed(place, found, "password", locked=not free)
            raise sign_in_refusal()
        await self._records.forget_attempts(tenant, subject)
        await self._renew_hash(found, password)
        if found.factors:
            return await self._ticket(found)
        if self._settings.factor_required:
            self._failed(place, found, "password", locked=False)
            raise sign_in_refusal()
        return await self._open(found, "password")

    async def with_totp(self, ticket: str, code: str) -> Issued:
        """Tokens for a ticket and the code of an authenticator, each of which counts once."""
        found = await self._holder(ticket)
        await self._count_code(found)
        step = totp.step_of(found.totp_secret.decode(), code, self._clock.wall_ms()) if found.totp_secret else None
        now_ms = self._clock.wall_ms()
        if step is None or not await self._records.take_step(
            found.tenant, found.id, step=step, ticket=digest(ticket), now_ms=now_ms
        ):
            self._failed(found.tenant, found, "totp", locked=False)
            raise code_refusal()
        await self._records.forget_attempts(found.tenant, f"code:{found.id}")
        return await self._open(found, "totp")

    async def with_recovery_code(self, ticket: str, code: str) -> Issued:
        """Tokens for a ticket and a recovery code, which is then used up."""
        found = await self._holder(ticket)
        await self._count_code(found)
        now_ms = self._clock.wall_ms()
        kept = recovery_digest(found.id, code)
        if await self._records.take_code(found.tenant, kept, Kind.RECOVERY, now_ms) is None:
            self._failed(found.tenant, found, "recovery", locked=False)
            raise code_refusal()
        if await self._records.take_code(found.tenant, digest(ticket), Kind.TICKET, now_ms) is None:
            raise code_refusal()
        await self._records.forget_attempts(found.tenant, f"code:{found.id}")
        self._audit.note(found.tenant, found.actor, "recovery_code.used", found.actor, left=found.recovery_codes - 1)
        return await self._open(found, "recovery")

    async def challenge(self, tenant: str, site: Site) -> Challenge:
        """What any passkey of the tenant's is asked to sign; the same for a tenant that is not there."""
        place = tenant if await self._records.has_tenant(tenant) else self._fallback
        challenge = passkeys.draw_challenge()
        text = draw_code(place)
        now_ms = self._clock.wall_ms()
        code = Code(
            digest=digest(text),
            kind=Kind.CHALLENGE,
            operator="",
            expires_ms=now_ms + self._settings.challenge_ms,
            data=challenge,
        )
        await self._records.put_code(place, code, open_max=self._settings.challenges_max, now_ms=now_ms)
        return Challenge(text, passkeys.request_options(site, challenge, timeout_ms=self._settings.challenge_ms))

    async def with_passkey(self, text: str, answer: Mapping[str, Any], site: Site) -> Issued:
        """Tokens for the answer of a passkey to a challenge, which is used up whatever the answer."""
        tenant, now_ms = tenant_of(text), self._clock.wall_ms()
        code = await self._records.take_code(tenant, digest(text), Kind.CHALLENGE, now_ms)
        if code is None:
            raise passkeys.passkey_refusal()
        held = await self._records.passkey(tenant, digest(passkeys.credential_of(dict(answer)).hex()))
        if held is None:
            self._failed(tenant, None, "passkey", locked=False)
            raise passkeys.passkey_refusal()
        found = await self._records.get(tenant, held.operator)
        try:
            count = passkeys.check_signed(
                site, code.data, dict(answer), public_key=held.public_key, sign_count=held.sign_count
            )
        except Unauthenticated:
            self._failed(tenant, found, "passkey", locked=False)
            raise
        used = await self._records.use_passkey(
            tenant, held.digest, count=held.sign_count, next_count=count, now_ms=now_ms
        )
        if found is None or not found.active or not used:
            self._failed(tenant, found, "passkey", locked=False)
            raise passkeys.passkey_refusal()
        return await self._open(found, "passkey")

    async def _ticket(self, found: Operator) -> Ticket:
        text, now_ms = draw_code(found.tenant), self._clock.wall_ms()
        code = Code(
            digest=digest(text), kind=Kind.TICKET, operator=found.id, expires_ms=now_ms + self._settings.ticket_ms
        )
        await self._records.put_code(found.tenant, code, open_max=self._settings.challenges_max, now_ms=now_ms)
        return Ticket(text, found.factors)

    async def _holder(self, ticket: str) -> Operator:
        """Whose ticket it is; raises Unauthenticated."""
        tenant = tenant_of(ticket)
        code = await self._records.code(tenant, digest(ticket), Kind.TICKET, self._clock.wall_ms())
        found = await self._records.get(tenant, code.operator) if code is not None else None
        if found is None or not found.active:
            raise code_refusal()
        return found

    async def _count_code(self, found: Operator) -> None:
        """Count a try with a code; raises Unauthenticated while it must wait."""
        subject, now_ms = f"code:{found.id}", self._clock.wall_ms()
        if not await self._records.attempt(found.tenant, subject, self._lock, now_ms):
            self._failed(found.tenant, found, "code", locked=True)
            raise code_refusal()

    async def _renew_hash(self, found: Operator, password: str) -> None:
        if self._passwords.needs_rehash(found.password_hash):
            kept = await self._passwords.hash(_typed(password))
            await self._records.set_password(found.tenant, found.id, kept)

    async def _open(self, found: Operator, by: str) -> Issued:
        issued = await self._operators.open_session(found)
        self._audit.note(found.tenant, found.actor, "operator.signed_in", found.actor, by=by)
        return issued

    def _failed(self, tenant: str, found: Operator | None, by: str, *, locked: bool) -> None:
        target = found.actor if found is not None else UNKNOWN
        self._audit.note(tenant, UNKNOWN, "operator.sign_in_failed", target, by=by, locked=locked)


def sign_in_refusal() -> Error:
    """The one answer to every login and password that do not open anything."""
    return Unauthenticated(
        "login and password do not open anything", hint="check both; after some failures each next try has to wait"
    )


def _typed(password: str) -> str:
    """The password as it would be hashed; one that is no text is nobody's."""
    try:
        return normal(password)
    except Invalid:
        return ""
