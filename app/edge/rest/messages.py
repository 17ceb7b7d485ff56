"""POST /v1/<module>/<verb>: the twin of a socket frame, as JSON, msgpack, raw binary or an event stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from app.control.auth import Authority, Identity
from app.core.clock import Clock
from app.core.errors import Error
from app.core.ids import new_id
from app.core.messages import Chunk, Reply
from app.core.profile import Server
from app.edge import errors
from app.edge.rest.http import NO_STORE, AnyRequest, header_deadline_ms, identify, keyed, read_body
from app.edge.router import Route, Router, decode
from app.edge.visits import Visits

JSON = "application/json"
MSGPACK = "application/msgpack"
BINARY = "application/octet-stream"
EVENTS = "text/event-stream"


def routes(
    router: Router, *, authority: Authority, visits: Visits, clock: Clock, server: Server
) -> list[HTTPRouteHandler]:
    """One route for each message."""
    face = _Face(router, authority, visits, clock, server)
    return [face.route(route) for route in router.routes.values()]


class _Face:
    def __init__(self, router: Router, authority: Authority, visits: Visits, clock: Clock, server: Server) -> None:
        self._router = router
        self._authority = authority
        self._visits = visits
        self._clock = clock
        self._server = server

    def route(self, route: Route) -> HTTPRouteHandler:
        bytes_max = self._server.map_bytes_max if route.op == "path.upload" else self._server.body_bytes_max

        async def answer(request: AnyRequest) -> Response[Any]:
            identity = await identify(request, self._authority, self._router.limits)
            self._router.authorize(route, identity)
            body = await read_body(request, bytes_max=bytes_max)
            with self._visits.visit(identity, route.handler.scope):
                return await self._answer(route, request, identity, body)

        path = route.path
        return post(path, name=route.op, status_code=200, request_max_body_size=None)(answer)

    async def _answer(self, route: Route, request: AnyRequest, identity: Identity, body: bytes) -> Response[Any]:
        kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if kind == BINARY and route.handler.binary is not None:
            typed = route.handler.binary.decode(body, request.query_params.get("world", ""))
        else:
            typed = decode(route, body or b"{}", packed=kind == MSGPACK)
        dispatch = partial(
            self._router.dispatch,
            route,
            keyed(request, typed),
            identity=identity,
            id=new_id(self._clock.wall_ms()),
            deadline_ms=header_deadline_ms(request),
        )
        if route.handler.chunk is not None and EVENTS in request.headers.get("accept", ""):
            return self._stream(route, dispatch, identity)
        return _encode(route, await dispatch(send=_discard), kind)

    def _stream(self, route: Route, dispatch: Callable[..., Awaitable[Reply]], identity: Identity) -> Response[Any]:
        """Server-sent events: `chunk` as they come, then one `reply` or `error`."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(self._server.outbox_frames_max)

        async def send(chunk: Chunk) -> None:
            await queue.put(event("chunk", chunk))

        async def run() -> None:
            try:
                with self._visits.visit(identity, route.handler.scope):
                    reply = await dispatch(send=send)
                await queue.put(event("reply", reply))
            except Error as error:
                await queue.put(event("error", errors.to_frame(error)))
            await queue.put(None)

        async def events() -> AsyncIterator[bytes]:
            task = asyncio.create_task(run(), name=route.op)
            try:
                while (part := await queue.get()) is not None:
                    yield part
            finally:
                task.cancel()

        return Stream(events(), media_type=EVENTS, status_code=200, headers=NO_STORE)


def event(name: str, data: object) -> bytes:
    """One server-sent event with JSON data."""
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


async def _discard(_chunk: Chunk) -> None:
    """Chunks of a request whose client wants one JSON answer: the reply holds the whole."""


def _encode(route: Route, reply: Reply, kind: str) -> Response[bytes]:
    if kind == BINARY and route.handler.binary is not None:
        return Response(route.handler.binary.encode(reply), media_type=BINARY, status_code=200, headers=NO_STORE)
    if kind == MSGPACK:
        return Response(msgspec.msgpack.encode(reply), media_type=MSGPACK, status_code=200, headers=NO_STORE)
    return Response(msgspec.json.encode(reply), media_type=JSON, status_code=200, headers=NO_STORE)
