"""What may be done with a tenant's API keys, by somebody who may: made, given other scopes, rotated, revoked.

Nobody gives a scope that they lack, in a new key or by the new secret of an old one. Changes are in force when the
call returns, and in every other server within a second.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from app.control.auth import Identity
from app.control.keys import Key, NewKey, draw_text, make_key, split
from app.control.permissions import Role, require_grantable
from app.control.records import Records
from app.core.clock import Clock
from app.core.digests import digest
from app.core.errors import NotFound, nearest
from app.core.module import Scope
from app.core.ports import Audit

MINUTE_MS = 60_000


class ApiKeys:
    """Keys of the caller's tenant; `learn` brings a change into force here before it is answered."""

    def __init__(self, records: Records, *, clock: Clock, audit: Audit, learn: Callable[[], Awaitable[None]]) -> None:
        self._records = records
        self._clock = clock
        self._audit = audit
        self._learn = learn

    async def all(self, tenant: str) -> list[Key]:
        """Every key, revoked ones too."""
        return await self._records.keys(tenant)

    async def create(
        self, giver: Identity, *, label: str, scopes: Scope, role: Role | None = None, expires_ms: int | None = None
    ) -> NewKey:
        """A new key, whose text is shown this once; raises Forbidden for scopes that the giver lacks."""
        require_grantable(giver.scopes, scopes)
        new = make_key(
            label=label, scopes=scopes, created_ms=self._clock.wall_ms(), expires_ms=expires_ms, role=role or ""
        )
        await self._records.add_key(giver.tenant, new)
        self._audit.note(giver.tenant, giver.actor, "key.created", new.row["prefix"], label=label, scopes=int(scopes))
        await self._learn()
        return new

    async def rotate(self, giver: Identity, prefix: str, *, grace_minutes: int) -> str:
        """The key's text with a new secret; the old one holds for the grace time.

        Raises NotFound without such a key in force, Forbidden when it has scopes that the giver lacks.
        """
        key = await self._in_force(giver.tenant, prefix)
        require_grantable(giver.scopes, key.scopes)
        text = draw_text(prefix)
        until_ms = self._clock.wall_ms() + grace_minutes * MINUTE_MS
        if not await self._records.rotate_key(giver.tenant, prefix, digest(split(text)[1]), until_ms=until_ms):
            raise _unknown(prefix, [])
        self._audit.note(giver.tenant, giver.actor, "key.rotated", prefix, grace_minutes=grace_minutes)
        await self._learn()
        return text

    async def change(self, giver: Identity, prefix: str, *, scopes: Scope, role: Role | None = None) -> None:
        """Give a key other scopes; open sockets that use it have them at once. Raises NotFound or Forbidden."""
        require_grantable(giver.scopes, scopes)
        await self._in_force(giver.tenant, prefix)
        await self._records.change_key(giver.tenant, prefix, scopes, role or "")
        self._audit.note(giver.tenant, giver.actor, "key.changed", prefix, scopes=int(scopes))
        await self._learn()

    async def revoke(self, giver: Identity, prefix: str) -> None:
        """End a key and all that was opened with it; raises NotFound without such a key in force."""
        await self._in_force(giver.tenant, prefix)
        await self._records.revoke_key(giver.tenant, prefix, self._clock.wall_ms())
        self._audit.note(giver.tenant, giver.actor, "key.revoked", prefix)
        await self._learn()

    async def _in_force(self, tenant: str, prefix: str) -> Key:
        keys = {key.prefix: key for key in await self._records.keys(tenant) if key.revoked_ms is None}
        if prefix not in keys:
            raise _unknown(prefix, list(keys))
        return keys[prefix]


def _unknown(prefix: str, known: list[str]) -> NotFound:
    return NotFound(f"no key {prefix!r} in force", hint=nearest(prefix, known))
