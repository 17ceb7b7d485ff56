"""Streams that break: what a switch looks like to the caller, whose fault it was, and what it has cost."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from itertools import pairwise

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.core.clock import Deadline
from app.core.engines import Breaker
from app.core.engines import Orchestrator as Settings
from app.core.errors import EngineDown
from app.core.tenants import Held, TenantSettings
from app.core.words import (
    Bill,
    Part,
    Trace,
    Turn,
    Usage,
    WordsDelta,
    WordsEnd,
    WordsEvent,
    WordsStart,
    WordsToolDelta,
)
from app.engines.orchestration.members import Limits
from app.engines.orchestration.seam import Seam
from tests.doubles import ManualClock
from tests.engines.conftest import COMPLETION, drain, open_at, soon
from tests.engines.orchestration.scripts import COST, GUESS, Engine, Ledger, Tallies, over
from tests.modules.dialogue.village import Watch
from tests.standin import Standin

BROKE = EngineDown("a fell over", failure="server")
LINE = "Well met, traveler. The inn is warm tonight, and the stew is hot."


def cut(text: str, cuts: list[int]) -> list[str]:
    """The text in pieces that end at the cuts."""
    places = sorted({0, len(text), *(at % len(text) for at in cuts)})
    return [text[first:last] for first, last in pairwise(places)]


cuts = st.lists(st.integers(1, 200), max_size=12)


@given(at=st.integers(1, len(LINE) - 1), before=cuts, after=cuts)
def test_a_line_that_is_begun_again_is_heard_once(at: int, before: list[int], after: list[int]) -> None:
    first = Engine("a", pieces=cut(LINE[:at], before), fault=BROKE)
    second = Engine("b", pieces=cut(LINE, after))

    async def heard() -> str:
        return (await drain(over(first, second).stream(COMPLETION, soon())))[0]

    assert asyncio.run(heard()) == LINE


@given(at=st.integers(1, len(LINE) - 8), back=st.integers(4, 30), after=cuts)
def test_a_continuation_that_repeats_its_last_words_is_heard_once(at: int, back: int, after: list[int]) -> None:
    said = LINE[:at]
    assume(len(said[-back:].lstrip()) >= 4)
    seam, out = Seam(said, 4), ""
    rest = LINE[max(0, at - back) :]
    for piece in cut(rest, after):
        out += seam.feed(piece)
    out += seam.flush()
    assert (said + out).replace(" ", "") == LINE.replace(" ", "")


@pytest.mark.parametrize("rest", ["!", ".", "\n", " ok"])
def test_a_short_continuation_is_not_taken_for_a_repetition(rest: str) -> None:
    seam = Seam("Well met. It is ok! \nSo", 4)
    assert seam.feed(rest) + seam.flush() == rest


@pytest.mark.parametrize(
    ("said", "rest", "whole"),
    [
        ("The road", "was kind.", "The road was kind."),
        ("The road", " was kind.", "The road was kind."),
        ("The road ", "was kind.", "The road was kind."),
        ("The road", ", was kind.", "The road, was kind."),
        ("The road.", "It was kind.", "The road. It was kind."),
        ("道は", "優しい", "道は優しい"),
    ],
)
def test_a_continuation_that_begins_with_a_word_is_parted_from_the_last_one(said: str, rest: str, whole: str) -> None:
    seam = Seam(said, 4)
    assert said + seam.feed(rest) + seam.flush() == whole


async def test_a_call_of_a_tool_is_never_gone_on_with_by_another_engine() -> None:
    call = WordsToolDelta(index=0, id="c1", name="look", arguments='{"at')
    first, second = Engine("a", pieces=[call], fault=BROKE), Engine("b")
    seen: list[WordsEvent] = []

    async def listen() -> None:
        async for event in over(first, second).stream(COMPLETION, soon()):
            seen.append(event)  # noqa: PERF401  # what came before the failure counts

    with pytest.raises(EngineDown, match="had called a tool") as caught:
        await listen()
    assert caught.value.failure == "incomplete"
    assert call in seen
    assert not second.asked


async def test_data_comes_whole_so_that_a_switch_never_joins_two_halves() -> None:
    asked = msgspec.structs.replace(COMPLETION, schema={"type": "object"})
    first = Engine("a", pieces=['{"mood": "gl', 'ad", '], fault=BROKE)
    second = Engine("b", pieces=['{"mood"', ': "sad"}'])
    text, end = await drain(over(first, second).stream(asked, soon()))
    assert text == '{"mood": "sad"}'
    assert end is not None
    assert end.usage.cost_nano_usd == COST + GUESS


async def test_blank_text_is_not_yet_a_first_token() -> None:
    first, second = Engine("a", pieces=["\n", "  "], fault=BROKE), Engine("b", pieces=["\n", "Hello."])
    text, _ = await drain(over(first, second).stream(COMPLETION, soon()))
    assert text == "\nHello.", "and what an engine itself wrote first is kept"
    assert second.asked[0].parts == COMPLETION.parts


async def test_a_conversation_that_a_program_keeps_is_gone_on_with_by_turns() -> None:
    asked = msgspec.structs.replace(COMPLETION, parts=(), turns=(Turn(role="user", text="Hello"),))
    second = Engine("b", pieces=[" friend."])
    text, _ = await drain(over(Engine("a", pieces=["Well met,"], fault=BROKE), second).stream(asked, soon()))
    assert text == "Well met, friend."
    assert [turn.text for turn in second.asked[0].turns[:2]] == ["Hello", "Well met,"]
    assert [turn.role for turn in second.asked[0].turns] == ["user", "assistant", "user"]


class Rules:
    """The tenant has a rule of its own for every prompt."""

    def of(self, tenant: str) -> Held:
        return Held(tenant=tenant, settings=TenantSettings(safety_text="No dragons."))


async def test_a_tenants_rule_stands_behind_the_authors_first_word() -> None:
    engine = Engine("a")
    engines = over(engine, rules=Rules())
    turns = (Turn(role="system", text="Be brief."), Turn(role="user", text="Hello"))
    await drain(engines.stream(COMPLETION, soon()))
    await drain(engines.stream(msgspec.structs.replace(COMPLETION, parts=(), turns=turns), soon()))
    assert engine.asked[0].parts[1] == Part(trust="system", text="No dragons.")
    assert [turn.text for turn in engine.asked[1].turns] == ["Be brief.", "No dragons.", "Hello"]


async def test_every_clock_of_a_stream_ends_it() -> None:
    class Pausing(Engine):
        async def stream(self, completion, deadline):  # type: ignore[no-untyped-def]  # pauses where it is told to
            yield WordsStart(engine=self.name, model="m")
            for piece in self.pieces:
                await asyncio.sleep(self.wait_s)
                yield WordsDelta(text=str(piece))
            await asyncio.sleep(60.0)

    for limits, at in (
        (Limits(first_token_ms=20.0), 0),
        (Limits(gap_ms=20.0), 4),
        (Limits(gap_ms=500.0, total_ms=250.0), 8),
    ):
        tallies, slow = Tallies(), Pausing("a", pieces=["abcd"] * 50, wait_s=0.1)
        engines = over(slow, Engine("b", pieces=["Hello."]), limits={"a": limits}, meter=tallies)
        text, _ = await drain(engines.stream(COMPLETION, soon()))
        assert text.startswith("abcd" * (at // 4))
        assert len(text) < 4 * 5
        assert text.endswith("Hello.")
        assert tallies.calls == [("a", "late"), ("b", "stop")]


async def test_a_consumer_that_takes_its_time_is_not_the_engines_fault() -> None:
    engine = Engine("a", pieces=["one ", "two ", "three"])
    text = ""
    async for event in over(engine, limits={"a": Limits(gap_ms=30.0)}).stream(COMPLETION, soon()):
        if isinstance(event, WordsDelta):
            text += event.text
            await asyncio.sleep(0.05)
    assert text == "one two three"


async def test_a_deadline_of_the_callers_own_making_is_no_failure_of_the_engine() -> None:
    tallies, watch = Tallies(), Watch()
    engines = over(Engine("a", wait_s=60.0), watcher=watch, meter=tallies)
    for _ in range(5):
        with pytest.raises(EngineDown):
            await drain(engines.stream(COMPLETION, soon(30.0)))
    assert engines.status().state == "ready"
    assert watch.fell == []
    assert tallies.calls == [("a", "late")] * 5


async def test_whoever_leaves_closes_the_call_upstream_and_is_billed_for_what_was_written(standin: Standin) -> None:
    bill, ledger, tallies = Bill(), Ledger(), Tallies()
    standin.fault = "stall"
    asked = msgspec.structs.replace(COMPLETION, bill=bill, world="vale", npc="mira")
    provider = open_at("openai", standin)
    slow = {"openai": Limits(first_token_ms=5_000.0, gap_ms=5_000.0)}
    engines = over(provider, budgets=ledger, meter=tallies, limits=slow)
    heard = asyncio.Event()

    async def listen() -> None:
        async with aclosing(engines.stream(asked, soon(20_000.0))) as stream:
            async for event in stream:
                if isinstance(event, WordsDelta):
                    heard.set()

    listening = asyncio.create_task(listen())
    await heard.wait()
    await asyncio.sleep(0.05)
    left = time.monotonic()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    async with asyncio.timeout(1.0):
        await standin.hung_up.wait()
    assert time.monotonic() - left < 1.0
    assert [(spent.outcome, spent.estimated) for spent in bill.items] == [("closed", True)]
    assert bill.items[0].usage.tokens_out > 0
    assert ledger.settled.keys() == ledger.held.keys()
    assert engines.status().state == "ready"
    await engines.close()


async def test_a_refused_key_is_told_once_and_the_engine_is_left_alone_for_long() -> None:
    clock, watch, tallies = ManualClock(), Watch(), Tallies()
    locked = Engine("a", pieces=(), fault=EngineDown("a answered 401", failure="unauthorized"))
    settings = Settings(providers=("a", "b"), breaker=Breaker(alert_rest_ms=60_000.0))
    engines = over(locked, Engine("b"), clock=clock, watcher=watch, meter=tallies, settings=settings)
    for _ in range(3):
        for _ in range(3):
            await drain(engines.stream(COMPLETION, Deadline.after_ms(9_000.0, clock)))
        clock.now_s += 70.0
    assert len(locked.asked) == 2, "after a minute, and then not for two"
    assert tallies.alerts == ["a"]
    assert watch.fell == [("words", "a")]
    assert engines.status().state == "degraded"
    assert "a answered 401 (look after its key and account)" in engines.status().detail
    locked.fault, locked.pieces = None, ["Hello."]
    clock.now_s += 120.0
    await drain(engines.stream(COMPLETION, Deadline.after_ms(9_000.0, clock)))
    assert (engines.status().state, engines.status().detail) == ("ready", "")
    assert tallies.turns[-1] == ("a", "closed")


async def test_requests_that_are_refused_take_no_engine_out() -> None:
    strict = Engine("a", pieces=(), fault=EngineDown("a answered 400", failure="refused"))
    engines = over(strict, Engine("b"))
    for _ in range(6):
        await drain(engines.stream(COMPLETION, soon()))
    assert len(strict.asked) == 6
    assert engines.status().state == "ready"


async def test_while_one_call_tries_an_engine_again_the_others_do_not_wait_for_it() -> None:
    clock = ManualClock()
    sick = Engine("a", pieces=(), fault=EngineDown("a fell over", failure="server"))
    engines = over(sick, Engine("b"), clock=clock)
    deadline = Deadline.after_ms(60_000.0, clock)
    for _ in range(3):
        await drain(engines.stream(COMPLETION, deadline))
    clock.now_s += 5.0
    sick.fault, sick.pieces, sick.wait_s = None, ["Well again."], 0.05
    heard = await asyncio.gather(*(drain(engines.stream(COMPLETION, deadline)) for _ in range(10)))
    assert len(sick.asked) == 4
    assert sorted(text for text, _ in heard) == ["Well again.", *["Well met."] * 9]


async def test_the_trace_says_where_the_time_went() -> None:
    trace = Trace()
    engines = over(Engine("a", pieces=(), fault=BROKE), Engine("b", wait_s=0.03), regions={"b": "eu"}, budgets=Ledger())
    await drain(engines.stream(msgspec.structs.replace(COMPLETION, trace=trace), soon()))
    assert (trace.engine, trace.variant, trace.region, trace.falls) == ("b", "b", "eu", ["a: server"])
    assert 0.0 < trace.route_ms < trace.upstream_ms
    assert trace.upstream_ms >= 29.0
    assert trace.stream_ms > 0.0


async def test_where_words_were_sent_stands_on_the_bill() -> None:
    bill = Bill()
    for regions in ({"a": "eu"}, {"a": ""}, {}):
        await drain(over(Engine("a"), regions=regions).stream(msgspec.structs.replace(COMPLETION, bill=bill), soon()))
    assert [spent.region for spent in bill.items] == ["eu", "unknown", ""]


async def test_a_second_start_and_a_partial_usage_are_not_seen() -> None:
    engines = over(Engine("a", pieces=["Well "], fault=BROKE), Engine("b", pieces=["met."]))
    events = [event async for event in engines.stream(COMPLETION, soon())]
    assert [type(event) for event in events] == [WordsStart, WordsDelta, WordsDelta, WordsEnd]
    assert events[-1] == WordsEnd(reason="stop", usage=Usage(tokens_in=20, tokens_out=10, cost_nano_usd=COST + GUESS))


@pytest.mark.parametrize(("total_ms", "blamed"), [(5_000.0, False), (120.0, True)])
async def test_a_line_that_is_cut_by_its_caller_is_not_the_engines_fault(total_ms: float, blamed: bool) -> None:
    class Steady(Engine):
        async def stream(self, completion, deadline):  # type: ignore[no-untyped-def]  # speaks on and on
            yield WordsStart(engine=self.name, model="m")
            while True:
                await asyncio.sleep(0.01)
                yield WordsDelta(text="on and ")

    watch, limits = Watch(), {"a": Limits(gap_ms=2_000.0, total_ms=total_ms)}
    engines = over(Steady("a"), watcher=watch, limits=limits)
    with pytest.raises(EngineDown):
        await drain(engines.stream(COMPLETION, soon(400.0)))
    assert bool(watch.fell) is blamed
