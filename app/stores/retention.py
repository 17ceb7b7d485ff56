"""Deletes what is older than its retention and is no part of a world's log, by hand or each day."""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection, delete, func, select

from app.core.clock import Clock
from app.core.errors import StoreDown
from app.core.ports import Log
from app.core.profile import Privacy
from app.stores import batches, dialogue_records, reports, repositories, tables, tenant_settings
from app.stores.database import Database
from app.stores.tenancy import EVERY_TENANT

DAY_MS = 86_400_000
FIRST_S = 300.0
"""A start has more to do than to look for what is old."""


def forget_old(connection: Connection, privacy: Privacy, now_ms: int) -> dict[str, int]:
    """How many rows of each kind were too old and are gone; a tenant may have set a shorter time for its own."""
    keys = tables.api_keys
    revoked = connection.execute(
        delete(keys).where(keys.c.revoked_ms < now_ms - privacy.keys_days_max * DAY_MS)
    ).rowcount
    own = {held.tenant: held.settings.keep_days for held in tenant_settings.all_held(connection)}
    old = done = lines = told = 0
    for tenant in repositories.tenant_ids(connection):
        days = min(privacy.records_days_max, own.get(tenant) or privacy.records_days_max)
        old += _forget_calls(connection, tenant, now_ms - days * DAY_MS)
        done += batches.forget(connection, tenant, now_ms - days * DAY_MS)
        days = min(privacy.lines_days_max, own.get(tenant) or privacy.lines_days_max)
        lines += dialogue_records.forget(connection, tenant, now_ms - days * DAY_MS)
        days = min(privacy.reports_days_max, own.get(tenant) or privacy.reports_days_max)
        told += reports.forget(connection, tenant, now_ms - days * DAY_MS)
    counts = {"idempotency": old, "batches": done, "dialogue_records": lines, "reports": told}
    return {"api_keys": revoked, **counts}


def _forget_calls(connection: Connection, tenant: str, since_ms: int) -> int:
    calls, log = tables.idempotency, tables.events
    newest = (
        select(func.max(log.c.seq))
        .where(log.c.tenant == tenant, log.c.world == calls.c.world, log.c.wall_ms < since_ms)
        .scalar_subquery()
    )
    return connection.execute(delete(calls).where(calls.c.tenant == tenant, calls.c.last_seq <= newest)).rowcount


class Retention:
    """Owns a task that forgets what is old, once a day; a day on which the database is gone is made up for later."""

    def __init__(self, database: Database, privacy: Privacy, *, clock: Clock, log: Log) -> None:
        self._database = database
        self._privacy = privacy
        self._clock = clock
        self._log = log
        self._task = asyncio.create_task(self._run(), name="retention")

    async def close(self) -> None:
        """Forget nothing more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _forget(self, connection: Connection) -> dict[str, int]:
        return forget_old(connection, self._privacy, self._clock.wall_ms())

    async def _run(self) -> None:
        await asyncio.sleep(FIRST_S)
        while True:
            try:
                gone = await self._database.run_long(EVERY_TENANT, self._forget)
                self._log.info("retention.ended", rows=sum(gone.values()))
            except StoreDown as error:
                self._log.warning("retention.failed", reason=error.message)
            await asyncio.sleep(DAY_MS / 1000.0)
