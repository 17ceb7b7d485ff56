"""`manage.py usage`: what was spent in worlds, and at the doors for none, beside a running server and without one."""

from __future__ import annotations

import json
from pathlib import Path

from tests.edge.doors.conftest import ENVIRONMENT, options, provider, verb
from tests.servers import Server, start
from tests.standin import Standin

CHAT = "/openai/v1/chat/completions"
BODY = {"model": "innkeeper", "messages": [{"role": "user", "content": "Hello."}]}


def ask(server: Server, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    assert server.post(CHAT, BODY, headers={"Cache-Control": "no-store", **named})[0] == 200


def used(folder: Path, *arguments: str) -> dict[str, dict[str, dict[str, dict[str, int]]]]:
    return dict(json.loads(verb(folder, "usage", "--json", *arguments)))


def test_what_the_doors_spent_for_no_world_is_told_beside_the_worlds(tmp_path: Path) -> None:
    with provider() as standin:
        _spend(tmp_path, standin)
    found = used(tmp_path)
    assert list(found) == ["default/", "default/inn", "other/"]
    assert [found[place]["total"]["calls"] for place in found] == [2, 1, 1]
    assert found["default/"]["engines"]["openai"]["tokens_in"] == 200
    assert found["default/"]["total"]["cost_nano_usd"] > 0
    assert list(found["default/inn"]["players"]) == ["ann"]
    assert list(used(tmp_path, "--tenant", "other")) == ["other/"]
    assert list(used(tmp_path, "--world", "inn")) == ["default/inn"], "of a world, what was for none is no part"
    table = verb(tmp_path, "usage", "--by", "engine")
    assert "default/ " in table
    assert "openai" in table
    log = tmp_path / "log.jsonl"
    verb(tmp_path, "events", "export", "--out", str(log))
    changes = [json.loads(line).get("change", {}) for line in log.read_text().splitlines()]
    assert [change["region"] for change in changes if change.get("kind") == "words.used"] == ["eu"]


def _spend(folder: Path, standin: Standin) -> None:
    """Two calls for no world, one for the inn, and one of another tenant."""
    verb(folder, "tenant", "create", "other")
    key = verb(folder, "key", "create", "--tenant", "other", "--label", "test")
    mine = verb(folder, "key", "create", "--label", "test")
    (folder / "api-key").write_text(mine)
    server = start(folder, *options(standin, "--set=engines.openai.region=eu"), environment=ENVIRONMENT)
    try:
        assert server.post("/v1/world/create", {"world": "inn"})[0] == 200
        ask(server)
        ask(server)
        ask(server, Innkeeper_World="inn", Innkeeper_Player="ann")
        server.key = key
        ask(server)
        server.stop()
    finally:
        if server.process.poll() is None:
            server.kill()
