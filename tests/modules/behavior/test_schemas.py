"""Schemas as data: files that are refused in words, a studio's folder, and random schemas from end to end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.clock import SystemClock
from app.core.errors import Invalid, NotFound
from app.modules.behavior import considerations, messages, schema, schema_files
from app.modules.behavior.brains import Brains
from app.modules.behavior.considerations import Authored, Option
from app.modules.behavior.handler import Behavior
from app.modules.behavior.minds import Mind
from app.modules.behavior.schema import Blend, Condition, Curve, Feature, Intent, Parameter, Reflex, Slot, SlotColumns
from app.modules.behavior.schema_files import SchemaFile
from app.modules.behavior.settings import Settings
from app.world.entities import Npc
from app.world.events import EntityUpserted
from app.world.state import World, Worlds
from tests.doubles import RamJournal
from tests.modules.behavior.stage import LAYOUT, Net, Watch, asked, stage

ARENA = Path(schema_files.__file__).parent / "schemas" / "arena.toml"


def test_the_open_world_s_layout_is_the_one_that_the_shipped_policy_learned() -> None:
    assert LAYOUT.fingerprint == "5a19dcce437814c1"
    assert LAYOUT.feature_names[8:13] == ("is_guard", "is_merchant", "is_villager", "is_predator", "is_prey")
    assert LAYOUT.features[28].about == "way to the second nearest foe; at its highest when the slot is empty"


@pytest.mark.parametrize("name", schema_files.names())
def test_a_shipped_schema_has_rules_that_fit_it_and_a_reflex_for_everyone(name: str) -> None:
    layout = schema.load(name)
    assert considerations.load(name, layout).options
    assert not layout.reflexes[-1].when
    assert not layout.reflexes[-1].roles


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('name = "arena"', 'name = "Arena"', "name holds the name 'Arena'"),
        ('"healer", "boss"]', '"healer", "healer"]', "roles holds 'healer' twice"),
        ('name = "smash", slots = [0, 1, 2]', 'name = "smash", slots = [0, 7]', "slots are 0 to 4"),
        ('name = "smash", slots = [0, 1, 2]', 'name = "smash", slots = [1, 1]', "names a slot twice"),
        ('name = "stamina"', 'name = "health"', "features holds 'health' twice"),
        ('name = "stamina"', 'name = "Stamina!"', "a-z"),
        ('name = "stamina"', 'nmae = "stamina"', "did you mean 'name'?"),
        ('unit = "share", low = 0, high = 1, scale = "linear", about = "0 = exhausted"',
         'unit = "share", low = 1, high = 1, scale = "linear", about = "0 = exhausted"', "feature 'stamina' has low 1"),
        ('low = 0, high = 1, scale = "linear", about = "0 = exhausted"',
         'low = -2, high = -1, scale = "linear", about = "0 = exhausted"', "let high be above 0"),
        ('low = 0, high = 1, scale = "linear", about = "0 = exhausted"',
         'low = -1, high = 1, scale = "log", about = "0 = exhausted"', "let low be 0 or more"),
        ('low = 0, high = 1, scale = "linear", about = "0 = exhausted"',
         'low = "0", high = 1, scale = "linear", about = "0 = exhausted"', "features[1].low"),
        ("is_{role}", "was_{role}", "lacks 'is_champion'"),
        ("told_{intent}", "said_{intent}", "lacks 'told_approach'"),
        ("slot{slot}_marked", "slot{slot}_makred", "did you mean 'makred'?"),
        ("first_counts = 0.1", "first_counts = 0.0", "slot.first_counts is 0.0"),
        ('intent = "recover" }', 'intent = "recovr" }', "did you mean 'recover'?"),
        ('roles = ["healer"], when = [["slot0_health"', 'roles = ["haeler"], when = [["slot0_health"', "'healer'"),
        ('["danger_s", "<", 0.6]] }', '["dagner_s", "<", 0.6]] }', "did you mean 'danger_s'?"),
        ('["danger_s", "<", 0.6]] }', '["danger_s", "=", 0.6]] }', "reflexes[1].when[0][1]"),
        ('intent = "smash", start = 1.2', 'intent = "smahs", start = 1.2', "did you mean 'smash'?"),
        ('intent = "smash", start = 1.2', 'intent = "smash", start = 99', "has the value 99"),
        ('intent = "smash", start = 1.2', 'intent = "approach", start = 1.2', "two for one intent"),
        ('["danger_s", 1, 0.2]', '["danger_s", 1, 1]', "without width"),
        ("low = 0.05\nhigh = 5", "low = 5\nhigh = 5", "parameters[1] has low 5"),
        ("slots = [\n", "slots = []\nplaces = [\n", "unknown key 'places'"),
        ('about = "Duels', "about = Duels", "is no TOML"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_sound_is_refused_with_the_place_and_the_mend(before: str, after: str, said: str) -> None:
    text = ARENA.read_text()
    assert before in text
    with pytest.raises(Invalid) as caught:
        schema_files.read(text.replace(before, after, 1).encode(), "arena.toml")
    assert "arena.toml" in caught.value.message
    assert said in f"{caught.value.message}; {caught.value.hint}"


def test_templates_that_stand_apart_are_refused_where_the_order_is_not_the_intents_own() -> None:
    first = '{ name = "told_smash", unit = "flag", low = 0, high = 1, scale = "linear", about = "x" },\n'
    others = [name for name in schema.load("arena").intent_names if name != "smash"]
    written = first + "".join(first.replace("smash", name) for name in others)
    text = re.sub(r"    \{ name = \"told_.*\n", written, ARENA.read_text())
    with pytest.raises(Invalid, match="order of the intents"):
        schema_files.read(text.encode(), "arena.toml")


def test_a_slot_on_another_scale_or_of_no_slot_is_refused() -> None:
    text = ARENA.read_text()
    extra = '    { name = "slot9_distance", unit = "m", low = 0, high = 60, scale = "linear", about = "x" },\n'
    at = text.index('    { name = "doing_')
    with pytest.raises(Invalid, match="slot9_distance"):
        schema_files.read((text[:at] + extra + text[at:]).encode(), "arena.toml")


async def studio(folder: Path, *, rules: bool) -> Any:
    """A server whose studio wrote a schema of its own, and where asked rules for it."""
    (folder / "schemas").mkdir()
    (folder / "schemas" / "duel.toml").write_text(ARENA.read_text().replace('name = "arena"', 'name = "duel"', 1))
    if rules:
        (folder / "utility").mkdir()
        text = (ARENA.parents[1] / "utility" / "arena.toml").read_text()
        (folder / "utility" / "duel.toml").write_text(text.replace('schema = "arena"', 'schema = "duel"'))
    return await stage(Net(), npcs=4, settings=Settings(content_folder=str(folder)))


@pytest.mark.parametrize(("rules", "rung"), [(True, "utility"), (False, "reflex")])
async def test_a_studio_s_schema_decides_by_its_own_rules_or_by_reflex(tmp_path: Path, rules: bool, rung: str) -> None:
    on = await studio(tmp_path, rules=rules)
    fight = {"slot0_health": 1.0, "slot0_distance": 2.0, "stamina": 1.0, "danger_s": 5.0, "is_boss": True}
    reply = await asked(on, 4, schema="duel", features=(fight,) * 4, format="lists", parameters=True)
    assert reply.rungs == (("utility", "reflex") if rules else ("reflex",))
    assert reply.lists is not None
    assert reply.lists.intents == ("strike",) * 4
    assert reply.lists.targets == (0,) * 4
    assert set(reply.lists.parameters[0]) == {"urgency", "hold_s", "spacing"}
    told = cast(messages.Explained, await on.ask(messages.Explain(npc="npc-1")))
    assert (told.schema, told.rung, told.intent) == ("duel", rung, "strike")
    assert (await asked(on, 4)).rungs == ("policy", "utility", "reflex")


async def test_a_schema_that_is_not_known_names_the_nearest() -> None:
    on = await stage()
    with pytest.raises(Invalid) as caught:
        await asked(on, schema="arean")
    assert caught.value.hint == "did you mean 'arena'?"


async def test_a_studio_s_broken_files_are_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "duel.toml").write_text(ARENA.read_text())
    with pytest.raises(Invalid, match=r"duel\.toml names its schema 'arena'"):
        await stage(settings=Settings(content_folder=str(tmp_path)))
    (tmp_path / "schemas" / "duel.toml").unlink()
    (tmp_path / "utility").mkdir()
    (tmp_path / "utility" / "arena.toml").write_text('schema = "arena"\nheld = 0.0\ntold = 0.0\noptions = []')
    with pytest.raises(Invalid, match=r"utility/arena\.toml has no option"):
        await stage(settings=Settings(content_folder=str(tmp_path)))
    with pytest.raises(NotFound, match="nowhere"):
        schema_files.load("nowhere", tmp_path)


NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9]{0,6}", fullmatch=True), min_size=1, max_size=5, unique=True)


@st.composite
def schemas(draw: st.DrawFn) -> tuple[SchemaFile, Authored]:
    """Any schema that is sound, and rules for it."""
    roles, kinds, intents = draw(NAMES), draw(NAMES), draw(NAMES)
    places = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5))
    own = [f"own_{name}" for name in draw(NAMES)]
    numbers = st.sampled_from((-1.0, 0.0, 0.25, 1.0, 3.0))

    def feature(name: str) -> Feature:
        log = draw(st.booleans())
        high = draw(st.sampled_from((0.5, 1.0, 8.0, 512.0)))
        low = 0.0 if log else draw(st.sampled_from((0.0, -1.0, -8.0)))
        return Feature(name=name, unit="x", low=low, high=high, scale="log" if log else "linear", about=name)

    def flag(name: str) -> Feature:
        return Feature(name=name, unit="flag", low=0.0, high=1.0, scale="linear", about="one of {role}{intent}")

    slot = [feature(f"slot{{slot}}_{end}") for end in ("there", "far", "prime", "else")]
    blocks = [[feature(name) for name in own], [flag("is_{role}")], slot, [flag("doing_{intent}")],
              [flag("told_{intent}")]]  # fmt: skip
    columns = [*own, "slot0_there", "slot0_far"]
    test = st.builds(Condition, st.sampled_from(columns), st.sampled_from(("<", "<=", ">", ">=")), numbers)
    some_roles = st.lists(st.sampled_from(roles), unique=True).map(tuple)
    reflexes = st.builds(
        Reflex, intent=st.sampled_from(intents), roles=some_roles, when=st.lists(test, max_size=3).map(tuple)
    )
    curve = st.builds(Curve, st.sampled_from(columns), st.just(0.0), st.sampled_from((0.25, 0.5)), st.just(1.0))
    curves = st.lists(curve, max_size=3).map(tuple)
    blends = st.lists(
        st.builds(Blend, intent=st.sampled_from(intents), start=st.just(0.0), end=st.just(1.0), when=curves),
        unique_by=lambda blend: blend.intent,
    ).map(tuple)
    parameter = st.builds(
        Parameter, name=st.just("urge"), unit=st.just("x"), low=st.just(0.0), high=st.just(2.0),
        default=st.just(0.5), about=st.just("x"), blends=blends,
    )  # fmt: skip
    option = st.builds(
        Option, name=st.just("option"), intent=st.sampled_from(intents), weight=st.sampled_from((0.2, 1.0)),
        roles=some_roles, when=curves,
    )  # fmt: skip
    slots_of = st.lists(st.integers(0, len(places) - 1), unique=True).map(tuple)
    file = SchemaFile(
        name="drawn", about="drawn", roles=tuple(roles),
        slots=tuple(Slot(kind=kind, about=kind) for kind in places),
        slot=SlotColumns(present="there", distance="far", first="prime", first_counts=0.3),
        intents=tuple(Intent(name=name, slots=draw(slots_of), about=name) for name in intents),
        features=tuple(item for block in draw(st.permutations(blocks)) for item in block),
        reflexes=tuple(draw(st.lists(reflexes, max_size=4))),
        parameters=tuple(draw(st.lists(parameter, max_size=1))),
    )  # fmt: skip
    options = tuple(draw(st.lists(option, min_size=1, max_size=4)))
    return file, Authored(schema="drawn", held=0.1, told=0.4, options=options)


@settings(max_examples=60, deadline=None)
@given(schemas(), st.sampled_from(("utility", "reflex")), st.integers(0, 2**32 - 1), st.booleans())
def test_any_sound_schema_works_from_encoding_to_explaining(
    drawn: tuple[SchemaFile, Authored], rung: str, seed: int, warm: bool
) -> None:
    layout = schema_files.expand(drawn[0], "drawn.toml")
    ask = _drawn_behavior(layout, considerations.compile_rules(drawn[1], layout), rung, warm=warm)
    generator = np.random.default_rng(seed)
    spread = np.array([item.high - item.low for item in layout.features])
    low = np.array([item.low for item in layout.features])
    rows = low + generator.random((6, len(spread))) * spread
    named = [dict(zip(layout.feature_names, row, strict=True)) for row in rows.tolist()]
    seen = generator.random((6, 3, 1 + len(layout.slot_features)), np.float32)
    seen[:, :, 0] = generator.integers(0, len(layout.kinds) + 1, (6, 3))
    roles = generator.integers(0, len(layout.roles), 6).astype(np.uint8)
    reply = ask(
        messages.Decide(
            tick=1, npcs=tuple(f"n{at}" for at in range(6)), features=tuple(named), schema="drawn",
            archetypes=roles.tobytes(), candidates=seen.tobytes(), parameters=True, strict=True, format="lists",
        )
    )  # fmt: skip
    assert {reply.rungs[at] for at in reply.rung_of} == {rung}
    assert set(reply.lists.intents) <= set(layout.intent_names)
    assert all(target in (-1, 0, 1, 2) for target in reply.lists.targets)
    assert len(reply.parameters) == 4 * 6 * len(layout.parameters)
    assert not reply.errors
    for at in range(6):
        told = ask(messages.Explain(npc=f"n{at}"))
        assert (told.intent, told.rung) == (reply.lists.intents[at], rung)
        assert told.features[f"is_{layout.roles[roles[at]]}"] == 1.0
        assert msgspec.json.decode(msgspec.json.encode(told), type=messages.Explained) == told


def _drawn_behavior(layout: schema.Schema, rules: considerations.Rules, rung: str, *, warm: bool) -> Any:
    """Asks a behavior module of that schema alone, and waits."""
    import asyncio

    from app.core.clock import Deadline
    from app.core.module import Call
    from tests.doubles import SilentLog

    limits = Settings()
    brains = Brains(layout, rules, policy=None, rungs=(rung,), settings=limits, clock=SystemClock(), watcher=Watch())
    mind = Mind(layout, brains, limits)
    if warm:
        mind.warm()
    worlds = Worlds()
    worlds.add(World("t", "w"))
    journal = RamJournal(worlds)
    behavior = Behavior(settings=limits, worlds=worlds, journal=journal, minds={"drawn": mind})
    npcs = [EntityUpserted(entity=Npc(id=f"n{at}")) for at in range(6)]
    asyncio.run(cast(Any, journal.append("t", "w", npcs)))

    def ask(request: Any) -> Any:
        call = Call("1", "t", "w", Deadline.after_ms(60_000, SystemClock()), SilentLog(), cast(Any, None), {})
        run = behavior.decide if isinstance(request, messages.Decide) else behavior.explain
        return asyncio.run(cast(Any, run)(call, request))

    return ask
