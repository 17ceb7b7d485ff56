"""Why a goal is out of reach: a smallest set of world facts that would bring it within reach.

It reads a grounded task and never changes one. What only the player can have, know or do is not a fact
that a world could add, so it is traced back to what would let the player get it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.modules.quests.planning.domain import Fact, Pattern, Schema, ground
from app.modules.quests.planning.grounding import Known, Problem, fresh, grounded, unified

OWN = frozenset({"here", "has", "knows", "step", "tidings"})
"""Facts of the player and of the domain itself: no world can assert them, they are only reached."""
DEPTH_MAX = 4
"""Actions that are traced back behind one another."""
LOOKS_MAX = 20_000
"""Partial matches looked at; beyond that the best set found so far is given."""

Binding = Sequence[str | None]


def missing_facts(problem: Problem, goal: Fact, *, operators_max: int) -> tuple[Fact, ...]:
    """Facts that, once true, make `goal` reachable; none of them can be left out. Empty when none was found.

    An argument that may be anything reads `?name`.
    """
    task = grounded(problem, operators_max=operators_max)
    known = Known()
    for fact in task.numbers:
        known.learn(fact)
    search = _Search(
        known=known, schemas=problem.schemas, own=OWN | {str(schema.deed[0]) for schema in problem.schemas}
    )
    found = search.mend(goal, DEPTH_MAX, 8)
    return _needed(problem, goal, found or (), operators_max)


def _needed(problem: Problem, goal: Fact, facts: tuple[Fact, ...], operators_max: int) -> tuple[Fact, ...]:
    """The facts without those that prove needless one by one."""
    kept = list(facts)
    for fact in facts:
        fewer = [other for other in kept if other != fact]
        trial = replace(problem, init=(*problem.init, *fewer), goals=(goal,))
        if len(fewer) < len(kept) and not grounded(trial, operators_max=operators_max).unreachable:
            kept = fewer
    return tuple(kept)


@dataclass(slots=True)
class _Search:
    known: Known
    schemas: tuple[Schema, ...]
    own: frozenset[str]
    looks: int = 0

    def mend(self, goal: Pattern, depth: int, budget: int) -> tuple[Fact, ...] | None:
        """At most `budget` facts that let some action add `goal`, or None."""
        best: tuple[Fact, ...] | None = None
        for schema in self.schemas:
            for pattern in schema.add:
                binding = _reversed(pattern, goal, schema)
                if binding is None:
                    continue
                found = self._cover(schema, 0, binding, (), depth, budget)
                if found is not None:
                    best, budget = found, len(found) - 1
        return best

    def _cover(
        self, schema: Schema, position: int, binding: Binding, missed: tuple[Pattern, ...], depth: int, budget: int
    ) -> tuple[Fact, ...] | None:
        """Match preconditions from `position` on with known facts, or count them as missed."""
        self.looks += 1
        if len(missed) > budget or self.looks > LOOKS_MAX:
            return None
        if position == len(schema.pre):
            return self._resolve(schema, binding, missed, depth, budget)
        best: tuple[Fact, ...] | None = None
        pattern = schema.pre[position]
        for fact in self.known.like(pattern, binding):
            extended = unified(pattern, fact, binding)
            if extended is not None and budget >= 0:
                found = self._cover(schema, position + 1, extended, missed, depth, budget)
                if found is not None:
                    best, budget = found, len(found) - 1
        found = self._cover(schema, position + 1, binding, (*missed, pattern), depth, budget)
        return found if found is not None else best

    def _resolve(
        self, schema: Schema, binding: Binding, missed: tuple[Pattern, ...], depth: int, budget: int
    ) -> tuple[Fact, ...] | None:
        """The missed preconditions as world facts; those of the player are traced back one action further."""
        shown = [value if value is not None else f"?{name}" for name, value in zip(schema.params, binding, strict=True)]
        facts: dict[Fact, None] = {}
        for pattern in missed:
            fact = ground(pattern, shown)
            if fact[0] not in self.own:
                facts[fact] = None
                continue
            deeper = self.mend(fact, depth - 1, budget - len(facts)) if depth > 1 else None
            if deeper is None:
                return None
            facts.update(dict.fromkeys(deeper))
        return tuple(facts) if len(facts) <= budget else None


def _reversed(pattern: Pattern, goal: Pattern, schema: Schema) -> list[str | None] | None:
    """The binding under which the schema adds `goal`; an argument `?name` of the goal may be anything."""
    if len(pattern) != len(goal):
        return None
    binding = fresh(schema)
    for term, value in zip(pattern, goal, strict=True):
        anything = isinstance(value, str) and value.startswith("?")
        if isinstance(term, int) and not anything:
            if binding[term] not in (None, value):
                return None
            binding[term] = str(value)
        elif not isinstance(term, int) and term != value and not anything:
            return None
    return binding
