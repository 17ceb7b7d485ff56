"""The last rung: the schema's own list of safe defaults, tried from the top, for all NPCs at once.

It needs no engine and no file beside the schema. Pure numpy; it does not know who asks or why the others failed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.modules.behavior import logic
from app.modules.behavior.logic import UTILITY_SHARPNESS, Choice
from app.modules.behavior.schema import F32, U8, Condition, Reflex, Schema

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class Reflexes:
    """The reflexes of a schema, compiled: each condition is looked at once, however many lines have it."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        roles = [Condition(f"is_{role}", ">", 0.5) for role in schema.roles]
        self._conditions = list(dict.fromkeys([*roles, *(each for line in schema.reflexes for each in line.when)]))
        self._columns = np.array([schema.columns[each.feature] for each in self._conditions], np.intp)
        encoded = [schema.features[at].encode for at in self._columns]
        values = [encode(each.value) for encode, each in zip(encoded, self._conditions, strict=True)]
        self._values = np.array(values, np.float32)
        number = {each: at for at, each in enumerate(self._conditions)}
        self._lines = [
            (schema.intent_index[line.intent], [schema.roles.index(role) for role in line.roles],
             [number[each] for each in line.when])
            for line in schema.reflexes
        ]  # fmt: skip

    def follow(self, obs: F32, mask: U8) -> Choice:
        """What everyone does: the first line that holds and is allowed, else the first intent that is allowed."""
        aim = logic.nearest_slots(self._schema, obs)
        return logic.choose(
            self._schema, obs, mask, self.score(obs, mask), aim, sharpness=UTILITY_SHARPNESS, taste=None
        )

    def score(self, obs: F32, mask: U8) -> F32:
        """1 for the intent of the line that holds, 0 for all others (n, intents)."""
        scores = np.zeros((len(obs), len(self._schema.intents)), np.float32)
        fired = self.fire(obs, mask)
        rows = np.flatnonzero(fired >= 0)
        intents = np.array([intent for intent, _, _ in self._lines], np.intp)
        scores[rows, intents[fired[rows]]] = 1.0
        return scores

    def fire(self, obs: F32, mask: U8) -> NDArray[np.int16]:
        """Which line holds for each row (n,), -1 for none: `obs` (n, features), `mask` (n, intents)."""
        seen = np.ascontiguousarray(obs[:, self._columns].T)  # (conditions, n)
        holds = [
            COMPARISONS[each.is_](values, value)
            for each, values, value in zip(self._conditions, seen, self._values, strict=True)
        ]
        found = np.full(len(obs), -1, np.int16)
        free = np.ones(len(obs), np.bool_)
        for at, (intent, roles, conditions) in enumerate(self._lines):
            hit = free & (mask[:, intent] != 0)
            for condition in conditions:
                hit &= holds[condition]
            if roles:
                hit &= np.logical_or.reduce([holds[role] for role in roles])
            found[hit] = at
            free &= ~hit
        return found

    def line(self, obs: F32, mask: U8) -> Reflex | None:
        """The line that holds for one row: `obs` (features,), `mask` (intents,)."""
        fired = int(self.fire(obs[None], mask[None])[0])
        return self._schema.reflexes[fired] if fired >= 0 else None
