"""The wire as nobody should use it: the tables of suite B against one server, and entries of the regression list."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from app.cli.prove.contract import bodies, naughty, raw, smuggling, texts, wire
from app.cli.prove.contract.wire import Judged
from app.cli.prove.contract.world import GRID, MAP, WORLD
from app.core.errors import Invalid
from app.edge import openapi
from app.edge.permissions import RESOURCES
from app.stores import export, tables
from tests.servers import Server, running

BESIDE = naughty.DATA


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def wrong(judged: list[Judged]) -> list[Judged]:
    return [one for one in judged if one.got != one.want]


@pytest.fixture(scope="module")
def alpha(server: Server) -> int:
    """The port of the server, in which there is the suite's world."""
    assert server.post("/v1/world/create", {"world": WORLD})[0] == 200
    npc = {"type": "npc", "id": "mara", "name": "Mara"}
    assert server.post("/v1/world/upsert", {"world": WORLD, "entities": [npc]})[0] == 200
    assert server.request("PUT", f"/v1/worlds/{WORLD}/maps/{MAP}", GRID)[0] == 200
    return port_of(server)


def ask(server: Server, head: bytes) -> tuple[int, bytes]:
    """(status, body) of the one answer to these bytes."""
    (answer,) = raw.answers(port_of(server), head)
    return answer.status, answer.body


def test_a_request_that_two_servers_might_cut_differently_is_refused_or_read_once(alpha: int) -> None:
    judged = wire.heads(alpha)
    assert len(judged) >= 60
    assert not wrong(judged)


def test_each_frame_that_breaks_the_rules_is_answered_as_written_and_harms_nobody(alpha: int, server: Server) -> None:
    judged = wire.sockets(alpha, server.key)
    assert len(judged) >= 60
    assert not wrong(judged)
    assert server.get("/health/live")[0] == 200


def test_json_is_read_or_refused_as_its_standard_says(alpha: int, server: Server) -> None:
    own = [*(("y", body) for body in naughty.ACCEPTED), *(("n", body) for body in naughty.REFUSED)]
    assert not any(texts.verdicts(alpha, server.key, own).values())


@pytest.mark.skipif(not (BESIDE / "JSONTestSuite").exists(), reason="JSONTestSuite is not beside the checkout")
def test_every_verdict_of_jsontestsuite_is_right(alpha: int, server: Server) -> None:
    values, _ = naughty.values()
    assert not any(texts.verdicts(alpha, server.key, values).values())


def test_an_import_refuses_what_is_no_event_however_it_is_written() -> None:
    engine = create_engine("sqlite://")
    tables.metadata.create_all(engine)
    for body in (*naughty.ACCEPTED, *naughty.REFUSED):
        if body:
            with engine.begin() as connection, pytest.raises(Invalid, match="line 1"):
                export.read_events(connection, io.BytesIO(body.replace(b"\n", b" ")), lambda _: None)


def test_a_naughty_text_in_any_field_meets_no_fault_and_comes_back_as_it_was(alpha: int, server: Server) -> None:
    told = texts.everywhere(alpha, server.key, naughty.STRINGS, each=1, seed=1)
    assert told.places >= 100
    assert told.faults == 0
    assert texts.changed(alpha, server.key, naughty.STRINGS) == 0


def test_every_whole_number_that_a_client_sends_has_bounds() -> None:
    found = {op: list(bodies.unbounded(kind)) for op, kind in texts.request_types().items()}
    assert not {op: where for op, where in found.items() if where}


def test_a_number_that_no_log_can_hold_is_refused(server: Server, world: str) -> None:
    npc = {"type": "npc", "id": "big", "level": 10**30}
    status, problem = server.post("/v1/world/upsert", {"world": world, "entities": [npc]})
    assert (status, problem["code"]) == (400, "invalid")


def test_row_19_input_that_kills_one_request_kills_nothing_else(server: Server, world: str) -> None:
    for body in (b"[" * 100_000, b'{"a":' * 100_000, b"\xff" * 1_000, json.dumps({"world": "\0" * 128}).encode()):
        assert server.post("/v1/world/describe", body)[0] in (400, 404)
    data = {"world": world, "tick": 1, "npcs": ["mara"], "obs_b64": "é"}
    assert server.post("/v1/behavior/decide", data)[0] == 400
    assert server.post("/v1/world/describe", {"world": world})[0] == 200


