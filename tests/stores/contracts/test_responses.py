"""The response cache over every shared cache: in the process, on Redis and on Valkey."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import msgspec
import pytest

from app.build.responses import forget_shared
from app.core.clock import SystemClock
from app.core.ports import Cache
from app.core.tenants import Held, TenantSettings
from app.engines.responses.cache import Responses
from app.stores.embedded.cache import EmbeddedCache
from app.stores.redis.cache import RedisCache
from app.stores.redis.client import Client
from tests.doubles import SilentLog
from tests.engines.responses.kept import PROFILE, Ruled, Writer, ask, cache_over, said, told
from tests.stores.contracts.conftest import LOCAL_MS
from tests.stores.contracts.servers import KeyServer

Replica = Callable[..., tuple[Responses, Writer]]


@pytest.fixture
def replica(client: Client | None) -> Replica:
    """Makes one replica's cache over the shared one; without a server all replicas are one process's."""
    alone = EmbeddedCache(clock=SystemClock(), entries_max=1_000, value_bytes_max=100_000)

    def make(*, name: str = "writer", rules: Ruled | None = None) -> tuple[Responses, Writer]:
        shared: Cache = alone
        if client is not None:
            near = EmbeddedCache(clock=SystemClock(), entries_max=1_000, value_bytes_max=100_000)
            shared = RedisCache(client, near, local_ms=LOCAL_MS, value_bytes_max=100_000)
        writer = Writer(name=name)
        return cache_over(writer, shared=shared, local_ms=LOCAL_MS, rules=rules, look_ms=2_000), writer

    return make


async def settled() -> None:
    """Until what replicas hold near is over, and what was written has reached the server."""
    await asyncio.sleep(2.5 * LOCAL_MS / 1000.0)


async def test_a_line_is_said_by_another_replica_in_the_same_pieces(replica: Replica, tenant: str) -> None:
    (one, _), (other, writer) = replica(), replica()
    first = await told(one, ask(tenant=tenant))
    await settled()
    again = await told(other, ask(tenant=tenant, player="p2"))
    assert again[:-1] == first[:-1]
    assert not writer.asked


async def test_lines_of_one_request_come_together_from_all_replicas(replica: Replica, tenant: str) -> None:
    (one, first), (other, second) = replica(), replica()
    heard = []
    for number in range(6):
        heard.append(await said((one, other)[number % 2], ask(tenant=tenant)))
        await settled()
    assert len(first.asked) + len(second.asked) <= 4
    assert len(set(heard)) >= 2


async def test_a_purge_reaches_every_replica(replica: Replica, tenant: str) -> None:
    (one, _), (other, writer) = replica(), replica()
    await said(one, ask(tenant=tenant))
    await settled()
    await said(other, ask(tenant=tenant, player="p2"))
    one.purge(tenant, "vale", "npc:mira")
    await one.confirmed()
    await settled()
    await said(other, ask(tenant=tenant, player="p3"))
    assert len(writer.asked) == 1


async def test_what_was_said_to_a_forgotten_player_reaches_no_replica(replica: Replica, tenant: str) -> None:
    (one, _), (other, writer) = replica(), replica()
    await said(one, ask(tenant=tenant))
    await settled()
    one.forget(tenant, "vale", "p1")
    await one.confirmed()
    await settled()
    await said(other, ask(tenant=tenant, player="p2"))
    assert len(writer.asked) == 1


async def test_a_tag_may_be_purged_again_after_more_was_kept_with_it(replica: Replica, tenant: str) -> None:
    (one, _), (other, writer) = replica(), replica()
    for number in range(3):
        await said(one, ask(tenant=tenant, player=f"p{number}"))
        await settled()
        one.purge(tenant, "vale", "npc:mira")
        await one.confirmed()
        await settled()
        await said(other, ask(tenant=tenant, player="p9"))
        assert len(writer.asked) == number + 1
        other.purge(tenant, "vale", "npc:mira")
        await other.confirmed()
        await settled()


async def test_a_stream_in_flight_whose_tag_is_purged_reaches_no_replica(replica: Replica, tenant: str) -> None:
    (one, slow), (other, writer) = replica(), replica()
    slow.gate = asyncio.Event()
    asking = asyncio.create_task(said(one, ask(tenant=tenant)))
    await asyncio.sleep(0.02)
    one.purge(tenant, "vale", "npc:mira")
    await one.confirmed()
    slow.gate.set()
    await asking
    await settled()
    await said(other, ask(tenant=tenant, player="p2"))
    assert len(writer.asked) == 1


async def test_a_tenant_never_gets_from_another_replica_what_it_excludes(replica: Replica, tenant: str) -> None:
    (one, _), strict = replica(name="other"), Ruled()
    strict.held[tenant] = Held(tenant=tenant, settings=TenantSettings(engines=("writer",)))
    other, writer = replica(rules=strict)
    await said(one, ask(tenant=tenant))
    await settled()
    await said(other, ask(tenant=tenant, player="p2"))
    assert len(writer.asked) == 1


async def test_what_lies_there_and_is_no_line_is_a_miss(replica: Replica, client: Client | None, tenant: str) -> None:
    cache, writer = replica()
    await said(cache, ask(tenant=tenant))
    await settled()
    shared = cache._levels._shared
    assert shared is not None
    from app.engines.responses.keys import asked

    completion = ask(tenant=tenant, player="p2")
    assert completion.keep is not None
    exact = asked(completion, completion.keep, 0).exact
    await shared.set(tenant, f"words:{exact}:0", b"\x81\xa2id\x01", ttl_ms=10_000)
    await settled()
    await said(cache, completion)
    assert len(writer.asked) == 2


async def test_a_dead_server_is_a_miss_and_a_purge_meanwhile_holds_when_it_is_back(server: KeyServer) -> None:
    tenant = f"dead-{server.kind}"
    client = Client(server.url, connections_max=4, command_ms=300, log=SilentLog())
    client.start()
    try:
        near = EmbeddedCache(clock=SystemClock(), entries_max=100, value_bytes_max=100_000)
        shared = RedisCache(client, near, local_ms=LOCAL_MS, value_bytes_max=100_000)
        writer = Writer()
        cache = cache_over(writer, shared=shared, local_ms=LOCAL_MS)
        await said(cache, ask(tenant=tenant))
        await settled()
        server.signal(signal.SIGSTOP)
        try:
            await said(cache, ask(tenant=tenant, player="p2"))
            assert len(writer.asked) == 2, "late is a miss"
            cache.purge(tenant, "vale", "npc:mira")
        finally:
            server.signal(signal.SIGCONT)
        await cache.confirmed()
        await settled()
        await said(cache, ask(tenant=tenant, player="p3"))
        assert len(writer.asked) == 3
        await cache.close()
    finally:
        await client.close()


async def test_an_erasure_while_no_server_runs_reaches_the_shared_cache(server: KeyServer) -> None:
    tenant = f"offline-{server.kind}"
    client = Client(server.url, connections_max=4, command_ms=2_000, log=SilentLog())
    client.start()
    try:
        writers = []
        for player in ("p1", "p2"):
            near = EmbeddedCache(clock=SystemClock(), entries_max=100, value_bytes_max=100_000)
            writers.append(Writer())
            cache = cache_over(
                writers[-1], shared=RedisCache(client, near, local_ms=LOCAL_MS, value_bytes_max=100_000), look_ms=2_000
            )
            await said(cache, ask(tenant=tenant, player=player))
            await settled()
            if player == "p1":
                section = msgspec.structs.replace(PROFILE.cache, url=server.url, command_ms=2_000)
                profile = msgspec.structs.replace(PROFILE, cache=section)
                await forget_shared(profile, tenant, "p1", clock=SystemClock(), log=SilentLog())
        assert len(writers[1].asked) == 1
    finally:
        await client.close()
