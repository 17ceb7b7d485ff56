"""The verdict on a hand-written quest, V0 to V7, and the quest that a verified one becomes.

Pure. `rejected` is always a proof; when a cap is hit the verdict is `unknown`, or says what it does not claim. What a
player's own choice can lose must be declared; what the world can do to the quest is declared for the author.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from app.modules.quests.draft import Draft, DraftStep
from app.modules.quests.generation.balance import reward
from app.modules.quests.generation.generator import Library
from app.modules.quests.messages import Verdict
from app.modules.quests.planning.domain import PLAYER, Fact, ground
from app.modules.quests.planning.facts import Hero, View, hero_of
from app.modules.quests.planning.grounding import Operator, Problem
from app.modules.quests.planning.missing import missing_facts
from app.modules.quests.planning.planner import Plan, Unknown, Unsolvable
from app.modules.quests.prose.telling import own_words, told
from app.modules.quests.prose.writer import Writer
from app.modules.quests.quest import Branch, Certificate, Goal, Quest, Reward, Step
from app.modules.quests.verification.certify import (
    Question,
    assumptions_of,
    common_kind,
    prove,
    steps_of,
)
from app.modules.quests.verification.full import Way, certified, locked
from app.modules.quests.verification.posing import Posed, posed, ways_of
from app.modules.quests.verification.reading import disordered, misreferred, mistyped, rejected, unprepared
from app.modules.quests.verification.rivals import (
    Objections,
    bound,
    bound_by,
    clashes,
    milked,
    spent_on,
    unpayable,
)
from app.modules.quests.verification.softlock import Locks, Loss

TAKEN = frozenset({"take", "gather", "steal", "trade", "loot"})
"""Ways to come by a thing: where a step wants one of them, another only misses the step's word, not its purpose."""
PEACE = frozenset({"kill", "capture"})
"""Acts that end a threat before it is met."""


@dataclass(frozen=True, slots=True)
class Proved:
    """The ways of a verified draft with their plans, the main one first, and the certificate over all."""

    posed: tuple[Posed, ...]
    ways: tuple[Way, ...]
    certificate: Certificate

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The main way's plan."""
        return self.ways[0].plan.operators

    @property
    def cost(self) -> float:
        """The main way's effort."""
        return self.ways[0].plan.cost


@dataclass(frozen=True, slots=True)
class Examined:
    """A verdict, and the proof behind a positive one."""

    verdict: Verdict
    plan: Proved | None = None


def examine(
    library: Library,
    view: View,
    draft: Draft,
    others: Sequence[Draft | Quest] = (),
    *,
    objections: Objections | None = None,
) -> Examined:
    """Whether the quest can be completed in the world as `view` shows it, beside `others` that are kept or under way.

    `objections` is the studio's balance; without one only what can be paid at all is asked.
    """
    kept = [other for other in others if isinstance(other, Draft)]
    early = mistyped(library.vocabulary, draft) or misreferred(view, draft) or disordered(draft)
    early = early or unprepared(draft, kept)
    if early is not None:
        return Examined(early)
    hero = hero_of(view, draft.player, draft.giver, draft.level)
    ways: list[Way] = []
    shapes: list[Posed] = []
    for number, (id, steps, forbid) in enumerate(ways_of(draft)):
        shape = posed(library.vocabulary, view, hero, draft.giver, id, steps, forbid)
        found = _way(view, hero, draft, shape, "V3" if number else "V2")
        if isinstance(found, Verdict):
            return Examined(found)
        ways.append(found)
        shapes.append(shape)
    return _judged(_Case(library, view, draft, hero, tuple(shapes), tuple(ways)), others, objections)


def _way(view: View, hero: Hero, draft: Draft, shape: Posed, check: str) -> Way | Verdict:
    """V2 and V3: a plan that does every step of a way after those it waits for, or why there is none."""
    name = f"branch {shape.id!r}: " if shape.id else ""
    if shape.short:
        return _too_few(view, hero, shape, check, name)
    proof = prove(view, hero, shape.question, states_max=view.settings.states_max)
    match proof.outcome:
        case Unknown(reason):
            return Verdict(verdict="unknown", check=check, reason=name + reason)
        case Unsolvable(goals):
            return _unsolved(view, hero, shape, proof.problem, goals, check, name)
        case Plan() as plan:
            return Way(shape.id, shape.question, plan, shape.deeds)


