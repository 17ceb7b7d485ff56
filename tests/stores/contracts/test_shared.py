"""What the profile opens: in the process by default, on a server by its address, and a fault is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from app.build import MODULE_SETTINGS
from app.core import profile
from app.core.clock import SystemClock
from app.core.errors import Invalid, StoreDown
from app.core.ports import Entry
from app.core.rates import Rate
from app.core.tenants import NoRules
from app.stores.database import open_database
from app.stores.shared import Shared, open_shared
from tests.doubles import SilentLog
from tests.stores.conftest import MIGRATIONS
from tests.stores.contracts.servers import KeyServer

PROFILES = Path(__file__).resolve().parents[3] / "profiles"
CACHE = profile.Cache(
    url="",
    entries_max=10,
    value_bytes_max=100,
    local_ms=10,
    keys_max=10,
    alone_share=1.0,
    connections_max=4,
    command_ms=400,
)
STREAM = profile.Stream(
    url="",
    entries_max=10,
    dead_max=2,
    tries_max=2,
    retry_ms=100,
    connections_max=4,
    command_ms=400,
)


def opened(cache_url: str = "", stream_url: str = "", *, alone_share: float = 1.0) -> Shared:
    cache = msgspec.structs.replace(CACHE, url=cache_url, alone_share=alone_share)
    stream = msgspec.structs.replace(STREAM, url=stream_url)
    url = "postgresql://nobody@127.0.0.1:1/none" if cache_url else "sqlite://"  # several servers share the first alone
    database = open_database(url, folder=MIGRATIONS, migrations=MIGRATIONS)
    shipped = profile.load(profile.layers(PROFILES, mode=1, file=None, environment={}, flags={}), MODULE_SETTINGS)
    chosen = msgspec.structs.replace(shipped.profile, cache=cache, stream=stream)
    return open_shared(chosen, database=database, clock=SystemClock(), log=SilentLog(), rules=NoRules())


async def works(shared: Shared, tenant: str) -> None:
    await shared.cache.set(tenant, "k", b"v", ttl_ms=1000)
    assert await shared.cache.get(tenant, "k") == b"v"
    assert (await shared.limiter.take(tenant, "k", Rate(units=1, period_ms=1000, burst=1))).allowed
    assert await shared.leases.acquire(tenant, "w", "me", ttl_ms=1000)
    await shared.stream.publish(tenant, "s", [Entry(id="1", body=b"b")])
    (found,) = await shared.stream.read(tenant, "s", "g", "m", entries_max=1, wait_ms=500)
    await shared.stream.done(tenant, "s", "g", [found])
    assert shared.faults() == {}


async def test_without_an_address_everything_is_in_the_process(tenant: str) -> None:
    shared = opened()
    await works(shared, tenant)
    assert shared.servers == {}
    await shared.close()


async def test_with_an_address_everything_is_on_the_server(server: KeyServer, tenant: str) -> None:
    shared = opened(server.url, server.url)
    await works(shared, tenant)
    await shared.close()
    again = opened(server.url, server.url)
    assert await again.cache.get(tenant, "k") == b"v"
    await again.close()


async def test_a_server_that_is_not_there_is_told_by_its_section() -> None:
    shared = opened("redis://127.0.0.1:1")
    async with asyncio.timeout(2):
        with pytest.raises(StoreDown):
            await shared.leases.holder("t", "w")
    assert "127.0.0.1:1" in shared.faults()["cache"]
    await shared.close()


@pytest.mark.parametrize(
    ("section", "url"), [("cache", "memcached://h"), ("cache", "pulsar://h"), ("stream", "kafka://h")]
)
def test_an_address_of_another_kind_is_refused(section: str, url: str) -> None:
    with pytest.raises(Invalid, match=f"{section}.url"):
        opened(**{f"{section}_url": url})


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(Invalid, match=str(share)):
        opened("redis://h", alone_share=share)
