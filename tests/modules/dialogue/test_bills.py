"""What a line has cost is written down, whatever becomes of the line."""

from __future__ import annotations

import asyncio

import pytest

from app.core.clock import SystemClock
from app.core.errors import Overloaded
from app.core.spending import Amount
from app.core.words import Completion, Usage
from app.engines.orchestration.orchestrator import Orchestrator
from app.modules.dialogue.settings import Settings
from app.stores.embedded.budgets import EmbeddedBudgets
from app.stores.usage import spent
from app.world.events import WordsUsed
from tests.doubles import SilentLog
from tests.modules.dialogue.village import TENANT, WORLD, Script, Stage, Watch, make_stage
from tests.stores.contracts.conftest import budgets_section


class Paid(Script):
    """A script whose calls are counted."""

    def most(self, completion: Completion) -> Usage:
        return Usage(tokens_in=200, tokens_out=100, cost_nano_usd=4_000)

    def estimate(self, completion: Completion, written: str) -> Usage:
        return Usage(tokens_in=100, tokens_out=len(written), cost_nano_usd=1_200)


def budgets(**caps: int) -> EmbeddedBudgets:
    return EmbeddedBudgets(budgets_section(**caps), clock=SystemClock(), log=SilentLog(), accounts_max=100)


def stage_over(*engines: Script, caps: EmbeddedBudgets | None = None, watch: Watch | None = None) -> Stage:
    words = Orchestrator(engines, clock=SystemClock(), watcher=watch or Watch(), budgets=caps)
    return make_stage(words=words, watch=watch, settings=Settings(first_token_ms=300.0))


def used(stage: Stage) -> list[WordsUsed]:
    return [event.change for event in stage.journal.events if isinstance(event.change, WordsUsed)]


async def written(stage: Stage) -> list[WordsUsed]:
    """What was used, as soon as it is written."""
    async with asyncio.timeout(3):
        while not used(stage):  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.01)
    return used(stage)


async def test_a_paid_line_commits_its_cost_with_its_effects() -> None:
    stage = stage_over(Paid(lambda _: "Well met."))
    await stage.say(await stage.open("mira", "p1"), "p1", "Hello")
    (cost,) = used(stage)
    assert (cost.npc, cost.player, cost.engine, cost.model) == ("mira", "p1", "script", "script-1")
    assert (cost.tokens_in, cost.tokens_out, cost.cost_nano_usd, cost.estimated) == (100, 10, 1_500, False)
    assert len(stage.world.state.usage) == 1


async def test_an_authored_line_costs_nothing() -> None:
    stage = make_stage()
    await stage.say(await stage.open("mira", "p1"), "p1", "Hello")
    assert used(stage) == []


async def test_a_stream_that_broke_is_charged_as_estimated_beside_the_one_that_went_on() -> None:
    first = Paid(lambda _: "Well met, traveler. The inn", name="a", piece=9, fails_after=18)
    stage = stage_over(first, Paid(lambda _: "Well met, traveler. The inn is warm.", name="b"))
    await stage.say(await stage.open("mira", "p1"), "p1", "Hello")
    assert [(cost.engine, cost.cost_nano_usd, cost.estimated) for cost in used(stage)] == [
        ("a", 1_200, True),
        ("b", 1_500, False),
    ]


async def test_a_line_that_was_canceled_is_paid_for_all_the_same() -> None:
    class Hanging(Paid):
        async def stream(self, completion, deadline):  # type: ignore[no-untyped-def]  # a generator that hangs
            async for event in super().stream(completion, deadline):
                yield event
                await asyncio.sleep(60.0)

    stage = stage_over(Hanging(lambda _: "Well met."))
    dialogue = await stage.open("mira", "p1")
    saying = asyncio.create_task(stage.say(dialogue, "p1", "Hello"))
    await asyncio.sleep(0.05)
    saying.cancel()
    await asyncio.gather(saying, return_exceptions=True)
    (cost,) = await written(stage)
    assert (cost.cost_nano_usd, cost.estimated) == (1_200, True)


async def test_a_cost_that_the_journal_had_no_room_for_is_written_later_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = stage_over(Paid(lambda _: "Well met."))
    append, refusals = stage.journal.append, 2

    async def busy(*args, **options):  # type: ignore[no-untyped-def]  # stands in for append
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            raise Overloaded("no room")
        return await append(*args, **options)

    monkeypatch.setattr(stage.journal, "append", busy)
    monkeypatch.setattr("app.modules.dialogue.bills.RETRY_S", 0.01)
    assert (await stage.say(await stage.open("mira", "p1"), "p1", "Hello")).text == "Well met."
    assert len(await written(stage)) == 1


async def test_of_many_turns_at_once_exactly_those_with_money_are_paid_and_all_get_a_line() -> None:
    engine, watch = Paid(lambda _: "Well met."), Watch()
    stage = stage_over(engine, caps=budgets(tenant_day_nano_usd_max=3 * 4_000), watch=watch)
    dialogues = [await stage.open("mira", "p1") for _ in range(40)]
    lines = await asyncio.gather(*(stage.say(dialogue, "p1", "Hello") for dialogue in dialogues))
    assert all(line.text for line in lines)
    assert sum(line.rung == "words" for line in lines) == len(engine.asked) == len(used(stage))
    assert sum(cost.cost_nano_usd for cost in used(stage)) <= 3 * 4_000
    assert watch.fell == [], "an empty purse is no failure of an engine or a rung"


async def test_a_player_without_money_takes_the_model_from_nobody_else() -> None:
    engine = Paid(lambda _: "Well met.")
    stage = stage_over(engine, caps=budgets(player_day_nano_usd_max=5_000))
    poor = await stage.open("mira", "p1")
    rungs = [(await stage.say(poor, "p1", f"Hello {number}")).rung for number in range(8)]
    assert rungs[:1] == ["words"]
    assert rungs[-5:] == ["authored"] * 5
    assert (await stage.say(await stage.open("borin", "p2"), "p2", "Hello")).rung == "words"


async def test_what_was_spent_before_a_restart_still_counts() -> None:
    stage = stage_over(Paid(lambda _: "Well met."))
    await stage.say(await stage.open("mira", "p1"), "p1", "Hello")
    again = budgets(npc_month_nano_usd_max=5_000)
    # RamJournal's events lie in 1970, so the day is moved to today.
    rows = [(again.today(), npc, player, amount) for _, npc, player, amount in spent(stage.world.state.usage)]
    assert rows == [(again.today(), "mira", "p1", Amount(nano_usd=1_500, tokens=110))]
    again.know(TENANT, WORLD, rows)
    after = stage_over(Paid(lambda _: "Well met."), caps=again)
    assert (await after.say(await after.open("mira", "p1"), "p1", "Hello")).rung == "authored"
