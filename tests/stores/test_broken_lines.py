"""Redis and PostgreSQL over a line that breaks in each way, on the loop that the server runs on and a plain one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop
from sqlalchemy import text

from app.cli.prove.child import free_port
from app.cli.prove.proxy import Fault, Proxy
from app.core.errors import StoreDown
from app.stores.cluster import Cluster, find_tools, private_cluster
from app.stores.database import open_database
from app.stores.redis.client import Client
from app.stores.tenancy import EVERY_TENANT
from app.stores.watch import Limits
from tests.doubles import SilentLog
from tests.stores.conftest import MIGRATIONS
from tests.stores.contracts.servers import KeyServer, key_server

FAULTS: tuple[Fault, ...] = ("down", "refuse", "hang", "slow", "reset", "half_close")
LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
PATIENCE_S = 30.0
PASSWORD = "only-for-this-test"  # a server of the test's own on loopback


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a coroutine on a loop of each kind."""

    def on_loop(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(work)

    return on_loop


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyServer]:
    with key_server("valkey", tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with private_cluster(find_tools("initdb"), port=free_port(), password=PASSWORD) as made:
        made.create()
        made.start()
        yield made


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


async def meet_each(
    faults: Sequence[Fault], proxy: Proxy, fault: Callable[[], str], ask: Callable[[], Awaitable[object]]
) -> None:
    """Every fault is named and refuses at once, and after it the server is used again."""
    for broken in faults:
        await until(lambda: not fault())
        await ask()
        await proxy.switch(broken)
        await until(fault)
        with pytest.raises(StoreDown):
            await ask()
        await proxy.switch("pass")
        await until(lambda: not fault())
        await ask()


def test_redis_is_missed_and_found_again_however_its_line_breaks(
    run: Callable[[Coroutine[Any, Any, None]], None], redis: KeyServer
) -> None:
    async def work() -> None:
        proxy = Proxy(redis.port, seed=1)
        await proxy.open()
        client = Client(f"redis://127.0.0.1:{proxy.port}", connections_max=4, command_ms=400, log=SilentLog())
        client.start()
        await meet_each((*FAULTS, "garbage"), proxy, lambda: client.fault, lambda: client.call("GET", "k"))
        await client.close()
        await proxy.close()

    run(work())


def test_postgres_is_missed_and_found_again_however_its_line_breaks(
    run: Callable[[Coroutine[Any, Any, None]], None], cluster: Cluster, tmp_path: Path
) -> None:
    async def work() -> None:
        proxy = Proxy(cluster.port, seed=1)
        await proxy.open()
        url = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{proxy.port}/postgres"
        database = open_database(url, folder=tmp_path, migrations=MIGRATIONS)
        database.watch(limits=Limits(answer_ms=500, transaction_ms=2_000), log=SilentLog())
        # Without garbage: asyncpg's parser, which is C, ends the process on some bytes that are no protocol.
        await meet_each(
            FAULTS,
            proxy,
            lambda: database.fault,
            lambda: database.run(EVERY_TENANT, lambda c: c.execute(text("SELECT 1"))),
        )
        await database.close()
        await proxy.close()

    run(work())
