"""One client's session: its identity, its requests in flight and its bounded outbox.

A session outlives its socket by `resume_ms`: work goes on, and a client that comes back with its
resume token gets the replies and pushes that it missed, each once. It does not know the transport.
Ten thousand of them may be idle at once, so one that is idle holds no task and no queue.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from app.control.auth import Identity
from app.core.errors import Conflict, Error, Invalid, RateLimited, TooLarge
from app.core.messages import Chunk, Frame, Push
from app.core.module import Scope
from app.core.profile import Server
from app.edge import encoding, errors
from app.edge.admission import Ticket
from app.edge.feed import Feed
from app.edge.router import Router, decode


class Close(Exception):
    """The socket must close with `code`; the codes are documented in docs/reference/wire.md."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


RESTART = 1012
TOKEN = 4401
SUSPENDED = 4423
LATE = 4408
SLOW = 4429
MALFORMED = 4400
LATER = 1013


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An encoded frame; `seq` is set on pushes, `reply_to` on final replies."""

    body: bytes
    seq: int = 0
    reply_to: str = ""


class Carrier(Protocol):
    """What carries a session's frames to its client while there is a socket."""

    def wake(self) -> None:
        """A frame waits in the outbox."""
        ...

    def end(self, close: Close) -> None:
        """The socket must close."""
        ...

    def renewed(self) -> None:
        """The session's identity has another end."""
        ...


