"""What intents do: where each leads, and how a tick changes bodies, purses, goods and lives.

Compiled and in place. `goals` says where an NPC wants to be; the caller moves it there, along real paths
or straight; `resolve` then applies the tick. Chance comes from `village.draws` alone, so runs repeat.
"""

from __future__ import annotations

import math

import numpy as np

from app.learning.envs.compiled import compiled
from app.learning.envs.sensing import befriends, hunts, is_night, would_trade
from app.learning.envs.village import (
    ATTACK,
    CRIMES,
    DEATHS,
    EAT,
    F32,
    FLEE,
    GUARD,
    HOME,
    I8,
    I32,
    KILLS,
    MERCHANT,
    PATROL,
    PLACE_CELLS,
    PREDATOR,
    PREY,
    REACH_CELLS,
    RESPAWN_S,
    REST,
    SLOTS,
    STAND,
    STOCK_MAX,
    STOPPED,
    TALK,
    TRADE,
    VILLAGER,
    WANDER,
    WANTED_S,
    WORK,
    Village,
)  # fmt: skip

RUN_CELLS_S = np.array([3.5, 2.8, 3.0, 3.4, 3.2], np.float32)
"""Running speed of each role in cells per second."""
WALK_CELLS_S = 1.8
FLEE_CELLS = 14.0
"""How far ahead a flight is aimed."""
WANDER_CELLS, PATROL_CELLS, PROWL_CELLS = 10.0, 22.0, 50.0
"""How far from home, post and den the rounds lead."""


@compiled
def draw(village: Village, v: int) -> float:
    """The next random number in [0, 1) of village `v` (splitmix64; Steele, Lea and Flood 2014)."""
    village.draws[v] += np.uint64(0x9E3779B97F4A7C15)
    z = village.draws[v]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@compiled
def aim(targets: I32, slot: int) -> int:
    """The NPC that `slot` of one row of targets (4,) stands for, or -1."""
    if slot < 0 or slot >= SLOTS:
        return -1
    return int(targets[slot])


@compiled
def _round(village: Village, v: int, i: int, x: float, y: float, radius: float) -> None:
    wx, wy = village.way_x[v, i], village.way_y[v, i]
    stale = math.isnan(wx) or math.hypot(wx - x, wy - y) > radius + 1.0
    if stale or math.hypot(wx - village.x[v, i], wy - village.y[v, i]) < 1.5:
        angle = 2.0 * math.pi * draw(village, v)
        far = radius * math.sqrt(draw(village, v))
        village.way_x[v, i] = x + far * math.cos(angle)
        village.way_y[v, i] = y + far * math.sin(angle)


@compiled
def _flight(village: Village, v: int, i: int, foe: int, goal: F32) -> None:
    hx, hy = village.home_x[v, i] - village.x[v, i], village.home_y[v, i] - village.y[v, i]
    home = math.hypot(hx, hy) + 1e-6
    if foe < 0:
        goal[0], goal[1] = village.home_x[v, i], village.home_y[v, i]
        return
    ax, ay = village.x[v, i] - village.x[v, foe], village.y[v, i] - village.y[v, foe]
    away = math.hypot(ax, ay) + 1e-6
    pull = 0.4 if home > 2.0 else 0.0
    goal[0] = village.x[v, i] + FLEE_CELLS * (ax / away + pull * hx / home)
    goal[1] = village.y[v, i] + FLEE_CELLS * (ay / away + pull * hy / home)


@compiled
def _goal(village: Village, v: int, i: int, intent: int, target: int, goal: F32) -> None:
    role = village.role[v, i]
    run = RUN_CELLS_S[role] * (0.6 + 0.4 * village.energy[v, i])
    goal[0], goal[1], goal[2] = village.x[v, i], village.y[v, i], 0.0
    if village.alive[v, i] == 0 or intent == REST or (intent == EAT and role == PREDATOR):
        return
    goal[2] = WALK_CELLS_S
    if intent == FLEE:
        goal[2] = run
        _flight(village, v, i, target, goal)
    elif target >= 0:
        goal[0], goal[1] = village.x[v, target], village.y[v, target]
        near = math.hypot(goal[0] - village.x[v, i], goal[1] - village.y[v, i]) < REACH_CELLS * 0.6
        goal[2] = 0.0 if near else (run if intent == ATTACK else WALK_CELLS_S)
    elif intent == HOME:
        goal[0], goal[1] = village.home_x[v, i], village.home_y[v, i]
    elif intent in (WORK, STAND):
        goal[0], goal[1] = village.work_x[v, i], village.work_y[v, i]
    elif intent == EAT:
        goal[0], goal[1] = village.food_x[v, i], village.food_y[v, i]
    elif intent == WANDER:
        _round(village, v, i, village.home_x[v, i], village.home_y[v, i], WANDER_CELLS)
        goal[0], goal[1] = village.way_x[v, i], village.way_y[v, i]
    elif intent == PATROL:
        _round(
            village, v, i, village.work_x[v, i], village.work_y[v, i], PATROL_CELLS if role == GUARD else PROWL_CELLS
        )
        goal[0], goal[1] = village.way_x[v, i], village.way_y[v, i]
    else:
        goal[2] = 0.0


