"""The scorecard is fair: a brain beside itself is even, a bad one is worse, and who did not win a role leads nobody."""

from __future__ import annotations

import numpy as np

from app.learning import scorecard
from app.learning.envs.environment import Brain
from app.modules.behavior import considerations, logic, schema

RULES = logic.rule_brain(considerations.load("open_world", schema.load("open_world")))


def lazy(obs: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rests, always."""
    rows = len(obs)
    return np.full(rows, 9, np.int8), np.full(rows, -1, np.int8)


def test_the_rules_beside_themselves_are_even_in_everything_and_better_than_chance() -> None:
    card = scorecard.measure(RULES, RULES, villages=6, steps=160)
    verdicts = [*card.measures.values(), *(verdict for role in card.roles.values() for verdict in role.values())]
    assert {verdict.word for verdict in verdicts} == {"even"}
    assert all(verdict.difference.mean == 0.0 for verdict in verdicts)
    assert card.measures["plausibility"].rivals["random"].word == "better"
    assert card.winners() == ()
    assert card.count("even") == 5


def test_a_brain_that_wins_no_role_is_scored_as_served_that_is_as_the_rules() -> None:
    card = scorecard.measure(lazy, RULES, villages=6, steps=240)
    assert card.roles["villager"]["reward"].word == "worse"
    people = {"guard", "merchant", "villager"}
    assert not people & set(card.winners())
    assert {verdict.word for verdict in card.measures.values()} == {"even"}


def test_the_same_seed_gives_the_same_card_on_any_number_of_threads() -> None:
    first, second = (scorecard.measure(lazy, RULES, villages=3, steps=40, threads=threads) for threads in (1, 3))
    assert first == second


def test_every_baseline_stands_in_the_table_and_begins_each_life_anew() -> None:
    begun = []

    def start() -> Brain:
        begun.append(1)
        return lazy

    card = scorecard.measure(RULES, RULES, others={"sleepers": start}, villages=3, steps=40)
    assert begun == [1]
    columns, rows = scorecard.table(card, of_roles=("reward",))
    assert columns == ("measure", "policy", "utility", "random", "sleepers", "against utility", "verdict")
    assert [row[0] for row in rows][:5] == list(scorecard.MEASURES)
    assert len(rows) == 10
    assert all(len(row) == len(columns) for row in rows)
