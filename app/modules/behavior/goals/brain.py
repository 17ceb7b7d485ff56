"""A set of goals, compiled: what the behavior module holds of it.

Deciding is the same for all: facts to a state, a look into the plans, the goal wanted most. It also tells a plan.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Literal

import msgspec
import numpy as np

from app.core.errors import Invalid, nearest
from app.modules.behavior.goals import tables
from app.modules.behavior.goals.domain import Authored, Domain, Step, Wish, make_domain
from app.modules.behavior.goals.layout import lay_out
from app.modules.behavior.goals.tables import FAR, NOTHING
from app.modules.behavior.schema import F32, NONE, U8, Schema
from app.modules.behavior.trees.expressions import draw, holds, tick_seed
from app.modules.behavior.trees.limits import TreeLimits
from app.modules.behavior.trees.memory import U32, Memory, Moments, Outcome
from app.modules.behavior.trees.spots import Aim, Status
from app.modules.behavior.trees.ticker import Ticker


@dataclass(frozen=True, slots=True)
class Outlook:
    """What an NPC thinks of one goal."""

    name: str
    priority: float
    cost: int | None
    """Of the cheapest plan, 0 where the goal is reached; None where no plan reaches it."""
    verdict: Literal["chosen", "reached", "out of reach", "forbidden", "nobody to aim at", "not wanted", "outweighed"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an NPC does what it does."""

    facts: dict[str, bool]
    goals: tuple[Outlook, ...]
    plan: tuple[tuple[str, int], ...]
    """All actions that are left with their costs, should nothing else happen."""


class Slow:
    """Row by row in Python: about 15 us each."""

    name = "python"
    loop_rows_max = 16

    def __init__(self, goals: Goals) -> None:
        self._goals = goals

    def tick(
        self, obs: F32, mask: U8, handles: U32, memory: Memory, seed: int, number: int, dt_s: float, out: Outcome,
        first: int, last: int,
    ) -> None:  # fmt: skip
        """See Goals.tick."""
        moments, ticked = memory.take(handles[first:last]), tick_seed(seed, number)
        for row in range(first, last):
            keys = list(moments.floats[row - first])
            state = self._goals.state(obs[row], keys, int(handles[row]), ticked)
            chosen, target, wishes = self._goals.choose(state, obs[row], mask[row])
            out.status[row] = Status.RUNNING if chosen >= 0 else Status.FAILURE if wishes else Status.SUCCESS
            out.intents[row] = self._goals.domain.steps[chosen].intent if chosen >= 0 else NONE
            out.targets[row], out.leaf[row] = target, chosen


