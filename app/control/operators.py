"""The people who run a tenant: invited, given roles, disabled, removed, by somebody who may.

Nobody gives a role that holds more than they do themselves, touches somebody who holds more, or raises their own role;
no tenant loses its last owner. It knows neither passwords nor second factors.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.control.auth import Identity
from app.control.codes import code_refusal, draw_code
from app.control.grants import Grants, Issued
from app.control.operator_records import Code, Kind, Operator, OperatorRecords
from app.control.permissions import SCOPES, Role, require_grantable
from app.core.clock import Clock
from app.core.digests import digest
from app.core.errors import Forbidden, Invalid, NotFound
from app.core.ports import Audit
from app.core.sign_in import SignIn

ID_BYTES = 9
LOGIN_CHARS_MAX = 100
HOST = "host"
"""Who acts from the command line or at a start."""
FIRST_OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Invited:
    """Somebody who was invited; `code` is shown once."""

    operator: Operator
    code: str


def login_key(login: str) -> str:
    """What makes two logins the same: compatible characters and case aside."""
    return unicodedata.normalize("NFKC", login).casefold()


def require_login(login: str) -> str:
    """The login, trimmed; raises Invalid for one that is empty, too long or has characters that do not show."""
    text = unicodedata.normalize("NFC", login).strip()
    if not 0 < len(text) <= LOGIN_CHARS_MAX or len(login_key(text)) > 2 * LOGIN_CHARS_MAX or not text.isprintable():
        raise Invalid(f"login {login[:40]!r}", hint=f"give 1 to {LOGIN_CHARS_MAX} characters that can be seen")
    return text


class Operators:
    """Operators of the caller's tenant; `learn` brings a change into force here before it is answered."""

    def __init__(
        self,
        records: OperatorRecords,
        grants: Grants,
        *,
        clock: Clock,
        audit: Audit,
        settings: SignIn,
        learn: Callable[[], Awaitable[None]],
    ) -> None:
        self._records = records
        self._grants = grants
        self._clock = clock
        self._audit = audit
        self._settings = settings
        self._learn = learn

    async def open_session(self, operator: Operator) -> Issued:
        """Tokens for a person who has proved who they are: the one place where an operator becomes an identity.

        Raises Unauthenticated when the person was disabled meanwhile. Whoever disables ends what is open by then, and
        what is opened later is looked at again here, so nothing slips through between.
        """
        now_ms = self._clock.wall_ms()
        identity = Identity(tenant=operator.tenant, actor=operator.actor, scopes=operator.scopes, since_ms=now_ms)
        issued = await self._grants.sign_in(identity)
        present = await self._records.get(operator.tenant, operator.id)
        if present is None or not present.active:
            await self._grants.end(issued.refresh or issued.access)
            raise code_refusal()
        await self._records.note_signed_in(operator.tenant, operator.id, now_ms)
        return issued

    async def of(self, identity: Identity) -> Operator | None:
        """The person behind an identity; None for a key."""
        kind, _, id = identity.actor.partition(":")
        return await self._records.get(identity.tenant, id) if kind == "operator" else None

    async def all(self, tenant: str) -> list[Operator]:
        return await self._records.all(tenant)

    async def invite(self, giver: Identity, *, login: str, role: Role) -> Invited:
        """Invite somebody; raises Forbidden for a role with scopes that the giver lacks, Conflict for a taken login."""
        require_grantable(giver.scopes, SCOPES[role])
        return await self._invite(giver.tenant, giver.actor, login=login, role=role)

    async def invite_from_host(self, tenant: str, *, login: str, role: Role) -> Invited:
        """The same from the command line, where everything may be given."""
        return await self._invite(tenant, HOST, login=login, role=role)

    async def _invite(self, tenant: str, actor: str, *, login: str, role: Role) -> Invited:
        text, now_ms = require_login(login), self._clock.wall_ms()
        operator = Operator(
            tenant=tenant,
            id=secrets.token_hex(ID_BYTES),
            login=text,
            role=role,
            password_hash="",
            totp_secret=b"",
            totp_step=0,
            created_ms=now_ms,
            joined_ms=None,
            signed_in_ms=None,
            disabled_ms=None,
            passkeys=0,
            recovery_codes=0,
        )
        shown, code = self._invitation(tenant, operator.id)
        await self._records.invite(operator, login_key(text), code, operators_max=self._settings.operators_max)
        self._audit.note(tenant, actor, "operator.invited", operator.actor, role=role)
        return Invited(operator, shown)

    async def invite_first(self, tenant: str) -> str | None:
        """A code by which the tenant's first owner joins; None where somebody has joined already."""
        known = await self._records.all(tenant)
        if any(operator.joined_ms is not None for operator in known):
            return None
        waiting = next((operator for operator in known if operator.role is Role.OWNER), None)
        if waiting is None:
            return (await self.invite_from_host(tenant, login=FIRST_OWNER, role=Role.OWNER)).code
        # The links of earlier starts, and of other replicas, stay good until one of them is used.
        shown, code = self._invitation(tenant, waiting.id)
        now_ms = self._clock.wall_ms()
        await self._records.put_code(tenant, code, open_max=self._settings.challenges_max, now_ms=now_ms)
        return shown

    async def change(
        self, giver: Identity, id: str, *, role: Role | None = None, disabled: bool | None = None
    ) -> Operator:
        """Give a role, disable or enable; the person's tokens and sockets follow at once.

        Raises NotFound, Forbidden for what the giver may not do to that person, Conflict for the last owner.
        """
        held = await self._required(giver.tenant, id)
        require_over(giver, held, role)
        return await self._change(held, giver.actor, role=role, disabled=disabled)

    async def change_from_host(
        self, tenant: str, id: str, *, role: Role | None = None, disabled: bool | None = None
    ) -> Operator:
        """The same from the command line."""
        return await self._change(await self._required(tenant, id), HOST, role=role, disabled=disabled)

    async def _change(self, held: Operator, actor: str, *, role: Role | None, disabled: bool | None) -> Operator:
        now_ms = self._clock.wall_ms()
        disabled_ms = None if disabled is None or disabled is (held.disabled_ms is not None) else now_ms * disabled
        await self._records.change(held.tenant, held.id, role=role, disabled_ms=disabled_ms, now_ms=now_ms)
        if role is not None:
            self._audit.note(held.tenant, actor, "operator.role_changed", held.actor, role=role, before=held.role)
        if disabled_ms is not None:
            action = "operator.disabled" if disabled else "operator.enabled"
            self._audit.note(held.tenant, actor, action, held.actor)
        await self._learn()
        return await self._required(held.tenant, held.id)

    async def remove(self, giver: Identity, id: str) -> None:
        """Remove somebody, who may be removed already; raises NotFound, Forbidden, Conflict for the last owner."""
        if await self._records.is_removed(giver.tenant, id):
            return
        held = await self._required(giver.tenant, id)
        require_over(giver, held)
        await self._records.remove(held.tenant, held.id, self._clock.wall_ms())
        self._audit.note(held.tenant, giver.actor, "operator.removed", held.actor)
        await self._learn()

    async def reset(self, giver: Identity, id: str) -> Invited:
        """Take password and factors away and invite anew; raises as `remove`."""
        held = await self._required(giver.tenant, id)
        require_over(giver, held)
        return await self._reset(held, giver.actor, last_owner_too=False)

    async def reset_from_host(self, tenant: str, id: str) -> Invited:
        """The same from the command line, also for the last owner, who would otherwise be locked out for good."""
        return await self._reset(await self._required(tenant, id), HOST, last_owner_too=True)

    async def _reset(self, held: Operator, actor: str, *, last_owner_too: bool) -> Invited:
        shown, code = self._invitation(held.tenant, held.id)
        now_ms = self._clock.wall_ms()
        await self._records.reset(held.tenant, held.id, code, now_ms, last_owner_too=last_owner_too)
        self._audit.note(held.tenant, actor, "operator.reset", held.actor)
        await self._learn()
        return Invited(await self._required(held.tenant, held.id), shown)

    def _invitation(self, tenant: str, id: str) -> tuple[str, Code]:
        shown = draw_code(tenant)
        expires_ms = self._clock.wall_ms() + self._settings.invitation_ms
        return shown, Code(digest=digest(shown), kind=Kind.INVITATION, operator=id, expires_ms=expires_ms)

    async def find(self, tenant: str, name: str) -> Operator:
        """The operator with that login or id; raises NotFound."""
        return await self._records.find(tenant, login_key(name)) or await self._required(tenant, name)

    async def _required(self, tenant: str, id: str) -> Operator:
        held = await self._records.get(tenant, id)
        if held is None:
            raise NotFound(f"no operator {id[:64]!r}", hint="GET /v1/operators lists them")
        return held


def invitation_link(url: str, code: str) -> str:
    """Where an invited person joins. A page at `localhost` may use passkeys, at a bare address it may not."""
    return f"{url.replace('//127.0.0.1', '//localhost')}/console/#invite={code}"


def require_over(giver: Identity, held: Operator, role: Role | None = None) -> None:
    """Raise Forbidden unless `giver` holds all that `held` has, and all of the role that is to be given.

    Nobody's own role goes up: that they hold its scopes by another credential does not count.
    """
    require_grantable(giver.scopes, held.scopes)
    if role is None:
        return
    require_grantable(giver.scopes, SCOPES[role])
    if giver.actor == held.actor and SCOPES[role] & ~held.scopes:
        raise Forbidden("nobody raises their own role", hint="ask an owner")
