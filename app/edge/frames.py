"""Turns a WebSocket message away at its head, as app/edge/guards.py does for HTTP, while the server has enough to do.

It follows the frames of RFC 6455 as their bytes arrive and unmasks the first of a message's bytes to see what
is asked. What is refused is answered at once, and the rest of it dropped as it comes: no parser, queue or
task hears of it. What it cannot judge goes to uvicorn's own protocol, untouched. It knows no session, only a door.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Protocol

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # compiled, where that was built
from websockets.http11 import Request
from websockets.protocol import State

from app.core.errors import Error
from app.edge.admission import Ticket

DOOR = "innkeeper.door"
"""The extension of the ASGI scope under which the application finds the protocol, to give it a door."""
TICKET = "ticket"
"""The key of a received message that was let in already."""
HEAD_BYTES = 224
"""As many of a message's first bytes are looked at."""
TEXT, BINARY, FINAL, MASKED = 1, 2, 0x80, 0x80

_NAME = rb'"([a-z_.]{1,64})"'
_ID = rb'"([^"\\\x00-\x1f]{1,128})"'
_ID_OP = re.compile(rb'\s*\{\s*"id"\s*:\s*' + _ID + rb'\s*,\s*"op"\s*:\s*' + _NAME + rb"\s*[,}]")
_OP_ID = re.compile(rb'\s*\{\s*"op"\s*:\s*' + _NAME + rb'\s*,\s*"id"\s*:\s*' + _ID + rb"\s*[,}]")


class Door(Protocol):
    """Decides about one client's messages from their heads."""

    packed: bool
    """Whether what the server sends is msgpack."""

    def knock(self, id: str, op: str, *, whole: bool) -> Ticket | None:
        """A ticket for a message that is here as a whole; None where the usual path must judge. Raises Overloaded."""
        ...

    def receive(self, payload: bytes, ticket: Ticket, *, packed: bool) -> bool:
        """Take a message that was let in; False leaves it, and its ticket, to whoever reads the queue."""
        ...

    def refusal(self, id: str, error: Error) -> bytes:
        """The error reply."""
        ...

    def refuse(self, id: str, error: Error) -> None:
        """Queue the error reply, for a client that does not read now."""
        ...


def asked(head: bytes, *, packed: bool) -> tuple[str, str] | None:
    """(id, op) of the message that begins so; None where its first two members cannot be told to be these."""
    try:
        if packed:
            return _asked_packed(head)
        if found := _ID_OP.match(head):
            return found[1].decode(), found[2].decode()
        if found := _OP_ID.match(head):
            return found[2].decode(), found[1].decode()
    except (UnicodeDecodeError, IndexError):
        pass
    return None


def _asked_packed(head: bytes) -> tuple[str, str] | None:
    if not 0x82 <= head[0] <= 0x84:  # a map of two to four members
        return None
    found: dict[bytes, str] = {}
    at = 1
    for _ in range(2):
        key = head[at : at + 3]
        size, at = head[at + 3], at + 4
        if size == 0xD9:
            size, at = head[at], at + 1
        elif size & 0xE0 == 0xA0:
            size &= 0x1F
        else:
            return None
        if at + size > len(head):
            return None
        found[key] = head[at : at + size].decode()
        at += size
    id, op = found.get(b"\xa2id"), found.get(b"\xa2op")
    return (id, op) if id and op else None


class LinkProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's protocol behind a door."""

    # Ten thousand of these may be idle: a slot costs eight bytes, and nothing else is made before it is needed.
    __slots__ = ("_ended", "_gone", "_held", "_left", "_skips", "door")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.door: Door | None = None
        self._held = b""
        """A frame's head of which not enough has come to judge it."""
        self._left = 0
        """How much of the current frame's payload is still to come."""
        self._skips = False
        """Whether that is dropped."""
        self._gone = self._ended = False

    def data_received(self, data: bytes) -> None:
        if not self.handshake_initiated:
            super().data_received(data)
            return
        if self._held:
            data, self._held = self._held + data, b""
        passed = at = 0  # what lies between goes the usual way
        while True:
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                if self._skips:
                    passed = at
            if at == len(data) or (header := _header(data, at)) is None:
                break
            body, size = header
            if self._judges(data[at], data[at + 1], size):
                if len(data) - body < min(size, HEAD_BYTES):
                    break
                if at > passed:
                    super().data_received(data[passed:at])
                    passed = at
                end = self._judge(data, at, body, size)
                if end is not None:
                    passed = at = end
                    continue
            at, self._left, self._skips = body, size, False
        if at > passed:
            super().data_received(data[passed:at])
        self._held = data[at:]

    def _judges(self, first: int, second: int, size: int) -> bool:
        """Whether the frame is a whole message of an open session, and no larger than one may be."""
        return (
            self.door is not None
            and first in (FINAL | TEXT, FINAL | BINARY)
            and second >= MASKED
            and size <= self.config.ws_max_size
        )

    def _judge(self, data: bytes, at: int, body: int, size: int) -> int | None:
        """Where the bytes end that were dealt with; None when the frame must go the usual way."""
        # What came before may have ended the session, or begun a message in fragments.
        door = self.door
        if door is None or self.close_sent or self.conn.state is not State.OPEN or self.conn.current_size is not None:
            return None
        mask = data[body - 4 : body]
        packed = data[at] == FINAL | BINARY
        found = asked(apply_mask(data[body : body + min(size, HEAD_BYTES)], mask), packed=packed)
        if found is None:
            return None
        whole = len(data) - body >= size
        try:
            ticket = door.knock(*found, whole=whole)
        except Error as error:
            self._answer(door, found[0], error)
            self._left, self._skips = size, True
            return body
        if ticket is None or not self._deliver(apply_mask(data[body : body + size], mask), ticket, packed=packed):
            return None
        return body + size

    def _deliver(self, payload: bytes, ticket: Ticket, *, packed: bool) -> bool:
        """Hand a message over at once where none waits before it, else queue it; False for text that is no UTF-8."""
        if self.door is not None and self.queue.empty() and self.door.receive(payload, ticket, packed=packed):
            return True
        message: Any = {"type": "websocket.receive", TICKET: ticket}
        if packed:
            message["bytes"] = payload
        else:
            try:
                message["text"] = payload.decode()
            except UnicodeDecodeError:
                ticket.leave()
                return False
        self._queue(message)
        return True

    def _queue(self, message: Any) -> None:
        """Let the application have the message before more is read, as uvicorn does."""
        self.queue.put_nowait(message)
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def send_receive_event_to_app(self) -> None:
        """As uvicorn's, without a traceback in the log for each client that sends no UTF-8."""
        if self.curr_msg_data_type != "text" or self.close_sent:
            super().send_receive_event_to_app()
            return
        data, self.frames = b"".join(self.frames), []
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.conn.send_close(1007)
            self.handle_parser_exception()
        else:
            self._queue({"type": "websocket.receive", "text": text})

    def _answer(self, door: Door, id: str, error: Error) -> None:
        """Say no, past what waits in the outbox; a client that does not read now finds it there."""
        if not self.write(door.refusal(id, error), packed=door.packed):
            door.refuse(id, error)

    def write(self, body: bytes, *, packed: bool) -> bool:
        """Send a whole message, past the application's own sending; False while the client takes no more bytes."""
        if not self.writable.is_set() or self.close_sent or self.conn.state is not State.OPEN:
            return False
        size, first = len(body), FINAL | (BINARY if packed else TEXT)
        if size < 126:
            self.transport.write(bytes((first, size)) + body)
        elif size < 65_536:
            self.transport.write(bytes((first, 126, size >> 8, size & 255)) + body)
        else:
            self.transport.writelines([bytes((first, 127)) + size.to_bytes(8), body])
        return True

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: Any = self.scope["extensions"]
            extensions[DOOR] = self

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._gone = True
        self._part()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        while not self.queue.empty():  # nobody will ask for these any more
            message: Any = self.queue.get_nowait()
            if TICKET in message:
                message[TICKET].leave()
        self._ended = True
        self._part()

    def _part(self) -> None:
        """Take apart what a socket leaves once it is gone and its application has ended.

        Its objects hold one another, and the collector has been told not to look at them again (app/cli/serve.py).
        """
        if self._gone and self._ended:
            self.door = None
            scope: Any = self.scope
            scope.clear()
            self.conn.parser.close()
            del self.conn, self.transport


def _header(data: bytes, at: int) -> tuple[int, int] | None:
    """(where the payload begins, its size) of the frame at `at`; None while its header is not all there."""
    if len(data) - at < 2:
        return None
    size, body = data[at + 1] & 0x7F, at + 2
    if size >= 126:
        body += 2 if size == 126 else 8
        size = int.from_bytes(data[at + 2 : body])
    if data[at + 1] & MASKED:
        body += 4
    return (body, size) if len(data) >= body else None