class Goals:
    """One file's goals for one schema, with all their plans."""

    def __init__(self, authored: Authored, schema: Schema, build: tables.Build = tables.build) -> None:
        self.authored, self.schema = authored, schema
        self.domain: Domain = make_domain(authored, schema)
        self.tables = build(self.domain)
        self.ticker: Ticker = Slow(self)

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that differ where the goals or the schema's layout do."""
        parts = (msgspec.json.encode(self.authored, order="deterministic"), self.schema.fingerprint.encode())
        return hashlib.sha256(b"\0".join(parts)).digest()

    @property
    def paths(self) -> tuple[str, ...]:
        """The name of each action by its number, as Outcome.leaf counts."""
        return tuple(step.name for step in self.domain.steps)

    def warm(self) -> None:
        """Load the kernels, or compile them; for a worker thread."""
        from app.modules.behavior.goals import kernels

        self.ticker = kernels.Fast(lay_out(self.domain), self.tables)

    def memory(self, capacity: int) -> Memory:
        """Fresh memory for that many NPCs: the keys of the blackboard, which only the game writes."""
        keys = self.domain.keys
        return Memory(capacity, bits=0, floats=len(keys), keys=keys, digest=self.digest)

    def tick(
        self, obs: F32, mask: U8, handles: U32, memory: Memory, seed: int, number: int, dt_s: float, out: Outcome,
        first: int, last: int,
    ) -> None:  # fmt: skip
        """Decide rows `first` to `last`; the arguments are those of trees.tree.Tree.tick.

        RUNNING is a plan under way, SUCCESS that all that is wanted holds, FAILURE that no plan reaches what is wanted;
        in the latter two there is no intent. `out.leaf` is the number of the action, -1 for none.
        """
        self.ticker.tick(obs, mask, handles, memory, seed, number, dt_s, out, first, last)

    def state(self, obs: F32, keys: list[np.float32], handle: int, ticked: int) -> int:
        """The facts of one row (features,) as bits."""
        found = 0
        for fact, expression in enumerate(self.domain.expressions):
            found |= holds(expression, obs, keys, draw(ticked, handle, fact)) << fact
        return found

    def choose(self, state: int, obs: F32, mask: U8) -> tuple[int, int, bool]:
        """The action of one NPC or -1, its target or NONE, and whether anything is wanted that does not hold."""
        best, chosen, aimed, wishes = np.float32(0.0), -1, NONE, False
        for number, wish in enumerate(self.domain.wishes):
            wanted = priority(wish, obs)
            wishes |= bool(wanted > 0.0) and not wish.reached(state)
            act = int(self.tables.first[number, state])
            if wanted > best and act != NOTHING and mask[self.domain.steps[act].intent]:
                target = target_of(self.domain.steps[act], self.schema, obs)
                if target != NONE or not self.domain.steps[act].must_aim:
                    best, chosen, aimed = wanted, act, target
        return chosen, aimed, wishes

    def explain(
        self, obs: F32, mask: U8, handle: int, before: Moments, seed: int, number: int, dt_s: float
    ) -> Explanation:
        """Why one NPC decided so; the arguments are those of trees.tree.Tree.explain."""
        state = self.state(obs, list(before.floats[0]), handle, tick_seed(seed, number))
        outlooks: list[Outlook] = []
        top = -1
        for place, wish in enumerate(self.domain.wishes):
            outlook = self._outlook(place, wish, state, obs, mask)
            if outlook.verdict == "outweighed" and (top < 0 or outlook.priority > outlooks[top].priority):
                top = place
            outlooks.append(outlook)
        if top >= 0:
            found = outlooks[top]
            outlooks[top] = Outlook(found.name, found.priority, found.cost, "chosen")
        facts = {name: bool(state >> fact & 1) for fact, name in enumerate(self.domain.facts)}
        return Explanation(facts, tuple(outlooks), tuple(self.plan(top, state)) if top >= 0 else ())

    def _outlook(self, number: int, wish: Wish, state: int, obs: F32, mask: U8) -> Outlook:
        wanted, cost = float(priority(wish, obs)), int(self.tables.cost[number, state])
        known = cost if cost != FAR else None
        act = int(self.tables.first[number, state])
        step = self.domain.steps[act] if act != NOTHING else None
        if wish.reached(state):
            return Outlook(wish.name, wanted, 0, "reached")
        if wanted <= 0.0:
            return Outlook(wish.name, wanted, known, "not wanted")
        if step is None:
            return Outlook(wish.name, wanted, None, "out of reach")
        if not mask[step.intent]:
            return Outlook(wish.name, wanted, cost, "forbidden")
        if step.must_aim and target_of(step, self.schema, obs) == NONE:
            return Outlook(wish.name, wanted, cost, "nobody to aim at")
        return Outlook(wish.name, wanted, cost, "outweighed")

    def plan(self, goal: int, state: int) -> list[tuple[str, int]]:
        """The cheapest plan for a goal from a state: actions with their costs; empty where there is none to make."""
        found = []
        while (act := int(self.tables.first[goal, state])) != NOTHING:
            step = self.domain.steps[act]
            found.append((step.name, step.cost))
            state = step.after(state)
        return found


def priority(wish: Wish, obs: F32) -> np.float32:
    """How much a row (features,) wants a goal; 0 where it is another role's."""
    wanted = np.float32(wish.weight)
    for column, start, slope in wish.ramps:
        height = (obs[column] - np.float32(start)) * np.float32(slope)
        wanted = wanted * min(max(height, np.float32(0.0)), np.float32(1.0))
    mine = not wish.roles or any(obs[column] != 0.0 for column in wish.roles)
    return wanted if mine else np.float32(0.0)


def target_of(step: Step, schema: Schema, obs: F32) -> int:
    """The slot that an action of a row (features,) aims at, or NONE."""
    if step.aim == Aim.NONE:
        return NONE
    trades, distance = schema.aim_columns.T
    slots = [slot for slot in schema.intents[step.intent].slots if obs[schema.slot_columns[slot]] > 0.0]
    if step.aim == Aim.TRADER:
        slots = [slot for slot in slots if obs[trades[slot]] > 0.0]
    return min(sorted(slots), key=lambda slot: float(obs[distance[slot]]), default=NONE)


def compile_goals(
    source: bytes, schema: Schema, *, format: Literal["toml", "json"], build: tables.Build = tables.build,
    limits: TreeLimits | None = None,
) -> Goals:  # fmt: skip
    """The goals of a file for a schema; raises Invalid with the place, the value and the nearest known name.

    `build` works the plans out: `tables.build` in numpy, `kernels.build` where numba is loaded.
    """
    most = (limits or TreeLimits()).source_bytes_max
    if len(source) > most:
        raise Invalid(f"the file has {len(source)} bytes", hint=f"at most {most}")
    decode = msgspec.toml.decode if format == "toml" else msgspec.json.decode
    try:
        authored = decode(source, type=Authored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"the goals cannot be read: {error}", hint="see docs/how-to/goals.md") from error
    return Goals(authored, schema, build)


def shipped(name: str, schema: Schema, build: tables.Build = tables.build) -> Goals:
    """The goals that ship under that name, such as `villager`; raises Invalid naming the nearest."""
    folder = resources.files("app.modules.behavior.goals") / "data"
    names = [path.name.removesuffix(".toml") for path in folder.iterdir()]
    if name not in names:
        raise Invalid(f"no goals {name!r} ship", hint=nearest(name, names))
    return compile_goals((folder / f"{name}.toml").read_bytes(), schema, format="toml", build=build)
