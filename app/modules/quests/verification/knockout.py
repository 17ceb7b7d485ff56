"""V5: what becomes of a quest when one of the entities that its plan uses comes to harm.

The task is grounded once, with every harm already true beside the facts that it ends; a knockout is then a change of a
few bits, and relaxed reachability, which ignores what is taken away, proves most of them lost or leaves them to a short
search. A search that gives up counts as lost: nothing is claimed that was not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from app.modules.quests.planning.domain import Fact, Schema
from app.modules.quests.planning.facts import Hero, View, compiled, focus
from app.modules.quests.planning.grounding import Problem, Task, grounded
from app.modules.quests.planning.planner import Plan, replays, search, solve
from app.modules.quests.quest import Harm, Knockout
from app.modules.quests.verification.certify import Question

STAND_INS_MAX = 2
"""Others of its kind that are tried in the place of one that is lost."""


@dataclass(frozen=True, slots=True)
class Course:
    """A way as the knockouts see it: what was asked, and the plan's actions by name."""

    question: Question
    plan: tuple[tuple[str, ...], ...]


def knockouts(view: View, hero: Hero, courses: Sequence[Course]) -> tuple[Knockout, ...]:
    """What the loss of each entity in the main course's plan does; the other courses are its branches."""
    main = courses[0]
    critical = _critical(view, main)
    stricken = [_Stricken(view, hero, course, critical) for course in courses]
    return tuple(_struck(view, hero, stricken, id, harm) for id, harm in critical)


def _critical(view: View, course: Course) -> list[tuple[str, Harm]]:
    """The entities that the plan's actions name, in their order, and what may befall each."""
    ids = dict.fromkeys(term for action in course.plan for term in action[1:])
    found: list[tuple[str, Harm]] = []
    for id in ids:
        if id in view.npcs:
            found += [(id, "death")] if view.npcs[id].alive else []
        elif id in view.items:
            found.append((id, "loss"))
        elif id in view.locations and view.locations[id].open:
            found.append((id, "closing"))
    return found


class _Stricken:
    """One course, grounded with every harm."""

    def __init__(self, view: View, hero: Hero, course: Course, critical: Sequence[tuple[str, Harm]]) -> None:
        self.course = course
        seeds = (*course.question.seeds, *(term for action in course.plan for term in action[1:]))
        self._about = focus(view, hero, seeds)
        self._view = view
        self._hero = hero
        question = course.question
        self.problem = compiled(
            view, hero, about=self._about, schemas=question.schemas, goals=question.goals, given=question.given
        )
        dead = tuple(("dead", id) for id, harm in critical if harm == "death")
        self._task = grounded(
            replace(self.problem, init=tuple(dict.fromkeys((*self.problem.init, *dead)))),
            operators_max=view.settings.operators_max,
        )

    def outcome(self, id: str, harm: Harm) -> str:
        """`unharmed`, `replanned`, or nothing where no way is left or none was found."""
        init = self._harmed(id, harm)
        if replays(replace(self.problem, init=init), self.course.plan):
            return "unharmed"
        task = replace(self._task, init=sum(1 << self._task.numbers[fact] for fact in init))
        if self._task.capped or not _reaches(task):
            return ""
        return "replanned" if isinstance(search(task, self._view.settings.cast_states_max), Plan) else ""

    def _harmed(self, id: str, harm: Harm) -> tuple[Fact, ...]:
        init = self.problem.init
        match harm:
            case "death":
                return (*(fact for fact in init if fact not in (("alive", id), ("captive", id))), ("dead", id))
            case "loss":
                return tuple(fact for fact in init if not _where(fact, id))
            case "closing":
                ways = set(self._ways_without(id))
                return tuple(fact for fact in init if fact != ("open", id) and (fact[0] != "path" or fact in ways))

    def _ways_without(self, closed: str) -> Iterator[Fact]:
        """The paths that do not lead through a place."""
        for place in self._about.places:
            for other in self._view.walk(place, self._hero.level, closed):
                yield "path", place, other


def _where(fact: Fact, item: str) -> bool:
    match fact:
        case ("lies" | "has", thing, *_) | ("holds" | "sells", _, thing):
            return thing == item
        case ("unmade", thing):
            return thing == item
        case _:
            return False


def _reaches(task: Task) -> bool:
    """Whether every goal can be reached when nothing is ever taken away."""
    state, before = task.init, -1
    left = list(task.operators)
    while state != before:
        before = state
        waiting = []
        for operator in left:
            if state & operator.pre_mask == operator.pre_mask:
                state |= operator.add_mask
            else:
                waiting.append(operator)
        left = waiting
    return not task.unreachable and all(state >> goal & 1 for goal in task.goals)


