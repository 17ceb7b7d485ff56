"""A whole server of mode 1 with a provider: NPCs get goals from its words in the background, and follow them."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from tests.e2e.test_words import open_server
from tests.servers import Server
from tests.standin import Standin

WAIT_S_MAX = 20.0


def plans(body: dict[str, Any]) -> str:
    """Patrol for every case in the last message of a request."""
    cases = [json.loads(line) for line in body["messages"][-1]["content"].splitlines() if line.startswith('{"npc"')]
    found = [{"npc": case["npc"], "intent": "patrol", "target": "", "why": "it is quiet"} for case in cases]
    return json.dumps({"plans": found}, separators=(",", ":"))


def planned_guard(server: Server) -> dict[str, Any]:
    """The explanation of a guard's tick, as soon as a planner has told it something."""

    def ask(op: str, **data: Any) -> Any:
        status, answer = server.post(f"/v1/{op}", {"world": "w", **data})
        assert status == 200, answer
        return answer

    ask("world/create")
    ask("world/upsert", entities=[{"type": "npc", "id": "g", "archetype": "guard"}])
    until = time.monotonic() + WAIT_S_MAX
    explained: dict[str, Any] = {}
    while explained.get("directive_source") != "planner" and time.monotonic() < until:
        row = {"is_guard": 1.0, "hp": 1.0, "energy": 1.0}
        assert ask("behavior/decide", tick=1, npcs=["g"], features=[row])["errors"] == []
        explained = ask("behavior/explain", npc="g")
        time.sleep(0.1)
    return explained


async def test_a_provider_s_plan_becomes_a_goal_that_the_fast_brain_follows(tmp_path: Path) -> None:
    async with Standin(say=plans) as standin:
        server = await open_server(tmp_path, standin, "openai")
        try:
            explained = await asyncio.to_thread(planned_guard, server)
        finally:
            server.kill()
        asked = len(standin.seen)
    assert (explained["directive"], explained["directive_source"]) == ("patrol", "planner")
    assert (explained["directive_why"], explained["ai_generated"]) == ("it is quiet", True)
    assert asked == 1
    assert "plans.made" in (tmp_path / "server.log").read_text()
