"""A second engine beside a slow one: when it starts, who is heard, and that it costs next to nothing."""

from __future__ import annotations

import asyncio
import random
import time

import msgspec
import pytest

from app.core.engines import Hedging, Task
from app.core.engines import Orchestrator as Settings
from app.core.errors import EngineDown, OverBudget
from app.core.spending import Amount, Reservation, Spender
from app.core.words import Bill, Trace
from app.engines.orchestration.members import Limits
from app.engines.orchestration.orchestrator import Orchestrator
from app.engines.orchestration.pace import Pace
from app.engines.orchestration.purse import Purse
from tests.engines.conftest import COMPLETION, drain, soon
from tests.engines.orchestration.scripts import COST, GUESS, MOST, Engine, Ledger, Tallies, over

HEDGED = Settings(providers=("a", "b"), hedging=Hedging(spend_share_max=1.0, samples_min=4))
HURRIED = msgspec.structs.replace(COMPLETION, first_token_ms=2_000.0)
PATIENT = {name: Limits(first_token_ms=5_000.0) for name in "ab"}


async def warmed(
    first: Engine, second: Engine, *, settings: Settings = HEDGED, calls: int = 12, **options: object
) -> Orchestrator:
    """An orchestrator that knows how quick `first` mostly is, with money saved for a hedge."""
    engines = over(first, second, settings=settings, limits=PATIENT, **options)
    wait_s, first.wait_s = first.wait_s, 0.002
    for _ in range(calls):
        await drain(engines.stream(COMPLETION, soon()))
    first.wait_s = wait_s
    return engines


async def test_a_slow_engine_is_overtaken_and_its_call_is_ended_and_paid() -> None:
    slow, quick = Engine("a", wait_s=1.0), Engine("b")
    ledger, tallies, bill, trace = Ledger(), Tallies(), Bill(), Trace()
    engines = await warmed(slow, quick, budgets=ledger, meter=tallies)
    before = slow.closed
    started = time.monotonic()
    text, end = await drain(engines.stream(msgspec.structs.replace(HURRIED, bill=bill, trace=trace), soon()))
    assert text == "Well met."
    assert time.monotonic() - started < 0.7
    assert tallies.hedges == [("a", "won")]
    assert [(spent.engine, spent.outcome, spent.estimated) for spent in bill.items] == [
        ("a", "hedged", True),
        ("b", "stop", False),
    ]
    assert end is not None
    assert end.usage.cost_nano_usd == GUESS + COST
    assert trace.engine == "b"
    await asyncio.sleep(0.01)
    assert slow.closed == before + 1
    assert len(ledger.held) == 14, "the hedge has a reservation of its own"
    assert ledger.settled.keys() == ledger.held.keys()
    assert engines.status().state == "ready", "losing is no failure"
    await engines.close()


async def test_an_engine_that_is_first_after_all_keeps_the_word() -> None:
    first, second, tallies = Engine("a", wait_s=0.08), Engine("b", wait_s=1.0), Tallies()
    engines = await warmed(first, second, meter=tallies)
    await drain(engines.stream(HURRIED, soon()))
    assert tallies.hedges == [("a", "lost")]
    assert tallies.calls[-2:] == [("b", "hedged"), ("a", "stop")]
    await engines.close()


@pytest.mark.parametrize("sick", ["a", "b"])
async def test_while_two_run_one_may_fail(sick: str) -> None:
    engines = {"a": Engine("a", wait_s=0.1), "b": Engine("b", wait_s=0.15)}
    tallies = Tallies()
    both = await warmed(engines["a"], engines["b"], meter=tallies)
    engines[sick].pieces, engines[sick].fault = (), EngineDown(f"{sick} fell over", failure="server")
    if sick == "b":
        engines["b"].wait_s = 0.05
    trace = Trace()
    text, _ = await drain(both.stream(msgspec.structs.replace(HURRIED, trace=trace), soon()))
    assert text == "Well met."
    assert trace.falls == [f"{sick}: server"]
    await both.close()


async def test_when_both_fail_every_reason_is_named_and_everything_is_settled() -> None:
    ledger = Ledger()
    slow, other = Engine("a", wait_s=0.1), Engine("b", wait_s=0.1)
    engines = await warmed(slow, other, budgets=ledger)
    for engine in (slow, other):
        engine.pieces, engine.fault = (), EngineDown(f"{engine.name} fell over", failure="server")
    with pytest.raises(EngineDown, match="a fell over; b fell over"):
        await drain(engines.stream(HURRIED, soon()))
    assert ledger.settled.keys() == ledger.held.keys()


