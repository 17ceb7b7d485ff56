"""Two replicas behind haproxy: the owner of a world is killed under load, and the world goes on in the other one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.e2e.replicas import balanced, replicas
from tests.servers import Link, Server
from tests.stores.contracts.servers import key_server

WRITERS = 4
HTTP_WRITERS = 2


@dataclass
class Player:
    """A client that keeps a socket through haproxy, writes with keys, and notes what was acknowledged and pushed."""

    front: Server
    name: str
    acknowledged: list[str] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    resumed: list[bool] = field(default_factory=list)
    token: str = ""
    stop: bool = False

    async def play(self) -> None:
        """Write until told to stop, over as many sockets as it takes."""
        numbers = itertools.count()
        pending = f"{self.name}-{next(numbers)}"
        while not self.stop:
            try:
                async with websockets.connect(self._url(), compression=None, open_timeout=2) as socket:
                    await self._hello(socket)
                    while not self.stop:
                        if await self._write(socket, pending):
                            self.acknowledged.append(pending)
                            pending = f"{self.name}-{next(numbers)}"
            except (OSError, websockets.WebSocketException, TimeoutError):
                await asyncio.sleep(0.05)

    async def _hello(self, socket: Any) -> None:
        data: dict[str, Any] = {"token": self.front.key, "world": "w"}
        if self.token:
            data |= {"resume": self.token, "seq": max(self.seqs, default=0), "pending": ["x"]}
        link = Link(socket, packed=False)
        reply = await asyncio.wait_for(link.ask("hello", data), 5)
        if not reply["ok"]:
            raise TimeoutError(reply)
        if self.token:
            self.resumed.append(reply["data"]["resumed"])
            assert reply["data"]["lost"] in ([], ["x"])
        self.token = reply["data"]["resume"]

    async def _write(self, socket: Any, key: str) -> bool:
        link = Link(socket, packed=False)
        data = {"events": [{"verb": "learned", "actor": "ann", "topic": key}], "key": key}
        reply = await asyncio.wait_for(link.ask("world.event", data, deadline_ms=2000), 4)
        self.seqs += [push["seq"] for push in link.pushes]
        return bool(reply["ok"])

    def _url(self) -> str:
        return f"{self.front.url.replace('http', 'ws', 1)}/v1/link"


def post_until(front: Server, name: str, acknowledged: list[str], stopped: Callable[[], bool]) -> None:
    """The same over HTTP, in a thread."""
    for number in itertools.count():
        key = f"{name}-{number}"
        event = {"world": "w", "events": [{"verb": "learned", "actor": "ann", "topic": key}], "key": key}
        while not stopped():
            try:
                if front.post("/v1/world/event", event)[0] == 200:
                    acknowledged.append(key)
                    break
            except OSError:
                continue
        if stopped():
            return


@pytest.mark.needs_haproxy
async def test_a_world_outlives_its_owner_and_loses_nothing(tmp_path: Path, postgres: Callable[[], str]) -> None:
    with (
        key_server("valkey", tmp_path) as cache,
        replicas(tmp_path, postgres(), cache_url=cache.url) as found,
        balanced(tmp_path, found.servers) as front,
    ):
        first, second = found.servers
        people = [{"type": "npc", "id": "mara"}, {"type": "player", "id": "ann"}]
        assert first.post("/v1/world/create", {"world": "w"})[0] == 200
        assert first.post("/v1/world/upsert", {"world": "w", "entities": people})[0] == 200
        players = [Player(front, f"s{number}") for number in range(WRITERS)]
        over_http: list[str] = []
        tasks = [asyncio.create_task(player.play()) for player in players]
        threads = [
            asyncio.create_task(asyncio.to_thread(post_until, front, f"h{n}", over_http, lambda: players[0].stop))
            for n in range(HTTP_WRITERS)
        ]
        await enough(players, over_http, 20)
        first.kill()
        await enough(players, over_http, 40)
        for player in players:
            player.stop = True
        await asyncio.wait_for(asyncio.gather(*tasks, *threads), 30)
        acknowledged = [key for player in players for key in player.acknowledged] + over_http
        check_log(second, acknowledged)
        lost_sockets = [player for player in players if player.resumed]
        assert lost_sockets, "haproxy spreads sockets over both, so some were on the server that was killed"
        assert all(all(player.resumed) for player in lost_sockets)
        assert second.get("/health/ready")[1]["worlds"] == 1


async def enough(players: list[Player], over_http: list[str], more: int) -> None:
    """Wait until every client had so many more writes acknowledged."""
    before = {player.name: len(player.acknowledged) for player in players}
    posted = len(over_http)
    async with asyncio.timeout(60):
        while (  # noqa: ASYNC110  # the clients signal nothing
            any(len(player.acknowledged) < before[player.name] + more for player in players)
            or len(over_http) < posted + more
        ):
            await asyncio.sleep(0.02)


def check_log(server: Server, acknowledged: list[str]) -> None:
    """Each acknowledged write is in the log exactly once, under its key: sending it again gives the first answer."""
    _, before = server.post("/v1/world/describe", {"world": "w"})
    places = set()
    for key in acknowledged:
        event = {"world": "w", "events": [{"verb": "learned", "actor": "ann", "topic": key}], "key": key}
        status, answer = server.post("/v1/world/event", event)
        assert status == 200, answer
        places.add(answer["seq"])
    _, after = server.post("/v1/world/describe", {"world": "w"})
    assert after["seq"] == before["seq"], "nothing was written twice"
    assert len(places) == len(acknowledged)
