"""What a tenant sets, as its clients meet it: a real server over a stand-in provider, two tenants side by side."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets import ConnectionClosed

from tests.servers import ROOT, Link, Server, connect, start
from tests.standin import KEY, Standin

LINES = (
    "The fire is warm tonight.", "Mind the step by the door.", "There is soup if you are hungry.",
    "Somebody left a glove here.", "I was about to sweep the floor.", "The cat has had its supper.",
    "Rain again, by the sound of it.", "Hang your cloak wherever you like.", "My sister sends her best.",
    "A fine pair of boots, those.", "Barrels came up from the river today.", "You look well rested.",
)  # fmt: skip
"""What the stand-in says in turn: an NPC that repeats itself is cut short."""
RULE = "Never speak of dragons in this house."


def verb(folder: Path, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    place = ["--set", f"server.data_folder={folder}"]
    return subprocess.run([*command, *place], capture_output=True, text=True, check=True).stdout.strip()


@asynccontextmanager
async def studio(folder: Path, standin: Standin, *more: str) -> AsyncIterator[tuple[Server, Server]]:
    """A server as its default tenant and as the tenant `other`; the provider is in region `eu`."""
    options = [
        f"--set=engines.openai.base_url={standin.openai_url}", "--set=engines.words.providers=openai",
        "--set=engines.openai.region=eu", "--set=engines.azure.region=us", *more,
    ]  # fmt: skip
    environment = {"OPENAI_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}
    await asyncio.to_thread(verb, folder, "tenant", "create", "other")
    key = await asyncio.to_thread(verb, folder, "key", "create", "--tenant", "other", "--label", "test")
    mine = await asyncio.to_thread(verb, folder, "key", "create", "--label", "test")
    (folder / "api-key").write_text(mine)
    server = await asyncio.to_thread(start, folder, *options, mode=1, environment=environment)
    try:
        yield replace(server, key=mine), replace(server, key=key)
    finally:
        server.kill()


def put(server: Server, **settings: Any) -> tuple[int, Any]:
    return server.request("PUT", "/v1/settings", json.dumps(settings).encode())


async def meet(link: Link) -> str:
    entities = [
        {"type": "location", "id": "inn", "name": "the inn"},
        {"type": "npc", "id": "mara", "name": "Mara", "location": "inn"},
        {"type": "player", "id": "ann", "name": "Ann", "location": "inn"},
    ]
    assert (await link.ask("world.create", {}))["ok"]
    assert (await link.ask("world.upsert", {"entities": entities}))["ok"]
    return str((await link.ask("dialogue.open", {"npc": "mara", "participants": ["ann"]}))["data"]["dialogue"])


async def say(link: Link, dialogue: str) -> dict[str, Any]:
    reply = await link.ask("dialogue.say", {"dialogue": dialogue, "speaker": "ann", "text": "Good evening!"})
    assert reply["ok"], reply
    return dict(reply["data"])


async def test_what_one_tenant_sets_rules_its_own_lines_and_nobody_else_s(tmp_path: Path) -> None:
    prompts: list[str] = []

    def speak(body: Any) -> str:
        prompts.append(json.dumps(body))
        return LINES[len(prompts) % len(LINES)]

    async with Standin(say=speak) as standin, studio(tmp_path, standin) as (mine, other):
        async with connect(mine, world="w") as link, connect(other, world="w") as beside:
            dialogue, at_other = await meet(link), await meet(beside)
            assert (await say(link, dialogue))["engine"] == "openai"
            status, shown = await asyncio.to_thread(put, mine, safety_text=RULE)
            assert (status, shown["version"]) == (200, 1)
            await say(link, dialogue)
            await say(beside, at_other)
            assert [RULE in prompt for prompt in prompts] == [False, True, False]

            for settings, reason in (
                ({"engines": ["azure"]}, "openai is not allowed"),
                ({"regions": ["us"]}, "stay in ('us',)"),
                ({"security_level": "strict"}, "strict"),
            ):
                assert (await asyncio.to_thread(put, mine, **settings))[0] == 200
                said = await say(link, dialogue)
                assert said["rung"] == "authored"
                explained = await link.ask("dialogue.explain", {"explain_id": said["explain_id"]})
                assert reason in explained["data"]["falls"][0]["reason"]
                assert (await say(beside, at_other))["rung"] == "words"
            assert len(prompts) == 6

            assert (await asyncio.to_thread(put, mine, regions=["eu"]))[0] == 200
            assert (await say(link, dialogue))["engine"] == "openai"
            assert (await asyncio.to_thread(put, mine, caps={"day_tokens_max": 1}))[0] == 200
            assert (await say(link, dialogue))["rung"] == "authored"
            assert (await say(beside, at_other))["rung"] == "words"
        assert (await asyncio.to_thread(other.get, "/v1/settings"))[1]["version"] == 0


async def test_settings_that_are_wrong_are_named(tmp_path: Path) -> None:
    more = ("--set=budgets.tenant.day_tokens_max=1000",)
    async with Standin(say=lambda _body: LINES[0]) as standin, studio(tmp_path, standin, *more) as (mine, _):
        for settings, said, hint in (
            ({"engine": ["openai"]}, "engine is unknown", "'engines'"),
            ({"caps": {"day_tokens": 1}}, "caps.day_tokens is unknown", "'day_tokens_max'"),
            ({"engines": ["opena"]}, "no engine 'opena'", "'openai'"),
            ({"regions": ["moon"]}, "no engine is in region 'moon'", "'eu'"),
            ({"caps": {"day_tokens_max": 1001}}, "caps.day_tokens_max is 1001", "1000"),
            ({"rates": {"key_requests_max": 900_000}}, "rates.key_requests_max is 900000", "50000"),
            ({"safety_text": "x" * 2001}, "length <= 2000", ""),
            ({"engines": ["openai"] * 33}, "length <= 32", ""),
        ):
            status, problem = await asyncio.to_thread(put, mine, **settings)
            assert status == 400
            assert said in problem["detail"]
            assert hint in problem["hint"]


async def test_a_suspended_tenant_is_refused_everywhere_and_its_sockets_close(tmp_path: Path) -> None:
    async with Standin(say=lambda _body: LINES[0]) as standin, studio(tmp_path, standin) as (mine, other):
        async with connect(mine, world="w") as link, connect(other, world="w") as beside:
            await asyncio.to_thread(verb, tmp_path, "tenant", "suspend", "other")
            began_s = time.monotonic()
            with pytest.raises(ConnectionClosed) as closed:
                await beside.receive(timeout_s=5)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4423, "the tenant is suspended")
            assert time.monotonic() - began_s < 5
            assert (await link.ask("world.create", {}))["ok"]
        status, problem = await asyncio.to_thread(other.post, "/v1/world/create", {"world": "w"})
        assert (status, problem["code"]) == (403, "tenant_suspended")
        for path in ("/v1/worlds", "/v1/settings", "/v1/usage"):
            assert (await asyncio.to_thread(other.get, path))[0] == 403
        assert (await asyncio.to_thread(other.post, "/v1/auth/token", {}))[0] == 403
        with pytest.raises(AssertionError, match="tenant_suspended"):
            async with connect(other):
                pass
        await asyncio.to_thread(verb, tmp_path, "tenant", "suspend", "other", "--resume")
        async with asyncio.timeout(5):
            while (await asyncio.to_thread(other.get, "/v1/worlds"))[0] != 200:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.05)


def test_a_tenant_is_made_shown_set_and_removed_by_hand(tmp_path: Path) -> None:
    assert verb(tmp_path, "tenant", "create", "studio-1") == "made studio-1"
    assert verb(tmp_path, "tenant", "set", "studio-1", "engines=openai,llama", "rates.key_requests_max=5") == (
        "studio-1 is at version 1"
    )
    shown = json.loads(verb(tmp_path, "tenant", "show", "studio-1"))
    assert shown["settings"]["engines"] == ["openai", "llama"]
    assert shown["settings"]["rates"]["key_requests_max"] == 5
    assert "studio-1" in verb(tmp_path, "tenant", "list")
    for id in ("Studio", "a,b", "*", "~", "", "a" * 64):
        with pytest.raises(subprocess.CalledProcessError) as refused:
            verb(tmp_path, "tenant", "create", id)
        assert "no id for a tenant" in refused.value.stderr
    assert verb(tmp_path, "tenant", "remove", "studio-1") == "removed studio-1"
