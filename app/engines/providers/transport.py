"""The connections to one provider: aiohttp, held to what [outbound] says.

A host is called whose every address was checked after the name was resolved; no redirect is followed, no proxy of the
environment taken, no packed answer read, and no header or body is longer than its bound. Connections are pooled.
It knows no protocol beyond HTTP, and no price.
"""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from app import __version__
from app.core.clock import Deadline
from app.core.errors import DeadlineExceeded, EngineDown, Failure, Invalid, Unavailable
from app.core.outbound import Outbound, Way, fault_of
from app.engines.outbound import PLAIN, resolve
from app.engines.providers.faults import failure_of, is_literal, retry_after_s

CONNECTIONS_MAX = 1_000
"""To one provider at a time; the engines before it are bounded themselves."""
HEADERS_MAX = 128
HEADER_BYTES_MAX = 8_190
WHOLE_BYTES_MAX = 1 << 19
"""Of a request that is written in one piece."""
KEPT_S = 60.0
"""How long a connection waits for its next call."""
SPEAKING = (400, 402, 403, 429)
"""Statuses whose body says more: a filter, a quota that is spent."""
FAULT_BYTES_MAX = 16_384
"""Of the body of a refusal: enough for its code."""
FAULT_S_MAX = 1.0
"""How long the code of a refusal is waited for."""
REST_S_MAX = 1.0
"""How long the last bytes of an answer that has ended may take, so that its connection can be used again."""


class Refusal(EngineDown):
    """The provider answered with another status than 200; `code` is its own word for why, of its vocabulary alone."""

    def __init__(self, name: str, status: int, code: str, failure: Failure, wait_s: float | None) -> None:
        hint = "see this engine's key, model and base_url"
        super().__init__(f"{name} answered {status}", hint=hint, retry_after_s=wait_s, failure=failure)
        self.reason = code


class Transport:
    """One provider at one address; any number of calls at a time. Nothing is sent before the first call."""

    def __init__(self, name: str, url: str, headers: Mapping[str, str], outbound: Outbound) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Invalid(f"{name} has the address {url!r}", hint="write a URL, such as https://host/v1")
        if parts.username is not None or parts.password is not None:
            raise Invalid(f"the address of {name} has a user in it", hint="name the key in key_env")
        self.host = parts.hostname
        self._name = name
        self._url = url.rstrip("/")
        self._headers = {"User-Agent": f"innkeeper/{__version__}", "Accept-Encoding": "identity",
                         "Content-Type": "application/json", **headers}  # fmt: skip
        self._outbound = outbound
        self._way = Way.to(url, outbound)
        self._fault = fault_of(self._way, self.host, [self.host]) if is_literal(self.host) else ""
        self._session: aiohttp.ClientSession | None = None
        self._rests: set[asyncio.Task[None]] = set()

    def address(self, path: str) -> URL:
        """The whole address of a path, made once."""
        return URL(f"{self._url}{path}", encoded=True)

    async def close(self) -> None:
        """Close every connection."""
        for task in self._rests:
            task.cancel()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(self, url: URL, body: bytes, deadline: Deadline) -> Answer:
        """The answer to `body` when its headers are there; it must be closed.

        Raises Refusal for another status than 200, DeadlineExceeded, and EngineDown for everything else.
        """
        if self._fault:
            raise self._unreached(self._fault)
        try:
            async with asyncio.timeout(deadline.left_s()):
                response = await self._open().post(url, data=_sent(body), headers=self._headers, allow_redirects=False)
                good = False
                try:
                    await self._check(response, deadline)
                    good = True
                finally:
                    if not good:
                        response.close()
        except aiohttp.ConnectionTimeoutError as error:
            raise self._unreached("its address does not answer") from error
        except TimeoutError as error:
            raise DeadlineExceeded(f"the answer of {self._name} was late") from error
        except aiohttp.ClientConnectorError as error:
            raise self._unreached(type(error).__name__) from error
        except aiohttp.ClientResponseError as error:
            kind = type(error).__name__  # the error itself is dropped: it shows the request's headers, and so the key
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreached(f"it broke off, {type(error).__name__}") from error
        except Unavailable as error:
            raise error if isinstance(error, EngineDown) else self._unreached(error.message) from error
        else:
            return Answer(self._name, response, deadline, self._outbound.answer_bytes_max, self._rests)
        raise self._unreached(f"what it says is no HTTP, {kind}")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            proxy = self._outbound.proxy or None
            resolver = None if proxy else _Checked(self._way)
            connector = aiohttp.TCPConnector(
                resolver=resolver, use_dns_cache=proxy is not None, limit=CONNECTIONS_MAX, keepalive_timeout=KEPT_S
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._outbound.connect_ms / 1000.0),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                proxy=proxy,
                max_line_size=HEADER_BYTES_MAX,
                max_field_size=HEADER_BYTES_MAX,
                max_headers=HEADERS_MAX,
            )
        return self._session

    async def _check(self, response: aiohttp.ClientResponse, deadline: Deadline) -> None:
        """Raises Refusal for another status than 200, EngineDown for a packed answer."""
        if response.status != 200:
            body = await _beginning(response, deadline.left_s() / 2) if response.status in SPEAKING else b""
            failure, code = failure_of(response.status, body)
            raise Refusal(self._name, response.status, code, failure, retry_after_s(response.headers))
        if response.headers.get("content-encoding", "").strip().lower() not in PLAIN:
            raise EngineDown(f"{self._name} packed its answer, which was not asked for", failure="incomplete")

    def _unreached(self, reason: str) -> EngineDown:
        hint = "see this engine's base_url, and [outbound]"
        return EngineDown(f"{self._name} cannot be reached: {reason}", hint=hint, failure="unreachable")


