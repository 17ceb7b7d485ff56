"""The response cache as a studio meets it: a real server over a stand-in provider, its counts, and a purge by tag."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.edge.test_tenants import studio
from tests.servers import Link, connect
from tests.standin import Standin


async def greet(link: Link, text: str = "Good morning, Mara!") -> dict[str, Any]:
    """What Ann is told first in a new dialogue, and whether it was kept."""
    opened = await link.ask("dialogue.open", {"npc": "mara", "participants": ["ann"]})
    asked = {"dialogue": opened["data"]["dialogue"], "speaker": "ann", "text": text}
    said = (await link.ask("dialogue.say", asked))["data"]
    explained = (await link.ask("dialogue.explain", {"explain_id": said["explain_id"]}))["data"]
    return {**said, "cache": explained["cache"]}


async def test_a_greeting_is_paid_once_counted_and_forgotten_on_request(tmp_path: Path) -> None:
    entities = [
        {"type": "location", "id": "inn", "name": "the inn"},
        {"type": "npc", "id": "mara", "name": "Mara", "location": "inn"},
        {"type": "player", "id": "ann", "name": "Ann", "location": "inn"},
    ]
    async with (
        Standin(say=lambda _body: "Good morning. The fire is warm.") as standin,
        studio(tmp_path, standin, "--set=responses.variants_max=1") as (server, other),
        connect(server, world="w") as link,
    ):
        assert (await link.ask("world.create", {}))["ok"]
        assert (await link.ask("world.upsert", {"entities": entities}))["ok"]
        for _ in range(4):  # until what Mara feels for Ann is no longer news to her
            await greet(link)
        before = len(standin.seen)
        again = await greet(link, "good  morning, mara")
        assert (again["cache"], again["cost_usd"], again["ai_generated"]) == ("hit", 0.0, True)
        assert len(standin.seen) == before
        status, counts = await asyncio.to_thread(server.get, "/v1/responses")
        assert (status, counts["hits"] >= 1, counts["lines"] >= 1) == (200, True, True)
        assert (await asyncio.to_thread(other.get, "/v1/responses"))[1]["lines"] == 0

        path = "/v1/responses?world=w&tag=npc:mara"
        assert (await asyncio.to_thread(other.request, "DELETE", path, None))[0] == 200
        assert (await greet(link))["cache"] == "hit", "another tenant's purge is another tenant's"
        assert (await asyncio.to_thread(server.request, "DELETE", path, None))[0] == 200
        assert (await greet(link))["cache"] == "miss"
        assert (await asyncio.to_thread(server.request, "DELETE", "/v1/responses", None))[0] == 400
        trail = (await asyncio.to_thread(server.get, "/v1/audit?limit=100"))[1]
        assert [entry["details"] for entry in trail["entries"] if entry["action"] == "responses.purged"] == [
            {"tag": "npc:mara"}
        ]
