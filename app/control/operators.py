"""Operators: inviting, changing and dropping them, and what each does about its own password and factors.

Nobody gives a role with a scope that they lack, touches somebody who has one, or changes their own role; the last owner
stays. An operator of another tenant does not differ from one that is not there.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from app.control.auth import Identity
from app.control.grants import Grants
from app.control.passkeys import Passkeys, Site, decode
from app.control.passwords import Hasher, require_good
from app.control.people import Operator, Passkey, People, Ticket
from app.control.permissions import SCOPES, Role, require_grantable
from app.control.sign_in import make_ticket, read_ticket, refusal, step_of
from app.core.clock import Clock
from app.core.digests import digest
from app.core.errors import Conflict, Forbidden, Invalid, NotFound
from app.core.ports import Audit, Vault

INVITATION_MS_MAX = 86_400_000
ENROLMENT_MS_MAX = 600_000
RECOVERY_CODES = 10
RECOVERY_BYTES = 5
"""40 random bits, and a try costs as much as one at a password."""
FOREVER_MS = 1 << 52
PASSKEYS_MAX = 20
OPERATORS_MAX = 1_000


class Operators:
    """The tenant's people, as one of them or the host may change them."""

    def __init__(
        self,
        people: People,
        *,
        hasher: Hasher,
        passkeys: Passkeys,
        vault: Vault,
        grants: Grants,
        clock: Clock,
        audit: Audit,
    ) -> None:
        self._people = people
        self._hasher = hasher
        self._passkeys = passkeys
        self._vault = vault
        self._grants = grants
        self._clock = clock
        self._audit = audit

    async def all(self, by: Identity) -> Sequence[Operator]:
        """The operators of the caller's tenant."""
        return await self._people.operators(by.tenant)

    async def invite(self, by: Identity, login: str, role: Role) -> tuple[Operator, str]:
        """A new operator and the text of an invitation that holds once, for a day; raises Forbidden or Conflict."""
        require_grantable(by.scopes, SCOPES[role])
        name = login.strip().casefold()
        if not 1 <= len(name) <= 200 or not name.isprintable():
            raise Invalid(f"the login {login!r} is no name", hint="give a mail address or a short name")
        if len(await self._people.operators(by.tenant)) >= OPERATORS_MAX:
            raise Conflict(f"the tenant has {OPERATORS_MAX} operators", hint="remove one first")
        now_ms = self._clock.wall_ms()
        operator = Operator(tenant=by.tenant, id=secrets.token_hex(8), login=name, role=role, created_ms=now_ms)
        text, ticket = make_ticket(by.tenant, "invitation", operator.id, now_ms + INVITATION_MS_MAX)
        if not await self._people.add(operator, ticket):
            raise Conflict(f"the login {name!r} is taken", hint="give another")
        self._audit.note(by.tenant, by.actor, "operator.invited", operator.id, role=role.value)
        return operator, text

    async def reset(self, by: Identity, id: str) -> str:
        """Forget somebody's password and factors, end its sign-ins, and give a new invitation."""
        operator = await self._changeable(by, id)
        text, ticket = make_ticket(by.tenant, "invitation", id, self._clock.wall_ms() + INVITATION_MS_MAX)
        await self._people.reset(by.tenant, id, ticket)
        await self._grants.revoke_subject(by.tenant, operator.actor, by=by.actor)
        self._audit.note(by.tenant, by.actor, "operator.reset", id)
        return text

    async def change_role(self, by: Identity, id: str, role: Role) -> None:
        """Give somebody else another role, at once for what it has open; raises Forbidden, Conflict, NotFound."""
        operator = await self._changeable(by, id)
        require_grantable(by.scopes, SCOPES[role])
        if operator.actor == by.actor:
            raise Forbidden("nobody changes their own role", hint="ask another owner")
        if not await self._people.set_role(by.tenant, id, role):
            raise _last_owner()
        await self._grants.revoke_subject(by.tenant, operator.actor, by=by.actor)
        self._audit.note(by.tenant, by.actor, "operator.role_changed", id, role=role.value)

    async def set_disabled(self, by: Identity, id: str, *, disabled: bool) -> None:
        """Keep somebody out, at once, or let it in again; raises Forbidden, Conflict, NotFound."""
        operator = await self._changeable(by, id)
        if not await self._people.set_disabled(by.tenant, id, self._clock.wall_ms() if disabled else None):
            raise _last_owner()
        if disabled:
            await self._grants.revoke_subject(by.tenant, operator.actor, by=by.actor)
        self._audit.note(by.tenant, by.actor, f"operator.{'disabled' if disabled else 'enabled'}", id)

    async def remove(self, by: Identity, id: str) -> None:
        """Forget somebody and end what it has open; one that is not there is gone already."""
        operator = await self._people.operator(by.tenant, id)
        if operator is None:
            return
        await self._changeable(by, id)
        if not await self._people.remove(by.tenant, id):
            raise _last_owner()
        await self._grants.revoke_subject(by.tenant, operator.actor, by=by.actor)
        self._audit.note(by.tenant, by.actor, "operator.removed", id)

    async def accept(self, text: str, password: str) -> Operator:
        """Take an invitation with a first password; raises Unauthenticated when it does not hold, Invalid."""
        tenant, found = read_ticket(text)
        now_ms = self._clock.wall_ms()
        ticket = await self._people.peek_ticket(tenant, found, "invitation", now_ms, 100)
        operator = await self._people.operator(tenant, ticket.operator) if ticket is not None else None
        if operator is None or operator.disabled_ms is not None:
            raise refusal()
        good = require_good(password, names=(operator.login, operator.login.partition("@")[0]))
        hash = await self._hasher.hash(good)
        if await self._people.take_ticket(tenant, found, "invitation", now_ms) is None:
            raise refusal()
        await self._people.set_password(tenant, operator.id, hash)
        self._audit.note(tenant, operator.actor, "invitation.accepted", operator.id)
        return operator

    async def me(self, by: Identity) -> tuple[Operator, Sequence[Passkey], int]:
        """(the caller, its passkeys, recovery codes left); raises NotFound for a key."""
        operator = await self._self(by)
        passkeys = await self._people.passkeys(by.tenant, operator.id)
        return operator, passkeys, await self._people.count_tickets(by.tenant, operator.id, "recovery")

    async def change_password(self, by: Identity, present: str, new: str) -> None:
        """Another password, which ends every other sign-in; raises Unauthenticated when the present one is wrong."""
        operator = await self._self(by)
        if not await self._hasher.matches(present, operator.password_hash):
            raise refusal()
        good = require_good(new, names=(operator.login, operator.login.partition("@")[0]))
        await self._people.set_password(by.tenant, operator.id, await self._hasher.hash(good))
        await self._grants.revoke_subject(by.tenant, by.actor, by=by.actor)
        self._audit.note(by.tenant, by.actor, "password.changed", operator.id)

    async def begin_totp(self, by: Identity) -> tuple[str, str, str]:
        """(ticket, secret in base32, otpauth address) of an authenticator that is to be added."""
        import pyotp

        operator = await self._self(by)
        secret = pyotp.random_base32(32)
        sealed = self._vault.seal(by.tenant, "operators", "totp_secret", operator.id, secret.encode())
        text, ticket = make_ticket(
            by.tenant, "totp", operator.id, self._clock.wall_ms() + ENROLMENT_MS_MAX, body=sealed
        )
        await self._people.add_tickets([ticket], replacing="totp")
        return text, secret, pyotp.TOTP(secret).provisioning_uri(name=operator.login, issuer_name="Innkeeper")

    async def finish_totp(self, by: Identity, text: str, code: str) -> list[str]:
        """Take the authenticator once it shows the right code; recovery codes, shown once. Raises Invalid."""
        operator = await self._self(by)
        tenant, found = read_ticket(text)
        now_ms = self._clock.wall_ms()
        ticket = await self._people.peek_ticket(tenant, found, "totp", now_ms, 10) if tenant == by.tenant else None
        if ticket is None or ticket.operator != operator.id:
            raise Invalid("this enrolment is over", hint="begin again")
        secret = self._vault.open(by.tenant, "operators", "totp_secret", operator.id, ticket.body)
        step = step_of(secret.decode(), code.replace(" ", ""), now_ms // 1000)
        if step is None:
            raise Invalid("the code is not the one that is due now", hint="check the clock of the authenticator")
        if await self._people.take_ticket(tenant, found, "totp", now_ms) is None:
            raise Invalid("this enrolment is over", hint="begin again")
        await self._people.set_totp(by.tenant, operator.id, ticket.body, step)
        self._audit.note(by.tenant, by.actor, "totp.added", operator.id)
        return await self._new_codes(operator)

    async def begin_passkey(self, by: Identity, site: Site) -> dict[str, Any]:
        """Options for the browser that is to make a passkey."""
        operator = await self._self(by)
        known = list(await self._people.passkeys(by.tenant, operator.id))
        if len(known) >= PASSKEYS_MAX:
            raise Conflict(f"there are {PASSKEYS_MAX} passkeys", hint="remove one first")
        challenge = self._passkeys.challenge(_making(operator), self._clock.wall_ms())
        return self._passkeys.creation(operator, known, site, challenge)

    async def finish_passkey(
        self, by: Identity, credential: dict[str, Any], challenge_text: str, label: str, site: Site
    ) -> tuple[Passkey, list[str]]:
        """Keep the passkey; with the first factor recovery codes come too. Raises Invalid."""
        operator = await self._self(by)
        now_ms = self._clock.wall_ms()
        try:
            challenge = decode(challenge_text)
        except ValueError as error:
            raise Invalid("the challenge cannot be read", hint="begin again") from error
        self._passkeys.require_challenge(_making(operator), challenge, now_ms)
        passkey = self._passkeys.created(operator, credential, site, challenge, label=label, now_ms=now_ms)
        if not await self._people.add_passkey(passkey):
            raise Conflict("this passkey is known already", hint="use it")
        self._audit.note(by.tenant, by.actor, "passkey.added", passkey.id)
        left = await self._people.count_tickets(by.tenant, operator.id, "recovery")
        return passkey, [] if left else await self._new_codes(operator)

    async def remove_passkey(self, by: Identity, id: str) -> None:
        """Forget one of the caller's passkeys; the last factor stays."""
        operator = await self._self(by)
        known = await self._people.passkeys(by.tenant, operator.id)
        if operator.totp_secret is None and [one.id for one in known] == [id]:
            raise Conflict("this is the only second factor", hint="add another first")
        if await self._people.remove_passkey(by.tenant, operator.id, id):
            self._audit.note(by.tenant, by.actor, "passkey.removed", id)

    async def _new_codes(self, operator: Operator) -> list[str]:
        plain = [secrets.token_hex(RECOVERY_BYTES) for _ in range(RECOVERY_CODES)]
        tickets = [
            Ticket(
                tenant=operator.tenant,
                digest=digest(f"{operator.id}/{code}"),
                purpose="recovery",
                operator=operator.id,
                expires_ms=FOREVER_MS,
            )
            for code in plain
        ]
        await self._people.add_tickets(tickets, replacing="recovery")
        return [f"{code[:5]}-{code[5:]}" for code in plain]

    async def _self(self, by: Identity) -> Operator:
        kind, _, id = by.actor.partition(":")
        operator = await self._people.operator(by.tenant, id) if kind == "operator" else None
        if operator is None:
            raise NotFound("this credential is no person's", hint="sign in with a name and a password")
        return operator

    async def _changeable(self, by: Identity, id: str) -> Operator:
        """Somebody of the caller's tenant who may do no more than the caller; raises NotFound or Forbidden."""
        operator = await self._people.operator(by.tenant, id)
        if operator is None:
            raise NotFound(f"no operator {id!r}", hint="see GET /v1/operators")
        require_grantable(by.scopes, SCOPES[operator.role])
        return operator


def invitation_link(address: str, text: str) -> str:
    """Where an invited person goes."""
    return f"{address}/console/#invite={quote(text)}"


def _making(operator: Operator) -> str:
    return f"create {operator.tenant}/{operator.id}"


def _last_owner() -> Conflict:
    return Conflict("this is the last owner in force", hint="make somebody else an owner first")
