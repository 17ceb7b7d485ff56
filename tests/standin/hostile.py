"""A provider that means harm: every answer breaks the trust that a client has in its server, over and over."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

Harm = Literal[
    "flood", "flood_line", "flood_error", "never_ends", "invalid_utf8", "wrong_json", "deep_json", "drip", "redirect",
    "huge_headers", "many_headers", "bomb", "no_http", "endless_interim",
]  # fmt: skip
HARMS: tuple[Harm, ...] = Harm.__args__  # type: ignore[attr-defined]  # the literals of an alias
FLOOD_BYTES = 10 * 2**30
PIECE = 64 * 1024
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


@dataclass
class Hostile:
    """Use as `async with Hostile() as provider`; `harm` may change between requests."""

    harm: Harm = "flood"
    location: str = ""
    sent: int = 0
    """Bytes written since the last request began."""
    asked: int = 0
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the answer to a request has begun."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client of the last request has left."""

    async def __aenter__(self) -> Hostile:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def openai_url(self) -> str:
        return f"{self.origin}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            self.sent = 0
            self.gone.clear()
            async for part in self._parts():
                writer.write(part)
                self.sent += len(part)
                self.answering.set()
                await writer.drain()
            if self.harm in ("never_ends", "drip"):
                while await reader.read(PIECE):
                    pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.gone.set()
            self._tasks.discard(task)
            writer.transport.abort()

    async def _parts(self) -> AsyncIterator[bytes]:
        match self.harm:
            case "flood":
                yield STREAM
                for _ in range(FLOOD_BYTES // PIECE):
                    yield b": keep-alive\n\n" * (PIECE // 14)
            case "flood_line":
                yield STREAM + b"data: "
                for _ in range(FLOOD_BYTES // PIECE):
                    yield b"x" * PIECE
            case "flood_error":
                yield b"HTTP/1.1 500 X\r\ncontent-type: application/json\r\n\r\n"
                for _ in range(FLOOD_BYTES // PIECE):
                    yield b"x" * PIECE
            case "never_ends":
                yield STREAM
                while True:
                    yield b": still there\n\n"
                    await asyncio.sleep(0.02)
            case "drip":
                for byte in STREAM + _event({"choices": []}) * 1_000:
                    yield bytes([byte])
                    await asyncio.sleep(0.02)
            case "invalid_utf8":
                yield STREAM + b'data: {"choices": [{"delta": {"content": "\xff\xfe\xc0"}}]}\n\n'
            case "wrong_json":
                yield STREAM + _event({"choices": {"delta": 7}, "type": [], "model": {}})
            case "deep_json":
                yield STREAM + b'data: {"type": "ping", "error": ' + b"[" * 400_000 + b"\n\n"
            case "redirect":
                yield f"HTTP/1.1 302 Found\r\nlocation: {self.location}\r\ncontent-length: 0\r\n\r\n".encode()
            case "huge_headers":
                yield b"HTTP/1.1 200 OK\r\nx-a: "
                for _ in range(FLOOD_BYTES // PIECE):
                    yield b"a" * PIECE
            case "many_headers":
                yield b"HTTP/1.1 200 OK\r\n"
                for _ in range(FLOOD_BYTES // PIECE):
                    yield b"x-a: a\r\n" * 1_000
            case "bomb":
                yield b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\r\n"
                packer = zlib.compressobj(wbits=31)
                for _ in range(FLOOD_BYTES // PIECE):
                    yield packer.compress(b"0" * PIECE) + packer.flush(zlib.Z_SYNC_FLUSH)
                    await asyncio.sleep(0)
            case "no_http":
                yield b"\x16\x03\x01 this is no answer\r\n\r\n" * 100
            case "endless_interim":
                while True:
                    yield b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 100


def _event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
