"""Money in the orchestrator: no call without room for its worst price, and an empty purse is nobody's failure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.clock import SystemClock
from app.core.errors import EngineDown, OverBudget
from app.core.words import Completion, Part, Usage
from app.engines.orchestration.orchestrator import Orchestrator
from app.engines.providers.provider import Provider
from app.engines.wire import render, tokens_most
from app.stores.embedded.budgets import EmbeddedBudgets
from tests.doubles import SilentLog
from tests.engines.conftest import COMPLETION, drain, soon
from tests.modules.dialogue.village import Script, Watch
from tests.stores.contracts.conftest import budgets_section

ASKED = msgspec.structs.replace(COMPLETION, world="vale", npc="mira", player="p1")


class Paid(Script):
    """A script that may cost 4,000 and costs 1,500."""

    def most(self, completion: Completion) -> Usage:
        return Usage(tokens_in=200, tokens_out=100, cost_nano_usd=4_000)

    def estimate(self, completion: Completion, written: str) -> Usage:
        return Usage(tokens_in=100, cost_nano_usd=1_000)


def over(*engines: Script, watch: Watch, cap: int) -> Orchestrator:
    section = budgets_section(npc_day_nano_usd_max=cap)
    budgets = EmbeddedBudgets(section, clock=SystemClock(), log=SilentLog(), accounts_max=100)
    return Orchestrator(engines, clock=SystemClock(), watcher=watch, budgets=budgets)


async def test_a_call_without_room_goes_to_an_engine_that_costs_nothing() -> None:
    paid, free, watch = Paid(lambda _: "Paid.", name="a"), Script(lambda _: "Free.", name="b"), Watch()
    engines = over(paid, free, watch=watch, cap=5_000)
    assert [(await drain(engines.stream(ASKED, soon())))[0] for _ in range(3)] == ["Paid.", "Free.", "Free."]
    assert watch.fell == []


async def test_when_only_money_is_lacking_that_is_said() -> None:
    watch = Watch()
    engines = over(Paid(lambda _: "Paid."), watch=watch, cap=3_999)
    for _ in range(5):
        with pytest.raises(OverBudget, match="npc:"):
            await drain(engines.stream(ASKED, soon()))
    assert watch.fell == []
    assert engines.status().state == "ready"


async def test_an_engine_that_broke_is_still_named_when_the_next_has_no_money() -> None:
    broken = Script(lambda _: "x", name="a", fails_after=0)
    engines = over(broken, Paid(lambda _: "Paid.", name="b"), watch=Watch(), cap=1)
    with pytest.raises(EngineDown, match=r"a broke.*no room"):
        await drain(engines.stream(ASKED, soon()))


async def test_a_call_that_failed_at_once_gives_its_room_back() -> None:
    class Refusing(Paid):
        async def stream(self, completion, deadline):  # type: ignore[no-untyped-def]  # refuses before it starts
            raise EngineDown("answered 500")
            yield

    engines = over(Refusing(lambda _: "", name="a"), Paid(lambda _: "Paid.", name="b"), watch=Watch(), cap=4_000)
    assert (await drain(engines.stream(ASKED, soon())))[0] == "Paid."


@given(st.lists(st.tuples(st.sampled_from(["system", "fact", "player", "npc"]), st.text(max_size=60)), max_size=8))
def test_no_prompt_has_more_tokens_than_are_reserved_for_it(parts: list[tuple[str, str]]) -> None:
    given_parts = tuple(Part(trust=trust, text=text, speaker="Robin <3") for trust, text in parts)  # type: ignore[arg-type]  # drawn
    completion = Completion(task="t", parts=given_parts, output_tokens_max=10)
    rendered = render(given_parts)
    sent = rendered.head + "".join(turn.text for turn in rendered.turns)
    assert len(sent.encode("utf-8", "replace")) <= tokens_most(completion)


async def test_the_most_is_never_less_than_what_a_provider_then_charges(
    kind: str, opened: Callable[..., Provider]
) -> None:
    provider = opened(kind)
    most = provider.most(ASKED)
    _, end = await drain(provider.stream(ASKED, soon()))
    assert end is not None
    assert 0 < end.usage.cost_nano_usd <= most.cost_nano_usd
    again = provider.most(ASKED)
    assert again.cost_nano_usd >= most.cost_nano_usd, "the model that was served is known now as well"
