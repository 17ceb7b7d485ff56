"""What steering, schedules and squads do to a tick, as compiled loops: the same bits as the numpy twins, no GIL.

It knows arrays alone; `Steering.lay`, `Timetable.ask` and `squads.gather` are the twins. Importing this file imports
numba and loads or compiles the kernels, so only `module.warm` does.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import types
from numpy.typing import NDArray

from app.modules.behavior.compiled import HOUSE
from app.modules.behavior.schedules import ATAN, DAYS, HALF_TURN, HOURS, HOURS_IN_RADIAN, QUARTER, SALT, TURN
from app.modules.behavior.schema import F32, U8

UNKNOWN = np.uint32(0xFFFF_FFFF)
HALF, ZERO, ONE = np.float32(0.5), np.float32(0.0), np.float32(1.0)
A0, A1, A2, A3, A4 = (np.float32(value) for value in ATAN)
STEP = np.float32(2.0**-23)


def _read(kind: types.Type, axes: int, layout: Literal["C", "A"] = "C") -> types.Type:
    """An array that a kernel only reads; a writable one may be given as well."""
    return types.Array(kind, axes, layout, readonly=True)


_F32, _U8, _U32, _I16, _I32, _INT = (
    types.float32, types.uint8, types.uint32, types.int16, types.int32, types.intp,
)  # fmt: skip


@HOUSE.inlined
def height(obs: F32, row: int, columns: NDArray[np.intp], start: F32, slope: F32, power: F32, at: int) -> np.float32:
    """The height of one curve for one row."""
    found = (obs[row, columns[at]] - start[at]) * slope[at]
    found = min(max(found, ZERO), ONE)
    return found if power[at] == ONE else found ** power[at]  # type: ignore[no-any-return]  # a float32


@HOUSE.typed(
    _read(_F32, 2), _read(_U8, 2), _read(_INT, 1), _read(_F32, 1), _read(_F32, 1), _read(_F32, 1), _read(_INT, 2),
    _read(_F32, 1), _read(_F32, 2), _read(_U8, 1), _read(_INT, 1), _F32[:, ::1], _U8[:, ::1], _INT, _INT,
)  # fmt: skip
def steer(
    obs: F32, mask: U8, columns: NDArray[np.intp], start: F32, slope: F32, power: F32, heads: NDArray[np.intp],
    bonuses: F32, roles: F32, cast: U8, role_columns: NDArray[np.intp], bonus: F32, laid: U8, first: int, last: int,
) -> None:  # fmt: skip
    """Add each rule's bonus to `bonus` and write the mask without vetoed intents into `laid`."""
    intents = mask.shape[1]
    vetoed = np.empty(intents, np.uint8)
    for row in range(first, last):
        vetoed[:] = 0
        for rule in range(len(heads)):
            product = ONE
            for at in range(heads[rule, 1], heads[rule, 2]):
                product *= height(obs, row, columns, start, slope, power, at)
            if cast[rule] != 0:
                share = ZERO
                for role in range(len(role_columns)):
                    share += roles[rule, role] * obs[row, role_columns[role]]
                product *= share
            intent = heads[rule, 0]
            if heads[rule, 3] != 0:
                vetoed[intent] |= product > HALF
            else:
                bonus[row, intent] += product * bonuses[rule]
        left = 0
        for intent in range(intents):
            laid[row, intent] = mask[row, intent] if vetoed[intent] == 0 else 0
            left |= laid[row, intent]
        if left == 0:
            for intent in range(intents):
                laid[row, intent] = mask[row, intent]


@HOUSE.inlined
def time_of_day(sine: float, cosine: float) -> np.float32:
    """Hours in [0, 24), -1 without a clock."""
    high, low = max(abs(cosine), abs(sine)), min(abs(cosine), abs(sine))
    if not high > ZERO:
        return np.float32(-1.0)
    share = low / high
    square = share * share
    angle = share * (A0 + square * (A1 + square * (A2 + square * (A3 + square * A4))))
    if abs(sine) > abs(cosine):
        angle = QUARTER - angle
    if cosine < ZERO:
        angle = HALF_TURN - angle
    if sine < ZERO:
        angle = TURN - angle
    found = angle * HOURS_IN_RADIAN
    return found - HOURS if found >= HOURS else found


