"""What every store really leaves on a key server, for three tenants: no key without its tenant, none of another's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from app.core.clock import SystemClock
from app.core.ports import Entry
from app.core.quotas import Budgets, Caps
from app.core.rates import Rate
from app.core.spending import Amount, Spender
from app.stores.embedded.budgets import EmbeddedBudgets
from app.stores.embedded.cache import EmbeddedCache
from app.stores.embedded.limiter import EmbeddedLimiter
from app.stores.redis.budgets import RedisBudgets
from app.stores.redis.cache import RedisCache
from app.stores.redis.client import Client
from app.stores.redis.leases import RedisLeases
from app.stores.redis.limiter import RedisLimiter
from app.stores.redis.streams import RedisStream
from tests.doubles import SilentLog
from tests.stores.contracts.servers import KINDS, KeyServer, key_server, proxied

TENANTS = ("a", "b", "a}:c:x")
"""The last one would reach into another's keys if its name were not quoted."""
OPERATIONS = 10_000


async def use_everything(client: Client, tenant: str) -> None:
    """One of everything that is stored, with the same names for each tenant."""
    clock, log = SystemClock(), SilentLog()
    near = EmbeddedCache(clock=clock, entries_max=10, value_bytes_max=100)
    cache = RedisCache(client, near, local_ms=1, value_bytes_max=100)
    await cache.set(tenant, "k", tenant.encode(), ttl_ms=60_000, tags=["tag"])
    await RedisLimiter(client, EmbeddedLimiter(clock=clock, keys_max=10), alone_share=1.0).take(
        tenant, "key:k", Rate(units=1, period_ms=600_000, burst=2)
    )
    await RedisLeases(client, clock=clock).acquire(tenant, "lease", "me", ttl_ms=60_000)
    caps = Caps(day_tokens_max=10)
    section = Budgets(hold_ms=600_000, tenant=caps, world=caps, player=caps, npc=caps)
    accounts = EmbeddedBudgets(section, clock=clock, log=log, accounts_max=10)
    budgets = RedisBudgets(client, accounts, hold_ms=600_000, alone=True)
    await budgets.reserve(Spender(tenant=tenant, world="w", npc="n", player="p"), Amount(tokens=1))
    stream = RedisStream(client, clock=clock, entries_max=10, dead_max=2, tries_max=2, retry_ms=100)
    await stream.publish(tenant, "events.w", [Entry(id="1", body=tenant.encode())])
    await stream.join(tenant, "events.w", "group")
    (given,) = await stream.read(tenant, "events.w", "group", "me", entries_max=1, wait_ms=10)
    await stream.bury(tenant, "events.w", "group", given, "for the test")
    assert await cache.get(tenant, "k") == tenant.encode()


def keys_of(server: KeyServer) -> list[str]:
    said = server.ask(b"KEYS *\r\nPING\r\n", b"+PONG\r\n")
    return [line for line in said.decode().split("\r\n") if line and line[0] not in "*$+"]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_key_begins_with_the_hash_tag_of_its_tenant(kind: str, tmp_path: Path) -> None:
    with key_server(kind, tmp_path) as server:
        client = Client(server.url, connections_max=4, command_ms=5_000, log=SilentLog())
        client.start()
        for tenant in TENANTS:
            await use_everything(client, tenant)
        await client.close()
        keys = await asyncio.to_thread(keys_of, server)
    by_tenant = {
        tenant: {key for key in keys if key.startswith(f"t:{{{quote(tenant, safe='')}}}:")} for tenant in TENANTS
    }
    assert sum(len(found) for found in by_tenant.values()) == len(keys)
    names = {tenant: {key.partition("}:")[2] for key in found} for tenant, found in by_tenant.items()}
    assert names["a"] == names["b"] == names["a}:c:x"]
    assert {name[0] for name in names["a"]} == {"c", "g", "r", "l", "f", "b", "s", "d"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_canceled_call_leaves_no_reply_for_the_next_caller_regression_18(kind: str, tmp_path: Path) -> None:
    """redis-py #2624, #2665 (CVE-2023-28858): cancellations over a slow line, no answer astray."""
    with key_server(kind, tmp_path) as server:
        async with proxied(server.port) as proxy:
            proxy.delay_s = 0.001
            client = Client(proxy.url, connections_max=8, command_ms=5_000, log=SilentLog())
            client.start()
            for number in range(64):
                await client.call("SET", f"t:{{a}}:c:{number}", str(number))
            wrong = asked = 0

            async def ask(number: int) -> None:
                nonlocal wrong, asked
                answer = await client.call("GET", f"t:{{a}}:c:{number}")
                asked += 1
                wrong += answer != str(number).encode()

            for round_ in range(OPERATIONS // 100):
                tasks = [asyncio.create_task(ask((round_ * 7 + number) % 64)) for number in range(100)]
                await asyncio.sleep(0.0005 * (round_ % 7))
                for task in tasks[:: 2 + round_ % 3]:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await client.close()
    assert wrong == 0
    assert asked > OPERATIONS // 4
