"""What a server must know of itself and of the others before it is one of several replicas."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from socket import gethostname

from app.core.errors import Invalid
from app.core.profile import Profile
from app.stores.database import Database
from app.stores.repositories import Claim
from app.stores.usage import read_usage
from app.world.state import Worlds
from app.world.usage import Table as Usage


async def usage_of(claim: Claim, worlds: Worlds, database: Database) -> Usage:
    """What models have cost in a world, here or elsewhere."""
    if worlds.has(claim.tenant, claim.world):
        return worlds.get(claim.tenant, claim.world).state.usage
    return await database.run_long(claim.tenant, partial(read_usage, tenant=claim.tenant, world=claim.world))


def require_shared_counts(profile: Profile) -> None:
    """Raise Invalid for replicas that would each grant the whole of what they are to grant together."""
    if not profile.ownership.address:
        return
    if profile.cache.url and profile.cache.alone_share == 1.0:
        raise Invalid("cache.alone_share is 1.0 for one of several replicas", hint="give 1 / replicas, such as 0.5")
    if profile.budgets.capped and not profile.cache.url:
        raise Invalid(
            "[budgets] has caps, which several replicas can only keep together",
            hint="give every replica the same cache.url",
        )


def name_of(profile: Profile) -> str:
    """What this server is called among replicas: its address, or what stays the same over its restarts."""
    server = profile.server
    return profile.ownership.address.rstrip("/") or f"{gethostname()}:{server.port}{Path(server.data_folder).resolve()}"
