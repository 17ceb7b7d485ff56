"""Opens what tenants have set, and lets everybody who must obey hear of a change."""

from __future__ import annotations

from app.control.tenants import Tenants
from app.core.ports import Log
from app.core.spending import Budgets
from app.core.tenants import Held
from app.edge.sessions import Sessions
from app.stores.database import Database
from app.stores.door_usage import OUTSIDE, DoorUsage
from app.stores.tenant_settings import SettingsFeed
from app.stores.usage import spent
from app.world.state import Worlds


async def open_tenants(database: Database, log: Log) -> tuple[Tenants, SettingsFeed]:
    """What every tenant has set, kept up to date until the feed is closed."""
    tenants = Tenants()
    feed = SettingsFeed(database, learn=tenants.learn, keep_only=tenants.keep_only, log=log)
    await feed.start()
    return tenants, feed


def obey(tenants: Tenants, *, sessions: Sessions, budgets: Budgets, worlds: Worlds, door_usage: DoorUsage) -> None:
    """End the sockets of a tenant that is suspended; count what was spent on accounts that a change has opened."""

    def changed(held: Held) -> None:
        for world in worlds.of(held.tenant):
            budgets.know(held.tenant, world.id, spent(world.state.usage))
        budgets.know(held.tenant, OUTSIDE, door_usage.spent(held.tenant, OUTSIDE))
        if held.suspended:
            sessions.suspend(held.tenant)

    tenants.changed.append(changed)
