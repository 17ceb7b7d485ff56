"""What to say of single NPCs of a tick: one error each, the gravest, the first few in words.

It knows flags, faults and the schema; it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from app.core.errors import nearest
from app.modules.behavior.frames import Faults, Tick
from app.modules.behavior.logic import Flag
from app.modules.behavior.messages import Decide, Fault, RowError
from app.modules.behavior.schema import F32, NONE, U8, Schema

HINTS_MAX = 16
"""Different unknown names in one tick for which the nearest known one is looked up."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The first errors, and how many there are beyond them."""

    errors: tuple[RowError, ...]
    more: int


def gather(faults: Faults, flags: U8, *, strict: bool) -> None:
    """Add what the survey flagged to what reading found, in place."""
    kinds: tuple[tuple[int, Fault], ...] = (
        (Flag.UNKNOWN, "unknown_npc"),
        (Flag.IDLE, "nothing_allowed"),
        (Flag.NOT_FINITE, "not_finite"),
        (Flag.OUTSIDE if strict else 0, "out_of_range"),
    )
    seen = int(np.bitwise_or.reduce(flags, initial=0))
    for flag, code in kinds:
        if seen & flag:
            faults.mark((flags & flag) != 0, code)


def tell(request: Decide, schema: Schema, tick: Tick, most: int) -> Verdict:
    """The errors of the first `most` rows that have one."""
    rows = np.flatnonzero(tick.faults.codes != NONE)
    hints = _Hints()
    errors = tuple(_error(request, schema, tick, row, hints) for row in rows[:most].tolist())
    return Verdict(errors, max(0, len(rows) - most))


class _Hints:
    """The nearest names of the first few names that are unknown: searching takes a tenth of a millisecond each."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def of(self, name: str, known: Iterable[str]) -> str:
        if name not in self._found:
            if len(self._found) >= HINTS_MAX:
                return "see the schema"
            self._found[name] = nearest(name, known)
        return self._found[name]


def _error(request: Decide, schema: Schema, tick: Tick, row: int, hints: _Hints) -> RowError:
    code, about = tick.faults.about(row)
    npc = request.npcs[row] if request.npcs else str(tick.handles[row])
    return RowError(row=row, npc=npc, code=code, message=_words(code, about, schema, tick.obs[row], hints))


def _words(code: Fault, about: str, schema: Schema, obs: F32, hints: _Hints) -> str:
    """What happened and the mend; `obs` (features,) as sent."""
    told: dict[Fault, Callable[[], str]] = {
        "unknown_npc": lambda: "this world has no such NPC; upsert it first",
        "nothing_allowed": lambda: "the mask allows no intent; allow one",
        "unknown_archetype": lambda: f"no archetype {about!r}; {hints.of(about, schema.roles)}",
        "wrong_width": lambda: f"{about} values; send {len(schema.features)}, see the schema",
        "unknown_feature": lambda: f"no feature {about!r}; {hints.of(about, schema.columns)}",
        "not_finite": lambda: f"{about or _first_odd(schema, obs)}; send finite numbers",
        "out_of_range": lambda: _first_outside(schema, obs),
        "unknown_intent": lambda: f"no intent {about!r}; {hints.of(about, schema.intent_index)}",
        "broken_candidate": lambda: (
            f"candidate {about}; kinds are {', '.join(schema.kinds)}, "
            f"features {', '.join(schema.slot_features)}, all finite"
        ),
    }
    return told[code]()


def _first_odd(schema: Schema, obs: F32) -> str:
    column = int(np.flatnonzero(~np.isfinite(obs))[0])
    return f"{schema.feature_names[column]} is {float(obs[column])!r}"


def _first_outside(schema: Schema, obs: F32) -> str:
    column = int(np.flatnonzero((obs < schema.low) | (obs > schema.high))[0])
    item = schema.features[column]
    value = round(item.decode(float(obs[column])), 4)
    return f"{item.name} is {value!r} {item.unit}; send {item.low:g} to {item.high:g}"
