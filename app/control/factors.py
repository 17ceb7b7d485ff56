"""What a person signs in with, chosen and changed by themselves: password, authenticator, passkeys, recovery codes.

An invitation is accepted in one step with all that it takes, so there is no account with half of it. Whoever is signed
in changes things only for a while after signing in, and never takes away the last way to get in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.control import passkeys, totp
from app.control.auth import Identity
from app.control.codes import code_refusal, draw_code, draw_recovery_code, recovery_digest, tenant_of
from app.control.grants import Grants, Issued
from app.control.operator_records import Code, Joining, Kind, Lock, Operator, OperatorRecords, Passkey
from app.control.operators import Operators, login_key, require_login
from app.control.passkeys import Site
from app.control.passwords import Passwords, normal, require_good
from app.control.sign_in import Challenge, sign_in_refusal
from app.core.clock import Clock
from app.core.digests import digest
from app.core.errors import Conflict, Forbidden, Invalid, NotFound
from app.core.ports import Audit
from app.core.sign_in import SignIn


@dataclass(frozen=True, slots=True)
class Authenticator:
    """A secret for an authenticator app, not in use before its first code was shown."""

    enrollment: str
    secret: str
    uri: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What a new device showed: the code of an authenticator, or the answer of a passkey."""

    enrollment: str
    code: str = ""
    passkey: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """The tokens of somebody who accepted an invitation, and recovery codes, shown once."""

    issued: Issued
    recovery_codes: tuple[str, ...]


