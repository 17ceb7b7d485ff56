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

import msgspec
import pytest

from app.core.clock import Deadline, SystemClock
from app.core.errors import Unavailable
from app.core.words import Bill, Completion, Part, Tool, Words, WordsDelta, WordsEnd, WordsToolDelta
from app.engines import prices
from app.engines.orchestration.members import Limits
from app.engines.orchestration.orchestrator import Orchestrator
from app.engines.providers.anthropic import open_anthropic
from app.engines.providers.azure import open_azure
from app.engines.providers.openai import open_openai
from tests.modules.dialogue.village import Watch
from tests.standin import FAULTS, KEY, WORDS, Fault, Standin
from tests.standin.faults import EARLY
from tests.standin.lines import Say, begins_again, goes_on, overlaps

PRICES = prices.load(Path(__file__).parents[2] / "models" / "prices.toml")
GPT, CLAUDE = "gpt-5.6-luna", "claude-haiku-5-5"
SILENCE_MS = 200.0
"""What a silent rung is given."""
PATIENCE_MS = 4_000.0
"""What a rung is given that speaks, however busy this machine is."""
DEADLINE_MS = 10_000.0
SPEAKING: tuple[Fault, ...] = (*EARLY, "no_usage", "endless")
"""Faults that strike when words were heard."""
SILENT: tuple[Fault, ...] = ("hang", "json", "garbage")
"""Faults of a provider that took the request, read its prompt and said nothing of use."""
UNPAID: tuple[Fault, ...] = ("500", "429", "429_long", "401", "402", "refuse", "redirect")
"""Faults that refuse the request: no prompt was read, so nothing is owed."""

OPENERS: dict[str, Callable[[str, Standin], Words]] = {
    "openai": lambda name, at: open_openai(name=name, model=GPT, key=KEY, prices=PRICES, base_url=at.openai_url),
    "compatible": lambda name, at: open_openai(
        name=name, model="some-model", key=KEY, prices=PRICES, base_url=at.openai_url, token_field="max_tokens"
    ),
    "responses": lambda name, at: open_openai(
        name=name, model=GPT, key=KEY, prices=PRICES, base_url=at.openai_url, api="responses"
    ),
    "azure": lambda name, at: open_azure(
        name=name, endpoint=at.origin, deployment=GPT, api_version="2026-06-01", key=KEY, prices=PRICES
    ),
    "azure responses": lambda name, at: open_azure(
        name=name, endpoint=at.origin, deployment=GPT, api_version="2026-06-01", key=KEY, prices=PRICES, api="responses"
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


SAYS_IT = begins_again(WORDS)
CITY = '{"city": "Bree"}'
WEATHER = Tool(name="weather", schema={"type": "object", "properties": {"city": {"type": "string"}}})


@asynccontextmanager
async def rungs(kind: str, fault: Fault, say: Say, *, first: Say = SAYS_IT) -> AsyncIterator[list[Words]]:
    """A rung that fails in that way, and a healthy one of another vendor."""
    other = "anthropic" if kind != "anthropic" else "openai"
    async with Standin(say=first) as faulty, Standin(say=say) as healthy:
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

    completion: Completion = COMPLETION
    bill: Bill = field(default_factory=Bill)
    text: str = ""
    called: str = ""
    """The arguments of the calls, one after the other."""
    ends: list[WordsEnd] = field(default_factory=list)


async def listen(engines: list[Words], fault: Fault, heard: Heard) -> None:
    """One line over the engines, under the deadline."""
    first_ms = SILENCE_MS if fault == "hang" else PATIENCE_MS
    gap_ms = SILENCE_MS if fault == "stall" else PATIENCE_MS
    faulty = Limits(first_token_ms=first_ms, gap_ms=gap_ms, total_ms=DEADLINE_MS)
    healthy = Limits(first_token_ms=PATIENCE_MS, gap_ms=PATIENCE_MS, total_ms=DEADLINE_MS)
    words = Orchestrator(engines, clock=SystemClock(), watcher=Watch(), limits={"faulty": faulty, "healthy": healthy})
    completion = msgspec.structs.replace(heard.completion, bill=heard.bill)
    async for event in words.stream(completion, Deadline.after_ms(DEADLINE_MS, SystemClock())):
        if isinstance(event, WordsDelta):
            heard.text += event.text
        elif isinstance(event, WordsToolDelta):
            heard.called += event.arguments
        elif isinstance(event, WordsEnd):
            heard.ends.append(event)


@pytest.fixture(params=sorted(OPENERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_next_rung_ends_the_line_in_time(kind: str, fault: Fault) -> None:
    heard = Heard()
    async with rungs(kind, fault, goes_on(WORDS)) as engines:
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
    elif fault in SPEAKING or fault in SILENT:
        assert by_engine["faulty"].estimated
        assert by_engine["faulty"].usage.tokens_in > 0
        assert by_engine["faulty"].usage.cost_nano_usd > 0
        assert (by_engine["faulty"].usage.tokens_out > 0) == (fault in SPEAKING)


@pytest.mark.parametrize("fault", EARLY)
@pytest.mark.parametrize("say", [begins_again(WORDS), overlaps(WORDS)], ids=["begins_again", "overlaps"])
async def test_no_word_is_said_twice_or_lost_where_a_rung_takes_over(kind: str, fault: Fault, say: Say) -> None:
    heard = Heard()
    async with rungs(kind, fault, say) as engines:
        await listen(engines, fault, heard)
    assert heard.text == WORDS


@pytest.mark.parametrize("fault", EARLY)
async def test_a_call_of_a_tool_that_breaks_off_is_made_once_and_whole_or_not_at_all(kind: str, fault: Fault) -> None:
    heard = Heard(msgspec.structs.replace(COMPLETION, tools=(WEATHER,), tool_choice="required"))
    async with rungs(kind, fault, begins_again(CITY), first=begins_again(CITY)) as engines:
        failed = None
        try:
            await listen(engines, fault, heard)
        except Unavailable as error:
            failed = error
    if failed is None:
        assert (heard.called, [end.reason for end in heard.ends]) == (CITY, ["tools"])
    else:
        assert not heard.ends
    assert not heard.text


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_with_nothing_behind_it_is_an_error_and_never_a_line(kind: str, fault: Fault) -> None:
    heard = Heard()
    async with rungs(kind, fault, goes_on(WORDS)) as engines:
        with pytest.raises(Unavailable) as failed:
            await listen(engines[:1], fault, heard)
    assert not heard.ends
    assert KEY not in f"{failed.value} {failed.value.hint}"
