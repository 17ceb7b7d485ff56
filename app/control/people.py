"""What the database keeps about operators, and the port through which it is read and written.

Whatever may happen once only is one conditional statement there, so that of many at the same moment one wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from app.control.permissions import Role

Purpose = Literal["invitation", "second_factor", "totp", "passkey", "recovery", "spent"]
"""What a ticket is for. `spent` marks a passkey's challenge that was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A person who runs a tenant. Without `password_hash` the invitation was not accepted yet."""

    tenant: str
    id: str
    login: str
    role: Role
    password_hash: str = ""
    totp_secret: bytes | None = None
    totp_step: int = 0
    """The last time step whose code was taken (RFC 6238, 5.2: each holds once)."""
    failures: int = 0
    """Tries since the last one that succeeded."""
    locked_until_ms: int = 0
    disabled_ms: int | None = None
    created_ms: int = 0

    @property
    def actor(self) -> str:
        """The name under which tokens and the audit trail know it."""
        return f"operator:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """A WebAuthn credential; `id` is its base64url id."""

    tenant: str
    id: str
    operator: str
    public_key: bytes
    sign_count: int
    label: str
    created_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Something that holds once, found by its digest."""

    tenant: str
    digest: str
    purpose: Purpose
    operator: str
    expires_ms: int
    body: bytes = b""


class People(Protocol):
    """The database's part. Every method is one transaction; raises StoreDown when the database does not answer."""

    async def operators(self, tenant: str) -> Sequence[Operator]:
        """All of the tenant, by login."""
        ...

    async def operator(self, tenant: str, id: str) -> Operator | None: ...

    async def by_login(self, tenant: str, login: str) -> Operator | None: ...

    async def add(self, operator: Operator, invitation: Ticket) -> bool:
        """Keep a new operator with its invitation; False when the login is taken."""
        ...

    async def remove(self, tenant: str, id: str) -> bool:
        """Forget one and all that is its own, unless it is the last owner in force; False then, or when unknown."""
        ...

    async def set_role(self, tenant: str, id: str, role: Role) -> bool:
        """Give one another role, unless that would leave no owner in force; False then, or when unknown."""
        ...

    async def set_disabled(self, tenant: str, id: str, disabled_ms: int | None) -> bool:
        """Disable or enable one, unless that would leave no owner in force; False then, or when unknown."""
        ...

    async def set_password(self, tenant: str, id: str, hash: str) -> None:
        """Another password; earlier failures are forgotten."""
        ...

    async def begin_try(self, tenant: str, id: str, now_ms: int, waits_ms: Sequence[int]) -> bool:
        """Count a try as failed, and lock for the wait that belongs to so many failures; False while it is locked."""
        ...

    async def succeed(self, tenant: str, id: str) -> None:
        """Forget failures."""
        ...

    async def set_totp(self, tenant: str, id: str, secret: bytes | None, step: int) -> None: ...

    async def take_step(self, tenant: str, id: str, step: int) -> bool:
        """Take a TOTP time step; False when it or a later one was taken."""
        ...

    async def passkeys(self, tenant: str, operator: str) -> Sequence[Passkey]: ...

    async def passkey(self, tenant: str, id: str) -> Passkey | None: ...

    async def add_passkey(self, passkey: Passkey) -> bool:
        """Keep one; False when its id is known."""
        ...

    async def count_passkey(self, tenant: str, id: str, sign_count: int) -> bool:
        """Note the authenticator's counter; False when it did not grow (0 means that it has none)."""
        ...

    async def remove_passkey(self, tenant: str, operator: str, id: str) -> bool: ...

    async def add_tickets(self, tickets: Sequence[Ticket], *, replacing: Purpose | None = None) -> bool:
        """Keep tickets of one operator, in the place of its others of `replacing`; False for a known one."""
        ...

    async def peek_ticket(
        self, tenant: str, digest: str, purpose: Purpose, now_ms: int, tries_max: int
    ) -> Ticket | None:
        """The ticket, and count the look; None for one that is unknown, over, or looked at too often."""
        ...

    async def take_ticket(self, tenant: str, digest: str, purpose: Purpose, now_ms: int) -> Ticket | None:
        """The ticket, which is gone then; None for everybody but one."""
        ...

    async def count_tickets(self, tenant: str, operator: str, purpose: Purpose) -> int: ...

    async def reset(self, tenant: str, id: str, invitation: Ticket) -> bool:
        """Forget password and factors, and keep a new invitation; False when unknown."""
        ...

    async def tidy(self, tenant: str, now_ms: int) -> None:
        """Forget tickets that are over."""
        ...
