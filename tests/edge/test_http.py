"""The HTTP face as a client meets it."""

from __future__ import annotations

import base64
import http.client
import struct
import threading
import time
from pathlib import Path

import msgspec
import pytest

from tests.servers import Server, running


def test_every_message_of_the_socket_is_a_post(server: Server) -> None:
    _, document = server.get("/openapi.json")
    operations = {path: methods["post"] for path, methods in document["paths"].items() if "post" in methods}
    messages = {op["operationId"]: path for path, op in operations.items() if "tags" in op}
    assert "world.upsert" in messages
    assert all(path == f"/v1/{op.replace('.', '/', 1)}" for op, path in messages.items())


def test_the_same_data_is_taken_as_msgpack(server: Server, world: str) -> None:
    body = msgspec.msgpack.encode({"world": world, "id": "mara"})
    headers = {"Content-Type": "application/msgpack", "Authorization": f"Bearer {server.key}"}
    host = server.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host)
    connection.request("POST", "/v1/world/get", body, headers)
    answer = connection.getresponse()
    assert answer.status == 200
    assert msgspec.msgpack.decode(answer.read())["entity"]["name"] == "Mara"
    connection.close()


def test_positions_are_base_64_in_json(server: Server, world: str) -> None:
    data = {
        "world": world,
        "handles": base64.b64encode(struct.pack("<I", 0)).decode(),
        "positions": base64.b64encode(struct.pack("<ff", 1.5, 2.5)).decode(),
        "game_s": 1.0,
    }
    assert server.post("/v1/world/report", data) == (200, {"npcs": 1})
    assert server.post("/v1/world/get", {"world": world, "id": "mara"})[1]["position"] == [1.5, 2.5]


def test_positions_for_an_unknown_handle_are_refused(server: Server, world: str) -> None:
    data = {
        "world": world,
        "handles": base64.b64encode(struct.pack("<I", 9)).decode(),
        "positions": base64.b64encode(struct.pack("<ff", 1.5, 2.5)).decode(),
        "game_s": 1.0,
    }
    status, problem = server.post("/v1/world/report", data)
    assert (status, problem["code"]) == (400, "invalid")


def test_an_error_is_a_problem_with_code_and_hint(server: Server) -> None:
    status, problem = server.post("/v1/world/get", {"world": "nowhere", "id": "x"})
    assert status == 404
    assert problem["code"] == "not_found"
    assert "world.create" in problem["hint"]
    assert problem["instance"] == "/v1/world/get"


