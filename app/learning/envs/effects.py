"""What intents do: where each leads, and how a tick changes bodies, purses, goods and lives.

Compiled and in place. `goals` says where an NPC wants to be; the caller moves it there, along real paths
or straight; `resolve` then applies the tick. Chance comes from `village.draws` alone, so runs repeat.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from app.learning.envs.compiled import compiled, inlined
from app.learning.envs.sensing import HUNTERS, KIN, QUARRY, is_night, trades
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


@inlined
def draw(draws: NDArray[np.uint64], v: int) -> float:
    """The next random number in [0, 1) of village `v` (splitmix64; Steele, Lea and Flood 2014)."""
    draws[v] += np.uint64(0x9E3779B97F4A7C15)
    z = draws[v]
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


@inlined
def _far(dx: float, dy: float) -> float:
    return math.sqrt(dx * dx + dy * dy)


@compiled
def goals(village: Village, intents: I8, slots: I8, targets: I32, out: F32) -> None:
    """Fill `out` (V, n, 3) with the cell each NPC wants to reach (x, y) and its speed in cells per second.

    `intents` and `slots` are (V, n) int8 as decided (slot -1 = none); `targets` (V, n, 4) from sensing.
    A speed of 0 means stay. The goal lies inside the map but may be blocked there.
    """
    villages, npcs = village.x.shape
    xs, ys, roles, alive = village.x, village.y, village.role, village.alive
    for v in range(villages):
        wide, high = village.size[v, 0] - 0.5, village.size[v, 1] - 0.5
        for i in range(npcs):
            role, intent, slot = roles[v, i], intents[v, i], slots[v, i]
            target = targets[v, i, slot] if 0 <= slot < SLOTS else -1
            x, y = xs[v, i], ys[v, i]
            gx, gy, speed = x, y, 0.0
            run = RUN_CELLS_S[role] * (0.6 + 0.4 * village.energy[v, i])
            if alive[v, i] == 0 or intent == REST or (intent == EAT and role == PREDATOR):
                pass
            elif intent == FLEE:
                speed = run
                gx, gy = village.home_x[v, i], village.home_y[v, i]
                if target >= 0:
                    hx, hy, ax, ay = gx - x, gy - y, x - xs[v, target], y - ys[v, target]
                    home, away = _far(hx, hy) + 1e-6, _far(ax, ay) + 1e-6
                    pull = 0.4 if home > 2.0 else 0.0
                    gx = x + FLEE_CELLS * (ax / away + pull * hx / home)
                    gy = y + FLEE_CELLS * (ay / away + pull * hy / home)
            elif target >= 0:
                gx, gy = xs[v, target], ys[v, target]
                near = _far(gx - x, gy - y) < REACH_CELLS * 0.6
                speed = 0.0 if near else (run if intent == ATTACK else WALK_CELLS_S)
            elif intent == HOME:
                gx, gy, speed = village.home_x[v, i], village.home_y[v, i], WALK_CELLS_S
            elif intent in (WORK, STAND):
                gx, gy, speed = village.work_x[v, i], village.work_y[v, i], WALK_CELLS_S
            elif intent == EAT:
                gx, gy, speed = village.food_x[v, i], village.food_y[v, i], WALK_CELLS_S
            elif intent in (WANDER, PATROL):
                speed = WALK_CELLS_S
                cx, cy, radius = village.home_x[v, i], village.home_y[v, i], WANDER_CELLS
                if intent == PATROL:
                    cx, cy = village.work_x[v, i], village.work_y[v, i]
                    radius = PATROL_CELLS if role == GUARD else PROWL_CELLS
                gx, gy = village.way_x[v, i], village.way_y[v, i]
                stale = math.isnan(gx) or _far(gx - cx, gy - cy) > radius + 1.0
                if stale or _far(gx - x, gy - y) < 1.5:
                    angle = 2.0 * math.pi * draw(village.draws, v)
                    far = radius * math.sqrt(draw(village.draws, v))
                    gx, gy = cx + far * math.cos(angle), cy + far * math.sin(angle)
                    village.way_x[v, i], village.way_y[v, i] = gx, gy
            out[v, i, 0] = min(max(gx, 0.5), wide)
            out[v, i, 1] = min(max(gy, 0.5), high)
            out[v, i, 2] = speed


@compiled
def move(village: Village, out: F32, dt: float) -> None:
    """Step every NPC straight toward its goal for `dt` seconds; `out` is what `goals` filled."""
    xs, ys = village.x, village.y
    villages, npcs = xs.shape
    for v in range(villages):
        for i in range(npcs):
            dx, dy = out[v, i, 0] - xs[v, i], out[v, i, 1] - ys[v, i]
            far = _far(dx, dy)
            step = out[v, i, 2] * dt
            if far > 1e-6 and step > 0.0:
                share = min(1.0, step / far)
                xs[v, i] += share * dx
                ys[v, i] += share * dy


@compiled
def _live(village: Village, intents: I8, dt: float) -> None:
    """Needs grow, wounds heal or worsen, directives end."""
    villages, npcs = village.x.shape
    hp, hunger, energy, damage = village.hp, village.hunger, village.energy, village.damage
    mood, wanted_s, told, told_s = village.mood, village.wanted_s, village.told, village.told_s
    fade = math.exp(-dt / 4.0)
    for v in range(villages):
        for i in range(npcs):
            if village.alive[v, i] == 0:
                continue
            intent = intents[v, i]
            strain = 2.0 if intent in (FLEE, ATTACK) else 1.0
            hunger[v, i] = min(1.0, hunger[v, i] + dt / 200.0)
            energy[v, i] = max(0.0, energy[v, i] - strain * dt / 220.0)
            damage[v, i] *= fade
            mood[v, i] += dt / 60.0 * (0.3 - hunger[v, i] - damage[v, i] - mood[v, i])
            mood[v, i] = min(1.0, max(-1.0, mood[v, i]))
            wanted_s[v, i] = max(0.0, wanted_s[v, i] - dt)
            if hunger[v, i] >= 1.0:
                hp[v, i] -= 0.012 * dt
            if energy[v, i] <= 0.0:
                hp[v, i] -= 0.006 * dt
            if hunger[v, i] < 0.7 and damage[v, i] < 0.05:
                hp[v, i] = min(1.0, hp[v, i] + (0.02 if intent == REST else 0.005) * dt)
            told_s[v, i] -= dt
            if told_s[v, i] <= 0.0:
                told[v, i] = -1


@compiled
def _eat(village: Village, v: int, i: int, at_table: bool, dt: float) -> None:
    role = village.role[v, i]
    if role == PREDATOR:
        bite = min(village.stock[v, i], 0.3 * dt)
        village.stock[v, i] -= bite
        village.hunger[v, i] = max(0.0, village.hunger[v, i] - 0.5 * bite)
    elif at_table:
        rate = 0.1
        if role != PREY:
            price = min(village.gold[v, i], 0.3 * dt)
            village.gold[v, i] -= price
            rate = 0.03 + 0.4 * price / dt
        village.hunger[v, i] = max(0.0, village.hunger[v, i] - rate * dt)


@compiled
def _work(village: Village, v: int, i: int, night: bool, dt: float) -> None:
    role = village.role[v, i]
    pace = 0.4 if night or village.energy[v, i] <= 0.05 else 1.0
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
    role, stock, gold = village.role, village.stock, village.gold
    if trades(role[v, i], stock[v, i], gold[v, i]) * trades(role[v, j], stock[v, j], gold[v, j]) >= 0:
        return
    seller, buyer = (j, i) if role[v, i] == MERCHANT else (i, j)
    goods = min(0.6 * dt, stock[v, seller], STOCK_MAX - stock[v, buyer], gold[v, buyer])
    stock[v, seller] -= goods
    stock[v, buyer] += goods
    gold[v, seller] += goods
    gold[v, buyer] -= goods


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
def _meet(village: Village, v: int, i: int, j: int, intent: int, dt: float) -> None:
    """What `i` does to `j`, who is within reach."""
    mine, theirs = village.role[v, i], 1 << village.role[v, j]
    if intent == ATTACK and village.hp[v, j] > 0.0 and (QUARRY[mine] | HUNTERS[mine]) & theirs:
        _strike(village, v, i, j, dt)
    elif intent == TRADE:
        _trade(village, v, i, j, dt)
    elif intent == TALK and KIN[mine] & theirs:
        village.mood[v, i] = min(1.0, village.mood[v, i] + 0.04 * dt)
        village.mood[v, j] = min(1.0, village.mood[v, j] + 0.02 * dt)


@compiled
def _act(village: Village, intents: I8, slots: I8, targets: I32, dt: float) -> None:
    """Everyone in turn does what they intend, where they are."""
    villages, npcs = village.x.shape
    xs, ys, alive, doing, held_s = village.x, village.y, village.alive, village.intent, village.held_s
    for v in range(villages):
        night = is_night(village.clock_s[v], village.day_s[v])
        for i in range(npcs):
            intent, slot = intents[v, i], slots[v, i]
            if alive[v, i] == 0 or intent < 0:
                continue
            x, y = xs[v, i], ys[v, i]
            if intent == REST:
                home = _far(x - village.home_x[v, i], y - village.home_y[v, i]) <= PLACE_CELLS
                rested = village.energy[v, i] + dt * (1.0 / 40.0 if home else 1.0 / 90.0)
                village.energy[v, i] = min(1.0, rested)
            elif intent == EAT:
                _eat(village, v, i, _far(x - village.food_x[v, i], y - village.food_y[v, i]) <= PLACE_CELLS, dt)
            elif intent == WORK:
                if _far(x - village.work_x[v, i], y - village.work_y[v, i]) <= PLACE_CELLS:
                    _work(village, v, i, night, dt)
            elif intent in (PATROL, STAND) and village.role[v, i] == GUARD:
                village.gold[v, i] += 0.05 * dt
            if intent in (ATTACK, TRADE, TALK) and 0 <= slot < SLOTS and targets[v, i, slot] >= 0:
                j = targets[v, i, slot]
                if alive[v, j] == 1 and _far(x - xs[v, j], y - ys[v, j]) <= REACH_CELLS:
                    _meet(village, v, i, j, intent, dt)
            held_s[v, i] = held_s[v, i] + dt if intent == doing[v, i] else 0.0
            doing[v, i] = intent


@compiled
def _die_or_return(village: Village, dt: float) -> None:
    villages, npcs = village.x.shape
    alive, hp, down_s = village.alive, village.hp, village.down_s
    for v in range(villages):
        for i in range(npcs):
            if alive[v, i] == 1:
                if hp[v, i] <= 0.0:
                    hp[v, i], alive[v, i], down_s[v, i] = 0.0, 0, RESPAWN_S
                    village.tally[v, i, DEATHS] += 1.0
                continue
            down_s[v, i] -= dt
            if down_s[v, i] > 0.0:
                continue
            alive[v, i], hp[v, i] = 1, 1.0
            village.hunger[v, i], village.energy[v, i] = 0.3, 0.8
            village.gold[v, i] *= 0.5
            village.stock[v, i] = village.damage[v, i] = village.wanted_s[v, i] = 0.0
            village.x[v, i], village.y[v, i] = village.home_x[v, i], village.home_y[v, i]


@compiled
def resolve(village: Village, intents: I8, slots: I8, targets: I32, dt: float) -> None:
    """Apply `dt` seconds of what everyone intends: needs, meals, work, trade, talk, blows, death, return.

    Shapes as in `goals`. Also keeps `intent` and `held_s`, and advances each village's clock.
    """
    _live(village, intents, dt)
    _act(village, intents, slots, targets, dt)
    _die_or_return(village, dt)
    for v in range(len(village.clock_s)):
        village.clock_s[v] = (village.clock_s[v] + dt) % village.day_s[v]
