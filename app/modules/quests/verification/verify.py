"""The verdict on a hand-written quest: V0 types, V1 references and order, V2 a plan that replays.

Pure. `rejected` is always a proof; when a cap is hit the verdict is `unknown`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from app.core.errors import nearest
from app.modules.quests.generation.generator import Library
from app.modules.quests.messages import Certificate, Draft, DraftStep, Quest, Step, Verdict
from app.modules.quests.planning.domain import PLAYER, Fact, Schema, Vocabulary
from app.modules.quests.planning.facts import View, foes, hero_of
from app.modules.quests.planning.grounding import Problem
from app.modules.quests.planning.missing import missing_facts
from app.modules.quests.planning.planner import Plan, Unknown, Unsolvable
from app.modules.quests.prose.writer import Writer
from app.modules.quests.verification.certify import (
    Question,
    assumptions_of,
    certificate,
    goals_shown,
    prove,
    reward,
    steps_of,
)

FIELDS = ("target", "item", "location", "topic")


@dataclass(frozen=True, slots=True)
class Examined:
    """A verdict, and the plan behind a positive one."""

    verdict: Verdict
    plan: Plan | None = None


def examine(library: Library, view: View, draft: Draft) -> Examined:
    """Whether the quest can be completed in the world as `view` shows it."""
    early = _mistyped(library.vocabulary, draft) or _misreferred(view, draft) or _disordered(draft)
    return Examined(early) if early is not None else _planned(library, view, draft)


def authored(library: Library, view: View, draft: Draft, plan: Plan, *, id: str) -> Quest:
    """The quest that a verified draft becomes, offered to its player."""
    hero = hero_of(view, draft.player, draft.giver, draft.level)
    goals = tuple(_deed(library.vocabulary.schemas[step.action], step) for step in draft.steps)
    return Quest(
        id=id,
        state="offered",
        giver=draft.giver,
        player=draft.player,
        title=draft.title,
        description=draft.description,
        level=draft.level or hero.level,
        forbid=draft.forbid,
        roles={"giver": draft.giver},
        goals=goals_shown(goals, plan.operators, view=view, writer=Writer(library.grammar, view, 0)),
        steps=_steps(library, view, draft, plan),
        reward=reward(plan.cost, draft.level or hero.level, view.settings),
        certificate=_certified(library, view, draft, plan),
    )


def _mistyped(vocabulary: Vocabulary, draft: Draft) -> Verdict | None:
    """V0: known actions, the fields that each takes and no others."""
    known = vocabulary.schemas
    strange = {
        word: nearest(word, known) for word in (*(s.action for s in draft.steps), *draft.forbid) if word not in known
    }
    if strange:
        return _rejected("V0", f"no such action: {', '.join(map(repr, strange))}", nearest=strange)
    for step in draft.steps:
        takes = known[step.action].takes
        given = {field for field in FIELDS if getattr(step, field)}
        if given != takes.keys():
            need = ", ".join(takes)
            return _rejected(
                "V0", f"step {step.id!r}: {step.action} takes {need}; given: {', '.join(sorted(given)) or 'none'}"
            )
        if step.action in draft.forbid:
            return _rejected("V0", f"step {step.id!r} is a {step.action}, which the quest itself forbids")
    return None


def _misreferred(view: View, draft: Draft) -> Verdict | None:
    """V1: every id names an entity of the right type."""
    wanted: list[tuple[str, str, Mapping[str, object]]] = [("giver", draft.giver, view.npcs)]
    if draft.player:
        wanted.append(("player", draft.player, view.players))
    for step in draft.steps:
        tables: dict[str, Mapping[str, object]] = {"target": view.npcs, "item": view.items, "location": view.locations}
        for field, table in tables.items():
            if id := getattr(step, field):
                wanted.append((f"{field} of step {step.id!r}", id, table))
    wrong = [(role, id, table) for role, id, table in wanted if id not in table]
    if not wrong:
        return None
    reason = "; ".join(f"{role} {id!r} is not in the world" for role, id, _ in wrong)
    return _rejected("V1", reason, nearest={id: nearest(id, table) for _, id, table in wrong})


def _disordered(draft: Draft) -> Verdict | None:
    """V1: step ids are distinct, and `after` names steps without going in a circle."""
    ids = [step.id for step in draft.steps]
    if len(set(ids)) < len(ids):
        return _rejected("V1", f"two steps share an id: {sorted({id for id in ids if ids.count(id) > 1})!r}")
    strange = {id: nearest(id, ids) for step in draft.steps for id in step.after if id not in ids}
    if strange:
        return _rejected("V1", f"after names no step: {', '.join(map(repr, strange))}", nearest=strange)
    try:
        TopologicalSorter({step.id: step.after for step in draft.steps}).prepare()
    except CycleError as error:
        return _rejected("V1", f"steps wait for each other: {' → '.join(reversed(error.args[1]))}")
    return None


def _planned(library: Library, view: View, draft: Draft) -> Examined:
    """V2: a plan that does every step after those it waits for."""
    vocabulary = library.vocabulary
    hero = hero_of(view, draft.player, draft.giver, draft.level)
    ordered = tuple(_ordered(vocabulary.schemas[step.action], step) for step in draft.steps)
    question = Question(
        goals=tuple(("step", step.id) for step in draft.steps),
        seeds=(draft.giver, *(getattr(step, field) for step in draft.steps for field in FIELDS)),
        schemas=(*vocabulary.without(_barred(draft)), *ordered),
        given=foes(view, (step.target for step in draft.steps if step.action == "kill"), hero.level),
    )
    proof = prove(view, hero, question, states_max=view.settings.states_max)
    match proof.outcome:
        case Unknown(reason):
            return Examined(Verdict(verdict="unknown", check="V2", reason=reason))
        case Unsolvable(goals):
            return Examined(_unsolved(view, draft, proof.problem, goals))
        case Plan() as plan:
            return Examined(_verified(library, view, draft, plan), plan)


def _barred(draft: Draft) -> tuple[str, ...]:
    """What a plan may not use. Nobody is dragged about unless a step says so: whom a player can fetch it can visit."""
    escorts = any(step.action == "escort" for step in draft.steps)
    return draft.forbid if escorts else (*draft.forbid, "escort")


def _ordered(schema: Schema, step: DraftStep) -> Schema:
    """The step as an action of its own that waits for others and marks itself done."""
    return schema.bound(
        {field: getattr(step, field) for field in schema.takes},
        pre=[("step", id) for id in step.after],
        add=[("step", step.id)],
    )


def _deed(schema: Schema, step: DraftStep) -> Fact:
    terms = (getattr(step, schema.params[term]) if isinstance(term, int) else term for term in schema.deed)
    return tuple(terms)


def _verified(library: Library, view: View, draft: Draft, plan: Plan) -> Verdict:
    return Verdict(
        verdict="verified_with_assumptions" if assumptions_of(plan.operators) else "verified",
        check="V2",
        steps=_steps(library, view, draft, plan),
        certificate=_certified(library, view, draft, plan),
    )


def _steps(library: Library, view: View, draft: Draft, plan: Plan) -> tuple[Step, ...]:
    writer = Writer(library.grammar, view, 0)
    goals = [("step", step.id) for step in draft.steps]
    return steps_of(plan.operators, player=draft.player or PLAYER, goals=goals, writer=writer)


def _certified(library: Library, view: View, draft: Draft, plan: Plan) -> Certificate:
    goals = tuple(_deed(library.vocabulary.schemas[step.action], step) for step in draft.steps)
    return certificate(
        plan.operators, goals, vocabulary=library.vocabulary, view=view, seed=0, rung="authored", tries=1
    )


def _unsolved(view: View, draft: Draft, problem: Problem, goals: tuple[Fact, ...]) -> Verdict:
    out = {id for _, id in goals}
    first = [step for step in draft.steps if step.id in out and out.isdisjoint(step.after)]
    if not first:
        return _rejected("V2", "each step can be done, but no way does all of them")
    facts = missing_facts(problem, ("step", first[0].id), operators_max=view.settings.operators_max)
    missing = tuple(f"{fact[0]}({', '.join(fact[1:])})" for fact in facts)
    names = tuple(step.id for step in first)
    return Verdict(
        verdict="rejected",
        check="V2",
        reason=f"step {first[0].id!r} ({first[0].action}) cannot be done, whatever the player does",
        unreachable=names,
        missing=missing,
    )


def _rejected(check: str, reason: str, *, nearest: Mapping[str, str] | None = None) -> Verdict:
    return Verdict(verdict="rejected", check=check, reason=reason, nearest=dict(nearest or {}))
