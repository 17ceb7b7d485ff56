"""A provider of words for a proof: OpenAI's Chat Completions over server-sent events, on loopback, with one line.

It writes what the real one writes, chunk by chunk, with its finish and its usage, and checks neither key nor model.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

LINE = "Well met, friend. Sit down and tell me of the road."
PAUSE_S = 0.005
"""Between two words."""
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class WordsServer:
    """One listener on a free port."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while path := await _read_request(reader):
                if path.endswith("/chat/completions"):
                    await self._say(writer)
                else:
                    writer.write(NOT_FOUND)
                await writer.drain()
        writer.close()

    async def _say(self, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        words = LINE.split(" ")
        _send(writer, choices=[_choice({"role": "assistant", "content": ""})])
        for at, word in enumerate(words):
            _send(writer, choices=[_choice({"content": word if at == 0 else f" {word}"})])
            await writer.drain()
            await asyncio.sleep(PAUSE_S)
        _send(writer, choices=[_choice({}, "stop")])
        count = len(words)
        _send(writer, usage={"prompt_tokens": 100, "completion_tokens": count, "total_tokens": 100 + count})
        _chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")


async def _read_request(reader: asyncio.StreamReader) -> str:
    """The path of the next request, whose body is read and left alone; empty at the end."""
    line = await reader.readline()
    length = 0
    while (header := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    await reader.readexactly(length)
    return line.split(b" ")[1].decode() if line.count(b" ") == 2 else ""


def _choice(delta: dict[str, str], finish: str | None = None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _send(writer: asyncio.StreamWriter, **fields: object) -> None:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "loopback", "choices": []}
    _chunk(writer, b"data: " + msgspec.json.encode({**head, **fields}) + b"\n\n")


def _chunk(writer: asyncio.StreamWriter, event: bytes) -> None:
    writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
