"""The socket as a client meets it."""

from __future__ import annotations

import asyncio
import socket as sockets
import time
from pathlib import Path

import pytest
import websockets

from app.control.auth import ALL_SCOPES
from app.control.keys import make_key
from app.stores import identity
from app.stores.database import open_database
from app.stores.tenancy import EVERY_TENANT
from tests.servers import ROOT, Link, Server, connect, running


@pytest.mark.parametrize("packed", [False, True], ids=["json", "msgpack"])
async def test_a_frame_is_answered_in_the_session_s_encoding(server: Server, world: str, packed: bool) -> None:
    async with connect(server, packed=packed, world=world) as link:
        reply = await link.ask("world.get", {"id": "mara"})
    assert reply["ok"]
    assert reply["data"]["entity"]["name"] == "Mara"


async def test_the_session_s_world_holds_where_a_request_names_none(server: Server, world: str) -> None:
    async with connect(server, world=world) as link:
        reply = await link.ask("world.describe", {})
    assert reply["data"]["world"] == world


async def test_requests_in_flight_are_answered_each_under_its_own_id(server: Server, world: str) -> None:
    async with connect(server, world=world) as link:
        ids = [await link.send("world.describe", {}) for _ in range(20)]
        answered = {(await link.receive())["id"] for _ in ids}
    assert answered == set(ids)


async def test_an_unknown_message_is_refused_with_the_nearest_known_one(server: Server) -> None:
    async with connect(server) as link:
        reply = await link.ask("world.creat", {})
    assert reply["error"]["code"] == "unknown_op"
    assert "world.create" in reply["error"]["hint"]


async def test_a_wrong_type_names_the_field_and_changes_nothing(server: Server, world: str) -> None:
    async with connect(server, world=world) as link:
        before = (await link.ask("world.describe", {}))["data"]["seq"]
        reply = await link.ask("world.upsert", {"entities": [{"type": "npc", "id": "ok"}, {"type": "npc", "id": 7}]})
        after = (await link.ask("world.describe", {}))["data"]["seq"]
    assert reply["error"]["code"] == "invalid"
    assert "entities[1].id" in reply["error"]["message"] or "entities[...].id" in reply["error"]["message"]
    assert after == before


async def test_not_a_number_is_refused_and_changes_nothing(server: Server, world: str) -> None:
    async with connect(server, packed=True, world=world) as link:
        fact = {"subject": "mara", "predicate": "mood", "value": float("nan")}
        reply = await link.ask("world.assert", {"facts": [fact]})
        seq = (await link.ask("world.describe", {}))["data"]["seq"]
    assert reply["error"]["code"] == "invalid"
    assert seq == 4


async def test_an_unknown_entity_is_refused_by_name(server: Server, world: str) -> None:
    async with connect(server, world=world) as link:
        reply = await link.ask("world.event", {"events": [{"verb": "took", "actor": "marra", "item": "mug"}]})
    assert reply["error"]["code"] == "not_found"
    assert "'mara'" in reply["error"]["hint"]


async def test_a_batch_with_one_bad_event_changes_nothing(server: Server, world: str) -> None:
    async with connect(server, world=world) as link:
        events = [{"verb": "took", "actor": "p1", "item": "mug"}, {"verb": "took", "actor": "p1", "item": "no such"}]
        reply = await link.ask("world.event", {"events": events})
        mug = await link.ask("world.get", {"id": "mug"})
    assert reply["error"]["code"] == "not_found"
    assert mug["data"]["entity"]["holder"] == "mara"


async def test_a_malformed_frame_is_answered_and_the_session_lives(server: Server, world: str) -> None:
    async with connect(server, world=world) as link:
        await link.socket.send('{"id": "x1", "op": 3}')
        reply = await link.receive()
        assert reply["id"] == "x1"
        assert reply["error"]["code"] == "invalid"
        await link.socket.send("{not json")
        assert (await link.receive())["error"]["code"] == "malformed"
        assert (await link.ask("world.describe", {}))["ok"]


async def test_three_malformed_frames_in_a_row_close_the_socket(server: Server) -> None:
    async with connect(server) as link:
        for _ in range(3):
            await link.socket.send("[]")
        with pytest.raises(websockets.ConnectionClosedError):
            await _until_closed(link)
    assert link.socket.close_code == 4400


async def test_a_frame_over_the_cap_closes_only_its_own_socket(server: Server, world: str) -> None:
    async with connect(server, world=world) as other:
        async with connect(server, world=world) as link:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await _overfill(link)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert (await other.ask("world.describe", {}))["ok"]


async def test_a_wrong_token_is_refused_and_closes(server: Server) -> None:
    url = server.url.replace("http", "ws") + "/v1/link"
    async with websockets.connect(url) as socket:
        await socket.send('{"id": "1", "op": "hello", "data": {"token": "ik_00000000_x"}}')
        assert "unauthenticated" in str(await socket.recv())
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