@dataclass(frozen=True, slots=True)
class _Case:
    """A draft whose ways all have plans."""

    library: Library
    view: View
    draft: Draft
    hero: Hero
    posed: tuple[Posed, ...]
    ways: tuple[Way, ...]

    @property
    def deeds(self) -> tuple[Fact, ...]:
        return tuple(dict.fromkeys(deed for way in self.ways for deed in way.deeds))

    @property
    def level(self) -> int:
        return self.draft.level or self.hero.level

    def tell(self, fact: Fact) -> str:
        """How an end is put: in the author's words where it was declared."""
        for failure in self.draft.failures:
            if failure.entity in fact and failure.text:
                return failure.text
        writer = Writer(self.library.grammar, self.view, 0)
        spoken = {PLAYER: self.draft.player or PLAYER}
        who = next((id for id in fact[1:] if self.view.entity(id) is not None), "")
        kind = "dead" if fact[0] == "alive" else "gone" if fact[0] == "exists" else "barred"
        return writer.reason(kind, {**spoken, "who": who} if kind != "barred" else spoken)


def _judged(case: _Case, others: Sequence[Draft | Quest], objections: Objections | None) -> Examined:
    """V4 to V7, of a draft whose ways have plans."""
    draft = case.draft
    locks = locked(case.library.vocabulary, case.view, case.hero, case.ways)
    faults, warnings = _weighed(case, locks)
    if faults:
        return Examined(_undeclared(faults))
    certificate = certified(
        case.library.vocabulary,
        case.view,
        case.hero,
        case.ways,
        seed=0,
        rung="authored",
        members_max=draft.members_max,
        shared=draft.scope != "solo",
        rest=_each(case),
        tell=case.tell,
        locks=locks,
    )
    if certificate.players_max < draft.members_max:
        reason = f"player {certificate.players_max + 1} of {draft.members_max} finds nothing left to do it with"
        return Examined(rejected("V6", reason))
    crossed = _crossed(case, others, objections)
    if crossed:
        return Examined(rejected("V7", "; ".join(crossed)))
    proved = Proved(case.posed, case.ways, msgspec.structs.replace(certificate, checks=(*certificate.checks, "V7")))
    return Examined(_verified(case, proved, (*warnings, *_unknown_first(draft, others))), proved)


def _weighed(case: _Case, locks: Locks) -> tuple[list[Loss], list[str]]:
    """V4: the losses that the author has to declare, and what only deserves a look."""
    declared = {failure.entity for failure in case.draft.failures}
    faults: list[Loss] = []
    warnings: list[str] = []
    for loss in locks.losses:
        if not declared.isdisjoint(loss.fact[1:]):
            continue
        if locks.exact and not _forgivable(case, loss):
            faults.append(loss)
        elif locks.exact:
            warnings.append(f"{_call(loss.action)} loses {_shown(loss.deeds)}")
    if not locks.exact:
        warnings.append("the search for soft locks gave up; it claims nothing")
    return faults, warnings


def _forgivable(case: _Case, loss: Loss) -> bool:
    """Whether a losing act serves what the quest is about, or is the world's trap and not the quest's."""
    action, *args = loss.action
    if action in TAKEN:
        return any(deed[1] == args[0] for deed in loss.deeds)
    if action in PEACE:
        return all(deed[0] == "defended" for deed in loss.deeds)
    led = {"goto": 0, "escort": 1}.get(action)
    return led is not None and not any(args[led] in way.question.seeds for way in case.ways)


def _undeclared(faults: Sequence[Loss]) -> Verdict:
    loss = faults[0]
    entity = loss.fact[1] if len(loss.fact) > 1 else ""
    more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
    reason = (
        f"a player who does {_call(loss.action)} can never do {_shown(loss.deeds)}: "
        f"forbid it in the game, or declare {entity!r} in failures{more}"
    )
    return Verdict(verdict="rejected", check="V4", reason=reason, missing=tuple(_shown([each.fact]) for each in faults))


def _each(case: _Case) -> Question | None:
    """What each further member of a shared quest has to do by itself, if anything."""
    if case.draft.scope == "solo":
        return None
    question, tasks = case.ways[0].question, case.posed[0].tasks
    done = tuple(("step", task.mark) for task in tasks if not task.step.each)
    goals = tuple(("step", task.mark) for task in tasks if task.step.each)
    return Question(goals, question.seeds, question.schemas, (*question.given, *done)) if goals else None


