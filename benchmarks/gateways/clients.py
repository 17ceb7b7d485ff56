"""Cheap clients of a gateway: bytes that were made beforehand over connections that stay open, and one that reads.

It counts and times; it does not know who answers.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from gateways.servers import MODEL, Gateway

SYSTEM = "You are Mira, who keeps the inn of a small town by the river. " * 8
GIVE_UP_S = 60.0
_numbers = itertools.count(1)


@dataclass(slots=True)
class Found:
    """What came of a press: answers that were whole, others, milliseconds of each, and CPU seconds of the gateway."""

    ok: int = 0
    failed: int = 0
    ms: list[float] = field(default_factory=list)
    wall_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def cpu_ms(self) -> float:
        return 1_000.0 * self.cpu_s / max(1, self.ok)

    @property
    def p50_ms(self) -> float:
        return sorted(self.ms)[len(self.ms) // 2]


def body(model: str, *, stream: bool, text: str) -> bytes:
    """A request of a usual size: a persona of half a kilobyte, one turn of the player."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
    request: dict[str, object] = {"model": model, "messages": messages, "max_completion_tokens": 64}
    if stream:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(request).encode()


def request_bytes(gateway: Gateway, payload: bytes, *, port: int | None = None) -> bytes:
    """The request as it goes over the wire."""
    head = (
        f"POST {gateway.path} HTTP/1.1\r\nhost: 127.0.0.1:{port or gateway.port}\r\n"
        f"authorization: Bearer {gateway.key}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


def fresh(gateway: Gateway, *, stream: bool) -> Iterator[bytes]:
    """Requests that no cache has seen: a number of fixed width in the player's text."""
    mark = b"0123456789"
    wire = request_bytes(gateway, body(gateway.model, stream=stream, text=f"Good evening. {mark.decode()}"))
    before, _, after = wire.partition(mark)
    while True:
        yield b"%b%010d%b" % (before, next(_numbers), after)


def same(gateway: Gateway, *, stream: bool) -> Iterator[bytes]:
    """One request again and again."""
    return itertools.repeat(request_bytes(gateway, body(gateway.model, stream=stream, text="What is on the stove?")))


class Caller(asyncio.Protocol):
    """One connection that sends the next request as soon as its answer is whole, while any are left."""

    def __init__(self, requests: Iterator[bytes], left: list[int], found: Found, *, stream: bool) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests, self._left, self._found, self._stream = requests, left, found, stream
        self._held = b""
        self._sent_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        if self._left[0] <= 0:
            self._transport.close()
            return
        self._left[0] -= 1
        self._held, self._sent_s = b"", time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._held += data
        if not ended(self._held):
            return
        good = self._held.startswith(b"HTTP/1.1 200")
        if good and (not self._stream or b"data: [DONE]" in self._held[-256:]):
            self._found.ok += 1
            self._found.ms.append(1_000.0 * (time.perf_counter() - self._sent_s))
        else:
            self._found.failed += 1
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def ended(held: bytes) -> bool:
    """Whether an HTTP answer is whole, by its length or by its last chunk."""
    head, blank, rest = held.partition(b"\r\n\r\n")
    if not blank:
        return False
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        return rest.endswith(b"0\r\n\r\n")
    _, _, after = lowered.partition(b"content-length:")
    return len(rest) >= int(after.partition(b"\r\n")[0] or 0)


async def press(gateway: Gateway, requests: Iterator[bytes], count: int, *, stream: bool, in_flight: int = 8) -> Found:
    """`count` requests over `in_flight` connections, and what they cost the gateway."""
    found, left = Found(), [count]
    loop = asyncio.get_running_loop()
    began_cpu_s, began_s = gateway.cpu_s(), time.perf_counter()
    pairs = [
        await loop.create_connection(lambda: Caller(requests, left, found, stream=stream), "127.0.0.1", gateway.port)
        for _ in range(in_flight)
    ]
    callers = [caller for _, caller in pairs]
    await asyncio.wait_for(asyncio.gather(*(caller.done for caller in callers)), GIVE_UP_S + count / 10)
    found.wall_s, found.cpu_s = time.perf_counter() - began_s, gateway.cpu_s() - began_cpu_s
    found.failed += max(0, count - found.ok - found.failed)
    return found


@dataclass(slots=True)
class Told:
    """One answer as a client understands it. `whole`: it ended as HTTP says, `error`: it says that it failed."""

    status: int = 0
    text: str = ""
    finish: str | None = None
    whole: bool = False
    error: str = ""
    first_ms: float | None = None
    """Until the first text."""


async def ask(gateway: Gateway, *, stream: bool, give_up_s: float, tokens: int | None = None) -> Told:
    """One request that no cache has seen, read as a client does that trusts the protocol."""
    told = Told()
    wire = next(fresh(gateway, stream=stream))
    if tokens is not None:
        text = body(gateway.model, stream=stream, text=f"Good evening. {next(_numbers)}")
        wire = request_bytes(
            gateway, text.replace(b'"max_completion_tokens": 64', b'"max_completion_tokens": %d' % tokens)
        )
    began_s = time.perf_counter()
    try:
        async with asyncio.timeout(give_up_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1 << 24)
            writer.write(wire.replace(b"\r\nhost:", b"\r\nconnection: close\r\nhost:", 1))
            head = await reader.readuntil(b"\r\n\r\n")
            told.status = int(head.split(b" ", 2)[1])
            pieces = _chunks(reader) if b"chunked" in head.lower() else _rest(reader, head)
            if stream and told.status == 200:
                await _read_stream(pieces, told, began_s)
            else:
                _read_whole(b"".join([piece async for piece in pieces]), told)
            told.whole = True
            writer.close()
    except TimeoutError:
        told.error = told.error or f"no end in {give_up_s} s"
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        told.error = told.error or f"broken off: {type(error).__name__}"
    return told


async def _chunks(reader: asyncio.StreamReader):  # type: ignore[no-untyped-def]  # an async iterator of bytes
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")


async def _rest(reader: asyncio.StreamReader, head: bytes):  # type: ignore[no-untyped-def]  # an async iterator of bytes
    _, found, after = head.lower().partition(b"content-length:")
    yield await (reader.readexactly(int(after.partition(b"\r\n")[0])) if found else reader.read())


async def _read_stream(pieces, told: Told, began_s: float) -> None:  # type: ignore[no-untyped-def]  # as above
    held = b""
    async for piece in pieces:
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:") or line.strip() == b"data: [DONE]":
                continue
            chunk = json.loads(line[5:])
            if chunk.get("error"):
                told.error = str(chunk["error"])[:200]
            for choice in chunk.get("choices") or ():
                told.text += choice.get("delta", {}).get("content") or ""
                told.finish = choice.get("finish_reason") or told.finish
            if told.text and told.first_ms is None:
                told.first_ms = 1_000.0 * (time.perf_counter() - began_s)


def _read_whole(payload: bytes, told: Told) -> None:
    value = json.loads(payload)
    if told.status != 200 or value.get("error"):
        told.error = str(value.get("error", value))[:200]
        return
    for choice in value.get("choices") or ():
        told.text += choice["message"].get("content") or ""
        told.finish = choice.get("finish_reason")


def direct(gateway: Gateway, port: int, key: str) -> Gateway:
    """The same request straight to the provider at that port."""
    return Gateway("direct", gateway.process, port, "/v1/chat/completions", key, MODEL)
