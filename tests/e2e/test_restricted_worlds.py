"""A tenant's restricted world over a whole server: its words are the author's, and nobody outside hears of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.edge.test_tenants import LINES, meet, put, say, studio, verb
from tests.servers import connect
from tests.standin import Standin


async def test_a_restricted_world_is_never_heard_of_outside(tmp_path: Path) -> None:
    async with Standin(say=lambda _body: LINES[0]) as standin:  # noqa: SIM117  # one line would be too long
        async with studio(tmp_path, standin) as (mine, other), connect(mine, world="vault") as link:
            assert (await asyncio.to_thread(put, mine, restricted_worlds=["vault"]))[0] == 200
            dialogue = await meet(link)
            said = await say(link, dialogue)
            assert (said["rung"], said["ai_generated"]) == ("authored", False)
            explained = await link.ask("dialogue.explain", {"explain_id": said["explain_id"]})
            assert "not on this machine" in explained["data"]["falls"][0]["reason"]
            assert standin.seen == []

            async with connect(mine, world="vale") as beside, connect(other, world="vault") as elsewhere:
                assert (await say(beside, await meet(beside)))["engine"] == "openai"
                assert (await say(elsewhere, await meet(elsewhere)))["engine"] == "openai"
            assert len(standin.seen) == 2

            assert (await asyncio.to_thread(put, mine, restricted_worlds=["*"]))[0] == 200
            async with connect(mine, world="vale") as beside:
                opened = await beside.ask("dialogue.open", {"npc": "mara", "participants": ["ann"]})
                assert (await say(beside, str(opened["data"]["dialogue"])))["rung"] == "authored"
            assert len(standin.seen) == 2


async def test_where_the_words_went_stands_in_the_log_and_the_metrics_tell_of_calls(tmp_path: Path) -> None:
    async with Standin(say=lambda _body: LINES[0]) as standin:  # noqa: SIM117  # one line would be too long
        async with studio(tmp_path, standin) as (mine, _), connect(mine, world="vale") as link:
            assert (await say(link, await meet(link)))["engine"] == "openai"
            await asyncio.to_thread(verb, tmp_path, "events", "export", "--out", str(tmp_path / "log.jsonl"))
            metrics = (await asyncio.to_thread(mine.get, "/metrics"))[1].decode()
    changes = [json.loads(line).get("change", {}) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [change["region"] for change in changes if change.get("kind") == "words.used"] == ["eu"]
    assert 'innkeeper_words_calls_total{engine="openai",outcome="stop"} 1.0' in metrics
    assert 'innkeeper_words_first_text_seconds_count{engine="openai"} 1.0' in metrics
    assert 'innkeeper_words_cost_usd_total{engine="openai"}' in metrics
