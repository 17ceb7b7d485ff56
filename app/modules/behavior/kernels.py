"""The passes over a tick's rows, compiled by numba: each row is read once, no matrix between the steps, no GIL.

It knows arrays alone; `passes.Slow` is the numpy twin that every kernel equals. Importing this file imports
numba and loads or compiles the kernels (seconds on a machine's first start), so only `module.warm` does.

Rows are taken in blocks of LANES and turned around inside a block, so that the innermost loops run over NPCs
and become vector instructions. Nothing is reordered: sums and products keep the order of the twin.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import types
from numpy.typing import NDArray

from app.modules.behavior.compiled import HOUSE
from app.modules.behavior.considerations import Rules
from app.modules.behavior.logic import EXP_2, Choice, Flag, Taste
from app.modules.behavior.schema import F32, NONE, U8, Schema

LANES = 64
NOTHING = np.float32(-1e30)
LOG2_E = np.float32(1.4426950408889634)
ROUND = np.float32(12_582_912.0)
E1, E2, E3, E4, E5, E6 = (np.float32(value) for value in EXP_2)

UNKNOWN, NOT_FINITE, IDLE, OUTSIDE, ROLELESS = (
    int(flag) for flag in (Flag.UNKNOWN, Flag.NOT_FINITE, Flag.IDLE, Flag.OUTSIDE, Flag.ROLELESS)
)


def _read(kind: types.Type, axes: int, layout: Literal["C", "A"] = "C") -> types.Type:
    """An array that a kernel only reads; a writable one may be given as well."""
    return types.Array(kind, axes, layout, readonly=True)


_F32, _U8, _U32, _U64, _INT = types.float32, types.uint8, types.uint32, types.uint64, types.intp


@HOUSE.typed(
    _read(_F32, 2), _read(_U8, 2), _read(_U32, 1), _U32, _read(_F32, 1), _read(_F32, 1), _read(_INT, 1), _U8[::1],
    _INT, _INT,
)  # fmt: skip
def survey(
    obs: F32, mask: U8, handles: NDArray[np.uint32], known: int, low: F32, high: F32, roles: NDArray[np.intp],
    flags: U8, first: int, last: int,
) -> int:  # fmt: skip
    """Write each row's flags; returns all of them together."""
    seen = 0
    for row in range(first, last):
        inside = 0
        for column in range(obs.shape[1]):
            value = obs[row, column]
            inside += (value >= low[column]) & (value <= high[column])
        allowed = 0
        for intent in range(mask.shape[1]):
            allowed |= mask[row, intent]
        flag = 0
        if inside != obs.shape[1]:
            flag = OUTSIDE
            for column in range(obs.shape[1]):
                if not np.isfinite(obs[row, column]):
                    flag = NOT_FINITE
        if allowed == 0:
            flag |= IDLE
        if handles[row] >= known:
            flag |= UNKNOWN
        named = 0  # Whole numbers and no branch: a role is different in every row.
        for role in range(len(roles)):
            named |= int(obs[row, np.uint64(roles[role])] != 0.0)
        flag |= (1 - named) * ROLELESS
        flags[row] = flag
        seen |= flag
    return seen


