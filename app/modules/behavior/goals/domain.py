"""What an author writes of goals, and the same as numbers: facts, actions, goals.

It checks names against the schema; plans are in `tables.py`, deciding in `brain.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from app.core.errors import Invalid, nearest
from app.modules.behavior.schema import Schema
from app.modules.behavior.trees.expressions import Expression, parse
from app.modules.behavior.trees.limits import TreeLimits
from app.modules.behavior.trees.nodes import Key, Label, Text
from app.modules.behavior.trees.scopes import Board, Scope
from app.modules.behavior.trees.spots import Aim

FACTS_MAX = 16
"""Facts of a set: its tables have a row for each of their 2**16 states."""
ACTIONS_MAX = 64
GOALS_MAX = 16
COST_MAX = 64
"""What an action may cost."""
PLAN_COST_MAX = 1_000
"""What a plan may cost; a goal that only a dearer one reaches counts as out of reach."""

FactName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
States = Annotated[dict[FactName, bool], msgspec.Meta(max_length=FACTS_MAX)]


class Ramp(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """0 at `start`, 1 at `end` (both in the feature's unit), held beyond."""

    feature: str
    start: float
    end: float


class Action(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an NPC can do about its facts, and the intent that does it."""

    name: Label
    intent: Label
    effects: Annotated[States, msgspec.Meta(min_length=1)]
    """Facts as they will be."""
    needs: States = {}
    """Facts as they must be."""
    cost: Annotated[int, msgspec.Meta(ge=1, le=COST_MAX)] = 1
    target: Literal["nearest", "trader", "none"] = "nearest"
    must_aim: bool = False
    """Not while nobody is there to aim at."""


class Goal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts that an NPC wants; its priority is the weight times every ramp."""

    name: Label
    wants: Annotated[States, msgspec.Meta(min_length=1)]
    weight: Annotated[float, msgspec.Meta(gt=0, le=1_000)] = 1.0
    when: Annotated[tuple[Ramp, ...], msgspec.Meta(max_length=8)] = ()
    roles: Annotated[tuple[Label, ...], msgspec.Meta(max_length=64)] = ()
    """Whose goal it is; empty means everybody's."""


class Authored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file: facts by name with their expressions, actions, goals."""

    schema: Label
    facts: Annotated[dict[FactName, Text], msgspec.Meta(min_length=1, max_length=FACTS_MAX)]
    actions: Annotated[tuple[Action, ...], msgspec.Meta(min_length=1, max_length=ACTIONS_MAX)]
    goals: Annotated[tuple[Goal, ...], msgspec.Meta(min_length=1, max_length=GOALS_MAX)]
    about: str = ""
    blackboard: Annotated[dict[Key, float], msgspec.Meta(max_length=64)] = {}


@dataclass(frozen=True, slots=True)
class Step:
    """An action as bits over facts: applicable where state & `asks` == `asked`; then state & ~`changes` | `makes`."""

    name: str
    intent: int
    aim: Aim
    must_aim: bool
    cost: int
    asks: int
    asked: int
    changes: int
    makes: int

    def applies(self, state: int) -> bool:
        return state & self.asks == self.asked

    def after(self, state: int) -> int:
        """The state that it leads to."""
        return state & ~self.changes | self.makes


@dataclass(frozen=True, slots=True)
class Wish:
    """A goal as bits over facts: reached where state & `asks` == `asked`."""

    name: str
    asks: int
    asked: int
    weight: float
    ramps: tuple[tuple[int, float, float], ...]
    """Column, where the ramp is 0 and one over its width, encoded."""
    roles: tuple[int, ...]
    """Columns of the roles; none of them means all."""

    def reached(self, state: int) -> bool:
        return state & self.asks == self.asked


@dataclass(frozen=True, slots=True)
class Domain:
    """A set of goals for a schema, as numbers."""

    schema: Schema
    facts: tuple[str, ...]
    expressions: tuple[Expression, ...]
    steps: tuple[Step, ...]
    wishes: tuple[Wish, ...]
    keys: dict[str, float]

    @property
    def states(self) -> int:
        """How many there are."""
        return 1 << len(self.facts)


def make_domain(authored: Authored, schema: Schema) -> Domain:
    """The numbers of a file; raises Invalid with the place, the value and the nearest known name."""
    if authored.schema != schema.name:
        raise Invalid(f"the goals are for schema {authored.schema!r}", hint=f"this world's is {schema.name!r}")
    board = Board(schema, TreeLimits().keys_max)
    scope = Scope.root(board, authored.blackboard, "blackboard")
    facts = tuple(authored.facts)
    return Domain(
        schema=schema,
        facts=facts,
        expressions=tuple(parse(text, scope, f"fact {name!r}") for name, text in authored.facts.items()),
        steps=tuple(_step(action, facts, schema) for action in authored.actions),
        wishes=tuple(_wish(goal, facts, schema) for goal in authored.goals),
        keys=board.keys,
    )


def _bits(wanted: Mapping[str, bool], facts: tuple[str, ...], place: str) -> tuple[int, int]:
    """Which facts, and which of them are true."""
    asks = asked = 0
    for name, value in wanted.items():
        if name not in facts:
            raise Invalid(f"{place} names the unknown fact {name!r}", hint=nearest(name, facts))
        asks |= 1 << facts.index(name)
        asked |= value << facts.index(name)
    return asks, asked


def _step(action: Action, facts: tuple[str, ...], schema: Schema) -> Step:
    place = f"action {action.name!r}"
    if action.intent not in schema.intent_index:
        raise Invalid(f"{place} names intent {action.intent!r}", hint=nearest(action.intent, schema.intent_index))
    intent = schema.intent_index[action.intent]
    slots = schema.intents[intent].slots
    aim = {"nearest": Aim.NEAREST, "trader": Aim.TRADER, "none": Aim.NONE}[action.target] if slots else Aim.NONE
    if aim == Aim.NONE and (action.must_aim or action.target == "trader"):
        raise Invalid(f"{place} aims at nobody", hint=f"leave target and must_aim of {action.intent!r} out")
    asks, asked = _bits(action.needs, facts, place)
    changes, makes = _bits(action.effects, facts, place)
    if asks & changes == changes and asked & changes == makes:
        raise Invalid(f"{place} changes nothing", hint="its effects are what it needs")
    return Step(action.name, intent, aim, action.must_aim, action.cost, asks, asked, changes, makes)


def _wish(goal: Goal, facts: tuple[str, ...], schema: Schema) -> Wish:
    place = f"goal {goal.name!r}"
    asks, asked = _bits(goal.wants, facts, place)
    for role in goal.roles:
        if role not in schema.roles:
            raise Invalid(f"{place} names role {role!r}", hint=nearest(role, schema.roles))
    ramps = []
    for ramp in goal.when:
        column = schema.column(ramp.feature)
        start, end = (schema.features[column].encode(value) for value in (ramp.start, ramp.end))
        if start == end:
            raise Invalid(f"{place} has a ramp of {ramp.feature!r} without width", hint="let from and to differ")
        ramps.append((column, start, 1.0 / (end - start)))
    roles = tuple(schema.columns[f"is_{role}"] for role in goal.roles)
    return Wish(goal.name, asks, asked, goal.weight, tuple(ramps), roles)
