"""V2 and V3: the ways of a hand-written quest as questions for the planner.

Each step becomes an action of its own that waits for others and marks itself done. A step that names a kind becomes as
many as it counts, each about another one that can be reached; what comes back by itself counts as often as is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.modules.quests.draft import Draft, DraftStep
from app.modules.quests.planning.domain import Fact, Schema, Vocabulary
from app.modules.quests.planning.facts import Hero, View, compiled, focus, foes
from app.modules.quests.planning.grounding import grounded
from app.modules.quests.verification.certify import Question
from app.modules.quests.verification.reading import FIELDS, KINDS, kind_field

FOUGHT = frozenset({"kill", "capture"})
"""Actions whose target the author vouches for as a foe."""


@dataclass(frozen=True, slots=True)
class Task:
    """One deed that a step wants: the step, the mark that says it is done, and who and what it is about."""

    step: DraftStep
    mark: str
    values: dict[str, str]
    deed: Fact


@dataclass(frozen=True, slots=True)
class Posed:
    """One way: its steps' deeds, the question that they make, and the steps for which there are too few things."""

    id: str
    tasks: tuple[Task, ...]
    question: Question
    short: dict[str, tuple[int, int]]
    """Step -> (how many can be had, how many are wanted)."""

    @property
    def deeds(self) -> tuple[Fact, ...]:
        """What completes the way: the deeds of the steps that are not optional."""
        needed = tuple(task.deed for task in self.tasks if not task.step.optional)
        return needed or tuple(task.deed for task in self.tasks)


def ways_of(draft: Draft) -> list[tuple[str, tuple[DraftStep, ...], tuple[str, ...]]]:
    """Each way's id, steps and forbidden actions, the main way first with an empty id."""
    if not draft.branches:
        return [("", draft.steps, draft.forbid)]
    return [
        ("" if number == 0 else branch.id, (*draft.steps, *branch.steps), (*draft.forbid, *branch.forbid))
        for number, branch in enumerate(draft.branches)
    ]


def posed(
    vocabulary: Vocabulary,
    view: View,
    hero: Hero,
    giver: str,
    id: str,
    steps: Sequence[DraftStep],
    forbid: Sequence[str],
) -> Posed:
    """The question whether all of these steps can be done, each after those that it waits for."""
    casting = _Casting(vocabulary, view, hero, giver, steps)
    tasks = tuple(task for step in steps for task in casting.tasks(step))
    return Posed(id, tasks, _question(vocabulary, view, hero, giver, tasks, forbid), casting.short)


def _question(
    vocabulary: Vocabulary, view: View, hero: Hero, giver: str, tasks: Sequence[Task], forbid: Sequence[str]
) -> Question:
    marks: dict[str, list[str]] = {}
    for task in tasks:
        marks.setdefault(task.step.id, []).append(task.mark)
    escorts = any(task.step.action == "escort" for task in tasks)
    barred = forbid if escorts else (*forbid, "escort")
    bound = tuple(
        vocabulary.schemas[task.step.action].bound(
            task.values,
            pre=[("step", mark) for id in task.step.after for mark in marks.get(id, ())],
            add=[("step", task.mark)],
        )
        for task in tasks
    )
    return Question(
        goals=tuple(("step", task.mark) for task in tasks),
        seeds=tuple(dict.fromkeys((giver, *(value for task in tasks for value in task.values.values())))),
        schemas=(*vocabulary.without(barred), *bound),
        given=foes(view, dict.fromkeys(t.values["target"] for t in tasks if t.step.action in FOUGHT), hero.level),
    )


class _Casting:
    """Which things of a kind a quest's steps are about: what is handed over once is not handed over twice."""

    def __init__(self, vocabulary: Vocabulary, view: View, hero: Hero, giver: str, steps: Sequence[DraftStep]) -> None:
        self._vocabulary = vocabulary
        self._view = view
        self._hero = hero
        self._giver = giver
        self.short: dict[str, tuple[int, int]] = {}
        self._chosen: dict[str, tuple[str, ...]] = {}
        spent: dict[str, None] = {}
        kinds = [(step, field) for step in steps if (field := kind_field(vocabulary.schemas[step.action], step))]
        for step, field in kinds:
            if step.action == "give":
                self._choose(step, field, spent, spent)
        for step, field in kinds:
            if step.action != "give":
                self._choose(step, field, {}, spent)

    def tasks(self, step: DraftStep) -> list[Task]:
        """The deeds that a step wants."""
        schema = self._vocabulary.schemas[step.action]
        values = {field: getattr(step, field) for field in schema.takes}
        if step.id not in self._chosen:
            return [_task(schema, step, step.id, values)]
        field = kind_field(schema, step)
        return [
            _task(schema, step, f"{step.id}#{number}", {**values, field: id})
            for number, id in enumerate(self._chosen[step.id], 1)
        ]

    def _choose(self, step: DraftStep, field: str, barred: dict[str, None], spent: dict[str, None]) -> None:
        """Take the nearest that can be reached, first those that the quest hands over later."""
        able = self._able(step, field)
        free = [id for id in spent if id in able and id not in barred] + [id for id in able if id not in spent]
        chosen = free[: step.count]
        renews = any(self._renews(id) for id in chosen)
        if len(chosen) < step.count and not renews:
            self.short[step.id] = len(chosen), step.count
        self._chosen[step.id] = tuple(chosen or self._all(step, field)[:1])
        if step.action == "give":
            spent.update(dict.fromkeys(chosen))

    def _renews(self, id: str) -> bool:
        entity = self._view.npcs.get(id) or self._view.items.get(id)
        return entity is not None and self._view.respawns(entity)

    def _all(self, step: DraftStep, field: str) -> list[str]:
        """All of the kind, nearest first."""
        view = self._view
        steps = view.walk(self._hero.place, self._hero.level) if self._hero.place else {}
        if KINDS[field] == "item":
            found = [(id, _place(view, item.holder)) for id, item in view.items.items() if item.item_kind == step.kind]
        else:
            found = [(id, view.place_of(npc)) for id, npc in view.npcs.items() if npc.archetype == step.kind]
        return [id for id, _ in sorted(found, key=lambda one: steps.get(one[1], len(view.locations)))]

    def _able(self, step: DraftStep, field: str) -> list[str]:
        """Those with which the step could be done if nothing were ever taken away."""
        schema = self._vocabulary.schemas[step.action]
        values = {name: getattr(step, name) for name in schema.takes}
        alone = DraftStep(id=step.id, action=step.action)
        every = self._all(step, field)[: max(self._view.settings.candidates_max, 2 * step.count)]
        tasks = [_task(schema, alone, id, {**values, field: id}) for id in every]
        asked = _question(self._vocabulary, self._view, self._hero, self._giver, tasks, ())
        about = focus(self._view, self._hero, (*asked.seeds, *self._view.keys_of))
        problem = compiled(
            self._view, self._hero, about=about, schemas=asked.schemas, goals=asked.goals, given=asked.given
        )
        task = grounded(problem, operators_max=self._view.settings.operators_max)
        return [id for id in every if ("step", id) not in task.unreachable]


def _place(view: View, holder: str) -> str:
    npc = view.npcs.get(holder)
    return view.place_of(npc) if npc is not None else holder


def _task(schema: Schema, step: DraftStep, mark: str, values: dict[str, str]) -> Task:
    deed = tuple(values[schema.params[term]] if isinstance(term, int) else term for term in schema.deed)
    return Task(step, mark, {name: values[name] for name in FIELDS if name in values}, deed)
