"""What NPCs see: the observation of `schemas/open_world.toml`, its mask and its target slots.

Compiled and in place, for a whole state at once. The NPCs of a village are swept in order of x, so each meets only
those within sight along that axis, in vector instructions. It changes nothing in the state.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from app.learning.envs.compiled import compiled
from app.learning.envs.village import (
    ATTACK,
    EAT,
    F32,
    FEATURES,
    FLEE,
    FOLLOW,
    GUARD,
    I8,
    I32,
    MERCHANT,
    PATROL,
    PREDATOR,
    PREY,
    SIGHT_CELLS,
    SLOTS,
    STAND,
    STOCK_MAX,
    TALK,
    TRADE,
    VILLAGER,
    WORK,
    Village,
)  # fmt: skip

COUNT_COLUMN, SLOT_COLUMN, DOING_COLUMN, TOLD_COLUMN = 20, 24, 40, 52
"""Where the counts, the slots, the present intent and the directive begin in a row."""
DEAL_SHARE = np.float32(0.06)
"""By how much the square of the way to someone who would trade counts: as if a quarter as far."""
FAR_LOG, GOLD_LOG = np.float32(math.log1p(512.0)), np.float32(math.log1p(1000.0))

QUARRY = (1 << PREDATOR, 0, 0, 0b10111, 0)
"""Whom each role hunts, as bits of roles."""
HUNTERS = (1 << PREDATOR, 1 << PREDATOR, 1 << PREDATOR, 1 << GUARD, 1 << PREDATOR)
"""Who hunts each role."""
KIN = (0b00111, 0b00111, 0b00111, 1 << PREDATOR, 1 << PREY)
"""Who is of its kind: people, predators or prey."""

_SIGHT_SQUARE = np.float32(SIGHT_CELLS * SIGHT_CELLS)
_BAND_CELLS = np.float32(SIGHT_CELLS + 0.01)
_SIGHT_BITS, _UNSEEN = _SIGHT_SQUARE.view(np.int32), np.int32(0x7FFFFFFF)
_GUARDS = np.int32(1 << GUARD)
_NOBODY = np.int64(0x7FFFFFFFFFFFFFFF)
_SQRT_HALF_BITS, _ONE_BITS = np.int32(0x3F3504F3), np.int32(0x3F800000)
_LN_2 = np.float32(math.log(2.0))
_ATANH = tuple(np.float32(2.0 / power) for power in (1, 3, 5, 7, 9))


class Senses:
    """Buffers for one state, reused every tick.

    `obs` (V, n, 64) float32, `mask` (V, n, 12) uint8, `targets` (V, n, 4) int32: index of the NPC in each
    slot, -1 = empty. `order` (V, n) int32 holds the NPCs by x, to be sorted the faster.
    """

    def __init__(self, villages: int, npcs: int) -> None:
        self.obs: F32 = np.zeros((villages, npcs, FEATURES), np.float32)
        self.mask: NDArray[np.uint8] = np.zeros((villages, npcs, 12), np.uint8)
        self.targets: I32 = np.full((villages, npcs, SLOTS), -1, np.int32)
        self.order: I32 = np.tile(np.arange(npcs, dtype=np.int32), (villages, 1))

    def look(self, village: Village) -> None:
        """Bring the buffers up to date with `village`."""
        look(village, self.order, self.targets, self.obs, self.mask)


@compiled
def look(village: Village, order: I32, targets: I32, obs: F32, mask: NDArray[np.uint8]) -> None:
    """Fill `targets`, `obs` and `mask`, shaped as in Senses; `order` is any order of the NPCs, and is sorted."""
    scan(village, order, targets, obs)
    observe(village, targets, obs)
    allow(village, obs, mask)


@compiled
def trades(role: int, stock: float, gold: float) -> int:
    """1 for a villager with goods to sell, -1 for a merchant who can buy, else 0; a deal needs both."""
    if role == VILLAGER and stock > 0.5:
        return 1
    if role == MERCHANT and stock < STOCK_MAX - 0.5 and gold > 1.0:
        return -1
    return 0


@compiled
def _sort(x: F32, order: I32) -> None:
    """By insertion: a tick changes an order little."""
    for at in range(1, len(order)):
        who, place = order[at], at
        while place > 0 and x[order[place - 1]] > x[who]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = who


@compiled
def scan(village: Village, order: I32, targets: I32, obs: F32) -> None:
    """Fill `targets` (V, n, 4) and the counts in `obs` (V, n, 64).

    Targets are the two nearest foes in sight, then the two nearest friends in sight; someone who would trade counts
    as a quarter as far and is known beyond sight. Among equals the lower index comes first.
    """
    villages, npcs = village.x.shape
    xs, ys = np.empty(npcs, np.float32), np.empty(npcs, np.float32)
    kinds, deals = np.empty(npcs, np.int32), np.empty(npcs, np.int32)
    for v in range(villages):
        line = order[v]
        _sort(village.x[v], line)
        for at in range(npcs):
            i = line[at]
            xs[at], ys[at] = village.x[v, i], village.y[v, i]
            living = village.alive[v, i] == 1
            kinds[at] = 1 << village.role[v, i] if living else 0
            deals[at] = trades(village.role[v, i], village.stock[v, i], village.gold[v, i]) if living else 0
        _sweep(xs, ys, kinds, deals, line, village.role[v], targets[v], obs[v])
        _find_deals(xs, ys, deals, line, targets[v])


@compiled
def _sweep(xs: F32, ys: F32, kinds: I32, deals: I32, line: I32, role: I8, targets: I32, obs: F32) -> None:
    """Foes, friends and counts in sight. A key is the square of a distance, as its bits, above the NPC's index."""
    npcs = len(xs)
    near = np.empty(npcs, np.int32)
    first = last = 0
    for at in range(npcs):
        x, y, me, deal = xs[at], ys[at], line[at], deals[at]
        quarry, hunters, kin = np.int32(QUARRY[role[me]]), np.int32(HUNTERS[role[me]]), np.int32(KIN[role[me]])
        while xs[first] < x - _BAND_CELLS:
            first += 1
        while last < npcs and xs[last] <= x + _BAND_CELLS:
            last += 1
        band = range(np.uintp(first), np.uintp(last))  # Unsigned: no index counts from the end, and loops are vectors.
        for k in band:
            square = (xs[k] - x) * (xs[k] - x) + (ys[k] - y) * (ys[k] - y)
            near[k] = np.float32(square).view(np.int32)
        near[at] = _UNSEEN
        guards = partners = hunted_by = hunted = np.int32(0)
        foe = friend = _NOBODY
        for k in band:
            kind = kinds[k] if near[k] <= _SIGHT_BITS else np.int32(0)
            wants = (deals[k] * deal < 0) & (kind != 0)
            guards += np.int32((kind & _GUARDS) != 0)
            partners += np.int32(wants)
            hunted_by += np.int32((kind & hunters) != 0)
            hunted += np.int32((kind & quarry) != 0)
            key = (np.int64(near[k]) << np.int64(32)) | np.int64(line[k])
            foe = min(foe, key if (kind & (hunters | quarry)) != 0 else _NOBODY)
            friend = min(friend, key if ((kind & kin) != 0) & (not wants) else _NOBODY)
        foe_2 = friend_2 = _NOBODY
        for k in band:
            kind = kinds[k] if near[k] <= _SIGHT_BITS else np.int32(0)
            key = (np.int64(near[k]) << np.int64(32)) | np.int64(line[k])
            foe_2 = min(foe_2, key if ((kind & (hunters | quarry)) != 0) & (key != foe) else _NOBODY)
            wants = (deals[k] * deal < 0) & (kind != 0)
            friend_2 = min(friend_2, key if ((kind & kin) != 0) & (not wants) & (key != friend) else _NOBODY)
        targets[me, 0], targets[me, 1] = _who(foe), _who(foe_2)
        targets[me, 2], targets[me, 3] = _who(friend), _who(friend_2)
        obs[me, COUNT_COLUMN] = min(1.0, guards / 8.0)
        obs[me, COUNT_COLUMN + 1] = min(1.0, partners / 8.0)
        obs[me, COUNT_COLUMN + 2] = min(1.0, hunted_by / 8.0)
        obs[me, COUNT_COLUMN + 3] = min(1.0, hunted / 8.0)


