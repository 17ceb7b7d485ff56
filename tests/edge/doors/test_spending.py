"""What is said at a door costs its tenant, its world and its player, whatever becomes of the answer or the server."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.edge.doors.conftest import ENVIRONMENT, options, provider, verb
from tests.servers import Server, start
from tests.standin import Standin

SOON_S = 10.0
CHAT = "/openai/v1/chat/completions"
HELLO: list[Any] = [{"role": "user", "content": "Hello."}]
BODY = {"model": "innkeeper", "messages": HELLO}
NO_STORE = {"Cache-Control": "no-store"}


def soon(holds: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + SOON_S
    while time.monotonic() < until_s:
        if holds():
            return True
        time.sleep(0.02)
    return False


def outside(server: Server) -> dict[str, Any]:
    """What was spent for no world."""
    return dict(server.get("/v1/usage")[1]["outside"]["total"])


def within(server: Server, world: str) -> dict[str, Any]:
    return dict(server.get(f"/v1/usage?world={world}")[1]["worlds"][world])


def ask(server: Server, **headers: str) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.post(CHAT, BODY, headers={**NO_STORE, **named})


def test_spending_for_no_world_is_the_tenant_s_own(door: Server, other: Server, standin: Standin) -> None:
    before, beside = outside(door), outside(other)
    assert ask(door)[0] == 200
    after = outside(door)
    assert after["calls"] == before["calls"] + 1
    assert after["tokens_in"] == before["tokens_in"] + 100
    assert after["cost_nano_usd"] > before["cost_nano_usd"]
    assert outside(other) == beside


def test_spending_for_a_world_is_in_its_log_and_names_the_player(door: Server, standin: Standin) -> None:
    assert door.post("/v1/world/create", {"world": "inn"})[0] == 200
    before = outside(door)
    assert ask(door, Innkeeper_World="inn", Innkeeper_Player="ann")[0] == 200
    assert soon(lambda: within(door, "inn")["total"]["calls"] == 1)
    used = within(door, "inn")
    assert used["players"]["ann"]["tokens_in"] == 100
    assert list(used["engines"]) == ["openai"]
    assert outside(door) == before


def test_a_tenant_s_world_is_nobody_else_s(door: Server, other: Server, standin: Standin) -> None:
    assert door.post("/v1/world/create", {"world": "cellar"})[0] == 200
    status, told = ask(other, Innkeeper_World="cellar")
    assert (status, told["error"]["code"]) == (404, "not_found")
    assert not standin.seen


def test_a_client_that_leaves_ends_the_call_and_pays_for_what_was_said(door: Server, standin: Standin) -> None:
    standin.say = lambda _body: "on and " * 400
    standin.delay_s = 0.05
    before = outside(door)
    host, port = door.url.removeprefix("http://").split(":")
    body = json.dumps({**BODY, "stream": True}).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {door.key}\r\nCache-Control: no-store\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
        received = b""
        while b"on" not in received.partition(b"\r\n\r\n")[2]:
            received += connection.recv(4_096)
        left_s = time.monotonic()
    assert soon(standin.hung_up.is_set)
    assert time.monotonic() - left_s < SOON_S / 2
    assert soon(lambda: outside(door)["calls"] == before["calls"] + 1)
    after = outside(door)
    assert 0 < after["tokens_out"] - before["tokens_out"] < 400
    assert after["cost_nano_usd"] > before["cost_nano_usd"]


def test_a_client_that_leaves_before_the_first_word_ends_the_call_too(door: Server, standin: Standin) -> None:
    standin.fault = "hang"
    host, port = door.url.removeprefix("http://").split(":")
    body = json.dumps(BODY).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {door.key}\r\nCache-Control: no-store\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
        assert soon(lambda: bool(standin.seen))
    assert soon(standin.hung_up.is_set)


@pytest.fixture
def standin_of_its_own() -> Iterator[Standin]:
    with provider() as standin:
        yield standin


def served(folder: Path, standin: Standin, *more: str) -> Server:
    return start(folder, *options(standin, *more), environment=ENVIRONMENT)


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_spending_outlives_the_server_and_its_budget_knows_it(
    tmp_path: Path, standin_of_its_own: Standin, ending: str
) -> None:
    cap = "--set=budgets.tenant.day_tokens_max=10000"
    server = served(tmp_path, standin_of_its_own, cap)
    body = {**BODY, "max_tokens": 16}
    assert server.post(CHAT, body, headers=NO_STORE)[0] == 200
    assert soon(lambda: outside(server)["calls"] == 1)
    server.kill() if ending == "kill" else server.stop()
    cap = "--set=budgets.tenant.day_tokens_max=120"
    server = served(tmp_path, standin_of_its_own, cap)
    try:
        assert outside(server)["calls"] == 1
        asked = len(standin_of_its_own.seen)
        status, told = server.post(CHAT, body, headers=NO_STORE)
        assert (status, told["error"]["type"], told["error"]["code"]) == (429, "insufficient_quota", "over_budget")
        assert len(standin_of_its_own.seen) == asked
    finally:
        server.kill()


async def test_a_budget_without_room_is_told_as_each_vendor_tells_it(
    tmp_path: Path, standin_of_its_own: Standin
) -> None:
    server = await asyncio.to_thread(served, tmp_path, standin_of_its_own, "--set=budgets.tenant.day_tokens_max=10")
    try:
        # The vendors' clients would try again: that they do not shows that they were told not to.
        async with openai.AsyncOpenAI(api_key=server.key, base_url=f"{server.url}/openai/v1") as client:
            with pytest.raises(openai.RateLimitError) as over:
                await client.chat.completions.create(model="innkeeper", messages=HELLO)
        assert over.value.type == "insufficient_quota"
        assert int(over.value.response.headers["retry-after"]) >= 1
        async with anthropic.AsyncAnthropic(api_key=server.key, base_url=f"{server.url}/anthropic") as claude:
            with pytest.raises(anthropic.APIStatusError) as unpaid:
                await claude.messages.create(model="innkeeper", max_tokens=8, messages=HELLO)
        told: Any = unpaid.value.body
        assert (unpaid.value.status_code, told["error"]["type"]) == (402, "billing_error")
        assert (server.folder / "server.log").read_text().count("request.answered") == 2
        assert not standin_of_its_own.seen
    finally:
        server.kill()


def test_a_suspended_tenant_and_one_that_lets_no_engine_write_are_refused(door: Server, other: Server) -> None:
    verb(door.folder, "tenant", "suspend", "other")
    try:
        assert soon(lambda: ask(other)[0] == 403)
        assert ask(other)[1]["error"]["code"] == "tenant_suspended"
    finally:
        verb(door.folder, "tenant", "suspend", "other", "--resume")
    assert soon(lambda: other.get("/openai/v1/models")[0] == 200)
    assert other.request("PUT", "/v1/settings", b'{"security_level": "strict"}')[0] == 200
    try:
        assert soon(lambda: ask(other)[0] == 403)
        assert ask(other)[1]["error"]["code"] == "not_permitted"
    finally:
        assert other.request("PUT", "/v1/settings", b"{}")[0] == 200


def test_without_a_provider_the_door_says_what_is_missing(tmp_path: Path) -> None:
    server = start(tmp_path)
    try:
        status, told = server.post(CHAT, BODY)
        assert (status, told["error"]["code"]) == (503, "engine_down")
        assert "OPENAI_API_KEY" in told["error"]["message"]
        assert [model["id"] for model in server.get("/openai/v1/models")[1]["data"]] == ["innkeeper", "door.chat"]
    finally:
        server.kill()


def test_too_many_requests_are_told_to_wait(tmp_path: Path, standin_of_its_own: Standin) -> None:
    limits = (
        "--set=limits.key_requests_max=1",
        "--set=limits.key_burst_requests_max=2",
        "--set=limits.period_ms=60000",
    )
    server = served(tmp_path, standin_of_its_own, *limits)
    try:
        found = [ask(server) for _ in range(4)]
        assert [status for status, _ in found].count(200) == 2
        refused = [told["error"] for status, told in found if status == 429]
        assert [(one["type"], one["code"]) for one in refused] == [("rate_limit_error", "rate_limited")] * 2
        bystander = replace(server, key=verb(server.folder, "key", "create", "--label", "more"))
        assert soon(lambda: bystander.get("/openai/v1/models")[0] == 200)
    finally:
        server.kill()