class Answer:
    """The body of one answer; use as `with answer`, read to the end or until it said that it is whole."""

    __slots__ = ("_late", "_left", "_name", "_response", "_rests", "_timer", "content_type", "whole")

    def __init__(
        self,
        name: str,
        response: aiohttp.ClientResponse,
        deadline: Deadline,
        bytes_max: int,
        rests: set[asyncio.Task[None]],
    ) -> None:
        self._name = name
        self._response = response
        self._left = bytes_max
        self._rests = rests
        self._late = False
        self._timer = asyncio.get_running_loop().call_later(deadline.left_s(), self._end_late)
        self.content_type = response.headers.get("content-type", "")
        self.whole = False
        """Set by the reader when nothing more can come: the connection is then kept."""

    async def read(self) -> bytes:
        """The next bytes, empty at the end; raises EngineDown where it breaks, DeadlineExceeded where late."""
        try:
            piece = await self._response.content.readany()
        except (aiohttp.ClientError, OSError, aiohttp.http_exceptions.HttpProcessingError) as error:
            if self._late:
                raise DeadlineExceeded(f"the stream of {self._name} was late") from error
            kind = type(error).__name__
            raise EngineDown(f"the connection to {self._name} broke, {kind}", failure="incomplete") from error
        self._left -= len(piece)
        if self._left < 0:
            raise EngineDown(f"{self._name} sent more bytes than outbound.answer_bytes_max", failure="incomplete")
        return piece

    def _end_late(self) -> None:
        self._late = True
        self._response.close()

    def __enter__(self) -> Answer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up, unless the answer is whole: then the connection goes back to the pool."""
        self._timer.cancel()
        if not self.whole:
            self._response.close()
        elif not self._response.content.is_eof():
            task = asyncio.get_running_loop().create_task(_rest(self._response))
            self._rests.add(task)
            task.add_done_callback(self._rests.discard)


def _sent(body: bytes) -> bytes | io.BytesIO:
    """The body as the library takes it: large ones in parts, so that the loop is not held up."""
    return body if len(body) <= WHOLE_BYTES_MAX else io.BytesIO(body)


class _Checked(AbstractResolver):
    """The addresses of the one host, none of which is where nothing of ours is."""

    def __init__(self, way: Way) -> None:
        self._way = way

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await resolve(self._way, host, port)
        return [_result(host, address, port) for address in found]

    async def close(self) -> None:
        """It holds nothing."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": flags}


async def _beginning(response: aiohttp.ClientResponse, left_s: float) -> bytes:
    """The first bytes of a refusal, as many as come in time."""
    held = bytearray()
    try:
        async with asyncio.timeout(min(FAULT_S_MAX, left_s)):
            while len(held) < FAULT_BYTES_MAX and (piece := await response.content.readany()):
                held += piece
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass  # the status says enough
    return bytes(held[:FAULT_BYTES_MAX])


async def _rest(response: aiohttp.ClientResponse) -> None:
    """Read what is left of an answer that has ended, which gives its connection back; hang up where it goes on."""
    content: Any = response.content
    try:
        async with asyncio.timeout(REST_S_MAX):
            await content.readany()
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass  # hung up below
    finally:
        if not content.is_eof():
            response.close()
