"""Failover over ordered engines: silent before the first token, seamless after it, bounded always."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.clock import Deadline, SystemClock
from app.core.engines import Breaker
from app.core.engines import Orchestrator as Settings
from app.core.errors import EngineDown
from app.core.ports import EngineStatus
from app.core.words import Bill, Completion, Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.engines.orchestration.members import Limits
from app.engines.orchestration.orchestrator import Orchestrator
from app.engines.orchestration.seam import Seam
from tests.doubles import ManualClock
from tests.engines.conftest import COMPLETION, drain, open_at, soon
from tests.modules.dialogue.village import Script, Watch
from tests.standin import Standin


@dataclass
class Silent:
    """An engine that accepts and then says nothing."""

    name: str = "silent"
    closed: int = 0

    def status(self) -> EngineStatus:
        return EngineStatus(name=self.name, kind="silent", state="ready")

    async def close(self) -> None:
        return None

    def most(self, completion: Completion) -> Usage:
        return Usage(tokens_in=50, cost_nano_usd=500)

    def estimate(self, completion: Completion, written: str) -> Usage:
        return Usage(tokens_in=7, cost_nano_usd=70)

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        try:
            yield WordsStart(engine=self.name, model="none")
            await asyncio.sleep(60.0)
        finally:
            self.closed += 1


def over(*engines: object, **options: object) -> Orchestrator:
    settings: dict[str, object] = {"clock": SystemClock(), "watcher": Watch(), **options}
    return Orchestrator(engines, **settings)  # type: ignore[arg-type]  # a test's shorthand


async def test_first_engine_that_works_answers_alone() -> None:
    second = Script(lambda _: "second", name="b")
    text, end = await drain(over(Script(lambda _: "Well met.", name="a"), second).stream(COMPLETION, soon()))
    assert text == "Well met."
    assert end is not None
    assert not second.asked


async def test_failure_before_the_first_token_is_replaced_without_a_trace() -> None:
    first = Script(lambda _: "never heard", name="a", fails_after=0)
    events = [event async for event in over(first, Script(lambda _: "Hello.", name="b")).stream(COMPLETION, soon())]
    assert sum(isinstance(event, WordsStart) for event in events) == 1
    assert "".join(event.text for event in events if isinstance(event, WordsDelta)) == "Hello."


async def test_next_engine_goes_on_where_the_first_broke_off_and_knows_what_was_said() -> None:
    first = Script(lambda _: "Well met, traveler. The inn", name="a", piece=9, fails_after=27)
    second = Script(lambda _: "Well met, traveler. The inn is warm tonight.", name="b", piece=4)
    text, _ = await drain(over(first, second).stream(COMPLETION, soon()))
    assert text == "Well met, traveler. The inn is warm tonight."
    assert second.asked[0].parts[-2].text == "Well met, traveler. The inn"
    assert second.asked[0].parts[-2].trust == "npc"


@given(st.text("ab .", min_size=1, max_size=30), st.text("ab .", max_size=30), st.integers(1, 5))
def test_seam_never_loses_what_is_new_when_the_line_is_begun_again(said: str, rest: str, piece: int) -> None:
    whole, seam, out = said.lstrip() + rest, Seam(said.lstrip(), 4), ""
    for at in range(0, len(whole), piece):
        out += seam.feed(whole[at : at + piece])
    out += seam.flush()
    assert whole.endswith(out)
    assert len(out) <= max(len(rest), 0) or not said.strip()


async def test_silent_engine_costs_its_share_of_the_callers_patience_and_no_more() -> None:
    silent = Silent()
    engines = over(silent, Script(lambda _: "Hello.", name="b"))
    completion = msgspec.structs.replace(COMPLETION, first_token_ms=1_000.0)
    started = time.monotonic()
    text, _ = await drain(engines.stream(completion, soon()))
    assert text == "Hello."
    assert 0.6 < time.monotonic() - started < 0.95
    assert silent.closed == 1


async def test_engine_that_keeps_failing_rests_and_comes_back() -> None:
    clock, watch = ManualClock(), Watch()
    first = Script(lambda _: "a", name="a", fails_after=0)
    settings = Settings(providers=("a", "b"), breaker=Breaker(failures_max=2, rest_ms=5_000.0))
    engines = over(first, Script(lambda _: "Hello.", name="b"), clock=clock, watcher=watch, settings=settings)
    deadline = Deadline.after_ms(60_000.0, clock)
    for _ in range(4):
        await drain(engines.stream(COMPLETION, deadline))
    assert len(first.asked) == 2
    assert watch.fell == [("words", "a")]
    first.fails_after = None
    clock.now_s += 6.0
    await drain(engines.stream(COMPLETION, deadline))
    assert watch.rose == [("words", "a")]


async def test_retry_after_is_respected_by_moving_away(standin: Standin) -> None:
    standin.fault = "429"
    busy = open_at("openai", standin)
    engines = over(busy, Script(lambda _: "Hello.", name="b"))
    for _ in range(3):
        assert (await drain(engines.stream(COMPLETION, soon())))[0] == "Hello."
    assert len(standin.seen) == 1
    await engines.close()


async def test_broken_stream_is_priced_and_told() -> None:
    bill = Bill()
    engines = over(Silent(), Script(lambda _: "Hello.", name="b"), limits={"silent": Limits(first_token_ms=20)})
    _, end = await drain(engines.stream(msgspec.structs.replace(COMPLETION, bill=bill), soon()))
    assert [(spent.engine, spent.estimated, spent.usage.cost_nano_usd) for spent in bill.items] == [
        ("silent", True, 70),
        ("b", False, 1_500),
    ]
    assert end is not None
    assert end.usage.cost_nano_usd == 1_570


async def test_all_failed_names_every_reason() -> None:
    engines = over(*(Script(lambda _: "x", name=name, fails_after=0) for name in "ab"))
    with pytest.raises(EngineDown, match=r"a broke.*b broke"):
        await drain(engines.stream(COMPLETION, soon()))


async def test_leaving_closes_the_engine_below() -> None:
    script = Script(lambda _: "a long line of words", name="a")
    async with aclosing(over(script).stream(COMPLETION, soon())) as stream:
        async for event in stream:
            if isinstance(event, WordsDelta):
                break
    assert script.closed == 1
    assert not isinstance(event, WordsEnd)
