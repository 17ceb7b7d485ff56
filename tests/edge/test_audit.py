"""The audit trail of a real server: what it notes by itself, who may read it, and its command line."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.main import cli
from tests.servers import Server, running

WRONG = {"Authorization": "Bearer ik_00000000_wrong"}


def manage(folder: Path, *arguments: str) -> tuple[int, str]:
    """(exit code, standard output) of a verb over the folder's database."""
    done = CliRunner().invoke(cli, [*arguments, "--mode", "1"], env={"INNKEEPER__SERVER__DATA_FOLDER": str(folder)})
    return done.exit_code, done.stdout


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server on which things were done."""
    folder = tmp_path_factory.mktemp("audit")
    with running(folder) as server:
        server.post("/v1/world/create", {"world": "w"})
        body = b"type octile\nheight 2\nwidth 2\nmap\n..\n..\n"
        assert server.request("PUT", "/v1/worlds/w/maps/m", body)[0] == 200
        for _ in range(5):
            server.post("/v1/world/create", {"world": "w"}, headers=WRONG)
        manage(folder, "key", "create", "--label", "reader", "--scope", "READ")
        server.stop()
    with running(folder) as server:
        yield server, folder


def entries(server: Server) -> list[dict[str, Any]]:
    status, answer = server.get("/v1/audit?limit=1000")
    assert status == 200, answer
    return list(answer["entries"])


def test_a_tenant_reads_what_its_keys_did(noted: tuple[Server, Path]) -> None:
    server, _ = noted
    prefix = server.key.split("_")[1]
    did = [(entry["actor"], entry["action"], entry["target"]) for entry in entries(server)]
    assert (f"key:{prefix}", "world.created", "world:w") in did
    assert (f"key:{prefix}", "map.uploaded", "world:w/map:m") in did
    assert [what for what in did if what[1] == "key.created"]
    assert not [what for what in did if what[1].startswith(("server.", "signin."))], "those belong to the host"


def test_the_trail_is_paged_by_place(noted: tuple[Server, Path]) -> None:
    server, _ = noted
    whole = [entry["seq"] for entry in entries(server)]
    _, first = server.get("/v1/audit?limit=2")
    assert [entry["seq"] for entry in first["entries"]] == whole[:2]
    _, rest = server.get(f"/v1/audit?after={first['seq']}&limit=1000")
    assert [entry["seq"] for entry in rest["entries"]] == whole[2:]
    for wrong in ("after=-1", "limit=x", "limit=1001", f"after={2**63}"):
        assert server.get(f"/v1/audit?{wrong}")[0] == 400


def test_the_trail_verifies_over_http_and_from_the_command_line(noted: tuple[Server, Path]) -> None:
    server, folder = noted
    status, verdict = server.get("/v1/audit/verify")
    assert (status, verdict["fault"]) == (200, None)
    for tenant in ("default", "@host"):
        code, out = manage(folder, "audit", "verify", "--tenant", tenant, "--json")
        assert (code, json.loads(out)["fault"]) == (0, None)


def test_the_host_s_trail_tells_of_starts_stops_and_failures_by_address(noted: tuple[Server, Path]) -> None:
    _, folder = noted
    _, out = manage(folder, "audit", "export", "--tenant", "@host")
    lines = [json.loads(line) for line in out.splitlines()]
    actions = [line["action"] for line in lines]
    assert actions.count("server.started") == 2
    assert actions.count("server.stopped") == 1
    failed = [line for line in lines if line["action"] == "signin.failed"]
    assert [(line["actor"], line["details"]) for line in failed] == [
        ("address:127.0.0.1", {}), ("address:127.0.0.1", {"more": 4})
    ]  # fmt: skip
    assert all("wrong" not in json.dumps(line) for line in lines)


def test_a_key_without_the_scope_reads_nothing_and_that_is_noted(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.stop()
    key = manage(tmp_path, "key", "create", "--label", "reader", "--scope", "READ")[1].strip()
    with running(tmp_path) as server:
        owner, server.key = server.key, key
        assert server.get("/v1/audit")[0] == 403
        assert server.get("/v1/audit/verify")[0] == 403
        assert server.post("/v1/world/create", {"world": "w"})[0] == 403
        server.key = owner
        until_s = time.monotonic() + 10
        refused: set[str] = set()
        while len(refused) < 3 and time.monotonic() < until_s:
            refused = {entry["target"] for entry in entries(server) if entry["action"] == "access.refused"}
    assert refused == {"GET /v1/audit", "GET /v1/audit/verify", "world.create"}


def test_verify_names_the_first_entry_that_was_touched_and_cut_refuses_evidence(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        for number in range(5):
            server.post("/v1/world/create", {"world": f"w{number}"})
        server.stop()
    assert manage(tmp_path, "audit", "verify")[0] == 0
    assert "world:w3" in manage(tmp_path, "audit", "tail")[1]
    with closing(sqlite3.connect(tmp_path / "innkeeper.db")) as database, database:
        database.execute("UPDATE audit_entries SET target = 'world:x' WHERE target = 'world:w2'")
    code, out = manage(tmp_path, "audit", "verify")
    assert code == 1
    assert "changed" in out
    assert manage(tmp_path, "audit", "cut", "--days", "1")[0] != 0