def _struck(view: View, hero: Hero, courses: Sequence[_Stricken], id: str, harm: Harm) -> Knockout:
    outcome = courses[0].outcome(id, harm)
    if outcome == "unharmed":
        return Knockout(entity=id, harm=harm, outcome="unharmed")
    if outcome == "replanned":
        return Knockout(entity=id, harm=harm, outcome="replanned")
    if harm != "closing" and _recast(view, hero, courses[0], id, harm):
        return Knockout(entity=id, harm=harm, outcome="recast")
    if any(course.outcome(id, harm) for course in courses[1:]):
        return Knockout(entity=id, harm=harm, outcome="branched")
    return Knockout(entity=id, harm=harm, outcome="fails")


def _recast(view: View, hero: Hero, course: _Stricken, id: str, harm: Harm) -> bool:
    """Whether another of its kind can take its part in the goals."""
    question = course.course.question
    if not any(id in goal for goal in spoken(question)):
        return False
    for other in stand_ins(view, hero, id)[:STAND_INS_MAX]:
        asked = renamed(question, {id: other})
        about = focus(view, hero, asked.seeds)
        problem = compiled(view, hero, about=about, schemas=asked.schemas, goals=asked.goals, given=asked.given)
        lost = ("alive", id) if harm == "death" else ()
        init = tuple(fact for fact in problem.init if fact != lost and not _where(fact, id))
        found = solve(
            replace(problem, init=init),
            states_max=view.settings.cast_states_max,
            operators_max=view.settings.operators_max,
        )
        if isinstance(found, Plan):
            return True
    return False


def spoken(question: Question) -> tuple[Fact, ...]:
    """The facts that a question is about: its goals, and what its own actions are bound to."""
    bound = tuple(("", *(value for _, value in schema.fixed)) for schema in question.schemas if schema.fixed)
    return (*question.goals, *bound)


def stand_ins(view: View, hero: Hero, id: str) -> tuple[str, ...]:
    """Who or what can take a part over: an NPC's heir and those of its faction, things gathered of one kind."""
    item = view.items.get(id)
    if item is not None:
        if not view.common_kind(item):
            return ()
        return tuple(other.id for other in view.items.values() if other.item_kind == item.item_kind and other.id != id)
    npc = view.npcs.get(id)
    if npc is None:
        return ()
    heir = npc.attributes.get("heir")
    same = [
        other.id
        for other in view.npcs.values()
        if npc.faction
        and other.faction == npc.faction
        and other.alive
        and other.id != id
        and view.hostile(other, hero.entity) == view.hostile(npc, hero.entity)
        and view.person(other) == view.person(npc)
    ]
    named = [heir] if isinstance(heir, str) and heir in view.npcs and view.npcs[heir].alive else []
    return tuple(dict.fromkeys((*named, *same)))


def renamed(question: Question, names: dict[str, str]) -> Question:
    """The question with other entities in the parts of these, also in topics that speak of them."""

    def term(value: str) -> str:
        if value in names:
            return names[value]
        kind, parted, about = value.partition(" ")
        return f"{kind} {names[about]}" if parted and about in names else value

    def fact(old: Fact) -> Fact:
        return (old[0], *(term(value) for value in old[1:]))

    def schema(old: Schema) -> Schema:
        return replace(
            old,
            fixed=tuple((position, term(value)) for position, value in old.fixed),
            pre=tuple(_pattern(pattern) for pattern in old.pre),
            add=tuple(_pattern(pattern) for pattern in old.add),
        )

    def _pattern(old: tuple[str | int, ...]) -> tuple[str | int, ...]:
        return (old[0], *(term(value) if isinstance(value, str) else value for value in old[1:]))

    return replace(
        question,
        goals=tuple(goal if goal[0] == "step" else fact(goal) for goal in question.goals),
        seeds=tuple(term(seed) for seed in question.seeds),
        schemas=tuple(schema(old) for old in question.schemas),
        given=tuple(fact(known) for known in question.given),
    )


def fragility(found: Sequence[Knockout]) -> float:
    """The share of critical entities whose loss ends the quest, in [0, 1]."""
    return round(sum(knockout.outcome == "fails" for knockout in found) / len(found), 3) if found else 0.0


def problem_of(view: View, hero: Hero, question: Question, seeds: Sequence[str]) -> Problem:
    """The question's problem, compiled about more than it names."""
    about = focus(view, hero, (*question.seeds, *seeds))
    return compiled(view, hero, about=about, schemas=question.schemas, goals=question.goals, given=question.given)
