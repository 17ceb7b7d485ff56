"""What uvicorn leaves open: a limit on the time to send a request head, and on half-open connections.

Without them a client that drips its headers holds a connection forever (slowloris). It is also where an
overloaded server turns a message away: at its head, before the application hears of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.core.errors import Error
from app.edge import errors
from app.edge.admission import Admission
from app.edge.frames import LinkProtocol
from app.edge.router import Route, Router


def guarded_protocol(*, header_ms_max: int, half_open_max: int, router: Router) -> type[HttpToolsProtocol]:
    """An HTTP protocol class whose connections must send their first head in time, few at once per address."""
    half_open: Counter[str] = Counter()

    class GuardedProtocol(HttpToolsProtocol):
        """Counts a connection as half open until its first request head is complete."""

        _timer: asyncio.TimerHandle | None = None
        _address: str | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
            super().connection_made(transport)
            address = self.client[0] if self.client else ""
            if half_open[address] >= half_open_max:
                transport.abort()
                return
            self._address = address
            half_open[address] += 1
            self._timer = self.loop.call_later(header_ms_max / 1000.0, transport.abort)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._timer is None:
                self._timer = self.loop.call_later(header_ms_max / 1000.0, self.transport.abort)

        def on_headers_complete(self) -> None:
            self._settle()
            route = router.by_path.get(self.url.partition(b"?")[0])
            # A request that waits behind another of its connection may never start, so it is not counted.
            if route is None or (self.cycle is not None and not self.cycle.response_complete):
                super().on_headers_complete()
                return
            app: Any = self.app
            self.app = _admitted(app, router.admission, route)
            super().on_headers_complete()
            self.app = app

        def connection_lost(self, exc: Exception | None) -> None:
            self._settle()
            super().connection_lost(exc)

        def _settle(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._address is not None:
                half_open[self._address] -= 1
                if half_open[self._address] <= 0:
                    del half_open[self._address]
                self._address = None

    return GuardedProtocol


def _admitted(app: ASGIApp, admission: Admission, route: Route) -> Any:
    """`app` for one request that was let in, or the refusal."""
    try:
        ticket = admission.enter(route.op, writes=route.writes)
    except Error as error:
        return _refusal(error)

    async def admitted(scope: Scope, receive: Receive, send: Send) -> None:
        ticket.begin()
        try:
            await app(scope, receive, send)
        finally:
            ticket.leave()

    return admitted


def _refusal(error: Error) -> Any:
    async def refused(scope: Scope, _receive: Receive, send: Send) -> None:
        body = errors.to_problem(error, instance=scope["path"])
        fields = {**errors.headers(error), "Content-Type": "application/problem+json", "Cache-Control": "no-store"}
        headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return refused


def server_options(
    *, header_ms_max: int, half_open_max: int, frame_bytes_max: int, drain_ms_max: int, router: Router
) -> dict[str, Any]:
    """Uvicorn's options, as Innkeeper needs them."""
    return {
        "http": guarded_protocol(header_ms_max=header_ms_max, half_open_max=half_open_max, router=router),
        "ws": LinkProtocol,
        "ws_max_size": frame_bytes_max,
        "ws_per_message_deflate": False,
        "timeout_graceful_shutdown": max(1, drain_ms_max // 1000),
        "log_config": None,
        "access_log": False,
        "proxy_headers": False,  # whom they name may be anybody
        "server_header": False,
        "lifespan": "on",
    }