@compiled
def goals(village: Village, intents: I8, slots: I8, targets: I32, out: F32) -> None:
    """Fill `out` (V, n, 3) with the cell each NPC wants to reach (x, y) and its speed in cells per second.

    `intents` and `slots` are (V, n) int8 as decided (slot -1 = none); `targets` (V, n, 4) from sensing.
    A speed of 0 means stay. The goal lies inside the map but may be blocked there.
    """
    villages, npcs = village.x.shape
    for v in range(villages):
        for i in range(npcs):
            goal = out[v, i]
            _goal(village, v, i, intents[v, i], aim(targets[v, i], slots[v, i]), goal)
            goal[0] = min(max(goal[0], 0.5), village.size[v, 0] - 0.5)
            goal[1] = min(max(goal[1], 0.5), village.size[v, 1] - 0.5)


@compiled
def move(village: Village, out: F32, dt: float) -> None:
    """Step every NPC straight toward its goal for `dt` seconds; `out` is what `goals` filled."""
    villages, npcs = village.x.shape
    for v in range(villages):
        for i in range(npcs):
            dx, dy = out[v, i, 0] - village.x[v, i], out[v, i, 1] - village.y[v, i]
            far = math.hypot(dx, dy)
            step = out[v, i, 2] * dt
            if far > 1e-6 and step > 0.0:
                share = min(1.0, step / far)
                village.x[v, i] += share * dx
                village.y[v, i] += share * dy


@compiled
def _near(village: Village, v: int, i: int, x: float, y: float) -> bool:
    return math.hypot(village.x[v, i] - x, village.y[v, i] - y) <= PLACE_CELLS


@compiled
def _within_reach(village: Village, v: int, i: int, j: int) -> bool:
    return math.hypot(village.x[v, i] - village.x[v, j], village.y[v, i] - village.y[v, j]) <= REACH_CELLS


@compiled
def _live(village: Village, v: int, i: int, intent: int, dt: float) -> None:
    strain = 2.0 if intent in (FLEE, ATTACK) else 1.0
    village.hunger[v, i] = min(1.0, village.hunger[v, i] + dt / 200.0)
    village.energy[v, i] = max(0.0, village.energy[v, i] - strain * dt / 220.0)
    village.damage[v, i] *= math.exp(-dt / 4.0)
    village.mood[v, i] += dt / 60.0 * (0.3 - village.hunger[v, i] - village.damage[v, i] - village.mood[v, i])
    village.mood[v, i] = min(1.0, max(-1.0, village.mood[v, i]))
    village.wanted_s[v, i] = max(0.0, village.wanted_s[v, i] - dt)
    if village.hunger[v, i] >= 1.0:
        village.hp[v, i] -= 0.012 * dt
    if village.energy[v, i] <= 0.0:
        village.hp[v, i] -= 0.006 * dt
    if village.hunger[v, i] < 0.7 and village.damage[v, i] < 0.05:
        village.hp[v, i] = min(1.0, village.hp[v, i] + (0.02 if intent == REST else 0.005) * dt)
    village.told_s[v, i] -= dt
    if village.told_s[v, i] <= 0.0:
        village.told[v, i] = -1


@compiled
def _eat(village: Village, v: int, i: int, dt: float) -> None:
    role = village.role[v, i]
    if role == PREDATOR:
        bite = min(village.stock[v, i], 0.3 * dt)
        village.stock[v, i] -= bite
        village.hunger[v, i] = max(0.0, village.hunger[v, i] - 0.5 * bite)
    elif _near(village, v, i, village.food_x[v, i], village.food_y[v, i]):
        rate = 0.1
        if role != PREY:
            price = min(village.gold[v, i], 0.3 * dt)
            village.gold[v, i] -= price
            rate = 0.03 + 0.4 * price / dt
        village.hunger[v, i] = max(0.0, village.hunger[v, i] - rate * dt)


@compiled
def _work(village: Village, v: int, i: int, intent: int, dt: float) -> None:
    role = village.role[v, i]
    if intent in (PATROL, STAND):
        if role == GUARD:
            village.gold[v, i] += 0.05 * dt
        return
    if not _near(village, v, i, village.work_x[v, i], village.work_y[v, i]):
        return
    pace = 0.4 if is_night(village.clock_s[v], village.day_s[v]) or village.energy[v, i] <= 0.05 else 1.0
    if role == VILLAGER:
        village.stock[v, i] = min(STOCK_MAX, village.stock[v, i] + 0.08 * pace * dt)
    elif role == MERCHANT:
        sold = min(village.stock[v, i], 0.3 * pace * dt)
        village.stock[v, i] -= sold
        village.gold[v, i] += 2.0 * sold
    elif role == GUARD:
        village.gold[v, i] += 0.03 * dt


