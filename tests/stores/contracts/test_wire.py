"""What is really sent to a server, whose reply a caller gets, and what happens when the server does not answer."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from app.core.clock import SystemClock
from app.core.errors import Broken, Invalid, Overloaded, StoreDown, Unavailable
from app.core.ports import Entry
from app.core.rates import Rate
from app.core.spending import Amount, Spender
from app.stores.embedded.budgets import EmbeddedBudgets
from app.stores.embedded.cache import EmbeddedCache
from app.stores.embedded.limiter import EmbeddedLimiter
from app.stores.redis.budgets import RedisBudgets
from app.stores.redis.cache import RedisCache
from app.stores.redis.client import Client, Rejected
from app.stores.redis.commands import ALLOWED
from app.stores.redis.leases import RedisLeases
from app.stores.redis.limiter import RedisLimiter
from app.stores.redis.scripts import script
from app.stores.redis.streams import RedisStream
from tests.doubles import SilentLog
from tests.stores.contracts.conftest import UNDECLARED, budgets_section
from tests.stores.contracts.servers import KINDS, KeyServer, key_server, proxied

SLOW = Rate(units=10, period_ms=600_000, burst=10)


@asynccontextmanager
async def connected(
    url: str, *, connections_max: int = 8, command_ms: int = 400, prelude: str = ""
) -> AsyncIterator[Client]:
    client = Client(url, connections_max=connections_max, command_ms=command_ms, log=SilentLog(), prelude=prelude)
    client.start()
    try:
        yield client
    finally:
        await client.close()


@contextmanager
def watched(server: KeyServer) -> Iterator[Callable[[], bytes]]:
    """MONITOR in a connection of its own; the result reads what was seen so far."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as link:
        link.sendall(b"MONITOR\r\n")
        assert link.recv(5) == b"+OK\r\n"

        def seen() -> bytes:
            told = b""
            link.settimeout(0.3)
            with suppress(TimeoutError):
                while more := link.recv(65536):
                    told += more
            return told

        yield seen


async def do_everything(client: Client, tenant: str) -> None:
    """Every operation of every store, with every branch that sends another command."""
    near = EmbeddedCache(clock=SystemClock(), entries_max=10, value_bytes_max=100)
    cache = RedisCache(client, near, local_ms=1, value_bytes_max=100)
    for _ in range(2):
        await cache.set(tenant, "k", b"v", ttl_ms=1000, tags=["a", "b"])
    await asyncio.sleep(0.005)
    assert await cache.get(tenant, "k") == b"v"
    await cache.purge(tenant, "a")
    await cache.delete(tenant, "k")
    limiter = RedisLimiter(client, EmbeddedLimiter(clock=SystemClock(), keys_max=10), alone_share=1.0)
    await limiter.take(tenant, "k", SLOW)
    near = EmbeddedBudgets(
        budgets_section(tenant_day_tokens_max=10), clock=SystemClock(), log=SilentLog(), accounts_max=9
    )
    budgets = RedisBudgets(client, near, hold_ms=1_000, alone=True)
    budgets.settle(await budgets.reserve(Spender(tenant=tenant, world="w"), Amount(tokens=9)), Amount(tokens=3))
    await budgets.close()
    leases = RedisLeases(client, clock=SystemClock())
    lease = await leases.acquire(tenant, "w", "me", ttl_ms=1000)
    assert lease is not None
    await leases.renew(lease, ttl_ms=1000)
    await leases.holder(tenant, "w")
    await leases.release(lease)
    stream = RedisStream(client, clock=SystemClock(), entries_max=4, dead_max=1, tries_max=1, retry_ms=20)
    for number in range(6):
        await stream.publish(tenant, "s", [Entry(id=str(number), body=b"b")])
    await stream.join(tenant, "s", "g")
    first, second, *_ = await stream.read(tenant, "s", "g", "m", entries_max=4, wait_ms=50)
    await stream.bury(tenant, "s", "g", first, "bad")
    await stream.done(tenant, "s", "g", [second])
    await stream.publish(tenant, "s", [Entry(id="6", body=b"b")])
    await asyncio.sleep(0.05)
    await stream.read(tenant, "s", "g", "m", entries_max=4, wait_ms=50)
    assert await stream.last(tenant, "s") == "6"
    await stream.dead(tenant, "s", entries_max=1)
    await stream.lag(tenant, "s", "g")