async def test_silence_instead_of_hello_closes_the_socket(server: Server) -> None:
    async with websockets.connect(server.url.replace("http", "ws") + "/v1/link") as socket:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4408


async def test_a_page_of_another_origin_gets_no_socket(server: Server) -> None:
    url = server.url.replace("http", "ws") + "/v1/link"
    with pytest.raises(websockets.InvalidStatus):
        async with websockets.connect(url, origin=websockets.Origin("http://evil.example")):
            pass


async def test_a_proposal_s_verdict_needs_an_open_proposal(server: Server, world: str) -> None:
    async with connect(server, world=world) as link:
        reply = await link.ask("world.confirm", {"proposal": "p-1", "accepted": True})
    assert reply["error"]["code"] == "not_found"


async def test_a_slow_reader_loses_only_its_own_socket(tmp_path: Path) -> None:
    with running(tmp_path, "--set", "server.outbox_frames_max=8", "--set", "server.inflight_max=100000") as server:
        server.post("/v1/world/create", {"world": "w"})
        npcs = [{"type": "npc", "id": f"n{i}", "name": "x" * 150} for i in range(150)]
        server.post("/v1/world/upsert", {"world": "w", "entities": npcs})
        async with connect(server, world="w") as quick, connect(server, world="w") as slow:
            slow.socket.transport.pause_reading()
            for number in range(30_000):
                await slow.send("world.get", {"id": f"n{number % 150}"})
                if number % 500 == 0:
                    await asyncio.sleep(0)
                    if (server.folder / "server.log").read_text().count("reads too slowly"):
                        break
            reply = await quick.ask("world.describe", {})
            # What the other one has sent may keep the server busy for a moment.
            while not reply["ok"] and reply["error"]["code"] == "overloaded":
                await asyncio.sleep(0.1)
                reply = await quick.ask("world.describe", {})
            assert reply["ok"], reply
        assert "reads too slowly" in (server.folder / "server.log").read_text()


async def test_headers_that_drip_are_cut_off(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n")
    await writer.drain()
    try:
        rest = await asyncio.wait_for(reader.read(), 8)
    except ConnectionResetError:
        rest = b""
    assert rest == b""
    writer.close()


async def test_half_open_connections_of_one_address_are_capped(tmp_path: Path) -> None:
    with running(tmp_path, "--set", "server.half_open_max=8", "--set", "server.header_ms_max=20000") as server:
        host, port = server.url.removeprefix("http://").split(":")
        held = [sockets.create_connection((host, int(port))) for _ in range(8)]
        await asyncio.sleep(0.2)
        with sockets.create_connection((host, int(port)), timeout=5) as late:
            late.settimeout(5)
            try:
                answered = late.recv(1)
            except ConnectionResetError:
                answered = b""
        assert answered == b""
        for connection in held:
            connection.close()
        await asyncio.sleep(0.2)
        assert server.get("/health/live")[0] == 200


async def test_a_lost_socket_is_resumed_and_its_replies_delivered(server: Server, world: str) -> None:
    async with connect(server, world=world) as link:
        token = link.hello["resume"]
        id = await link.send("world.upsert", {"entities": [{"type": "npc", "id": "late"}]})
        link.socket.transport.abort()
    await asyncio.sleep(0.3)
    async with connect(server, world=world, resume=token, pending=[id]) as again:
        assert again.hello["resumed"]
        reply = await again.reply(id)
    assert reply["ok"]
    assert reply["data"]["handles"] == {"late": 1}


async def test_stopping_closes_sockets_with_1012_and_keeps_everything(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.post("/v1/world/create", {"world": "w"})
        async with connect(server, world="w") as link:
            assert (await link.ask("world.upsert", {"entities": [{"type": "npc", "id": "a"}]}))["ok"]
            server.process.terminate()
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await link.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert server.process.wait(timeout=15) == 0
    with running(tmp_path) as server:
        assert server.post("/v1/world/get", {"world": "w", "id": "a"})[0] == 200


async def test_a_credential_that_ends_closes_the_open_socket(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        first.stop()
    key = await _short_lived_key(tmp_path, 5.0)
    with running(tmp_path) as server:
        server.key = key
        async with connect(server) as link:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await link.receive(timeout_s=15)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


async def _short_lived_key(folder: Path, seconds: float) -> str:
    """A key in the folder's database that ends `seconds` from now."""
    now_ms = time.time_ns() // 1_000_000
    new = make_key(label="short", scopes=ALL_SCOPES, created_ms=now_ms, expires_ms=now_ms + int(seconds * 1000))
    database = open_database("", folder=folder, migrations=ROOT / "migrations")
    await database.upgrade()
    await database.run(EVERY_TENANT, lambda connection: identity.add_api_key(connection, "default", new.row, now_ms))
    await database.close()
    return new.text


async def _until_closed(link: Link) -> None:
    while True:
        await link.receive()


async def _overfill(link: Link) -> None:
    await link.socket.send("x" * (2 * 2**20))
    await link.receive()
