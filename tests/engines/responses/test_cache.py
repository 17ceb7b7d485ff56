"""What the response cache says again, to whom, and what it lets be written once for many."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from app.core.clock import Deadline, SystemClock
from app.core.errors import DeadlineExceeded, EngineDown
from app.core.tenants import Held, TenantSettings
from app.core.words import (
    Bill,
    Keep,
    Sampling,
    Tool,
    Trace,
    Turn,
    Usage,
    WordsDelta,
    WordsEnd,
    WordsStart,
    WordsToolDelta,
)
from tests.doubles import ManualClock
from tests.engines.responses.kept import USAGE, Ruled, Writer, ask, cache_over, said, text_of, told


async def test_a_second_player_hears_the_same_stream_for_nothing() -> None:
    writer, bill, trace = Writer(), Bill(), Trace()
    cache = cache_over(writer)
    first = await told(cache, ask())
    again = await told(cache, ask(player="p2", bill=bill, trace=trace))
    assert again[:-1] == first[:-1], "the same pieces, and who wrote them"
    assert first[-1] == WordsEnd(reason="stop", usage=USAGE)
    assert again[-1] == WordsEnd(reason="stop", usage=Usage())
    assert (len(writer.asked), bill.items) == (1, [])
    assert (trace.cache, trace.engine) == ("hit", "writer")


async def test_what_a_request_does_not_let_be_kept_is_written_each_time() -> None:
    writer = Writer()
    cache = cache_over(writer)
    for _ in range(2):
        await said(cache, ask(keep=None))
    assert len(writer.asked) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "rival"},
        {"world": "fens"},
        {"task": "quests.prose"},
        {"prompt": "reply-2"},
        {"variant": "b"},
        {"sampling": Sampling(temperature=0.2)},
        {"schema": {"type": "string"}},
        {"tools": (Tool(name="wave"),)},
        {"turns": (Turn(role="user", text="Any room left?"),)},
        {"output_tokens_max": 8},
        {"keep": Keep(said="Any room left", persona="mira-1", rating="teen", language="en", state=("npc:mira",))},
        *(
            {"keep": msgspec.structs.replace(ask().keep or Keep(said=""), **change)}
            for change in (
                {"persona": "mira-2"}, {"rating": "adult"}, {"language": "de"}, {"state": ("npc:mira", "quest:q7")},
                {"scene": "rain"}, {"said": "Any rooms left?"},
            )
        ),
    ],
    ids=str,
)  # fmt: skip
async def test_whatever_makes_another_request_gets_a_line_of_its_own(other: dict[str, object]) -> None:
    writer = Writer()
    cache = cache_over(writer)
    await said(cache, ask())
    await said(cache, ask(player="p2", **other))
    assert len(writer.asked) == 2


async def test_a_change_of_the_tenant_s_settings_forgets_what_was_written_before() -> None:
    writer, rules = Writer(), Ruled()
    cache = cache_over(writer, rules=rules)
    await said(cache, ask())
    rules.held["studio"] = Held(tenant="studio", version=1, settings=TenantSettings(safety_text="Be kind."))
    await said(cache, ask(player="p2"))
    assert len(writer.asked) == 2


@pytest.mark.parametrize(
    "settings",
    [
        TenantSettings(security_level="strict"),
        TenantSettings(engines=("other",)),
        TenantSettings(regions=("us",)),
    ],
    ids=["strict", "another engine", "another region"],
)
async def test_a_tenant_never_gets_what_an_engine_wrote_that_it_excludes(settings: TenantSettings) -> None:
    """Even under the same version of the settings, as when a line comes from before a restart."""
    writer, rules = Writer(), Ruled()
    cache = cache_over(writer, rules=rules, regions={"writer": "eu", "other": "eu"})
    await said(cache, ask())
    rules.held["studio"] = Held(tenant="studio", settings=settings)
    await said(cache, ask(player="p2"))
    assert len(writer.asked) == 2, "what is left to say is the orchestrator's: it refuses"


async def test_a_line_is_not_said_after_its_engine_has_left_the_profile() -> None:
    writer = Writer(name="gone")
    cache = cache_over(writer)
    await said(cache, ask())
    await said(cache, ask(player="p2"))
    assert len(writer.asked) == 2


async def test_a_player_hears_every_line_before_one_comes_again() -> None:
    writer = Writer()
    cache = cache_over(writer, variants_max=3)
    heard = [await said(cache, ask()) for _ in range(7)]
    assert len(set(heard[:3])) == 3, "fresh ones are made until there are enough"
    assert heard[3:6] == heard[:3], "then the one that was heard longest ago"
    assert heard[6] == heard[0]
    assert len(writer.asked) == 3


async def test_another_player_hears_what_is_there_before_a_fresh_line_is_made() -> None:
    writer = Writer()
    cache = cache_over(writer, variants_max=3)
    first, second = await said(cache, ask()), await said(cache, ask())
    assert [await said(cache, ask(player="p2")) for _ in range(2)] == [first, second]
    assert len(writer.asked) == 2
    assert await said(cache, ask(player="p2")) not in (first, second)


async def test_a_model_that_always_says_the_same_is_not_asked_for_ever() -> None:
    writer = Writer(write=lambda _asked, _number: "Hm.")
    cache = cache_over(writer, variants_max=3)
    assert {await said(cache, ask()) for _ in range(8)} == {"Hm."}
    assert len(writer.asked) == 3


@pytest.mark.parametrize(
    "settled",
    [
        {"schema": {"type": "string"}},
        {"turns": (Turn(role="user", text="hi"),)},
        {"tools": (Tool(name="wave"),)},
        {"sampling": Sampling(temperature=0.0)},
    ],
    ids=["data", "a program's conversation", "tools", "no chance wanted"],
)
async def test_what_is_not_speech_has_one_answer(settled: dict[str, object]) -> None:
    writer = Writer()
    cache = cache_over(writer)
    assert len({await said(cache, ask(**settled)) for _ in range(4)}) == 1
    assert len(writer.asked) == 1


@pytest.mark.parametrize("flaw", [{"reason": "length"}, {"reason": "filtered"}, {"fails": True}, {"ends": False}])
async def test_a_stream_that_did_not_end_well_is_not_kept(flaw: dict[str, object]) -> None:
    writer = Writer(**flaw)  # type: ignore[arg-type]  # a test's shorthand
    cache = cache_over(writer)
    for _ in range(2):
        try:
            await said(cache, ask())
        except EngineDown:
            assert "fails" in flaw or "ends" in flaw
    assert len(writer.asked) == 2


async def test_calls_of_tools_are_kept_with_their_pieces() -> None:
    calls = (
        WordsToolDelta(index=0, id="c1", name="open_door", arguments='{"do'),
        WordsToolDelta(index=0, arguments='or":"cellar"}'),
    )

    class Caller(Writer):
        async def stream(self, completion, deadline):  # type: ignore[no-untyped-def]  # as the port
            self.asked.append(completion)
            yield WordsStart(engine="writer", model="writer-1")
            for call in calls:
                yield call
            yield WordsEnd(reason="tools", usage=USAGE)

    caller = Caller()
    cache = cache_over(caller)
    await told(cache, ask(tools=(Tool(name="open_door"),)))
    again = await told(cache, ask(player="p2", tools=(Tool(name="open_door"),)))
    assert tuple(event for event in again if isinstance(event, WordsToolDelta)) == calls
    assert isinstance(again[-1], WordsEnd)
    assert again[-1].reason == "tools"
    assert len(caller.asked) == 1


async def test_a_line_lives_as_long_as_it_may() -> None:
    writer, clock = Writer(), ManualClock()
    cache = cache_over(writer, clock=clock, ttl_ms=60_000)
    await said(cache, ask())
    clock.now_s += 59.0
    await said(cache, ask(player="p2"))
    assert len(writer.asked) == 1
    clock.now_s += 2.0
    await said(cache, ask(player="p3"))
    assert len(writer.asked) == 2


async def test_bounds_hold_and_the_least_recently_used_goes_first() -> None:
    writer = Writer()
    cache = cache_over(writer, entries_max=3)
    for number in range(3):
        await said(cache, ask(f"question {number}"))
    await said(cache, ask("question 0", player="p2"))
    await said(cache, ask("question 3"))
    asked = len(writer.asked)
    await said(cache, ask("question 0", player="p3"))
    assert len(writer.asked) == asked
    await said(cache, ask("question 1", player="p3"))
    assert len(writer.asked) == asked + 1
    assert cache.counts("studio").lines <= 3


async def test_bytes_are_bounded() -> None:
    writer = Writer(write=lambda _asked, number: f"{number} " * 500)
    cache = cache_over(writer, bytes_max=60_000, line_bytes_max=50_000)
    for number in range(40):
        await said(cache, ask(f"question {number}"))
        assert cache._levels.near.size_bytes <= 60_000
    assert 0 < cache.counts("studio").lines < 40


async def test_a_line_that_is_too_long_or_depends_on_too_much_is_not_kept() -> None:
    writer = Writer()
    cache = cache_over(writer, line_bytes_max=10)
    await said(cache, ask())
    await said(cache, ask(player="p2"))
    assert len(writer.asked) == 2
    many = tuple(f"npc:n{number}" for number in range(9))
    cache = cache_over(writer)
    await said(cache, ask(state=many))
    await said(cache, ask(state=many, player="p2"))
    assert len(writer.asked) == 4


# Many at once


async def test_many_who_ask_the_same_make_one_call_and_one_of_them_pays() -> None:
    writer = Writer(gate=asyncio.Event())
    cache = cache_over(writer)
    bills = [Bill() for _ in range(50)]
    asking = [
        asyncio.create_task(told(cache, ask(player=f"p{number}", bill=bill))) for number, bill in enumerate(bills)
    ]
    await asyncio.sleep(0.02)
    assert writer.gate is not None
    writer.gate.set()
    answers = await asyncio.gather(*asking)
    assert len(writer.asked) == 1
    assert len({text_of(answer) for answer in answers}) == 1
    assert sum(len(bill.items) for bill in bills) == 1
    assert sum(answer[-1].usage == USAGE for answer in answers) == 1  # type: ignore[union-attr]  # an end


async def test_who_began_a_call_may_leave_and_the_others_still_get_all_of_it() -> None:
    writer = Writer(gate=asyncio.Event())
    cache = cache_over(writer)
    leaver, stayer = Bill(), Bill()
    first = asyncio.create_task(told(cache, ask(bill=leaver)))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(told(cache, ask(player="p2", bill=stayer)))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert writer.closed == 0
    assert writer.gate is not None
    writer.gate.set()
    assert text_of(await second) == "Line 1, said well."
    assert len(writer.asked) == 1
    assert (len(leaver.items), len(stayer.items)) == (0, 1)


async def test_the_last_who_leaves_closes_the_call_and_its_cost_is_on_their_bill() -> None:
    writer, bill = Writer(gate=asyncio.Event()), Bill()
    cache = cache_over(writer)
    async with aclosing(cache.stream(ask(bill=bill), Deadline.after_ms(3_000.0, SystemClock()))) as events:
        async for event in events:
            if isinstance(event, WordsDelta):
                break
    assert writer.closed == 1
    assert [item.outcome for item in bill.items] == ["closed"]
    assert writer.gate is not None
    writer.gate.set()
    await said(cache, ask(player="p2"))
    assert len(writer.asked) == 2, "half a line is not kept"


async def test_each_waits_no_longer_than_their_own_deadline() -> None:
    writer = Writer(gate=asyncio.Event())
    cache = cache_over(writer)
    patient = asyncio.create_task(said(cache, ask()))
    await asyncio.sleep(0.01)
    with pytest.raises(DeadlineExceeded):
        await said(cache, ask(player="p2"), 30.0)
    assert writer.gate is not None
    writer.gate.set()
    assert await patient == "Line 1, said well."


async def test_a_failure_is_told_to_all_who_wait_and_is_not_kept() -> None:
    writer = Writer(fails=True)
    cache = cache_over(writer)
    answers = await asyncio.gather(
        *(told(cache, ask(player=f"p{number}")) for number in range(5)), return_exceptions=True
    )
    assert all(isinstance(answer, EngineDown) for answer in answers)
    assert len(writer.asked) == 1
    writer.fails = False
    assert await said(cache, ask()) == "Line 2, said well."


async def test_nobody_waits_for_a_call_of_their_own() -> None:
    """One player who asks twice at once hears two lines."""
    writer = Writer(gate=asyncio.Event())
    cache = cache_over(writer)
    asking = [asyncio.create_task(said(cache, ask())) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert writer.gate is not None
    writer.gate.set()
    assert len(set(await asyncio.gather(*asking))) == 2


async def test_who_waited_for_another_s_call_that_was_late_asks_once_more() -> None:
    writer, trace = Writer(gate=asyncio.Event(), silent=True), Trace()
    cache = cache_over(writer)
    hurried = asyncio.create_task(said(cache, ask(), 60.0))
    await asyncio.sleep(0.01)
    patient = asyncio.create_task(said(cache, ask(player="p2", trace=trace)))
    await asyncio.gather(hurried, return_exceptions=True)
    assert isinstance(hurried.exception(), DeadlineExceeded)
    assert writer.gate is not None
    writer.gate.set()
    assert await patient == "Line 2, said well."
    assert trace.cache == "miss"


async def test_a_server_that_stops_tells_who_waits_that_the_engine_is_gone() -> None:
    writer = Writer(gate=asyncio.Event())
    cache = cache_over(writer)
    waiting = asyncio.create_task(said(cache, ask()))
    await asyncio.sleep(0.01)
    await cache.close()
    with pytest.raises(EngineDown):
        await waiting
    assert writer.closed == 1


async def test_who_leaves_before_anything_began_leaves_nothing_behind() -> None:
    writer = Writer()
    cache = cache_over(writer)
    events = cache.stream(ask(), Deadline.after_ms(3_000.0, SystemClock()))
    asking = asyncio.create_task(anext(events))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert not cache._flights
    assert await said(cache, ask(player="p2"))


async def test_what_has_no_bytes_is_asked_and_not_kept() -> None:
    writer = Writer()
    cache = cache_over(writer)
    deep: dict[str, object] = {}
    for _ in range(5_000):
        deep = {"items": deep}
    for odd in ({"turns": (Turn(role="user", text="\ud800"),)}, {"schema": deep}, {"schema": {"maximum": 1 << 70}}):
        await said(cache, ask(**odd))
    assert len(writer.asked) == 3
    assert cache.counts("studio").lines == 0


# Purges


async def test_a_purge_forgets_what_depends_on_the_tag_and_nothing_else() -> None:
    writer = Writer()
    cache = cache_over(writer)
    await said(cache, ask(state=("npc:mira", "quest:q7")))
    await said(cache, ask(state=("npc:borin",)))
    await said(cache, ask(state=("quest:q7",), world="fens"))
    cache.purge("studio", "vale", "quest:q7")
    cache.purge("rival", "vale", "npc:borin")
    await said(cache, ask(state=("npc:borin",), player="p2"))
    await said(cache, ask(state=("quest:q7",), world="fens", player="p2"))
    assert len(writer.asked) == 3
    await said(cache, ask(state=("npc:mira", "quest:q7"), player="p2"))
    assert len(writer.asked) == 4


async def test_a_stream_in_flight_whose_tag_is_purged_is_said_and_not_kept() -> None:
    writer = Writer(gate=asyncio.Event())
    cache = cache_over(writer)
    asking = asyncio.create_task(said(cache, ask()))
    await asyncio.sleep(0.01)
    cache.purge("studio", "vale", "npc:mira")
    assert writer.gate is not None
    writer.gate.set()
    assert await asking == "Line 1, said well."
    await said(cache, ask(player="p2"))
    assert len(writer.asked) == 2


async def test_what_was_said_to_a_forgotten_player_is_gone_in_every_world() -> None:
    writer = Writer()
    cache = cache_over(writer)
    await said(cache, ask())
    await said(cache, ask(world="fens", state=()))
    cache.forget("studio", "vale", "p1")
    assert (cache.counts("studio").lines, cache._levels.near.size_bytes) == (0, 0)
    await said(cache, ask(player="p2"))
    await said(cache, ask(world="fens", state=(), player="p2"))
    assert len(writer.asked) == 4


async def test_no_more_purges_are_remembered_than_may_be_and_what_is_forgotten_is_not_trusted() -> None:
    writer = Writer()
    cache = cache_over(writer, purges_max=4)
    await said(cache, ask())
    cache.purge("studio", "vale", "npc:mira")
    for number in range(20):
        cache.purge("studio", "vale", f"npc:n{number}")
    await said(cache, ask(player="p2"))
    assert len(writer.asked) == 2
