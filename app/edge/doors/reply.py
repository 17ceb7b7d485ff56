"""One answer on its way to the client: its head, where the time went, and what is said of a failure.

It knows ASGI messages and what the orchestrator has traced, and no protocol but by its face.
"""

from __future__ import annotations

import time

from litestar.types import Send

from app.core.errors import Error, NotPermitted, OverBudget
from app.core.words import Trace
from app.edge import errors
from app.edge.doors.face import Face, Writer

JSON = (b"content-type", b"application/json")
EVENTS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
AI_GENERATED = (b"innkeeper-ai-generated", b"true")
FUTILE = (b"x-should-retry", b"false")
"""What the vendors' clients take for: do not send it again by yourself."""
DAY_S = 86_400


class Reply:
    """What was sent so far; `trace` is filled by whoever writes the words."""

    __slots__ = ("_face", "_send", "entered_s", "gone", "started", "trace", "writer")

    def __init__(self, face: Face, send: Send, entered_s: float) -> None:
        self._face = face
        self._send = send
        self.entered_s = entered_s
        self.trace = Trace()
        self.writer: Writer | None = None
        self.started = False
        self.gone = False
        """Whether the client has left."""

    def begin(self) -> None:
        """The words are asked for now."""
        self.trace.queue_ms = (time.perf_counter() - self.entered_s) * 1000.0

    def timing(self) -> bytes:
        """The value of `Server-Timing` (W3C Server Timing): milliseconds by part."""
        trace = self.trace
        return b"queue;dur=%.2f, route;dur=%.2f, cache;dur=%.2f;desc=%b, upstream;dur=%.2f, stream;dur=%.2f" % (
            trace.queue_ms, trace.route_ms, trace.cache_ms, trace.cache.encode(), trace.upstream_ms, trace.stream_ms,
        )  # fmt: skip

    async def whole(self, body: bytes) -> None:
        """A whole answer."""
        self.started = True
        headers = [JSON, (b"content-length", b"%d" % len(body)), *self._written_by()]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def plain(self, body: bytes) -> None:
        """What no model wrote."""
        self.started = True
        headers = [JSON, (b"content-length", b"%d" % len(body))]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def push(self, events: bytes, *, last: bool = False) -> None:
        """A part of a stream; its head goes before the first."""
        if not self.started:
            self.started = True
            headers = [*EVENTS, *self._written_by()]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": events, "more_body": not last})

    async def refuse(self, error: Error, param: str = "") -> None:
        """Say no; a stream that was begun ends with it."""
        status = status_of(error, self._face.unpaid_status)
        if self.started:
            if self.writer is not None:
                await self.push(self.writer.fail(status, error), last=True)
            return
        self.started = True
        body = self._face.refusal(status, error, param)
        headers = [JSON, (b"content-length", b"%d" % len(body)), (b"server-timing", self.timing())]
        headers += [(name.lower().encode(), value.encode()) for name, value in headers_of(error, status).items()]
        if isinstance(error, OverBudget | NotPermitted):
            headers.append(FUTILE)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _written_by(self) -> tuple[tuple[bytes, bytes], ...]:
        return (
            (b"server-timing", self.timing()),
            (b"innkeeper-engine", _ascii(self.trace.engine)),
            (b"innkeeper-variant", _ascii(self.trace.variant)),
            AI_GENERATED,
        )


def status_of(error: Error, unpaid_status: int) -> int:
    """The HTTP status: what only a later day or another setting mends is no fault of the server's here."""
    if isinstance(error, OverBudget):
        return unpaid_status
    return 403 if isinstance(error, NotPermitted) else error.status


def headers_of(error: Error, status: int) -> dict[str, str]:
    """The headers that an error calls for; a budget is full again with the next UTC day."""
    found = errors.headers(error)
    if isinstance(error, OverBudget):
        found["Retry-After"] = str(DAY_S - int(time.time()) % DAY_S)
    elif status == 403:
        found.pop("Retry-After", None)
    return found


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")
