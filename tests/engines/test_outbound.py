"""Where this server connects to, and what a provider that means harm gets for it."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest

from app.core.errors import EngineDown, Invalid, Unavailable
from app.core.outbound import ANYWHERE, Outbound, Way, fault_of
from app.engines.outbound import open_client, resolve
from app.engines.providers.anthropic import open_anthropic
from app.engines.providers.azure import open_azure
from app.engines.providers.openai import open_openai
from app.engines.providers.provider import Provider
from tests.engines.conftest import COMPLETION, PRICES, drain, soon
from tests.standin.hostile import HARMS, Harm, Hostile

PUBLIC, NAME = "93.184.216.34", "llm.example.com"
MEMORY_BYTES_MAX = 48 * 2**20
SENT_BYTES_MAX = 64 * 2**20
UNTIL_LATE = ("never_ends", "drip", "endless_interim")
"""What only the deadline ends."""


def fault(host: str, address: str, **outbound: object) -> str:
    return fault_of(Way.to(f"https://{host}/v1", Outbound(**outbound)), host, [address])


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fd00:ec2::254", "fe80::1", "0.0.0.0", "::", "100.100.100.200", "168.63.129.16",
     "::ffff:169.254.169.254", "2002:a9fe:a9fe::", "64:ff9b::a9fe:a9fe", "255.255.255.255", "224.0.0.1", "nowhere"],
)  # fmt: skip
def test_addresses_of_metadata_are_never_reached_whatever_names_them(address: str) -> None:
    assert fault(NAME, address)
    assert fault(NAME, address, private=("0.0.0.0/0", "::/0"))
    assert fault_of(ANYWHERE, NAME, [address])
    if address[0].isdigit():
        assert fault(address, address), "not even as it is named in the profile"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd12::1"]
)
def test_private_addresses_are_reached_only_where_the_profile_says_so(address: str) -> None:
    assert "outbound.private" in fault(NAME, address)
    assert fault(NAME, address, private=(address,)) == ""
    host = f"[{address}]" if ":" in address else address
    assert fault(host, address) == "", "an address in the profile says what it is"
    assert fault_of(ANYWHERE, NAME, [address]) == "", "replicas are neighbors"


def test_one_bad_address_among_good_ones_condemns_the_host() -> None:
    way = Way.to(f"https://{NAME}", Outbound())
    assert fault_of(way, NAME, [PUBLIC]) == ""
    assert "127.0.0.1" in fault_of(way, NAME, [PUBLIC, "127.0.0.1"])
    assert fault_of(way, NAME, []) == f"{NAME!r} has no address"


@pytest.mark.parametrize("host", ["evil.example.com", f"{NAME}.evil.example", "llmxexample.com", "127.0.0.1", ""])
def test_only_the_host_of_the_profile_is_called(host: str) -> None:
    assert "not one that the profile names" in Way.to(f"https://{NAME}/v1", Outbound()).fault(host)


def test_a_network_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="'home'"):
        Way.to(f"https://{NAME}", Outbound(private=("home",)))


async def test_a_name_that_resolves_to_this_machine_is_refused_after_it_was_resolved() -> None:
    sneaky = Way(frozenset({"localhost"}))
    with pytest.raises(Unavailable, match="no public address"):
        await resolve(sneaky, "localhost", 80)
    assert await resolve(Way.to("http://localhost:80", Outbound()), "localhost", 80)
    with pytest.raises(Unavailable, match="cannot be resolved"):
        await resolve(ANYWHERE, "no-such-host.invalid", 80)


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, list[object]]]:
    """(the address of a server that must not be reached, its connections)."""
    reached: list[object] = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", reached
    finally:
        server.close()


async def test_a_client_goes_nowhere_but_where_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening() as (elsewhere, reached), Hostile("redirect", location=f"{elsewhere}/x") as hostile:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
            monkeypatch.setenv(name, elsewhere)
        way = Way.to(hostile.origin, Outbound())
        async with open_client("httpx", way, outbound=Outbound(), answer_bytes_max=1_000) as client:
            assert (await client.get(f"{hostile.origin}/v1")).status_code == 302
            with pytest.raises(httpx.ConnectError, match="names"):
                await client.get("http://localhost:1/")
        assert reached == []


def open_at(kind: str, url: str) -> Provider:
    if kind == "openai":
        return open_openai(name=kind, model="m", key="sk-planted", prices=PRICES, base_url=f"{url}/v1")
    if kind == "azure":
        return open_azure(name=kind, endpoint=url, deployment="m", api_version="1", key="sk-planted", prices=PRICES)
    return open_anthropic(name=kind, model="m", key="sk-planted", prices=PRICES, base_url=url)


@pytest.mark.parametrize("target", ["local", "http://169.254.169.254/latest/meta-data/"])
async def test_a_redirect_to_this_machine_or_to_metadata_reaches_nobody(kind: str, target: str) -> None:
    async with listening() as (elsewhere, reached):
        async with Hostile("redirect", location=elsewhere if target == "local" else target) as hostile:
            engine = open_at(kind, hostile.origin)
            with pytest.raises(EngineDown, match="answered 302"):
                await drain(engine.stream(COMPLETION, soon()))
            await engine.close()
            assert hostile.asked == 1
        assert reached == []


async def test_a_profile_that_names_metadata_is_not_obeyed(kind: str) -> None:
    engine = open_at(kind, "http://169.254.169.254")
    with pytest.raises(EngineDown, match="where nothing of ours is"):
        await drain(engine.stream(COMPLETION, soon()))
    await engine.close()


@pytest.mark.parametrize("harm", HARMS)
async def test_a_provider_that_means_harm_is_down_and_costs_neither_memory_nor_time(kind: str, harm: Harm) -> None:
    async with Hostile(harm, location="http://127.0.0.1:1/") as hostile:
        engine = open_at(kind, hostile.origin)
        tracemalloc.start()
        started_s = time.monotonic()
        try:
            with pytest.raises(Unavailable) as caught:
                await drain(engine.stream(COMPLETION, soon(300.0 if harm in UNTIL_LATE else 5_000.0)))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert time.monotonic() - started_s < 10.0
        assert peak < MEMORY_BYTES_MAX
        assert hostile.sent < SENT_BYTES_MAX
        assert "sk-planted" not in f"{caught.value} {engine.status()}"
        await asyncio.wait_for(hostile.gone.wait(), 1.0)
        await engine.close()


async def test_a_client_that_leaves_closes_the_call_upstream_within_a_second(kind: str) -> None:
    async with Hostile("never_ends") as hostile:
        engine = open_at(kind, hostile.origin)

        async def listen() -> None:
            async with aclosing(engine.stream(COMPLETION, soon(60_000.0))) as stream:
                async for _event in stream:
                    pass

        asking = asyncio.create_task(listen())
        await hostile.answering.wait()
        asking.cancel()
        await asyncio.wait_for(hostile.gone.wait(), 1.0)
        await engine.close()
