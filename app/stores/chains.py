"""The chains of the audit trail over a database: each call is a transaction of its own, of one tenant."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.chain import Checkpoint, Entry, Keys, Verifier
from app.stores import audit
from app.stores.database import Database
from app.stores.tenancy import EVERY_TENANT


class DatabaseChains:
    """Implements app.core.chain.Chains."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys

    async def append(
        self, tenant: str, noted: Sequence[Entry], *, now_ms: int, close: bool = False
    ) -> Checkpoint | None:
        return await self._database.run(
            tenant, lambda connection: audit.append(connection, tenant, self._keys, noted, now_ms=now_ms, close=close)
        )

    async def tenants(self) -> Sequence[str]:
        return await self._database.run(EVERY_TENANT, audit.tenants)

    async def page(self, tenant: str, after_seq: int, *, entries_max: int, until_seq: int) -> Sequence[Entry]:
        return await self._database.run(
            tenant,
            lambda connection: audit.entries_after(
                connection, tenant, after_seq, entries_max=entries_max, until_seq=until_seq
            ),
        )

    async def marks(self, tenant: str) -> tuple[int, Sequence[Checkpoint]]:
        return await self._database.run(
            tenant, lambda connection: (audit.head_seq(connection, tenant), audit.checkpoints(connection, tenant))
        )

    def verifier(self, tenant: str, marks: Sequence[Checkpoint]) -> Verifier:
        bases = [mark for mark in marks if mark.kind == "base"]
        checkpoints = [mark for mark in marks if mark.kind == "checkpoint"]
        return Verifier(self._keys, tenant, checkpoints, base=bases[-1] if bases else None)

    async def cut(self, tenant: str, *, before_ms: int, now_ms: int) -> tuple[int, int]:
        return await self._database.run_long(
            tenant, lambda connection: audit.cut(connection, tenant, self._keys, before_ms=before_ms, now_ms=now_ms)
        )
