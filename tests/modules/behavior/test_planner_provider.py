"""The planner over a real provider, which speaks with a stand-in of the vendor's service."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from app.core.clock import SystemClock
from app.engines.orchestration.orchestrator import Orchestrator
from tests.engines.conftest import open_at
from tests.modules.behavior.stage import Watch, stage
from tests.modules.behavior.test_planner import alike, ended, planned, quick, tick, until
from tests.standin import Standin


def answer(body: dict[str, Any]) -> str:
    """Plans for every case in the last message of a request."""
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else content[0]["text"]
    lines = [json.loads(line) for line in text.splitlines() if line.startswith('{"npc"')]
    plans = [{"npc": case["npc"], "intent": "work", "target": "", "why": "it is day"} for case in lines]
    return json.dumps({"plans": plans}, separators=(",", ":"))


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_plans_come_over_the_wire_in_the_shape_that_was_asked_for(kind: str) -> None:
    async with Standin(say=answer) as standin:
        words = Orchestrator([open_at(kind, standin)], clock=SystemClock(), watcher=Watch())
        on = await stage(npcs=20, words=words, settings=quick())
        await tick(on, alike(20))
        await until(lambda: len(planned(on)) == 20)
        assert {told.intent for told in planned(on).values()} == {"work"}
        body = standin.seen[0].body
        asked = body["response_format"]["json_schema"] if kind == "openai" else body["output_config"]["format"]
        assert asked["schema"]["properties"]["plans"]["type"] == "array"
        assert len(standin.seen) == 1
        assert on.world.state.usage
        await ended(on)
        await words.close()


@pytest.mark.parametrize("fault", ["500", "429", "hang", "cut", "garbage", "broken_json", "endless", "none"])
async def test_a_service_that_misbehaves_changes_nothing_but_who_plans(fault: Any) -> None:
    async with Standin(fault=fault) as standin:
        words = Orchestrator([open_at("openai", standin)], clock=SystemClock(), watcher=Watch())
        on = await stage(words=words, settings=quick(deadline_ms=400.0))
        for number in range(5):
            reply = await tick(on, alike(5), number=number)
            assert 255 not in reply.intents
            await asyncio.sleep(0)
        await until(lambda: len(planned(on)) == 5)
        assert on.watch.fell == ["words"]
        await ended(on)
        await words.close()
