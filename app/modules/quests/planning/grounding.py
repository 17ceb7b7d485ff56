"""From schemas to grounded actions: joins over the facts that relaxed reachability finds.

It knows facts and schemas, nothing of worlds or search. A goal that is never reached here, where nothing
is ever deleted, is proved unreachable. Everything is ordered by insertion, so that the same problem gives
the same task in any process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from app.modules.quests.planning.domain import Fact, Pattern, Schema, ground


@dataclass(frozen=True, slots=True)
class Problem:
    """What is true, what shall be true, what can be done; `weights` are extra costs of static facts."""

    init: tuple[Fact, ...]
    goals: tuple[Fact, ...]
    schemas: tuple[Schema, ...]
    weights: Mapping[Fact, float]


@dataclass(frozen=True, slots=True)
class Operator:
    """A grounded action; masks and index tuples speak of facts by their number."""

    schema: Schema
    args: tuple[str, ...]
    cost: float
    pre: tuple[int, ...]
    add: tuple[int, ...]
    pre_mask: int
    add_mask: int
    keep_mask: int
    """What survives: all bits but those deleted."""

    @property
    def name(self) -> tuple[str, ...]:
        return (self.schema.name, *self.args)

    def after(self, state: int) -> int:
        return state & self.keep_mask | self.add_mask


@dataclass(frozen=True, slots=True)
class Task:
    """A grounded problem. `numbers` holds exactly the facts that relaxed reachability found."""

    numbers: Mapping[Fact, int]
    operators: tuple[Operator, ...]
    init: int
    goals: tuple[int, ...]
    unreachable: tuple[Fact, ...]
    """Goals that stay false even when nothing is ever deleted: proof that no plan exists."""
    capped: bool


class Known:
    """Facts reached so far, indexed by predicate and by each argument."""

    def __init__(self) -> None:
        self.facts: dict[Fact, None] = {}
        self._by_predicate: dict[str, list[Fact]] = {}
        self._by_argument: dict[tuple[str, int, str], list[Fact]] = {}

    def learn(self, fact: Fact) -> None:
        self.facts[fact] = None
        self._by_predicate.setdefault(fact[0], []).append(fact)
        for position in range(1, len(fact)):
            self._by_argument.setdefault((fact[0], position, fact[position]), []).append(fact)

    def like(self, pattern: Pattern, binding: Sequence[str | None]) -> Sequence[Fact]:
        """Facts that may match: all of the predicate, fewer where an argument is already bound."""
        predicate = str(pattern[0])
        best: Sequence[Fact] = self._by_predicate.get(predicate, ())
        for position in range(1, len(pattern)):
            if len(best) < 2:
                break
            term = pattern[position]
            value = binding[term] if isinstance(term, int) else term
            if value is not None:
                some = self._by_argument.get((predicate, position, value), ())
                if len(some) < len(best):
                    best = some
        return best


def unified(pattern: Pattern, fact: Fact, binding: Sequence[str | None]) -> list[str | None] | None:
    """The binding extended so that `pattern` becomes `fact`, or None."""
    if len(pattern) != len(fact):
        return None
    extended = list(binding)
    for term, value in zip(pattern, fact, strict=True):
        if isinstance(term, int):
            if extended[term] is None:
                extended[term] = value
            elif extended[term] != value:
                return None
        elif term != value:
            return None
    return extended


def fresh(schema: Schema) -> list[str | None]:
    """A binding in which only the fixed parameters have values."""
    binding: list[str | None] = [None] * len(schema.params)
    for index, value in schema.fixed:
        binding[index] = value
    return binding


def joins(
    known: Known, patterns: Sequence[Pattern], binding: Sequence[str | None], at: int = 0
) -> Iterator[Sequence[str | None]]:
    """Every way to make all patterns true at once, those before `at` being so already."""
    while at < len(patterns):
        pattern = patterns[at]
        fact = tuple([binding[term] if isinstance(term, int) else term for term in pattern])
        if None in fact:
            break
        if fact not in known.facts:
            return
        at += 1
    if at == len(patterns):
        yield binding
        return
    for fact in known.like(patterns[at], binding):
        extended = unified(patterns[at], fact, binding)
        if extended is not None:
            yield from joins(known, patterns, extended, at + 1)


@dataclass(slots=True)
class _Grounding:
    known: Known = field(default_factory=Known)
    queue: list[Fact] = field(default_factory=list)
    queued: dict[Fact, int] = field(default_factory=dict)
    found: dict[tuple[int, tuple[str, ...]], Schema] = field(default_factory=dict)

    def push(self, fact: Fact) -> None:
        if fact not in self.queued:
            self.queued[fact] = len(self.queued)
            self.queue.append(fact)


def grounded(problem: Problem, *, operators_max: int) -> Task:
    """Reach all that can be reached when nothing is deleted, and keep the operators that can help a goal."""
    work = _reached(problem.init, _helpful(problem), operators_max)
    capped = len(work.found) > operators_max
    if any(goal not in work.queued for goal in problem.goals):
        work.found.clear()
    task = _task(problem, work, capped=capped)
    return replace(task, operators=_relevant(task.operators, task.goals))


def grounded_whole(problem: Problem, *, operators_max: int) -> Task:
    """As `grounded`, with the operators that can only do harm too."""
    work = _reached(problem.init, problem.schemas, operators_max)
    return _task(problem, work, capped=len(work.found) > operators_max)


def _reached(init: Sequence[Fact], schemas: Sequence[Schema], operators_max: int) -> _Grounding:
    """Relaxed reachability from `init`.

    Semi-naive: what no schema adds is known from the start, and each other fact is joined only with what is known when
    its turn comes, so each operator is met once.
    """
    work = _Grounding()
    for fact in init:
        work.push(fact)
    changing = {str(pattern[0]) for schema in schemas for pattern in schema.add}
    watchers: dict[str, list[tuple[int, Schema, Pattern, tuple[Pattern, ...]]]] = {}
    still: list[tuple[int, Schema]] = []
    for number, schema in enumerate(schemas):
        fluent = [position for position, pattern in enumerate(schema.pre) if pattern[0] in changing]
        if not fluent:
            still.append((number, schema))
        for position in fluent:
            pivot, rest = schema.pre[position], _ordered(schema.pre, position, schema.fixed)
            watchers.setdefault(str(pivot[0]), []).append((number, schema, pivot, rest))
    for fact in work.queued:
        if fact[0] not in changing:
            work.known.learn(fact)
    for number, schema in still:
        _join(work, number, schema, schema.pre, fresh(schema))
    head = 0
    while head < len(work.queue) and len(work.found) <= operators_max:
        fact = work.queue[head]
        head += 1
        if fact[0] not in changing:
            continue
        work.known.learn(fact)
        for number, schema, pivot, rest in watchers.get(fact[0], ()):
            binding = unified(pivot, fact, fresh(schema))
            if binding is not None:
                _join(work, number, schema, rest, binding)
    return work


@lru_cache(maxsize=4_096)
def _ordered(pre: tuple[Pattern, ...], pivot: int, fixed: tuple[tuple[int, str], ...]) -> tuple[Pattern, ...]:
    """The preconditions but the pivot, each time the one next of which the least is open."""
    bound = {term for term in pre[pivot] if isinstance(term, int)} | {position for position, _ in fixed}
    left = [pattern for position, pattern in enumerate(pre) if position != pivot]
    order: list[Pattern] = []
    while left:
        chosen = min(left, key=lambda pattern: _open(pattern, bound))
        left.remove(chosen)
        order.append(chosen)
        bound.update(term for term in chosen if isinstance(term, int))
    return tuple(order)


def _open(pattern: Pattern, bound: set[int]) -> tuple[int, int]:
    """How many terms of a pattern are open, and then how few are bound."""
    terms = [term for term in pattern[1:] if isinstance(term, int)]
    free = sum(term not in bound for term in terms)
    return free if free < len(pattern) - 1 else len(pattern) + free, -len(pattern)


def _helpful(problem: Problem) -> tuple[Schema, ...]:
    """The schemas that could help a goal, judged by predicates alone; cheap, and spares most of the joins."""
    wanted = {goal[0] for goal in problem.goals}
    useful: dict[int, Schema] = {}
    found = -1
    while found < len(useful):
        found = len(useful)
        for number, schema in enumerate(problem.schemas):
            if number not in useful and any(pattern[0] in wanted for pattern in schema.add):
                useful[number] = schema
                wanted.update(str(pattern[0]) for pattern in schema.pre)
    return tuple(useful[number] for number in sorted(useful))


def _join(
    work: _Grounding, number: int, schema: Schema, rest: Sequence[Pattern], binding: Sequence[str | None]
) -> None:
    for full in joins(work.known, rest, binding):
        args = tuple([value for value in full if value is not None])
        key = (number, args)
        if key not in work.found:
            work.found[key] = schema
            for pattern in schema.add:
                work.push(ground(pattern, args))


def _task(problem: Problem, work: _Grounding, *, capped: bool) -> Task:
    numbers = work.queued
    every = [_operator(schema, args, numbers, problem.weights) for (_, args), schema in work.found.items()]
    goals = tuple(numbers[goal] for goal in problem.goals if goal in numbers)
    return Task(
        numbers=numbers,
        operators=tuple(every),
        init=sum(1 << numbers[fact] for fact in dict.fromkeys(problem.init)),
        goals=goals,
        unreachable=tuple(goal for goal in problem.goals if goal not in numbers),
        capped=capped,
    )


def _relevant(operators: Sequence[Operator], goals: Sequence[int]) -> tuple[Operator, ...]:
    """Those that can help a goal, by backward closure over what they add and need; others only blur the search."""
    adders: dict[int, list[int]] = {}
    for number, operator in enumerate(operators):
        for fact in operator.add:
            adders.setdefault(fact, []).append(number)
    wanted = dict.fromkeys(goals)
    queue = list(wanted)
    useful: set[int] = set()
    for fact in queue:
        for number in adders.get(fact, ()):
            if number not in useful:
                useful.add(number)
                queue.extend(needed for needed in operators[number].pre if needed not in wanted)
                wanted.update(dict.fromkeys(operators[number].pre))
    return tuple(operator for number, operator in enumerate(operators) if number in useful)


def _operator(
    schema: Schema, args: tuple[str, ...], numbers: Mapping[Fact, int], weights: Mapping[Fact, float]
) -> Operator:
    pre = [ground(pattern, args) for pattern in schema.pre]
    needed = tuple(dict.fromkeys([numbers[fact] for fact in pre]))
    added = tuple(dict.fromkeys([numbers[ground(pattern, args)] for pattern in schema.add]))
    pre_mask = add_mask = deleted = 0
    for number in needed:
        pre_mask |= 1 << number
    for number in added:
        add_mask |= 1 << number
    for pattern in schema.delete:
        fact = ground(pattern, args)
        if fact in numbers:
            deleted |= 1 << numbers[fact]
    cost = schema.cost
    for fact in pre:
        cost += weights.get(fact, 0.0)
    return Operator(
        schema=schema,
        args=args,
        cost=cost,
        pre=needed,
        add=added,
        pre_mask=pre_mask,
        add_mask=add_mask,
        keep_mask=~deleted,
    )