class Factors:
    """Works for one person at a time: the holder of an invitation, or the operator behind an identity."""

    def __init__(
        self,
        records: OperatorRecords,
        operators: Operators,
        passwords: Passwords,
        grants: Grants,
        *,
        clock: Clock,
        audit: Audit,
        settings: SignIn,
    ) -> None:
        self._records = records
        self._operators = operators
        self._passwords = passwords
        self._grants = grants
        self._clock = clock
        self._audit = audit
        self._settings = settings
        self._lock = Lock(settings.failures_max, settings.lock_ms_max)

    async def invited(self, invitation: str) -> Operator:
        """Who is invited by a code in force; raises Unauthenticated."""
        tenant = tenant_of(invitation)
        now_ms = self._clock.wall_ms()
        code = await self._records.code(tenant, digest(invitation), Kind.INVITATION, now_ms)
        found = await self._records.get(tenant, code.operator) if code is not None else None
        if found is None or found.disabled_ms is not None:
            raise code_refusal()
        return found

    async def person(self, identity: Identity) -> Operator:
        """Who is behind an identity that was proved a moment ago; raises Forbidden for a key or after that moment."""
        found = await self._operators.of(identity)
        if found is None:
            raise Forbidden("a key has no password and no second factor", hint="sign in as an operator")
        if self._clock.wall_ms() - identity.since_ms > self._settings.fresh_ms:
            raise Forbidden("you signed in too long ago for this", hint="sign in again, then repeat it")
        return found

    async def begin_totp(self, person: Operator) -> Authenticator:
        """A secret for the person's authenticator."""
        secret = totp.draw_secret()
        enrollment = await self._enroll(person, secret.encode())
        return Authenticator(enrollment, secret, totp.uri_of(secret, person.login))

    async def begin_passkey(self, person: Operator, site: Site) -> Challenge:
        """What the person's browser is asked to make."""
        challenge = passkeys.draw_challenge()
        known = [passkey.credential for passkey in await self._records.passkeys(person.tenant, person.id)]
        options = passkeys.creation_options(
            site,
            challenge,
            id=person.id,
            login=person.login,
            known=known,
            timeout_ms=self._settings.challenge_ms,
        )
        return Challenge(await self._enroll(person, challenge), options)

    async def join(
        self, invitation: str, *, login: str, password: str, proof: Proof | None, site: Site, label: str
    ) -> Joined:
        """Accept an invitation; raises Unauthenticated, Invalid for a password that will not do, Conflict for a login.

        An empty password is left out, which a passkey allows.
        """
        invited = await self.invited(invitation)
        name = require_login(login)
        if proof is None and self._settings.factor_required:
            raise Invalid("a second factor is missing", hint="add an authenticator or a passkey")
        if not password and (proof is None or proof.passkey is None):
            raise Invalid("a password is missing", hint="choose one, or sign in by passkey alone")
        if password:
            password = require_good(password, login=name, with_factor=proof is not None, settings=self._settings)
        joining = Joining(login=name, login_key=login_key(name))
        if proof is not None:
            joining = await self._proved(invited, joining, proof, site, label)
        texts: tuple[str, ...] = ()
        if password and proof is not None:
            texts = tuple(draw_recovery_code() for _ in range(self._settings.recovery_codes_max))
        joining = replace(
            joining,
            password_hash=await self._passwords.hash(password) if password else "",
            recovery=[_recovery(invited.id, text) for text in texts],
        )
        id = await self._records.join(invited.tenant, digest(invitation), joining, self._clock.wall_ms())
        joined = await self._records.get(invited.tenant, id) if id is not None else None
        if joined is None:
            raise code_refusal()
        self._audit.note(joined.tenant, joined.actor, "operator.joined", joined.actor, role=joined.role)
        return Joined(await self._operators.open_session(joined), texts)

    async def _proved(self, person: Operator, joining: Joining, proof: Proof, site: Site, label: str) -> Joining:
        if proof.passkey is not None:
            return replace(joining, passkey=await self._made(person, proof, site, label))
        secret, step = await self._shown(person, proof)
        return replace(joining, totp_secret=secret, totp_step=step)

    async def add_totp(self, person: Operator, proof: Proof) -> None:
        """Use an authenticator from now on, in the place of one before; raises Unauthenticated for a wrong code."""
        secret, step = await self._shown(person, proof)
        await self._records.set_totp(person.tenant, person.id, secret, step)
        self._audit.note(person.tenant, person.actor, "factor.added", person.actor, factor="totp")

    async def drop_totp(self, person: Operator) -> None:
        """Use no authenticator any more; raises Conflict for the last way to get in."""
        if not person.totp_secret:
            return
        if not person.passkeys:
            raise _last()
        await self._records.set_totp(person.tenant, person.id, b"", person.totp_step)
        self._audit.note(person.tenant, person.actor, "factor.removed", person.actor, factor="totp")

    async def passkeys(self, person: Operator) -> tuple[Passkey, ...]:
        return tuple(await self._records.passkeys(person.tenant, person.id))

    async def add_passkey(self, person: Operator, proof: Proof, site: Site, label: str) -> Passkey:
        """Use a passkey from now on; raises Unauthenticated when it does not hold, Conflict for one too many."""
        passkey = await self._made(person, proof, site, label)
        await self._records.add_passkey(person.tenant, passkey, passkeys_max=self._settings.passkeys_max)
        self._audit.note(person.tenant, person.actor, "factor.added", person.actor, factor="passkey")
        return passkey

    async def drop_passkey(self, person: Operator, id: str) -> None:
        """Forget a passkey of the person's; raises NotFound, Conflict for the last way to get in."""
        held = {passkey.digest for passkey in await self._records.passkeys(person.tenant, person.id)}
        if id not in held:
            raise NotFound(f"no passkey {id[:64]!r}", hint="GET /v1/me lists them")
        if len(held) == 1 and not (person.totp_secret and person.password_hash):
            raise _last()
        await self._records.drop_passkey(person.tenant, person.id, id)
        self._audit.note(person.tenant, person.actor, "factor.removed", person.actor, factor="passkey")

    async def renew_recovery_codes(self, person: Operator) -> tuple[str, ...]:
        """Fresh recovery codes, shown once, in the place of those that are left; raises Conflict without a password."""
        if not person.password_hash:
            raise Conflict("recovery codes go with a password", hint="set a password first")
        texts = tuple(draw_recovery_code() for _ in range(self._settings.recovery_codes_max))
        codes = [_recovery(person.id, text) for text in texts]
        await self._records.set_recovery(person.tenant, person.id, codes)
        self._audit.note(person.tenant, person.actor, "factor.added", person.actor, factor="recovery")
        return texts

    async def change_password(self, person: Operator, *, current: str, new: str) -> Issued:
        """Set a password; every sign-in of the person's ends, and the tokens are those of a new one.

        Raises Unauthenticated for a wrong `current`, whose tries are counted with those of signing in.
        """
        subject, now_ms = f"password:{person.id}", self._clock.wall_ms()
        if person.password_hash:
            free = await self._records.attempt(person.tenant, subject, self._lock, now_ms)
            holds = await self._passwords.verify(person.password_hash, normal(current))
            if not (free and holds):
                raise sign_in_refusal()
            await self._records.forget_attempts(person.tenant, subject)
        with_factor = bool(person.passkeys or person.totp_secret)
        text = require_good(new, login=person.login, with_factor=with_factor, settings=self._settings)
        await self._records.set_password(person.tenant, person.id, await self._passwords.hash(text))
        self._audit.note(person.tenant, person.actor, "password.changed", person.actor)
        await self._grants.revoke_subject(person.tenant, person.actor, by=person.actor)
        return await self._operators.open_session(person)

    async def _enroll(self, person: Operator, data: bytes) -> str:
        text, now_ms = draw_code(person.tenant), self._clock.wall_ms()
        code = Code(
            digest=digest(text),
            kind=Kind.ENROLLMENT,
            operator=person.id,
            expires_ms=now_ms + self._settings.challenge_ms,
            data=data,
        )
        await self._records.put_code(person.tenant, code, open_max=self._settings.challenges_max, now_ms=now_ms)
        return text

    async def _shown(self, person: Operator, proof: Proof) -> tuple[bytes, int]:
        """(secret, step) of an authenticator that showed its first code, which may be mistyped before."""
        now_ms, key = self._clock.wall_ms(), digest(proof.enrollment)
        code = await self._records.code(person.tenant, key, Kind.ENROLLMENT, now_ms)
        if code is None or code.operator != person.id:
            raise code_refusal()
        step = totp.step_of(code.data.decode("ascii", "replace"), proof.code, now_ms)
        if step is None:
            raise Invalid("the authenticator's code is wrong", hint="type the six digits that it shows now")
        if await self._records.take_code(person.tenant, key, Kind.ENROLLMENT, now_ms) is None:
            raise code_refusal()
        return code.data, step

    async def _made(self, person: Operator, proof: Proof, site: Site, label: str) -> Passkey:
        now_ms = self._clock.wall_ms()
        code = await self._records.take_code(person.tenant, digest(proof.enrollment), Kind.ENROLLMENT, now_ms)
        if code is None or code.operator != person.id:
            raise code_refusal()
        made = passkeys.check_made(site, code.data, dict(proof.passkey or {}))
        return Passkey(
            digest=digest(made.credential.hex()),
            operator=person.id,
            credential=made.credential,
            public_key=made.public_key,
            sign_count=made.sign_count,
            label=label or "passkey",
            created_ms=now_ms,
        )


def _recovery(id: str, text: str) -> Code:
    return Code(digest=recovery_digest(id, text), kind=Kind.RECOVERY, operator=id, expires_ms=None)


def _last() -> Conflict:
    return Conflict("it is the last way to get in", hint="add another second factor first")
