"""The filling of slots, compiled by numba: `candidates.fill` is the numpy twin that it equals.

It knows arrays alone. Importing this file imports numba, so only `module.warm` does.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from app.modules.behavior.candidates import EACH_MAX, Seats
from app.modules.behavior.compiled import HOUSE
from app.modules.behavior.kernels import E1, E2, E3, E4, E5, E6, LOG2_E, ROUND
from app.modules.behavior.schema import F32, NONE, U8

_F32, _U8, _INT = types.float32, types.uint8, types.intp


def _read(kind: types.Type, axes: int) -> types.Type:
    return types.Array(kind, axes, "C", readonly=True)


@HOUSE.inlined
def _exp(value: np.float32) -> np.float32:
    """logic.exp of one value, the same bits."""
    scaled = max(value, np.float32(-87.0)) * LOG2_E
    whole = (scaled + ROUND) - ROUND
    part = scaled - whole
    curve = E1 + part * (E2 + part * (E3 + part * (E4 + part * (E5 + part * E6))))
    power = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
    return np.float32(power * (np.float32(1.0) + part * curve))


@HOUSE.typed(
    _read(_INT, 1), _read(_INT, 2), _read(_F32, 1), _read(_INT, 1), _F32, _F32, _INT, _read(_F32, 3),
    _F32[:, ::1], _U8[:, ::1], _U8[::1], _INT, _INT,
)  # fmt: skip
def _fill(
    kinds: NDArray[np.intp], table: NDArray[np.intp], empty: F32, ends: NDArray[np.intp], log_high: np.float32,
    nearer: np.float32, last_kind: int, candidates: F32, obs: F32, picks: U8, broken: U8, first: int, last: int,
) -> None:  # fmt: skip
    each, width = candidates.shape[1], candidates.shape[2]
    far, kind = np.empty(EACH_MAX, np.float32), np.empty(EACH_MAX, np.int32)
    present, distance, goes_first = 1 + ends[0], 1 + ends[1], 1 + ends[2]
    for row in range(first, last):
        broken[row] = NONE
        for at in range(each):
            sound = True
            for column in range(width):
                sound &= np.isfinite(candidates[row, at, column])
            named = candidates[row, at, 0]
            kind[at] = -1
            if not (sound and named >= 0.0 and named <= last_kind and named == np.floor(named)):
                broken[row] = min(broken[row], at)
            elif candidates[row, at, present] > 0.0:
                kind[at] = np.int32(named)
                far[at] = candidates[row, at, distance]
                if log_high != 0.0:
                    far[at] = _exp(min(far[at] - np.float32(1.0), np.float32(0.0)) * log_high) - _exp(-log_high)
                if candidates[row, at, goes_first] > np.float32(0.5):
                    far[at] *= nearer
        for slot in range(len(kinds)):
            pick, best = NONE, np.float32(np.inf)
            for at in range(each):
                if kind[at] == kinds[slot] and far[at] < best:
                    pick, best = at, far[at]
            picks[row, slot] = pick
            for end in range(len(empty)):
                obs[row, table[slot, end]] = empty[end] if pick == NONE else candidates[row, pick, 1 + end]
            if pick != NONE:
                kind[pick] = -1


def fill(seats: Seats, candidates: F32, obs: F32, picks: U8, broken: U8, first: int, last: int) -> None:
    """See app.modules.behavior.candidates.fill."""
    _fill(
        seats.kinds, seats.table, seats.empty, seats.ends, seats.log_high, seats.nearer, seats.last_kind, candidates,
        obs, picks, broken, first, last,
    )  # fmt: skip
