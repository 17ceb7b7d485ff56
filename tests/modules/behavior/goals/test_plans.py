"""Plans: optimal by brute force on random domains, the same from numpy and from the kernel, and deciding by them."""

from __future__ import annotations

import heapq
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.modules.behavior.goals import brain, kernels, tables
from app.modules.behavior.goals.domain import PLAN_COST_MAX, Action, Authored, Domain, Goal, Ramp, make_domain
from app.modules.behavior.goals.tables import FAR, NOTHING, Tables
from app.modules.behavior.schema import NONE
from app.modules.behavior.trees.memory import Outcome
from tests.modules.behavior.stage import LAYOUT
from tests.modules.behavior.trees import forest

BUILDS = {"numpy": tables.build, "numba": kernels.build}


def random_file(seed: int, facts: int, actions: int, goals: int) -> Authored:
    rng = random.Random(seed)
    names = [f"f{index}" for index in range(facts)]

    def some(least: int, most: int) -> dict[str, bool]:
        return {name: rng.random() < 0.5 for name in rng.sample(names, rng.randint(least, min(most, facts)))}

    made: list[Action] = []
    while len(made) < actions:
        needs, effects = some(0, 3), some(1, 3)
        if not effects.items() <= needs.items():
            intent = rng.choice(LAYOUT.intents)
            target = rng.choice(("nearest", "trader", "none")) if intent.slots else "none"
            made.append(
                Action(
                    name=f"a{len(made)}", intent=intent.name, needs=needs, effects=effects,
                    cost=rng.choice((1, 2, 5, 64)), target=target, must_aim=target != "none" and rng.random() < 0.5,
                )
            )  # fmt: skip
    ramps = (Ramp("hunger", 0.2, 0.8), Ramp("hp", 1.0, 0.0), Ramp("gold", 0.0, 50.0))
    wishes = tuple(
        Goal(
            name=f"g{index}", wants=some(1, 3), weight=rng.choice((0.5, 1, 2)),
            when=tuple(rng.sample(ramps, rng.randint(0, 2))),
            roles=tuple(rng.sample(LAYOUT.roles, rng.choice((0, 0, 2)))),
        )
        for index in range(goals)
    )  # fmt: skip
    texts = {name: forest.expression(rng) for name in names}
    return Authored(
        schema="open_world", facts=texts, actions=tuple(made), goals=wishes, blackboard=forest.KEYS
    )  # fmt: skip


def cheapest(domain: Domain, goal: int) -> list[int]:
    """The cost of the best plan of every state by a search forward from each, FAR where there is none."""
    wish, found = domain.wishes[goal], []
    for start in range(domain.states):
        best = {start: 0}
        heap = [(0, start)]
        answer = FAR
        while heap:
            cost, state = heapq.heappop(heap)
            if cost > best[state]:
                continue
            if wish.reached(state):
                answer = cost if cost <= PLAN_COST_MAX else FAR
                break
            for step in domain.steps:
                if step.applies(state):
                    after = step.after(state)
                    if cost + step.cost < best.get(after, FAR):
                        best[after] = cost + step.cost
                        heapq.heappush(heap, (cost + step.cost, after))
        found.append(answer)
    return found


@pytest.mark.parametrize("build", BUILDS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), facts=st.integers(1, 8), actions=st.integers(1, 9))
def test_every_plan_is_as_cheap_as_a_search_finds(build: str, seed: int, facts: int, actions: int) -> None:
    domain = make_domain(random_file(seed, facts, actions, 2), LAYOUT)
    found = BUILDS[build](domain)
    for goal, wish in enumerate(domain.wishes):
        costs = cheapest(domain, goal)
        assert found.cost[goal].tolist() == costs
        for start in range(domain.states):
            state, paid = start, 0
            while (act := found.first[goal, state]) != NOTHING:
                assert domain.steps[act].applies(state)
                state, paid = domain.steps[act].after(state), paid + domain.steps[act].cost
            assert wish.reached(state) == (costs[start] != FAR)
            assert costs[start] in (FAR, paid)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 14))
