"""A client that sends exactly the bytes that it is told to, over TCP, and reads what comes back.

It knows how answers and frames are cut out of a stream, and nothing of what they mean.
"""

from __future__ import annotations

import base64
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
FINAL, MASKED = 0x80, 0x80
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NO_CODE, CUT = 1005, 1006
"""What RFC 6455 calls a close without a code, and none at all."""
WAIT_S_MAX = 5.0


@dataclass(slots=True)
class Stream:
    """One connection, and what has come over it."""

    socket: socket.socket
    read: bytes = b""
    ended: bool = False

    def send(self, data: bytes) -> None:
        """Send it, or as much as the other side takes."""
        with suppress(OSError):
            self.socket.sendall(data)

    def more(self, until_s: float) -> bool:
        """Wait for more bytes; False when none came in time or none will come."""
        left_s = until_s - time.monotonic()
        if self.ended or left_s <= 0:
            return False
        self.socket.settimeout(left_s)
        try:
            part = self.socket.recv(1 << 16)
        except TimeoutError:
            return False
        except OSError:
            part = b""
        self.read += part
        self.ended = not part
        return bool(part)

    def take(self, size: int, until_s: float) -> bytes | None:
        """The next `size` bytes; None when they do not come."""
        while len(self.read) < size:
            if not self.more(until_s):
                return None
        found, self.read = self.read[:size], self.read[size:]
        return found


@contextmanager
def connected(port: int) -> Iterator[Stream]:
    with socket.create_connection((HOST, port), timeout=WAIT_S_MAX) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Stream(one)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def answers(port: int, request: bytes, *, wait_s: float = WAIT_S_MAX, quiet_s: float = 0.25) -> list[Answer]:
    """All answers to the bytes of one connection, until it is closed or, after the first, stays quiet."""
    with connected(port) as stream:
        stream.send(request)
        found: list[Answer] = []
        while (one := answer(stream, quiet_s if found else wait_s)) is not None:
            found.append(one)
        return found


def answer(stream: Stream, wait_s: float) -> Answer | None:
    """The next answer of the stream; None when none comes."""
    until_s = time.monotonic() + wait_s
    while b"\r\n\r\n" not in stream.read:
        if not stream.more(until_s):
            return None
    head, _, stream.read = stream.read.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(first.split(" ")[1])
    size = int(headers.get("content-length", "0"))
    body = stream.take(size, until_s)
    return Answer(status, headers, stream.read if body is None else body)


def head(path: str = "/v1/link", **changed: str | None) -> bytes:
    """The head of a WebSocket's handshake, some of its lines changed or, with None, left out."""
    fields: dict[str, str | None] = {
        "Host": HOST,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()


def frame(
    opcode: int, payload: bytes = b"", *, first: int = FINAL, masked: bool = True, form: int = 0, claimed: int = -1
) -> bytes:
    """One frame of RFC 6455; `form` 2 or 8 writes the length in so many bytes, `claimed` lies about it."""
    size = len(payload) if claimed < 0 else claimed
    form = form or (0 if size < 126 else 2 if size < 1 << 16 else 8)
    short = {0: size, 2: 126, 8: 127}[form]
    mask = os.urandom(4) if masked else b""
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if masked else payload
    length = size.to_bytes(form) if form else b""
    return bytes((first | opcode, (MASKED if masked else 0) | short)) + length + mask + body


def closing(code: int, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, code.to_bytes(2) + reason)


@dataclass(slots=True)
class Heard:
    """What a server said on a socket: its messages, and how it closed; None while it has not."""

    messages: list[tuple[int, bytes]] = field(default_factory=list)
    code: int | None = None


def heard(stream: Stream, *, wait_s: float, messages: int) -> Heard:
    """What comes until the socket closes, so many messages are there, or the time is over; pings are answered."""
    found = Heard()
    until_s = time.monotonic() + wait_s
    while len(found.messages) < messages:
        start = stream.take(2, until_s)
        if start is None:
            break
        size = start[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(stream.take(2 if size == 126 else 8, until_s) or b"")
        body = stream.take(size, until_s) or b""
        if start[0] & 0x0F == CLOSE:
            found.code = int.from_bytes(body[:2]) if body else NO_CODE
            return found
        if start[0] & 0x0F == PING:
            stream.send(frame(PONG, body))
            continue
        found.messages.append((start[0] & 0x0F, body))
    if stream.ended:
        found.code = CUT
    return found
