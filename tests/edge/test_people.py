"""People and keys over HTTP on a running server: who may do what, and what others who were attacked had suffered."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pyotp
import pytest
import websockets

from app.core.module import Scope
from app.edge.permissions import RESOURCES, SIGNED_IN
from tests.cli.test_keys import manage
from tests.servers import Server, connect, running

PASSWORD = "seven ravens over Ulm"
_numbers = count()


@dataclass
class Person:
    """Somebody who has joined, with the tokens of joining."""

    server: Server
    id: str
    login: str
    app: pyotp.TOTP
    token: str
    refresh: str

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        sent = None if body is None else json.dumps(body).encode()
        return self.server.request(method, path, sent, headers={"Authorization": f"Bearer {self.token}", **headers})

    def next_code(self) -> str:
        """The code of the next step, which counts already and was not used."""
        return self.app.at(time.time() + 30)


def anybody(server: Server, path: str, body: object, **headers: str) -> tuple[int, Any]:
    return server.request("POST", path, json.dumps(body).encode(), headers={"Authorization": "", **headers})


def join(server: Server, role: str = "owner", code: str = "") -> Person:
    login = f"person-{next(_numbers)}"
    id = ""
    if not code:
        status, invited = server.post("/v1/operators", {"login": login, "role": role})
        assert status == 200, invited
        code, id = invited["code"], invited["operator"]["id"]
    _, made = anybody(server, "/v1/auth/invitation/totp", {"code": code})
    app = pyotp.TOTP(made["secret"])
    proof = {"enrollment": made["enrollment"], "code": app.now()}
    body = {"code": code, "login": login, "password": PASSWORD, "proof": proof}
    status, joined = anybody(server, "/v1/auth/invitation/accept", body)
    assert status == 200, joined
    tokens = joined["tokens"]
    return Person(server, id, login, app, tokens["access_token"], tokens["refresh_token"])


@pytest.fixture(scope="module")
def boss(server: Server) -> Person:
    """An owner who stays."""
    return join(server)


@pytest.fixture(scope="module")
def north(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Person, Person]]:
    """A server of two tenants with an owner each."""
    folder = tmp_path_factory.mktemp("two")
    codes = {
        tenant: manage(folder, "operator", "invite", "owner", "--role", "owner", "--tenant", tenant)
        for tenant in ("default", "north")
    }
    with running(folder) as server:
        owners = [join(server, code=made.stdout.strip().partition("invite=")[2]) for made in codes.values()]
        yield server, *owners


def test_an_owner_runs_the_tenant_and_sees_no_secret_again(server: Server, boss: Person) -> None:
    status, made = boss.ask("POST", "/v1/keys", {"label": "shard", "role": "game_server", "days": 1})
    assert status == 200
    assert made["key"].startswith(f"ik_{made['prefix']}_")
    _, listed = boss.ask("GET", "/v1/keys")
    shown = {key["prefix"]: key for key in listed["keys"]}[made["prefix"]]
    assert (shown["role"], shown["scopes"]) == ("game_server", ["READ", "PLAY", "WRITE"])
    assert made["key"].rpartition("_")[2] not in json.dumps(listed)
    status, rotated = boss.ask("POST", f"/v1/keys/{made['prefix']}/rotate", {})
    assert status == 200
    assert rotated["key"] != made["key"]
    for _ in range(2):
        assert boss.ask("DELETE", f"/v1/keys/{made['prefix']}") == (200, {})
    assert server.request("GET", "/v1/me", None, headers={"Authorization": f"Bearer {rotated['key']}"})[0] == 401
    assert boss.ask("DELETE", "/v1/keys/000000000000")[0] == 404
    _, me = boss.ask("GET", "/v1/me")
    assert (me["operator"]["role"], me["operator"]["factors"], me["tenant"]) == (
        "owner",
        ["totp", "recovery"],
        "default",
    )


@pytest.mark.parametrize("role", ["viewer", "designer", "operator"])
def test_a_role_opens_the_routes_of_its_scopes_and_no_other(server: Server, boss: Person, role: str) -> None:
    person = join(server, role)
    _, me = person.ask("GET", "/v1/me")
    held = Scope(sum(Scope[name] for name in me["scopes"]))
    for resource in RESOURCES:
        if resource.scope in (None, SIGNED_IN) or resource.path == "/metrics" or resource.method == "delete":
            continue
        status, _ = person.ask(resource.method.upper(), resource.path.replace("{", "no-").replace("}", ""), {})
        assert (status == 403) == bool(resource.scope & ~held), (resource, status)


WRONG = ("", "Bearer", "Bearer null", "Bearer {}", "Basic b3duZXI6", "Bearer ik_", "Bearer a.b.c", "Bearer \xff")


def test_regression_6_a_credential_that_fails_is_nobody_and_never_an_empty_identity(tmp_path: Path) -> None:
    with running(tmp_path, "--set", "limits.failures_max=100000") as server:
        for resource in RESOURCES:
            if resource.scope is None or resource.path == "/metrics":
                continue
            path = resource.path.replace("{", "no-").replace("}", "")
            for credential in WRONG:
                status, told = server.request(
                    resource.method.upper(), path, None, headers={"Authorization": credential}
                )
                assert status == 401, (credential, resource.path, told)
        for path in ("/v1/auth/sign-in/totp", "/v1/auth/sign-in/recovery"):
            assert anybody(server, path, {"ticket": "ZGVmYXVsdA.x", "code": "000000"})[0] == 401


def test_regression_10_nobody_gives_more_than_they_have(server: Server, boss: Person) -> None:
    clerk = join(server, "operator")
    assert clerk.ask("POST", "/v1/operators", {"login": "crony", "role": "viewer"})[0] == 403
    assert clerk.ask("POST", "/v1/keys", {"label": "wide", "scopes": ["OPERATORS"]})[0] == 403
    assert clerk.ask("POST", "/v1/keys", {"label": "wide", "role": "owner"})[0] == 403
    assert clerk.ask("POST", "/v1/keys", {"label": "all", "scopes": ["ADMIN"]})[0] == 403
    _, wide = boss.ask("POST", "/v1/keys", {"label": "wide", "role": "owner"})
    assert clerk.ask("POST", f"/v1/keys/{wide['prefix']}/rotate", {})[0] == 403, "its new secret would be theirs"
    for body in ({"role": "owner"}, {"role": "owner", "disabled": False}):
        assert clerk.ask("PATCH", f"/v1/operators/{clerk.id}", body)[0] == 403
    for field in ("allowed_routes", "scopes", "tenant", "id"):
        assert boss.ask("PATCH", f"/v1/operators/{clerk.id}", {field: ["/*"]})[0] == 400
        assert boss.ask("POST", "/v1/operators", {"login": "x", "role": "viewer", field: "x"})[0] == 400


async def test_regression_11_no_session_survives_its_sign_out_nor_its_sockets(server: Server, boss: Person) -> None:
    person = join(server, "designer")
    token = {"Authorization": f"Bearer {person.token}"}
    async with connect(server, token=person.token) as link:
        assert anybody(server, "/v1/auth/revoke", {"token": person.refresh})[0] == 200
        assert server.request("GET", "/v1/me", None, headers=token)[0] == 401
        assert anybody(server, "/v1/auth/refresh", {"refresh_token": person.refresh})[0] == 401
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await link.receive(timeout_s=3)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


async def test_regression_11_disabling_somebody_closes_their_sockets(server: Server, boss: Person) -> None:
    person = join(server, "designer")
    async with connect(server, token=person.token) as link:
        assert boss.ask("PATCH", f"/v1/operators/{person.id}", {"disabled": True})[0] == 200
        with pytest.raises(websockets.ConnectionClosed):
            await link.receive(timeout_s=3)
    assert person.ask("GET", "/v1/me")[0] == 401
    assert anybody(server, "/v1/auth/sign-in", {"login": person.login, "password": PASSWORD})[0] == 401


def test_regression_12_every_refusal_of_a_sign_in_is_the_same_bytes(server: Server, boss: Person) -> None:
    off = join(server, "viewer")
    boss.ask("PATCH", f"/v1/operators/{off.id}", {"disabled": True})
    told = set()
    for body in (
        {"login": boss.login, "password": "not that one"},
        {"login": off.login, "password": PASSWORD},
        {"login": "nobody", "password": PASSWORD},
        {"login": boss.login, "password": PASSWORD, "tenant": "nowhere"},
        {"login": "' OR 1=1 --", "password": "x"},
    ):
        status, problem = anybody(server, "/v1/auth/sign-in", body)
        told.add((status, json.dumps(problem)))
    assert len(told) == 1
    text = told.pop()[1]
    assert not any(word in text for word in ("argon2", "SELECT", "operators", boss.login, "Traceback"))


def test_regression_13_what_is_checked_is_what_is_changed(server: Server, boss: Person) -> None:
    one, other = join(server, "viewer"), join(server, "viewer")
    query = f"?operator={other.id}&id={other.id}&tenant=north&role=owner"
    assert boss.ask("PATCH", f"/v1/operators/{one.id}{query}", {"role": "designer"})[1].get("id", one.id) == one.id
    _, listed = boss.ask("GET", "/v1/operators")
    roles = {each["id"]: each["role"] for each in listed["operators"]}
    assert roles[other.id] == "viewer"
    assert boss.ask("PATCH", f"/v1/operators/{one.id}", {"role": "viewer", "operator": other.id})[0] == 400


def test_an_object_of_another_tenant_does_not_differ_from_a_missing_one(north: tuple[Server, Person, Person]) -> None:
    _, here, there = north
    _, me = there.ask("GET", "/v1/me")
    _, key = there.ask("POST", "/v1/keys", {"label": "theirs", "role": "viewer"})
    operator = me["operator"]["id"]
    missing = {"operators": "f" * 18, "keys": "f" * 12}
    for kind, theirs, tries in (
        ("operators", operator, [("PATCH", "", {"role": "viewer"}), ("DELETE", "", None), ("POST", "/reset", {})]),
        ("keys", key["prefix"], [("DELETE", "", None), ("POST", "/rotate", {})]),
    ):  # fmt: skip
        for method, suffix, body in tries:
            told = []
            for id in (theirs, missing[kind]):
                status, problem = here.ask(method, f"/v1/{kind}/{id}{suffix}", body)
                problem.pop("hint")
                told.append((status, json.dumps(problem).replace(id, "")))
            assert told[0] == told[1]
            assert told[0][0] == 404
    assert theirs_unharmed(there)


def theirs_unharmed(person: Person) -> bool:
    _, keys = person.ask("GET", "/v1/keys")
    return all(key["revoked_ms"] is None for key in keys["keys"]) and person.ask("GET", "/v1/me")[0] == 200


def test_the_last_owner_of_a_tenant_stays(north: tuple[Server, Person, Person]) -> None:
    _, _, there = north
    _, me = there.ask("GET", "/v1/me")
    id = me["operator"]["id"]
    assert there.ask("PATCH", f"/v1/operators/{id}", {"disabled": True})[0] == 409
    assert there.ask("PATCH", f"/v1/operators/{id}", {"role": "viewer"})[0] == 409
    assert there.ask("DELETE", f"/v1/operators/{id}")[0] == 409


def test_regression_20_no_address_and_no_cookie_skips_the_second_factor(server: Server, boss: Person) -> None:
    spoofed = {
        "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1",
        "Cookie": "session=%00; mfa=passed; innkeeper.session={}; ;;=", "X-Forwarded-Host": "localhost",
    }  # fmt: skip
    status, step = anybody(server, "/v1/auth/sign-in", {"login": boss.login, "password": PASSWORD}, **spoofed)
    assert (status, step["tokens"]) == (200, None)
    for code in ("", "null", "000000", "999999"[:5]):
        body = {"ticket": step["ticket"], "code": code}
        assert anybody(server, "/v1/auth/sign-in/totp", body, **spoofed)[0] in (400, 401)
    assert server.request("GET", "/v1/me", None, headers={"Authorization": "", **spoofed})[0] == 401
    ticket = {"Authorization": f"Bearer {step['ticket']}"}
    assert server.request("GET", "/v1/me", None, headers=ticket)[0] == 401, "a ticket is no token"


def test_an_address_that_tries_too_often_waits_whatever_it_forwards(tmp_path: Path) -> None:
    with running(tmp_path, "--set", "sign_in.address_attempts_max=5") as server:
        tries = [
            anybody(
                server, "/v1/auth/sign-in", {"login": f"n{n}", "password": "x"}, **{"X-Forwarded-For": f"10.0.0.{n}"}
            )
            for n in range(9)
        ]
        found = [status for status, _ in tries]
        assert found == [401] * 5 + [429] * 4
        assert server.request("GET", "/v1/me", None)[0] == 200, "whoever is in stays in"


def test_answers_that_hold_secrets_are_not_stored(server: Server, boss: Person) -> None:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    for method, path, body in (
        ("POST", "/v1/keys", {"label": "x", "scopes": ["READ"]}),
        ("GET", "/v1/operators", None),
        ("POST", "/v1/auth/sign-in", {"login": "a", "password": "b"}),
    ):
        headers = {"Authorization": f"Bearer {boss.token}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.getheader("Cache-Control") == "no-store", path
    connection.close()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"login": 1, "password": "x"}', b'{"login": "a"}', b"\xff", b"x" * 99_999]
)
def test_a_body_that_does_not_fit_is_refused_by_its_shape(server: Server, body: bytes) -> None:
    status, problem = server.request("POST", "/v1/auth/sign-in", body)
    assert status in (400, 413)
    assert problem["code"] in ("invalid", "malformed", "too_large")


def test_the_document_types_every_route_of_people(server: Server) -> None:
    _, document = server.get("/openapi.json")
    for resource in RESOURCES:
        if not resource.path.startswith(
            ("/v1/auth/sign-in", "/v1/auth/invitation", "/v1/me", "/v1/operators", "/v1/keys")
        ):
            continue
        operation = document["paths"][resource.path][resource.method]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema["$ref"].rpartition("/")[2] in document["components"]["schemas"]
        assert ("requestBody" in operation) == (resource.body is not None)
    assert "password" not in json.dumps(document["components"]["schemas"]["Person"])


def test_a_first_start_leaves_a_link_for_the_first_owner_who_then_needs_no_key(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        path = tmp_path / "invitation-link"
        assert path.stat().st_mode & 0o077 == 0
        link = path.read_text()
        assert link.startswith(server.url.replace("127.0.0.1", "localhost") + "/console/#invite=")
        owner = join(server, code=link.partition("invite=")[2])
        assert owner.ask("GET", "/v1/operators")[0] == 200
        assert link.partition("invite=")[2] not in (tmp_path / "server.log").read_text()
    with running(tmp_path):
        assert not path.exists()


def test_the_command_line_reaches_a_running_server_within_a_second(server: Server, boss: Person) -> None:
    person = join(server, "designer")
    verb = ("operator", "disable", person.login)
    assert manage(server.folder, *verb).returncode == 0
    until = time.monotonic() + 3
    while person.ask("GET", "/v1/me")[0] != 401:
        assert time.monotonic() < until
        time.sleep(0.05)
    listed = json.loads(manage(server.folder, "operator", "list", "--json").stdout)
    assert {each["login"]: each["state"] for each in listed}[person.login] == "disabled"
    assert manage(server.folder, "operator", "enable", person.login).returncode == 0
    again = manage(server.folder, "operator", "reset-factors", person.login)
    assert again.stdout.startswith(server.url.replace("127.0.0.1", "localhost"))
    assert manage(server.folder, "operator", "role", person.login, "viewer").returncode == 0
    refused = manage(server.folder, "operator", "disable", "nobody-of-that-name")
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
