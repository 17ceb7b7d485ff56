"""All plans of a set of goals: for every state the cost of the best plan and its first action. The slow way, in numpy.

The costs are those of shortest ways in the graph of states, found from the goal backwards (Dijkstra 1959; here by
relaxing until nothing changes). `kernels.py` finds the same tables quickly. It knows no observation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior.goals.domain import PLAN_COST_MAX, Domain, Step, Wish
from app.modules.behavior.schema import U8

U16 = NDArray[np.uint16]
NOTHING = 255
"""No action: the goal is reached, or out of reach."""
FAR = 65_535
"""The cost of what is out of reach."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The plans of G goals over S states."""

    first: U8
    """(G, S) the first action of the cheapest plan, the first in the file among equals; NOTHING for none"""
    cost: U16
    """(G, S) its cost; FAR for out of reach, 0 where the goal is reached"""


Build = Callable[[Domain], Tables]


def build(domain: Domain) -> Tables:
    """The tables of a domain."""
    pairs = [_plans(domain.steps, wish, domain.states) for wish in domain.wishes]
    return Tables(np.stack([first for first, _ in pairs]), np.stack([cost for _, cost in pairs]))


def _plans(steps: tuple[Step, ...], wish: Wish, count: int) -> tuple[U8, U16]:
    """First actions and costs of all states for one goal."""
    states = np.arange(count)
    cost = np.where(states & wish.asks == wish.asked, 0, FAR).astype(np.int64)
    after = [states & ~step.changes | step.makes for step in steps]
    applies = [states & step.asks == step.asked for step in steps]
    for _ in range(PLAN_COST_MAX):
        before = cost.copy()
        for step, leads, may in zip(steps, after, applies, strict=True):
            found = cost[leads] + step.cost
            np.minimum(cost, np.where(may & (found <= PLAN_COST_MAX), found, FAR), out=cost)
        if (cost == before).all():
            break
    first = np.full(count, NOTHING, np.uint8)
    for number, (step, leads, may) in reversed(list(enumerate(zip(steps, after, applies, strict=True)))):
        first[may & (cost > 0) & (cost < FAR) & (cost[leads] + step.cost == cost)] = number
    return first, cost.astype(np.uint16)
