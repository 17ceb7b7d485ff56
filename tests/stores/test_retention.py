"""What is older than its retention goes, sooner for a tenant that wants it so, and the log stays."""

from __future__ import annotations

import time

from sqlalchemy import func, insert, select

from app.core.profile import Privacy
from app.core.tenants import TenantSettings
from app.stores import tables, tenant_settings
from app.stores.retention import forget_old
from app.stores.tenancy import EVERY_TENANT
from app.world.entities import Npc
from app.world.events import EntityUpserted
from tests.stores.conftest import Opener

DAY_MS = 86_400_000


async def test_old_records_go_and_the_log_stays(opened: Opener) -> None:
    async with opened() as store:
        for tenant in ("t", "brief"):
            row = {"id": tenant, "name": tenant, "created_ms": 0}
            await store.database.run(tenant, lambda c, row=row: c.execute(insert(tables.tenants).values(row)) and None)
            await store.journal.create_world(tenant, "w")
            await store.journal.append(tenant, "w", [EntityUpserted(entity=Npc(id="mara"))], key="once")
        settings = TenantSettings(keep_days=1)
        await store.database.run(
            "brief", lambda c: tenant_settings.put(c, "brief", changed_ms=0, settings=settings) and None
        )
        privacy = Privacy(records_days_max=30, lines_days_max=7, keys_days_max=30, reports_days_max=30)
        now_ms = time.time_ns() // 1_000_000
        gone = [
            (await store.database.run(EVERY_TENANT, lambda c, at=at: forget_old(c, privacy, at)))["idempotency"]
            for at in (now_ms, now_ms + 2 * DAY_MS, now_ms + 31 * DAY_MS)
        ]
        assert gone == [0, 1, 1], "the brief tenant's after a day, the other's after thirty"
        count = select(func.count()).select_from(tables.events)
        assert await store.database.run(EVERY_TENANT, lambda c: c.execute(count).scalar()) == 2
