"""A provider on the loopback: OpenAI Chat Completions and Responses, Azure OpenAI, Anthropic Messages, and batches.

True enough that the vendors' SDKs take it unmodified, streamed or not. Each fault breaks the protocol in one way that
real providers and the proxies before them have shown. It writes whatever `say` and `calls` make of the request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.standin import connection as http
from tests.standin.answers import TOKENS_IN, Answer, Asked, Call, Finish, Speaker
from tests.standin.batches import Batches
from tests.standin.chat import Chat
from tests.standin.connection import Arrived, Connection, Seen, read
from tests.standin.faults import (
    GARBAGE,
    JSON,
    NO_COMPLETION,
    RETRY_AFTER_S,
    STATUSES,
    WAITS,
    Fault,
    ending,
    events,
    send_whole,
    whole_body,
)
from tests.standin.lines import WORDS
from tests.standin.messages import Messages
from tests.standin.responses import Responses

__all__ = ["KEY", "MODELS", "RETRY_AFTER_S", "WORDS", "Standin"]

KEY = "sk-standin-7f3a-secret"
MODELS = ("gpt-5.6-luna", "claude-haiku-5-5")
INSIDE = "This came from an address inside."
"""What a client reads that follows the redirect."""


@dataclass
class Standin:
    """Use as `async with Standin() as provider`; `fault` may change between requests, `refuse` by `become` alone."""

    fault: Fault = "none"
    say: Callable[[dict[str, Any]], str] = lambda _body: WORDS
    calls: Callable[[dict[str, Any]], tuple[Call, ...]] = lambda _body: ()
    """The tools that are called beside what is said, where the request names any."""
    finish: Finish = "stop"
    delay_s: float = 0.0
    """Between two events."""
    wait_s: float = 0.0
    """Before the answer begins."""
    headers: dict[str, str] = field(default_factory=dict)
    """More headers of every answer, such as the limits that are left."""
    encoded: bool = False
    """Say the first answer of each address again and again, cheaply: nothing is decoded, and `seen` stays empty."""
    port: int = 0
    """Where it listens; 0 until it does."""
    seen: list[Seen] = field(default_factory=list)
    asked_total: int = 0
    """Requests so far."""
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client left before the answer was whole."""
    redirected: int = 0
    """Requests that followed the redirect."""

    async def __aenter__(self) -> Standin:
        self._server: asyncio.Server | None = None
        self._tasks: dict[Connection, asyncio.Task[None]] = {}
        self._connections: set[Connection] = set()
        self._ready: dict[bytes, list[bytes]] = {}
        self._strayed: type[Speaker] = Chat
        self.batches = Batches(self._written)
        await self._listen()
        if self.fault == "refuse":
            self._close()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._close()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def become(self, fault: Fault) -> None:
        """Fail in that way from now on. Under `refuse` nobody listens at the port."""
        self.fault = fault
        if fault == "refuse":
            self._close()
        elif self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port, backlog=1_024)
        self.port = self._server.sockets[0].getsockname()[1]

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = None
        for connection in list(self._connections):
            connection.transport.abort()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        return f"{self.origin}/v1"

    def accepted(self, connection: Connection) -> None:
        self._connections.add(connection)

    def left(self, connection: Connection, *, midway: bool) -> None:
        self._connections.discard(connection)
        if midway:
            self.hung_up.set()
        task = self._tasks.pop(connection, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def asked(self, connection: Connection, arrived: Arrived) -> None:
        """Answer in a task of its own, or at once where the answer is there already."""
        self.asked_total += 1
        ready = self._ready.get(_form(arrived)) if self.encoded and self.fault == "none" else None
        if ready is None:
            self._tasks[connection] = asyncio.ensure_future(self._serve(connection, arrived))
        elif self.wait_s or self.delay_s:
            self._tasks[connection] = asyncio.ensure_future(self._replay(connection, ready))
        else:
            http.drip(connection, iter(ready), connection.finish)

    async def _replay(self, connection: Connection, frames: list[bytes]) -> None:
        await asyncio.sleep(self.wait_s)
        for frame in frames:
            await connection.send(frame)
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
        self._tasks.pop(connection, None)
        connection.finish()

    async def _serve(self, connection: Connection, arrived: Arrived) -> None:
        seen = read(arrived)
        self.seen.append(seen)
        whole = False
        with suppress(ConnectionError):
            if self.wait_s:
                await asyncio.sleep(self.wait_s)
            whole = await self._answer(seen, connection)
        if self.encoded and self.fault == "none":
            self.seen.clear()
            speaker = _speaker(seen.route)
            if speaker is not None and not speaker.wrong(seen):
                self._ready[_form(arrived)] = self._frames(speaker, seen)
        if whole:
            self._tasks.pop(connection, None)
            connection.finish()

    def _frames(self, kind: type[Speaker], seen: Seen) -> list[bytes]:
        """The whole answer, encoded: a frame for each event."""
        speaker, streamed = self._spoken(kind, seen)
        if not streamed:
            return [http.whole(200, whole_body(speaker, "none"), {**JSON, **self.headers})]
        first, *others = [http.chunk(event) for event in _said(speaker)]
        return [http.stream_head(self.headers) + first, *others[:-1], others[-1] + http.LAST_CHUNK]

    async def _answer(self, seen: Seen, connection: Connection) -> bool:
        """Answer one request; false where the answer never becomes whole."""
        if seen.route == "/elsewhere":
            return await self._stray(seen, connection)
        kind = _speaker(seen.route)
        refusal = self._refusal(seen, kind)
        if refusal is not None:
            await self._send_json(connection, *refusal)
            return True
        match self.fault:
            case "hang":
                return False
            case "json":
                await connection.send(http.whole(200, NO_COMPLETION, {**JSON, **self.headers}))
            case "garbage":
                await connection.send(http.whole(200, GARBAGE, {"content-type": "text/event-stream"}))
            case "redirect":
                self._strayed = kind or Chat
                await connection.send(http.whole(302, b"", {"location": f"{self.origin}/elsewhere"}))
            case _ if kind is None:
                await self._other(seen, connection)
            case _:
                return await self._speak(*self._spoken(kind, seen), connection)
        return True

    def _refusal(self, seen: Seen, kind: type[Speaker] | None) -> tuple[int, dict[str, Any], dict[str, str]] | None:
        """What stands against the request: the fault in force, a wrong key or body."""
        voice = kind or (Messages if "anthropic-version" in seen.headers else Chat)
        if self.fault in STATUSES:
            status, code, message = STATUSES[self.fault]
            headers = {"retry-after": str(WAITS[self.fault])} if self.fault in WAITS else {}
            return status, voice.error(status, code, message), headers
        if self.fault == "401" or seen.key != KEY:
            return 401, voice.error(401, "invalid_api_key", f"Incorrect API key provided: {seen.key}"), {}
        wrong = kind.wrong(seen) if kind is not None and seen.method == "POST" else ""
        return (400, voice.error(400, "invalid_request_error", wrong), {}) if wrong else None

    def _spoken(self, kind: type[Speaker], seen: Seen) -> tuple[Speaker, bool]:
        """The answer in the request's protocol, and whether it is streamed."""
        asked = kind.asked(seen)
        text, calls, finish = self.say(seen.body), self._called(asked, seen.body), self.finish
        if calls and asked.choice not in ("auto", "none"):
            text = ""
        return kind(Answer(asked.model, text, calls, "tools" if calls else finish), seen.body), asked.stream

    def _called(self, asked: Asked, body: dict[str, Any]) -> tuple[Call, ...]:
        """The tools that are called: those that `calls` wants, else the one that the request insists on."""
        if not asked.tools or asked.choice == "none":
            return ()
        if (wanted := self.calls(body)) or asked.choice == "auto":
            return wanted
        name = asked.tools[0] if asked.choice == "required" else asked.choice
        return (Call(name, _object(self.say(body))),)

    async def _speak(self, speaker: Speaker, streamed: bool, connection: Connection) -> bool:
        if not streamed:
            return await send_whole(connection, whole_body(speaker, self.fault), self.fault, self.headers)
        await connection.send(http.stream_head(self.headers))
        async for event in events(speaker, self.fault):
            await connection.send(http.chunk(event))
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
        if self.fault == "stall":
            return False
        if self.fault == "cut":
            connection.close()
        else:
            await connection.send(http.LAST_CHUNK)
        return True

    async def _stray(self, seen: Seen, connection: Connection) -> bool:
        """The place that the redirect leads to: a proper answer that nobody should have asked for."""
        self.redirected += 1
        speaker = self._strayed(Answer("inside", INSIDE), {"stream_options": {"include_usage": True}})
        if "text/event-stream" in seen.headers.get("accept", ""):
            frames = [http.chunk(event) for event in _said(speaker)]
            await connection.send(b"".join([http.stream_head({}), *frames, http.LAST_CHUNK]))
        else:
            await connection.send(http.whole(200, whole_body(speaker, "none"), JSON))
        return True

    async def _other(self, seen: Seen, connection: Connection) -> None:
        """Whatever is not words: models, counts of tokens, files and batches."""
        found = self.batches.answer(seen, self.origin)
        if found is not None:
            await connection.send(http.whole(found[0], found[1], {**JSON, **self.headers}))
        elif seen.route == "/v1/messages/count_tokens":
            await self._send_json(connection, 200, {"input_tokens": TOKENS_IN}, {})
        elif seen.route.startswith(("/v1/models", "/openai/models")):
            await self._send_json(connection, 200, _models(seen), {})
        else:
            await self._send_json(connection, 404, Chat.error(404, "not_found", f"no such path {seen.route}"), {})

    def _written(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The whole answer to one line of a batch."""
        kind = _speaker(path)
        assert kind is not None, f"a batch asks for {path}"
        speaker, _ = self._spoken(kind, Seen("POST", path, {}, body))
        return speaker.whole(speaker.answer.text, finished=True, usage=True)

    async def _send_json(
        self, connection: Connection, status: int, body: dict[str, Any], headers: dict[str, str]
    ) -> None:
        await connection.send(http.whole(status, json.dumps(body).encode(), {**JSON, **self.headers, **headers}))


def _speaker(route: str) -> type[Speaker] | None:
    """Who answers at an address; None where words are not asked for."""
    bare = route.removeprefix("/openai").removeprefix("/v1")
    if bare == "/messages":
        return Messages
    if bare == "/responses":
        return Responses
    return Chat if bare == "/chat/completions" or route.startswith("/openai/deployments/") else None


def _said(speaker: Speaker) -> Iterator[bytes]:
    """The events of a whole stream."""
    yield from speaker.opening()
    for piece in speaker.answer.pieces:
        yield speaker.piece(piece)
    yield from ending(speaker, usage=True)


def _form(arrived: Arrived) -> bytes:
    """The address, and whether a stream is asked for."""
    streamed = b'"stream":true' in arrived.payload or b'"stream": true' in arrived.payload
    return arrived.target + (b" stream" if streamed else b"")


def _models(seen: Seen) -> dict[str, Any]:
    if "anthropic-version" in seen.headers:
        row: dict[str, Any] = {"type": "model", "created_at": "2026-01-01T00:00:00Z"}
        rows = [{**row, "id": name, "display_name": name} for name in MODELS]
        return {"data": rows, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}
    rows = [{"id": name, "object": "model", "created": 1, "owned_by": "standin"} for name in MODELS]
    asked = seen.route.partition("/models")[2].strip("/")
    return next((row for row in rows if row["id"] == asked), {"object": "list", "data": rows})


def _object(text: str) -> str:
    """The text where it is a JSON object, else an empty one."""
    try:
        return text if isinstance(json.loads(text), dict) else "{}"
    except ValueError:
        return "{}"
