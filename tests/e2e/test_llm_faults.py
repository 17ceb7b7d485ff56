"""The fault matrix: whatever a provider does wrong, the next one ends the line in time, and nothing false is success.

Every fault of the stand-in, by every adapter, over the orchestrator as it runs. The faulty rung comes first; the
healthy one behind it speaks another protocol. A deadline stands for "in time": it leaves room for one silence and
for a busy machine, and is far below what a rate limit asks to wait.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.core.clock import Deadline, SystemClock
from app.core.errors import Unavailable
from app.core.words import Bill, Completion, Part, Words, WordsDelta, WordsEnd
from app.engines import prices
from app.engines.orchestration.orchestrator import Limits, Orchestrator
from app.engines.providers.anthropic import open_anthropic
from app.engines.providers.azure import open_azure
from app.engines.providers.openai import open_openai
from tests.modules.dialogue.village import Watch
from tests.standin import FAULTS, KEY, WORDS, Fault, Standin
from tests.standin.faults import EARLY

PRICES = prices.load(Path(__file__).parents[2] / "models" / "prices.toml")
GPT, CLAUDE = "gpt-5.6-luna", "claude-haiku-5-5"
SILENCE_MS = 200.0
"""What a silent rung is given."""
PATIENCE_MS = 4_000.0
"""What a rung is given that speaks, however busy this machine is."""
DEADLINE_MS = 10_000.0
SPEAKING: tuple[Fault, ...] = (*EARLY, "no_usage", "endless")
"""Faults that strike when words were heard."""
UNPAID: tuple[Fault, ...] = ("500", "429", "429_long", "401", "402", "refuse", "redirect")
"""Faults that refuse the request: no prompt was read, so nothing is owed."""

OPENERS: dict[str, Callable[[str, Standin], Words]] = {
    "openai": lambda name, at: open_openai(name=name, model=GPT, key=KEY, prices=PRICES, base_url=at.openai_url),
    "compatible": lambda name, at: open_openai(
        name=name, model="some-model", key=KEY, prices=PRICES, base_url=at.openai_url, token_field="max_tokens"
    ),
    "azure": lambda name, at: open_azure(
        name=name, endpoint=at.origin, deployment=GPT, api_version="2026-06-01", key=KEY, prices=PRICES
    ),
    "anthropic": lambda name, at: open_anthropic(name=name, model=CLAUDE, key=KEY, prices=PRICES, base_url=at.origin),
}
COMPLETION = Completion(
    task="dialogue.reply",
    parts=(
        Part(trust="system", text="You are Mira, who keeps the inn."),
        Part(trust="fact", text="It is evening."),
        Part(trust="player", text="Good evening.", speaker="Robin"),
    ),
    output_tokens_max=64,
    tenant="studio",
)


def goes_on(body: dict[str, Any]) -> str:
    """A model that does as it is told: from the very next word."""
    said = _said(body)
    return WORDS[len(said) :] if WORDS.startswith(said) else " Enough."


def begins_again(_body: dict[str, Any]) -> str:
    """A model that says the whole line once more."""
    return WORDS


def overlaps(body: dict[str, Any]) -> str:
    """A model that takes up the last two words first."""
    said = _said(body)
    return WORDS[said.rfind("The ") :] if said and WORDS.startswith(said) else goes_on(body)


def _said(body: dict[str, Any]) -> str:
    """What the request says was spoken of this line already."""
    turns = body.get("messages") or body.get("input")
    spoken = [_text(turn["content"]) for turn in turns or () if turn.get("role") == "assistant"]
    return spoken[-1] if spoken else ""


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


@asynccontextmanager
async def rungs(kind: str, fault: Fault, say: Callable[[dict[str, Any]], str]) -> AsyncIterator[list[Words]]:
    """A rung that fails in that way, and a healthy one of another vendor."""
    other = "anthropic" if kind != "anthropic" else "openai"
    async with Standin() as faulty, Standin(say=say) as healthy:
        engines = [OPENERS[kind]("faulty", faulty), OPENERS[other]("healthy", healthy)]
        await faulty.become(fault)
        try:
            yield engines
        finally:
            for engine in engines:
                await engine.close()
        assert faulty.redirected == 0, "a redirect was followed"
        assert faulty.asked_total == (fault != "refuse"), "a provider is asked once, not again and again"


@dataclass
class Heard:
    """What came of one line."""

    bill: Bill = field(default_factory=Bill)
    text: str = ""
    ends: list[WordsEnd] = field(default_factory=list)


async def listen(engines: list[Words], fault: Fault, heard: Heard) -> None:
    """One line over the engines, under the deadline."""
    first_ms = SILENCE_MS if fault == "hang" else PATIENCE_MS
    gap_ms = SILENCE_MS if fault == "stall" else PATIENCE_MS
    faulty = Limits(first_token_ms=first_ms, gap_ms=gap_ms, total_ms=DEADLINE_MS)
    healthy = Limits(first_token_ms=PATIENCE_MS, gap_ms=PATIENCE_MS, total_ms=DEADLINE_MS)
    words = Orchestrator(engines, clock=SystemClock(), watcher=Watch(), limits={"faulty": faulty, "healthy": healthy})
    completion = msgspec.structs.replace(COMPLETION, bill=heard.bill)
    async for event in words.stream(completion, Deadline.after_ms(DEADLINE_MS, SystemClock())):
        if isinstance(event, WordsDelta):
            heard.text += event.text
        elif isinstance(event, WordsEnd):
            heard.ends.append(event)


@pytest.fixture(params=sorted(OPENERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_next_rung_ends_the_line_in_time(kind: str, fault: Fault) -> None:
    heard = Heard()
    async with rungs(kind, fault, goes_on) as engines:
        await listen(engines, fault, heard)
    assert [end.reason for end in heard.ends] == ["stop"]
    assert heard.text.startswith(WORDS) if fault == "endless" else heard.text == WORDS
    assert_billed(heard, fault)


def assert_billed(heard: Heard, fault: Fault) -> None:
    """What a broken rung has consumed is on the bill, estimated; nothing else of it is."""
    by_engine = {item.engine: item for item in heard.bill.items}
    assert not by_engine["healthy"].estimated
    assert heard.ends[0].usage.cost_nano_usd == sum(item.usage.cost_nano_usd for item in heard.bill.items)
    if fault in UNPAID:
        assert set(by_engine) == {"healthy"}
    elif fault in SPEAKING or fault == "hang":
        assert by_engine["faulty"].estimated
        assert by_engine["faulty"].usage.tokens_in > 0
        assert by_engine["faulty"].usage.cost_nano_usd > 0
        assert (by_engine["faulty"].usage.tokens_out > 0) == (fault != "hang")


@pytest.mark.parametrize("fault", EARLY)
@pytest.mark.parametrize("say", [begins_again, overlaps])
async def test_no_word_is_said_twice_or_lost_where_a_rung_takes_over(
    kind: str, fault: Fault, say: Callable[[dict[str, Any]], str]
) -> None:
    heard = Heard()
    async with rungs(kind, fault, say) as engines:
        await listen(engines, fault, heard)
    assert heard.text == WORDS


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_with_nothing_behind_it_is_an_error_and_never_a_line(kind: str, fault: Fault) -> None:
    heard = Heard()
    async with rungs(kind, fault, goes_on) as engines:
        with pytest.raises(Unavailable) as failed:
            await listen(engines[:1], fault, heard)
    assert not heard.ends
    assert KEY not in f"{failed.value} {failed.value.hint}"
