"""Takes what belongs to a world of another replica there, as the same caller, and brings the answer back.

Requests travel as the same messages over HTTP, with the time that is left and a short token by which this replica
vouches for the caller. It does not know who owns what, and sends on nothing that was sent on already.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from litestar import Response
from litestar.response import Stream

from app.control.auth import Authority, Identity
from app.core.clock import Clock, Deadline
from app.core.errors import Error, Malformed, Unavailable, from_code
from app.core.messages import Chunk, Reply, Request
from app.core.module import Handler

MSGPACK = "application/msgpack"
EVENTS = "text/event-stream"
CONNECT_S_MAX = 1.0
RETRY_AFTER_S = 0.2
TOKEN_MARGIN_MS = 10_000
TOKENS_MAX = 4_096
PASSED_ON = ("content-type", "etag", "innkeeper-map-version")

Send = Callable[[Chunk], Awaitable[None]]


class Unreached(Unavailable):
    """The replica did not answer. `unsent`: it cannot have seen the request."""

    def __init__(self, address: str, reason: str, *, unsent: bool) -> None:
        hint = "send it again" if unsent else "it may have had its effect: send it again with the same key"
        super().__init__(f"the replica at {address} does not answer: {reason}", hint=hint, retry_after_s=RETRY_AFTER_S)
        self.unsent = unsent


@dataclass(frozen=True, slots=True)
class _Vouched:
    token: str
    until_ms: int


class Forwarder:
    """A pool of connections to the other replicas; the HTTP client is loaded with the first request that needs it."""

    def __init__(self, *, authority: Authority, clock: Clock, connections_max: int) -> None:
        self._authority = authority
        self._clock = clock
        self._connections_max = connections_max
        self._client: Any = None
        self._tokens: dict[Identity, _Vouched] = {}

    async def ask(
        self, address: str, handler: Handler, request: Request, identity: Identity, deadline: Deadline, send: Send
    ) -> Reply:
        """The reply of the replica at `address`. Raises the Error that it answered, or Unreached."""
        headers = {
            "Content-Type": MSGPACK,
            "Accept": EVENTS if handler.chunk is not None else MSGPACK,
            "Innkeeper-Deadline-Ms": str(max(1, math.ceil(deadline.left_ms()))),
        }
        path = f"/v1/{handler.request.op.replace('.', '/', 1)}"
        body = msgspec.msgpack.encode(request)
        async with self._exchange(address, "POST", path, identity, headers, body) as answer:
            if answer.status_code != 200:
                raise _error(answer.status_code, await answer.aread(), answer.headers.get("retry-after"))
            if handler.chunk is not None:
                return await _streamed(answer, handler, handler.chunk, send)
            reply: Reply = msgspec.msgpack.decode(await answer.aread(), type=handler.reply)
            return reply

    async def get(self, address: str, target: str, identity: Identity) -> Response[Any]:
        """The answer to a GET of a resource, as it comes; raises Unreached."""
        exchange = self._exchange(address, "GET", target, identity, {})
        answer = await exchange.__aenter__()
        headers = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
        headers["Cache-Control"] = "no-store"
        if answer.headers.get("content-type", "").startswith(EVENTS):
            return Stream(_parts(exchange, answer), media_type=EVENTS, headers=headers)
        body = await answer.aread()
        await exchange.__aexit__(None, None, None)
        kind = headers.pop("content-type", "application/json")
        return Response(body, media_type=kind, status_code=answer.status_code, headers=headers)

    def vouch(self, identity: Identity) -> str:
        """A token by which another replica knows the caller; one is kept while it has some time left."""
        now_ms = self._clock.wall_ms()
        caller = replace(identity, since_ms=0, expires_ms=None)
        known = self._tokens.get(caller)
        if known is None or known.until_ms - now_ms < TOKEN_MARGIN_MS:
            if len(self._tokens) >= TOKENS_MAX:
                self._tokens.clear()
            known = self._tokens[caller] = _Vouched(*self._authority.vouch(identity))
        return known.token

    def vouch_for_replica(self, tenant: str) -> str:
        """A token by which this replica listens to worlds of the tenant at another."""
        return self._authority.vouch_for_replica(tenant)[0]

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()

    def _exchange(
        self, address: str, method: str, target: str, identity: Identity, headers: dict[str, str], body: bytes = b""
    ) -> _Exchange:
        import httpx  # the first request that leaves this replica pays for it

        if self._client is None:
            limits = httpx.Limits(
                max_connections=self._connections_max, max_keepalive_connections=self._connections_max
            )
            # The request's own deadline ends it; only reaching a machine that is gone has an end of its own.
            timeout = httpx.Timeout(None, connect=CONNECT_S_MAX)
            self._client = httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False, follow_redirects=False)
        sent = {**headers, "Authorization": f"Bearer {self.vouch(identity)}"}
        request = self._client.build_request(method, f"{address}{target}", headers=sent, content=body)
        return _Exchange(self._client, request, address)


class _Exchange:
    """One request and its answer; faults of the connection become Unreached."""

    def __init__(self, client: Any, request: Any, address: str) -> None:
        self._client = client
        self._request = request
        self._address = address
        self._answer: Any = None

    async def __aenter__(self) -> Any:
        import httpx

        try:
            self._answer = await self._client.send(self._request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Unreached(self._address, str(error) or type(error).__name__, unsent=True) from error
        except httpx.HTTPError as error:
            raise Unreached(self._address, str(error) or type(error).__name__, unsent=False) from error
        return self._answer

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        import httpx

        await self._answer.aclose()
        if isinstance(error, httpx.HTTPError):
            raise Unreached(self._address, str(error) or type(error).__name__, unsent=False) from error


async def _streamed(answer: Any, handler: Handler, kind: type[Chunk], send: Send) -> Reply:
    """Hand on the chunks of an event stream and return the reply that ends it."""
    name = ""
    async for line in answer.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data" and name == "chunk":
            await send(msgspec.json.decode(value, type=kind))
        elif field == "data" and name == "reply":
            reply: Reply = msgspec.json.decode(value, type=handler.reply)
            return reply
        elif field == "data" and name == "error":
            fault = json.loads(value)
            raise from_code(
                fault["code"], fault["message"], hint=fault["hint"], retry_after_s=fault.get("retry_after_s")
            )
    raise Malformed("the other replica ended its stream without a reply", hint="see its log")


async def _parts(exchange: _Exchange, answer: Any) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_bytes():
            yield part
    finally:
        await exchange.__aexit__(None, None, None)


def _error(status: int, body: bytes, retry_after: str | None) -> Error:
    """The error in a problem document."""
    try:
        problem: dict[str, Any] = json.loads(body)
    except ValueError:
        problem = {"code": "internal", "detail": f"the other replica answered {status}"}
    retry_after_s = float(retry_after) if retry_after is not None and retry_after.isdigit() else None
    return from_code(
        problem.get("code", ""), problem.get("detail", ""), hint=problem.get("hint", ""), retry_after_s=retry_after_s
    )
