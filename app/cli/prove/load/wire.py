"""The cheapest clients of a WebSocket and of HTTP/1.1 that can press a server: bytes made once, replies barely parsed.

They know framing (RFC 6455, RFC 9112) and how a reply says its id and verdict; they keep no time.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Literal, cast

Verdict = Literal["ok", "shed", "error"]
Answered = Callable[[int, Verdict, str], None]
"""(id, verdict, code): called for each reply."""

_UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: load\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: bG9hZC1sb2FkLWxvYWQtbA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_MASK = b"\0\0\0\0"
"""A client must mask; a mask of zeros leaves the payload as it is."""
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(payload: bytes, *, opcode: int = TEXT) -> bytes:
    """One masked frame, whole."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + _MASK + payload


class Socket(asyncio.Protocol):
    """A WebSocket; `opened` ends when hello was answered."""

    def __init__(self, hello: bytes, answered: Answered, *, path: str = "/v1/link", echo: bool = False) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = False
        self._hello = hello
        self._answered = answered
        self._path = path
        self._echo = echo
        self._upgraded = False
        self._greeted = echo
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its base class
        self._transport.write(_UPGRADE.format(path=self._path).encode())

    def send(self, data: bytes) -> None:
        """Write a frame made by `frame`; to a server that has left there is nothing to write."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Leave without a word."""
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("closed before hello was answered"))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._upgraded:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._rest = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                self._transport.abort()
                return
            self._upgraded = True
            data = data[end + 4 :]
            if self._echo:
                self.opened.set_result(None)
            else:
                self._transport.write(self._hello)
        self._rest = self._frames(data)

    def _frames(self, data: bytes) -> bytes:
        at = 0
        while len(data) - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                if len(data) < start:
                    break
                size = int.from_bytes(data[at + 2 : start], "big")
            if len(data) < start + size:
                break
            self._take(data[at] & 15, data[start : start + size])
            at = start + size
        return data[at:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._transport.write(frame(payload, opcode=PONG))
        elif opcode == CLOSE:
            self._transport.close()
        elif not self._greeted:
            self._greeted = True
            if b'"ok":true' in payload[:40]:
                self.opened.set_result(None)
            else:
                self.opened.set_exception(ConnectionError(payload.decode()))
        elif payload.startswith(b'{"id":"'):
            end = payload.index(b'"', 7)
            if not payload.startswith(b',"chunk"', end + 1):
                self._answered(int(payload[7:end]), *_verdict(payload, end))


def _verdict(payload: bytes, end: int) -> tuple[Verdict, str]:
    if not payload.startswith(b',"ok":false', end + 1):
        return "ok", ""
    error = json.loads(payload)["error"]
    return ("shed" if "retry_after_s" in error else "error"), error["code"]


class Http(asyncio.Protocol):
    """A kept connection with one request at a time; `freed` is called when it may take the next, `lost` at its end."""

    def __init__(self, answered: Answered, freed: Callable[[Http], None], lost: Callable[[Http], None]) -> None:
        self._answered = answered
        self._freed = freed
        self._lost = lost
        self._id = 0
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its base class

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self)

    def send(self, id: int, request: bytes) -> None:
        self._id = id
        if not self._transport.is_closing():
            self._transport.write(request)

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        end = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, end) if end >= 0 else None
        if length is None or len(data) < end + 4 + int(length[1]):
            self._rest = data
            return
        self._rest = b""
        status = data[9:12].decode()
        shed = status in ("429", "503") and b"retry-after:" in data[:end].lower()
        self._answered(self._id, "ok" if status == "200" else "shed" if shed else "error", status)
        self._freed(self)


def post(path: str, body: bytes, *, key: str, kind: str = "application/json") -> bytes:
    """The bytes of a POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: load\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
