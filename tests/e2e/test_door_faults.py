"""The fault matrix through the OpenAI-compatible door of a real server: its clients hear whole lines or an error.

The vendor's own SDK asks, streamed and whole. Behind the door the first provider fails and the second is well, or there
is no second. No answer that ends as the protocol says may be anything but the line.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.servers import start
from tests.standin import FAULTS, KEY, WORDS, Fault, Standin
from tests.standin.lines import goes_on

RESTING: tuple[Fault, ...] = ("429", "429_long", "401", "402")
"""After these a provider is left alone for a while, so each needs a server that has not met it yet."""
SILENCE_MS = 800
_numbers = count()


@dataclass(frozen=True)
class House:
    """A server, its client, and the provider that may be told to fail."""

    client: openai.AsyncOpenAI
    faulty: Standin

    async def say(self, *, stream: bool) -> tuple[str, str | None]:
        """The text of an answer that was never given before, and its finish."""
        messages: Any = [{"role": "user", "content": f"Good evening, for the {next(_numbers)}th time."}]
        create: Any = self.client.chat.completions.create
        if not stream:
            answer = await create(model="innkeeper", messages=messages)
            return answer.choices[0].message.content or "", answer.choices[0].finish_reason
        text, finish = "", None
        async for chunk in await create(model="innkeeper", messages=messages, stream=True):
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
        return text, finish


@asynccontextmanager
async def house(folder: Path, *, second: bool) -> AsyncIterator[House]:
    """A server over a provider that may fail and, where asked for, one that is well."""
    async with Standin() as faulty, Standin(say=goes_on(WORDS)) as healthy:
        options = [
            f"--set=engines.openai.base_url={faulty.openai_url}", f"--set=engines.openai.first_token_ms={SILENCE_MS}",
            f"--set=engines.openai.gap_ms={SILENCE_MS}", f"--set=engines.anthropic.base_url={healthy.origin}",
            f"--set=engines.words.providers={'openai,anthropic' if second else 'openai'}",
        ]  # fmt: skip
        environment = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}
        server = await asyncio.to_thread(start, folder, *options, mode=1, environment=environment)
        try:
            async with openai.AsyncOpenAI(
                api_key=server.key, base_url=f"{server.url}/openai/v1", max_retries=0, timeout=30.0
            ) as client:
                yield House(client, faulty)
        finally:
            server.kill()


async def answered(house: House, fault: Fault, *, stream: bool) -> None:
    """The second provider ends the line that the first one, which was well until now, spoils."""
    await house.faulty.become("none")
    for _ in range(3):
        assert await house.say(stream=stream) == (WORDS, "stop")
    asked = house.faulty.asked_total
    await house.faulty.become(fault)
    text, finish = await house.say(stream=stream)
    assert finish == "stop", f"{fault}, streamed {stream}"
    assert text.startswith(WORDS) if fault == "endless" else text == WORDS, f"{fault}, streamed {stream}"
    assert house.faulty.asked_total == asked + (fault != "refuse"), f"{fault} was met once"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_every_fault_is_answered_by_the_next_provider(tmp_path: Path, stream: bool) -> None:
    async with house(tmp_path, second=True) as opened:
        for fault in FAULTS:
            if fault not in RESTING:
                await answered(opened, fault, stream=stream)
        assert opened.faulty.redirected == 0


@pytest.mark.parametrize("fault", RESTING)
async def test_a_provider_that_asks_for_rest_is_left_and_the_next_answers_at_once(tmp_path: Path, fault: Fault) -> None:
    async with house(tmp_path, second=True) as opened:
        await answered(opened, fault, stream=True)
        asked = opened.faulty.asked_total
        if fault != "429":  # which asks for a second only
            assert await opened.say(stream=False) == (WORDS, "stop")
            assert opened.faulty.asked_total == asked, "a provider that asked for patience was asked again"


async def test_a_fault_with_nothing_behind_it_is_an_error_to_the_client_and_never_a_line(tmp_path: Path) -> None:
    async with house(tmp_path, second=False) as opened:
        for fault in FAULTS:
            await opened.faulty.become(fault)
            for stream in (False, True):
                with pytest.raises(openai.APIError) as failed:
                    await opened.say(stream=stream)
                assert KEY not in str(failed.value)
    assert KEY not in (tmp_path / "server.log").read_text()
