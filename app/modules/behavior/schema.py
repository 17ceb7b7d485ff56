"""The observation and intent schema: names, units, ranges, the layout of every matrix.

It knows what a sound schema holds and encodes natural values; `schema_files.py` reads, expands and checks the
files. It does not know brains, worlds or the wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.errors import Invalid, nearest
from app.core.ids import stable_hash

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

NONE = 255
"""The number that stands for no intent and for no target."""


class Curve(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """0 at `start`, 1 at `end` (both in the feature's unit), held beyond, then raised to `power`."""

    feature: str
    start: float
    end: float
    power: float = 1.0


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
    slots: tuple[int, ...] = ()
    about: str


class Slot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One place for somebody whom an NPC sees; slots of a `kind` are filled from the best, in order."""

    kind: str
    about: str


class SlotColumns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of a slot's features mean what, by the end of their names (`slot0_hp` ends in `hp`).

    `present` is above 0 where somebody is in the slot, `distance` orders them, and `first` is 1 for somebody who
    is aimed at before all others. In filling slots, `first` makes its bearer count as `first_counts` as far.
    """

    present: str
    distance: str
    first: str
    first_counts: float


class Condition(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A comparison of one feature with a value in the feature's unit."""

    feature: str
    is_: Literal["<", "<=", ">", ">="]
    value: float

    def __str__(self) -> str:
        return f"{self.feature} {self.is_} {self.value:g}"


class Reflex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do where all of `when` hold; `roles` empty means everyone, also an NPC of no known role."""

    intent: str
    roles: tuple[str, ...] = ()
    when: tuple[Condition, ...] = ()

    def __str__(self) -> str:
        found = " and ".join(str(test) for test in self.when)
        return f"{self.intent} when {found}" if found else f"{self.intent} by default"


class Blend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A parameter's value for one intent: `start` where the product of the curves is 0, `end` where it is 1."""

    intent: str
    start: float
    end: float
    when: tuple[Curve, ...] = ()


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number that goes with an intent, such as how fast to move; `default` where no blend is for the intent."""

    name: str
    unit: str
    low: float
    high: float
    default: float
    about: str
    blends: tuple[Blend, ...] = ()


class Schema(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What NPCs of one kind of game see and may want."""

    name: str
    about: str
    roles: tuple[str, ...]
    places: tuple[Slot, ...]
    """What each slot is for."""
    slot_ends: SlotColumns
    intents: tuple[Intent, ...]
    features: tuple[Feature, ...]
    reflexes: tuple[Reflex, ...] = ()
    parameters: tuple[Parameter, ...] = ()

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return len(self.places)

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
    def role_index(self) -> dict[str, int]:
        return {role: index for index, role in enumerate(self.roles)}

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
    def kinds(self) -> tuple[str, ...]:
        """What slots are for, each once: a candidate's first number is 1 + the index here, 0 = nobody."""
        return tuple(dict.fromkeys(place.kind for place in self.places))

    @cached_property
    def slot_features(self) -> tuple[str, ...]:
        """The ends of the names of a slot's features, in order: the columns of a candidate after its kind."""
        prefix = "slot0_"
        return tuple(name.removeprefix(prefix) for name in self.feature_names if name.startswith(prefix))

    @cached_property
    def slot_table(self) -> NDArray[np.intp]:
        """(slots, slot features) the columns of every slot."""
        rows = [[self.columns[f"slot{slot}_{end}"] for end in self.slot_features] for slot in range(self.slots)]
        return np.array(rows, np.intp)

    @cached_property
    def empty_slot(self) -> F32:
        """(slot features,) what an empty slot holds: the distance at its highest, the rest 0."""
        found = np.zeros(len(self.slot_features), np.float32)
        at = self.slot_features.index(self.slot_ends.distance)
        found[at] = self.high[self.slot_table[0, at]]
        return found

    @cached_property
    def slot_columns(self) -> NDArray[np.intp]:
        """(slots,) columns of whether somebody is in the slot: 0 where it is empty."""
        return self.slot_table[:, self.slot_features.index(self.slot_ends.present)].copy()

    @cached_property
    def aim_columns(self) -> NDArray[np.intp]:
        """(slots, 2) columns of whether the slot's NPC is aimed at first and how far it is."""
        ends = [self.slot_features.index(end) for end in (self.slot_ends.first, self.slot_ends.distance)]
        return self.slot_table[:, ends].copy()

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

    @cached_property
    def _logs(self) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Which columns are on a log scale, and what each is divided by."""
        log = np.array([item.scale == "log" for item in self.features])
        high = np.array([item.high for item in self.features], np.float64)
        return log, np.where(log, np.log1p(np.where(log, high, 0.0)), high)

    def encode_at(self, values: NDArray[np.float64], columns: NDArray[np.intp]) -> F32:
        """Natural values (m,) of the features `columns` (m,) as matrix values; what is too large becomes infinite."""
        log, divisor = self._logs
        curved = log[columns]
        found = np.where(curved, np.log1p(np.where(curved, np.maximum(values, 0.0), 0.0)), values)
        with np.errstate(over="ignore"):
            encoded: F32 = (found / divisor[columns]).astype(np.float32)
        return encoded

    def encode(self, rows: Sequence[Mapping[str, float]]) -> F32:
        """Named natural values -> (rows, features) float32; a feature left out is 0; raises Invalid."""
        out = np.zeros((len(rows), len(self.features)), np.float32)
        for index, row in enumerate(rows):
            columns = np.array([self.column(name) for name in row], np.intp)
            out[index, columns] = self.encode_at(np.array(list(row.values()), np.float64), columns)
        return out

    def decode(self, row: F32) -> dict[str, float]:
        """One row (features,) -> named natural values, rounded to four digits."""
        pairs = zip(self.features, row.tolist(), strict=True)
        return {item.name: round(item.decode(value), 4) for item, value in pairs}


def load(name: str) -> Schema:
    """The shipped schema of that name."""
    from app.modules.behavior import schema_files  # which reads into the types above

    return schema_files.shipped(name)
