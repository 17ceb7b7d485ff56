"""Tasks and variants: who writes what, the same for one player, by weight over many."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from app.core.engines import Orchestrator as Settings
from app.core.engines import Task, Variant
from app.core.errors import EngineDown, Invalid
from app.core.words import Trace
from app.engines.orchestration.tasks import Tasks, chosen
from tests.engines.conftest import COMPLETION, drain, soon
from tests.engines.orchestration.scripts import Engine, over

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
    wild = next(
        player for player in PLAYERS
        if (variant := chosen(engines.tasks.of("dialogue.reply"), "studio", "dialogue.reply", player))
        and variant.name == "wild"
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
