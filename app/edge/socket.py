"""The WebSocket at /v1/link: hello first, then frames both ways, as JSON text or msgpack binary.

It moves bytes between the transport and a session and decides when the socket must close.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from litestar import WebSocket, websocket
from litestar.handlers import WebsocketRouteHandler

from app.control.auth import Authority
from app.core.clock import Clock
from app.core.errors import Error, Invalid, TenantSuspended, Unauthenticated, Unavailable
from app.core.ids import ID_LENGTH_MAX
from app.core.messages import Frame, WorldName
from app.core.ports import History, Log, Places
from app.core.profile import Security, Server
from app.edge import errors
from app.edge.address import client_address
from app.edge.admission import Ticket
from app.edge.encoding import decode, encode
from app.edge.feed import Feed
from app.edge.follow import Followers
from app.edge.frames import DOOR, TICKET, LinkProtocol
from app.edge.router import Router
from app.edge.session import LATE, LATER, MALFORMED, SUSPENDED, TOKEN, Close, Session
from app.edge.sessions import Sessions
from app.telemetry.metrics import Metrics
from app.world.state import Worlds

PROTOCOL = 1
PROTOCOLS = (1,)
"""Versions of the wire protocol that the server speaks."""
CLOSE_S_MAX = 1.0
"""How long a client may take to accept the last frames before its socket closes anyway."""
EXPIRY_S_MAX = 4.0
Socket = WebSocket[Any, Any, Any]


class Hello(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first frame's data. `resume`, `seq` and `pending` take up a session that lost its socket."""

    token: str
    protocol: int = PROTOCOL
    format: Literal["json", "msgpack"] = "json"
    world: WorldName = ""
    frame_bytes_max: Annotated[int, msgspec.Meta(ge=4_096)] | None = None
    resume: str = ""
    seq: int | None = None
    pending: list[str] = []


