"""Takes a typed request to its handler under its deadline, and writes the one log line about it.

Every face (socket, HTTP, in-process) calls `dispatch`; none of them knows a handler, nor where a world lives: a
request for a world of another replica is answered there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from prometheus_client import Histogram

from app.control.auth import Identity
from app.core.clock import Clock, Deadline, within
from app.core.errors import Broken, DeadlineExceeded, Error, Forbidden, Invalid, UnknownOp, nearest
from app.core.messages import Chunk, Reply, Request
from app.core.module import Call, Handler, Module, Scope
from app.core.ports import Audit, Log
from app.core.profile import Server
from app.edge import encoding, errors
from app.edge.admission import Admission
from app.edge.elsewhere import Elsewhere
from app.edge.limits import Limits
from app.telemetry.metrics import Metrics

Send = Callable[[Chunk], Awaitable[None]]
AUDITED = {"world.create": "world.created", "path.upload": "map.uploaded"}
"""Messages whose success is noted, and as what."""


@dataclass(frozen=True, slots=True)
class Route:
    """A handler with the decoders and metric that are built once for it."""

    op: str
    module: str
    verb: str
    handler: Handler
    writes: bool
    json: msgspec.json.Decoder[Request]
    msgpack: msgspec.msgpack.Decoder[Request]
    answered: Histogram

    @property
    def path(self) -> str:
        """Where the message is posted: `/v1/path/find` for `path.find`."""
        return f"/v1/{self.op.replace('.', '/', 1)}"


@dataclass(frozen=True, slots=True)
class Gate:
    """A path that is no message and is admitted as one is; whoever is turned away is told in its protocol."""

    op: str
    refusal: Callable[[Error], tuple[int, bytes]]
    """(status, JSON body)"""
    writes: bool = False


class Router:
    """All routes by operation name."""

    def __init__(
        self,
        modules: Sequence[Module],
        *,
        limits: Limits,
        server: Server,
        behind_s: Callable[[], float],
        elsewhere: Elsewhere,
        clock: Clock,
        log: Log,
        metrics: Metrics,
        audit: Audit,
    ) -> None:
        self._audit = audit
        self._elsewhere = elsewhere
        self.admission = Admission(server, behind_s=behind_s, log=log, metrics=metrics)
        self.limits = limits
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._deadline_ms_max = server.deadline_ms_max
        self.routes = {
            handler.request.op: _route(module, handler, metrics) for module in modules for handler in module.handlers
        }
        self.by_path: dict[str, Route | Gate] = {route.path: route for route in self.routes.values()}

    def route(self, op: str) -> Route:
        """The route of an operation; raises UnknownOp naming the nearest one."""
        found = self.routes.get(op)
        if found is None:
            raise UnknownOp(f"no message {op!r}", hint=nearest(op, self.routes))
        return found

    def authorize(self, route: Route, identity: Identity) -> None:
        """Raise Forbidden without the message's scope, so that nothing is read for whoever may not ask."""
        try:
            self.limits.require(identity, route.handler.scope, route.op)
        except Forbidden as error:
            self._log.info(
                "request.forbidden", tenant=identity.tenant, module=route.module, verb=route.verb, outcome=error.code
            )
            raise

    async def dispatch(
        self,
        route: Route,
        request: Request,
        *,
        identity: Identity,
        id: str,
        world: str = "",
        deadline_ms: int | None = None,
        send: Send,
    ) -> Reply:
        """The handler's reply. Raises an Error of the tree, and nothing else but cancellation."""
        started_s = self._clock.monotonic_s()
        outcome = "ok"
        limit_ms = self._limit_ms(route, deadline_ms)
        call = Call(
            id=id,
            tenant=identity.tenant,
            world=request.world or world,
            deadline=Deadline(started_s + limit_ms / 1000.0, self._clock),
            log=self._log,
            send=send,
        )
        self._metrics.inflight.inc()
        try:
            self.authorize(route, identity)
            if player := player_of(request):
                await self.limits.take_player(identity, call.world, player)
            reply = await within(limit_ms / 1000.0, self._run(route.handler, call, request, identity))
            self._note(route, call, request, identity)
            return reply
        except Error as error:
            outcome = error.code
            raise
        except TimeoutError as error:
            outcome = DeadlineExceeded.code
            raise DeadlineExceeded(f"{route.op!r} took over {limit_ms} ms", hint="give a longer deadline_ms") from error
        except asyncio.CancelledError:
            outcome = "canceled"
            raise
        except Exception as error:
            outcome = Broken.code
            self._log.error("request.broke", id=id, op=route.op, exc_info=error)
            raise errors.broken(id) from error
        finally:
            self._metrics.inflight.dec()
            self._finish(route, call, outcome, self._clock.monotonic_s() - started_s)

    async def _run(self, handler: Handler, call: Call, request: Request, identity: Identity) -> Reply:
        if not call.world or self._elsewhere.here(call.tenant, call.world):
            return await handler.run(call, request)
        return await self._elsewhere.reply(handler, call, request, identity)

    def _note(self, route: Route, call: Call, request: Request, identity: Identity) -> None:
        """Write down what changes what a tenant has; the replica that the caller spoke to does, and no other."""
        action = AUDITED.get(route.op)
        if action is not None and not identity.vouched:
            name = getattr(request, "map", "")
            target = f"world:{call.world}{f'/map:{name}' if name else ''}"
            self._audit.note(call.tenant, identity.actor, action, target)

    def _limit_ms(self, route: Route, deadline_ms: int | None) -> int:
        if deadline_ms is None:
            return route.handler.deadline_ms
        if deadline_ms <= 0:
            raise Invalid(f"deadline_ms is {deadline_ms!r}", hint="give the milliseconds you can wait, 1 or more")
        return min(deadline_ms, self._deadline_ms_max)

    def _finish(self, route: Route, call: Call, outcome: str, seconds: float) -> None:
        if outcome == "ok":
            route.answered.observe(seconds)
        else:
            self._metrics.request_seconds.labels(route.module, route.verb, outcome).observe(seconds)
        rung = call.notes.get("rung")
        if isinstance(rung, str):
            self._metrics.answered_by(route.module, rung).inc()
        self._log.info(
            "request.answered",
            tenant=call.tenant,
            world=call.world,
            module=route.module,
            verb=route.verb,
            ms=round(seconds * 1000.0, 3),
            outcome=outcome,
            **call.notes,
        )


def player_of(request: Request) -> str:
    """Whom a request is for or from, where it names one; an NPC that speaks counts as one as well."""
    return str(getattr(request, "player", "") or getattr(request, "speaker", ""))


def decode(route: Route, body: bytes | memoryview | msgspec.Raw, *, packed: bool) -> Request:
    """The typed request in `body`; raises Invalid or Malformed."""
    try:
        return (route.msgpack if packed else route.json).decode(body)
    except encoding.UNREADABLE as error:
        raise encoding.refusal(error, body, packed=packed, what=route.op) from error


def _route(module: Module, handler: Handler, metrics: Metrics) -> Route:
    op = handler.request.op
    verb = op.partition(".")[2]
    answered: Any = metrics.request_seconds.labels(module.name, verb, "ok")
    return Route(
        op=op,
        module=module.name,
        verb=verb,
        handler=handler,
        writes=handler.scope is Scope.WRITE,
        json=msgspec.json.Decoder(handler.request),
        msgpack=msgspec.msgpack.Decoder(handler.request),
        answered=answered,
    )
