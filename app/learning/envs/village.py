"""The state of villages of guards, merchants, villagers, predators and prey, as plain arrays.

It knows the layout, the constants and how a population is drawn. What NPCs see is in `sensing.py`,
what their intents do is in `effects.py`; a game server with a map of its own uses those two and moves
its NPCs itself, `environment.py` moves them in straight lines and trains.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I8 = NDArray[np.int8]
I32 = NDArray[np.int32]

ROLES = ("guard", "merchant", "villager", "predator", "prey")
GUARD, MERCHANT, VILLAGER, PREDATOR, PREY = range(5)

INTENTS = (
    "flee", "attack", "guard", "home", "work", "eat", "trade", "wander", "follow", "rest", "talk", "patrol",
)  # fmt: skip
FLEE, ATTACK, STAND, HOME, WORK, EAT, TRADE, WANDER, FOLLOW, REST, TALK, PATROL = range(12)
"""Numbers of the intents; `STAND` is the intent named "guard"."""

AIMS = ((0, 1), (0, 1), (2, 3), (), (), (), (2, 3), (), (2, 3), (), (2, 3), ())
"""Slots that each intent may aim at."""

FEATURES = 64
SLOTS = 4
"""Targets that an NPC can aim at: two nearest foes, then two nearest friends."""

SIGHT_CELLS = 24.0
REACH_CELLS = 1.8
"""How near a target must be to be struck, traded with or talked to."""
PLACE_CELLS = 3.0
"""How near a place must be to count as being there."""
STOCK_MAX = 10.0
RESPAWN_S = 30.0
WANTED_S = 40.0
"""How long a predator stays wanted after it bit a person."""

DEATHS, CRIMES, STOPPED, KILLS = range(4)
"""Columns of `tally`: own deaths; persons killed; wanted predators brought down; foes killed."""


class Village(NamedTuple):
    """V villages of n NPCs. Arrays are (V, n) float32 unless noted; positions and distances in cells.

    A NamedTuple because compiled kernels take it whole. Kernels change the arrays in place.
    """

    x: F32
    y: F32
    role: I8
    """(V, n) int8, index into ROLES."""
    alive: I8
    """(V, n) int8, 1 or 0; the dead return to their home after RESPAWN_S."""
    down_s: F32
    """Seconds until a dead NPC returns."""
    hp: F32
    hunger: F32
    energy: F32
    """hp, hunger (1 = starving) and energy lie in [0, 1]."""
    gold: F32
    stock: F32
    """Goods or food carried, up to STOCK_MAX."""
    strength: F32
    """Fighting strength; 1 = an ordinary guard."""
    mood: F32
    """In [-1, 1]."""
    damage: F32
    """Health lost lately, fading within seconds."""
    wanted_s: F32
    """Seconds for which a predator that bit a person stays wanted."""
    home_x: F32
    home_y: F32
    work_x: F32
    work_y: F32
    food_x: F32
    food_y: F32
    way_x: F32
    way_y: F32
    """Where wandering or patrolling leads now; NaN = choose anew."""
    intent: I8
    """(V, n) int8, what each NPC does now."""
    held_s: F32
    """Seconds for which the present intent has been held."""
    told: I8
    """(V, n) int8, the directive in force, -1 = none."""
    told_s: F32
    """Seconds for which the directive still holds."""
    tally: F32
    """(V, n, 4) cumulative counts, see DEATHS … KILLS."""
    clock_s: F32
    """(V,) seconds of the village's own clock; 0 is midnight."""
    day_s: F32
    """(V,) seconds in a day."""
    weather: F32
    """(V,) 0 = clear … 1 = storm."""
    size: F32
    """(V, 2) width and height of the map in cells."""
    draws: NDArray[np.uint64]
    """(V,) state of the random numbers that kernels draw; the same start gives the same run."""