@compiled
def _who(key: np.int64) -> np.int32:
    return np.int32(-1) if key == _NOBODY else np.int32(key & np.int64(0xFFFFFFFF))


@compiled
def _key(xs: F32, ys: F32, at: int, other: int, who: int, share: np.float32) -> np.int64:
    dx, dy = xs[other] - xs[at], ys[other] - ys[at]
    return (np.int64(np.float32(share * (dx * dx + dy * dy)).view(np.int32)) << np.int64(32)) | np.int64(who)


@compiled
def _find_deals(xs: F32, ys: F32, deals: I32, line: I32, targets: I32) -> None:
    """Let those who would trade compete for the friends' slots, searched outward along x until none can be nearer."""
    npcs = len(xs)
    place = np.empty(npcs, np.int32)
    for at in range(npcs):
        place[line[at]] = at
    for side in (1, -1):
        partners = np.flatnonzero(deals == -side)
        begin = 0
        for at in range(npcs if len(partners) else 0):
            if deals[at] != side:
                continue
            while begin < len(partners) and partners[begin] < at:
                begin += 1
            me = line[at]
            best = best_2 = _NOBODY
            for slot in (2, 3):
                if targets[me, slot] >= 0:
                    key = _key(xs, ys, at, place[targets[me, slot]], targets[me, slot], np.float32(1.0))
                    best, best_2 = (key, best) if key < best else (best, min(best_2, key))
            for way in (1, -1):
                k = begin if way == 1 else begin - 1
                while 0 <= k < len(partners):
                    other = partners[k]
                    dx = xs[other] - xs[at]
                    if np.int64(np.float32(DEAL_SHARE * (dx * dx)).view(np.int32)) > best_2 >> np.int64(32):
                        break
                    key = _key(xs, ys, at, other, line[other], DEAL_SHARE)
                    if key < best:
                        best, best_2 = key, best
                    elif key < best_2:
                        best_2 = key
                    k += way
            targets[me, 2], targets[me, 3] = _who(best), _who(best_2)


