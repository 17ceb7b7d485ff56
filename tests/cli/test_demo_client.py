"""The demo's client: typed errors, replies by id, and coming back when the link drops."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from app.cli.demo.client import Link
from app.core.errors import DeadlineExceeded, NotFound, Unavailable
from app.modules.world import messages

Answer = Callable[[ServerConnection, dict[str, Any]], Awaitable[None]]
DESCRIBED = {"world": "w", "seq": 3, "game_s": 0.0, "counts": {}, "maps": {}}


class Wire:
    """A server that says hello and then answers each frame as `answer` does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hellos: list[dict[str, Any]] = []
        self.resumes = False
        self.answer: Answer = self.describe
        self.server: Server | None = None

    async def describe(self, socket: ServerConnection, frame: dict[str, Any]) -> None:
        await self.reply(socket, {"id": frame["id"], "ok": True, "data": DESCRIBED})

    async def reply(self, socket: ServerConnection, frame: dict[str, Any]) -> None:
        await socket.send(msgspec.msgpack.encode(frame))

    async def open(self) -> None:
        self.server = await serve(self._serve, "127.0.0.1", 0, compression=None)
        port = self.server.sockets[0].getsockname()[1]
        (self.folder / "address.json").write_text(json.dumps({"url": f"http://127.0.0.1:{port}", "pid": 1}))

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()
            self.server = None

    async def _serve(self, socket: ServerConnection) -> None:
        async for body in socket:
            frame = msgspec.msgpack.decode(body)
            if frame["op"] == "hello":
                self.hellos.append(frame["data"])
                data = {"protocol": 1, "resume": "again", "resumed": self.resumes, "seq": 3}
                await self.reply(socket, {"id": frame["id"], "ok": True, "data": data})
            else:
                await self.answer(socket, frame)


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    (tmp_path / "api-key").write_text("key")
    made = Wire(tmp_path)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def link(wire: Wire) -> AsyncIterator[Link]:
    made = Link(wire.folder, "w", on_push=lambda _op, _data: None)
    running = asyncio.create_task(made.run())
    await asyncio.wait_for(made.up.wait(), 5.0)
    yield made
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def ask(link: Link, deadline_ms: int = 1_000) -> messages.Described:
    return await link.ask(messages.Describe(), messages.Described, deadline_ms=deadline_ms)


async def test_a_reply_is_typed(link: Link) -> None:
    assert (await ask(link)).seq == 3


async def test_an_error_comes_as_its_member_of_the_tree(link: Link, wire: Wire) -> None:
    async def refuse(socket: ServerConnection, frame: dict[str, Any]) -> None:
        error = {"code": "not_found", "message": "no world 'w'", "hint": "make one", "docs": "/docs"}
        await wire.reply(socket, {"id": frame["id"], "ok": False, "error": error})

    wire.answer = refuse
    with pytest.raises(NotFound, match="no world 'w'"):
        await ask(link)


async def test_replies_find_their_requests_in_any_order(link: Link, wire: Wire) -> None:
    held: list[dict[str, Any]] = []

    async def backward(socket: ServerConnection, frame: dict[str, Any]) -> None:
        held.append(frame)
        if len(held) == 3:
            for seq, each in enumerate(reversed(held)):
                await wire.reply(socket, {"id": each["id"], "ok": True, "data": {**DESCRIBED, "seq": seq}})

    wire.answer = backward
    found = await asyncio.gather(*(ask(link) for _ in range(3)))
    assert [each.seq for each in found] == [2, 1, 0]


async def test_silence_ends_at_the_deadline(link: Link, wire: Wire) -> None:
    async def silent(_socket: ServerConnection, _frame: dict[str, Any]) -> None:
        return

    wire.answer = silent
    with pytest.raises(DeadlineExceeded):
        await ask(link, deadline_ms=20)


async def test_a_server_started_anew_fails_what_was_under_way_and_insisting_repeats_it(link: Link, wire: Wire) -> None:
    async def hang_up(socket: ServerConnection, _frame: dict[str, Any]) -> None:
        await socket.close()

    wire.answer = hang_up
    with pytest.raises(Unavailable):
        await ask(link, deadline_ms=5_000)
    wire.answer = wire.describe
    found = await asyncio.wait_for(link.insist(messages.Describe(), messages.Described), 5.0)
    assert found.seq == 3
    assert link.connects == 2


async def test_a_link_that_drops_is_resumed_with_what_is_pending(link: Link, wire: Wire) -> None:
    wire.resumes = True
    asked: list[str] = []

    async def drop_once(socket: ServerConnection, frame: dict[str, Any]) -> None:
        asked.append(frame["id"])
        await socket.close()

    async def late_reply(socket: ServerConnection, frame: dict[str, Any]) -> None:
        await wire.reply(socket, {"id": asked[0], "ok": True, "data": {**DESCRIBED, "seq": 9}})
        await wire.describe(socket, frame)

    wire.answer = drop_once
    pending = asyncio.create_task(ask(link, deadline_ms=5_000))
    while link.connects < 2:
        link.up.clear()
        await asyncio.wait_for(link.up.wait(), 5.0)
    wire.answer = late_reply
    await asyncio.wait_for(link.insist(messages.Describe(), messages.Described), 5.0)
    assert (await pending).seq == 9
    assert (wire.hellos[1]["resume"], wire.hellos[1]["pending"]) == ("again", asked[:1])


async def test_a_link_that_is_down_says_so_at_once(tmp_path: Path) -> None:
    link = Link(tmp_path, "w", on_push=lambda _op, _data: None)
    with pytest.raises(Unavailable):
        await ask(link)