@compiled
def _trade(village: Village, v: int, i: int, j: int, dt: float) -> None:
    if not would_trade(village, v, i, j):
        return
    seller, buyer = (j, i) if village.role[v, i] == MERCHANT else (i, j)
    goods = min(0.6 * dt, village.stock[v, seller], STOCK_MAX - village.stock[v, buyer], village.gold[v, buyer])
    village.stock[v, seller] -= goods
    village.stock[v, buyer] += goods
    village.gold[v, seller] += goods
    village.gold[v, buyer] -= goods


@compiled
def _strike(village: Village, v: int, i: int, j: int, dt: float) -> None:
    force = village.strength[v, i] * (0.4 + 0.6 * village.energy[v, i])
    hurt = 0.12 * dt * force / max(0.3, village.strength[v, j])
    village.hp[v, j] -= hurt
    village.damage[v, j] = min(1.0, village.damage[v, j] + 2.0 * hurt)
    person = village.role[v, j] <= VILLAGER
    if village.role[v, i] == PREDATOR and person:
        village.wanted_s[v, i] = WANTED_S
    if village.hp[v, j] > 0.0:
        return
    village.tally[v, i, KILLS] += 1.0
    if village.role[v, i] == PREDATOR:
        village.stock[v, i] = min(STOCK_MAX, village.stock[v, i] + 3.0)
        village.tally[v, i, CRIMES] += 1.0 if person else 0.0
    elif village.wanted_s[v, j] > 0.0:
        village.tally[v, i, STOPPED] += 1.0


@compiled
def _act(village: Village, v: int, i: int, intent: int, target: int, dt: float) -> None:
    if intent == REST:
        home = _near(village, v, i, village.home_x[v, i], village.home_y[v, i])
        village.energy[v, i] = min(1.0, village.energy[v, i] + dt * (1.0 / 40.0 if home else 1.0 / 90.0))
    elif intent == EAT:
        _eat(village, v, i, dt)
    elif intent in (WORK, PATROL, STAND):
        _work(village, v, i, intent, dt)
    if target < 0 or village.alive[v, target] == 0 or not _within_reach(village, v, i, target):
        return
    mine, theirs = village.role[v, i], village.role[v, target]
    if intent == ATTACK and village.hp[v, target] > 0.0 and (hunts(mine, theirs) or hunts(theirs, mine)):
        _strike(village, v, i, target, dt)
    elif intent == TRADE:
        _trade(village, v, i, target, dt)
    elif intent == TALK and befriends(mine, theirs):
        village.mood[v, i] = min(1.0, village.mood[v, i] + 0.04 * dt)
        village.mood[v, target] = min(1.0, village.mood[v, target] + 0.02 * dt)


@compiled
def _die_or_return(village: Village, v: int, i: int, dt: float) -> None:
    if village.alive[v, i] == 1:
        if village.hp[v, i] <= 0.0:
            village.hp[v, i] = 0.0
            village.alive[v, i] = 0
            village.down_s[v, i] = RESPAWN_S
            village.tally[v, i, DEATHS] += 1.0
        return
    village.down_s[v, i] -= dt
    if village.down_s[v, i] <= 0.0:
        village.alive[v, i] = 1
        village.hp[v, i], village.hunger[v, i], village.energy[v, i] = 1.0, 0.3, 0.8
        village.gold[v, i] *= 0.5
        village.stock[v, i] = village.damage[v, i] = village.wanted_s[v, i] = 0.0
        village.x[v, i], village.y[v, i] = village.home_x[v, i], village.home_y[v, i]


@compiled
def resolve(village: Village, intents: I8, slots: I8, targets: I32, dt: float) -> None:
    """Apply `dt` seconds of what everyone intends: needs, meals, work, trade, talk, blows, death, return.

    Shapes as in `goals`. Also keeps `intent` and `held_s`, and advances each village's clock.
    """
    villages, npcs = village.x.shape
    for v in range(villages):
        for i in range(npcs):
            if village.alive[v, i] == 1:
                _live(village, v, i, intents[v, i], dt)
        for i in range(npcs):
            intent = intents[v, i]
            if village.alive[v, i] == 1 and intent >= 0:
                _act(village, v, i, intent, aim(targets[v, i], slots[v, i]), dt)
                village.held_s[v, i] = village.held_s[v, i] + dt if intent == village.intent[v, i] else 0.0
                village.intent[v, i] = intent
        for i in range(npcs):
            _die_or_return(village, v, i, dt)
        village.clock_s[v] = (village.clock_s[v] + dt) % village.day_s[v]
