"""What the database keeps about access, and the port through which it is read and written.

Whatever changes carries the number of its change: one counter for the whole database, raised in the same transaction,
so that whoever asks for what came after a number misses nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.control.keys import Key, NewKey
from app.control.ring import SigningKey
from app.core.module import Scope

FAMILY = "family:"


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds of an actor besides its own record; an actor `family:ID` is a sign-in that has ended."""

    tenant: str
    actor: str
    scopes: Scope | None
    """The most that its tokens may do; None does not narrow them."""
    generation: int
    """Tokens of an earlier generation do not hold."""
    ended_ms: int

    @property
    def of_family(self) -> bool:
        return self.actor.startswith(FAMILY)


@dataclass(frozen=True, slots=True)
class Changes:
    """The present state of whatever changed, up to the change numbered `version`."""

    version: int
    keys: Sequence[Key] = ()
    rules: Sequence[Rule] = ()
    signing_keys: Sequence[SigningKey] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One sign-in and all that is renewed from it. `handle` finds it, `id` is what its access tokens name."""

    tenant: str
    handle: str
    id: str
    actor: str
    scopes: Scope
    rotation: int
    generation: int
    since_ms: int
    """When the credential itself was shown."""
    ends_ms: int
    """Its end, however often it is renewed."""


@dataclass(frozen=True, slots=True)
class Turned:
    """What became of a refresh token: the family when it was good; `reused` when it had been used before."""

    family: Family | None
    reused: Family | None = None


class Records(Protocol):
    """The database's part. Every method is one transaction; raises StoreDown when the database does not answer."""

    async def changes_after(self, version: int) -> Changes | None:
        """What changed after `version`; None when nothing did."""
        ...

    async def open_family(self, family: Family, digest: str, *, expires_ms: int, families_max: int) -> Family:
        """Keep a sign-in with the digest of its first refresh token; it comes back with the actor's generation.

        Of an actor with `families_max` sign-ins the oldest ends.
        """
        ...

    async def turn_family(
        self, tenant: str, handle: str, *, digest: str, next_digest: str, now_ms: int, expires_ms: int
    ) -> Turned:
        """Put the next refresh token in the place of the one with `digest`, for one caller only.

        A token that was used before ends its family.
        """
        ...

    async def end_family(self, tenant: str, id: str, now_ms: int) -> None:
        """End one sign-in, by the id in its access tokens."""
        ...

    async def find_family(self, tenant: str, handle: str) -> Family | None:
        """The sign-in of a refresh token."""
        ...

    async def end_actor(self, tenant: str, actor: str, now_ms: int) -> None:
        """End every sign-in of an actor and every token that it has."""
        ...

    async def limit_actor(self, tenant: str, actor: str, scopes: Scope | None, now_ms: int) -> None:
        """Let the actor's tokens do no more than `scopes`; None lifts that."""
        ...

    async def keys(self, tenant: str) -> list[Key]:
        """The tenant's keys, revoked ones too."""
        ...

    async def add_key(self, tenant: str, new: NewKey) -> None: ...

    async def rotate_key(self, tenant: str, prefix: str, secret_sha256: str, *, until_ms: int) -> bool:
        """Give a key in force a new secret, the old one holding until then; False when there is no such key."""
        ...

    async def revoke_key(self, tenant: str, prefix: str, now_ms: int) -> bool:
        """Revoke a key in force; False when there is no such key."""
        ...

    async def change_key(self, tenant: str, prefix: str, scopes: Scope, role: str) -> bool:
        """Give a key in force other scopes; False when there is no such key."""
        ...

    async def note_used(self, subjects: Collection[tuple[str, str]], now_ms: int) -> None:
        """Note the day on which keys were last used."""
        ...

    async def rotate_ring(self, now_ms: int, *, older_than_ms: int, signs_ms: int) -> bool:
        """Add a signing key unless the newest one is younger than `older_than_ms`; whether it was added."""
        ...

    async def tidy(self, ended_before_ms: int) -> None:
        """Forget sign-ins, rules of families and retired signing keys that ended before then."""
        ...
