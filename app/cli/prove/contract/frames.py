"""WebSocket handshakes, frames and messages that no client should send, with what must come of each.

The first table is HTTP's (RFC 6455, 4), the second that of frames (RFC 6455, 5 to 8), the third our own
protocol's (docs/reference/wire.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from app.cli.prove.contract.raw import BINARY, CLOSE, CONTINUATION, NO_CODE, PING, PONG, TEXT, closing, frame, head

BIG = 1_048_577
"""One more than `frame_bytes_max` allows."""
SAID = "ok"
"""The reply to a request that was read."""


@dataclass(frozen=True, slots=True)
class Case:
    """`want`: an HTTP status, the code of a close, or of an error, `ok` for a reply, or `pong`."""

    name: str
    data: bytes
    want: int | str


def ask(id: object = "a", op: object = "world.describe", **members: object) -> bytes:
    """A request as JSON text."""
    return json.dumps({"id": id, "op": op, "data": {"world": "w"}, **members}).encode()


def text(payload: bytes, *, first: int = 0x80) -> bytes:
    return frame(TEXT, payload, first=first)


def binary(payload: bytes) -> bytes:
    return frame(BINARY, payload)


def handshakes() -> Iterator[Case]:
    """What comes in place of a handshake, and its status."""
    yield Case("as it should be", head(), 101)
    yield Case("deflate offered", head(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"), 101)
    yield Case("a version of the past", head(Sec_WebSocket_Version="8"), 400)
    yield Case("a version of the future", head(Sec_WebSocket_Version="14"), 400)
    yield Case("no version", head(Sec_WebSocket_Version=None), 400)
    yield Case("no key", head(Sec_WebSocket_Key=None), 400)
    yield Case("a key of 15 bytes", head(Sec_WebSocket_Key="QUFBQUFBQUFBQUFBQUFB"), 400)
    yield Case("a key that is no base64", head(Sec_WebSocket_Key="!!!!!!!!!!!!!!!!!!!!!!=="), 400)
    yield Case("no Connection", head(Connection=None), 405)
    yield Case("another protocol", head(Upgrade="h2c"), 405)
    yield Case("no Host", head(Host=None), 400)
    yield Case("HTTP/1.0", head().replace(b"HTTP/1.1", b"HTTP/1.0"), 400)
    yield Case("POST", head().replace(b"GET", b"POST"), 400)
    yield Case("two Hosts", head().replace(b"Host:", b"Host: a\r\nHost:"), 400)
    yield Case("two keys", head().replace(b"Sec-WebSocket-Key:", b"Sec-WebSocket-Key: a\r\nSec-WebSocket-Key:"), 400)
    yield Case("a head of 64 KiB", head(X_Big="a" * 65_536), 413)
    yield Case("a page of another origin", head(Origin="https://evil.example"), 403)
    yield Case("an origin that begins alike", head(Origin="http://127.0.0.1.evil.example"), 403)
    yield Case("no origin at all", head(Origin="null"), 403)
    yield Case("another path", head("/v1/links"), 403)
    yield Case("a path with two slashes", head("/v1//link"), 404)
    yield Case("a resource that is not a socket", head("/health/live"), 403)


def violations() -> Iterator[Case]:
    """Frames after a good hello."""
    for bit, name in ((0x40, "first"), (0x20, "second"), (0x10, "third")):
        yield Case(f"the {name} reserved bit", frame(TEXT, ask(), first=0x80 | bit), 1002)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield Case(f"opcode {opcode:X}", frame(opcode, b"a"), 1002)
    yield Case("text without a mask", frame(TEXT, ask(), masked=False), 1002)
    yield Case("a ping without a mask", frame(PING, masked=False), 1002)
    yield Case("a close without a mask", frame(CLOSE, b"\x03\xe8", masked=False), 1002)
    yield Case("a ping in fragments", frame(PING, b"a", first=0), 1002)
    yield Case("a close in fragments", frame(CLOSE, b"\x03\xe8", first=0), 1002)
    yield Case("a ping of 126 bytes", frame(PING, b"a" * 126), 1002)
    yield Case("a pong of 64 KiB", frame(PONG, b"a" * 65_536), 1002)
    yield Case("a continuation of nothing", frame(CONTINUATION, ask()), 1002)
    yield Case("a continuation of nothing, unfinished", frame(CONTINUATION, ask(), first=0), 1002)
    yield Case("text within text", text(b"{", first=0) + text(ask()), 1002)
    yield Case("binary within text", text(b"{", first=0) + binary(b"\x80"), 1002)
    yield Case("2^62 bytes", frame(TEXT, b"", claimed=1 << 62), 1009)
    yield Case("2^63 bytes", frame(TEXT, b"", claimed=1 << 63), 1009)
    yield Case("2^64 - 1 bytes", frame(TEXT, b"", claimed=(1 << 64) - 1), 1009)
    yield Case("one byte too many", text(b'"' + b"a" * (BIG - 1)), 1009)
    yield Case("one byte too many in fragments", text(b"a" * 600_000, first=0) + frame(0, b"a" * 600_000), 1009)
    yield from _texts()
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535):
        yield Case(f"close {code}", closing(code), 1002)
    for code in (1000, 1001, 1011, 3000, 4999):
        yield Case(f"close {code}", closing(code), code)
    yield Case("close with nothing", frame(CLOSE), NO_CODE)
    yield Case("close with one byte", frame(CLOSE, b"\x03"), 1002)
    yield Case("close with a reason that is no UTF-8", closing(1000, b"\xff"), 1007)
    yield Case("close with a reason of 124 bytes", closing(1000, b"a" * 124), 1002)
    yield Case("requests after a close", closing(1000) + text(ask()) * 3, 1000)


def _texts() -> Iterator[Case]:
    for name, bad in (
        ("a lone continuation byte", b"\x80"), ("an overlong slash", b"\xc0\xaf"), ("a surrogate", b"\xed\xa0\x80"),
        ("beyond Unicode", b"\xf4\x90\x80\x80"), ("half a character", b"\xf0\x9f\x98"), ("a byte FF", b"\xff"),
    ):  # fmt: skip
        yield Case(f"text with {name}", text(b'{"id":"' + bad + b'"}'), 1007)
    yield Case("text with half a character at its end", text(b'"\xf0\x9f'), 1007)
    split = text(b'{"id":"\xf0', first=0) + frame(CONTINUATION, b"\x28\x8c\xbc" + b'"}')
    yield Case("no UTF-8 over two fragments", split, 1007)


def readable() -> Iterator[Case]:
    """What is unusual and allowed."""
    yield Case("a character over two fragments", text(ask("\u20ac")[:9], first=0) + frame(0, ask("\u20ac")[9:]), SAID)
    yield Case("a request in fragments of one byte", _pieces(ask()), SAID)
    yield Case("a ping between fragments", text(ask()[:9], first=0) + frame(PING) + frame(0, ask()[9:]), "pong")
    yield Case("a ping", frame(PING, b"a"), "pong")
    yield Case("a pong that nobody asked for", frame(PONG, b"a") + text(ask()), SAID)
    yield Case("a length in more bytes than needed", frame(TEXT, ask(), form=8), SAID)
    yield Case("empty fragments", text(ask(), first=0) + frame(0, first=0) * 100 + frame(0), SAID)


def _pieces(whole: bytes) -> bytes:
    middle = b"".join(frame(0, whole[at : at + 1], first=0) for at in range(1, len(whole) - 1))
    return text(whole[:1], first=0) + middle + frame(0, whole[-1:])
