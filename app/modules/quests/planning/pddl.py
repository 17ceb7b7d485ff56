"""A planning problem as PDDL, so that any other planner can be asked the same question.

It knows facts and schemas, not worlds. Names are mangled to what PDDL allows, and `Pddl.names` tells which is which;
weights of static facts are left out, since they change what a plan costs and never whether there is one. Source:
PDDL 1.2 (McDermott et al. 1998), its `:strips` part, with the `:action-costs` of PDDL 3.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.modules.quests.planning.domain import Fact, Pattern, Schema
from app.modules.quests.planning.grounding import Problem

COST_SCALE = 1_000
"""PDDL's action costs are whole numbers: thousandths of an effort."""


@dataclass(frozen=True, slots=True)
class Pddl:
    """The two files, and what each mangled object stands for."""

    domain: str
    problem: str
    names: Mapping[str, str]


def exported(problem: Problem, *, name: str = "quest") -> Pddl:
    """The problem as PDDL. Two schemas of one name (a step's own action) become two actions with numbers."""
    objects = _Objects()
    actions = "\n".join(_action(schema, number, objects) for number, schema in enumerate(problem.schemas))
    init = "\n    ".join(_atom(fact, objects) for fact in dict.fromkeys(problem.init))
    goals = " ".join(_atom(goal, objects) for goal in problem.goals)
    predicates = "\n    ".join(_declared(problem))
    constants = " ".join(objects.names)
    domain = (
        f"(define (domain {name})\n  (:requirements :strips :action-costs)\n  (:constants {constants})\n"
        f"  (:predicates\n    {predicates})\n  (:functions (total-cost))\n{actions})\n"
    )
    asked = (
        f"(define (problem {name}-1)\n  (:domain {name})\n  (:init\n    {init}\n    (= (total-cost) 0))\n"
        f"  (:goal (and {goals}))\n  (:metric minimize (total-cost)))\n"
    )
    return Pddl(domain, asked, {mangled: value for value, mangled in objects.by_value.items()})


class _Objects:
    """Values and the words that stand for them: readable where that is possible, always distinct."""

    def __init__(self) -> None:
        self.by_value: dict[str, str] = {}

    @property
    def names(self) -> Iterable[str]:
        return self.by_value.values()

    def of(self, value: str) -> str:
        if value not in self.by_value:
            readable = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
            self.by_value[value] = f"o{len(self.by_value)}-{readable}".rstrip("-")
        return self.by_value[value]


def _declared(problem: Problem) -> list[str]:
    """Each predicate with each number of arguments that it is used with."""
    patterns: list[Pattern] = [*problem.init, *problem.goals]
    for schema in problem.schemas:
        patterns += [*schema.pre, *schema.add, *schema.delete]
    shapes = dict.fromkeys((str(pattern[0]), len(pattern) - 1) for pattern in patterns)
    return [f"({_predicate(word, count)}{''.join(f' ?x{n}' for n in range(count))})" for word, count in shapes]


def _predicate(word: str, count: int) -> str:
    return f"{word.replace('_', '-')}-{count}"


def _action(schema: Schema, number: int, objects: _Objects) -> str:
    fixed = dict(schema.fixed)
    terms = [objects.of(fixed[place]) if place in fixed else f"?p{place}" for place in range(len(schema.params))]
    params = " ".join(term for term in terms if term.startswith("?"))
    pre = " ".join(_pattern(pattern, terms, objects) for pattern in schema.pre)
    added = {_pattern(pattern, terms, objects): None for pattern in schema.add}
    deleted = [atom for atom in (_pattern(pattern, terms, objects) for pattern in schema.delete) if atom not in added]
    effects = " ".join((*(f"(not {atom})" for atom in dict.fromkeys(deleted)), *added))
    cost = round(schema.cost * COST_SCALE)
    return (
        f"  (:action {schema.name}-{number}\n    :parameters ({params})\n    :precondition (and {pre})\n"
        f"    :effect (and {effects} (increase (total-cost) {cost})))"
    )


def _pattern(pattern: Pattern, terms: Sequence[str], objects: _Objects) -> str:
    words = [terms[term] if isinstance(term, int) else objects.of(term) for term in pattern[1:]]
    return f"({' '.join((_predicate(str(pattern[0]), len(words)), *words))})"


def _atom(fact: Fact, objects: _Objects) -> str:
    return _pattern(fact, (), objects)
