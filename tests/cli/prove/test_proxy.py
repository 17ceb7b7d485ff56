"""The proxy's faults: what a client of a line that is broken in each way sees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.cli.prove import proxy as proxies
from app.cli.prove.proxy import Fault, Proxy

PATIENCE_S = 20.0
WORD = b"a word that comes back as it went\n"


@asynccontextmanager
async def line() -> AsyncIterator[Proxy]:
    """A proxy before a server that answers each line with itself."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while word := await reader.readline():
                writer.write(word)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1], seed=7)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
        server.close()
        await asyncio.sleep(0.05)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self) -> bytes:
        self.writer.write(WORD)
        await self.writer.drain()
        return await asyncio.wait_for(self.reader.readline(), PATIENCE_S)


@asynccontextmanager
async def client(proxy: Proxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def test_a_whole_line_carries_what_is_sent() -> None:
    async with line() as proxy, client(proxy) as one:
        assert await one.ask() == WORD
        assert await one.ask() == WORD
        assert proxy.struck_s is None


async def test_a_line_that_is_down_refuses_connections_and_ends_those_it_has() -> None:
    async with line() as proxy, client(proxy) as one:
        await one.ask()
        await proxy.switch("down")
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(one.reader.readexactly(1), PATIENCE_S)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.switch("pass")
        async with client(proxy) as again:
            assert await again.ask() == WORD


async def test_a_line_that_refuses_takes_a_connection_and_resets_it() -> None:
    async with line() as proxy:
        await proxy.switch("refuse")
        with pytest.raises(ConnectionError):
            async with client(proxy) as one:
                await asyncio.wait_for(one.reader.readexactly(1), PATIENCE_S)


async def test_a_line_that_hangs_gives_nothing_until_it_heals() -> None:
    async with line() as proxy, client(proxy) as one:
        await proxy.switch("hang")
        asked = asyncio.ensure_future(one.ask())
        while proxy.struck_s is None:  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        assert not asked.done()
        await proxy.switch("pass")
        assert await asked == WORD


async def test_a_slow_line_is_late_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "SLOW_S", 0.1)
    async with line() as proxy, client(proxy) as one:
        await proxy.switch("slow")
        started_s = asyncio.get_running_loop().time()
        assert await one.ask() == WORD
        assert asyncio.get_running_loop().time() - started_s >= 0.2, "there and back"


async def test_a_line_that_resets_breaks_in_the_middle_of_the_answer() -> None:
    async with line() as proxy, client(proxy) as one:
        await proxy.switch("reset")
        one.writer.write(WORD)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(one.reader.readexactly(len(WORD)), PATIENCE_S)


async def test_a_lossy_line_carries_most_and_breaks_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "STALL_S", 0.01)
    async with line() as proxy:
        await proxy.switch("loss")
        whole = broken = 0
        for _ in range(400):
            try:
                async with client(proxy) as one:
                    whole += await one.ask() == WORD
            except ConnectionError:
                broken += 1
        assert broken > 5, "5 % of 800 pieces"
        assert whole > 300


async def test_a_half_closed_line_takes_and_does_not_answer() -> None:
    async with line() as proxy, client(proxy) as one:
        await proxy.switch("half_close")
        assert await one.ask() == b""
        one.writer.write(WORD)
        await one.writer.drain()


async def test_garbage_is_as_long_as_the_answer_and_is_not_it() -> None:
    async with line() as proxy, client(proxy) as one:
        await proxy.switch("garbage")
        one.writer.write(WORD)
        assert await asyncio.wait_for(one.reader.readexactly(len(WORD)), PATIENCE_S) != WORD


@pytest.mark.parametrize("fault", ["down", "refuse", "hang", "reset", "half_close", "garbage"])
async def test_every_fault_heals(fault: Fault) -> None:
    async with line() as proxy:
        async with client(proxy) as one:
            await proxy.switch(fault)
            one.writer.write(WORD)
        await proxy.switch("pass")
        async with client(proxy) as again:
            assert await again.ask() == WORD
