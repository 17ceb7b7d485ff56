"""From goals to a proof: pose the problem, solve it, replay it, and freeze plan, steps and certificate.

Used alike for generated quests, hand-written ones and active ones whose world has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from app.core.errors import Broken
from app.modules.quests.messages import Certificate, Goal, Step
from app.modules.quests.planning.domain import Fact, Schema, Vocabulary, ground
from app.modules.quests.planning.facts import Hero, View, compiled, focus
from app.modules.quests.planning.grounding import Operator, Problem
from app.modules.quests.planning.planner import Outcome, Plan, Unknown, replays, solve
from app.modules.quests.prose.writer import Writer


@dataclass(frozen=True, slots=True)
class Proof:
    """A problem and what the planner found out about it."""

    problem: Problem
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be proved: `seeds` are the ids and topics it speaks of, `given` facts that no world keeps."""

    goals: tuple[Fact, ...]
    seeds: tuple[str, ...]
    schemas: tuple[Schema, ...]
    given: tuple[Fact, ...] = ()


def prove(view: View, hero: Hero, question: Question, *, states_max: int) -> Proof:
    """Look for a plan over open ways first, then with every key in the world.

    A plan that is found has been replayed step by step; raises Broken if that fails. A plan of the smaller
    problem is one of the larger, so only a failure needs the second look.
    """
    proof = _posed(view, hero, question, question.seeds, states_max)
    if isinstance(proof.outcome, Plan):
        return proof
    barred = tuple(place for place in view.keys_of if place not in question.seeds)
    if barred:
        proof = _posed(view, hero, question, (*question.seeds, *barred), states_max)
    return proof


def holds_still(view: View, hero: Hero, question: Question, rest: Sequence[tuple[str, ...]]) -> bool:
    """Whether the rest of an old plan still reaches the goals: much cheaper than to look for a new one."""
    seeds = (*question.seeds, *(term for action in rest for term in action[1:]))
    problem = compiled(
        view, hero, about=focus(view, hero, seeds), schemas=question.schemas, goals=question.goals, given=question.given
    )
    return replays(problem, rest)


def _posed(view: View, hero: Hero, question: Question, seeds: tuple[str, ...], states_max: int) -> Proof:
    about = focus(view, hero, seeds)
    if about.size() > view.settings.focus_entities_max:
        problem = Problem(init=(), goals=question.goals, schemas=question.schemas, weights={})
        return Proof(problem, Unknown(f"the quest touches {about.size()} entities"))
    problem = compiled(view, hero, about=about, schemas=question.schemas, goals=question.goals, given=question.given)
    outcome = solve(problem, states_max=states_max, operators_max=view.settings.operators_max)
    if isinstance(outcome, Plan) and not replays(problem, [operator.name for operator in outcome.operators]):
        raise Broken(f"a plan for {question.goals!r} does not replay")
    return Proof(problem, outcome)


def steps_of(plan: Sequence[Operator], *, player: str, goals: Iterable[Fact], writer: Writer) -> tuple[Step, ...]:
    """The plan as steps for a player; of places passed through in a row only the last is named."""
    wanted = set(goals)
    steps: list[Step] = []
    for index, operator in enumerate(plan):
        reached = {ground(pattern, operator.args) for pattern in operator.schema.add}
        following = plan[index + 1] if index + 1 < len(plan) else None
        passing = operator.schema.name == "goto" and following is not None and following.schema.name == "goto"
        if passing and reached.isdisjoint(wanted):
            continue
        steps.append(
            Step(
                id=f"s{len(steps) + 1}",
                action=operator.schema.name,
                text=writer.step(operator.schema, operator.args),
                event=operator.schema.happened(operator.args, player),
                deed=ground(operator.schema.deed, operator.args),
                goal=not reached.isdisjoint(wanted),
            )
        )
    return tuple(steps)


def goals_shown(goals: Iterable[Fact], plan: Sequence[Operator], *, view: View, writer: Writer) -> tuple[Goal, ...]:
    """The goals with their texts; an item that is nothing special may be replaced by one of its kind."""
    texts = texts_of(plan, writer=writer)
    return tuple(Goal(deed=goal, item_kind=common_kind(view, goal[1]), text=texts[goal]) for goal in goals)


def texts_of(plan: Iterable[Operator], *, writer: Writer) -> dict[Fact, str]:
    """What the player is to do for each fact that the plan makes true."""
    texts: dict[Fact, str] = {}
    for operator in plan:
        for pattern in operator.schema.add:
            texts.setdefault(ground(pattern, operator.args), writer.step(operator.schema, operator.args))
    return texts


def common_kind(view: View, id: str) -> str:
    """The kind whose items may stand in: only for things gathered, which are as good as each other."""
    item = view.items.get(id)
    return view.common_kind(item) if item is not None else ""


def certificate(
    plan: Sequence[Operator],
    goals: Sequence[Fact],
    *,
    vocabulary: Vocabulary,
    view: View,
    seed: int,
    rung: str,
    tries: int,
) -> Certificate:
    """The proof in a form that can be kept and checked again."""
    names = tuple(operator.name for operator in plan)
    packed = msgspec.msgpack.encode((vocabulary.version, names, goals))
    return Certificate(
        domain_version=vocabulary.version,
        checks=("V0", "V1", "V2"),
        world_seq=view.seq,
        seed=seed,
        plan=names,
        plan_sha256=hashlib.sha256(packed).hexdigest(),
        assumptions=assumptions_of(plan),
        rung=rung,
        tries=tries,
    )


def assumptions_of(plan: Sequence[Operator]) -> tuple[str, ...]:
    """What the plan takes for granted because worlds keep no record of it: that the player can pay."""
    return tuple(
        f"the player can pay for {item}"
        for operator in plan
        if operator.schema.name == "trade"
        for item in operator.args[:1]
    )