@HOUSE.typed(
    _read(_F32, 2), _read(_U8, 2), _read(_F32, 2, "A"), _read(_F32, 2, "A"), _read(_U32, 1), _U64, _read(_F32, 2),
    _read(_U8, 2), _read(_INT, 1), _read(_INT, 1), _F32, _U8[::1], _U8[::1], _F32[::1], _U8[::1], _INT, _INT,
)  # fmt: skip
def choose(
    obs: F32, mask: U8, scores: F32, aim: F32, handles: NDArray[np.uint32], seed: int, table: F32,
    aims: U8, slot_columns: NDArray[np.intp], led: NDArray[np.intp], sharpness: float,
    intents: U8, targets: U8, confidence: F32, sound: U8, first: int, last: int,
) -> int:  # fmt: skip
    """Write the decisions and which rows are sound; returns how many are not."""
    options, slots = scores.shape[1], aim.shape[1]
    tastes = np.uint64(len(table) - 1)
    # Rows of LANES numbers: what a block's NPCs have of one option or slot.
    legal = np.zeros((options, LANES), np.float32)
    there, aimed = np.zeros((slots, LANES), np.float32), np.zeros((slots, LANES), np.float32)
    top, total, height = np.empty(LANES, np.float32), np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    best, target, may = np.empty(LANES, np.int32), np.empty(LANES, np.int32), np.empty(LANES, np.int32)
    odd, leads, taste = np.zeros(LANES, np.float32), np.ones(LANES, np.float32), np.zeros(LANES, np.uint64)
    open_to = np.zeros(options, np.int32)  # the slots of each intent, as bits
    for option in range(options):
        for slot in range(slots):
            if aims[option, slot] != 0:
                open_to[option] |= np.int32(1) << np.int32(slot)
    unsound = 0
    for start in range(first, last, LANES):
        end = min(start + LANES, last)
        count = end - start
        seen, allowed, scored, aim_at = obs[start:end], mask[start:end], scores[start:end], aim[start:end]
        names = handles[start:end]
        for lane in range(count):
            z = (np.uint64(names[lane]) + np.uint64(seed) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            taste[lane] = (z ^ (z >> np.uint64(31))) & tastes
        for lane in range(count):
            strange = np.float32(0.0)
            for option in range(options):
                score = scored[lane, option]
                strange += score - score  # 0, or NaN where the score is no number or infinite
                wanted = (score + table[taste[lane], option]) * np.float32(sharpness)
                legal[option, lane] = wanted if allowed[lane, option] != 0 else NOTHING
            odd[lane] = strange
        for lane in range(count):
            for slot in range(slots):
                aimed[slot, lane], there[slot, lane] = aim_at[lane, slot], seen[lane, slot_columns[slot]]
        if len(led) > 0:
            for lane in range(count):
                role_there = np.float32(0.0)
                for role in range(len(led)):
                    role_there = max(role_there, abs(seen[lane, led[role]]))
                leads[lane] = role_there
        for lane in range(LANES):
            top[lane], best[lane], total[lane] = legal[0, lane], 0, 0.0
        for option in range(1, options):
            for lane in range(LANES):
                better = legal[option, lane] > top[lane]
                top[lane] = legal[option, lane] if better else top[lane]
                best[lane] = np.int32(option) if better else best[lane]
        for option in range(options):
            for lane in range(LANES):
                x = max(legal[option, lane] - top[lane], np.float32(-87.0)) * LOG2_E
                whole = (x + ROUND) - ROUND
                part = x - whole
                curve = E1 + part * (E2 + part * (E3 + part * (E4 + part * (E5 + part * E6))))
                power = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
                total[lane] += power * (np.float32(1.0) + part * curve)
        for lane in range(LANES):
            may[lane] = open_to[best[lane]] if top[lane] > NOTHING else np.int32(0)
            height[lane], target[lane] = np.float32(-np.inf), np.int32(NONE)
        for slot in range(slots):
            bit = np.int32(1) << np.int32(slot)
            for lane in range(LANES):
                odd[lane] += aimed[slot, lane] - aimed[slot, lane]
                open_slot = ((may[lane] & bit) != 0) & (there[slot, lane] > np.float32(0.0))
                better = open_slot & (aimed[slot, lane] > height[lane])
                height[lane] = aimed[slot, lane] if better else height[lane]
                target[lane] = np.int32(slot) if better else target[lane]
        for lane in range(count):
            row, some = start + lane, top[lane] > NOTHING
            intents[row] = best[lane] if some else NONE
            confidence[row] = np.float32(1.0) / total[lane] if some else np.float32(0.0)
            targets[row] = target[lane]
            fine = (leads[lane] != np.float32(0.0)) & (odd[lane] == np.float32(0.0))
            sound[row] = fine
            unsound += not fine
    return unsound


@HOUSE.typed(
    _read(_F32, 2), _read(_INT, 1), _read(_INT, 1), _read(_F32, 2), _read(_INT, 2), _read(_F32, 1), _read(_INT, 1),
    _read(_F32, 1), _read(_F32, 1), _read(_F32, 1), _F32, _INT, _F32, _INT, _read(_INT, 2), _F32[:, ::1],
    _F32[:, ::1], _INT, _INT,
)  # fmt: skip
def weigh(
    obs: F32, used: NDArray[np.intp], roles: NDArray[np.intp], allowed: F32, heads: NDArray[np.intp], weights: F32,
    places: NDArray[np.intp], begin: F32, slope: F32, power: F32, held: float, doing: int, told: float, told_at: int,
    slot_columns: NDArray[np.intp], scores: F32, aim: F32, first: int, last: int,
) -> None:  # fmt: skip
    """Write the utilities of all intents and the scores of all slots.

    `used` are the columns that a block copies; `roles` and `places` point into those. `allowed` (roles, sets) has
    each set of roles once. `heads` (options, 4): an option's intent, its set, its considerations from and to.
    """
    intents, slots = scores.shape[1], aim.shape[1]
    values = np.zeros((len(used), LANES), np.float32)
    sets = np.empty((allowed.shape[1], LANES), np.float32)
    product = np.empty(LANES, np.float32)
    best = np.empty((intents, LANES), np.float32)
    for start in range(first, last, LANES):
        count = min(LANES, last - start)
        for lane in range(count):
            for at in range(len(used)):
                values[at, lane] = obs[start + lane, used[at]]
        sets[:] = 0.0
        for kind in range(len(sets)):
            for role in range(len(roles)):
                place, one = roles[role], allowed[role, kind]
                for lane in range(LANES):
                    sets[kind, lane] += one * values[place, lane]
        best[:] = 0.0
        before = -1
        for option in range(len(heads)):
            intent, kind, weight = heads[option, 0], heads[option, 1], weights[option]
            for lane in range(LANES):
                product[lane] = 1.0
            for at in range(heads[option, 2], heads[option, 3]):
                place, low, rise, bend = places[at], begin[at], slope[at], power[at]
                if bend == 1.0:
                    for lane in range(LANES):
                        height = (values[place, lane] - low) * rise
                        product[lane] *= min(max(height, np.float32(0.0)), np.float32(1.0))
                else:
                    for lane in range(LANES):
                        height = (values[place, lane] - low) * rise
                        product[lane] *= min(max(height, np.float32(0.0)), np.float32(1.0)) ** bend
            for lane in range(LANES):
                product[lane] *= weight * sets[kind, lane]
            if intent != before:
                best[intent] = product
            else:
                for lane in range(LANES):
                    best[intent, lane] = max(best[intent, lane], product[lane])
            before = intent
        for lane in range(count):
            row = start + lane
            for intent in range(intents):
                score = best[intent, lane] + np.float32(held) * obs[row, doing + intent]
                scores[row, intent] = score + np.float32(told) * obs[row, told_at + intent]
            for slot in range(slots):
                trades, distance = obs[row, slot_columns[slot, 0]], obs[row, slot_columns[slot, 1]]
                aim[row, slot] = np.float32(2.0) * trades - distance


class Fast:
    """See app.modules.behavior.passes.Passes."""

    name = "numba"
    loop_rows_max = 8_192

    def __init__(self, schema: Schema, rules: Rules) -> None:
        self._schema, self._aims, self._slots = schema, schema.aims, schema.slot_columns
        self._low, self._high, self._roles = schema.low, schema.high, schema.role_columns
        used, places = np.unique(np.concatenate([schema.role_columns, rules.columns]), return_inverse=True)
        roles = len(schema.roles)
        power = np.ones(len(rules.columns), np.float32)
        power[rules.bent] = rules.power[:, 0]
        last = np.append(rules.first[1:], len(rules.columns))
        intents = [schema.intent_index[option.intent] for option in rules.options]
        sets, kinds = np.unique(rules.allowed, axis=1, return_inverse=True)
        heads = np.stack([np.array(intents, np.intp), kinds.ravel(), rules.first, last], axis=1)
        self._rules = (
            used, places[:roles].copy(), np.ascontiguousarray(sets), heads, rules.weights[:, 0].copy(),
            places[roles:].copy(), rules.start[:, 0].copy(), rules.slope[:, 0].copy(), power, rules.held,
            schema.block("doing").start, rules.told, schema.block("told").start, schema.aim_columns,
        )  # fmt: skip

    def survey(
        self, obs: F32, mask: U8, handles: NDArray[np.uint32], known: int, flags: U8, first: int, last: int
    ) -> int:
        return survey(obs, mask, handles, known, self._low, self._high, self._roles, flags, first, last)

    def choose(
        self, obs: F32, mask: U8, taste: Taste, led: NDArray[np.intp], sharpness: float,
        choice: Choice, sound: U8, first: int, last: int,
    ) -> int:  # fmt: skip
        return choose(
            obs, mask, choice.scores, choice.aim, taste.handles, taste.seed, taste.table, self._aims, self._slots, led,
            sharpness, choice.intents, choice.targets, choice.confidence, sound, first, last,
        )  # fmt: skip

    def weigh(self, obs: F32, choice: Choice, first: int, last: int) -> None:
        weigh(obs, *self._rules, choice.scores, choice.aim, first, last)