@dataclass(frozen=True, slots=True)
class Link:
    """What the socket needs; built once by the composition root."""

    server: Server
    security: Security
    authority: Authority
    router: Router
    feed: Feed
    followers: Followers
    places: Places
    history: History
    sessions: Sessions
    worlds: Worlds
    clock: Clock
    log: Log
    metrics: Metrics

    def route(self) -> WebsocketRouteHandler:
        """The Litestar handler."""

        @websocket("/v1/link")
        async def link(socket: Socket) -> None:
            try:
                await self._serve(socket)
            finally:
                # Each is a function that holds the socket; see LinkProtocol for why that must not stay so.
                del socket.receive, socket.send

        return link

    async def _serve(self, socket: Socket) -> None:
        if not self._allowed(socket):
            await socket.close(code=4403, reason="origin not allowed")
            return
        await socket.accept()
        try:
            session = await self._greet(socket)
        except Close as close:
            await _close(socket, close)
            return
        if session is None:
            return
        self.metrics.sessions.inc()
        self.sessions.attach(session)
        try:
            gone = await self._exchange(socket, session)
        except Close as close:
            self.log.info("session.closed", tenant=session.identity.tenant, code=close.code, reason=close.reason)
            self.sessions.end(session)
            await _close(socket, close)
        else:
            self.log.info("session.paused", tenant=session.identity.tenant, code=gone)
            self.sessions.park(session, self.server.resume_ms / 1000.0)
        finally:
            self.metrics.sessions.dec()

    def _allowed(self, socket: Socket) -> bool:
        """A browser names the page's origin: it must be this server or one of the profile's."""
        origin = socket.headers.get("origin")
        if origin is None:
            return True
        return urlsplit(origin).netloc == socket.headers.get("host") or origin in self.security.origins

    async def _greet(self, socket: Socket) -> Session | None:
        """The session that a hello opens or resumes; None when the client left first."""
        try:
            async with asyncio.timeout(self.server.hello_ms_max / 1000.0):
                message = await socket.receive()
        except TimeoutError as error:
            raise Close(LATE, f"no hello within {self.server.hello_ms_max} ms") from error
        if message["type"] == "websocket.disconnect":
            return None
        body, packed = _body(message)
        id = _readable_id(body, packed=packed)
        try:
            await self.router.limits.arrive(client_address(socket.scope))
            frame = decode(body, Frame, packed=packed, what="the frame")
            session, reply = await self._open(frame, packed=packed)
        except Error as error:
            told = await self.router.limits.failed(client_address(socket.scope), error)
            await _send(socket, encode({"id": id, "ok": False, "error": errors.to_frame(told)}, packed=packed), packed)
            raise Close(_code(error), told.message) from error
        await _send(socket, session.encode({"id": frame.id, "ok": True, "data": reply}), session.packed)
        return session

    async def _open(self, frame: Frame, *, packed: bool) -> tuple[Session, dict[str, Any]]:
        if frame.op != "hello":
            raise Invalid(f"the first frame is {frame.op!r}", hint="send hello first")
        hello = decode(frame.data, Hello, packed=packed, what="hello")
        if hello.protocol not in PROTOCOLS:
            raise Invalid(f"protocol {hello.protocol!r} is not spoken", hint=f"spoken: {PROTOCOLS}")
        identity = self.authority.identify(hello.token)
        self.router.limits.require_active(identity.tenant)
        new = partial(Session, identity=identity, server=self.server, router=self.router, feed=self.feed)
        session = self.sessions.claim(hello.resume, identity) if hello.resume else None
        recalled = None
        if session is not None:
            session.identity = identity
            session.resume(hello.pending)
        elif hello.resume:
            recalled = await self.sessions.recall(hello.resume, identity, new)
        if session is None:
            session = recalled or new(
                world=hello.world,
                packed=hello.format == "msgpack",
                frame_bytes_max=hello.frame_bytes_max or self.server.client_frame_bytes_max,
            )
            await self.sessions.share(session)
            resumed = recalled is not None
        else:
            resumed = True
        reply = {
            "protocol": PROTOCOL,
            "resume": session.resume_token,
            "resumed": resumed,
            "lost": hello.pending if recalled is not None else [],
            "seq": await self._listen(session, hello.seq),
        }
        self.log.info("session.opened", tenant=identity.tenant, world=session.world, resumed=resumed)
        return session, reply

    async def _listen(self, session: Session, after_seq: int | None) -> int:
        """Let the session hear of its world, wherever that is, from `after_seq` on; the world's newest event."""
        tenant, world = session.identity.tenant, session.world
        if not world:
            return 0
        if after_seq is not None:
            await self.feed.reach_back(tenant, world, after_seq)
        if self.places.here(tenant, world):
            seq = self.worlds.get(tenant, world).state.seq
        else:
            seq = await self.history.newest_seq(tenant, world)
            self.feed.begin(tenant, world, seq)
        session.listen(after_seq)
        self.followers.follow(tenant, world)
        return seq

    async def _exchange(self, socket: Socket, session: Session) -> int:
        """Run the socket until it ends; the close code when the client left, Close when we must close."""
        extensions: dict[str, Any] = socket.scope.get("extensions") or {}
        protocol: LinkProtocol | None = extensions.get(DOOR)  # not there under another server than ours
        wire = _Wire(socket, session, protocol, self._watch)
        session.carry(wire)
        try:
            session.narrow(self.authority.current(session.identity))  # it may have ended while hello was answered
        except Unauthenticated as error:
            raise Close(TOKEN, error.message) from error
        if protocol is not None:
            protocol.door = session
        try:
            return await self._read(wire)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if wire.closing is None or task is None or task.uncancel():
                raise
            raise wire.closing from None
        finally:
            if protocol is not None:
                protocol.door = None
            wire.detach()

    async def _read(self, wire: _Wire) -> int:
        session = wire.session
        session.malformed = 0
        while True:
            message: Any = await wire.socket.receive()
            if message["type"] == "websocket.disconnect":
                return int(message.get("code") or 1005)
            body, packed = _body(message)
            ticket: Ticket | None = message.get(TICKET)
            try:
                frame = decode(body, Frame, packed=packed, what="the frame")
            except Error as error:
                if ticket is not None:
                    ticket.leave()
                session.malformed += 1
                session.refuse(_readable_id(body, packed=packed), error)
                if session.malformed >= self.server.malformed_max:
                    await wire.flushed()  # lets the error reply out before the close
                    raise Close(MALFORMED, f"{session.malformed} malformed frames in a row") from error
                continue
            if ticket is not None and ticket.op != frame.op:  # a member that came twice
                ticket.leave()
                ticket = None
            if frame.op == "refresh":
                self._refresh(wire, frame, packed=packed)
            else:
                session.accept(frame, packed=packed, ticket=ticket)

    def _refresh(self, wire: _Wire, frame: Frame, *, packed: bool) -> None:
        """A newer token for the same key keeps the socket open."""
        session = wire.session
        session.malformed = 0
        try:
            data = decode(frame.data, dict[str, str], packed=packed, what="refresh")
            identity = self.authority.identify(data.get("token", ""))
            if identity.subject != session.identity.subject:
                raise Unauthenticated("the token is of another key", hint="refresh with the key that said hello")
        except Error as error:
            session.refuse(frame.id, error)
        else:
            session.identity = identity
            session.acknowledge(frame.id)
            self._watch(wire)

    def _watch(self, wire: _Wire) -> None:
        """Close when the token ends; a refresh moves that end. A timer, since a task for each socket costs memory."""
        if wire.expiry is not None:
            wire.expiry.cancel()
            wire.expiry = None
        expires_ms = wire.session.identity.expires_ms
        if expires_ms is None:
            return
        left_s = (expires_ms - self.clock.wall_ms()) / 1000.0
        if left_s <= 0.0:
            wire.end(Close(TOKEN, "the token has expired; say refresh before its end, or hello again"))
        else:
            # The wall clock may be set meanwhile, so it is read again well before a long wait is over.
            wire.expiry = asyncio.get_running_loop().call_later(min(left_s, EXPIRY_S_MAX), self._watch, wire)


