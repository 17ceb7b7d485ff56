"""Every route and message of a server, asked with every credential: the verdict beside the one of the permission map.

A route is what the server's own OpenAPI document lists. It knows what must be answered, and not why it was not.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.build import MODULE_SETTINGS, ROOT, build
from app.cli.prove.child import Child
from app.cli.prove.office import TENANTS, Credential
from app.core.errors import Broken
from app.core.module import Scope
from app.core.profile import layers, load
from app.edge.permissions import RESOURCES

REFUSED = {http.client.UNAUTHORIZED, http.client.FORBIDDEN}
PEOPLE_ONLY = "/v1/me/"
"""What somebody changes about their own ways in: no key, and no token of one, is anybody."""
KEY_ONLY = {"/v1/auth/token", "/v1/auth/code"}
"""What these open outlives a token, so they take none."""
OPEN_ON_LOOPBACK = {"/metrics"}
STREAM = "text/event-stream"
SOCKET_S_MAX = 10.0
TOKEN_CLOSE = 4401


def world_of(tenant: str) -> str:
    """The one world of a tenant; no other tenant may learn what is in it."""
    return f"world-of-{tenant}"


def marker_of(tenant: str) -> str:
    """What is in a tenant's world and nowhere else."""
    return f"marker-{tenant}-7f3a"


@dataclass(frozen=True, slots=True)
class Route:
    """An operation of the document, and the scope it asks for; None where anybody may ask."""

    method: str
    path: str
    scope: Scope | None
    op: str = ""
    """The message's name, where it is one."""


@dataclass(slots=True)
class Verdicts:
    """What was counted, with a line for each surprise."""

    asked: int = 0
    allowed: list[str] = field(default_factory=list)
    """Let in although the map says no."""
    denied: list[str] = field(default_factory=list)
    """Refused although the map says yes."""
    seen: list[str] = field(default_factory=list)
    """Told of another tenant's object."""

    def note(self, what: str, *, expected: int, status: int) -> None:
        """`expected` is 401, 403, or 200 for anything that is neither."""
        self.asked += 1
        if expected in REFUSED and status not in REFUSED:
            self.allowed.append(f"{what}: {status}")
        elif expected not in REFUSED and status in REFUSED:
            self.denied.append(f"{what}: {status}")
        elif expected in REFUSED and status != expected:
            self.denied.append(f"{what}: {status} in place of {expected}")


def routes_of(child: Child, folder: Path) -> list[Route]:
    """What the server says that it serves; raises Broken where that is not what the permission map holds."""
    document = child.get("/openapi.json")[1]
    listed = {(method, path) for path, methods in document["paths"].items() for method in methods}
    routes = [Route(one.method, one.path, one.scope) for one in RESOURCES]
    routes += [Route("post", f"/v1/{op.replace('.', '/', 1)}", scope, op) for op, scope in _messages(folder)]
    if listed != {(route.method, route.path) for route in routes}:
        raise Broken("the OpenAPI document and the permission map differ", hint="see app/edge/permissions.py")
    return routes


def ask_all(child: Child, routes: Sequence[Route], callers: Iterable[Credential], verdicts: Verdicts) -> None:
    """Ask every route with every credential, about the caller's own world and about the other tenant's."""
    client = Client(child.port)
    for caller in callers:
        for route in routes:
            for tenant in TENANTS:
                status, body = client.ask(route, caller.authorization, world_of(tenant))
                what = f"{caller.name} of {caller.tenant or 'nobody'}: {route.method} {route.path} for {tenant}"
                verdicts.note(what, expected=expected(route, caller), status=status)
                if caller.tenant != tenant and marker_of(tenant).encode() in body:
                    verdicts.seen.append(what)
    client.close()


def expected(route: Route, caller: Credential) -> int:
    """What the permission map says: 401, 403, or 200 for whatever comes after being let in."""
    if route.scope is None or route.path in OPEN_ON_LOOPBACK:
        return 200
    if caller.scopes is None:
        return 401
    refused = route.path.startswith(PEOPLE_ONLY) or (caller.by_token and route.path in KEY_ONLY)
    return 403 if route.scope & ~caller.scopes or refused else 200


def ask_sockets(child: Child, routes: Sequence[Route], callers: Iterable[Credential], verdicts: Verdicts) -> None:
    """Open a socket with every credential, and send every message over those that open."""
    messages = [route for route in routes if route.op]

    async def all_of_them() -> None:
        for caller in callers:
            await _ask_socket(child, messages, caller, verdicts)

    asyncio.run(all_of_them())


async def _ask_socket(child: Child, messages: Sequence[Route], caller: Credential, verdicts: Verdicts) -> None:
    from websockets.asyncio.client import connect

    async with asyncio.timeout(SOCKET_S_MAX), connect(f"ws://127.0.0.1:{child.port}/v1/link") as socket:
        await socket.send(json.dumps({"id": "hello", "op": "hello", "data": {"token": caller.text}}))
        opened = json.loads(await socket.recv())["ok"]
        what = f"{caller.name} of {caller.tenant or 'nobody'}: socket"
        verdicts.note(what, expected=401 if caller.scopes is None else 200, status=200 if opened else 401)
        if not opened:
            await socket.wait_closed()
            if socket.close_code != TOKEN_CLOSE:
                verdicts.denied.append(f"{what}: closed with {socket.close_code}")
            return
        for route in messages:
            for tenant in TENANTS:
                frame = {"id": f"{route.op}/{tenant}", "op": route.op, "data": {"world": world_of(tenant)}}
                await socket.send(json.dumps(frame))
                body = await _reply(socket, str(frame["id"]))
                code = json.loads(body).get("error", {}).get("code")
                status = {"forbidden": 403, "unauthenticated": 401}.get(code, 200)
                verdicts.note(f"{what}: {frame['id']}", expected=expected(route, caller), status=status)
                if caller.tenant != tenant and marker_of(tenant) in body:
                    verdicts.seen.append(f"{what}: {frame['id']}")


async def _reply(socket: Any, id: str) -> str:
    while True:
        body = str(await socket.recv())
        frame = json.loads(body)
        if frame.get("id") == id and "ok" in frame:
            return body


class Client:
    """One connection that is kept while the server keeps it."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10.0)

    def ask(self, route: Route, authorization: str, world: str) -> tuple[int, bytes]:
        """(status, body) of a request with little in it; of a stream, the body is what came first."""
        path = route.path.replace("{world}", world)
        path = re.sub(r"{\w+}", "none", path)
        body = json.dumps({"world": world}).encode() if route.op else b"{}" if route.method == "post" else b""
        headers = {"Authorization": authorization} if authorization else {}
        try:
            return self._exchange(route.method.upper(), path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionError):  # it was closed after the answer before
            self._connection.close()
            return self._exchange(route.method.upper(), path, body, headers)

    def _exchange(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        if answer.headers.get("content-type", "").startswith(STREAM):
            first = answer.readline() + answer.readline()
            self._connection.close()
            return answer.status, first
        return answer.status, answer.read()

    def close(self) -> None:
        self._connection.close()


def _messages(folder: Path) -> list[tuple[str, Scope]]:
    """The scope of every message, as the modules declare it."""
    flags = {"server.data_folder": str(folder)}
    sources = layers(ROOT / "profiles", mode=1, file=None, environment={}, flags=flags)

    async def read() -> list[tuple[str, Scope]]:
        innkeeper = await build(load(sources, MODULE_SETTINGS).profile)
        try:
            return [(op, route.handler.scope) for op, route in innkeeper.router.routes.items()]
        finally:
            await innkeeper.close()

    return asyncio.run(read())