async def test_nothing_but_the_listed_commands_is_ever_sent(server: KeyServer, tenant: str) -> None:
    server.ask(b"SCRIPT FLUSH\r\n", b"\r\n")
    with watched(server) as seen:
        async with connected(server.url) as client:
            await do_everything(client, tenant)
            await asyncio.sleep(0.3)
        told = seen().decode(errors="replace")
    sent = {name.upper() for name in re.findall(r'^\+?\d+\.\d+ \[0 [^\]]+\] "(\w+)"', told, re.MULTILINE)}
    assert sent <= ALLOWED
    assert sent >= ALLOWED - {"AUTH"}, "a command that is not needed is not listed"
    assert {key.count("{") for key in re.findall(r'"(t:[^"]*)"', told)} == {1}, "each key has one hash tag"
    assert not re.search(r'"(?i:block)" "0"', told), "no read waits without end"


async def test_the_check_of_declared_keys_does_refuse(server: KeyServer) -> None:
    async with connected(server.url, prelude=UNDECLARED) as client:
        with pytest.raises(Rejected, match="undeclared"):
            await client.run(script("return redis.call('GET', 't:{a}:c:other')"), ["t:{a}:c:k"], [])
        with pytest.raises(Rejected, match="two hash tags"):
            await client.run(script("return 1"), ["t:{a}:c:k", "t:{b}:c:k"], [])


async def test_a_command_outside_the_list_is_never_sent(server: KeyServer) -> None:
    async with connected(server.url) as client:
        with pytest.raises(Broken, match="KEYS"):
            await client.call("KEYS", "*")


async def test_a_canceled_call_leaves_no_reply_for_the_next(server: KeyServer, tenant: str) -> None:
    """The fault of redis-py that once showed people each other's chats (CVE-2023-28858)."""
    chance = random.Random(7)
    wrong: list[object] = []
    answered = canceled = 0

    async def ask(client: Client, number: int) -> None:
        nonlocal answered
        reply = await client.call("GET", f"t:{{{tenant}}}:c:{number}")
        answered += 1
        if reply != b"%d" % number:
            wrong.append((number, reply))

    async with proxied(server.port) as proxy, connected(proxy.url, connections_max=16, command_ms=5000) as client:
        for number in range(100):
            await client.call("SET", f"t:{{{tenant}}}:c:{number}", str(number), "PX", 60_000)
        proxy.delay_s = 0.002
        for _ in range(60):
            calls = [asyncio.create_task(ask(client, chance.randrange(100))) for _ in range(50)]
            for call in chance.sample(calls, 25):
                asyncio.get_running_loop().call_later(chance.uniform(0.0, 0.012), call.cancel)
            ended = await asyncio.gather(*calls, return_exceptions=True)
            canceled += sum(isinstance(end, asyncio.CancelledError) for end in ended)
            assert not [end for end in ended if isinstance(end, StoreDown | Overloaded)]
        assert not client.fault
    assert wrong == []
    assert answered > 1000
    assert canceled > 300


async def test_a_storm_of_cancellations_uses_up_no_connection(server: KeyServer) -> None:
    async with connected(server.url, connections_max=2) as client:
        for _ in range(50):
            calls = [asyncio.create_task(client.call("PING")) for _ in range(8)]
            await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        assert await asyncio.gather(*(client.call("PING") for _ in range(8))) == [b"PONG"] * 8


async def test_a_line_that_is_too_long_is_refused_at_once(server: KeyServer) -> None:
    async with proxied(server.port) as proxy, connected(proxy.url, connections_max=1, command_ms=2000) as client:
        await client.call("PING")
        proxy.delay_s = 0.01
        calls = [asyncio.create_task(client.call("PING")) for _ in range(200)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(end, Overloaded) for end in ended) >= 100
        assert [end for end in ended if end == b"PONG"]
        assert not client.fault, "a busy client is not a server that is gone"


async def until(there: Callable[[], bool], within_s: float) -> float:
    """Seconds until the condition held; fails when they pass the bound."""
    started = time.monotonic()
    while not there():
        assert time.monotonic() - started < within_s, f"not within {within_s} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["killed", "hung"])
