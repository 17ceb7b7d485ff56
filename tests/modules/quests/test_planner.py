"""The planner against a slow twin that tries everything."""

from __future__ import annotations

from itertools import pairwise, product
from types import MappingProxyType

from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from app.modules.quests.planning.domain import EventSpec, Fact, Pattern, Schema, deeds_of, ground, load_vocabulary
from app.modules.quests.planning.grounding import Problem
from app.modules.quests.planning.planner import Plan, Unknown, Unsolvable, replays, solve

OBJECTS = ("a", "b", "c")


def schema(number: int, pre: list[Pattern], add: list[Pattern], delete: list[Pattern]) -> Schema:
    return Schema(
        name=f"act{number}",
        params=("x", "y"),
        takes=MappingProxyType({}),
        pre=(("thing", 0), ("thing", 1), *pre),
        add=tuple(add),
        delete=tuple(delete),
        deed=add[0],
        cost=1.0 + number,
        event=EventSpec(verb="moved", actor="player"),
    )


patterns = st.one_of(
    st.tuples(st.sampled_from(["p", "q"]), st.sampled_from([0, 1])),
    st.tuples(st.just("r"), st.sampled_from([0, 1]), st.sampled_from([0, 1])),
)
facts = st.one_of(
    st.tuples(st.sampled_from(["p", "q"]), st.sampled_from(OBJECTS)),
    st.tuples(st.just("r"), st.sampled_from(OBJECTS), st.sampled_from(OBJECTS)),
)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    schemas = tuple(
        schema(
            number,
            draw(st.lists(patterns, max_size=2)),
            draw(st.lists(patterns, min_size=1, max_size=2)),
            draw(st.lists(patterns, max_size=2)),
        )
        for number in range(draw(st.integers(1, 3)))
    )
    init = draw(st.lists(facts, max_size=4))
    goals = draw(st.lists(facts, min_size=1, max_size=3))
    things = tuple(("thing", name) for name in OBJECTS)
    return Problem(init=(*things, *init), goals=tuple(goals), schemas=schemas, weights={})


def solvable(problem: Problem) -> bool:
    """Breadth first over every state, with every grounding tried in each."""
    start = frozenset(problem.init)
    seen, queue = {start}, [start]
    for state in queue:
        if state.issuperset(problem.goals):
            return True
        for action in problem.schemas:
            for args in product(OBJECTS, repeat=2):
                if all(ground(pattern, args) in state for pattern in action.pre):
                    gone = {ground(pattern, args) for pattern in action.delete}
                    after = (state - gone) | {ground(pattern, args) for pattern in action.add}
                    if after not in seen:
                        seen.add(after)
                        queue.append(after)
    return False


@limits(max_examples=150, deadline=None)
@given(problem=problems())
def test_a_plan_is_found_exactly_when_trying_everything_finds_one(problem: Problem) -> None:
    outcome = solve(problem, states_max=100_000, operators_max=100_000)
    assert not isinstance(outcome, Unknown)
    assert isinstance(outcome, Plan) == solvable(problem)
    if isinstance(outcome, Plan):
        assert replays(problem, [operator.name for operator in outcome.operators])


@limits(max_examples=60, deadline=None)
@given(problem=problems())
def test_no_single_action_of_a_plan_can_be_left_out(problem: Problem) -> None:
    outcome = solve(problem, states_max=100_000, operators_max=100_000)
    names = [operator.name for operator in outcome.operators] if isinstance(outcome, Plan) else []
    for index in range(len(names)):
        assert not replays(problem, names[:index] + names[index + 1 :])


def counter(most: int) -> Problem:
    """A chain of `most` states with only one way through."""
    step = schema(0, [("r", 0, 1), ("p", 0)], [("p", 1)], [("p", 0)])
    numbers = [str(number) for number in range(most + 1)]
    init: list[Fact] = [("thing", name) for name in numbers]
    init += [("r", a, b) for a, b in pairwise(numbers)]
    return Problem(init=(*init, ("p", "0")), goals=(("p", numbers[-1]),), schemas=(step,), weights={})


def test_a_cap_is_never_called_unsolvable() -> None:
    assert isinstance(solve(counter(30), states_max=10, operators_max=1_000), Unknown)
    assert isinstance(solve(counter(30), states_max=1_000, operators_max=10), Unknown)
    assert isinstance(solve(counter(30), states_max=1_000, operators_max=1_000), Plan)


def test_an_unreachable_goal_is_named() -> None:
    problem = counter(3)
    lost = Problem(init=problem.init[:-1], goals=problem.goals, schemas=problem.schemas, weights={})
    assert solve(lost, states_max=10, operators_max=100) == Unsolvable((("p", "3"),))


def test_a_goal_that_already_holds_needs_no_action() -> None:
    problem = counter(3)
    same = Problem(init=problem.init, goals=(("p", "0"),), schemas=problem.schemas, weights={})
    assert solve(same, states_max=10, operators_max=100) == Plan(())


def test_the_event_of_every_action_leaves_that_actions_deed() -> None:
    for action in load_vocabulary().schemas.values():
        args = [f"{name}-id" for name in action.params]
        event = action.happened(args, "hero")
        assert ground(action.deed, args) in deeds_of(event, "hero"), action.name
        assert deeds_of(event, "someone else") == ()
