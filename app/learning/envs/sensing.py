"""What NPCs see: the observation of `schemas/open_world.toml`, its mask and its target slots.

Compiled and in place, for a whole state at once; every pair of a village is looked at once per row, so
the cost grows with the square of a village (200 NPCs: about 0.2 ms). It changes nothing in the state.
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

FAR_LOG = math.log1p(512.0)
GOLD_LOG = math.log1p(1000.0)
COUNT_COLUMN, SLOT_COLUMN, DOING_COLUMN, TOLD_COLUMN = 20, 24, 40, 52
"""Where the counts, the slots, the present intent and the directive begin in a row."""


class Senses:
    """Buffers for one state, reused every tick.

    `obs` (V, n, 64) float32, `mask` (V, n, 12) uint8, `targets` (V, n, 4) int32: index of the NPC in each
    slot, -1 = empty.
    """

    def __init__(self, villages: int, npcs: int) -> None:
        self.obs: F32 = np.zeros((villages, npcs, FEATURES), np.float32)
        self.mask: NDArray[np.uint8] = np.zeros((villages, npcs, 12), np.uint8)
        self.targets: I32 = np.full((villages, npcs, SLOTS), -1, np.int32)

    def look(self, village: Village) -> None:
        """Bring the buffers up to date with `village`."""
        scan(village, self.targets, self.obs)
        observe(village, self.targets, self.obs)
        allow(village, self.obs, self.mask)


@compiled
def hunts(role: int, other: int) -> bool:
    """Whether `role` attacks `other` of its own accord."""
    if role == GUARD:
        return bool(other == PREDATOR)
    return bool(role == PREDATOR and other != PREDATOR)


@compiled
def befriends(role: int, other: int) -> bool:
    """Whether the two are of one kind: people, predators or prey."""
    return bool((role <= VILLAGER and other <= VILLAGER) or role == other)


@compiled
def would_trade(village: Village, v: int, i: int, j: int) -> bool:
    """Whether goods can go from a villager to a merchant between `i` and `j` now."""
    seller, buyer = i, j
    if village.role[v, i] == MERCHANT:
        seller, buyer = j, i
    if village.role[v, seller] != VILLAGER or village.role[v, buyer] != MERCHANT:
        return False
    has, room = village.stock[v, seller] > 0.5, village.stock[v, buyer] < STOCK_MAX - 0.5
    return bool(has and room and village.gold[v, buyer] > 1.0)


@compiled
def _mark_traders(role: I8, stock: F32, gold: F32, trades: I8) -> None:
    for i in range(len(role)):
        trades[i] = 0
        if role[i] == VILLAGER and stock[i] > 0.5:
            trades[i] = 1
        elif role[i] == MERCHANT and stock[i] < STOCK_MAX - 0.5 and gold[i] > 1.0:
            trades[i] = -1


@compiled
def _keep(best: F32, who: I32, start: int, rank: float, j: int) -> None:
    if rank < best[start]:
        best[start + 1] = best[start]
        who[start + 1] = who[start]
        best[start] = rank
        who[start] = j
    elif rank < best[start + 1]:
        best[start + 1] = rank
        who[start + 1] = j


@compiled
def _scan(x: F32, y: F32, role: I8, alive: I8, trades: I8, i: int, who: I32, best: F32, near: I32) -> None:
    best[:] = np.inf
    who[:] = -1
    near[:] = 0
    mine = role[i]
    for j in range(len(x)):
        if j == i or alive[j] == 0:
            continue
        other = role[j]
        square = (x[j] - x[i]) * (x[j] - x[i]) + (y[j] - y[i]) * (y[j] - y[i])
        deal = trades[i] * trades[j] < 0
        if deal:
            _keep(best, who, 2, 0.06 * square, j)
        if square > SIGHT_CELLS * SIGHT_CELLS:
            continue
        hunter, hunted = hunts(mine, other), hunts(other, mine)
        near[0] += other == GUARD
        near[1] += deal
        near[2] += hunted
        near[3] += hunter
        if hunter or hunted:
            _keep(best, who, 0, square, j)
        elif befriends(mine, other) and not deal:
            _keep(best, who, 2, square, j)


@compiled
def scan(village: Village, targets: I32, obs: F32) -> None:
    """Fill `targets` (V, n, 4) and the counts in `obs` (V, n, 64).

    Targets are the two nearest foes in sight, then the two nearest friends in sight; someone who would
    trade counts as a quarter as far and is known beyond sight.
    """
    villages, npcs = village.x.shape
    x, y, role, alive, stock, gold = village.x, village.y, village.role, village.alive, village.stock, village.gold
    best, near, trades = np.empty(SLOTS, np.float32), np.empty(4, np.int32), np.empty(npcs, np.int8)
    for v in range(villages):
        _mark_traders(role[v], stock[v], gold[v], trades)
        for i in range(npcs):
            _scan(x[v], y[v], role[v], alive[v], trades, i, targets[v, i], best, near)
            for k in range(4):
                obs[v, i, COUNT_COLUMN + k] = min(1.0, near[k] / 8.0)


@compiled
def _power(village: Village, v: int, i: int) -> float:
    return float(village.strength[v, i] * (0.3 + 0.7 * village.hp[v, i]))


@compiled
def _see_slots(village: Village, v: int, i: int, who: I32, row: F32) -> None:
    mine = _power(village, v, i)
    for slot in range(SLOTS):
        at = SLOT_COLUMN + 4 * slot
        j = who[slot]
        if j < 0:
            row[at] = 1.0
            row[at + 1 : at + 4] = 0.0
            continue
        dx = village.x[v, j] - village.x[v, i]
        dy = village.y[v, j] - village.y[v, i]
        row[at] = min(1.0, math.log1p(math.sqrt(dx * dx + dy * dy)) / FAR_LOG)
        row[at + 1] = 0.0
        if slot < 2:
            theirs = _power(village, v, j)
            row[at + 1] = (theirs - mine) / (theirs + mine + 1e-6)
        row[at + 2] = max(0.01, village.hp[v, j])
        row[at + 3] = 1.0 if slot >= 2 and would_trade(village, v, i, j) else 0.0


@compiled
def _log_distance(village: Village, v: int, i: int, x: float, y: float) -> float:
    return min(1.0, math.log1p(math.hypot(x - village.x[v, i], y - village.y[v, i])) / FAR_LOG)


@compiled
def _see_self(village: Village, v: int, i: int, row: F32) -> None:
    row[0] = village.hp[v, i]
    row[1] = village.hunger[v, i]
    row[2] = village.energy[v, i]
    row[3] = min(1.0, math.log1p(village.gold[v, i]) / GOLD_LOG)
    row[4] = village.stock[v, i] / STOCK_MAX
    row[5] = min(1.0, village.strength[v, i] / 2.0)
    row[6] = min(1.0, village.damage[v, i])
    row[7] = village.mood[v, i]
    row[8:13] = 0.0
    row[8 + village.role[v, i]] = 1.0
    row[17] = _log_distance(village, v, i, village.home_x[v, i], village.home_y[v, i])
    row[18] = _log_distance(village, v, i, village.work_x[v, i], village.work_y[v, i])
    row[19] = _log_distance(village, v, i, village.food_x[v, i], village.food_y[v, i])
    row[DOING_COLUMN:FEATURES] = 0.0
    row[DOING_COLUMN + village.intent[v, i]] = 1.0
    if village.told[v, i] >= 0:
        row[TOLD_COLUMN + village.told[v, i]] = 1.0


@compiled
def is_night(clock_s: float, day_s: float) -> bool:
    """Night is the quarter of the day on either side of midnight that is darkest."""
    return math.cos(2.0 * math.pi * clock_s / day_s) > 0.5


@compiled
def observe(village: Village, targets: I32, obs: F32) -> None:
    """Fill the rest of `obs` (V, n, 64), encoded and in the order of the schema."""
    villages, npcs = village.x.shape
    for v in range(villages):
        turn = 2.0 * math.pi * village.clock_s[v] / village.day_s[v]
        for i in range(npcs):
            row = obs[v, i]
            _see_self(village, v, i, row)
            row[13] = math.sin(turn)
            row[14] = math.cos(turn)
            row[15] = 1.0 if is_night(village.clock_s[v], village.day_s[v]) else 0.0
            row[16] = village.weather[v]
            _see_slots(village, v, i, targets[v, i], row)


@compiled
def allow(village: Village, obs: F32, mask: NDArray[np.uint8]) -> None:
    """Fill `mask` (V, n, 12): which intents make sense for the role and the slots that are filled."""
    villages, npcs = village.x.shape
    for v in range(villages):
        for i in range(npcs):
            role = village.role[v, i]
            row = obs[v, i]
            foe = row[SLOT_COLUMN + 2] > 0.0
            friend = row[SLOT_COLUMN + 10] > 0.0
            person = role <= VILLAGER
            may = mask[v, i]
            may[:] = 1
            may[FLEE] = foe
            may[ATTACK] = foe and role != PREY
            may[STAND] = role == GUARD
            may[WORK] = person
            may[EAT] = role != PREDATOR or village.stock[v, i] > 0.0
            may[TRADE] = row[SLOT_COLUMN + 11] > 0.0 or row[SLOT_COLUMN + 15] > 0.0
            may[FOLLOW] = friend
            may[TALK] = friend and person
            may[PATROL] = role in (GUARD, PREDATOR)


def roles_of(village: Village) -> I8:
    """The roles as one flat array (V * n,)."""
    return village.role.reshape(-1)