def allocate(villages: int, npcs: int) -> Village:
    """Villages with every NPC a healthy villager at (0, 0) at midnight; the caller fills in the rest."""
    shape = (villages, npcs)

    def full(value: float) -> F32:
        return np.full(shape, value, np.float32)

    return Village(
        x=full(0), y=full(0), role=np.full(shape, VILLAGER, np.int8), alive=np.ones(shape, np.int8), down_s=full(0),
        hp=full(1), hunger=full(0.2), energy=full(0.9), gold=full(10), stock=full(0), strength=full(0.4),
        mood=full(0), damage=full(0), wanted_s=full(0), home_x=full(0), home_y=full(0), work_x=full(0),
        work_y=full(0), food_x=full(0), food_y=full(0), way_x=full(np.nan), way_y=full(np.nan),
        intent=np.full(shape, REST, np.int8), held_s=full(0), told=np.full(shape, -1, np.int8), told_s=full(0),
        tally=np.zeros((villages, npcs, 4), np.float32), clock_s=np.zeros(villages, np.float32),
        day_s=np.full(villages, 240.0, np.float32), weather=np.zeros(villages, np.float32),
        size=np.full((villages, 2), 128.0, np.float32), draws=np.arange(villages, dtype=np.uint64),
    )  # fmt: skip


SHARES = (0.12, 0.08, 0.42, 0.14, 0.24)
"""Of each role in a drawn population."""


def deal_roles(npcs: int) -> I8:
    """Roles (npcs,) in the proportions of SHARES, in order of role."""
    edges = np.round(np.cumsum(SHARES) * npcs).astype(int)
    return np.searchsorted(edges, np.arange(npcs), side="right").astype(np.int8).clip(0, PREY)


STRENGTHS = np.array([1.0, 0.35, 0.4, 0.9, 0.2], np.float32)
GOLD = np.array([12.0, 40.0, 8.0, 0.0, 0.0], np.float32)


def populate(village: Village, generator: np.random.Generator) -> None:
    """Draw bodies and purses for the roles that are set, in place; places and positions stay as they are."""
    shape = village.role.shape
    village.strength[:] = STRENGTHS[village.role] * generator.uniform(0.8, 1.25, shape)
    village.gold[:] = GOLD[village.role] * generator.uniform(0.5, 1.5, shape)
    village.stock[:] = np.where(village.role <= VILLAGER, generator.uniform(0.0, 4.0, shape), 0.0)
    village.hunger[:] = generator.uniform(0.05, 0.5, shape)
    village.energy[:] = generator.uniform(0.5, 1.0, shape)
    village.mood[:] = generator.uniform(-0.3, 0.3, shape)


def settle(village: Village, generator: np.random.Generator) -> None:
    """Draw maps of 64 to 512 cells with a settlement in the middle and the wild around it, in place."""
    villages, npcs = village.x.shape
    side = np.exp(generator.uniform(np.log(64.0), np.log(512.0), (villages, 1)))
    spread = np.minimum(generator.uniform(10.0, 40.0, (villages, 1)), side * 0.3)
    village.size[:] = side
    middle = side / 2.0
    people = village.role <= VILLAGER
    reach = np.where(people, spread, np.minimum(spread * generator.uniform(1.5, 2.5, (villages, 1)), side * 0.48))
    angle = generator.uniform(0.0, 2.0 * np.pi, (villages, npcs))
    radius = reach * np.where(
        people, generator.uniform(0.2, 1.0, angle.shape), generator.uniform(0.6, 1.0, angle.shape)
    )
    village.home_x[:] = middle + radius * np.cos(angle)
    village.home_y[:] = middle + radius * np.sin(angle)
    market = middle + generator.uniform(-6.0, 6.0, (villages, 2))
    for place_x, place_y, loose in ((village.work_x, village.work_y, 12.0), (village.food_x, village.food_y, 10.0)):
        scatter = np.where(village.role == MERCHANT, 2.0, loose) * generator.normal(0.0, 1.0, (2, villages, npcs))
        place_x[:] = np.where(people, market[:, :1], village.home_x) + scatter[0]
        place_y[:] = np.where(people, market[:, 1:], village.home_y) + scatter[1]
    for axis, place in ((0, village.home_x), (1, village.home_y), (0, village.work_x), (1, village.work_y),
                        (0, village.food_x), (1, village.food_y)):  # fmt: skip
        np.clip(place, 0.5, village.size[:, axis : axis + 1] - 0.5, out=place)
    village.x[:] = village.home_x
    village.y[:] = village.home_y
    village.clock_s[:] = generator.uniform(0.0, 240.0, villages)
    village.weather[:] = np.maximum(0.0, generator.uniform(-1.0, 1.0, villages))
    village.draws[:] = generator.integers(0, 1 << 63, villages, dtype=np.uint64)
