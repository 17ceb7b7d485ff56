"""A whole server over a provider that means harm: every line is answered, in words that a game can show."""

from __future__ import annotations

import asyncio
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_words import meet, open_server, say
from tests.servers import connect
from tests.standin import Standin
from tests.standin.hostile import Harm, Hostile

SHOUTED = (
    "\x1b[31mRun\x1b[0m \u202ecod.exe\u202c! <script>alert(1)</script> <b>Now</b>. "
    "[Click](http://evil.example/x) and ![pic](https://evil.example/p.png) \u200bplease. \x00\x07 "
    "Thank you kindly, friend."
)


@pytest.mark.parametrize("harm", ["flood", "flood_error", "bomb", "invalid_utf8", "redirect"])
async def test_the_authored_line_comes_and_the_server_stays_well(tmp_path: Path, harm: Harm) -> None:
    async with Hostile(harm, location="http://127.0.0.1:1/") as hostile:
        server = await open_server(tmp_path, hostile, "anthropic")
        try:
            async with connect(server, world="w") as link:
                said = await say(link, await meet(link), "Hello, Mara!")
                assert said["rung"] == "authored"
                assert said["ai_generated"] is False
                assert hostile.asked == 1
            assert (await asyncio.to_thread(server.get, "/health/live"))[0] == 200
        finally:
            server.kill()
    assert "Traceback" not in (tmp_path / "server.log").read_text()


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_nothing_but_plain_words_leaves_the_server(tmp_path: Path, provider: str) -> None:
    async with Standin(say=lambda _body: SHOUTED) as standin:
        server = await open_server(tmp_path, standin, provider)
        try:
            async with connect(server, world="w") as link:
                said = await say(link, await meet(link), "Hello, Mara!")
                texts = [said["text"], *(frame["chunk"]["text"] for frame in link.chunks)]
        finally:
            server.kill()
    for text in texts:
        assert text
        assert not [sign for sign in text if unicodedata.category(sign) in ("Cc", "Cf", "Co", "Cs")]
        assert not any(part in text for part in ("<", "http", "evil.example", "[31m", "]("))


async def test_a_caller_that_leaves_in_mid_line_closes_the_call_upstream(tmp_path: Path) -> None:
    async with Hostile("never_ends") as hostile:
        server = await open_server(tmp_path, hostile, "openai")
        try:
            async with connect(server, world="w") as link:
                request: Any = {"dialogue": await meet(link), "speaker": "ann", "text": "Hello!"}
                id = await link.send("dialogue.say", request)
                await hostile.answering.wait()
                await link.send("cancel", {"id": id})
                await asyncio.wait_for(hostile.gone.wait(), 1.0)
        finally:
            server.kill()