@pytest.mark.parametrize("host", [b"evil.example", b"127.0.0.1", b"exampleXcom"])
def test_row_2_the_host_opens_nothing(server: Server, host: bytes) -> None:
    assert ask(server, b"GET /v1/worlds HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")[0] == 401
    forwarded = b"\r\nX-Forwarded-Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n"
    assert ask(server, b"GET /v1/worlds HTTP/1.1\r\nHost: " + host + forwarded)[0] == 401


@pytest.mark.parametrize("host", [b"x/#@attacker", b"a/health/live?", b"a\\b", b"", b"a b"])
def test_rows_4_and_5_a_host_that_is_a_path_is_no_way_around_a_scope(server: Server, host: bytes) -> None:
    status, body = ask(server, b"GET /v1/worlds HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert status in (400, 401)
    assert b'"worlds"' not in body


@pytest.mark.parametrize(
    "target",
    [
        b"//v1/worlds", b"/v1//worlds", b"/health/live/../../v1/worlds", b"/console/..;/v1/worlds",
        b"/console/%2e%2e/v1/worlds", b"/v1/worlds%2f", b"/V1/worlds", b"/v1/worlds/", b"/v1/world%73",
        b"/v1/worlds;/health/live", b"/v1/worlds?/health/live", b"http://a/v1/worlds", b"/v1/worlds#/health/live",
    ],
)  # fmt: skip
def test_rows_4_and_5_no_spelling_of_a_path_passes_its_scope(server: Server, target: bytes) -> None:
    status, body = ask(server, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status in (400, 401, 404)
    assert b'"worlds":' not in body


def test_cve_2024_52581_a_multipart_body_is_refused_unread(server: Server) -> None:
    parts = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" * 5_000 + b"--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    status, problem = server.post("/v1/world/describe", parts, headers=headers)
    assert (status, problem["code"]) == (415, "unsupported_media")


@pytest.mark.parametrize(
    "name",
    [
        "..%2fpages.py", "%2e%2e/pages.py", "..%5cpages.py", "....//pages.py", "%252e%252e%252fpages.py", "app.js%00",
        "~", ".",
    ],
)  # fmt: skip
def test_cve_2024_32982_no_name_leads_out_of_the_console_s_folder(server: Server, name: str) -> None:
    status, body = ask(server, f"GET /console/{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert status == 404
    assert b"import" not in body


def test_a_method_or_a_parameter_that_is_not_there_is_a_problem_with_the_mend(server: Server, world: str) -> None:
    path = f"/v1/worlds/{world}/maps/m"
    for method in ("DELETE", "OPTIONS", "PATCH"):
        status, problem = server.request(method, path, b"")
        assert (status, problem["code"], problem["status"]) == (405, "method_not_allowed", 405)
        assert "GET, PUT" in problem["hint"]
    for query in ("wait=1&wait=2", "wait=-1", "wait=1.5", "waits=1", "wait", "after=%ff"):
        status, problem = server.get(f"/v1/worlds/{world}/poll?{query}")
        assert (status, problem["code"]) == (400, "invalid"), query


def test_a_body_that_does_not_come_and_an_answer_that_is_not_read_are_given_up(tmp_path: Path) -> None:
    settings = ("--set", "server.body_ms_max=300", "--set", "server.header_ms_max=300")
    with running(tmp_path, *settings) as server:
        head = f"POST /v1/world/describe HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {server.key}\r\n"
        status, body = ask(server, f"{head}Content-Length: 9\r\n\r\n{{".encode())
        assert status == 504
        assert b"300 ms" in body
        assert raw.answers(port_of(server), b"GET / HTTP/1.1\r\nHost: a\r\nX: ") == []


def test_the_document_names_every_answer_and_no_fault_of_ours(server: Server) -> None:
    _, document = server.get("/openapi.json")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"]
            assert "default" not in answers, path
            assert "500" not in answers, path
            content = answers["202" if "202" in answers else "200"]["content"]
            assert "application/json" not in content or content["application/json"].get("schema"), (method, path)
            if "security" in operation:
                assert "401" in answers, path
            elif not path.startswith("/v1/auth/"):
                assert "401" not in answers, path
            named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
    assert set(document["components"]["responses"]["429"]["headers"]) == {"Retry-After"}


def test_each_resource_has_a_name_of_its_own_in_the_document() -> None:
    names = [openapi.operation_id(resource) for resource in RESOURCES]
    assert len(set(names)) == len(names)


def test_the_cases_have_names_of_their_own() -> None:
    names = [case.name for case in smuggling.ALL]
    assert len(set(names)) == len(names)
