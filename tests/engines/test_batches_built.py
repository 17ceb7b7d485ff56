"""Work that can wait in a whole server: handed in, answered by the vendor, and billed to the world that it was for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.build import MODULE_SETTINGS, ROOT, Innkeeper, build
from app.core.clock import SystemClock
from app.core.profile import layers, load
from app.core.words import Completion, Part
from app.engines.providers.provider import Provider
from app.world.usage import Used, summary
from tests.standin import KEY, WORDS, Standin


async def built(folder: Path, **flags: object) -> Innkeeper:
    flags = {"server__data_folder": str(folder), "telemetry__log_level": "error", **flags}
    named = {key.replace("__", "."): value for key, value in flags.items()}
    loaded = load(layers(ROOT / "profiles", mode=2, file=None, environment={}, flags=named), MODULE_SETTINGS)
    return await build(loaded.profile)


def night(row: int) -> Completion:
    part = Part(trust="system", text=f"Reflect on night {row}.")
    return Completion(
        task="memory.reflect",
        parts=(part,),
        output_tokens_max=40,
        tenant="default",
        world="w",
        npc="mara",
        player="ann",
    )


@pytest.mark.parametrize("vendor", [True, False])
async def test_what_waited_is_on_the_worlds_bill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vendor: bool) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    async with Standin() as standin:
        server = await built(
            tmp_path,
            engines__openai__base_url=standin.openai_url,
            engines__openai__batches=vendor,
            batches__poll_ms=50,
            batches__pause_ms=1,
        )
        try:
            await server.journal.create_world("default", "w")
            assert server.batches is not None
            id = await server.batches.submit("default", [night(0), night(1)], SystemClock().wall_ms() + 60_000)
            async with asyncio.timeout(20):
                outcomes = [outcome async for outcome in server.batches.results("default", id)]
            assert [outcome.text for outcome in outcomes] == [WORDS] * 2
            batch = await server.batches.status("default", id)
            assert batch.engine == ("openai" if vendor else "")
            total: Used = summary(server.worlds.get("default", "w").state.usage)["total"]
            assert (total.calls, total.cost_nano_usd) == (2, batch.cost_nano_usd)
            assert batch.cost_nano_usd > 0
        finally:
            await server.close()


async def test_a_server_of_ones_own_needs_no_key_and_bills_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    async with Standin() as standin:
        server = await built(
            tmp_path,
            engines__openai__base_url=standin.openai_url,
            engines__openai__key_env="",
            engines__openai__model="Qwen/Qwen3-8B",
            batches__poll_ms=50,
            batches__pause_ms=1,
        )
        try:
            states = {engine.name: engine.state for engine in server.engines.statuses()}
            assert states["openai"] == "ready"
            engine = server.engines.running("openai")
            assert isinstance(engine, Provider)
            assert engine.most(night(0)).cost_nano_usd == 0
            assert server.batches is not None
            id = await server.batches.submit("default", [night(0)], SystemClock().wall_ms() + 60_000)
            async with asyncio.timeout(20):
                (outcome,) = [outcome async for outcome in server.batches.results("default", id)]
            assert "401" in outcome.error, "the stand-in does ask for a key"
            assert "authorization" not in standin.seen[-1].headers
        finally:
            await server.close()