@compiled
def is_night(clock_s: float, day_s: float) -> bool:
    """Night is the quarter of the day on either side of midnight that is darkest."""
    return math.cos(2.0 * math.pi * clock_s / day_s) > 0.5


@compiled
def log1p(values: F32) -> None:
    """log(1 + value) of values (k,) of 0 or more, in place, to 2e-7: two to a whole power, and a series of atanh."""
    for at in range(len(values)):
        bits = np.float32(np.float32(1.0) + values[at]).view(np.int32)
        whole = (bits - _SQRT_HALF_BITS) >> np.int32(23)
        part = np.int32(bits - (whole << np.int32(23))).view(np.float32)  # in [sqrt(1/2), sqrt(2))
        s = (part - np.float32(1.0)) / (part + np.float32(1.0))
        t = s * s
        curve = _ATANH[0] + t * (_ATANH[1] + t * (_ATANH[2] + t * (_ATANH[3] + t * _ATANH[4])))
        values[at] = np.float32(whole) * _LN_2 + s * curve


@compiled
def _far(x: np.float32, y: np.float32, other_x: np.float32, other_y: np.float32) -> np.float32:
    dx, dy = other_x - x, other_y - y
    return np.float32(math.sqrt(dx * dx + dy * dy))


@compiled
def observe(village: Village, targets: I32, obs: F32) -> None:
    """Fill the rest of `obs` (V, n, 64), encoded and in the order of the schema."""
    villages, npcs = village.x.shape
    xs, ys, hp, role = village.x, village.y, village.hp, village.role
    logs = np.zeros((npcs, 8), np.float32)
    power = np.empty(npcs, np.float32)
    for v in range(villages):
        for i in range(npcs):
            x, y = xs[v, i], ys[v, i]
            power[i] = village.strength[v, i] * (0.3 + 0.7 * hp[v, i])
            logs[i, 0] = village.gold[v, i]
            logs[i, 1] = _far(x, y, village.home_x[v, i], village.home_y[v, i])
            logs[i, 2] = _far(x, y, village.work_x[v, i], village.work_y[v, i])
            logs[i, 3] = _far(x, y, village.food_x[v, i], village.food_y[v, i])
            for slot in range(SLOTS):
                j = max(0, targets[v, i, slot])
                logs[i, 4 + slot] = _far(x, y, xs[v, j], ys[v, j])
        log1p(logs.reshape(-1))
        _see_selves(village, v, logs, obs[v])
        for i in range(npcs):
            mine = trades(role[v, i], village.stock[v, i], village.gold[v, i])
            for slot in range(SLOTS):
                j, at = targets[v, i, slot], SLOT_COLUMN + 4 * slot
                if j < 0:
                    obs[v, i, at] = 1.0
                    obs[v, i, at + 1] = obs[v, i, at + 2] = obs[v, i, at + 3] = 0.0
                    continue
                obs[v, i, at] = min(np.float32(1.0), logs[i, 4 + slot] / FAR_LOG)
                threat = (power[j] - power[i]) / (power[j] + power[i] + np.float32(1e-6))
                obs[v, i, at + 1] = threat if slot < 2 else np.float32(0.0)
                obs[v, i, at + 2] = max(np.float32(0.01), hp[v, j])
                theirs = trades(role[v, j], village.stock[v, j], village.gold[v, j])
                obs[v, i, at + 3] = 1.0 if slot >= 2 and mine * theirs < 0 else 0.0


