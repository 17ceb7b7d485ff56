"""Tasks and variants: who writes what, the same for one player, by weight over many."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from app.core.clock import Deadline
from app.core.engines import Orchestrator as Settings
from app.core.engines import Task, Variant
from app.core.errors import EngineDown, Invalid, OverBudget
from app.core.spending import Amount, Reservation, Spender
from app.core.words import Trace
from app.engines.orchestration.orchestrator import Orchestrator
from app.engines.orchestration.tasks import Tasks, chosen
from tests.doubles import ManualClock
from tests.engines.conftest import COMPLETION, drain, soon
from tests.engines.orchestration.scripts import Engine, Ledger, over

EXPERIMENT = Task(
    variants=(
        Variant(name="calm", engine="a", weight=3.0, temperature=0.2),
        Variant(name="wild", engine="b", weight=1.0, temperature=1.2, output_tokens_max=99, effort="low"),
        Variant(engine="c"),
    )
)
PLAYERS = [f"p{number}" for number in range(2_000)]


def tasks(**tables: Task) -> Tasks:
    return Tasks(("a", "b"), running=("a", "b", "c"), tasks=tables, roles={"judge": ("c", "a")})


def test_a_task_without_a_table_is_written_by_the_providers_in_order() -> None:
    plan = tasks().of("dialogue.reply")
    assert [variant.name for variant in plan.variants] == ["a", "b"]
    assert chosen(plan, "studio", "dialogue.reply", "p1") is None


def test_players_are_shared_out_by_weight_and_each_keeps_its_variant() -> None:
    plan = tasks(t=EXPERIMENT).of("t")
    given = {player: chosen(plan, "studio", "t", player) for player in PLAYERS}
    counts = Counter(variant.name for variant in given.values() if variant)
    assert set(counts) == {"calm", "wild"}, "who has no weight only helps out"
    assert 0.70 < counts["calm"] / len(PLAYERS) < 0.80
    again = tasks(t=EXPERIMENT).of("t")
    assert all(chosen(again, "studio", "t", player) == variant for player, variant in given.items())
    other = Counter(chosen(plan, "other", "t", player) == variant for player, variant in given.items())
    assert 0 < other[False] < len(PLAYERS), "another tenant's players are shared out on their own"


def test_a_variant_brings_its_prompt() -> None:
    variants = (Variant(name="old", engine="a", weight=1.0), Variant(name="new", engine="a", weight=1.0, prompt="v2"))
    found = tasks(t=Task(variants=variants))
    plan = found.of("t")
    for player in PLAYERS[:50]:
        variant = chosen(plan, "studio", "t", player)
        assert variant is not None
        assert found.label_of("studio", "t", player) == ("v2" if variant.name == "new" else "")
    assert found.label_of("studio", "other", "p1") == ""


def test_a_role_names_the_engines_of_its_tasks() -> None:
    found = tasks(check=Task(role="judge"))
    assert [variant.engine for variant in found.of("check").variants] == ["c", "a"]
    with pytest.raises(Invalid, match="role 'jugde'") as caught:
        tasks(check=Task(role="jugde"))
    assert "'judge'" in caught.value.hint


def test_two_variants_of_one_name_are_refused() -> None:
    with pytest.raises(Invalid, match="two variants"):
        tasks(t=Task(variants=(Variant(engine="a"), Variant(engine="a", temperature=1.0))))


def test_a_variant_whose_engine_does_not_run_is_left_out() -> None:
    found = Tasks(("a",), running=("a",), tasks={"t": EXPERIMENT, "u": Task(variants=(Variant(engine="b"),))})
    assert [variant.name for variant in found.of("t").variants] == ["calm"]
    assert [variant.name for variant in found.of("u").variants] == ["a"], "without any, the providers write"


async def test_a_variant_changes_what_is_asked_and_another_takes_over_where_it_fails() -> None:
    a, b = Engine("a"), Engine("b", pieces=(), fault=EngineDown("b fell over", failure="server"))
    settings = Settings(providers=("a", "b", "c"), tasks={"dialogue.reply": EXPERIMENT})
    engines = over(a, b, Engine("c"), settings=settings)
    plan, world = engines.tasks.of("dialogue.reply"), COMPLETION.world
    wild = next(
        player for player in PLAYERS
        if (variant := chosen(plan, "studio", "dialogue.reply", f"{world}/{player}")) and variant.name == "wild"
    )  # fmt: skip
    trace = Trace()
    await drain(engines.stream(msgspec.structs.replace(COMPLETION, player=wild, trace=trace), soon()))
    assert (b.asked[0].sampling.temperature, b.asked[0].output_tokens_max) == (1.2, 99)
    assert (a.asked[0].sampling.temperature, a.asked[0].output_tokens_max) == (0.2, COMPLETION.output_tokens_max)
    assert (trace.variant, trace.engine, trace.falls) == ("calm", "a", ["b: server"])


@pytest.mark.parametrize(("name", "writer"), [("wild", "b"), ("c", "c"), ("a", "a")])
async def test_a_named_variant_or_engine_writes_alone(name: str, writer: str) -> None:
    engines = [Engine("a"), Engine("b"), Engine("c")]
    settings = Settings(providers=("a", "b"), tasks={"dialogue.reply": EXPERIMENT})
    asked = msgspec.structs.replace(COMPLETION, variant=name)
    await drain(over(*engines, settings=settings).stream(asked, soon()))
    assert [engine.name for engine in engines if engine.asked] == [writer]


async def test_a_named_variant_has_no_stand_in() -> None:
    engines = [Engine("a", pieces=(), fault=EngineDown("a fell over")), Engine("b")]
    with pytest.raises(EngineDown, match="a fell over"):
        await drain(over(*engines).stream(msgspec.structs.replace(COMPLETION, variant="a"), soon()))
    assert not engines[1].asked


async def test_an_unknown_variant_is_told_the_known_ones() -> None:
    with pytest.raises(Invalid, match="'gpt'") as caught:
        await drain(over(Engine("a"), Engine("b")).stream(msgspec.structs.replace(COMPLETION, variant="gpt"), soon()))
    assert "'a', 'b'" in caught.value.hint


async def test_a_preferred_engine_goes_first_and_the_others_stand_behind_it() -> None:
    a, b = Engine("a"), Engine("b", pieces=(), fault=EngineDown("b fell over", failure="server"))
    trace = Trace()
    await drain(over(a, b).stream(msgspec.structs.replace(COMPLETION, prefer="b", trace=trace), soon()))
    assert b.asked
    assert (trace.engine, trace.falls) == ("a", ["b: server"])


async def test_a_preference_that_nobody_knows_leaves_the_order_as_it_is() -> None:
    a, b = Engine("a"), Engine("b")
    await drain(over(a, b).stream(msgspec.structs.replace(COMPLETION, prefer="gpt"), soon()))
    assert (len(a.asked), len(b.asked)) == (1, 0)


def priced(name: str, nano_usd: int) -> Engine:
    return Engine(name, most_nano_usd=nano_usd, cost_nano_usd=nano_usd)


async def writer(engines: Orchestrator, **change: object) -> str:
    """Who writes such a request."""
    trace = Trace()
    await drain(engines.stream(msgspec.structs.replace(COMPLETION, trace=trace, **change), soon()))
    return trace.engine


async def test_thrift_takes_the_cheapest_but_stays_where_the_prompt_is_warm() -> None:
    clock = ManualClock()
    dear, cheap = priced("a", 1_000), priced("b", 700)
    settings = Settings(providers=("a", "b"), tasks={"thrifty": Task(route="thrift")}, warm_ms=60_000.0)
    engines = over(dear, cheap, settings=settings, clock=clock)

    async def told(**change: object) -> str:
        trace = Trace()
        asked = msgspec.structs.replace(COMPLETION, trace=trace, **change)
        await drain(engines.stream(asked, Deadline.after_ms(9_000.0, clock)))
        return trace.engine

    assert await told(task="thrifty", npc="mira") == "b"
    assert await told(npc="borin") == "a", "other tasks keep the listed order"
    assert await told(task="thrifty", npc="borin") == "a", "half the price of its prompt is saved"
    clock.now_s += 61.0
    assert await told(task="thrifty", npc="borin") == "b", "no prompt stays warm for ever"


async def test_where_a_cap_left_no_room_the_cheapest_is_tried_first_for_a_while() -> None:
    class Cap(Ledger):
        async def reserve(self, spender: Spender, most: Amount) -> Reservation:
            if most.nano_usd > 500:
                raise OverBudget("no room")
            return await super().reserve(spender, most)

    dear, cheap, ledger = priced("a", 1_000), priced("b", 100), Cap()
    engines = over(dear, cheap, budgets=ledger)
    trace = Trace()
    await drain(engines.stream(msgspec.structs.replace(COMPLETION, trace=trace), soon()))
    assert (trace.engine, trace.falls) == ("b", ["a: over_budget"])
    again = Trace()
    await drain(engines.stream(msgspec.structs.replace(COMPLETION, trace=again), soon()))
    assert (again.engine, again.falls) == ("b", [])
    assert await writer(engines, tenant="rich") == "b", "another tenant begins with the first, which is too dear here"


async def test_hard_requests_go_where_the_task_says() -> None:
    small, big = Engine("small"), Engine("big")
    table = Task(easy=("local",), hard=("big",))
    settings = Settings(providers=("big", "small"), tasks={"dialogue.reply": table})
    engines = over(big, small, settings=settings, regions={"big": "eu"})
    assert await writer(engines) == "small"
    assert await writer(engines, output_tokens_max=5_000) == "big"
    assert await writer(engines, task="other") == "big"


async def test_an_engine_too_slow_for_a_caller_is_not_tried_first_again() -> None:
    slow, quick = Engine("a", wait_s=0.3), Engine("b")
    engines = over(slow, quick)
    hurried = {"first_token_ms": 200.0}
    assert await writer(engines, **hurried) == "b"
    assert len(slow.asked) == 1
    assert await writer(engines, **hurried) == "b"
    assert len(slow.asked) == 1, "what it took is remembered"
    assert await writer(engines) == "a", "for whoever has time it comes first as ever"