def test_an_unknown_field_is_refused_by_name(server: Server, world: str) -> None:
    status, problem = server.post("/v1/world/get", {"world": world, "id": "mara", "verbose": True})
    assert status == 400
    assert "verbose" in problem["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"world": "' + b"[" * 5000, b"[" * 100_000])
def test_a_body_that_cannot_be_read_is_a_400(server: Server, body: bytes) -> None:
    status, problem = server.post("/v1/world/get", body)
    assert status == 400
    assert problem["code"] in ("malformed", "invalid")


def test_a_body_over_the_cap_is_a_413(server: Server) -> None:
    status, problem = server.post("/v1/world/get", b"x" * (2 * 2**20))
    assert (status, problem["code"]) == (413, "too_large")


def test_a_missing_credential_is_a_401_that_says_how(server: Server) -> None:
    status, problem = server.request("POST", "/v1/world/describe", b"{}", headers={"Authorization": ""})
    assert (status, problem["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("text", ["soon", "-5", "1e3", "0"])
def test_a_deadline_that_is_no_number_is_refused(server: Server, world: str, text: str) -> None:
    status, problem = server.post("/v1/world/describe", {"world": world}, headers={"Innkeeper-Deadline-Ms": text})
    assert (status, problem["code"]) == (400, "invalid")


def test_a_token_stands_for_its_key(server: Server, world: str) -> None:
    status, token = server.post("/v1/auth/token", {})
    assert status == 200
    assert 0 < token["expires_in"] <= 900
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    assert server.request("GET", f"/v1/worlds/{world}", None, headers=bearer)[0] == 200


def test_a_console_code_opens_once(server: Server) -> None:
    _, made = server.post("/v1/auth/code", {})
    status, token = server.request("POST", "/v1/auth/enter", msgspec.json.encode({"code": made["code"]}))
    assert status == 200
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    assert server.request("GET", "/v1/worlds", None, headers=bearer)[0] == 200
    assert server.request("POST", "/v1/auth/enter", msgspec.json.encode({"code": made["code"]}))[0] == 401


def test_a_retry_with_the_same_key_changes_nothing(server: Server, world: str) -> None:
    event = {"verb": "took", "actor": "p1", "item": "mug"}
    first = server.post("/v1/world/event", {"world": world, "events": [event], "key": "once"})
    again = server.post("/v1/world/event", {"world": world, "events": [event], "key": "once"})
    assert first == again
    assert server.post("/v1/world/describe", {"world": world})[1]["seq"] == first[1]["seq"]


def test_a_poll_without_news_ends_with_its_wait(server: Server, world: str) -> None:
    started = time.monotonic()
    status, answer = server.get(f"/v1/worlds/{world}/poll?wait=300")
    assert status == 200
    assert answer["pushes"] == []
    assert 0.25 <= time.monotonic() - started < 5


def test_the_live_stream_tells_the_roster_and_positions(server: Server, world: str) -> None:
    names: list[str] = []
    done = threading.Event()

    def read() -> None:
        host = server.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request("GET", f"/v1/worlds/{world}/live", headers={"Authorization": f"Bearer {server.key}"})
        answer = connection.getresponse()
        while "tick" not in names:
            line = answer.readline().decode()
            if line.startswith("event: "):
                names.append(line[7:].strip())
        connection.close()
        done.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    data = {
        "world": world,
        "handles": base64.b64encode(struct.pack("<I", 0)).decode(),
        "positions": base64.b64encode(struct.pack("<ff", 1.0, 2.0)).decode(),
        "game_s": 1.0,
    }
    server.post("/v1/world/report", data)
    assert done.wait(10)
    assert names[0] == "roster"


def test_health_and_metrics_answer(server: Server, world: str) -> None:
    assert server.get("/health/live") == (200, {"live": True})
    status, ready = server.get("/health/ready")
    assert status == 200
    assert ready["ready"]
    assert ready["mode"] == 1
    _, text = server.get("/metrics")
    assert b'innkeeper_request_seconds_count{module="world",outcome="ok",verb="upsert"}' in text
    assert b"\ninnkeeper_tasks " in text
    assert b'innkeeper_engine_degraded{engine="authored"} 0.0' in text


def test_pages_may_load_nothing_from_outside(server: Server) -> None:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    connection.request("GET", "/console")
    answer = connection.getresponse()
    assert answer.status == 200
    assert "default-src 'none'" in (answer.getheader("Content-Security-Policy") or "")
    connection.close()


def test_the_document_lists_what_is_served(server: Server) -> None:
    _, document = server.get("/openapi.json")
    public = {path for path, methods in document["paths"].items() for m in methods.values() if "security" not in m}
    assert public == {
        "/v1/auth/enter", "/v1/auth/refresh", "/v1/auth/revoke",
        "/v1/auth/sign-in", "/v1/auth/sign-in/totp", "/v1/auth/sign-in/recovery", "/v1/auth/sign-in/passkey",
        "/v1/auth/sign-in/passkey/options", "/v1/auth/invitation", "/v1/auth/invitation/totp",
        "/v1/auth/invitation/passkey/options", "/v1/auth/invitation/accept",
        "/health/live", "/health/ready", "/openapi.json", "/console", "/console/{name}",
    }  # fmt: skip
    for path, methods in document["paths"].items():
        if "get" in methods and "{" not in path and path not in public:
            assert server.request("GET", path, None, headers={"Authorization": ""})[0] in (401, 200), path


def test_an_open_live_stream_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    with running(tmp_path, "--set", "server.drain_ms_max=20000") as server:
        server.post("/v1/world/create", {"world": "w"})
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
        connection.request("GET", "/v1/worlds/w/live", headers={"Authorization": f"Bearer {server.key}"})
        assert connection.getresponse().readline()
        poller = threading.Thread(target=server.get, args=("/v1/worlds/w/poll?wait=20000",))
        poller.start()
        time.sleep(0.3)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 8
        poller.join()
        connection.close()


def test_a_key_in_the_header_makes_a_retry_harmless(server: Server, world: str) -> None:
    data = {"world": world, "events": [{"verb": "talked", "actor": "mara"}]}
    key = {"Idempotency-Key": '"8e03978e-40d5"'}
    first = server.post("/v1/world/event", data, headers=key)
    assert first[0] == 200
    assert server.post("/v1/world/event", data, headers=key) == first
    assert server.post("/v1/world/event", {**data, "key": "8e03978e-40d5"}) == first, "the same key, in the body"
    moved = {"world": world, "events": [{"verb": "died", "actor": "mara"}]}
    status, problem = server.post("/v1/world/event", moved, headers=key)
    assert (status, problem["code"]) == (409, "conflict")
    assert "another request" in problem["detail"]
    assert server.post("/v1/world/describe", {"world": world}, headers=key)[1]["seq"] == first[1]["seq"]


@pytest.mark.parametrize(("header", "key"), [('""', ""), ("x" * 129, ""), ("one", "other")])
def test_a_header_key_that_is_no_key_is_refused(server: Server, world: str, header: str, key: str) -> None:
    data = {"world": world, "events": [{"verb": "talked", "actor": "mara"}], "key": key}
    status, problem = server.post("/v1/world/event", data, headers={"Idempotency-Key": header})
    assert (status, problem["code"]) == (400, "invalid")
    assert "Idempotency-Key" in problem["detail"]


def test_a_removal_that_is_sent_again_gets_its_first_answer(server: Server, world: str) -> None:
    assert server.post("/v1/world/upsert", {"world": world, "entities": [{"type": "item", "id": "cup"}]})[0] == 200
    data = {"world": world, "kind": "item", "ids": ["cup"], "key": "gone"}
    first = server.post("/v1/world/remove", data)
    assert first[0] == 200
    assert server.post("/v1/world/remove", data) == first
    assert server.post("/v1/world/remove", {**data, "key": "again"})[0] == 404