@compiled
def _see_selves(village: Village, v: int, logs: F32, obs: F32) -> None:
    turn = 2.0 * math.pi * village.clock_s[v] / village.day_s[v]
    sine, cosine, weather = math.sin(turn), math.cos(turn), village.weather[v]
    night = 1.0 if is_night(village.clock_s[v], village.day_s[v]) else 0.0
    hp, hunger, energy, stock = village.hp[v], village.hunger[v], village.energy[v], village.stock[v]
    strength, damage, mood, role = village.strength[v], village.damage[v], village.mood[v], village.role[v]
    doing, told = village.intent[v], village.told[v]
    for i in range(len(hp)):
        row = obs[i]
        row[0], row[1], row[2] = hp[i], hunger[i], energy[i]
        row[3] = min(np.float32(1.0), logs[i, 0] / GOLD_LOG)
        row[4] = stock[i] / np.float32(STOCK_MAX)
        row[5] = min(np.float32(1.0), strength[i] / np.float32(2.0))
        row[6] = min(np.float32(1.0), damage[i])
        row[7] = mood[i]
        row[8:13] = 0.0
        row[8 + role[i]] = 1.0
        row[13], row[14], row[15], row[16] = sine, cosine, night, weather
        for place in range(3):
            row[17 + place] = min(np.float32(1.0), logs[i, 1 + place] / FAR_LOG)
        row[DOING_COLUMN:FEATURES] = 0.0
        row[DOING_COLUMN + doing[i]] = 1.0
        if told[i] >= 0:
            row[TOLD_COLUMN + told[i]] = 1.0


@compiled
def allow(village: Village, obs: F32, mask: NDArray[np.uint8]) -> None:
    """Fill `mask` (V, n, 12): which intents make sense for the role and the slots that are filled."""
    villages, npcs = village.x.shape
    roles, stock = village.role, village.stock
    for v in range(villages):
        for i in range(npcs):
            role = roles[v, i]
            foe = obs[v, i, SLOT_COLUMN + 2] > 0.0
            friend = obs[v, i, SLOT_COLUMN + 10] > 0.0
            person = role <= VILLAGER
            may = mask[v, i]
            may[:] = 1
            may[FLEE] = foe
            may[ATTACK] = foe and role != PREY
            may[STAND] = role == GUARD
            may[WORK] = person
            may[EAT] = role != PREDATOR or stock[v, i] > 0.0
            may[TRADE] = obs[v, i, SLOT_COLUMN + 11] > 0.0 or obs[v, i, SLOT_COLUMN + 15] > 0.0
            may[FOLLOW] = friend
            may[TALK] = friend and person
            may[PATROL] = role in (GUARD, PREDATOR)
