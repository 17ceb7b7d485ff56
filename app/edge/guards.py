"""What uvicorn leaves open: limits on the time and size of a request, and on half-open connections.

Without them a client that drips its headers holds a connection forever (slowloris). Heads that are no plain HTTP
end here too, see app/edge/heads.py. It is also where an overloaded server turns a message away: at its head,
before the application hears of it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from http import HTTPStatus
from typing import Any, Literal

from litestar.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.core.errors import DeadlineExceeded, Error, Malformed, TooLarge
from app.edge import errors, heads
from app.edge.admission import ENTERED_S, Admission
from app.edge.frames import LinkProtocol
from app.edge.router import Gate, Route, Router
from app.edge.shell import dress

DISCARD_BYTES_MAX = 8_388_608
"""How much of a body over its cap is read and thrown away, so that the answer arrives."""


def guarded_protocol(
    *, header_ms_max: int, body_ms_max: int, stall_ms_max: int, half_open_max: int, head_bytes_max: int, router: Router
) -> type[HttpToolsProtocol]:
    """An HTTP protocol class whose connections must send their first head in time, few at once per address.

    A body must arrive in `body_ms_max`, and an answer that the client does not read is dropped after `stall_ms_max`.
    """
    half_open: Counter[str] = Counter()

    class GuardedProtocol(HttpToolsProtocol):
        """Counts a connection as half open until its first request head is complete."""

        _timer: asyncio.TimerHandle | None = None
        _address: str | None = None
        _head_bytes = 0
        _refused: Error | None = None
        _reads_head = True
        _running: RequestResponseCycle | None = None
        _body_timer: asyncio.TimerHandle | None = None
        _stall_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
            super().connection_made(transport)
            address = self.client[0] if self.client else ""
            if half_open[address] >= half_open_max:
                transport.abort()
                return
            self._address = address
            half_open[address] += 1
            self._timer = self.loop.call_later(header_ms_max / 1000.0, transport.abort)

        def data_received(self, data: bytes) -> None:
            self._head_bytes += len(data)
            super().data_received(data)
            if self._reads_head and self._head_bytes > head_bytes_max and not self.transport.is_closing():
                self._refused = _too_long(head_bytes_max)
                self.send_400_response("")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._reads_head = True
            self._head_bytes = 0
            if self._timer is None:
                self._timer = self.loop.call_later(header_ms_max / 1000.0, self.transport.abort)

        def on_headers_complete(self) -> None:
            self._settle()
            self._reads_head = False
            try:
                if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > head_bytes_max:
                    raise _too_long(head_bytes_max)
                method = self.parser.get_method().decode("ascii")
                path = heads.read(method, self.url, self.parser.get_http_version(), self.headers)
            except Error as error:
                self._refused = error
                self._reads_head = True
                raise
            route = router.by_path.get(path)
            # A request that waits behind another of its connection may never start, so it is not counted.
            waits = self.cycle is not None and not self.cycle.response_complete
            if not waits:
                self._body_timer = self.loop.call_later(body_ms_max / 1000.0, self._late)
            if route is None or waits:
                super().on_headers_complete()
                return
            app: Any = self.app
            self.app = _admitted(app, router.admission, route, router.limits.callers.tenant(_credential(self.headers)))
            super().on_headers_complete()
            self.app = app
            if isinstance(route, Gate) and not self.expect_100_continue:
                self.cycle.transport = _Together(self.transport)  # type: ignore[assignment]  # all that a cycle asks of it

        def on_message_complete(self) -> None:
            self._cancel("_body_timer")
            super().on_message_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            if self._stall_timer is None:
                self._stall_timer = self.loop.call_later(stall_ms_max / 1000.0, self.transport.abort)

        def resume_writing(self) -> None:
            self._cancel("_stall_timer")
            super().resume_writing()

        def _cancel(self, name: Literal["_timer", "_body_timer", "_stall_timer"]) -> None:
            timer: asyncio.TimerHandle | None = getattr(self, name)
            if timer is not None:
                timer.cancel()
                setattr(self, name, None)

        def _late(self) -> None:
            """The rest of a body has not come."""
            if self.transport.is_closing():
                return
            late = f"the body took over {body_ms_max} ms to arrive"
            self._refused = DeadlineExceeded(late, hint="send it faster")
            self.send_400_response("")

        def send_400_response(self, msg: str) -> None:
            """Say what was wrong, as problem details; nothing while another request of the connection is answered."""
            busy = self.cycle is not None and not self.cycle.response_complete
            if busy:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            if not busy or not (self._reads_head or self.cycle.response_started):
                error = self._refused or Malformed(msg or "no HTTP request", hint="send HTTP/1.1 (RFC 9112)")
                self.transport.write(_answer(error))
            self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._settle()
            self._cancel("_body_timer")
            self._cancel("_stall_timer")
            # Uvicorn tells only the newest request, and the others would write to a transport that is closed.
            if self._running is not None:
                self._running.disconnected = True
                self._running.message_event.set()
            self.pipeline.clear()
            super().connection_lost(exc)

        def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
            self._running = cycle
            super()._start_asgi_task(cycle, app)

        def _settle(self) -> None:
            self._cancel("_timer")
            if self._address is not None:
                half_open[self._address] -= 1
                if half_open[self._address] <= 0:
                    del half_open[self._address]
                self._address = None

    return GuardedProtocol


class _Together:
    """A transport that keeps a response's head until there is a body to go with it: one packet, one system call.

    For an application that never lets the body wait.
    """

    __slots__ = ("_begun", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._begun = False
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._begun:
            self._transport.write(self._head + data if self._head else data)
            self._head = b""
        else:
            self._begun, self._head = True, data

    def close(self) -> None:
        if self._head:
            self._transport.write(self._head)
        self._transport.close()


def _too_long(head_bytes_max: int) -> TooLarge:
    return TooLarge(f"the head is over {head_bytes_max} bytes", hint="send fewer headers, or raise the cap")


def _admitted(app: ASGIApp, admission: Admission, route: Route | Gate, tenant: str) -> Any:
    """`app` for one request that was let in, or the refusal."""
    entered_s = time.perf_counter()
    try:
        ticket = admission.enter(route.op, writes=route.writes, tenant=tenant)
    except Error as error:
        return _refusal(error, route)

    async def admitted(scope: Scope, receive: Receive, send: Send) -> None:
        scope[ENTERED_S] = entered_s  # type: ignore[literal-required]  # a key of ours in the scope
        ticket.begin()
        try:
            await app(scope, receive, send)
        finally:
            ticket.leave()

    return admitted


def _credential(headers: list[tuple[bytes, bytes]]) -> bytes:
    """What follows the scheme in the authorization header, or the key of x-api-key; empty without one."""
    for name, value in headers:
        if name == b"authorization":
            return value.partition(b" ")[2].strip()
        if name == b"x-api-key":
            return value.strip()
    return b""


def _refusal(error: Error, route: Route | Gate) -> Any:
    async def refused(scope: Scope, _receive: Receive, send: Send) -> None:
        status = error.status
        if isinstance(route, Gate):
            status, body = route.refusal(error)
            headers = _headed(error, body, "application/json")
        else:
            body, headers = _problem(error, scope["path"])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return refused


def _problem(error: Error, instance: str) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """(body, headers) of an answer that no route gives."""
    body = errors.to_problem(error, instance=instance)
    return body, _headed(error, body, "application/problem+json")


def _headed(error: Error, body: bytes, media: str) -> list[tuple[bytes, bytes]]:
    fields = {**errors.headers(error), "Content-Type": media, "Cache-Control": "no-store"}
    headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    return dress([*headers, (b"content-length", str(len(body)).encode())])


def _answer(error: Error) -> bytes:
    """The bytes of an answer after which the connection ends."""
    body, headers = _problem(error, "")
    status = HTTPStatus(error.status)
    lines = [b"%s: %s\r\n" % pair for pair in headers]
    return b"HTTP/1.1 %d %s\r\n%sconnection: close\r\n\r\n%s" % (
        status, status.phrase.encode(), b"".join(lines), body,
    )  # fmt: skip


def server_options(
    *,
    header_ms_max: int,
    body_ms_max: int,
    stall_ms_max: int,
    half_open_max: int,
    head_bytes_max: int,
    frame_bytes_max: int,
    drain_ms_max: int,
    router: Router,
) -> dict[str, Any]:
    """Uvicorn's options, as Innkeeper needs them."""
    protocol = guarded_protocol(
        header_ms_max=header_ms_max,
        body_ms_max=body_ms_max,
        stall_ms_max=stall_ms_max,
        half_open_max=half_open_max,
        head_bytes_max=head_bytes_max,
        router=router,
    )
    return {
        "http": protocol,
        "ws": LinkProtocol,
        "ws_max_size": frame_bytes_max,
        "ws_per_message_deflate": False,
        "timeout_graceful_shutdown": max(1, drain_ms_max // 1000),
        "log_config": None,
        "log_level": "error",  # what a client sends wrongly is told to the client
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # the shell reads them, from proxies that the profile names
        "lifespan": "on",
    }
