"""A client of the wire protocol: one WebSocket in msgpack, typed requests in, typed replies out.

It comes back by itself when the link drops, resumes its session where the server still holds it, and
repeats what carries a key until it is answered. It knows no game.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from app.core.errors import DeadlineExceeded, Error, NotFound, Unavailable, from_code
from app.core.messages import Reply, Request

R = TypeVar("R", bound=Reply)

ADDRESS_FILE = "address.json"
KEY_FILE = "api-key"
FRAME_BYTES_MAX = 8 * 1024 * 1024
RETRY_S = (0.05, 1.0)
"""Shortest and longest wait before the next try to connect; drawn between, doubling."""
REPLY_SLACK_S = 0.25
"""How long past a request's deadline its reply is still waited for."""
INFLIGHT_MAX = 48
"""Requests without a reply at one time; the server takes 64."""


class Address(msgspec.Struct, frozen=True):
    """Where a server listens, as `serve` writes it."""

    url: str
    pid: int
    mode: int = 0


class _Fault(msgspec.Struct, frozen=True):
    code: str = "error"
    message: str = ""
    hint: str = ""
    retry_after_s: float | None = None

    def raised(self) -> Error:
        return from_code(self.code, self.message, hint=self.hint, retry_after_s=self.retry_after_s)


class _Frame(msgspec.Struct, frozen=True):
    id: str = ""
    ok: bool = True
    op: str = ""
    seq: int = 0
    data: msgspec.Raw = msgspec.Raw(b"\x80")
    chunk: msgspec.Raw = msgspec.Raw()
    error: _Fault | None = None


class _Welcome(msgspec.Struct, frozen=True):
    resume: str
    resumed: bool
    seq: int