class _Wire:
    """Carries one session over one socket: a frame goes straight to the transport while that takes any.

    Where it does not, or another server than ours runs the socket, a task writes what waits, and is there no longer.
    """

    __slots__ = ("_protocol", "_reader", "_watch", "_writer", "closing", "expiry", "session", "socket")

    def __init__(
        self, socket: Socket, session: Session, protocol: LinkProtocol | None, watch: Callable[[_Wire], None]
    ) -> None:
        self._watch = watch
        self._protocol = protocol
        self.socket = socket
        self.session = session
        self.closing: Close | None = None
        self.expiry: asyncio.TimerHandle | None = None
        self._reader = asyncio.current_task()
        self._writer: asyncio.Task[None] | None = None

    def wake(self) -> None:
        if self._writer is not None or self.closing is not None:
            return
        if self._protocol is not None:
            packed = self.session.packed
            while (frame := self.session.peek()) is not None and self._protocol.write(frame.body, packed=packed):
                self.session.take()
            if frame is None:
                return
        self._writer = asyncio.create_task(self._write())

    def end(self, close: Close) -> None:
        if self.closing is None and self._reader is not None:
            self.closing = close
            self._reader.cancel()

    def renewed(self) -> None:
        self._watch(self)

    async def flushed(self) -> None:
        """Wait until the waiting frames are written, for a moment at most."""
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=CLOSE_S_MAX)

    def detach(self) -> None:
        """Write nothing more."""
        if self.expiry is not None:
            self.expiry.cancel()
        if self._writer is not None:
            self._writer.cancel()
        self._reader = None

    async def _write(self) -> None:
        try:
            while (frame := self.session.take()) is not None:
                await _send(self.socket, frame.body, self.session.packed)
        except OSError:
            pass  # the client is gone; the reader is told so next, and the session keeps its replies
        finally:
            self._writer = None


async def _send(socket: Socket, body: bytes, packed: bool) -> None:
    if packed:
        await socket.send({"type": "websocket.send", "bytes": body, "text": None})
    else:
        await socket.send({"type": "websocket.send", "bytes": None, "text": body.decode()})


def _code(error: Error) -> int:
    """The close code after a hello that failed."""
    if isinstance(error, Unauthenticated):
        return TOKEN
    if isinstance(error, TenantSuspended):
        return SUSPENDED
    return LATER if isinstance(error, Unavailable) else MALFORMED


async def _close(socket: Socket, close: Close) -> None:
    """Say why, unless the client takes no more bytes; the transport closes in any case."""
    try:
        async with asyncio.timeout(CLOSE_S_MAX):
            await socket.close(code=close.code, reason=close.reason[:120])
    except (TimeoutError, OSError):
        return


def _body(message: Any) -> tuple[bytes, bool]:
    """(bytes, whether they are msgpack) of a received message: binary frames are msgpack, text is JSON."""
    packed = message.get("bytes")
    if packed is not None:
        return packed, True
    return (message.get("text") or "").encode("utf-8", "surrogatepass"), False


class _OnlyId(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(max_length=ID_LENGTH_MAX)] = ""


def _readable_id(body: bytes, *, packed: bool) -> str:
    """The frame's id where it can be read, else an empty one."""
    try:
        return decode(body, _OnlyId, packed=packed, what="the frame").id
    except Error:
        return ""
