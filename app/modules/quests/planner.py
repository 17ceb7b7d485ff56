"""A small classical planner: grounding by joins, relaxed reachability, greedy best-first search on h_FF.

It knows facts and schemas, nothing of worlds or quests. Everything is ordered by insertion, so the
same problem gives the same plan in any process. Sources: Bonet and Geffner 2001 (h_add), Hoffmann and
Nebel 2001 (FF, helpful actions), Richter and Helmert 2009 (deferred evaluation, preferred operators).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.modules.quests.domain import Fact, Pattern, Schema, ground


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


@dataclass(frozen=True, slots=True)
class Plan:
    """Operators in order, and the sum of their costs."""

    operators: tuple[Operator, ...]

    @property
    def cost(self) -> float:
        return sum(operator.cost for operator in self.operators)


@dataclass(frozen=True, slots=True)
class Unsolvable:
    """A proof that no plan exists; `goals` are those not even the relaxed problem reaches, if any."""

    goals: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """The cap was hit first."""

    reason: str


Outcome = Plan | Unsolvable | Unknown


def solve(problem: Problem, *, states_max: int, operators_max: int) -> Outcome:
    """A plan without needless actions, a proof that there is none, or that a cap was hit."""
    task = grounded(problem, operators_max=operators_max)
    if task.capped:
        return Unknown(f"more than {operators_max} grounded actions")
    if task.unreachable:
        return Unsolvable(task.unreachable)
    found = _search(task, states_max)
    return Plan(shortened(task, found.operators)) if isinstance(found, Plan) else found


def replays(problem: Problem, plan: Sequence[tuple[str, ...]]) -> bool:
    """Whether the named actions, run one by one from `init`, are each possible and reach every goal."""
    state = set(problem.init)
    schemas: dict[str, list[Schema]] = {}
    for schema in problem.schemas:
        schemas.setdefault(schema.name, []).append(schema)
    for name, *args in plan:
        ready = [schema for schema in schemas.get(name, ()) if _possible(schema, args, state)]
        if not ready:
            return False
        state -= {ground(pattern, args) for pattern in ready[0].delete}
        for schema in ready:
            state |= {ground(pattern, args) for pattern in schema.add}
    return state.issuperset(problem.goals)


def _possible(schema: Schema, args: Sequence[str], state: set[Fact]) -> bool:
    if len(args) != len(schema.params) or any(args[index] != value for index, value in schema.fixed):
        return False
    return all(ground(pattern, args) in state for pattern in schema.pre)


# -- grounding ---------------------------------------------------------------------------------


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
        best: Sequence[Fact] = self._by_predicate.get(str(pattern[0]), ())
        for position in range(1, len(pattern)):
            term = pattern[position]
            value = binding[term] if isinstance(term, int) else term
            if value is not None:
                some = self._by_argument.get((str(pattern[0]), position, value), ())
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


def joins(known: Known, patterns: Sequence[Pattern], binding: Sequence[str | None]) -> Iterator[Sequence[str | None]]:
    """Every way to make all patterns true at once."""
    if not patterns:
        yield binding
        return
    for fact in known.like(patterns[0], binding):
        extended = unified(patterns[0], fact, binding)
        if extended is not None:
            yield from joins(known, patterns[1:], extended)


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
    """Reach all that can be reached when nothing is deleted, and keep the operators met on the way.

    Semi-naive: a new fact is joined only with what is already known, so each operator is met once.
    """
    work = _Grounding()
    for fact in problem.init:
        work.push(fact)
    watchers: dict[str, list[tuple[int, Schema, int]]] = {}
    for number, schema in enumerate(problem.schemas):
        for position, pattern in enumerate(schema.pre):
            watchers.setdefault(str(pattern[0]), []).append((number, schema, position))
    head = 0
    while head < len(work.queue) and len(work.found) <= operators_max:
        fact = work.queue[head]
        head += 1
        work.known.learn(fact)
        for number, schema, position in watchers.get(fact[0], ()):
            _join(work, number, schema, position, fact)
    return _task(problem, work, capped=len(work.found) > operators_max)


def _join(work: _Grounding, number: int, schema: Schema, position: int, fact: Fact) -> None:
    binding = unified(schema.pre[position], fact, fresh(schema))
    if binding is None:
        return
    rest = schema.pre[:position] + schema.pre[position + 1 :]
    for full in joins(work.known, rest, binding):
        args = tuple(value for value in full if value is not None)
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
        operators=_relevant(every, goals),
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
    added = tuple(dict.fromkeys(numbers[ground(pattern, args)] for pattern in schema.add))
    deleted = {numbers[fact] for fact in (ground(pattern, args) for pattern in schema.delete) if fact in numbers}
    needed = tuple(dict.fromkeys(numbers[fact] for fact in pre))
    return Operator(
        schema=schema,
        args=args,
        cost=schema.cost + sum(weights.get(fact, 0.0) for fact in pre),
        pre=needed,
        add=added,
        pre_mask=sum(1 << number for number in needed),
        add_mask=sum(1 << number for number in added),
        keep_mask=~sum(1 << number for number in deleted),
    )


# -- search ------------------------------------------------------------------------------------


class _Relaxed:
    """h_FF over one task: the cost of a plan that ignores deletes, built from h_add's best supporters."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._wanted_by: list[list[int]] = [[] for _ in task.numbers]
        for number, operator in enumerate(task.operators):
            for fact in operator.pre:
                self._wanted_by[fact].append(number)
        self._counts = [len(operator.pre) for operator in task.operators]

    def estimate(self, state: int) -> tuple[float, int] | None:
        """The relaxed plan's cost and the bits of its operators, or None when a goal is out of reach."""
        cost, best = self._costs(state)
        if any(cost[goal] is None for goal in self._task.goals):
            return None
        chosen = 0
        total = 0.0
        open_facts = list(self._task.goals)
        while open_facts:
            supporter = best[open_facts.pop()]
            if supporter >= 0 and not chosen >> supporter & 1:
                chosen |= 1 << supporter
                operator = self._task.operators[supporter]
                total += operator.cost
                open_facts.extend(operator.pre)
        return total, chosen

    def _costs(self, state: int) -> tuple[list[float | None], list[int]]:
        """Each fact's h_add cost (None where unreachable) and its cheapest operator (-1 where true)."""
        operators = self._task.operators
        cost: list[float | None] = [None] * len(self._wanted_by)
        best = [-1] * len(self._wanted_by)
        left = list(self._counts)
        price = [operator.cost for operator in operators]
        heap = [(0.0, fact) for fact in range(len(cost)) if state >> fact & 1]
        for _, fact in heap:
            cost[fact] = 0.0
        while heap:
            at, fact = heapq.heappop(heap)
            if at != cost[fact]:
                continue
            for number in self._wanted_by[fact]:
                left[number] -= 1
                price[number] += at
                if left[number]:
                    continue
                for gained in operators[number].add:
                    known = cost[gained]
                    if known is None or price[number] < known:
                        cost[gained] = price[number]
                        best[gained] = number
                        heapq.heappush(heap, (price[number], gained))
        return cost, best