async def test_whoever_leaves_during_a_race_ends_both_calls() -> None:
    ledger, first, second = Ledger(), Engine("a", wait_s=30.0), Engine("b", wait_s=30.0)
    engines = await warmed(first, second, budgets=ledger)
    asked, done = len(first.asked), first.closed
    caller = asyncio.create_task(drain(engines.stream(HURRIED, soon())))
    async with asyncio.timeout(2.0):
        while not second.asked:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.01)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    assert (len(first.asked), first.closed, second.closed) == (asked + 1, done + 1, 1)
    assert ledger.settled.keys() == ledger.held.keys()


async def test_without_a_hurry_or_enough_knowledge_nobody_is_hedged() -> None:
    slow, second = Engine("a", wait_s=0.1), Engine("b")
    engines = await warmed(slow, second)
    await drain(engines.stream(COMPLETION, soon()))
    fresh = await warmed(Engine("a", wait_s=0.1), second, calls=3)
    await drain(fresh.stream(HURRIED, soon()))
    assert not second.asked


async def test_a_task_may_ask_for_a_hedge_itself() -> None:
    settings = msgspec.structs.replace(HEDGED, tasks={"dialogue.reply": Task(hedge=True)})
    second = Engine("b")
    engines = await warmed(Engine("a", wait_s=0.5), second, settings=settings)
    second.asked.clear()
    await drain(engines.stream(COMPLETION, soon()))
    assert len(second.asked) == 1
    await engines.close()


async def test_hedges_stay_within_their_share_of_what_is_spent() -> None:
    settings = msgspec.structs.replace(HEDGED, hedging=Hedging(spend_share_max=0.05, samples_min=4))
    slow, second, tallies, bill = Engine("a", wait_s=0.03), Engine("b"), Tallies(), Bill()
    for engine in (slow, second):
        engine.most_nano_usd = 2 * COST
    engines = await warmed(slow, second, settings=settings, meter=tallies, calls=8)
    asked = msgspec.structs.replace(HURRIED, bill=bill)
    for _ in range(100):
        await drain(engines.stream(asked, soon()))
        engines._members["a"].pace.__init__(60_000.0)  # type: ignore[misc]  # what was slow is expected to be quick again
        for _ in range(8):
            engines._members["a"].pace.note(2.0, engines._clock.monotonic_s())
    extra = sum(spent.usage.cost_nano_usd for spent in bill.items if spent.outcome == "hedged")
    rest = sum(spent.usage.cost_nano_usd for spent in bill.items if spent.outcome != "hedged") + 8 * COST
    assert 0 < extra <= 0.05 * rest
    assert ("a", "unfunded") in tallies.hedges
    assert ("a", "won") in tallies.hedges
    await engines.close()


async def test_a_hedge_without_room_in_the_callers_budget_is_not_started() -> None:
    class Poor(Ledger):
        async def reserve(self, spender: Spender, most: Amount) -> Reservation:
            if len(self.held) > len(self.settled):
                raise OverBudget("one at a time")
            return await super().reserve(spender, most)

    second = Engine("b")
    engines = await warmed(Engine("a", wait_s=0.1), second, budgets=Poor())
    text, _ = await drain(engines.stream(HURRIED, soon()))
    assert text == "Well met."
    assert not second.asked


@pytest.mark.parametrize("seed", range(5))
def test_a_purse_never_gives_more_than_its_share(seed: int) -> None:
    dice, purse = random.Random(seed), Purse(0.05, 50_000)
    earned = spent = 0
    running: list[int] = []
    for _ in range(5_000):
        if dice.random() < 0.5:
            cost = dice.randrange(5_000)
            earned += cost
            purse.earn(cost)
        elif dice.random() < 0.5:
            most = dice.randrange(20_000)
            if purse.take(most):
                running.append(most)
        elif running:
            most = running.pop(dice.randrange(len(running)))
            cost = dice.randrange(most + 1)
            spent += cost
            purse.settle(most, cost)
        assert spent + sum(running) <= 0.05 * earned + 1e-6
    assert spent > 0


def test_an_empty_purse_still_lets_a_free_engine_help() -> None:
    purse = Purse(0.0, MOST)
    purse.earn(10**12)
    assert not purse.take(1)
    assert purse.take(0)


def test_the_pace_is_what_was_seen_of_late_and_is_forgotten() -> None:
    pace = Pace(60_000.0)
    assert pace.expected_ms(0.0) is None
    for ms in range(1, 11):
        pace.note(float(ms), 0.0)
    assert pace.p90_ms(10) == 9.0
    assert pace.p90_ms(11) is None
    assert 1.0 < (pace.expected_ms(1.0) or 0.0) < 10.0
    pace.note_none_by(500.0, 1.0)
    assert (pace.expected_ms(1.0) or 0.0) > 100.0
    assert pace.expected_ms(62.0) is None
    pace.note(3.0, 62.0)
    assert pace.expected_ms(62.0) == 3.0
    for _ in range(100):
        pace.note(20.0, 62.0)
    assert pace.p90_ms(10) == 20.0
