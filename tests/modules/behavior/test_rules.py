"""Rules, choices and the schema against slow twins written plainly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.modules.behavior import considerations, logic, schema
from app.modules.behavior.considerations import Authored, Curve, Option
from app.modules.behavior.logic import Flag, Taste
from app.modules.behavior.reflexes import Reflexes
from app.modules.behavior.schema import NONE

LAYOUT = schema.load("open_world")
RULES = considerations.load("open_world", LAYOUT)


def slow_score(row: dict[str, float], intent: str) -> float:
    """The utility of one intent, option by option, in plain Python over encoded values."""
    best = 0.0
    for option in RULES.options:
        if option.intent != intent:
            continue
        score = option.weight * sum(row[f"is_{role}"] for role in option.roles or LAYOUT.roles)
        for curve in option.when:
            feature = LAYOUT.features[LAYOUT.columns[curve.feature]]
            start, end = feature.encode(curve.start), feature.encode(curve.end)
            score *= min(1.0, max(0.0, (row[curve.feature] - start) / (end - start))) ** curve.power
        best = max(best, score)
    return best + RULES.held * row[f"doing_{intent}"] + RULES.told * row[f"told_{intent}"]


@given(st.integers(0, 2**32 - 1))
def test_scores_equal_the_slow_twin(seed: int) -> None:
    generator = np.random.default_rng(seed)
    obs = (generator.random((3, 64)) * (generator.random((3, 64)) < 0.7)).astype(np.float32)
    scores = RULES.score(obs)
    for number, row in enumerate(obs):
        named = dict(zip(LAYOUT.feature_names, map(float, row), strict=True))
        for intent, score in zip(LAYOUT.intent_names, scores[number], strict=True):
            assert score == pytest.approx(slow_score(named, intent), abs=2e-4)


@given(st.integers(0, 2**32 - 1))
def test_choices_equal_the_slow_twin(seed: int) -> None:
    generator = np.random.default_rng(seed)
    obs = (generator.random((4, 64)) * (generator.random((4, 64)) < 0.5)).astype(np.float32)
    scores = generator.random((4, 12), np.float32)
    aim = generator.random((4, 4), np.float32)
    mask = (generator.random((4, 12)) < 0.3).astype(np.uint8)
    choice = logic.choose(LAYOUT, obs, mask, scores, aim, sharpness=1.0, taste=None)
    for row in range(4):
        allowed = [intent for intent in range(12) if mask[row, intent]]
        best = max(allowed, key=lambda intent: scores[row, intent], default=NONE)
        slots = [] if best == NONE else [s for s in LAYOUT.intents[best].slots if obs[row, 26 + 4 * s] > 0]
        assert choice.intents[row] == best
        assert choice.targets[row] == max(slots, key=lambda slot: aim[row, slot], default=NONE)
        expected = 0.0 if best == NONE else 1.0 / sum(np.exp(scores[row, i] - scores[row, best]) for i in allowed)
        assert choice.confidence[row] == pytest.approx(expected, abs=1e-5)


@given(st.lists(st.floats(width=32), min_size=64, max_size=64))
def test_clipped_rows_are_in_range_and_finite(values: list[float]) -> None:
    obs = np.array([values], np.float32)
    flags = logic.survey(LAYOUT, obs, np.ones((1, 12), np.uint8), np.zeros(1, np.uint32), 1)
    clean, count = logic.clip(LAYOUT, obs, flags)
    assert np.isfinite(clean).all()
    assert (clean >= LAYOUT.low).all()
    assert (clean <= LAYOUT.high).all()
    finite = bool(np.isfinite(obs).all())
    assert bool(flags[0] & Flag.NOT_FINITE) != finite
    assert bool(flags[0] & Flag.OUTSIDE) == (count > 0)
    assert count == 0 or finite


def test_every_value_survives_encoding_and_decoding() -> None:
    row = {item.name: (item.low + item.high) / 2 for item in LAYOUT.features}
    back = LAYOUT.decode(LAYOUT.encode([row])[0])
    assert back == pytest.approx(row, rel=1e-3)
    with pytest.raises(Invalid):
        LAYOUT.encode([{"hpp": 1.0}])


def test_tastes_depend_on_seed_and_handle_alone() -> None:
    table = logic.taste_table(12, 0.1)
    assert table.min() >= 0.0
    assert table.max() <= 0.1
    handles = np.arange(50, dtype=np.uint32)
    whole = Taste(table, 5, handles).of(0, 50)
    assert (Taste(table, 5, handles[::-1]).of(0, 50)[::-1] == whole).all()
    assert (Taste(table, 5, handles).of(7, 9) == whole[7:9]).all()
    assert (Taste(table, 5, handles).at(np.array([3])).of(0, 1) == whole[3]).all()
    assert (Taste(table, 6, handles).of(0, 50) != whole).any()


@given(st.lists(st.floats(-100.0, 0.0, width=32), min_size=1, max_size=20))
def test_the_exponential_is_close_and_never_leaves_its_range(values: list[float]) -> None:
    found = logic.exp(np.array(values, np.float32))
    assert found == pytest.approx(np.exp(np.array(values, np.float64)), rel=2e-5, abs=1e-37)
    assert (found <= 1.0).all()


def test_reflexes_flee_fight_or_rest_without_knowing_more() -> None:
    obs = np.zeros((4, 64), np.float32)
    column = LAYOUT.columns
    obs[0, column["is_villager"]] = obs[1, column["is_guard"]] = 1.0
    obs[:2, column["slot0_hp"]] = obs[:2, column["hp"]] = 1.0
    obs[2, column["is_night"]] = 1.0
    choice = Reflexes(LAYOUT).follow(obs, np.ones((4, 12), np.uint8))
    assert [LAYOUT.intent_names[intent] for intent in choice.intents] == ["flee", "attack", "home", "rest"]
    assert choice.targets.tolist()[:2] == [0, 0]


@pytest.mark.parametrize(
    "option",
    [
        Option(name="x", intent="flea", weight=1.0),
        Option(name="x", intent="flee", weight=1.0, roles=("gaurd",)),
        Option(name="x", intent="flee", weight=1.0, when=(Curve("hpp", 0.0, 1.0),)),
        Option(name="x", intent="flee", weight=1.0, when=(Curve("hp", 1.0, 1.0),)),
    ],
)
def test_an_option_that_names_nothing_real_is_refused(option: Option) -> None:
    with pytest.raises(Invalid):
        considerations.compile_rules(Authored(schema="open_world", held=0.0, told=0.0, options=(option,)), LAYOUT)
