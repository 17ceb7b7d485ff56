"""From a plot and a cast to a course: goals with a plan that reaches them, fit to be offered.

It knows worlds through a stage, and nothing of texts. Whether a course is safe from soft locks is certified later.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.modules.quests.generation import balance
from app.modules.quests.generation.casting import Stage
from app.modules.quests.generation.strategies import RESERVED, Plot
from app.modules.quests.planning.domain import Fact, Vocabulary
from app.modules.quests.planning.planner import Plan
from app.modules.quests.verification.certify import Question, prove

CLAIMS = frozenset({"alive", "free", "has", "lies", "holds", "unmade"})
"""Facts whose end takes something from whoever else needs it."""
HARMED = frozenset({"alive", "free"})
"""Facts whose end harms someone."""


@dataclass(frozen=True, slots=True)
class Course:
    """A plot with its cast and the plan behind it; `spent` are the coins that the player lays out on the way."""

    plot: Plot
    cast: dict[str, str]
    forbid: frozenset[str]
    question: Question
    plan: Plan
    spent: float

    @property
    def goals(self) -> tuple[Fact, ...]:
        return self.question.goals

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions of the plan, each once, in order."""
        return tuple(dict.fromkeys(operator.schema.name for operator in self.plan.operators))

    def exposure(self, stage: Stage) -> float:
        """The share of NPCs and items in the plan that nothing can stand in for: a quick guess at its fragility."""
        view = stage.view
        named = dict.fromkeys(term for operator in self.plan.operators for term in operator.args)
        things = [id for id in named if id in view.npcs or id in view.items]
        return sum(stage.stand_ins(id) == 0 for id in things) / len(things) if things else 0.0


def course(
    vocabulary: Vocabulary, stage: Stage, plot: Plot, cast: dict[str, str], forbid: frozenset[str]
) -> Course | None:
    """The course of a plot and cast without the actions in `forbid`; None where there is none that may be offered.

    It may not be: too long, too dear for the player, or in the way of another live quest.
    """
    settings, goals = stage.view.settings, plot.goals(cast)
    barred = (RESERVED - plot.needs) | forbid
    question = Question(goals=goals, seeds=tuple(cast.values()), schemas=vocabulary.story(barred, goals))
    plan = prove(stage.view, stage.hero, question, states_max=settings.cast_states_max).outcome
    if not isinstance(plan, Plan) or not 0 < len(plan.operators) <= settings.plan_steps_max:
        return None
    items = (stage.view.items.get(goal[1]) for goal in goals)
    kinds = [stage.view.common_kind(item) for item in items if item is not None]
    spent = balance.expenses(stage.view, plan.operators, kinds)
    if spent > settings.expenses_over_budget_max * stage.budget or _in_the_way(plan, stage):
        return None
    return Course(plot, cast, barred, question, plan, spent)


def _in_the_way(plan: Plan, stage: Stage) -> bool:
    return disturbs(plan, stage.taken) or disturbs(plan, stage.spared, HARMED)


def disturbs(plan: Plan, taken: frozenset[str], claims: frozenset[str] = CLAIMS) -> bool:
    """Whether a plan kills, takes prisoner, gives away or uses up what another live quest has bound."""
    return any(
        operator.args[term] in taken
        for operator in plan.operators
        for pattern in operator.schema.delete
        if pattern[0] in claims
        for term in pattern[1:]
        if isinstance(term, int)
    )
