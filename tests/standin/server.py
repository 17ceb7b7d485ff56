"""A provider on the loopback: OpenAI Chat Completions, Azure OpenAI and Anthropic Messages over server-sent events.

True enough that the vendors' SDKs take it unmodified. Each fault breaks the protocol in one way that
real providers and the proxies before them have shown. It writes whatever `say` makes of the request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

Fault = Literal[
    "none", "500", "429", "401", "hang", "cut", "eof", "no_usage", "json", "broken_json", "garbage", "error_event",
    "redirect", "endless", "stall",
]  # fmt: skip
KEY = "sk-standin-7f3a-secret"
RETRY_AFTER_S = 7
WORDS = "Well met, friend. The road was kind to you, I hope."


@dataclass(frozen=True)
class Seen:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Standin:
    """Use as `async with Standin() as provider`; `fault` may change between requests."""

    fault: Fault = "none"
    say: Callable[[dict[str, Any]], str] = lambda _body: WORDS
    delay_s: float = 0.0
    """Between two words."""
    seen: list[Seen] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client left before the answer was whole."""
    redirected: int = 0
    """Requests that followed the redirect."""

    async def __aenter__(self) -> Standin:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
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
        self._writers.add(writer)
        try:
            while (request := await _read_request(reader)) is not None:
                self.seen.append(request)
                await self._answer(request, reader, writer)
                if writer.is_closing():
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            self.hung_up.set()
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, request: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refusal = self._refusal(request)
        if refusal is not None:
            await _send_json(writer, *refusal)
            return
        match self.fault:
            case "hang":
                await self._wait_for_hang_up(reader, writer)
            case "json":
                await _send_json(writer, 200, {"object": "chat.completion", "choices": []})
            case "garbage":
                await _send(writer, "200 OK", {"content-type": "text/event-stream"}, b"\x00\xff<html>what</html>\n\n")
            case "redirect":
                await _send(writer, "302 Found", {"location": f"{self.origin}/elsewhere"}, b"")
            case _:
                await self._stream(request, reader, writer)

    def _refusal(self, request: Seen) -> tuple[int, dict[str, Any], dict[str, str]] | None:
        """What stands against the request: the fault in force, a wrong address, key or body."""
        if request.path == "/elsewhere":
            self.redirected += 1
        if self.fault == "500":
            return 500, _error("server_error", "the model fell over"), {}
        if self.fault == "429":
            return 429, _error("rate_limit_exceeded", "slow down"), {"retry-after": str(RETRY_AFTER_S)}
        if self.fault == "401" or KEY not in (_key_of(request), request.headers.get("api-key")):
            return 401, _error("invalid_api_key", f"Incorrect API key provided: {_key_of(request)}"), {}
        wrong = _wrong(request)
        return (400, _error("invalid_request_error", wrong), {}) if wrong else None

    async def _stream(self, request: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        events = _anthropic if request.path.startswith("/v1/messages") else _openai
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        words = self.say(request.body).split(" ")
        async for event in events(request.body, self._pieces(words), self.fault):
            writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            await writer.drain()
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
        if self.fault == "stall":
            await self._wait_for_hang_up(reader, writer)
        elif self.fault == "cut":
            writer.transport.abort()
        else:
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    async def _pieces(self, words: list[str]) -> AsyncIterator[str]:
        broken_early = self.fault in ("cut", "eof", "stall", "error_event", "broken_json")
        for at, word in enumerate(words[:5] if broken_early else words):
            yield word if at == 0 else f" {word}"
        while self.fault == "endless":
            await asyncio.sleep(0)
            yield " and on and on and on and on and on and on and on and on and on and on and on and on"

    async def _wait_for_hang_up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        self.hung_up.set()
        writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Seen | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while raw := (await reader.readline()).decode("latin-1").strip():
        name, _, value = raw.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, path, headers, json.loads(body) if body else {})


def _key_of(request: Seen) -> str:
    return request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")


def _wrong(request: Seen) -> str:
    """What a real provider would refuse in this request; empty where it would answer."""
    body, path = request.body, request.path.partition("?")[0]
    if not body.get("messages") or not body.get("stream"):
        return "messages and stream are needed"
    if path == "/v1/messages":
        refused = {"temperature", "top_p", "top_k"} & set(body)
        if refused:
            return f"{sorted(refused)} are not taken"
        if "max_tokens" not in body or "anthropic-version" not in request.headers:
            return "max_tokens and anthropic-version are needed"
        roles = [message["role"] for message in body["messages"]]
        return "" if roles[0] == "user" and roles[-1] == "user" else "the first and last message are the user's"
    if path == "/v1/chat/completions" or path.startswith("/openai/deployments/"):
        return "" if "api-version=" in request.path or path.startswith("/v1") else "api-version is needed"
    return f"no such path {path}"


def _error(code: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": code, "code": code, "message": message}}


async def _openai(body: dict[str, Any], pieces: AsyncIterator[str], fault: Fault) -> AsyncIterator[bytes]:
    def chunk(**fields: Any) -> bytes:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        return _data({**head, "choices": [], **fields})

    def choice(delta: dict[str, str], finish: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

    yield chunk(choices=choice({"role": "assistant", "content": ""}))
    count = 0
    async for piece in pieces:
        count += 1
        yield chunk(choices=choice({"content": piece}))
    if fault == "broken_json":
        yield b'data: {"id": "chatcmpl-1", "choices": [{"ind\n\n'
    elif fault == "error_event":
        yield _data(_error("server_error", "overloaded"))
    elif fault not in ("cut", "eof", "stall"):
        yield chunk(choices=choice({}, "stop"))
        if fault != "no_usage":
            details = {"cached_tokens": 64}
            usage = {"prompt_tokens": 100, "completion_tokens": count, "total_tokens": 100 + count}
            yield chunk(usage={**usage, "prompt_tokens_details": details})
        yield b"data: [DONE]\n\n"


async def _anthropic(body: dict[str, Any], pieces: AsyncIterator[str], fault: Fault) -> AsyncIterator[bytes]:
    def event(type: str, **fields: Any) -> bytes:
        return f"event: {type}\n".encode() + _data({"type": type, **fields})

    usage = {"input_tokens": 36, "cache_read_input_tokens": 64, "cache_creation_input_tokens": 0, "output_tokens": 1}
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    yield event("message_start", message=message)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("ping")
    count = 0
    async for piece in pieces:
        count += 1
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    if fault == "broken_json":
        yield b'event: content_block_delta\ndata: {"type": "content_block_delta", "ind\n\n'
    elif fault == "error_event":
        yield event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    elif fault not in ("cut", "eof", "stall"):
        yield event("content_block_stop", index=0)
        last = {} if fault == "no_usage" else {"usage": {"output_tokens": count}}
        yield event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, **last)
        yield event("message_stop")


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


async def _send_json(
    writer: asyncio.StreamWriter, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> None:
    await _send(
        writer, f"{status} X", {"content-type": "application/json", **(headers or {})}, json.dumps(body).encode()
    )


async def _send(writer: asyncio.StreamWriter, status: str, headers: dict[str, str], body: bytes) -> None:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body)
    await writer.drain()
