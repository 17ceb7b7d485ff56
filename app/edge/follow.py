"""Tells this replica's clients what happens in the worlds of other replicas.

For each such world that somebody here listens to, one socket to its owner; its pushes go into the feed as if they had
been made here. When the owner is gone the world is looked for anew; one that has come here is followed no longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from app.core.errors import Unavailable
from app.core.messages import Push
from app.core.module import Module
from app.core.ports import Log, Places
from app.edge.feed import Feed
from app.edge.forward import Forwarder

REFRESH_S = 30.0
"""How often the owner gets a newer token; well within a token's minute."""
AGAIN_S = 0.2
OPEN_S_MAX = 2.0
_encoder = msgspec.msgpack.Encoder()


class _Told(msgspec.Struct):
    """A frame of the owner's; only pushes have an `op`."""

    op: str = ""
    ok: bool = True
    seq: int = 0
    data: msgspec.Raw = msgspec.Raw(b"")


_decoder = msgspec.msgpack.Decoder(_Told)


class Followers:
    """Owns one task for each world that is followed."""

    def __init__(
        self,
        *,
        places: Places,
        feed: Feed,
        forwarder: Forwarder,
        modules: Sequence[Module],
        frame_bytes_max: int,
        log: Log,
    ) -> None:
        self._places = places
        self._feed = feed
        self._forwarder = forwarder
        self._kinds: dict[str, type[Push]] = {push.op: push for module in modules for push in module.pushes}
        self._frame_bytes_max = frame_bytes_max
        self._log = log
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    def follow(self, tenant: str, world: str) -> None:
        """Follow a world, as this replica, for as long as somebody listens to it and it is not here.

        Who listens is checked here; that one of them loses its access is nothing to the others.
        """
        at = (tenant, world)
        if at not in self._tasks and not self._places.here(*at):
            self._tasks[at] = asyncio.create_task(self._run(*at), name=f"follow {world}")

    async def close(self) -> None:
        """End every task."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, tenant: str, world: str) -> None:
        try:
            while self._feed.heard(tenant, world) and not self._feed.closed:
                with suppress(Unavailable):
                    address = await self._places.find(tenant, world)
                    if not address:
                        return
                    await self._listen(address, tenant, world)
                    self._places.doubt(address)
                await asyncio.sleep(AGAIN_S)
        finally:
            del self._tasks[tenant, world]

    async def _listen(self, address: str, tenant: str, world: str) -> None:
        """Take pushes until the owner is gone or nobody listens here any more."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        url = f"{address.replace('http', 'ws', 1)}/v1/link"
        try:
            async with connect(
                url, compression=None, max_size=self._frame_bytes_max, open_timeout=OPEN_S_MAX, proxy=None
            ) as socket:
                await self._hello(socket, tenant, world)
                await self._take(socket, tenant, world)
        except (WebSocketException, OSError, TimeoutError, msgspec.MsgspecError) as error:
            self._log.info("world.unfollowed", tenant=tenant, world=world, reason=str(error))

    async def _hello(self, socket: Any, tenant: str, world: str) -> None:
        """Open a session at the owner, from the newest push on that is known here."""
        hello = {
            "token": self._forwarder.vouch_for_replica(tenant),
            "format": "msgpack",
            "world": world,
            "frame_bytes_max": self._frame_bytes_max,
            "seq": self._feed.newest_seq(tenant, world) or None,
        }
        await socket.send(_encoder.encode({"id": "hello", "op": "hello", "data": hello}))
        async with asyncio.timeout(OPEN_S_MAX):
            welcome = _decoder.decode(await socket.recv())
        if not welcome.ok:
            raise Unavailable(f"the owner of world {world!r} refuses to be followed", hint="see its log")
        self._feed.begin(tenant, world, msgspec.msgpack.decode(welcome.data)["seq"])

    async def _take(self, socket: Any, tenant: str, world: str) -> None:
        now_s = asyncio.get_running_loop().time
        refresh_s = now_s() + REFRESH_S
        while self._feed.heard(tenant, world):
            try:
                async with asyncio.timeout_at(refresh_s):
                    told = _decoder.decode(await socket.recv())
            except TimeoutError:
                data = {"token": self._forwarder.vouch_for_replica(tenant)}
                await socket.send(_encoder.encode({"id": "refresh", "op": "refresh", "data": data}))
                refresh_s = now_s() + REFRESH_S
                continue
            if told.op in self._kinds:
                push = msgspec.msgpack.decode(told.data, type=self._kinds[told.op])
                self._feed.relay(tenant, world, told.seq, push)
