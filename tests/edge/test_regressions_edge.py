"""What users of comparable servers suffered at the edge, each as a test under the name of what happened.

Their like elsewhere: an acknowledgment before the sync to disk (NATS #7564) in tests/e2e/test_kill.py and in
tests/stores/test_journal.py, test_events_are_told_after_their_commit_and_in_order; special tokens of a model in what
players type (llama.cpp #24382) in tests/engines/test_llama.py, test_typed_marks_never_become_control_tokens; entries of
a stream twice or out of order (Dragonfly #1860, #2294) in tests/stores/contracts/test_stream.py,
test_an_event_that_was_published_twice_has_one_effect; memory that grows while the database is gone (LiteLLM #40169) in
tests/cli/prove/test_soak.py.
"""

from __future__ import annotations

import ast
import asyncio
import http.client
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import websockets

from app.asgi import create_app
from app.build import MODULE_SETTINGS, Innkeeper, build
from app.control.auth import Authority
from app.control.ring import Ring
from app.core.clock import SystemClock
from app.core.errors import Unauthenticated
from app.core.profile import layers, load
from app.edge.guards import server_options
from app.edge.permissions import RESOURCES
from tests.doubles import SilentLog
from tests.servers import ROOT, Server, connect, running, start
from tests.standin import KEY, Standin

WRONG = {"Authorization": "Bearer ik_00000000_wrong"}