@dataclass(slots=True)
class Link:
    """The connection of one game server to one world.

    `folder` is the server's data folder: its address and key are read again at each connect, because a
    server that was started anew may listen elsewhere.
    """

    folder: Path
    world: str
    on_push: Callable[[str, msgspec.Raw], None]
    connects: int = 0
    """How often a link was made; more than 1 means that it was lost in between."""
    on_connect: Callable[[], None] = lambda: None
    """Called each time a link is made."""
    up: asyncio.Event = field(default_factory=asyncio.Event)
    _socket: ClientConnection | None = None
    _resume: str = ""
    _push_seq: int | None = None
    _count: int = 0
    _pending: dict[str, asyncio.Future[msgspec.Raw]] = field(default_factory=dict)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(INFLIGHT_MAX))

    async def run(self) -> None:
        """Keep the link up until canceled; raises Unauthenticated when the key does not hold."""
        generator = np.random.default_rng()
        wait_s = RETRY_S[0]
        while True:
            try:
                await self._live()
                wait_s = RETRY_S[0]
            except (OSError, WebSocketException, InvalidHandshake, TimeoutError, NotFound, Unavailable):
                wait_s = min(RETRY_S[1], 2.0 * wait_s)
            finally:
                self.up.clear()
                self._socket = None
            await asyncio.sleep(wait_s * float(generator.uniform(0.5, 1.0)))

    async def ask(self, request: Request, reply: type[R], *, deadline_ms: int) -> R:
        """The server's reply. Raises the error that it answered, Unavailable when the link is down or drops."""
        async with self._room:
            socket = self._socket
            if socket is None:
                raise Unavailable(f"no link for {request.op!r}", hint="it comes back by itself")
            self._count += 1
            id = f"r{self._count}"
            future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
            self._pending[id] = future
            frame = {"id": id, "op": request.op, "deadline_ms": deadline_ms, "data": request}
            try:
                await socket.send(_encoder.encode(frame))
                async with asyncio.timeout(deadline_ms / 1000.0 + REPLY_SLACK_S):
                    return msgspec.msgpack.decode(await future, type=reply)
            except TimeoutError as error:
                raise DeadlineExceeded(f"no reply to {request.op!r} within {deadline_ms} ms") from error
            except (OSError, WebSocketException) as error:
                raise Unavailable(f"the link dropped under {request.op!r}") from error
            finally:
                del self._pending[id]

    async def insist(self, request: Request, reply: type[R], *, deadline_ms: int = 5_000) -> R:
        """As `ask`, again and again until the server is there; only for reads and for what carries a key."""
        while True:
            await self.up.wait()
            try:
                return await self.ask(request, reply, deadline_ms=deadline_ms)
            except Unavailable:
                await asyncio.sleep(0.1)

    async def _live(self) -> None:
        """One connection, from hello to its end."""
        address = read_address(self.folder)
        url = address.url.replace("http", "ws", 1) + "/v1/link"
        async with connect(url, compression=None, max_size=FRAME_BYTES_MAX, open_timeout=5.0, proxy=None) as socket:
            welcome = await self._hello(socket)
            if not welcome.resumed:
                self._fail_pending()
            self._resume = welcome.resume
            self.connects += 1
            self._socket = socket
            self.on_connect()
            self.up.set()
            async for body in socket:
                self._take(_frames.decode(body if isinstance(body, bytes) else body.encode()))

    async def _hello(self, socket: ClientConnection) -> _Welcome:
        hello: dict[str, Any] = {
            "token": read_key(self.folder),
            "format": "msgpack",
            "world": self.world,
            "frame_bytes_max": FRAME_BYTES_MAX,
            "resume": self._resume,
            "seq": self._push_seq,
            "pending": list(self._pending),
        }
        await socket.send(_encoder.encode({"id": "hello", "op": "hello", "data": hello}))
        async with asyncio.timeout(5.0):
            body = await socket.recv()
        frame = _frames.decode(body if isinstance(body, bytes) else body.encode())
        if frame.error is not None:
            raise frame.error.raised()
        return msgspec.msgpack.decode(frame.data, type=_Welcome)

    def _take(self, frame: _Frame) -> None:
        if frame.op:
            self._push_seq = max(frame.seq, self._push_seq or 0)
            self.on_push(frame.op, frame.data)
            return
        pending = self._pending.get(frame.id)
        if pending is None or pending.done() or frame.chunk:
            return
        if frame.error is not None:
            pending.set_exception(frame.error.raised())
        else:
            pending.set_result(frame.data)

    def _fail_pending(self) -> None:
        """The server has forgotten the session: nothing of what was asked will be answered."""
        for pending in self._pending.values():
            if not pending.done():
                pending.set_exception(Unavailable("the server was started anew"))


_encoder = msgspec.msgpack.Encoder()
_frames = msgspec.msgpack.Decoder(_Frame)


def read_address(folder: Path) -> Address:
    """Where the server of that data folder listens; raises NotFound when it has not said."""
    try:
        return msgspec.json.decode((folder / ADDRESS_FILE).read_bytes(), type=Address)
    except (OSError, msgspec.DecodeError) as error:
        raise NotFound(f"no server has opened {str(folder)!r}", hint="start one with manage.py serve") from error


def read_key(folder: Path) -> str:
    """The first key of that data folder; raises NotFound when it is not there."""
    try:
        return (folder / KEY_FILE).read_text().strip()
    except OSError as error:
        raise NotFound(f"no {KEY_FILE} in {str(folder)!r}", hint="the server writes it at its first start") from error


def call_http(folder: Path, method: str, path: str, body: bytes = b"", *, timeout_s: float = 30.0) -> dict[str, Any]:
    """The JSON answer of an HTTP resource, where there is no message for it; blocks.

    Raises Unavailable when the server cannot be reached, else the error that it answered.
    """
    request = urllib.request.Request(  # noqa: S310  # the address is the server's own file, always http
        read_address(folder).url + path, data=body or None, method=method
    )
    request.add_header("Authorization", f"Bearer {read_key(folder)}")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout_s) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        problem: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            problem = json.load(error)
        raise from_code(problem.get("code", "error"), problem.get("detail", str(error))) from error
    except OSError as error:
        raise Unavailable(f"{method} {path} found no server: {error}") from error
