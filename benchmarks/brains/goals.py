"""How fast goals are planned for every state of 16 facts, and how fast 10,000 NPCs decide by the plans.

The peer is the usual way: a search (A* with no heuristic, that is Dijkstra's) for each NPC in each tick, in Python, on
the same domain; its plans cost the same.
"""

from __future__ import annotations

import heapq
import statistics

import numpy as np
from report import Report, interleaved, seconds

from app.modules.behavior import schema
from app.modules.behavior.goals import brain, kernels, tables
from app.modules.behavior.goals.domain import Action, Authored, Domain, Goal, make_domain
from app.modules.behavior.trees.memory import Outcome

LAYOUT = schema.load("open_world")
NPCS = 10_000
FACTS = 16


def measure(report: Report, rounds: int) -> None:
    """Add the figures of goals; a few seconds."""
    domain = chain()
    kernels.build(domain)
    took = statistics.median(seconds(lambda: kernels.build(domain)) for _ in range(max(5, rounds // 10)))
    report.add("goal_plan_ms", took * 1e3 / len(domain.wishes), "ms", "lower", goal=0.9)
    slow = statistics.median(seconds(lambda: tables.build(domain)) for _ in range(3))
    report.add(
        "goal_plan_numpy_ratio", slow / took, "ratio", "higher", peer="its numpy twin, ms a goal",
        peer_value=slow * 1e3 / len(domain.wishes),
    )  # fmt: skip
    made = kernels.build(domain)
    states = np.random.default_rng(1).integers(0, domain.states, NPCS).astype(np.uint16)
    out, first = np.empty(NPCS, np.uint8), np.ascontiguousarray(made.first[0])
    some = states[:20].tolist()
    assert [search(domain, 0, state) for state in some] == made.cost[0][some].tolist()
    times = interleaved(
        {
            "look up": lambda: kernels.look_up(states, first, out),
            "search": lambda: [search(domain, 0, state) for state in some],
        },
        rounds=max(10, rounds // 5),
    )
    theirs = times["search"] / len(some) * NPCS
    report.add(
        "goal_lookup_us_10k", times["look up"] * 1e6, "us", "lower", goal=10, peer="a search per NPC in Python, us",
        peer_value=theirs * 1e6,
    )  # fmt: skip
    decide(report, rounds)


def decide(report: Report, rounds: int) -> None:
    """The whole decision of the villager that ships: facts, priorities, plans, targets."""
    goals = brain.shipped("villager", LAYOUT, kernels.build)
    goals.warm()
    obs = np.random.default_rng(2).random((NPCS, len(LAYOUT.features)), np.float32)
    mask, handles = np.ones((NPCS, len(LAYOUT.intents)), np.uint8), np.arange(NPCS, dtype=np.uint32)
    memory, out = goals.memory(1), Outcome.of(NPCS)
    took = interleaved(
        {"all": lambda: goals.tick(obs, mask, handles, memory, 1, 1, 0.1, out, 0, NPCS)}, rounds=max(20, rounds // 5)
    )
    report.add("goal_decide_us_10k", took["all"] * 1e6, "us", "lower")
    report.add("goal_decisions_per_s", NPCS / took["all"], "1/s", "higher")


def chain() -> Domain:
    """16 facts and 20 actions: two long chains of needs, each with shortcuts that cost more."""
    names = [f"f{number}" for number in range(FACTS)]
    actions = []
    for number, name in enumerate(names):
        needs = {names[number - 1]: True} if number % 8 else {}
        actions.append(Action(name=name, intent="work", needs=needs, effects={name: True}, cost=1 + number % 4))
    for number in (2, 5, 10, 13):
        effects = {names[number]: True, names[number + 1]: True, names[number - 2]: False}
        actions.append(Action(name=f"short {number}", intent="trade", effects=effects, cost=9))
    goals = tuple(Goal(name=f"g{number}", wants={names[number]: True, names[15]: True}) for number in (3, 7, 9, 14))
    facts = dict.fromkeys(names, "hp > 0.5")
    return make_domain(Authored(schema="open_world", facts=facts, actions=tuple(actions), goals=goals), LAYOUT)


def search(domain: Domain, goal: int, start: int) -> int:
    """The cost of the best plan from a state, by a search forward."""
    wish, best, heap = domain.wishes[goal], {start: 0}, [(0, start)]
    while heap:
        cost, state = heapq.heappop(heap)
        if wish.reached(state):
            return cost
        if cost == best[state]:
            for step in domain.steps:
                if step.applies(state):
                    after = step.after(state)
                    if cost + step.cost < best.get(after, tables.FAR):
                        best[after] = cost + step.cost
                        heapq.heappush(heap, (cost + step.cost, after))
    return tables.FAR
