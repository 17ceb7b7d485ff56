"""Every port over every implementation: in the process, on Redis, on Valkey, and on Pulsar where a broker is named."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from app.core import quotas
from app.core.clock import Clock, SystemClock
from app.core.ports import Cache, Leases, Log, Stream
from app.core.rates import Limiter
from app.core.spending import Budgets
from app.stores.database import open_database
from app.stores.embedded.budgets import EmbeddedBudgets
from app.stores.embedded.cache import EmbeddedCache
from app.stores.embedded.leases import EmbeddedLeases
from app.stores.embedded.limiter import EmbeddedLimiter
from app.stores.embedded.streams import EmbeddedStream
from app.stores.postgres_leases import PostgresLeases
from app.stores.redis.allowance import Allowance
from app.stores.redis.budgets import RedisBudgets
from app.stores.redis.cache import RedisCache
from app.stores.redis.client import Client
from app.stores.redis.leases import RedisLeases
from app.stores.redis.limiter import RedisLimiter
from app.stores.redis.streams import RedisStream
from tests.doubles import SilentLog
from tests.stores.conftest import MIGRATIONS
from tests.stores.contracts.servers import KINDS, KeyServer, key_server

ALL = ("embedded", *KINDS)
PULSAR_URL = os.environ.get("INNKEEPER_TEST_PULSAR_URL", "")
LOCAL_MS = 30
STREAM = {"entries_max": 50, "dead_max": 5, "tries_max": 3, "retry_ms": 150}
UNDECLARED = """
local server = redis
local declared = {}
local tag = KEYS[1] and string.match(KEYS[1], '^t:({.-}):')
for _, key in ipairs(KEYS) do
  if string.match(key, '^t:({.-}):') ~= tag then return server.error_reply('KEYS of two hash tags: ' .. key) end
  declared[key] = true
end
local function checked(...)
  local keys = server.pcall('COMMAND', 'GETKEYS', ...)
  if not keys.err then
    for _, key in ipairs(keys) do
      if not declared[key] then error('undeclared key: ' .. key) end
    end
  end
  return server.call(...)
end
local redis = {call = checked, error_reply = server.error_reply}
"""
"""Put before every script: it refuses what DragonflyDB would, a key that the script did not declare."""
_tenants = count()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a broker, its tests are reported as deselected: the Pulsar adapter is not yet proven."""
    if PULSAR_URL:
        return
    left_out = [item for item in items if "[pulsar]" in item.name or "[pulsar-" in item.name]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses; braces in its name must not break the hash tag."""
    return f"studio{next(_tenants)}{{x}}"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyServer]:
    with key_server("redis", tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyServer]:
    with key_server("valkey", tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> KeyServer:
    """A running server of each kind."""
    found = request.getfixturevalue(f"{request.param}_server")
    assert isinstance(found, KeyServer)
    return found


@pytest_asyncio.fixture(params=ALL)
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client | None]:
    """A client whose scripts are checked for undeclared keys, or None for the in-process twin."""
    if request.param == "embedded":
        yield None
        return
    server: KeyServer = request.getfixturevalue(f"{request.param}_server")
    opened = Client(server.url, connections_max=8, command_ms=2000, log=SilentLog(), prelude=UNDECLARED)
    opened.start()
    yield opened
    await opened.close()


@pytest.fixture
def cache(client: Client | None) -> Cache:
    near = EmbeddedCache(clock=SystemClock(), entries_max=100, value_bytes_max=1000)
    return RedisCache(client, near, local_ms=LOCAL_MS, value_bytes_max=1000) if client else near


@pytest.fixture(params=["asked", "in batches"])
def limiter(request: pytest.FixtureRequest, client: Client | None) -> Limiter:
    """A limiter of each kind, also behind one that takes its units in batches."""
    near = EmbeddedLimiter(clock=SystemClock(), keys_max=100)
    limiter: Limiter = RedisLimiter(client, near, alone_share=1.0) if client else near
    if request.param == "asked":
        return limiter
    return Allowance(limiter, clock=SystemClock(), lease_ms=100, keys_max=100)


@pytest_asyncio.fixture(params=(*ALL, "postgres"))
async def leases(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Leases]:
    """Leases of each kind."""
    clock = SystemClock()
    if request.param == "embedded":
        yield EmbeddedLeases(clock=clock, names_max=100)
    elif request.param == "postgres":
        database = open_database(request.getfixturevalue("postgres")(), folder=tmp_path, migrations=MIGRATIONS)
        await database.upgrade()
        yield PostgresLeases(database, clock=clock)
        await database.close()
    else:
        server: KeyServer = request.getfixturevalue(f"{request.param}_server")
        opened = Client(server.url, connections_max=8, command_ms=2000, log=SilentLog(), prelude=UNDECLARED)
        opened.start()
        yield RedisLeases(opened, clock=clock)
        await opened.close()


def budgets_section(*, hold_ms: int = 60_000, **caps: int) -> quotas.Budgets:
    """Budgets without caps but for those given, such as `tenant_day_nano_usd_max`."""

    def of(scope: str) -> quotas.Caps:
        return quotas.Caps(
            **{name.removeprefix(f"{scope}_"): cap for name, cap in caps.items() if name.startswith(f"{scope}_")}
        )

    return quotas.Budgets(hold_ms=hold_ms, tenant=of("tenant"), world=of("world"), player=of("player"), npc=of("npc"))


OpenBudgets = Callable[..., Budgets]


@pytest_asyncio.fixture
async def open_budgets(client: Client | None) -> AsyncIterator[OpenBudgets]:
    """A function that opens one replica's budgets; replicas share the server, where there is one."""
    opened: list[RedisBudgets] = []

    def one(*, clock: Clock | None = None, log: Log | None = None, alone: bool = True, **caps: int) -> Budgets:
        section = budgets_section(**caps)
        near = EmbeddedBudgets(section, clock=clock or SystemClock(), log=log or SilentLog(), accounts_max=1_000)
        if client is None:
            return near
        shared = RedisBudgets(client, near, hold_ms=section.hold_ms, alone=alone)
        shared.start()
        opened.append(shared)
        return shared

    yield one
    for shared in opened:
        await shared.close()


@pytest_asyncio.fixture(params=(*ALL, "pulsar"))
async def stream(request: pytest.FixtureRequest) -> AsyncIterator[Stream]:
    """A stream of each kind, with small bounds."""
    clock = SystemClock()
    if request.param == "embedded":
        yield EmbeddedStream(clock=clock, **STREAM)
    elif request.param == "pulsar":
        from app.stores.pulsar import PulsarStream

        broker = PulsarStream(PULSAR_URL, tries_max=STREAM["tries_max"], retry_ms=STREAM["retry_ms"], log=SilentLog())
        yield broker
        await broker.close()
    else:
        server: KeyServer = request.getfixturevalue(f"{request.param}_server")
        opened = Client(server.url, connections_max=8, command_ms=2000, log=SilentLog(), prelude=UNDECLARED)
        opened.start()
        yield RedisStream(opened, clock=clock, **STREAM)
        await opened.close()
