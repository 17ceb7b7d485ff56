"""What the database keeps of the people who run a tenant, and the port through which it is read and written.

It decides nothing: what may happen once, and what must not happen to the last owner, is asked for here and held by
the transaction that does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.control.permissions import SCOPES, Role
from app.core.module import Scope


class Kind(StrEnum):
    """What a one-time code is for."""

    INVITATION = "invitation"
    TICKET = "ticket"
    """A right password that waits for its second factor."""
    CHALLENGE = "challenge"
    """What a passkey signs to sign somebody in."""
    ENROLLMENT = "enrollment"
    """A second factor that has not been shown yet."""
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A person who runs a tenant. One who has not accepted the invitation yet has no `joined_ms`."""

    tenant: str
    id: str
    login: str
    role: Role
    password_hash: str
    totp_secret: bytes
    """In base 32, as an authenticator takes it; empty without one."""
    totp_step: int
    """The newest time step whose code was taken."""
    created_ms: int
    joined_ms: int | None
    signed_in_ms: int | None
    disabled_ms: int | None
    passkeys: int
    recovery_codes: int

    @property
    def actor(self) -> str:
        return f"operator:{self.id}"

    @property
    def scopes(self) -> Scope:
        return SCOPES[self.role]

    @property
    def active(self) -> bool:
        """Whether the person has joined and may sign in."""
        return self.joined_ms is not None and self.disabled_ms is None

    @property
    def factors(self) -> tuple[str, ...]:
        """The second factors, by name."""
        held = (("passkey", self.passkeys), ("totp", self.totp_secret), ("recovery", self.recovery_codes))
        return tuple(name for name, there in held if there)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A one-time code; of its text the database keeps the digest."""

    digest: str
    kind: Kind
    operator: str
    expires_ms: int | None
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """A public key that an authenticator of the operator's holds the other half of (WebAuthn)."""

    digest: str
    """Of the credential's id; names it in the REST interface too."""
    operator: str
    credential: bytes
    public_key: bytes
    sign_count: int
    label: str
    created_ms: int
    used_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """What a person chose when accepting an invitation."""

    login: str
    login_key: str
    password_hash: str = ""
    totp_secret: bytes = b""
    totp_step: int = 0
    passkey: Passkey | None = None
    recovery: Sequence[Code] = ()


@dataclass(frozen=True, slots=True)
class Lock:
    """When tries are slowed: see `app/stores/operators.py: attempt`."""

    failures_max: int
    lock_ms_max: int


class OperatorRecords(Protocol):
    """The database's part. Every method is one transaction; raises StoreDown when the database does not answer."""

    async def has_tenant(self, tenant: str) -> bool: ...

    async def all(self, tenant: str) -> list[Operator]: ...

    async def get(self, tenant: str, id: str) -> Operator | None: ...

    async def find(self, tenant: str, login_key: str) -> Operator | None: ...

    async def is_removed(self, tenant: str, id: str) -> bool: ...

    async def invite(self, operator: Operator, login_key: str, code: Code, *, operators_max: int) -> None:
        """Add a person with an invitation; raises Conflict when the login is taken or the tenant is full."""
        ...

    async def change(self, tenant: str, id: str, *, role: Role | None, disabled_ms: int | None, now_ms: int) -> None:
        """Give a role, and disable (or, at 0, enable); tokens and sockets of the person follow in the same transaction.

        None leaves as it is. Raises Conflict when no owner would be left who can sign in, NotFound.
        """
        ...

    async def remove(self, tenant: str, id: str, now_ms: int) -> None:
        """Forget name, password and factors and end every sign-in; raises Conflict for the last owner, NotFound."""
        ...

    async def reset(self, tenant: str, id: str, code: Code, now_ms: int, *, last_owner_too: bool) -> None:
        """Take password and factors away, end every sign-in, and keep the code of a new invitation.

        Raises NotFound, and Conflict for the last owner unless that is meant.
        """
        ...

    async def join(self, tenant: str, digest: str, joining: Joining, now_ms: int) -> str | None:
        """Accept the invitation with that digest: the operator's id, or None when it holds no more.

        Raises Conflict for a login that somebody else has, which leaves the invitation in force.
        """
        ...

    async def note_signed_in(self, tenant: str, id: str, now_ms: int) -> None: ...

    async def set_password(self, tenant: str, id: str, password_hash: str) -> None: ...

    async def set_totp(self, tenant: str, id: str, secret: bytes, step: int) -> None:
        """Keep an authenticator's secret, empty for none, and the step of the code that proved it."""
        ...

    async def set_recovery(self, tenant: str, id: str, codes: Sequence[Code]) -> None:
        """Put new recovery codes in the place of those that are left."""
        ...

    async def put_code(self, tenant: str, code: Code, *, open_max: int, now_ms: int) -> None:
        """Keep a code; raises Overloaded when that many are open already."""
        ...

    async def code(self, tenant: str, digest: str, kind: Kind, now_ms: int) -> Code | None:
        """The code in force with that digest, which stays."""
        ...

    async def take_code(self, tenant: str, digest: str, kind: Kind, now_ms: int) -> Code | None:
        """The same, for one caller only."""
        ...

    async def take_step(self, tenant: str, id: str, *, step: int, ticket: str, now_ms: int) -> bool:
        """Use up an authenticator's step and the ticket together; False when either is gone."""
        ...

    async def passkeys(self, tenant: str, id: str) -> Sequence[Passkey]: ...

    async def passkey(self, tenant: str, digest: str) -> Passkey | None: ...

    async def add_passkey(self, tenant: str, passkey: Passkey, *, passkeys_max: int) -> None:
        """Raises Conflict for one that is known, or one too many."""
        ...

    async def use_passkey(self, tenant: str, digest: str, *, count: int, next_count: int, now_ms: int) -> bool: ...

    async def drop_passkey(self, tenant: str, id: str, digest: str) -> bool: ...

    async def attempt(self, tenant: str, subject: str, lock: Lock, now_ms: int) -> bool:
        """Count a try as failed until it is forgotten; False while the subject must wait."""
        ...

    async def forget_attempts(self, tenant: str, subject: str) -> None: ...


def columns(operator: Operator, login_key: str) -> Mapping[str, str | int | None]:
    """What the table holds of somebody who is invited."""
    return {
        "id": operator.id,
        "login": operator.login,
        "login_key": login_key,
        "role": operator.role,
        "created_ms": operator.created_ms,
    }