def _crossed(case: _Case, others: Sequence[Draft | Quest], objections: Objections | None) -> list[str]:
    """V7: what stands against the quest among others, and in its reward."""
    view, draft, plan = case.view, case.draft, case.ways[0].plan.operators
    mine = bound(view, draft.id, draft.title, draft.giver, case.deeds, draft.requires)

    def deeds_of(other: Draft) -> list[Fact]:
        known = case.library.vocabulary.schemas
        steps = [step for step in other.steps if step.action in known]
        return [_deed(known[step.action].params, known[step.action].deed, step) for step in steps]

    found = list(clashes(mine, [bound_by(view, other, deeds_of) for other in others]))
    found += [reason for reason in (unpayable(view, draft), milked(view, draft, plan)) if reason]
    if objections is not None and draft.reward is not None:
        spent = spent_on(view, plan)
        found += objections(view, _reward(case, plan), case.level, spent=spent, repeat_s=draft.repeat_s)
    return found


def _deed(params: Sequence[str], pattern: Sequence[str | int], step: DraftStep) -> Fact:
    return tuple(getattr(step, params[term]) if isinstance(term, int) else term for term in pattern)


def _unknown_first(draft: Draft, others: Sequence[Draft | Quest]) -> Iterator[str]:
    if draft.requires and not any(isinstance(other, Draft) for other in others):
        yield f"it requires {', '.join(map(repr, draft.requires))}, which nobody handed in beside it"


def _verified(case: _Case, proved: Proved, warnings: Sequence[str]) -> Verdict:
    assumed = any(assumptions_of(way.plan.operators) for way in case.ways)
    return Verdict(
        verdict="verified_with_assumptions" if assumed else "verified",
        check="V7",
        steps=_steps(case, case.posed[0], case.ways[0]),
        certificate=proved.certificate,
        warnings=tuple(warnings),
    )


def authored(library: Library, view: View, draft: Draft, plan: Proved, *, id: str) -> Quest:
    """The quest that a verified draft becomes, offered to its player."""
    hero = hero_of(view, draft.player, draft.giver, draft.level)
    case = _Case(library, view, draft, hero, plan.posed, plan.ways)
    texts = {branch.id: branch for branch in draft.branches}
    branches = tuple(
        Branch(
            id=way.id,
            text=texts[way.id].text,
            forbid=texts[way.id].forbid,
            goals=_goals(case, shape, way),
            steps=_steps(case, shape, way),
            effort=round(way.plan.cost, 3),
        )
        for shape, way in zip(plan.posed[1:], plan.ways[1:], strict=True)
    )
    quest = Quest(
        id=id,
        state="offered",
        giver=draft.giver,
        player=draft.player,
        title=draft.title,
        description=draft.description,
        level=case.level,
        forbid=draft.forbid,
        roles={"giver": draft.giver},
        goals=_goals(case, plan.posed[0], plan.ways[0]),
        steps=_steps(case, plan.posed[0], plan.ways[0]),
        reward=_reward(case, plan.operators),
        certificate=plan.certificate,
        branches=branches,
        scope=draft.scope,
        guild=draft.guild,
        members_max=draft.members_max,
        credit=draft.credit,
        share=draft.share,
        requires=draft.requires,
        from_s=draft.from_s,
        until_s=draft.until_s,
        repeat_s=draft.repeat_s,
    )
    return told(quest, view, library.grammar, own=own_words(draft))


def _reward(case: _Case, plan: Sequence[Operator]) -> Reward:
    """What the author promises, or the studio's curve."""
    effort, spent = sum(operator.cost for operator in plan), spent_on(case.view, plan)
    usual = reward(effort, case.level, case.view.settings, spent=spent, repeat_s=case.draft.repeat_s)
    promised = case.draft.reward
    if promised is None:
        return usual
    return msgspec.structs.replace(usual, experience=promised.experience, coins=promised.coins, items=promised.items)


def _goals(case: _Case, shape: Posed, way: Way) -> tuple[Goal, ...]:
    """One goal for each step that is not optional; a step that counts a kind is one goal with a count."""
    writer = Writer(case.library.grammar, case.view, 0)
    texts = {operator.name: writer.step(operator.schema, operator.args) for operator in way.plan.operators}
    said = {ground(operator.schema.deed, operator.args): texts[operator.name] for operator in way.plan.operators}
    goals: dict[str, Goal] = {}
    required = [task for task in shape.tasks if not task.step.optional] or shape.tasks
    for task in required:
        step = task.step
        of_item = "item" in task.values and not step.item
        goals.setdefault(
            step.id,
            Goal(
                deed=task.deed,
                item_kind=(step.kind if of_item else "") or common_kind(case.view, task.deed[1]),
                archetype=step.kind if step.kind and not of_item else "",
                count=step.count,
                each=step.each,
                text=step.text or said[task.deed],
            ),
        )
    return tuple(goals.values())