class Session:
    """Takes frames, runs them through the router, and fills the outbox."""

    __slots__ = (
        "_answered", "_answered_bytes", "_carrier", "_feed", "_inflight", "_outbox", "_overflowed", "_router",
        "_server", "_unlisten", "frame_bytes_max", "identity", "malformed", "packed", "resume_token", "world",
    )  # fmt: skip

    def __init__(
        self,
        *,
        identity: Identity,
        world: str,
        packed: bool,
        frame_bytes_max: int,
        server: Server,
        router: Router,
        feed: Feed,
    ) -> None:
        self.identity = identity
        self.world = world
        self.packed = packed
        self.resume_token = secrets.token_urlsafe(24)
        self.frame_bytes_max = frame_bytes_max
        self.malformed = 0
        """Frames in a row that could not be read."""
        self._server = server
        self._router = router
        self._feed = feed
        self._outbox: list[Outgoing] = []
        self._overflowed = False
        self._carrier: Carrier | None = None
        self._inflight: dict[str, asyncio.Task[None]] = {}
        self._answered: dict[str, Outgoing] = {}
        self._answered_bytes = 0
        self._unlisten: Callable[[], None] | None = None

    def carry(self, carrier: Carrier) -> None:
        """Frames go to `carrier` from now on, first those that wait."""
        self._carrier = carrier
        if self._overflowed:
            carrier.end(_slow())
        elif self._outbox:
            carrier.wake()

    def peek(self) -> Outgoing | None:
        """The oldest waiting frame."""
        return self._outbox[0] if self._outbox else None

    def take(self) -> Outgoing | None:
        """The oldest waiting frame, which is then no longer in the outbox."""
        return self._outbox.pop(0) if self._outbox else None

    def listen(self, after_seq: int | None) -> None:
        """Begin to receive the world's pushes, from after `after_seq` on where it is given."""
        if not self.world or Scope.READ not in self.identity.scopes:
            return
        if after_seq is not None:
            for seq, push in self._feed.after(self.identity.tenant, self.world, after_seq):
                self._push(seq, push)
        self._unlisten = self._feed.listen(self.identity.tenant, self.world, self._push)

    def pause(self) -> None:
        """The socket is gone: keep what is in flight, forget what the feed can give again."""
        self._carrier = None
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        self._outbox = [frame for frame in self._outbox if not frame.seq]

    def resume(self, pending: list[str]) -> None:
        """A new socket is here: send again the replies that the client says it never got."""
        queued, self._outbox = self._outbox, []
        again = [self._answered[id] for id in pending if id in self._answered]
        sent = {frame.reply_to for frame in again}
        for frame in [*again, *(frame for frame in queued if not frame.reply_to or frame.reply_to not in sent)]:
            self._put(frame)

    def narrow(self, identity: Identity) -> None:
        """Go on as the same caller with what it may do now; what is in flight beyond that ends."""
        self.identity = identity
        if Scope.READ not in identity.scopes and self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        for task in list(self._inflight.values()):
            if self._router.routes[task.get_name()].handler.scope & ~identity.scopes:
                task.cancel()
        if self._carrier is not None:
            self._carrier.renewed()

    def revoke(self) -> None:
        """The caller's access has ended: the socket closes, and nothing in flight is finished."""
        if self._carrier is not None:
            self._carrier.end(Close(TOKEN, "the access of this key or sign-in has ended"))
        self.close()

    def dismiss(self, close: Close) -> None:
        """Close the socket, where there is one."""
        if self._carrier is not None:
            self._carrier.end(close)

    def close(self) -> None:
        """End everything in flight."""
        self._carrier = None
        if self._unlisten is not None:
            self._unlisten()
        for task in self._inflight.values():
            task.cancel()

    async def drain(self) -> None:
        """Wait for the requests in flight."""
        await asyncio.gather(*self._inflight.values(), return_exceptions=True)

    def knock(self, id: str, op: str, *, whole: bool) -> Ticket | None:
        """A ticket for a message of which only the head was read; None leaves it to `accept`.

        A message that is not there as a whole gets no ticket: a client that never sends the rest would keep it.
        Raises Overloaded, and what `accept` would be told for its id or its number.
        """
        route = self._router.routes.get(op)
        if route is None:
            return None
        self._require_room(id)
        if whole:
            return self._router.admission.enter(op, writes=route.writes, tenant=self.identity.tenant)
        self._router.admission.check(op, writes=route.writes, tenant=self.identity.tenant)
        return None

    def receive(self, payload: bytes, ticket: Ticket, *, packed: bool) -> bool:
        """Take a message straight from the transport; False for what only the socket's reader can judge."""
        try:
            frame = encoding.decode(payload, Frame, packed=packed, what="the frame")
        except Error:
            return False
        if frame.op != ticket.op or frame.op == "refresh":
            return False
        self.accept(frame, packed=packed, ticket=ticket)
        return True

    def accept(self, frame: Frame, *, packed: bool, ticket: Ticket | None = None) -> None:
        """Start the work that a frame asks for, or answer it at once; `ticket` when it was let in at its head."""
        self.malformed = 0
        try:
            if frame.op == "cancel":
                self._cancel(frame, packed=packed)
            else:
                self._require_room(frame.id)
                self._start(frame, packed=packed, ticket=ticket)
        except Error as error:
            if ticket is not None:
                ticket.leave()
            self.refuse(frame.id, error)

    def _require_room(self, id: str) -> None:
        """Raise Conflict for an id that is in flight, RateLimited when too many are."""
        if id in self._inflight:
            raise Conflict(f"id {id!r} is in flight already", hint="give each request an id of its own")
        if len(self._inflight) >= self._server.inflight_max:
            raise RateLimited(
                f"{len(self._inflight)} requests are in flight", hint="wait for replies", retry_after_s=1.0
            )

    def refuse(self, id: str, error: Error) -> None:
        """Queue an error reply."""
        self._put(Outgoing(self.refusal(id, error), reply_to=id))

    def refusal(self, id: str, error: Error) -> bytes:
        """An error reply."""
        return self.encode({"id": id, "ok": False, "error": errors.to_frame(error)})

    def acknowledge(self, id: str) -> None:
        """Queue an empty reply."""
        self._put(Outgoing(self.encode({"id": id, "ok": True, "data": {}}), reply_to=id))

    def encode(self, frame: dict[str, Any]) -> bytes:
        """The frame in the session's encoding."""
        return encoding.encode(frame, packed=self.packed)

    def _start(self, frame: Frame, *, packed: bool, ticket: Ticket | None) -> None:
        route = self._router.route(frame.op)
        if ticket is None:
            ticket = self._router.admission.enter(frame.op, writes=route.writes, tenant=self.identity.tenant)

        async def send(chunk: Chunk) -> None:
            self._put(Outgoing(self.encode({"id": frame.id, "chunk": chunk})))

        async def run() -> None:
            ticket.begin()
            try:
                await self._router.limits.take(self.identity)
                self._router.authorize(route, self.identity)
                reply = await self._router.dispatch(
                    route,
                    decode(route, frame.data, packed=packed),
                    identity=self.identity,
                    id=frame.id,
                    world=self.world,
                    deadline_ms=frame.deadline_ms,
                    send=send,
                )
                body = self._within_bound(self.encode({"id": frame.id, "ok": True, "data": reply}))
            except Error as error:
                settle()
                self.refuse(frame.id, error)
            else:
                settle()  # first: whoever has the reply may ask again under the same id, or at the bound
                self._reply(frame.id, body)

        def settle() -> None:
            if self._inflight.get(frame.id) is task:
                ticket.leave()
                del self._inflight[frame.id]

        def over(task: asyncio.Task[None]) -> None:
            # Here and not in `run`, which never starts when the cancel came with the request.
            settle()
            if task.cancelled():
                self.refuse(frame.id, Conflict("canceled by the client"))

        task = self._inflight[frame.id] = asyncio.create_task(run(), name=frame.op)
        task.add_done_callback(over)

    def _within_bound(self, body: bytes) -> bytes:
        """The reply; raises TooLarge when the client takes no such frame."""
        if len(body) > self.frame_bytes_max:
            raise TooLarge(
                f"the reply has {len(body)} bytes, over the {self.frame_bytes_max} that this client takes",
                hint="ask for less at once, or give a larger frame_bytes_max in hello",
            )
        return body

    def _reply(self, id: str, body: bytes) -> None:
        outgoing = Outgoing(body, reply_to=id)
        self._put(outgoing)
        self._keep(id, outgoing)

    def _keep(self, id: str, reply: Outgoing) -> None:
        """Keep a reply for a client that may not have got it; the oldest go when they are too many or too large."""
        before = self._answered.pop(id, None)
        self._answered_bytes += len(reply.body) - (len(before.body) if before is not None else 0)
        self._answered[id] = reply
        server = self._server
        while len(self._answered) > server.inflight_max or self._answered_bytes > server.answers_bytes_max:
            self._answered_bytes -= len(self._answered.pop(next(iter(self._answered))).body)

    def _push(self, seq: int, push: Push) -> None:
        self._put(Outgoing(self.encode({"op": push.op, "seq": seq, "data": push}), seq=seq))

    def _put(self, frame: Outgoing) -> None:
        """Queue a frame; a client that reads too slowly loses its socket and slows nobody else."""
        if len(self._outbox) >= self._server.outbox_frames_max:
            self._overflowed = True
            if self._carrier is not None:
                self._carrier.end(_slow())
            return
        self._outbox.append(frame)
        if self._carrier is not None:
            self._carrier.wake()

    def _cancel(self, frame: Frame, *, packed: bool) -> None:
        data = encoding.decode(frame.data, _Cancel, packed=packed, what="cancel")
        task = self._inflight.get(data.id)
        if task is None:
            raise Invalid(f"no request {data.id!r} is in flight", hint="it may have been answered already")
        task.cancel()
        self.acknowledge(frame.id)


def _slow() -> Close:
    return Close(SLOW, "the client reads too slowly")


class _Cancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