def raw(server: Server, head: bytes) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of an answer to exactly these bytes."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=10)) as client:
        client.connect()
        client.sock.sendall(head)
        answer = http.client.HTTPResponse(client.sock)
        answer.begin()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes few failures of one address, and one host alone."""
    flags = {"limits.failures_max": "5", "security.hosts": "npc.example.com,npc.example.com:8717"}
    settings = [part for name, value in flags.items() for part in ("--set", f"{name}={value}")]
    with running(tmp_path_factory.mktemp("strict"), *settings) as server:
        yield server


def test_litestar_hm36_rotating_forwarded_addresses_gives_no_extra_tries(strict: Server) -> None:
    statuses = []
    host, _, port = strict.url.removeprefix("http://").partition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=10)) as client:
        for number in range(1_000):
            forged = f"203.0.{number // 250}.{number % 250}"
            client.request(
                "GET", "/v1/worlds",
                headers={**WRONG, "Host": "npc.example.com", "X-Forwarded-For": forged, "Forwarded": f"for={forged}",
                         "X-Real-IP": forged, "CF-Connecting-IP": forged, "True-Client-IP": forged},
            )  # fmt: skip
            answer = client.getresponse()
            answer.read()
            statuses.append(answer.status)
    assert statuses.count(401) <= 6, "5 a minute, and what a moment brings back"
    assert set(statuses) == {401, 429}


@pytest.mark.parametrize(
    "host",
    ["npcXexample.com", "npc.example.com.evil.example", "evil.example", "npc.example.com:1",
     "npc.example.com@evil.example", "evil.example/npc.example.com", "evil.example#npc.example.com",
     "x/#@npc.example.com", "npc.example.com/", "[::1",
     "npc.example.com, evil.example", "npc example.com", "", "\x00", "npc.example.com%00", "127.0.0.1"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/worlds", "/health/live", "/console", "/v1/link"])
def test_litestar_25479_a_host_that_is_not_exactly_served_is_refused(strict: Server, host: str, path: str) -> None:
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{upgrade if path == '/v1/link' else ''}"
    forged = "X-Forwarded-Host: npc.example.com\r\nForwarded: host=npc.example.com\r\n\r\n"
    status, _, _ = raw(strict, f"{head}{forged}".encode("latin-1"))
    assert status == 400 or (status, path) == (403, "/v1/link")


@pytest.mark.parametrize(
    "lines",
    ["", "Host: npc.example.com\r\nHost: evil.example\r\n", "Host: npc.example.com\r\nHost: npc.example.com\r\n"],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_missing_or_second_host_is_refused(strict: Server, lines: str, version: str) -> None:
    assert raw(strict, f"GET /health/live HTTP/{version}\r\n{lines}\r\n".encode())[0] == 400


def test_a_host_that_is_served_is_served_in_any_case_of_its_letters(strict: Server) -> None:
    for host in ("npc.example.com", "NPC.Example.COM", "npc.example.com:8717"):
        assert raw(strict, f"GET /health/live HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())[0] == 200


async def test_a_socket_s_host_and_origin_are_held_to_the_same_list(strict: Server) -> None:
    url = strict.url.replace("http", "ws") + "/v1/link"
    with pytest.raises(websockets.InvalidStatus):
        async with websockets.connect(url):
            pass
    headers = {"Host": "npc.example.com"}
    with pytest.raises((websockets.InvalidStatus, websockets.InvalidMessage)):
        async with websockets.connect(url, additional_headers={**headers, "Origin": "null"}):
            pass


def test_litestar_25480_nothing_is_kept_in_a_file_store_and_cache_keys_are_hashed_or_exact() -> None:
    sources = {path: path.read_text() for path in (ROOT / "app").rglob("*.py")}
    assert not [
        path for path, text in sources.items() if re.search(r"FileStore|ResponseCacheConfig|litestar\.stores", text)
    ]
    authority = Authority(clock=SystemClock(), ring=Ring(token_ms=1), pepper=b"", token_minutes=15)
    for look_alike in ("ik_\u212aelvin00_x", "ik_kelvin00_x", "ik_\uff4b\uff45lvin_x"):
        with pytest.raises(Unauthenticated):
            authority.identify(look_alike)


@asynccontextmanager
async def served(folder: Path, log: SilentLog) -> AsyncIterator[tuple[Innkeeper, str]]:
    """A server in this process, so that a test may break it from within, and its address."""
    flags = {"server.data_folder": str(folder), "server.port": 0, "server.drain_ms_max": 1_000}
    profile = load(layers(ROOT / "profiles", mode=1, file=None, environment={}, flags=flags), MODULE_SETTINGS).profile
    innkeeper = await build(profile, log=log)
    options = server_options(
        header_ms_max=5_000,
        body_ms_max=5_000,
        stall_ms_max=5_000,
        half_open_max=100,
        head_bytes_max=32_768,
        frame_bytes_max=1_000_000,
        drain_ms_max=1_000,
        router=innkeeper.router,
    )
    server = uvicorn.Server(uvicorn.Config(create_app(innkeeper), host="127.0.0.1", port=0, **options))
    running = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110  # uvicorn offers no event to wait for
        await asyncio.sleep(0.01)
    try:
        yield innkeeper, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


def broken(*_args: object, **_options: object) -> Any:
    raise RuntimeError("boom at /srv/innkeeper/app/x.py with ik_1a2b3c4d_planted")


@pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
async def test_a_fault_within_is_told_without_a_trace_and_allows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = SilentLog()
    async with served(tmp_path, log) as (innkeeper, url), httpx.AsyncClient(base_url=url) as client:
        key = {"Authorization": f"Bearer {innkeeper.access.first_key}"}
        assert (await client.post("/v1/world/create", json={"world": "w"}, headers=key)).status_code == 200
        answers = []
        with monkeypatch.context() as patch:
            patch.setattr(innkeeper.worlds, "get", broken)
            answers.append(await client.post("/v1/world/describe", json={"world": "w"}, headers=key))
            answers.append(await client.get("/v1/worlds/w", headers=key))
        with monkeypatch.context() as patch:
            patch.setattr(innkeeper.authority, "identify", broken)
            paths = ("/v1/worlds", "/v1/usage", "/v1/audit", "/v1/worlds/w")
            answers += [await client.get(path, headers=key) for path in paths]
            answers.append(await client.post("/v1/world/describe", json={"world": "w"}, headers=key))
            answers.append(await client.post("/v1/auth/token", headers=key))
            async with websockets.connect(url.replace("http", "ws") + "/v1/link") as socket:
                await socket.send(json.dumps({"id": "1", "op": "hello", "data": {"token": innkeeper.access.first_key}}))
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await socket.recv()
                assert "boom" not in str(closed.value)
        for answer in answers:
            assert answer.status_code == 500, answer.url
            assert answer.json()["code"] == "internal"
            assert not re.search(r"Traceback|boom|\.py|planted|RuntimeError", answer.text)
        assert (await client.get("/v1/worlds/w", headers=key)).status_code == 200, (
            "the fault is over, and so is its effect"
        )
    assert [fields for level, event, fields in log.told if event == "request.broke"], "the log has it all"


async def test_nakama_860_one_poisonous_input_ends_neither_the_process_nor_anybody_else_s_session(
    server: Server, world: str
) -> None:
    poison: list[Any] = [
        {"op": "world.upsert", "data": {"entities": [{"type": "npc", "id": "a" * 100_000}]}},
        {"op": "world.upsert", "data": {"entities": {"type": "npc"}}},
        {"op": "world.event", "data": {"events": [{"verb": "took", "actor": {"__class__": "x"}}]}},
        {"op": "behavior.decide", "data": {"tick": 2**62, "npcs": ["mara"] * 1_000, "obs_b64": "A" * 10_000}},
        {"op": "behavior.decide", "data": {"tick": 1, "npcs": ["mara"], "rows": [[1e308] * 1_024]}},
        {"op": "path.upload", "data": {"map": "m", "format": "rows", "data": "/////w=="}},
        {"op": "path.find", "data": {"map": "none", "starts": [[-32768, 32767]], "goals": [[0, 0]]}},
        {"op": "dialogue.say", "data": {"dialogue": "\u0000", "speaker": "\ud83d", "text": "\u202e" * 1_000}},
        {"op": "quests.verify", "data": {"quest": {"title": "t", "giver": "mara", "steps": [
            {"id": "a", "action": "goto", "after": ["a"]}]}}},
        {"op": "world.confirm", "data": {"proposal": "%s%n", "accepted": True}},
        {"op": "cancel", "data": {"id": ["x"]}},
        {"op": "refresh", "data": {"token": "ik_"}},
        {"op": "hello", "data": {"token": server.key}},
    ]  # fmt: skip
    async with connect(server, world=world) as other:
        for row, one in enumerate(poison):
            async with connect(server, world=world) as link:
                await link.socket.send(json.dumps({"id": f"p{row}", **one}))
                await link.send("world.describe", {}, id="after")
                try:
                    while (await link.receive())["id"] != "after":
                        pass
                except websockets.ConnectionClosed:
                    assert one["op"] in ("hello", "cancel"), (
                        "only its own socket, and only where the protocol is broken"
                    )
            assert (await other.ask("world.describe", {}))["ok"]
    assert server.process.poll() is None
    log = (server.folder / "server.log").read_text()
    assert "request.broke" not in log


def test_every_answer_has_its_headers_and_none_tells_what_serves(server: Server, world: str) -> None:
    for resource in RESOURCES:
        path = resource.path.replace("{world}", world).replace("{npc}", "mara").replace("{name}", "app.js")
        if path.endswith("/live") and "worlds" in path:
            continue
        for credential in (f"Authorization: Bearer {server.key}\r\n", ""):
            head = f"{resource.method.upper()} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n{credential}\r\n"
            _, headers, body = raw(server, head.encode())
            assert headers["x-content-type-options"] == "nosniff", path
            assert "default-src 'none'" in headers["content-security-policy"], path
            assert "frame-ancestors 'none'" in headers["content-security-policy"], path
            expected = "no-cache" if path.startswith("/console") and body[:1] != b"{" else "no-store"
            assert headers["cache-control"] == expected, path
            assert not {"server", "x-powered-by", "access-control-allow-origin"} & set(headers), path
    for path in (
        "/nowhere",
        "/v1/worlds/none",
        "/v1/world/describe",
        "/docs",
        "/schema",
        "/.env",
        "/console/../../etc/passwd",
    ):
        status, headers, body = raw(server, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert 400 <= status < 500
        assert headers["cache-control"] == "no-store"
        assert not re.search(rb"Traceback|litestar|uvicorn|\.py", body)


async def test_planted_secrets_and_players_words_reach_no_log(tmp_path: Path) -> None:
    said, secret = "my password is swordfish-4711", "swordfish-4711"
    async with Standin(say=lambda _body: f"I never heard of {secret}, friend.") as standin:
        flags = ("--set", "telemetry.log_level=debug", f"--set=engines.openai.base_url={standin.openai_url}")
        environment = {"OPENAI_API_KEY": KEY}
        server = await asyncio.to_thread(start, tmp_path, *flags, mode=1, environment=environment)
        try:
            async with connect(server, world="w") as link:
                await link.ask("world.create", {})
                persona = {"summary": f"Knows {secret}."}
                npc = {"type": "npc", "id": "mara", "name": "Mara", "persona": persona}
                await link.ask("world.upsert", {"entities": [npc, {"type": "player", "id": "ann", "name": secret}]})
                opened = await link.ask("dialogue.open", {"npc": "mara", "participants": ["ann"]})
                for text in (said, "x" * 1_500, said):
                    await link.ask(
                        "dialogue.say", {"dialogue": opened["data"]["dialogue"], "speaker": "ann", "text": text}
                    )
                await link.send("refresh", {"token": f"ik_1a2b3c4d_{secret}"})
            planted = f"ik_1a2b3c4d_{secret}"
            for headers in ({"Authorization": f"Bearer {planted}"}, {"Cookie": planted}, {"X-Api-Key": planted}):
                await asyncio.to_thread(server.request, "GET", f"/v1/worlds?token={planted}", None, headers=headers)
            for path in (f"/v1/worlds/{planted}", f"/{planted}", f"/v1/worlds/w/poll?after={planted}"):
                await asyncio.to_thread(server.get, path)
            await asyncio.to_thread(server.post, "/v1/world/create", {"world": planted})
            await asyncio.to_thread(server.post, "/v1/world/describe", {"world": f"a\r\nb {planted}"})
            key, first = server.key, KEY
        finally:
            server.stop()
    log = (tmp_path / "server.log").read_text()
    assert "request.answered" in log
    for line in log.splitlines():
        json.loads(line)
    for hidden in (secret, key.rpartition("_")[2], first):
        assert hidden not in log


def test_no_handler_catches_what_it_does_not_know() -> None:
    """LiteLLM CVE-2026-59822: a failed check fell back to an empty identity."""
    for path in ((ROOT / "app" / "edge").rglob("*.py"), (ROOT / "app" / "control").rglob("*.py")):
        for file in path:
            for node in ast.walk(ast.parse(file.read_text())):
                if (
                    isinstance(node, ast.ExceptHandler)
                    and node.type is not None
                    and ast.unparse(node.type) == "Exception"
                ):
                    raises = isinstance(node.body[-1], ast.Raise)
                    assert raises or file.name == "access.py", f"{file.name}: after an unknown fault nobody is let in"
