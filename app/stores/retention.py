"""Deletes what is older than its retention and is no part of a world's log. It does not know who asks, nor when."""

from __future__ import annotations

from sqlalchemy import Connection, and_, delete, func, select

from app.core.profile import Privacy
from app.stores import tables

DAY_MS = 86_400_000


def forget_old(connection: Connection, privacy: Privacy, now_ms: int) -> dict[str, int]:
    """How many rows of each kind were too old and are gone."""
    keys, calls, log = tables.api_keys, tables.idempotency, tables.events
    revoked = connection.execute(
        delete(keys).where(keys.c.revoked_ms < now_ms - privacy.keys_days_max * DAY_MS)
    ).rowcount
    since_ms = now_ms - privacy.records_days_max * DAY_MS
    newest = (
        select(func.max(log.c.seq))
        .where(log.c.tenant == calls.c.tenant, log.c.world == calls.c.world, log.c.wall_ms < since_ms)
        .scalar_subquery()
    )
    old = connection.execute(delete(calls).where(and_(calls.c.last_seq <= newest))).rowcount
    return {"api_keys": revoked, "idempotency": old}
