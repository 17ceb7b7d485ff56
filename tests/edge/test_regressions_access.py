"""What others suffered at the door of a running server, each as a test; rows of the specification's list."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.cli.test_keys import manage
from tests.servers import Server, running

CLOSED = (b"GET /v1/worlds", b"GET /v1/usage", b"POST /v1/auth/token", b"POST /v1/auth/code", b"POST /v1/world/create")
HOSTS = (
    b"x/#@attacker", b"exampleXcom", b"localhost/console", b"/health/live", b"127.0.0.1:80#/health/live", b"a b",
    b"localhost/health/live?", b"[::1]/openapi.json#", b"",
)  # fmt: skip
SQL = (
    "ik_' OR '1'='1", "ik_x'; DROP TABLE api_keys;--_y", "ik_' UNION SELECT secret_hmac FROM api_keys--_", "ik_%_x",
    "ik_\" OR 1=1--_x", "ik_x' AND pg_sleep(5)--_x", "' OR 1=1--", "ir_JyBPUiAxPTEtLQ.x.y", "ik_\\'; SELECT 1--_x",
)  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("access")
    made = manage(folder, "key", "create", "--label", "a", "--tenant", "north").stdout.strip()
    theirs = manage(folder, "key", "create", "--label", "a", "--tenant", "south").stdout.strip()
    (folder / "api-key").write_text(made)
    (folder / "theirs").write_text(theirs)
    with running(folder, "--set", "limits.failures_max=100000") as started:
        assert started.post("/v1/world/create", {"world": "w"})[0] == 200
        entities = [{"type": "npc", "id": "hidden", "name": "Hidden Marker"}]
        assert started.post("/v1/world/upsert", {"world": "w", "entities": entities})[0] == 200
        yield started


def raw(server: Server, head: bytes, *fields: bytes, body: bytes = b"") -> tuple[int, bytes]:
    """(status, everything that was answered); 0 when the connection was closed without an answer."""
    address, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((address, int(port)), timeout=10) as wire:
        lines = [head + b" HTTP/1.1", *fields, b"Connection: close", b"Content-Length: %d" % len(body), b"", body]
        wire.sendall(b"\r\n".join(lines))
        answer = b""
        while part := wire.recv(65_536):
            answer += part
    return (int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0), answer


def refused(status: int) -> bool:
    return status == 0 or 400 <= status < 500


@pytest.mark.parametrize("host", HOSTS)
def test_rows_4_and_5_the_host_header_opens_nothing(server: Server, host: bytes) -> None:
    """Starlette CVE-2026-48710 and LiteLLM CVE-2026-49468: what is asked for was read from the Host header."""
    for head in CLOSED:
        status, answer = raw(server, head, b"Host: " + host)
        assert refused(status), (head, answer)
        assert status in (0, 400, 401)


def test_rows_4_and_5_nor_does_a_missing_one_or_another_header_that_names_a_path(server: Server) -> None:
    for head in CLOSED:
        assert refused(raw(server, head)[0])
        for field in (b"X-Forwarded-Host", b"X-Original-URL", b"X-Rewrite-URL", b"X-Forwarded-Path", b"Forwarded"):
            assert raw(server, head, b"Host: localhost", field + b": /health/live")[0] == 401


@pytest.mark.parametrize(
    "path",
    [
        b"//v1/worlds", b"/health/live/../../v1/worlds", b"/console/..%2fv1/worlds", b"/v1/./worlds", b"/v1//worlds",
        b"http://localhost/v1/worlds", b"http://x/#@attacker/v1/worlds", b"/v1/worlds;/health/live",
        b"/v1/worlds?/health/live",
        b"/V1/WORLDS", b"/v1/worlds/", b"/v1/worlds#/health/live", b"/v1/worlds%00", b"/%76%31/worlds",
    ],
)  # fmt: skip
def test_rows_4_and_5_no_spelling_of_a_path_goes_past_its_permission(server: Server, path: bytes) -> None:
    """What is authorized is the matched route, never the text of the URL."""
    status, answer = raw(server, b"GET " + path, b"Host: localhost")
    assert refused(status), answer
    assert b'"worlds"' not in answer


@pytest.mark.parametrize("text", SQL)
def test_row_9_a_key_is_never_a_part_of_a_query(server: Server, text: str) -> None:
    """LiteLLM CVE-2026-42208: SQL injection in the check of a key, before anybody was known."""
    for scheme in ("Bearer ", "bearer  "):
        headers = {"Authorization": scheme + text}
        assert server.request("GET", "/v1/worlds", None, headers=headers)[0] == 401
    for path, name in (("/v1/auth/refresh", "refresh_token"), ("/v1/auth/enter", "code")):
        assert server.post(path, {name: text}, headers={"Authorization": ""})[0] == 401
    assert server.get("/v1/worlds")[0] == 200


def test_row_12_every_kind_of_bad_credential_gets_the_same_answer(server: Server) -> None:
    """LiteLLM #18731 and #39757."""
    prefix = server.key.split("_")[1]
    texts = ["x", "ik_", f"ik_{prefix}_wrong", "ik_000000000000_x", "a.b.c", "ir_dA.h.s", "", "\u00e9"]
    bodies = set()
    for text in texts:
        status, problem = server.request("GET", "/v1/worlds", None, headers={"Authorization": f"Bearer {text}"})
        assert status == 401
        bodies.add(json.dumps(problem, sort_keys=True))
    (body,) = bodies
    assert not any(word in body for word in ("api_keys", "sha256", "hmac", prefix, "Traceback", "SELECT"))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/world/describe?world=w", {"world": "none"}),
        ("/v1/world/describe", {"world": "w"}),
        ("/v1/world/get?tenant=north", {"world": "w", "id": "hidden"}),
        ("/v1/world/get", b'{"world": "none", "world": "w", "id": "hidden"}'),
        ("/v1/world/get", b'{"world": "w", "id": "hidden", "tenant": "north"}'),
    ],
)
def test_row_13_who_may_ask_is_decided_for_what_is_answered(server: Server, path: str, body: object) -> None:
    """LiteLLM #41810: the check read the body and the dispatch the query."""
    theirs = {"Authorization": f"Bearer {(server.folder / 'theirs').read_text()}", "X-Tenant": "north"}
    status, answer = server.post(path, body, headers=theirs)
    assert status in (400, 404)
    assert "Hidden Marker" not in json.dumps(answer)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [b"Cookie: session=%(key)s"],
        [b"Cookie: \x00\xff;;;=;"],
        [b"Authorization: %(key)s"],
        [b"Authorization: Bearer"],
        [b"Authorization: Bearer "],
        [b"Authorization: Basic %(key)s"],
        [b"Authorization: Bearer,%(key)s"],
        [b"Authorization: Bearer %(key)s %(key)s"],
        [b"Authorization: Bearer %(key)s", b"Authorization: Bearer x"],
        [b"Authorization: Bearer x", b"Authorization: Bearer %(key)s"],
        [b"Authorization: Bearer \xff\xfe"],
        [b"X-API-Key: %(key)s"],
        [b"X-Forwarded-For: 127.0.0.1", b"X-Real-IP: 127.0.0.1", b"Forwarded: for=127.0.0.1"],
        [b"X-Forwarded-User: admin", b"X-Remote-User: admin", b"X-Authenticated: true"],
    ],
)
def test_row_20_what_is_malformed_or_only_an_address_is_nobody(server: Server, fields: list[bytes]) -> None:
    """Authentik CVE-2023-36456 and CVE-2026-25748: an address in a header, or a cookie that broke, was enough."""
    sent = [field.replace(b"%(key)s", server.key.encode()) for field in fields]
    assert raw(server, b"GET /v1/worlds", b"Host: localhost", *sent)[0] in (0, 400, 401)


def test_row_20_a_credential_in_the_address_is_none(server: Server) -> None:
    for query in (f"access_token={server.key}", f"key={server.key}", f"token={server.key}"):
        assert server.request("GET", f"/v1/worlds?{query}", None, headers={"Authorization": ""})[0] == 401