@HOUSE.inlined
def lateness(handle: int) -> np.float32:
    """How late an NPC is by nature, in [-1, 1)."""
    z = (np.uint64(handle) + np.uint64(SALT) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = (z ^ (z >> np.uint64(31))) >> np.uint64(40)
    return np.float32(z) * STEP - ONE


@HOUSE.typed(
    _read(_F32, 2), _read(_I16, 1), _read(_U32, 1), _INT, _read(_INT, 1), _read(_F32, 1), _read(_F32, 1),
    _read(_F32, 1), _read(_F32, 2), _read(_INT, 2), _read(_INT, 2), _read(_F32, 1), _INT, _INT, _INT, _INT,
    _I16[::1], _INT, _INT,
)  # fmt: skip
def ask(
    obs: F32, which: NDArray[np.int16], handles: NDArray[np.uint32], day: int, columns: NDArray[np.intp], start: F32,
    slope: F32, power: F32, blocks: F32, heads: NDArray[np.intp], spans: NDArray[np.intp], jitter: F32, sine: int,
    cosine: int, told_first: int, told_last: int, told: NDArray[np.int16], first: int, last: int,
) -> None:  # fmt: skip
    """Write each row's scheduled intent into `told` where that is -1 and the row tells none itself."""
    for row in range(first, last):
        schedule = which[row]
        silent = told[row] >= 0 or schedule < 0
        for column in range(told_first, told_last):
            silent |= obs[row, column] != ZERO
        if silent:
            continue
        for at in range(spans[schedule, 2], spans[schedule, 3]):
            silent |= height(obs, row, columns, start, slope, power, at) > HALF
        time = time_of_day(obs[row, sine], obs[row, cosine])
        if silent or time < ZERO:
            continue
        time += lateness(handles[row]) * jitter[schedule]
        today = day
        if time < ZERO:
            time, today = time + HOURS, day - 1
        elif time >= HOURS:
            time, today = time - HOURS, day + 1
        for at in range(spans[schedule, 0], spans[schedule, 1]):
            begin, end = blocks[at, 0], blocks[at, 1]
            wraps = end <= begin
            inside = (time >= begin or time < end) if wraps else (time >= begin and time < end)
            since = today - 1 if wraps and time < begin else today
            if not inside or (heads[at, 3] >> ((since % DAYS + DAYS) % DAYS)) & 1 == 0:
                continue
            product = ONE
            for one in range(heads[at, 1], heads[at, 2]):
                product *= height(obs, row, columns, start, slope, power, one)
            if product > HALF:
                told[row] = heads[at, 0]
                break


@HOUSE.typed(
    _U8[::1], _read(_U8, 1), _INT, _read(_U32, 2), _read(_U8, 2), _read(_F32, 2), _read(_I32, 1), _read(_U32, 1),
    _U32[::1],
)  # fmt: skip
def gather(
    targets: U8, intents: U8, attack: int, candidates: NDArray[np.uint32], may: U8, threat: F32,
    squads: NDArray[np.int32], focus: NDArray[np.uint32], chosen: NDArray[np.uint32],
) -> None:  # fmt: skip
    """Turn each squad's attackers to one foe, in place; write whom into `chosen` (squads,)."""
    width = candidates.shape[1]
    starts = np.zeros(len(focus) + 1, np.int64)
    for row in range(len(targets)):
        if squads[row] >= 0 and intents[row] == attack:
            starts[squads[row] + 1] += 1
    for squad in range(len(focus)):
        starts[squad + 1] += starts[squad]
    order, filled = np.empty(starts[-1], np.int64), starts[:-1].copy()
    for row in range(len(targets)):
        if squads[row] >= 0 and intents[row] == attack:
            order[filled[squads[row]]] = row
            filled[squads[row]] += 1
    for squad in range(len(focus)):
        mine = order[starts[squad] : starts[squad + 1]]
        seen = False
        for row in mine:
            for at in range(width):
                seen |= may[row, at] != 0 and candidates[row, at] == focus[squad]
        whom = focus[squad] if seen and focus[squad] != UNKNOWN else UNKNOWN
        if whom == UNKNOWN:
            most, worst = 0, ZERO
            for row in mine:
                if targets[row] >= width or candidates[row, targets[row]] == UNKNOWN:
                    continue
                foe = candidates[row, targets[row]]
                votes, danger = 0, np.float32(-np.inf)
                for other in mine:
                    at = targets[other]
                    if at < width and candidates[other, at] == foe:
                        votes += 1
                        danger = max(danger, threat[other, at])
                better = votes > most or (votes == most and danger > worst)
                if better or (votes == most and danger == worst and foe < whom):
                    whom, most, worst = foe, votes, danger
        chosen[squad] = whom
        if whom == UNKNOWN:
            continue
        for row in mine:
            for at in range(width):
                if may[row, at] != 0 and candidates[row, at] == whom:
                    targets[row] = at
                    break
