"""What surrounds the application: whom a request counts against, which host it may name, and headers on every answer.

It sits outside routing, so that it holds for what no route answers too. Of the headers that proxies write only
`X-Forwarded-For` is ever read; `Forwarded`, `X-Forwarded-Host` and `X-Forwarded-Proto` are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import Invalid
from app.edge import errors
from app.edge.address import ADDRESS, Proxies

HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9._-]{0,253}[a-z0-9_.])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
"""uri-host [ ":" port ] of RFC 9110, 7.2, without what a URL would take for a user, a path or a fragment."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)
"""On every answer that does not say otherwise itself."""
HSTS = (b"strict-transport-security", b"max-age=31536000")


class Shell:
    """The application with its surroundings."""

    def __init__(self, app: ASGIApp, *, proxies: Proxies, hosts: Sequence[str], encrypted: bool) -> None:
        """`hosts` are the only values of Host that are served, all where it is empty."""
        self._app = app
        self._proxies = proxies
        self._hosts = frozenset(host.lower() for host in hosts)
        self._headers = (*HEADERS, HSTS) if encrypted else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind: str = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)
            return
        scope[ADDRESS] = self._proxies.address(scope)  # type: ignore[literal-required]  # a key of ours in the scope
        fault = self._fault(scope)
        if kind == "websocket":
            # Its send is not wrapped: each wrapper would be kept for as long as the socket lives.
            if fault is None:
                await self._app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 4400, "reason": "host not served"})
            return
        dressed = self._dressed(send)
        if fault is None:
            await self._app(scope, receive, dressed)
        else:
            await _refuse(fault, scope, dressed)

    def _fault(self, scope: Scope) -> Invalid | None:
        """Why the request's Host is not served."""
        found = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        if not found and not self._hosts and scope.get("http_version") == "1.0":
            return None
        if len(found) != 1 or HOST.fullmatch(found[0]) is None:
            return Invalid("the request names no host that can be read", hint="send one Host header, as host:port")
        if self._hosts and found[0] not in self._hosts:
            return Invalid(f"the host {found[0]!r} is not served here", hint="name it in security.hosts")
        return None

    def _dressed(self, send: Send) -> Send:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = dress(message["headers"], self._headers)
            await send(message)

        return dressed


def dress(
    present: Iterable[tuple[bytes, bytes]], more: Sequence[tuple[bytes, bytes]] = HEADERS
) -> list[tuple[bytes, bytes]]:
    """The headers with those of `more` that they lack."""
    headers = list(present)
    names = {name.lower() for name, _ in headers}
    return [*headers, *(header for header in more if header[0] not in names)]


async def _refuse(error: Invalid, scope: Scope, send: Send) -> None:
    body = errors.to_problem(error, instance=scope["path"])
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
