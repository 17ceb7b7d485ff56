"""A domain laid out flat, as the kernel takes it.

It knows the kernel's tables, not numba.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior.goals.domain import Domain
from app.modules.behavior.schema import F32, U8
from app.modules.behavior.trees.expressions import Kind

I32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of observations are places in `used`."""

    expressions: I32
    """(facts, 2) tokens from and to"""
    tokens: I32
    terms: I32
    """(terms, 4) kind, a, b, negated"""
    bounds: F32
    """(terms, 3) low, high, scale"""
    used: NDArray[np.intp]
    slots: I32
    """(slots, 3) a slot's health, trade and distance"""
    acts: I32
    """(actions, 3) intent, aim, must aim"""
    wishes: I32
    """(goals, 4) ramps from and to, roles from and to"""
    ramps: I32
    """(ramps,) columns"""
    ramp_of: F32
    """(ramps, 2) where it is 0, one over its width"""
    roles: I32
    """(roles of goals,) columns"""
    weights: F32
    """(goals,)"""
    aims: U8
    keys: int


def lay_out(domain: Domain) -> Layout:
    """The tables of a domain."""
    schema, used = domain.schema, _Used()
    tokens: list[int] = []
    terms: list[list[int]] = []
    bounds: list[tuple[float, float, float]] = []
    spans = []
    for fact, expression in enumerate(domain.expressions):
        base, start = len(terms), len(tokens)
        tokens.extend(token if token < 0 else base + token for token in expression.tokens)
        for term in expression.terms:
            sees = term.kind in (Kind.FEATURE, Kind.FEATURE_KEY)
            a = used.place(term.a) if sees else fact if term.kind == Kind.CHANCE else term.a
            terms.append([int(term.kind), a, term.b, int(term.negated)])
            bounds.append((term.low, term.high, term.scale))
        spans.append((start, len(tokens)))
    slots = [
        [used.place(int(column)) for column in (schema.slot_columns[slot], *schema.aim_columns[slot])]
        for slot in range(schema.slots)
    ]
    wishes: list[tuple[int, int, int, int]] = []
    ramps: list[int] = []
    roles: list[int] = []
    for wish in domain.wishes:
        wishes.append((len(ramps), len(ramps) + len(wish.ramps), len(roles), len(roles) + len(wish.roles)))
        ramps.extend(used.place(column) for column, _, _ in wish.ramps)
        roles.extend(used.place(column) for column in wish.roles)
    ramp_of = [ramp[1:] for wish in domain.wishes for ramp in wish.ramps]
    return Layout(
        expressions=np.array(spans, np.int32),
        tokens=np.array(tokens, np.int32),
        terms=np.array(terms, np.int32).reshape(-1, 4),
        bounds=np.array(bounds, np.float32).reshape(-1, 3),
        used=np.array(used.columns, np.intp),
        slots=np.array(slots, np.int32).reshape(-1, 3),
        acts=np.array([[step.intent, int(step.aim), int(step.must_aim)] for step in domain.steps], np.int32),
        wishes=np.array(wishes, np.int32),
        ramps=np.array(ramps, np.int32),
        ramp_of=np.array(ramp_of, np.float32).reshape(-1, 2),
        roles=np.array(roles, np.int32),
        weights=np.array([wish.weight for wish in domain.wishes], np.float32),
        aims=schema.aims,
        keys=len(domain.keys),
    )


class _Used:
    """The columns that are read, each once."""

    def __init__(self) -> None:
        self.columns: list[int] = []

    def place(self, column: int) -> int:
        """Where a column is among them."""
        if column not in self.columns:
            self.columns.append(column)
        return self.columns.index(column)