async def test_a_server_that_is_gone_is_noticed_in_a_second_and_found_again(
    tmp_path: Path, tenant: str, kind: str, loss: str
) -> None:
    with key_server(kind, tmp_path) as server:
        async with connected(server.url) as client:
            near = EmbeddedCache(clock=SystemClock(), entries_max=10, value_bytes_max=100)
            cache = RedisCache(client, near, local_ms=1, value_bytes_max=100)
            limiter = RedisLimiter(client, EmbeddedLimiter(clock=SystemClock(), keys_max=10), alone_share=1.0)
            leases = RedisLeases(client, clock=SystemClock())
            assert (await limiter.take(tenant, "k", SLOW, cost=6)).allowed
            before = await leases.acquire(tenant, "w", "me", ttl_ms=60_000)
            assert before is not None
            if loss == "killed":
                server.kill()
            else:
                server.signal(signal.SIGSTOP)
            await until(lambda: bool(client.fault), 1.0)
            started = time.monotonic()
            await cache.set(tenant, "k", b"v", ttl_ms=1000)
            assert await cache.get(tenant, "k") is None
            granted = [(await limiter.take(tenant, "k", SLOW)).allowed for _ in range(8)]
            assert sum(granted) == 4, "with the 6 from before, the limit of this process"
            for unsafe in (cache.delete(tenant, "k"), cache.purge(tenant, "t"), leases.renew(before, ttl_ms=1)):
                with pytest.raises(StoreDown, match=f"127.0.0.1:{server.port}"):
                    await unsafe
            assert time.monotonic() - started < 1.0, "nobody waits for a server that is known to be gone"
            if loss == "killed":
                server.start()
            else:
                server.signal(signal.SIGCONT)
            await until(lambda: not client.fault, 5.0)
            assert not (await limiter.take(tenant, "k", SLOW)).allowed, "an empty server grants no second burst"
            after = await leases.acquire(tenant, "w", "me", ttl_ms=60_000)
            assert after is not None
            assert after.token > before.token, "although the server may have lost the counter"


async def test_a_stream_goes_on_after_its_server_lost_its_memory(tmp_path: Path, tenant: str) -> None:
    with key_server("valkey", tmp_path) as server:
        async with connected(server.url) as client:
            stream = RedisStream(client, clock=SystemClock(), entries_max=50, dead_max=5, tries_max=3, retry_ms=100)
            await stream.publish(tenant, "s", [Entry(id="1", body=b"")])
            assert await stream.read(tenant, "s", "g", "m", entries_max=5, wait_ms=100)
            server.kill()
            await until(lambda: bool(client.fault), 1.0)
            with pytest.raises(StoreDown):
                await stream.publish(tenant, "s", [Entry(id="2", body=b"")])
            server.start()
            await until(lambda: not client.fault, 5.0)
            await stream.publish(tenant, "s", [Entry(id="3", body=b"")])
            found = await stream.read(tenant, "s", "g", "m", entries_max=5, wait_ms=1000)
            assert [delivery.entry.id for delivery in found] == ["3"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_without_memory_left_degrades_and_does_not_break(tmp_path: Path, tenant: str, kind: str) -> None:
    with key_server(kind, tmp_path, "--maxmemory", "100kb", "--maxmemory-policy", "noeviction") as server:
        async with connected(server.url) as client:
            near = EmbeddedCache(clock=SystemClock(), entries_max=10, value_bytes_max=100)
            cache = RedisCache(client, near, local_ms=1, value_bytes_max=100)
            limiter = RedisLimiter(client, EmbeddedLimiter(clock=SystemClock(), keys_max=10), alone_share=0.5)
            stream = RedisStream(client, clock=SystemClock(), entries_max=50, dead_max=5, tries_max=3, retry_ms=100)
            await cache.set(tenant, "k", b"v", ttl_ms=1000)
            assert await cache.get(tenant, "k") is None
            granted = [(await limiter.take(tenant, "k", SLOW)).allowed for _ in range(8)]
            assert sum(granted) == 5, "half of the limit: this process is one of two"
            with pytest.raises(StoreDown, match="memory"):
                await stream.publish(tenant, "s", [Entry(id="1", body=b"")])
            assert not client.fault, "the server is there"


async def test_a_server_that_was_never_there_is_a_fault_and_no_exception(tmp_path: Path) -> None:
    with key_server("valkey", tmp_path) as server:
        server.kill()
        async with connected(server.url) as client:
            with pytest.raises(Unavailable, match=str(server.port)):
                await client.call("PING")
            server.start()
            await until(lambda: not client.fault, 3.0)
            assert await client.call("PING") == b"PONG"


async def test_a_password_is_sent_and_never_told(tmp_path: Path) -> None:
    with key_server("valkey", tmp_path) as server:
        server.ask(b"CONFIG SET requirepass s3cret\r\n", b"\r\n")
        address = f"127.0.0.1:{server.port}"
        async with connected(f"redis://:s3cret@{address}") as client:
            assert await client.call("PING") == b"PONG"
        async with connected(f"redis://:wr0ng@{address}") as client:
            with pytest.raises(StoreDown) as caught:
                await client.call("PING")
            assert "wr0ng" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://h:1/3", "names database 3"),
        ("http://h:1", "cannot be read"),
        ("redis://h:1?colour=red", "unknown option"),
    ],
)
async def test_an_address_that_we_do_not_use_is_refused(url: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        Client(url, connections_max=1, command_ms=100, log=SilentLog())
