"""Prompts as a tenant's people meet them: a real server over a stand-in provider, over HTTP and by command line."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from app.control.prompts.bundled import load_bundled, to_toml
from app.core.prompts import Prompt
from tests.control.prompts.test_registry import reworded
from tests.edge.test_tenants import LINES, meet, say, studio, verb
from tests.servers import ROOT, Server, connect
from tests.standin import KEY, Standin

NAME = "dialogue.reply"
PLACE = f"/v1/prompts/{NAME}"
OWN = load_bundled()[NAME]


def as_json(prompt: Prompt) -> dict[str, Any]:
    return dict(msgspec.to_builtins(prompt))


def put(server: Server, prompt: Prompt) -> str:
    status, done = server.post(f"{PLACE}/versions", as_json(prompt))
    assert status == 200, done
    return str(done["version"])


def move(server: Server, label: str, targets: dict[str, int], **more: Any) -> tuple[int, Any]:
    return server.request("PUT", f"{PLACE}/labels/{label}", json.dumps({"targets": targets, **more}).encode())


def test_versions_labels_and_lint_over_http(server: Server) -> None:
    status, listed = server.get("/v1/prompts")
    assert status == 200
    assert {one["name"]: one["labels"] for one in listed["prompts"]}["behavior.plan"] == []
    word = "Be as brief as an innkeeper with a full house."
    version = put(server, reworded(word))
    assert server.post(f"{PLACE}/versions", as_json(reworded(word)))[1] == {
        "version": version, "new": False, "warnings": [],
    }  # fmt: skip
    status, read = server.get(f"{PLACE}/versions/{version[:12]}")
    assert (status, read["version"]) == (200, version)
    assert word in read["content"]["sections"]["rules"]["text"]
    assert [one["id"] for one in server.get(f"{PLACE}/versions")[1]["versions"]] == [version]

    status, found = server.post(f"{PLACE}/lint", as_json(reworded("Bow to {{ hero }}.")))
    assert status == 200
    assert [(one["rule"], one["section"], one["line"], one["column"]) for one in found["findings"]] == [
        ("undefined", "rules", 8, 11)
    ]
    status, problem = server.post(f"{PLACE}/versions", as_json(reworded("Bow to {{ hero }}.")))
    assert (status, problem["code"]) == (400, "invalid")
    assert "section 'rules', line 8, column 11" in problem["detail"]

    assert move(server, "staging", {version[:8]: 1})[1]["targets"] == {version: 1}
    status, problem = move(server, "production", {version: 1})
    assert (status, problem["code"]) == (409, "conflict")
    assert "manage.py prompts eval" in problem["hint"]
    status, moved = move(server, "production", {version: 5, "bundled": 95}, force="nobody else is here")
    assert (status, len(moved["targets"])) == (200, 2)
    assert move(server, "production", {version: 5, "bundled": 95})[0] == 409
    assert move(server, "production", {"bundled": 1})[0] == 200
    change = server.get(f"{PLACE}/labels")[1]["labels"][0]["change"]
    back = {"change": change}
    assert server.post(f"{PLACE}/labels/production/rollback", back)[1]["targets"] == moved["targets"]
    assert server.post(f"{PLACE}/labels/production/rollback", back)[0] == 409, "the same request undoes no more"
    assert server.get(f"{PLACE}/evals")[1]["evals"] == []

    actions = [entry["action"] for entry in audited(server, f"{NAME}:production")]
    assert actions == ["prompt.forced", "prompt.labeled", "prompt.labeled", "prompt.rolled_back"]


def audited(server: Server, target: str) -> list[dict[str, Any]]:
    """The entries about a target; they are durable a moment after the answer."""
    end_s = time.monotonic() + 10.0
    while time.monotonic() < end_s:
        found = [one for one in server.get("/v1/audit?limit=1000")[1]["entries"] if one["target"] == target]
        if any(one["action"] == "prompt.rolled_back" for one in found):
            return found
        time.sleep(0.1)
    raise AssertionError("nothing was written")


def test_what_is_wrong_is_refused_by_its_own_status(server: Server) -> None:
    asks = [
        (404, server.get("/v1/prompts/no.such/versions/bundled")),
        (400, server.get("/v1/prompts/NoName/versions")),
        (404, server.get(f"{PLACE}/versions/latest")),
        (404, move(server, "staging", {"0" * 64: 1})),
        (400, move(server, "Staging!", {"bundled": 1})),
        (400, move(server, "staging", {"bundled": 0})),
        (400, move(server, "staging", {})),
        (400, server.post(f"{PLACE}/versions", {**as_json(OWN), "name": "other.name"})),
        (400, server.post(f"{PLACE}/versions", {**as_json(OWN), "extra": 1})),
        (400, server.post(f"{PLACE}/versions", b"[" * 100_000)),
        (413, server.post(f"{PLACE}/versions", b" " * 140_000)),
        (409, server.post(f"{PLACE}/labels/nowhere/rollback", {})),
    ]
    assert [status for status, _ in asks] == [wanted for wanted, (_, _) in asks], [body for _, (_, body) in asks]
    key = server.post("/v1/keys", {"label": "reader", "scopes": ["READ", "PLAY", "WRITE"]})[1]["key"]
    weak = {"Authorization": f"Bearer {key}"}
    for method, path in (("GET", "/v1/prompts"), ("POST", f"{PLACE}/versions"), ("PUT", f"{PLACE}/labels/staging")):
        assert server.request(method, path, b"{}" if method != "GET" else None, headers=weak)[0] == 403


async def test_a_line_is_written_from_the_version_of_its_own_tenant(tmp_path: Path) -> None:
    sent: list[str] = []

    def speak(body: Any) -> str:
        sent.append(json.dumps(body))
        return LINES[len(sent) % len(LINES)]

    word = "Always mention the weather."
    async with (
        Standin(say=speak) as standin,
        studio(tmp_path, standin) as (mine, other),
        connect(mine, world="w") as link,
        connect(other, world="w") as beside,
    ):
        dialogue, at_other = await meet(link), await meet(beside)

        async def line() -> dict[str, Any]:
            said = await say(link, dialogue)
            explained = (await link.ask("dialogue.explain", {"explain_id": said["explain_id"]}))["data"]
            return {"rung": said["rung"], "label": explained["prompt_label"], "of": explained["prompt_version"]}

        first = await line()
        assert (first["rung"], first["label"]) == ("words", "bundled")
        version = await asyncio.to_thread(put, mine, reworded(word))
        status, _ = await asyncio.to_thread(move, mine, "production", {version: 1}, force="a test")
        assert status == 200
        assert await line() == {"rung": "words", "label": "production", "of": f"{NAME}@{version[:16]}"}
        await say(beside, at_other)
        assert [word in body for body in sent] == [False, True, False]
        heads = [json.loads(body)["messages"][0]["content"] for body in sent]
        assert all("ink" in head.split("Private mark")[1] for head in heads), "each has its canary"
        await line()
        again = json.loads(sent[-1])["messages"][0]["content"]
        assert again == heads[1], "the head is the same from line to line"

        # the command line moves a label beside the running server
        file = tmp_path / "mine.toml"
        file.write_text(to_toml(reworded("Never mention the weather.")))
        put_at = await asyncio.to_thread(verb, tmp_path, "prompts", "put", str(file))
        await asyncio.to_thread(verb, tmp_path, "prompts", "label", NAME, "production", put_at, "--force", "a test")
        end_s = time.monotonic() + 10.0
        while (await line())["of"] != f"{NAME}@{put_at[:16]}":
            assert time.monotonic() < end_s, "the running server never obeyed"
        assert "Never mention the weather." in sent[-1]


async def test_an_eval_by_a_provider_opens_the_way_to_production(tmp_path: Path) -> None:
    """The provider repeats its rules until it is told to be brief, so only the changed version passes."""

    def speak(body: Any) -> str:
        whole = json.dumps(body)
        return "Good evening to you." if "Be brief." in whole else "You speak as one character of a game world: {"

    file = tmp_path / "mine.toml"
    file.write_text(to_toml(reworded("Be brief.")))
    async with Standin(say=speak) as standin:
        environment = {**os.environ, "OPENAI_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}

        async def prompts(*arguments: str) -> tuple[int, str]:
            place = ["--data", str(tmp_path), "--set", f"engines.openai.base_url={standin.openai_url}", "--mode", "1"]
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(ROOT / "manage.py"), "prompts", *arguments, *place,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment,
            )  # fmt: skip
            out, _ = await process.communicate()
            return process.returncode or 0, out.decode()

        code, told = await prompts("put", str(file))
        assert code == 0, told
        version = told.split()[-1]
        assert (await prompts("label", NAME, "production", version))[0] == 2
        code, told = await prompts("eval", NAME, "bundled", "--engine", "openai")
        assert code == 1, told
        assert "greets: contains '{'" in told
        code, told = await prompts("eval", NAME, version, "--engine", "openai")
        assert code == 0, told
        assert "passed: 4 of 4 by openai" in told
        code, told = await prompts("label", NAME, "production", version)
        assert code == 0, told
