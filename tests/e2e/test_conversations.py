"""Conversations over the socket of a real server: groups, whispers, ears, interruption, barks, silence and death."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from struct import pack
from typing import Any

from tests.servers import Link, Server, connect, start
from tests.standin import KEY, Standin

LINE = "You came at last. You look cold and wet to the bone. The stew is hot tonight."
SECRET = "my sister hides under the mill"

INN = [
    {"type": "location", "id": "inn", "name": "the Goose", "map": "vale"},
    {"type": "location", "id": "mill", "name": "the Windmill", "map": "vale"},
    {"type": "npc", "id": "mara", "name": "Mara", "archetype": "innkeeper", "location": "inn"},
    {"type": "npc", "id": "tom", "name": "Tom", "archetype": "farmer", "location": "inn"},
    {"type": "npc", "id": "nell", "name": "Nell", "archetype": "guard", "location": "inn"},
    {"type": "player", "id": "ann", "name": "Ann", "location": "inn"},
    {"type": "player", "id": "ben", "name": "Ben", "location": "mill"},
]  # fmt: skip


@asynccontextmanager
async def talking(
    folder: Path, *standins: tuple[str, Standin], options: tuple[str, ...] = ()
) -> AsyncIterator[tuple[Server, Link]]:
    """A server whose providers are these stand-ins, in this order, offline without any; and a link to it."""
    urls = {"openai": lambda one: one.openai_url, "anthropic": lambda one: one.origin}
    settings = [f"--set=engines.{name}.base_url={urls[name](one)}" for name, one in standins]
    settings += [f"--set=engines.words.providers={','.join(name for name, _ in standins)}"] if standins else []
    keys = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY} if standins else {}
    environment = {**keys, "NO_PROXY": "127.0.0.1"}
    server = await asyncio.to_thread(start, folder, *settings, *options, mode=1, environment=environment)
    try:
        async with connect(server, world="w") as link:
            yield server, link
    finally:
        server.kill()


async def ask(link: Link, op: str, **data: Any) -> dict[str, Any]:
    reply = await link.ask(op, data)
    assert reply["ok"], reply
    return dict(reply["data"])


async def meet(link: Link, npc: str = "mara", *participants: str) -> str:
    if not (await link.ask("world.get", {"id": "mara"}))["ok"]:
        await ask(link, "world.create")
        await ask(link, "world.upsert", entities=INN)
    opened = await ask(link, "dialogue.open", npc=npc, participants=[*(participants or ("ann",))])
    return str(opened["dialogue"])


async def say(link: Link, dialogue: str, text: str = "", *, speaker: str = "ann", **more: Any) -> dict[str, Any]:
    return await ask(link, "dialogue.say", dialogue=dialogue, speaker=speaker, text=text, **more)


def spoken(link: Link) -> list[dict[str, Any]]:
    return [frame["chunk"] for frame in link.chunks]


async def test_a_group_talks_in_turns_and_a_whisper_stays_between_two(tmp_path: Path) -> None:
    async with Standin(say=lambda _body: "So they say, and who knows.") as standin:  # noqa: SIM117  # one line would be too long
        async with talking(tmp_path, ("openai", standin)) as (_, link):
            dialogue = await meet(link, "mara", "ann", "tom", "ben")
            first = await say(link, dialogue, "Tom, how is the harvest?")
            assert first["npc"] == "tom"
            assert {"ann", "ben", "mara", "nell"} == set(first["heard_by"]), "Nell stands by, and Ben takes part"
            whispered = await say(link, dialogue, f"Listen, {SECRET}", to="mara", whisper=True)
            assert (whispered["npc"], whispered["heard_by"]) == ("mara", ["ann"])
            later = [await say(link, dialogue, "What did she say?", speaker="ben", to=npc) for npc in ("tom", "mara")]
            assert [one["npc"] for one in later] == ["tom", "mara"]
            explained = [await ask(link, "dialogue.explain", explain_id=one["explain_id"]) for one in later]
            assert SECRET not in str(explained)
            assert first["next_speaker"] in {"", "ann", "ben", "mara"}
            left = await ask(link, "dialogue.leave", dialogue=dialogue, participant="tom")
            assert left["participants"] == ["ann", "ben"]
    assert SECRET not in (tmp_path / "server.log").read_text()


async def test_who_stands_near_overhears_and_who_stands_far_does_not(tmp_path: Path) -> None:
    async with talking(tmp_path) as (_, link):
        dialogue = await meet(link)
        handles = (await ask(link, "world.upsert", entities=INN))["handles"]
        cells = {"mara": (10.0, 10.0), "tom": (12.0, 10.0), "nell": (60.0, 10.0)}
        await ask(
            link,
            "world.report",
            handles=b64encode(b"".join(pack("<I", handles[id]) for id in cells)).decode(),
            positions=b64encode(b"".join(pack("<2f", *cell) for cell in cells.values())).decode(),
            game_s=1.0,
        )
        assert (await say(link, dialogue, "A fine evening"))["heard_by"] == ["ann", "tom"]
        assert (await say(link, dialogue, "A fine evening", whisper=True))["heard_by"] == ["ann"]


async def test_a_line_is_cut_in_the_middle_and_its_cost_is_paid(tmp_path: Path) -> None:
    async with Standin(say=lambda _body: LINE, fault="stall") as standin:  # one line would be too long
        standin.say = lambda _body: "You came at last. You look cold and wet."
        async with talking(tmp_path, ("openai", standin)) as (server, link):
            dialogue = await meet(link)
            id = await link.send("dialogue.say", {"dialogue": dialogue, "speaker": "ann", "text": "Hello"})
            while "chunk" not in (frame := await link.receive()) or frame["chunk"]["filler"]:
                pass
            assert frame["chunk"]["text"] == "You came at last."
            cut = await link.send("dialogue.interrupt", {"dialogue": dialogue, "by": "ann"})
            replies: dict[str, Any] = {}
            while len(replies) < 2:
                frame = await link.receive()
                if "op" not in frame and "chunk" not in frame:
                    replies[frame["id"]] = frame["data"]
            assert replies[cut]["interrupted"]
            said = replies[id]
            assert (said["text"], said["interrupted"], said["rung"]) == ("You came at last.", True, "words")
            assert said["next_speaker"] == "ann"
            await asyncio.wait_for(standin.hung_up.wait(), 5.0)
            _, usage = await asyncio.to_thread(server.get, "/v1/usage?world=w")
            total = usage["worlds"]["w"]["total"]
            assert total["calls"] == 1
            assert total["cost_nano_usd"] > 0
            standin.fault = "none"
            again = await say(link, dialogue, "Go on")
            shown = await ask(link, "dialogue.explain", explain_id=again["explain_id"])
            assert "You look cold" not in str(shown["context"])


async def test_barks_are_quick_fit_and_leave_no_trace(tmp_path: Path) -> None:
    async with talking(tmp_path) as (_, link):
        await meet(link)
        before = (await ask(link, "world.describe"))["seq"]
        barks = [
            await ask(link, "dialogue.bark", npc="nell", event="attacked", actor="ben", target="tom") for _ in range(5)
        ]
        assert {bark["event"] for bark in barks} == {"attacked"}
        assert len({bark["text"] for bark in barks}) == 5
        assert set(barks[0]["heard_by"]) == {"ann", "mara", "tom"}
        assert (await ask(link, "world.describe"))["seq"] == before
        refused = await link.ask("dialogue.bark", {"npc": "nobody"})
        assert (refused["ok"], refused["error"]["code"]) == (False, "not_found")


async def test_npcs_talk_until_their_budget_is_gone_and_players_go_on_with_the_model(tmp_path: Path) -> None:
    counted = iter(range(100))
    options = ("--set=modules.dialogue.npc_lines_hour_max=2",)
    async with Standin(say=lambda _body: f"That was sheep number {next(counted)} today.") as standin:  # noqa: SIM117  # one line would be too long
        async with talking(tmp_path, ("openai", standin), options=options) as (_, link):
            pair = await meet(link, "mara", "tom")
            rungs = [(await say(link, pair, speaker=npc))["rung"] for npc in ("mara", "tom") * 2]
            assert rungs == ["words", "words", "authored", "authored"]
            assert (await say(link, await meet(link), "Hello"))["rung"] == "words"


async def test_a_silent_provider_is_bridged_by_a_filler_and_its_words_follow(tmp_path: Path) -> None:
    options = ("--set=modules.dialogue.filler_after_ms=100",)
    async with Standin(say=lambda _body: LINE) as standin:
        standin.wait_s = 0.6
        async with talking(tmp_path, ("openai", standin), options=options) as (_, link):
            said = await say(link, await meet(link), "Hello")
            first, *rest = spoken(link)
    assert (first["filler"], first["ai_generated"]) == (True, False)
    assert (said["text"], said["rung"]) == (LINE, "words")
    assert " ".join(chunk["text"] for chunk in rest) == LINE


async def test_a_provider_that_dies_in_mid_sentence_is_finished_by_the_next(tmp_path: Path) -> None:
    line = "Come in. You look cold and wet. The stew is hot."
    for number, fault in enumerate(("cut", "eof", "error_event")):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with Standin(say=lambda _body: line, fault=fault) as dying, Standin(say=lambda _body: line) as well:
            async with talking(folder, ("openai", dying), ("anthropic", well)) as (_, link):
                said = await say(link, await meet(link), "Hello")
                chunks = [chunk["text"] for chunk in spoken(link) if not chunk["filler"]]
            assert (said["text"], said["rung"]) == (line, "words"), fault
            assert chunks == ["Come in.", "You look cold and wet.", "The stew is hot."]
            assert "You look cold" in str(well.seen[-1].body), "the next one is told the broken half"


async def test_with_every_provider_dead_everyone_is_answered_and_hears_something_soon(tmp_path: Path) -> None:
    for number, fault in enumerate(("hang", "500", "refuse")):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with Standin(fault=fault) as one, Standin(fault=fault) as other:  # noqa: SIM117  # one line would be too long
            async with talking(folder, ("openai", one), ("anthropic", other)) as (server, link):
                dialogues = [await meet(link) for _ in range(12)]
                said = await asyncio.gather(*(talk(server, dialogue) for dialogue in dialogues))
        assert all(reply["text"] and reply["rung"] == "authored" for reply in said), fault


async def talk(server: Server, dialogue: str) -> dict[str, Any]:
    async with connect(server, world="w") as link:
        return await say(link, dialogue, "Where is the mill?")
