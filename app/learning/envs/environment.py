"""Villages to learn in: one decision for everyone, then half a second of life, then its reward.

It moves NPCs in straight lines and says what each moment was worth; it does not learn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.learning.envs.effects import goals, move, resolve
from app.learning.envs.sensing import SLOT_COLUMN, Senses
from app.learning.envs.village import (
    ATTACK,
    CRIMES,
    F32,
    FLEE,
    FOLLOW,
    GUARD,
    HOME,
    I8,
    KILLS,
    MERCHANT,
    PATROL,
    PREDATOR,
    REST,
    STAND,
    STOPPED,
    TALK,
    VILLAGER,
    WANDER,
    WORK,
    allocate,
    deal_roles,
    populate,
    settle,
)  # fmt: skip

Brain = Callable[[F32, NDArray[np.uint8]], tuple[I8, I8]]
"""(obs (rows, 64), mask (rows, 12)) -> (intents (rows,), slots (rows,)) int8, -1 for none."""

DT_S = 0.5
NEAR_DANGER = float(np.log1p(8.0) / np.log1p(512.0))
"""Encoded distance of a threat that one must react to: 8 cells."""
DIRECTIVES = (HOME, WORK, WANDER, REST, PATROL, STAND, TALK, FOLLOW)
DIRECTIVE_SHARE_S = 0.004
"""Chance per second that an NPC is told something."""


@dataclass(slots=True)
class Moment:
    """What one step brought, per NPC (V, n)."""

    reward: F32
    died: NDArray[np.bool_]
    switched: NDArray[np.bool_]
    reckless: NDArray[np.bool_]
    obeyed: NDArray[np.bool_]
    told: NDArray[np.bool_]


class Environment:
    """V villages of n NPCs; the same seed and decisions give the same run."""

    def __init__(self, villages: int, npcs: int, seed: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self.village = allocate(villages, npcs)
        self.village.role[:] = deal_roles(npcs)
        settle(self.village, self._generator)
        populate(self.village, self._generator)
        self.senses = Senses(villages, npcs)
        self.senses.look(self.village)
        self._goals = np.zeros((villages, npcs, 3), np.float32)

    @property
    def rows(self) -> int:
        """Decisions in a step."""
        return int(self.village.x.size)

    def observe(self) -> tuple[F32, NDArray[np.uint8]]:
        """Flat views of what everyone sees (rows, 64) and may do (rows, 12)."""
        return self.senses.obs.reshape(-1, 64), self.senses.mask.reshape(-1, 12)

    def step(self, intents: I8, slots: I8) -> Moment:
        """Live `DT_S` seconds; `intents` and `slots` are (rows,) int8."""
        village, shape = self.village, self.village.x.shape
        intents, slots = intents.reshape(shape), slots.reshape(shape)
        before = (village.hp.copy(), village.gold.copy(), village.stock.copy(), village.tally.copy())
        alive, held_s, doing = village.alive == 1, village.held_s.copy(), village.intent.copy()
        danger = self.endangered()
        goals(village, intents, slots, self.senses.targets, self._goals)
        move(village, self._goals, DT_S)
        resolve(village, intents, slots, self.senses.targets, DT_S)
        civil = (village.role == MERCHANT) | (village.role == VILLAGER)
        sane = (intents == FLEE) | (intents == HOME) | (intents == ATTACK)
        told = alive & (village.told >= 0) & ~danger
        moment = Moment(
            reward=np.zeros(shape, np.float32),
            died=alive & (village.alive == 0),
            switched=alive & (intents != doing) & (held_s < 2.0) & ~danger,
            reckless=alive & civil & danger & ~sane,
            obeyed=told & (village.told == intents),
            told=told,
        )
        moment.reward[:] = self._worth(before, moment, intents, alive & (intents != doing))
        self._tell()
        self.senses.look(village)
        return moment

    def endangered(self) -> NDArray[np.bool_]:
        """Who has a stronger foe within 8 cells."""
        obs = self.senses.obs
        found: NDArray[np.bool_] = (
            (obs[:, :, SLOT_COLUMN] < NEAR_DANGER)
            & (obs[:, :, SLOT_COLUMN + 1] > 0.0)
            & (obs[:, :, SLOT_COLUMN + 2] > 0.0)
        )
        return found

    def _worth(self, before: tuple[F32, F32, F32, F32], moment: Moment, intents: I8, changed: NDArray[np.bool_]) -> F32:
        """Needs, wounds, trade, duty, steadiness and obedience as one number per NPC."""
        village, (hp, gold, stock, tally) = self.village, before
        done = village.tally - tally
        role = village.role
        lost = np.where(moment.died, hp, np.maximum(0.0, hp - village.hp))
        hungry = np.maximum(0.0, village.hunger - 0.4) / 0.6
        tired = np.maximum(0.0, 0.4 - village.energy) / 0.4
        worth = -DT_S * 0.10 * (hungry**2 + tired**2) - 1.5 * lost - 2.0 * moment.died
        earned = np.where(moment.died, 0.0, village.gold - gold)
        goods = np.where(moment.died, 0.0, village.stock - stock)
        price = np.select([role == MERCHANT, role == VILLAGER], [1.4, 0.7], 0.0)
        worth += 0.10 * np.where(role <= VILLAGER, earned + price * goods, 0.0)
        worth -= 0.02 * changed + 0.04 * moment.switched + 0.10 * moment.reckless
        worth += DT_S * 0.06 * moment.obeyed
        guards = role == GUARD
        crimes = done[:, :, CRIMES].sum(axis=1, keepdims=True)
        worth += guards * (2.0 * done[:, :, KILLS] + 2.0 * done[:, :, STOPPED] - 0.3 * crimes)
        worth += np.where(guards & (intents == ATTACK), DT_S * 0.03, 0.0)
        worth += np.where(role == PREDATOR, 1.5 * done[:, :, KILLS] * (0.3 + village.hunger), 0.0)
        return np.asarray(worth, np.float32)

    def _tell(self) -> None:
        """Give a few NPCs a directive that suits them, for 15 to 60 seconds."""
        village = self.village
        lucky = np.argwhere(self._generator.random(village.x.shape) < DIRECTIVE_SHARE_S * DT_S)
        for v, i in lucky:
            intent = DIRECTIVES[int(self._generator.integers(len(DIRECTIVES)))]
            suits = village.role[v, i] <= VILLAGER and (intent not in (PATROL, STAND) or village.role[v, i] == GUARD)
            if suits and village.told[v, i] < 0:
                village.told[v, i] = intent
                village.told_s[v, i] = self._generator.uniform(15.0, 60.0)
