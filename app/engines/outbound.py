"""The HTTP clients with which this server calls others: one function makes them all.

A client follows no redirect, takes no proxy from the environment, verifies TLS, connects only to addresses that were
checked after the name was resolved, and takes no more bytes than it was told. It knows no provider and no replica.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from app.core.errors import Unavailable
from app.core.outbound import Outbound, Way, fault_of

OUTBOUND = Outbound()
PLAIN = ("", "identity")
"""The only codings of an answer: what unpacks to a thousand times its size is never unpacked."""


def open_client(
    library: str,
    way: Way,
    *,
    outbound: Outbound,
    answer_bytes_max: int | None,
    connections_max: int = 100,
) -> Any:
    """An asynchronous client of `httpx`, or of the vendors' `httpx2`, which has the same shape.

    Without `answer_bytes_max` an answer has no end of its own. Raises from its calls what the library raises: a
    refused address is its ConnectError, an answer that is too long its ReadError.
    """
    http = importlib.import_module(library)
    limits = http.Limits(max_connections=connections_max, max_keepalive_connections=connections_max)
    inner = http.AsyncHTTPTransport(limits=limits, proxy=outbound.proxy or None)
    if not outbound.proxy:
        core = importlib.import_module(library.replace("httpx", "httpcore"))
        # The library has no public way to give a transport its own connector.
        inner._pool._network_backend = _Connector(core, way)
    return http.AsyncClient(
        transport=_guarded(http, inner, way, answer_bytes_max),
        timeout=http.Timeout(None, connect=outbound.connect_ms / 1000.0),
        follow_redirects=False,
        trust_env=False,
        headers={"Accept-Encoding": "identity"},
    )


def provider_client(url: str, outbound: Outbound) -> Any:
    """A client of the vendors' library that reaches the host in `url` and no other; raises Invalid."""
    return open_client("httpx2", Way.to(url, outbound), outbound=outbound, answer_bytes_max=outbound.answer_bytes_max)


async def resolve(way: Way, host: str, port: int) -> Sequence[str]:
    """The addresses of the host, in the order to try them; raises Unavailable where one must not be connected to."""
    fault = way.fault(host)
    if fault:
        raise Unavailable(fault, hint="see [outbound]")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(f"{host!r} cannot be resolved: {error.strerror or error}", hint="see the name") from error
    addresses = [str(info[4][0]) for info in found]
    fault = fault_of(way, host, addresses)
    if fault:
        raise Unavailable(fault, hint="see [outbound]")
    return addresses


class _Connector:
    """The library's network backend, with a look at the address in between."""

    def __init__(self, core: Any, way: Way) -> None:
        self._core = core
        self._inner = core.AnyIOBackend()
        self._way = way

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the library's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Any:
        try:
            async with asyncio.timeout(timeout):
                addresses = await resolve(self._way, host, port)
        except TimeoutError as error:
            raise self._core.ConnectTimeout(f"{host!r} was not resolved in time") from error
        except Unavailable as error:
            raise self._core.ConnectError(error.message) from error
        refused: Exception | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout=timeout, local_address=local_address, socket_options=socket_options
                )
            except self._core.ConnectError as error:
                refused = error
        raise self._core.ConnectError(f"{host!r} does not answer: {refused}") from refused

    async def connect_unix_socket(self, path: str, **_options: Any) -> Any:
        raise self._core.ConnectError(f"{path!r} is no host")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def _guarded(http: Any, inner: Any, way: Way, answer_bytes_max: int | None) -> Any:
    """A transport of the library over `inner` that refuses hosts, packed answers and bytes beyond the bound."""

    class Bounded(http.AsyncByteStream):  # type: ignore[misc]  # the library is known only here
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for part in self._stream:
                size += len(part)
                if answer_bytes_max is not None and size > answer_bytes_max:
                    raise http.ReadError(f"the answer has more than {answer_bytes_max} bytes")
                yield part

        async def aclose(self) -> None:
            await self._stream.aclose()

    class Guarded(http.AsyncBaseTransport):  # type: ignore[misc]  # the library is known only here
        async def handle_async_request(self, request: Any) -> Any:
            fault = way.fault(request.url.host)
            if fault:
                raise http.ConnectError(fault, request=request)
            answer = await inner.handle_async_request(request)
            if answer.headers.get("content-encoding", "").strip().lower() not in PLAIN:
                await answer.aclose()
                raise http.ReadError("the answer is packed, which was not asked for", request=request)
            answer.stream = Bounded(answer.stream)
            return answer

        async def aclose(self) -> None:
            await inner.aclose()

    return Guarded()
