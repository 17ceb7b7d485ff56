"""The observation and intent schema: names, units, ranges, the layout of every matrix.

It reads a TOML once and encodes natural values; it does not know brains, worlds or the wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import resources
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, nearest
from app.core.ids import stable_hash

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

NONE = 255
"""The number that stands for no intent and for no target slot."""


class Feature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column: `low` and `high` in `unit`; log = log1p(value) / log1p(high), linear = value / high."""

    name: str
    unit: str
    low: float
    high: float
    scale: Literal["linear", "log"]
    about: str

    def encode(self, value: float) -> float:
        """The matrix value of `value`, not clipped; negative logs are taken as 0."""
        if self.scale == "log":
            return float(np.log1p(max(0.0, value)) / np.log1p(self.high))
        return value / self.high

    def decode(self, value: float) -> float:
        """The natural value of a matrix value."""
        if self.scale == "log":
            return float(np.expm1(value * np.log1p(self.high)))
        return value * self.high


class Intent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing an NPC may want; `slots` are those that it may aim at."""

    name: str
    slots: tuple[int, ...]
    about: str


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """What NPCs of one kind of game see and may want."""

    name: str
    roles: tuple[str, ...]
    slots: int
    intents: tuple[Intent, ...]
    features: tuple[Feature, ...]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the layout: feature names with their scales, intents and slots, in order."""
        columns = [f"{item.name}:{item.scale}:{item.high!r}" for item in self.features]
        return f"{stable_hash(*columns, '|', *self.intent_names, self.slots):016x}"

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.features)

    @cached_property
    def intent_names(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.intents)

    @cached_property
    def columns(self) -> dict[str, int]:
        """Feature name -> column."""
        return {item.name: column for column, item in enumerate(self.features)}

    @cached_property
    def intent_index(self) -> dict[str, int]:
        return {item.name: index for index, item in enumerate(self.intents)}

    @cached_property
    def low(self) -> F32:
        """Lowest matrix value of each column, (features,)."""
        return np.array([item.encode(item.low) for item in self.features], np.float32)

    @cached_property
    def high(self) -> F32:
        """Highest matrix value of each column, (features,)."""
        return np.array([item.encode(item.high) for item in self.features], np.float32)

    @cached_property
    def aims(self) -> U8:
        """(intents, slots) uint8: 1 where the intent may aim at the slot."""
        table = np.zeros((len(self.intents), self.slots), np.uint8)
        for row, intent in enumerate(self.intents):
            table[row, list(intent.slots)] = 1
        return table

    @cached_property
    def slot_columns(self) -> NDArray[np.intp]:
        """(slots,) columns of the slots' health, which is 0 where a slot is empty."""
        return np.array([self.columns[f"slot{slot}_hp"] for slot in range(self.slots)], np.intp)

    @cached_property
    def aim_columns(self) -> NDArray[np.intp]:
        """(slots, 2) columns of whether the slot's NPC trades and how far it is."""
        names = [(f"slot{slot}_trades", f"slot{slot}_distance") for slot in range(self.slots)]
        return np.array([[self.columns[name] for name in pair] for pair in names], np.intp)

    @cached_property
    def role_columns(self) -> NDArray[np.intp]:
        return np.array([self.columns[f"is_{role}"] for role in self.roles], np.intp)

    def block(self, prefix: str) -> slice:
        """The columns `prefix`_<intent>, which lie side by side."""
        first = self.columns[f"{prefix}_{self.intents[0].name}"]
        return slice(first, first + len(self.intents))

    def column(self, name: str) -> int:
        """The column of a feature; raises Invalid naming the nearest known one."""
        found = self.columns.get(name)
        if found is None:
            raise Invalid(f"schema {self.name!r} has no feature {name!r}", hint=nearest(name, self.columns))
        return found

    def encode(self, rows: Sequence[Mapping[str, float]]) -> F32:
        """Named natural values -> (rows, features) float32; a feature left out is 0."""
        out = np.zeros((len(rows), len(self.features)), np.float32)
        for index, row in enumerate(rows):
            for name, value in row.items():
                column = self.column(name)
                out[index, column] = self.features[column].encode(value)
        return out

    def decode(self, row: F32) -> dict[str, float]:
        """One row (features,) -> named natural values, rounded to four digits."""
        pairs = zip(self.features, row.tolist(), strict=True)
        return {item.name: round(item.decode(value), 4) for item, value in pairs}


def load(name: str) -> Schema:
    """The shipped schema of that name."""
    folder = resources.files("app.modules.behavior") / "schemas"
    return msgspec.toml.decode((folder / f"{name}.toml").read_bytes(), type=Schema)
