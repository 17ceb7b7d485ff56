"""HTTP/1.1 on one connection of the stand-in: requests in, bytes out, one request at a time.

It knows framing and back pressure; it does not know a provider. It is cheap, so that it is never what is measured.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n"
LAST_CHUNK = b"0\r\n\r\n"
REASONS = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required",
           404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arrived:
    """One request as bytes; the head is everything before the blank line."""

    head: bytes
    payload: bytes

    @property
    def target(self) -> bytes:
        """The path with its query."""
        start = self.head.index(b" ") + 1
        return self.head[start : self.head.index(b" ", start)]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived; header names in lower case. `body` is empty where it was not a JSON object."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    payload: bytes = field(default=b"", repr=False)

    @property
    def key(self) -> str:
        """The credential, in whichever of the vendors' headers it came."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return self.headers.get("api-key") or self.headers.get("x-api-key") or bearer

    @property
    def route(self) -> str:
        """The path without its query."""
        return self.path.partition("?")[0]


def read(arrived: Arrived) -> Seen:
    """The request with its headers and its JSON decoded."""
    line, *lines = arrived.head.decode("latin-1").split("\r\n")
    method, path, _ = line.split(" ", 2)
    pairs = (entry.partition(":") for entry in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    is_json = arrived.payload and headers.get("content-type", "").startswith("application/json")
    body = json.loads(arrived.payload) if is_json else {}
    return Seen(method, path, headers, body if isinstance(body, dict) else {}, arrived.payload)


class Server(Protocol):
    """Whoever answers: called with each request; says when it has answered by `connection.finish()`."""

    def accepted(self, connection: Connection) -> None: ...
    def asked(self, connection: Connection, arrived: Arrived) -> None: ...
    def left(self, connection: Connection, *, midway: bool) -> None: ...


class Connection(asyncio.Protocol):
    """One client. A request that arrives while another is answered waits for its turn."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._held = bytearray()
        self._answering = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._ended_here = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its base class
        self._server.accepted(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        self._server.left(self, midway=self._answering and not self._ended_here)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._held += data
        self._take()

    def _take(self) -> None:
        if self._answering:
            return
        at = self._held.find(b"\r\n\r\n")
        if at < 0:
            return
        head = bytes(self._held[:at])
        length = _content_length(head)
        whole = at + 4 + length
        if len(self._held) < whole:
            return
        payload = bytes(self._held[at + 4 : whole])
        del self._held[:whole]
        self._answering = True
        self._server.asked(self, Arrived(head, payload))

    def finish(self) -> None:
        """The answer is whole; the next request may come."""
        self._answering = False
        if self._held:
            self._take()

    def write(self, data: bytes) -> None:
        """Send without waiting."""
        if not self.transport.is_closing():
            self.transport.write(data)

    async def send(self, data: bytes) -> None:
        """Send, and wait while the client reads too slowly. Raises ConnectionError when it is gone."""
        if self.transport.is_closing():
            raise ConnectionResetError("the client left")
        self.transport.write(data)
        await self._writable.wait()

    def close(self) -> None:
        """Break off here: what was written still arrives."""
        self._ended_here = True
        self.transport.close()


def _content_length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    end = lowered.find(b"\r\n", at + 2)
    return int(lowered[at + 17 : end if end >= 0 else None])


def whole(status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    """An answer of known length."""
    return head(status, {**headers, "content-length": str(len(body))}) + body


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Status line and headers."""
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def stream_head(headers: Mapping[str, str]) -> bytes:
    """The start of a stream of server-sent events."""
    return STREAM_HEAD + "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1") + b"\r\n"


def chunk(event: bytes) -> bytes:
    """An event in the framing of RFC 9112, section 7.1."""
    return b"%x\r\n%b\r\n" % (len(event), event)


def drip(connection: Connection, frames: Iterator[bytes], then: Callable[[], None]) -> None:
    """Write each of the frames in a turn of the loop of its own, as a provider's network would deliver them."""
    frame = next(frames, None)
    if frame is None:
        then()
        return
    connection.write(frame)
    asyncio.get_running_loop().call_soon(drip, connection, frames, then)
