"""Frames judged at their head: whatever the chunks in which bytes come, nothing but the refused messages is missing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import msgspec
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from app.core.errors import Error, Overloaded
from app.edge.admission import Ticket
from app.edge.frames import HEAD_BYTES, TICKET, LinkProtocol, asked

BYTES_MAX = 80_000
HANDSHAKE = (
    b"GET /v1/link HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGVzdHRlc3R0ZXN0dGVzdA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CONT, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9


class Frame(NamedTuple):
    """`final` when it is the last of its message."""

    opcode: int
    final: bool
    payload: bytes

    def __repr__(self) -> str:
        return f"Frame({self.opcode}, {self.final}, {self.payload[:60]!r} of {len(self.payload)})"


@dataclass
class Wire(asyncio.Transport):
    """Keeps what is written."""

    written: list[bytes] = field(default_factory=list)
    closing: bool = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data:
            self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        """The test goes on all the same: what was read before the pause must be taken."""

    def resume_reading(self) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


@dataclass
class Porter:
    """A door that refuses the ids that begin with `no` or `piece`, lets `yes` in, and knows no others."""

    packed: bool = False
    tickets: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)
    takes: bool = False
    """Whether it takes messages straight away."""
    taken: list[bytes] = field(default_factory=list)

    def receive(self, payload: bytes, ticket: Ticket, *, packed: bool) -> bool:
        if self.takes:
            self.taken.append(payload)
        return self.takes

    def knock(self, id: str, op: str, *, whole: bool) -> Ticket | None:
        if id.startswith(("no", "piece")):
            raise Overloaded("enough", hint="later", retry_after_s=1.0)
        if not id.startswith("yes") or not whole:
            return None
        self.tickets.append(id)
        return _FreeTicket(op)

    def refusal(self, id: str, error: Error) -> bytes:
        self.refused.append(id)
        return f"refused {id}".encode()

    def refuse(self, id: str, error: Error) -> None:
        self.queued.append(id)


class _FreeTicket(Ticket):
    def __init__(self, op: str) -> None:
        self.op = op
        self.left = False

    def leave(self) -> None:
        self.left = True


def request(id: str, *, packed: bool, size: int) -> Frame:
    """A whole message with an id, whose data have about `size` bytes."""
    message = {"id": id, "op": "world.get", "data": {"text": "x" * size}}
    body = msgspec.msgpack.encode(message) if packed else msgspec.json.encode(message)
    return Frame(BINARY if packed else TEXT, True, body)


ids = st.builds(lambda kind, n: f"{kind}{n}", st.sampled_from(["no", "yes", "other"]), st.integers(0, 999))
sizes = st.one_of(st.integers(0, 300), st.integers(60_000, 70_000))
requests = st.builds(lambda id, packed, size: [request(id, packed=packed, size=size)], ids, st.booleans(), sizes)
pings = st.builds(lambda body: [Frame(PING, True, body)], st.binary(max_size=125))
odd = st.builds(lambda body: [Frame(TEXT, True, body.encode())], st.text(max_size=40))


@st.composite
def fragmented(draw: st.DrawFn) -> list[Frame]:
    """A message in pieces, with a ping between them."""
    opcode, _, body = request(f"piece{draw(ids)}", packed=draw(st.booleans()), size=draw(st.integers(0, 400)))
    cut = draw(st.integers(0, len(body)))
    between: list[Frame] = draw(st.one_of(st.just([]), pings))
    return [Frame(opcode, False, body[:cut]), *between, Frame(CONT, True, body[cut:])]


ends = st.sampled_from(
    [
        [],
        [Frame(CLOSE, True, b"\x03\xe8")],
        [Frame(TEXT, True, b"x" * (BYTES_MAX + 1))],
        [Frame(CONT, True, b"x")],
        [Frame(3, True, b"")],
    ]
)
streams = st.lists(st.one_of(requests, pings, odd, fragmented()), max_size=12).map(lambda parts: list(chain(*parts)))


@settings(max_examples=150, deadline=None)
@given(frames=streams, end=ends, seed=st.integers(0, 2**32))
def test_only_what_is_refused_is_missing_whatever_the_chunks(frames: list[Frame], end: list[Frame], seed: int) -> None:
    porter = Porter()
    chance = random.Random(seed)
    sent = [_masked(frame, chance.randbytes(4)) for frame in (*frames, *end)]
    plain, plain_writes = asyncio.run(_chunks(WebSocketsSansIOProtocol, sent, None))
    found, writes = asyncio.run(_chunks(LinkProtocol, _cut(b"".join(sent), chance), porter))
    expected = [message for message in plain if not _id(message).startswith("no")]
    tickets = [_id(message) for message in found if message.pop(TICKET, None)]
    if end and end[0].opcode != CLOSE:  # uvicorn drops what came in the same chunk as a frame that is wrong
        expected = expected[: len(found)]
    assert found == expected
    assert b"".join(write for write in writes if b"refused " not in write) == b"".join(plain_writes)
    assert [write[2:] for write in writes if b"refused " in write] == [
        f"refused {id}".encode() for id in porter.refused
    ]
    assert tickets == porter.tickets
    refused = [_id(message) for message in plain if _id(message).startswith("no")]
    assert porter.refused == refused, "each of them is answered, once"


@settings(max_examples=100, deadline=None)
@given(frames=streams, seed=st.integers(0, 2**32))
def test_a_message_is_taken_straight_away_only_while_none_waits_before_it(frames: list[Frame], seed: int) -> None:
    chance = random.Random(seed)
    sent = [_masked(frame, chance.randbytes(4)) for frame in frames]
    plain, _ = asyncio.run(_chunks(LinkProtocol, _cut(b"".join(sent), chance), Porter()))
    porter = Porter(takes=True)
    found, _ = asyncio.run(_chunks(LinkProtocol, _cut(b"".join(sent), chance), porter))
    for message in (*plain, *found):
        message.pop(TICKET, None)
    taken = [message.get("bytes") or message["text"].encode() for message in plain[: len(plain) - len(found)]]
    assert porter.taken == taken, "the first ones, in order"
    assert found == plain[len(taken) :]


@pytest.mark.parametrize("packed", [False, True])
def test_a_refused_message_is_answered_before_its_body_has_come(packed: bool) -> None:
    porter = Porter(packed=packed)
    opcode, _, body = request("no1", packed=packed, size=60_000)
    sent = _masked(Frame(opcode, True, body), b"\1\2\3\4")
    _, writes = asyncio.run(_chunks(LinkProtocol, [sent[: HEAD_BYTES + 8]], porter))
    assert porter.refused == ["no1"]
    assert writes == [bytes((0x80 | (BINARY if packed else TEXT), 11)) + b"refused no1"]


def test_a_client_that_does_not_read_finds_its_refusals_in_the_bounded_outbox() -> None:
    porter = Porter()
    frames = [_masked(request(f"no{n}", packed=False, size=10), b"\1\2\3\4") for n in range(5)]
    _, writes = asyncio.run(_chunks(LinkProtocol, frames, porter, reads=False))
    assert not writes
    assert porter.queued == [f"no{n}" for n in range(5)]


def test_a_ticket_that_nobody_took_up_is_given_back_when_the_socket_ends() -> None:
    async def run() -> list[Any]:
        protocol, _ = await _opened(LinkProtocol, Porter(), app=_leaves)
        protocol.data_received(_masked(request("yes1", packed=True, size=10), b"\1\2\3\4"))
        tickets = [message[TICKET] for message in tuple(protocol.queue._queue)]
        protocol.connection_lost(None)
        await asyncio.sleep(0.01)
        return tickets

    tickets = asyncio.run(run())
    assert [ticket.left for ticket in tickets] == [True]


@given(id=st.text(min_size=1, max_size=40), op=st.text("abcz._", min_size=1, max_size=30))
def test_what_a_head_asks_is_what_the_whole_message_asks(id: str, op: str) -> None:
    message = {"id": id, "op": op, "data": {}}
    assert asked(msgspec.msgpack.encode(message), packed=True) == (id, op)
    swapped = {"op": op, "id": id, "deadline_ms": 5}
    assert asked(msgspec.msgpack.encode(swapped), packed=True) == (id, op)
    for told in (message, swapped):
        body = msgspec.json.encode(told)
        assert asked(body, packed=False) in (None, (id, op))
        if b"\\" not in body and len(id.encode()) <= 128:
            assert asked(body, packed=False) == (id, op)


@given(body=st.binary(max_size=HEAD_BYTES), packed=st.booleans())
def test_any_bytes_may_be_a_head(body: bytes, packed: bool) -> None:
    found = asked(body, packed=packed)
    assert found is None or all(found)


def _id(message: dict[str, Any]) -> str:
    body = message.get("bytes") or (message.get("text") or "").encode()
    found = asked(body[:HEAD_BYTES], packed="bytes" in message)
    return found[0] if found else ""


def _masked(frame: Frame, mask: bytes) -> bytes:
    opcode, final, payload = frame
    size = len(payload)
    head = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65_536:
        head += bytes([0x80 | 126]) + size.to_bytes(2)
    else:
        head += bytes([0x80 | 127]) + size.to_bytes(8)
    key = (mask * (size // 4 + 1))[:size]
    return head + mask + (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)


def _cut(data: bytes, chance: random.Random) -> list[bytes]:
    chunks, at = [], 0
    while at < len(data):
        size = chance.choice((1, 2, 7, 200, 5_000, 100_000))
        chunks.append(data[at : at + size])
        at += size
    return chunks


async def _chunks(
    kind: type[WebSocketsSansIOProtocol], chunks: Sequence[bytes], porter: Porter | None, *, reads: bool = True
) -> tuple[list[dict[str, Any]], list[bytes]]:
    protocol, wire = await _opened(kind, porter, app=_waits)
    if not reads:
        protocol.pause_writing()
    for chunk in chunks:
        if not wire.closing:
            protocol.data_received(chunk)
    messages = []
    while not protocol.queue.empty():
        messages.append(dict(protocol.queue.get_nowait()))
    for task in tuple(protocol.tasks):
        task.cancel()
    protocol.stop_keepalive()
    return [message for message in messages if message["type"] == "websocket.receive"], wire.written


async def _opened(
    kind: type[WebSocketsSansIOProtocol], porter: Porter | None, *, app: Any
) -> tuple[WebSocketsSansIOProtocol, Wire]:
    config = uvicorn.Config(app, ws_max_size=BYTES_MAX, ws_per_message_deflate=False, log_config=None, lifespan="off")
    config.load()
    protocol, wire = kind(config, ServerState(), {}), Wire()
    protocol.connection_made(wire)
    protocol.data_received(HANDSHAKE)
    for _ in range(3):
        await asyncio.sleep(0)
    assert wire.written.pop().startswith(b"HTTP/1.1 101")
    if porter is not None:
        assert isinstance(protocol, LinkProtocol)
        protocol.door = porter
    return protocol, wire


async def _waits(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def _leaves(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.sleep(0.005)
