"""What a change of access does to a running server: keys, tokens, open sockets, streams and polls, within a second."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
import websockets

from app.core.module import Scope
from app.stores import identity
from app.stores.database import open_database
from tests.cli.test_keys import manage
from tests.servers import ROOT, Link, Server, connect, running

SOON_S = 5.0
"""A second is promised and measured by `manage.py prove`; a busy machine may take longer here."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("access"), "--set", "limits.failures_max=100000") as started:
        assert started.post("/v1/world/create", {"world": "w"})[0] == 200
        yield started


def made_key(server: Server, *arguments: str) -> tuple[str, str]:
    """(prefix, text) of a key that the command line makes beside the running server, which knows it already."""
    made = manage(server.folder, "key", "create", "--label", "a", *arguments)
    assert made.returncode == 0, made.stderr
    text = made.stdout.strip()
    assert soon(lambda: status(server, text) == 200)
    return text.split("_")[1], text


def status(server: Server, credential: str, path: str = "/v1/worlds/w") -> int:
    return server.request("GET", path, None, headers={"Authorization": f"Bearer {credential}"})[0]


def soon(holds: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + SOON_S
    while time.monotonic() < until_s:
        if holds():
            return True
        time.sleep(0.02)
    return False


def revoked(server: Server, prefix: str) -> None:
    assert manage(server.folder, "key", "revoke", prefix).returncode == 0


def issued(server: Server, path: str, body: object, credential: str = "") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {credential}"} if credential else {"Authorization": ""}
    return server.request("POST", path, msgspec.json.encode(body), headers=headers)


def signed_in(server: Server) -> dict[str, Any]:
    code, told = issued(server, "/v1/auth/token", {}, server.key)
    assert code == 200, told
    return dict(told)


async def closed_with(link: Link) -> int:
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await link.reply("never")
    assert closed.value.rcvd is not None
    return int(closed.value.rcvd.code)


async def test_a_revoked_key_loses_its_socket_its_stream_its_poll_and_its_session(server: Server) -> None:
    prefix, key = made_key(server)
    bearer = {"Authorization": f"Bearer {key}"}
    _, tokens = issued(server, "/v1/auth/token", {}, key)
    stream = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    stream.request("GET", "/v1/worlds/w/live", headers=bearer)
    events = stream.getresponse()
    assert events.readline()
    answers: list[tuple[int, Any]] = []
    poll = threading.Thread(
        target=lambda: answers.append(server.request("GET", "/v1/worlds/w/poll?wait=25000", None, headers=bearer))
    )
    poll.start()
    async with connect(server, token=key, world="w") as parked:
        resume = parked.hello["resume"]  # type: ignore[attr-defined]  # a test's shorthand
    async with connect(server, token=key) as by_key, connect(server, token=tokens["access_token"]) as by_token:
        await asyncio.to_thread(revoked, server, prefix)
        assert [await closed_with(by_key), await closed_with(by_token)] == [4401, 4401]
    assert await asyncio.to_thread(soon, lambda: status(server, key) == 401)
    assert status(server, tokens["access_token"]) == 401
    assert issued(server, "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})[0] == 401
    await asyncio.to_thread(events.read)  # ends
    stream.close()
    poll.join(SOON_S)
    assert [code for code, _ in answers] == [401]
    async with connect(server, resume=resume) as other:
        assert other.hello["resumed"] is False


async def test_an_ended_sign_in_takes_its_socket_and_leaves_the_key_s_others(server: Server) -> None:
    one, other = signed_in(server), signed_in(server)
    async with (
        connect(server, token=one["access_token"]) as ended,
        connect(server, token=other["access_token"]) as goes_on,
    ):
        code, told = issued(server, "/v1/auth/revoke", {"token": one["refresh_token"]})
        assert (code, told) == (200, {})
        assert status(server, one["access_token"]) == 401, "at once, not a moment later"
        assert await closed_with(ended) == 4401
        assert (await goes_on.ask("world.describe", {"world": "w"}))["ok"]
    assert issued(server, "/v1/auth/refresh", {"refresh_token": one["refresh_token"]})[0] == 401
    assert status(server, server.key) == 200


def test_a_key_ends_all_its_sign_ins_and_goes_on_itself(server: Server) -> None:
    _, key = made_key(server)
    tokens = [issued(server, "/v1/auth/token", {}, key)[1] for _ in range(2)]
    assert issued(server, "/v1/auth/revoke", {"token": key})[0] == 200
    assert [status(server, each["access_token"]) for each in tokens] == [401, 401]
    assert status(server, key) == 200
    assert status(server, issued(server, "/v1/auth/token", {}, key)[1]["access_token"]) == 200


def test_a_revocation_tells_nobody_whether_a_token_was_one(server: Server) -> None:
    answers = [issued(server, "/v1/auth/revoke", {"token": text}) for text in ("x", "ir_dA.h.s", "ik_1_2", "a.b.c")]
    assert answers == [(200, {})] * 4


def test_a_refresh_token_works_once_and_a_second_use_ends_everything_from_it(server: Server) -> None:
    first = signed_in(server)
    code, second = issued(server, "/v1/auth/refresh", {"refresh_token": first["refresh_token"]})
    assert code == 200
    assert 0 < second["refresh_expires_in"] <= 3_600
    assert status(server, second["access_token"]) == 200
    assert issued(server, "/v1/auth/refresh", {"refresh_token": first["refresh_token"]})[0] == 401
    assert [status(server, each["access_token"]) for each in (first, second)] == [401, 401]
    assert issued(server, "/v1/auth/refresh", {"refresh_token": second["refresh_token"]})[0] == 401


def test_of_two_hundred_uses_of_one_refresh_token_at_once_exactly_one_wins(server: Server) -> None:
    tokens = signed_in(server)
    with ThreadPoolExecutor(50) as pool:
        uses = [
            pool.submit(issued, server, "/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})
            for _ in range(200)
        ]
        codes = [use.result()[0] for use in uses]
    assert (codes.count(200), codes.count(401)) == (1, 199)


@pytest.mark.parametrize("path", ["/v1/auth/token", "/v1/auth/code"])
def test_what_a_token_opened_would_outlive_it(server: Server, path: str) -> None:
    assert issued(server, path, {}, signed_in(server)["access_token"])[0] == 403


def test_a_refresh_token_is_no_access_token(server: Server) -> None:
    assert status(server, signed_in(server)["refresh_token"]) == 401


def test_a_rotated_key_goes_on_under_its_new_secret(server: Server) -> None:
    prefix, old = made_key(server)
    graced = manage(server.folder, "key", "rotate", prefix, "--grace-minutes", "5").stdout.strip()
    assert soon(lambda: status(server, graced) == 200)
    assert status(server, old) == 200
    final = manage(server.folder, "key", "rotate", prefix).stdout.strip()
    assert soon(lambda: status(server, final) == 200)
    assert (status(server, old), status(server, graced)) == (401, 401)


def test_a_retired_signing_key_takes_its_tokens_with_it(server: Server) -> None:
    before = signed_in(server)["access_token"]
    (old,) = [each["id"] for each in json.loads(manage(server.folder, "keyring", "list", "--json").stdout)]
    assert manage(server.folder, "keyring", "retire", old).returncode != 0, "it is the only one"
    assert manage(server.folder, "keyring", "rotate").returncode == 0
    assert status(server, before) == 200
    assert manage(server.folder, "keyring", "retire", old).returncode == 0
    assert soon(lambda: status(server, before) == 401)
    assert status(server, signed_in(server)["access_token"]) == 200


def test_a_role_says_what_its_key_may_do(server: Server) -> None:
    _, viewer = made_key(server, "--role", "viewer")
    assert status(server, viewer) == 200
    assert status(server, viewer, "/v1/usage") == 403
    assert issued(server, "/v1/world/create", {"world": "w"}, viewer)[0] == 403


async def test_a_narrowed_key_s_open_socket_may_do_less_and_a_widened_one_s_more(server: Server) -> None:
    prefix, key = made_key(server, "--role", "game_server")
    upsert = {"world": "w", "entities": [{"type": "npc", "id": "n2"}]}
    async with connect(server, token=key, world="w") as link:
        for scopes, expected in ((Scope.READ, "forbidden"), (Scope.READ | Scope.WRITE, "ok")):
            await change_scopes(server, prefix, scopes)
            assert await soon_answered(link, upsert) == expected
        assert (await link.ask("world.describe", {}))["ok"]


async def change_scopes(server: Server, prefix: str, scopes: Scope) -> None:
    """As another replica would, in the database."""
    database = open_database("", folder=server.folder, migrations=ROOT / "migrations")
    await database.run("default", lambda c: identity.change_api_key(c, "default", prefix, {"scopes": int(scopes)}))
    await database.close()


async def soon_answered(link: Link, data: object) -> str:
    """What an upsert is answered with once that has changed."""
    first = (await link.ask("world.upsert", data))["ok"]
    until_s = time.monotonic() + SOON_S
    while time.monotonic() < until_s:
        answer = await link.ask("world.upsert", data)
        ended = not answer["ok"] and answer["error"]["message"] == "canceled by the client"
        if answer["ok"] != first and not ended:  # what is under way when a key changes ends, whatever it asks
            break
        await asyncio.sleep(0.02)
    return "ok" if answer["ok"] else str(answer["error"]["code"])


async def test_who_may_not_read_hears_no_pushes(server: Server) -> None:
    made = manage(server.folder, "key", "create", "--label", "a", "--scope", "WRITE")
    key = made.stdout.strip()
    assert soon(lambda: status(server, key) == 403)
    event = {"world": "w", "entities": [{"type": "npc", "id": "n1"}]}
    async with connect(server, token=key, world="w") as link:
        assert (await link.ask("world.upsert", event))["ok"]
        assert (await link.ask("world.event", {"events": [{"verb": "learned", "actor": "n1", "topic": "t"}]}))["ok"]
        assert (await link.ask("world.describe", {}))["error"]["code"] == "forbidden"
        assert link.pushes == []


def test_no_answer_to_a_caller_may_be_stored(server: Server) -> None:
    for path, credential in (("/v1/worlds", server.key), ("/v1/worlds", "x"), ("/v1/worlds/none", server.key)):
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
        connection.request("GET", path, headers={"Authorization": f"Bearer {credential}"})
        assert connection.getresponse().headers["cache-control"] == "no-store"
        connection.close()
