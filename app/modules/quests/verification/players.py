"""V6: how many players can go through a quest, one after another in the world that the earlier ones left.

What a player is, has and knows is its own; what it did to the world stays, but for what comes back by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.modules.quests.planning.domain import Fact, Schema, ground, knowledge_of
from app.modules.quests.planning.facts import Hero, View
from app.modules.quests.planning.grounding import Problem
from app.modules.quests.planning.missing import OWN
from app.modules.quests.planning.planner import Plan, solve
from app.modules.quests.verification.certify import Question
from app.modules.quests.verification.greed import renewing
from app.modules.quests.verification.knockout import Course, problem_of, renamed, spoken, stand_ins


def players_through(view: View, hero: Hero, course: Course, *, most: int, rest: Question | None = None) -> int:
    """How many of `most` players can complete the course before one is blocked; the first always can.

    `rest` is what is asked of those after the first, where that is less.
    """
    if most <= 1:
        return 1
    parts = _parts(view, hero, course.question)
    others = tuple(id for pool in parts.values() for id in pool)
    terms = tuple(term for action in course.plan for term in action[1:])
    base = problem_of(view, hero, course.question, (*terms, *others))
    own = OWN | {str(schema.deed[0]) for schema in base.schemas}
    back = renewing(view, [fact[1] for fact in base.init if len(fact) > 1])
    world = _after(base, base.init, course.plan)
    asked = rest if rest is not None else course.question
    through, question, used = 1, asked, set(parts)
    while through < most:
        left = _next(base, world, own, back)
        plan = _solved(view, base, question, left)
        if plan is None:
            fresh = {id: next((other for other in pool if other not in used), id) for id, pool in parts.items()}
            question = renamed(asked, fresh)
            used |= set(fresh.values())
            plan = _solved(view, base, question, left)
        if plan is None:
            return through
        through += 1
        world = _after(replace(base, schemas=question.schemas), left, [operator.name for operator in plan.operators])
    return through


def _parts(view: View, hero: Hero, question: Question) -> dict[str, tuple[str, ...]]:
    """Each entity that the goals name and that others can stand in for, with those others."""
    ids = dict.fromkeys(term for fact in spoken(question) for term in fact[1:])
    return {id: pool for id in ids if id in view.items and (pool := stand_ins(view, hero, id))}


def _solved(view: View, base: Problem, question: Question, init: Sequence[Fact]) -> Plan | None:
    given = tuple(fact for known in question.given for fact in (known, *knowledge_of(known)))
    start = tuple(dict.fromkeys((*init, *given)))
    problem = replace(base, init=start, goals=question.goals, schemas=question.schemas)
    found = solve(problem, states_max=view.settings.states_max, operators_max=view.settings.operators_max)
    return found if isinstance(found, Plan) else None


def _next(base: Problem, world: Sequence[Fact], own: frozenset[str], back: frozenset[str]) -> tuple[Fact, ...]:
    """What the next player finds: the world, and its own beginning with empty hands."""
    mine = [fact for fact in base.init if fact[0] in own and fact[0] != "has"]
    renewed = [fact for fact in base.init if fact[0] not in own and not back.isdisjoint(fact[1:])]
    gone = {("dead", id) for id in back} | {("captive", id) for id in back if ("captive", id) not in base.init}
    kept = [fact for fact in world if fact[0] not in own and fact not in gone]
    return tuple(dict.fromkeys((*kept, *renewed, *mine)))


def _after(problem: Problem, init: Sequence[Fact], plan: Sequence[tuple[str, ...]]) -> tuple[Fact, ...]:
    """What is true when the plan is done."""
    state = dict.fromkeys(init)
    for name, *args in plan:
        ready = [schema for schema in problem.schemas if schema.name == name and _fits(schema, args, state)]
        for pattern in ready[0].delete if ready else ():
            state.pop(ground(pattern, args), None)
        for schema in ready:
            state.update(dict.fromkeys(ground(pattern, args) for pattern in schema.add))
    return tuple(state)


def _fits(schema: Schema, args: Sequence[str], state: dict[Fact, None]) -> bool:
    if len(args) != len(schema.params) or any(args[position] != value for position, value in schema.fixed):
        return False
    return all(ground(pattern, args) in state for pattern in schema.pre)