def test_the_kernel_makes_the_tables_of_its_twin(seed: int, facts: int, actions: int) -> None:
    domain = make_domain(random_file(seed, facts, actions, 3), LAYOUT)
    slow, fast = tables.build(domain), kernels.build(domain)
    assert fast.first.tobytes() == slow.first.tobytes()
    assert fast.cost.tobytes() == slow.cost.tobytes()


def test_sixteen_facts_are_planned_alike() -> None:
    domain = make_domain(random_file(3, 16, 20, 2), LAYOUT)
    slow, fast = tables.build(domain), kernels.build(domain)
    assert (fast.first.tobytes(), fast.cost.tobytes()) == (slow.first.tobytes(), slow.cost.tobytes())


def test_a_plan_that_costs_too_much_counts_as_out_of_reach() -> None:
    """A counter of ten bits: the cheapest way to all ones costs one an increment, or far more than is allowed."""
    names = [f"f{index}" for index in range(11)]
    steps = tuple(
        Action(
            name=name, intent="rest", needs={**dict.fromkeys(names[:index], True), name: False},
            effects={**dict.fromkeys(names[:index], False), name: True},
        )
        for index, name in enumerate(names)
    )  # fmt: skip
    wants = dict.fromkeys(names, True)
    file = Authored(
        schema="open_world", facts=dict.fromkeys(names, "hp > 0.5"), actions=steps, goals=(Goal(name="g", wants=wants),)
    )
    domain = make_domain(file, LAYOUT)
    for build in BUILDS.values():
        cost = build(domain).cost[0]
        assert cost[2047] == 0
        assert cost[2047 - PLAN_COST_MAX] == PLAN_COST_MAX
        assert cost[2047 - PLAN_COST_MAX - 1] == FAR


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from((1, 5, 64, 70, 200)), st.floats(0, 1))
def test_both_ways_to_decide_give_the_same_bits_however_the_batch_is_cut(seed: int, count: int, cut: float) -> None:
    file = random_file(seed, 6, 8, 4)
    slow, fast = brain.Goals(file, LAYOUT), brain.Goals(file, LAYOUT)
    fast.warm()
    generator = np.random.default_rng(seed)
    obs, mask = forest.rows(generator, count)
    for role in LAYOUT.roles:
        obs[:, LAYOUT.columns[f"is_{role}"]] = generator.integers(0, 2, count)
    handles, memory = generator.permutation(count).astype(np.uint32), slow.memory(count - 1)
    memory.floats[:] = generator.integers(0, 3, memory.floats.shape)
    outs = Outcome.of(count), Outcome.of(count)
    slow.tick(obs, mask, handles, memory, seed, 3, 0.1, outs[0], 0, count)
    split = int(count * cut)
    fast.tick(obs, mask, handles, memory, seed, 3, 0.1, outs[1], split, count)
    fast.tick(obs, mask, handles, memory, seed, 3, 0.1, outs[1], 0, split)
    for one, other in zip(*((out.status, out.intents, out.targets, out.leaf) for out in outs), strict=True):
        assert one.tobytes() == other.tobytes()
    before = memory.take(handles)
    for row in range(min(count, 5)):
        one_row = type(before)(before.bits[row : row + 1], before.floats[row : row + 1])
        told = slow.explain(obs[row], mask[row], int(handles[row]), one_row, seed, 3, 0.1)
        chosen = [goal for goal in told.goals if goal.verdict == "chosen"]
        acts = outs[0].intents[row] != NONE
        assert len(chosen) == acts == bool(told.plan)
        if acts:
            assert told.plan[0][0] == slow.paths[outs[0].leaf[row]]
            assert chosen[0].cost == sum(cost for _, cost in told.plan)


def test_looking_up_is_indexing() -> None:
    domain = make_domain(random_file(5, 10, 12, 1), LAYOUT)
    found: Tables = kernels.build(domain)
    states = np.random.default_rng(1).integers(0, domain.states, 999).astype(np.uint16)
    out = np.empty(999, np.uint8)
    kernels.look_up(states, found.first[0], out)
    assert (out == found.first[0][states]).all()
