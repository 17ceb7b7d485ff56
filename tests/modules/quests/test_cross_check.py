"""Whether a quest can be completed at all: our planner and Fast Downward must say the same of damaged worlds.

A few dozen worlds here; benchmarks/quests.py asks about more than five hundred.
"""

from __future__ import annotations

import re

import pytest

from app.modules.quests.generation.casting import load_strategies
from app.modules.quests.generation.generator import Library
from app.modules.quests.planning.domain import load_vocabulary
from app.modules.quests.planning.facts import View
from app.modules.quests.planning.grounding import Problem
from app.modules.quests.planning.pddl import exported
from app.modules.quests.prose.writer import load_grammar
from app.modules.quests.settings import Settings
from benchmarks.questing.oracle import Judged, drafted, generated, judged, whole
from benchmarks.questing.villages import damaged
from tests.modules.quests.planners import fast_downward

LIBRARY = Library(load_vocabulary(), load_strategies(), load_grammar())
WORLDS = 20


@pytest.fixture(scope="module")
def verdicts() -> list[Judged]:
    return [judged(LIBRARY, seed) for seed in range(WORLDS)]


def test_another_planner_says_the_same_of_every_damaged_world(verdicts: list[Judged]) -> None:
    assert [verdict for verdict in verdicts if not verdict.agreed] == []


def test_both_answers_are_among_them(verdicts: list[Judged]) -> None:
    assert {verdict.ours for verdict in verdicts} == {"solvable", "unsolvable"}


def test_pddl_without_its_goal_s_last_step_is_another_question() -> None:
    """The other planner really reads what we write: a problem that can be solved cannot once its actions are gone."""
    for seed in range(1, WORLDS):
        view = View(damaged(seed).state, Settings())
        problem = whole(LIBRARY, view, generated(LIBRARY, view, seed))
        if fast_downward(problem).solvable:
            needed = {goal[1] for goal in problem.goals}
            kept = tuple(schema for schema in problem.schemas if not any(a[-1] in needed for a in schema.add))
            assert fast_downward(Problem(problem.init, problem.goals, kept, problem.weights)).solvable is False
            return
    pytest.fail("no damaged world of these has a quest left")


def test_names_of_any_kind_become_words_that_pddl_takes_and_stay_apart() -> None:
    odd = ("at", "Ärger & Söhne", "a b"), ("at", "a-b", "a b"), ("at", "", "(define")
    problem = Problem(init=odd, goals=(("at", "a-b", "a b"),), schemas=(), weights={})
    said = exported(problem)
    assert sorted(said.names.values()) == sorted({"Ärger & Söhne", "a b", "a-b", "", "(define"})
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", word) for word in said.names)
    assert said.problem.count("(") == said.problem.count(")")


def test_the_same_problem_is_the_same_pddl() -> None:
    view = View(damaged(3).state, Settings())
    problem = whole(LIBRARY, view, drafted(LIBRARY, view, 3))
    assert exported(problem) == exported(problem)