def _steps(case: _Case, shape: Posed, way: Way) -> tuple[Step, ...]:
    required = [task for task in shape.tasks if not task.step.optional] or shape.tasks
    steps = steps_of(
        way.plan.operators,
        player=(case.draft.player if case.draft.scope in ("solo", "party") else "") or PLAYER,
        goals=[("step", task.mark) for task in required],
        writer=Writer(case.library.grammar, case.view, 0),
    )
    told = {task.deed: task.step.text for task in shape.tasks if task.step.text}
    return tuple(
        msgspec.structs.replace(step, text=told[step.deed]) if step.goal and step.deed in told else step
        for step in steps
    )


def _too_few(view: View, hero: Hero, shape: Posed, check: str, name: str) -> Verdict:
    id, (able, wanted) = next(iter(shape.short.items()))
    kind = next(task.step.kind for task in shape.tasks if task.step.id == id)
    return Verdict(
        verdict="rejected",
        check=check,
        reason=f"{name}step {id!r} wants {wanted} of kind {kind!r}, and {able} can be had",
        unreachable=tuple(shape.short),
        missing=(f"{kind} × {wanted - able}",),
        variant=_variant(view, hero, shape, set(shape.short)),
    )


def _unsolved(
    view: View, hero: Hero, shape: Posed, problem: Problem, goals: tuple[Fact, ...], check: str, name: str
) -> Verdict:
    marks = {mark for _, mark in goals}
    out = {task.step.id for task in shape.tasks if task.mark in marks}
    first = [task.step for task in shape.tasks if task.step.id in out and out.isdisjoint(task.step.after)]
    if not first:
        variant = _variant(view, hero, shape, out)
        return Verdict(
            verdict="rejected",
            check=check,
            reason=f"{name}each step can be done, but no way does all of them",
            variant=variant,
        )
    step = first[0]
    mark = next(task.mark for task in shape.tasks if task.step.id == step.id and task.mark in marks)
    facts = missing_facts(problem, ("step", mark), operators_max=view.settings.operators_max)
    return Verdict(
        verdict="rejected",
        check=check,
        reason=f"{name}step {step.id!r} ({step.action}) cannot be done, whatever the player does",
        unreachable=tuple(dict.fromkeys(step.id for step in first)),
        missing=tuple(_shown([fact]) for fact in facts),
        variant=_variant(view, hero, shape, out),
    )


def _variant(view: View, hero: Hero, shape: Posed, out: set[str]) -> tuple[str, ...]:
    """The most steps that can be done together: all but one where that is enough, else as many as fit in order."""
    ids = [id for id in dict.fromkeys(task.step.id for task in shape.tasks) if id not in out]
    if _able(view, hero, shape, ids):
        return tuple(ids)
    for left_out in reversed(ids):
        some = [id for id in ids if id != left_out]
        if _able(view, hero, shape, some):
            return tuple(_closed(shape, some))
    kept: list[str] = []
    for id in ids:
        if _able(view, hero, shape, [*kept, id]):
            kept.append(id)
    return tuple(_closed(shape, kept))


def _closed(shape: Posed, ids: Sequence[str]) -> list[str]:
    """Those of the steps whose predecessors are among them too."""
    after = {task.step.id: task.step.after for task in shape.tasks}
    kept = list(ids)
    while any(not set(after[id]) <= set(kept) for id in kept):
        kept = [id for id in kept if set(after[id]) <= set(kept)]
    return kept


def _able(view: View, hero: Hero, shape: Posed, ids: Sequence[str]) -> bool:
    wanted = set(_closed(shape, ids))
    goals = tuple(("step", task.mark) for task in shape.tasks if task.step.id in wanted)
    question = Question(goals, shape.question.seeds, shape.question.schemas, shape.question.given)
    return bool(goals) and isinstance(
        prove(view, hero, question, states_max=view.settings.cast_states_max).outcome, Plan
    )


def _shown(facts: Iterable[Fact]) -> str:
    return ", ".join(f"{fact[0]}({', '.join(fact[1:])})" for fact in facts)


def _call(action: Sequence[str]) -> str:
    return f"{action[0]}({', '.join(action[1:])})"
