"""The connections to a provider: kept while answers are whole, else hung up, and to nowhere but where they are sent."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import EngineDown, Invalid, Unavailable
from app.core.outbound import Outbound
from app.core.words import Turn, WordsDelta
from app.engines.providers.openai import open_openai
from app.engines.providers.provider import Provider
from tests.certificates import make_certificate
from tests.engines.conftest import COMPLETION, PRICES, soon
from tests.engines.providers.calls import OPENERS, TALK, hear, of
from tests.standin import KEY, WORDS, Standin
from tests.standin.hostile import HARMS, Harm, Hostile

CHUNKS = (
    b'data: {"model": "m", "choices": [{"delta": {"content": "Hm."}, "finish_reason": "stop"}]}\n\n'
    b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}\n\ndata: [DONE]\n\n'
)


class Slow:
    """A server that ends its answers a moment after it said that they are done."""

    def __init__(self, *, rest_s: float, goes_on: bool = False) -> None:
        self.connections = 0
        self.heads: list[bytes] = []
        self.gone = asyncio.Event()
        self._rest_s = rest_s
        self._goes_on = goes_on

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                lines = head.lower().split(b"\r\n")
                await reader.readexactly(next(int(line[15:]) for line in lines if line.startswith(b"content-length:")))
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                writer.write(b"%x\r\n%b\r\n" % (len(CHUNKS), CHUNKS))
                await writer.drain()
                await asyncio.sleep(self._rest_s)
                while self._goes_on:
                    writer.write(b"4\r\n: a\n\r\n")
                    await writer.drain()
                    await asyncio.sleep(0)
                writer.write(b"0\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.gone.set()
            writer.close()


@asynccontextmanager
async def serving(server: Slow, **options: Any) -> AsyncIterator[int]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, **options)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


def at(port: int, host: str = "127.0.0.1", scheme: str = "http", **options: Any) -> Provider:
    return open_openai(
        name="gpt", model="m", key=KEY, prices=PRICES, base_url=f"{scheme}://{host}:{port}/v1", **options
    )


@pytest.mark.parametrize("kind", sorted(OPENERS))
async def test_one_connection_serves_one_line_after_the_other(kind: str) -> None:
    async with Standin() as standin:
        engine = OPENERS[kind](standin)
        for _ in range(4):
            assert (await hear(engine, COMPLETION)).text == WORDS
            await asyncio.sleep(0.01)
            assert len(standin._connections) == 1
        await engine.close()


async def test_a_connection_is_kept_whose_answer_ends_late() -> None:
    server = Slow(rest_s=0.05)
    async with serving(server) as port:
        engine = at(port)
        for _ in range(3):
            await hear(engine, COMPLETION)
            await asyncio.sleep(0.15)
        assert server.connections == 1
        await engine.close()


async def test_a_connection_is_hung_up_whose_answer_goes_on_after_its_end() -> None:
    server = Slow(rest_s=0.0, goes_on=True)
    async with serving(server) as port:
        engine = at(port)
        assert (await hear(engine, COMPLETION)).text == "Hm."
        await asyncio.wait_for(server.gone.wait(), 3.0)
        await engine.close()


async def test_a_very_long_prompt_arrives_whole() -> None:
    async with Standin() as standin:
        engine = OPENERS["chat"](standin)
        long = of(TALK, turns=(Turn(role="user", text="é" * 2**21),))
        assert (await hear(engine, long)).text == WORDS
        await engine.close()
        assert standin.seen[0].body["messages"][0]["content"] == long.turns[0].text


@pytest.mark.parametrize("kind", ["responses", "azure_responses"])
async def test_closing_the_stream_hangs_up(kind: str) -> None:
    async with Standin(fault="stall") as standin:
        engine = OPENERS[kind](standin)
        async with aclosing(engine.stream(COMPLETION, soon())) as stream:
            async for event in stream:
                if isinstance(event, WordsDelta):
                    break
        await asyncio.wait_for(standin.hung_up.wait(), 1.0)
        await engine.close()


@pytest.mark.parametrize("harm", HARMS)
async def test_harm_is_bounded_over_responses_as_well(harm: Harm) -> None:
    async with Hostile(harm, location="http://127.0.0.1:1/") as hostile:
        engine = open_openai(name="r", model="m", key=KEY, prices=PRICES, base_url=hostile.openai_url, api="responses")
        patience_ms = 300.0 if harm in ("never_ends", "drip", "endless_interim") else 5_000.0
        with pytest.raises(Unavailable) as caught:
            await asyncio.wait_for(_drained(engine, patience_ms), 9.0)
        told: list[BaseException] = [caught.value]
        for error in told:
            assert KEY not in f"{error} {error!r}", "whoever logs the causes as well logs no key"
            told += [one for one in (error.__cause__, error.__context__) if one is not None and one not in told]
        assert hostile.sent < 64 * 2**20
        await asyncio.wait_for(hostile.gone.wait(), 1.0)
        await engine.close()


async def _drained(engine: Provider, within_ms: float) -> None:
    async for _event in engine.stream(COMPLETION, soon(within_ms)):
        pass


async def test_a_name_that_leads_inside_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside(*_args: object, **_options: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    server = Slow(rest_s=0.0)
    async with serving(server) as port:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", inside)
        engine = at(port, "llm.example.com")
        with pytest.raises(EngineDown, match=r"no public address.*outbound\.private"):
            await hear(engine, COMPLETION)
        await engine.close()
        assert server.connections == 0
        allowed = at(port, "llm.example.com", outbound=Outbound(private=("127.0.0.0/8",)))
        assert (await hear(allowed, COMPLETION)).text == "Hm."
        await allowed.close()


async def test_only_the_profiles_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    server, proxy = Slow(rest_s=0.0), Slow(rest_s=0.0)
    async with serving(server) as port, serving(proxy) as proxy_port:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy_port}")
        direct = at(port)
        await hear(direct, COMPLETION)
        await direct.close()
        assert (server.connections, proxy.connections) == (1, 0)
        through = at(port, outbound=Outbound(proxy=f"http://127.0.0.1:{proxy_port}"))
        await hear(through, COMPLETION)
        await through.close()
        assert (server.connections, proxy.connections) == (1, 1)
        assert proxy.heads[0].startswith(f"POST http://127.0.0.1:{port}/v1/chat/completions ".encode())


@pytest.mark.parametrize(
    "url", ["llm.example.com/v1", "ftp://llm.example.com", "https://key@llm.example.com", "https://"]
)
def test_an_address_that_is_none_is_refused_at_start_up(url: str) -> None:
    with pytest.raises(Invalid):
        open_openai(name="gpt", model="m", key=KEY, prices=PRICES, base_url=url)


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Slow(rest_s=0.0)
    async with serving(server, ssl=context) as port:
        engine = at(port, "localhost", "https")
        with pytest.raises(EngineDown, match="cannot be reached") as caught:
            await hear(engine, COMPLETION)
        await engine.close()
    assert caught.value.failure == "unreachable"
    assert server.heads == []
