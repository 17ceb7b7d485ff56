"""What uvicorn leaves open: a limit on the time to send a request head, and on half-open connections.

Without them a client that drips its headers holds a connection forever (slowloris).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def guarded_protocol(*, header_ms_max: int, half_open_max: int) -> type[HttpToolsProtocol]:
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
            super().on_headers_complete()

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


def server_options(
    *, header_ms_max: int, half_open_max: int, frame_bytes_max: int, drain_ms_max: int
) -> dict[str, Any]:
    """Uvicorn's options, as Innkeeper needs them."""
    return {
        "http": guarded_protocol(header_ms_max=header_ms_max, half_open_max=half_open_max),
        "ws": "websockets-sansio",
        "ws_max_size": frame_bytes_max,
        "ws_per_message_deflate": False,
        "timeout_graceful_shutdown": max(1, drain_ms_max // 1000),
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "lifespan": "on",
    }
