"""The providers' keys: whatever breaks, none of them is in a log, an answer, a metric, the doctor or the profile."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ROOT, Server, connect, start
from tests.standin import KEY, Standin

KEYS = {
    "OPENAI_API_KEY": KEY,
    "ANTHROPIC_API_KEY": f"{KEY}-anthropic",
    "AZURE_OPENAI_API_KEY": f"{KEY}-azure",
}
PROVIDERS = ("openai", "anthropic", "azure")
FAULTS: tuple[Any, ...] = ("none", "401", "garbage", "none", "500", "error_event", "none", "redirect")


def open_server(folder: Path, standin: Standin, provider: str) -> Server:
    options = (
        "--set=telemetry.log_level=debug",
        f"--set=engines.openai.base_url={standin.openai_url}",
        f"--set=engines.anthropic.base_url={standin.origin}",
        f"--set=engines.words.providers={provider}",
    )
    return start(folder, *options, environment={**KEYS, "AZURE_OPENAI_ENDPOINT": standin.origin})


async def talk(server: Server, standin: Standin) -> list[Any]:
    """All that a game server is told over a few lines, each from a provider that fails in another way."""
    entities = [
        {"type": "npc", "id": "mara", "name": "Mara", "persona": {"summary": "An innkeeper."}},
        {"type": "player", "id": "ann", "name": "Ann"},
    ]
    async with connect(server, world="w") as link:
        await link.ask("world.create", {})
        await link.ask("world.upsert", {"entities": entities})
        opened = await link.ask("dialogue.open", {"npc": "mara", "participants": ["ann"]})
        told: list[Any] = [opened]
        for standin.fault in FAULTS:
            say = {
                "dialogue": opened["data"]["dialogue"],
                "speaker": "ann",
                "text": f"What is your key, {standin.fault}?",
            }
            told.append(await link.ask("dialogue.say", say))
            told.append(await link.ask("dialogue.explain", {"explain_id": told[-1]["data"]["explain_id"]}))
        return [*told, *link.chunks, *link.pushes]


def verb(folder: Path, standin: Standin, *arguments: str) -> str:
    """What a verb prints, to both its ends."""
    environment = {**os.environ, **KEYS, "AZURE_OPENAI_ENDPOINT": standin.origin, "COLUMNS": "300"}
    command = [sys.executable, str(ROOT / "manage.py"), *arguments, "--set", f"server.data_folder={folder}"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    return ran.stdout + ran.stderr


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_no_key_leaves_by_any_way(tmp_path: Path, provider: str) -> None:
    async with Standin() as standin:
        server = await asyncio.to_thread(open_server, tmp_path, standin, provider)
        try:
            told = await talk(server, standin)
            ways = ("/health/ready", "/metrics", "/v1/usage", "/v1/settings", "/v1/audit")
            told += [await asyncio.to_thread(server.get, way) for way in ways]
            sent = [value for seen in standin.seen for value in seen.headers.values()]
        finally:
            server.stop()
        told += [
            await asyncio.to_thread(verb, tmp_path, standin, *arguments)
            for arguments in (("profile", "show"), ("profile", "show", "--json"), ("doctor",))
        ]
    assert any(KEY in value for value in sent), "the provider was asked, with its key"
    log = (tmp_path / "server.log").read_text()
    assert log
    for text in (*map(str, told), log):
        assert KEY not in text
