"""What to say of single NPCs of a tick: one error each, the gravest, the first few in words.

It knows flags, faults and the schema; it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.core.errors import nearest
from app.modules.behavior.frames import Faults, Tick
from app.modules.behavior.logic import Flag
from app.modules.behavior.messages import Decide, Fault, RowError
from app.modules.behavior.schema import F32, NONE, U8, Schema


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
    return Verdict(tuple(_error(request, schema, tick, row) for row in rows[:most].tolist()), max(0, len(rows) - most))


def _error(request: Decide, schema: Schema, tick: Tick, row: int) -> RowError:
    code, about = tick.faults.about(row)
    npc = request.npcs[row] if request.npcs else str(tick.handles[row])
    return RowError(row=row, npc=npc, code=code, message=_words(code, about, schema, tick.obs[row]))


def _words(code: Fault, about: str, schema: Schema, obs: F32) -> str:
    """What happened and the mend; `obs` (features,) as sent."""
    told: dict[Fault, Callable[[], str]] = {
        "unknown_npc": lambda: "this world has no such NPC; upsert it first",
        "nothing_allowed": lambda: "the mask allows no intent; allow one",
        "unknown_archetype": lambda: f"no archetype {about!r}; {nearest(about, schema.roles)}",
        "wrong_width": lambda: f"{about} values; send {len(schema.features)}, see the schema",
        "unknown_feature": lambda: f"no feature {about!r}; {nearest(about, schema.columns)}",
        "not_finite": lambda: f"{about or _first_odd(schema, obs)}; send finite numbers",
        "out_of_range": lambda: _first_outside(schema, obs),
        "unknown_intent": lambda: f"no intent {about!r}; {nearest(about, schema.intent_index)}",
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
