"""API keys from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT, running


def manage(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), *arguments, "--set", f"server.data_folder={folder}"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_a_made_key_opens_the_server_and_a_revoked_one_does_not(tmp_path: Path) -> None:
    made = manage(tmp_path, "key", "create", "--label", "shard 1", "--scope", "READ")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    listed = json.loads(manage(tmp_path, "key", "list", "--json").stdout)
    assert [row["label"] for row in listed] == ["shard 1"]
    assert key.split("_", 2)[2] not in json.dumps(listed)
    bearer = {"Authorization": f"Bearer {key}"}

    (tmp_path / "api-key").write_text(key)
    with running(tmp_path) as server:
        assert server.request("GET", "/v1/worlds", None, headers=bearer)[0] == 200
        status, problem = server.request("POST", "/v1/world/create", b'{"world": "w"}', headers=bearer)
        assert (status, problem["code"]) == (403, "forbidden")

    assert manage(tmp_path, "key", "revoke", listed[0]["prefix"]).returncode == 0
    with running(tmp_path) as server:
        assert server.request("GET", "/v1/worlds", None, headers=bearer)[0] == 401


def test_revoking_an_unknown_key_names_the_nearest_one(tmp_path: Path) -> None:
    manage(tmp_path, "key", "create", "--label", "a")
    refused = manage(tmp_path, "key", "revoke", "00000000")
    assert refused.returncode == 2
    assert "no key '00000000'" in refused.stderr


def test_a_wrong_value_is_one_line_with_a_hint_and_exit_code_2(tmp_path: Path) -> None:
    refused = manage(tmp_path, "profile", "show", "--set", "server.port=many")
    assert refused.returncode == 2
    assert "server.port: expected `int`" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_unknown_verb_is_refused_with_exit_code_2(tmp_path: Path) -> None:
    refused = manage(tmp_path, "serv")
    assert refused.returncode == 2
    assert "serv" in refused.stderr


def test_a_key_belongs_to_its_tenant_and_is_revoked_there(tmp_path: Path) -> None:
    keys = {}
    for tenant in ("north", "south"):
        made = manage(tmp_path, "key", "create", "--label", "a", "--tenant", tenant)
        keys[tenant] = {"Authorization": f"Bearer {made.stdout.strip()}"}
    (tmp_path / "api-key").write_text(made.stdout.strip())
    with running(tmp_path) as server:
        assert server.request("POST", "/v1/world/create", b'{"world": "w"}', headers=keys["north"])[0] == 200
        _, worlds = server.request("GET", "/v1/worlds", None, headers=keys["south"])
        assert worlds["worlds"] == []
    prefix = next(row["prefix"] for row in json.loads(manage(tmp_path, "key", "list", "--json").stdout))
    assert manage(tmp_path, "key", "revoke", prefix).returncode != 0, "the default tenant has no such key"
    assert manage(tmp_path, "key", "revoke", prefix, "--tenant", "north").returncode == 0
