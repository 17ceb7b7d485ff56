"""The proof's provider of words is one to the engine that the server uses."""

from __future__ import annotations

from pathlib import Path

from app.cli.prove.background import Background
from app.cli.prove.words_server import LINE, WordsServer
from app.core.clock import Deadline, SystemClock
from app.core.words import Completion, Part, WordsDelta, WordsEnd
from app.engines import prices
from app.engines.providers.openai import open_openai

ROOT = Path(__file__).resolve().parents[3]


async def test_the_engine_hears_the_whole_line_with_its_finish_and_usage() -> None:
    server = WordsServer()
    with Background() as background:
        background.call(server.open())
        engine = open_openai(
            name="openai",
            model="gpt-5-mini",
            key="any",
            base_url=f"http://127.0.0.1:{server.port}/v1",
            prices=prices.load(ROOT / "models" / "prices.toml"),
        )
        completion = Completion(
            task="dialogue.reply", parts=(Part(trust="system", text="Speak."),), output_tokens_max=50, tenant="t"
        )
        heard = [event async for event in engine.stream(completion, Deadline.after_ms(10_000, SystemClock()))]
        await engine.close()
        background.call(server.close())
    assert "".join(event.text for event in heard if isinstance(event, WordsDelta)) == LINE
    assert isinstance(heard[-1], WordsEnd)
    assert (heard[-1].reason, heard[-1].usage.tokens_out) == ("stop", len(LINE.split()))
