"""Expressions: natural units, precedence, chance, and refusals that say where and what is near."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.errors import Invalid
from app.modules.behavior.trees.memory import Outcome
from tests.modules.behavior.trees import forest
from tests.modules.behavior.trees.play import play, when


@pytest.mark.parametrize(
    ("text", "features", "holds"),
    [
        ("gold >= 100", {"gold": 100.0}, True),
        ("gold > 100", {"gold": 99.0}, False),
        ("slot0_distance < 8", {"slot0_distance": 7.5}, True),
        ("guards_near == 3", {"guards_near": 3.0}, True),
        ("guards_near != 3", {"guards_near": 3.0}, False),
        ("0.5 < hp", {"hp": 0.6}, True),
        ("is_night", {"is_night": 1.0}, True),
        ("not is_night and hp > 0.5", {"hp": 0.6}, True),
        ("!is_night && !(hp > 0.5)", {"hp": 0.6}, False),
        ("is_night or hp > 0.5 and hunger > 0.5", {"is_night": 1.0}, True),
        ("(is_night or hp > 0.5) and hunger > 0.5", {"is_night": 1.0}, False),
        ("mood < -0.5", {"mood": -0.6}, True),
        ("threats_near == b", {"threats_near": 2.0}, True),
        ("a < b", {}, True),
        ("{b} == 2", {}, True),
        ("true and not false", {}, True),
        ("1 > 2", {}, False),
        ("a == 'idle'", {}, False),
        ("hp > 0.2 and hp > 0.3 and hp > 0.4 or hp < 0.1", {"hp": 0.35}, False),
    ],
)
def test_an_expression_holds_in_the_units_of_its_features(text: str, features: dict[str, float], holds: bool) -> None:
    assert play(when(text)).tick(**features)[0] == ("SUCCESS" if holds else "FAILURE")


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("hungr > 0.5", "the unknown name 'hungr' at column 1", "did you mean 'hunger'?"),
        ("hp > 0.5 and hunger >", "'the end' at column 22", "a name or a number"),
        ("hunger > 5", "'hunger' beside 5.0", "0 .. 1 share"),
        ("hp < hunger", "two features", "a number or a key"),
        ("gold > a", "'gold' of a logarithmic scale", "linear"),
        ("hp > 0.5 hunger", "'hunger' at column 10", "and, or"),
        ("hp + 1 > 2", "'+ 1 > 2'", "comparisons"),
        ("chance(2)", "not a number from 0 to 1", "chance(0.25)"),
        ("(hp > 1", "'the end'", "')'"),
        ("(((((((((hp > 1)))))))))", "too many parentheses", ""),
        ("", "'the end' at column 1", ""),
    ],
)
def test_a_wrong_expression_is_refused_with_its_place(text: str, said: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        forest.make(when(text))
    assert "wrong at main" in caught.value.message
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_chance_has_its_share_and_differs_by_npc_tick_and_node_alone() -> None:
    tree = forest.make(when("chance(0.3)"))
    tree.warm()
    obs, mask = forest.rows(np.random.default_rng(1), 4_000)
    handles = np.arange(4_000, dtype=np.uint32)

    def drawn(seed: int, number: int) -> np.ndarray:
        out = Outcome.of(4_000)
        tree.tick(obs, mask, handles, tree.memory(1), seed, number, 0.1, out, 0, 4_000)
        return out.status == 1

    first = drawn(5, 1)
    assert 0.27 < first.mean() < 0.33
    assert (drawn(5, 1) == first).all()
    for other in (drawn(5, 2), drawn(6, 1)):
        assert 0.15 < (other & first).mean() / first.mean() < 0.45
