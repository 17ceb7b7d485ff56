"""A small classical planner: greedy best-first search on h_FF over a grounded task.

It knows nothing of worlds or quests, and the same problem gives the same plan in any process. Sources:
Bonet and Geffner 2001 (h_add), Hoffmann and Nebel 2001 (FF, helpful actions), Richter and Helmert 2009
(deferred evaluation, preferred operators), Nakhost and Mueller 2010 (action elimination).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.modules.quests.planning.domain import Fact, Schema, ground
from app.modules.quests.planning.grounding import Operator, Problem, Task, grounded

OPERATORS_SEEN_MAX = 3_000_000
"""Grounded actions looked at in one search: a bound of a few seconds for tasks with thousands of actions."""


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
    found = search(task, states_max)
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


def search(task: Task, states_max: int) -> Outcome:
    """A plan from `task.init`, perhaps with needless actions; Unsolvable only when every state was seen."""
    relaxed = _Relaxed(task)
    states_max = min(states_max, OPERATORS_SEEN_MAX // max(1, len(task.operators)))
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