def _search(task: Task, states_max: int) -> Outcome:
    relaxed = _Relaxed(task)
    goal_mask = sum(1 << goal for goal in set(task.goals))
    came_from: dict[int, tuple[int, int]] = {task.init: (-1, -1)}
    heap: list[tuple[float, int, int, int]] = [(0.0, 0, 0, task.init)]
    ticket = expanded = 0
    while heap:
        *_, state = heapq.heappop(heap)
        if state & goal_mask == goal_mask:
            return Plan(_walked_back(task, came_from, state))
        if expanded >= states_max:
            return Unknown(f"the search gave up after {states_max} states")
        expanded += 1
        estimate = relaxed.estimate(state)
        if estimate is None:
            continue
        cost, helpful = estimate
        for number, operator in enumerate(task.operators):
            if state & operator.pre_mask == operator.pre_mask:
                reached = operator.after(state)
                if reached not in came_from:
                    came_from[reached] = (state, number)
                    ticket += 1
                    heapq.heappush(heap, (cost, 1 - (helpful >> number & 1), ticket, reached))
    return Unsolvable(())


def _walked_back(task: Task, came_from: Mapping[int, tuple[int, int]], state: int) -> tuple[Operator, ...]:
    steps: list[Operator] = []
    while True:
        state, number = came_from[state]
        if number < 0:
            return tuple(reversed(steps))
        steps.append(task.operators[number])


def shortened(task: Task, plan: Sequence[Operator]) -> tuple[Operator, ...]:
    """The plan without actions that it does not need (action elimination, Nakhost and Mueller 2010)."""
    steps = list(plan)
    position = 0
    while position < len(steps):
        kept = _without(task, steps, position)
        if kept is None:
            position += 1
        else:
            steps = kept
    return tuple(steps)


def _without(task: Task, steps: Sequence[Operator], position: int) -> list[Operator] | None:
    """The steps less the one at `position` and those that fail without it, if the goals still hold."""
    state = task.init
    kept: list[Operator] = []
    for index, operator in enumerate(steps):
        if index != position and state & operator.pre_mask == operator.pre_mask:
            state = operator.after(state)
            kept.append(operator)
    return kept if all(state >> goal & 1 for goal in task.goals) else None
