"""One village's life, kept to be looked at: where everyone was, what they did, how they fared.

It plays and keeps arrays; `app/learning/episode.py` draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.learning.envs.effects import aim
from app.learning.envs.environment import DT_S, Brain, Environment
from app.learning.envs.village import CRIMES, DEATHS, F32, I8, I32, STOPPED, Village


@dataclass(slots=True)
class Recording:
    """T moments of n NPCs of one village."""

    role: I8
    """(n,)"""
    home: F32
    """(n, 2) cells"""
    work: F32
    food: F32
    xy: F32
    """(T, n, 2) cells"""
    intent: I8
    """(T, n)"""
    target: I32
    """(T, n) whom each aims at, -1 = nobody"""
    hp: F32
    """(T, n)"""
    alive: I8
    """(T, n)"""
    hour: F32
    """(T,) 0 to 24"""
    weather: float
    tally: NDArray[np.int32]
    """(T, 3) deaths of all, persons killed and wanted predators stopped, so far"""
    dt_s: float = DT_S


def record(
    policy: Brain, rules: Brain, led: Sequence[int], *, seed: int, steps: int, npcs: int = 48, begin_hour: float = 5.0
) -> Recording:
    """A life of one village from `begin_hour` on: the policy leads the roles `led`, the rules all others."""
    environment = Environment(1, npcs, seed)
    village = environment.village
    village.clock_s[:] = begin_hour / 24.0 * village.day_s
    mine = np.isin(village.role[0], led)
    made = _room(village, steps)
    for step in range(steps):
        obs, mask = environment.observe()
        intents, slots = rules(obs, mask)
        own_intents, own_slots = policy(obs, mask)
        intents, slots = np.where(mine, own_intents, intents), np.where(mine, own_slots, slots)
        targets = [aim(row, slot) for row, slot in zip(environment.senses.targets[0], slots.tolist(), strict=True)]
        environment.step(intents, slots)
        made.xy[step, :, 0], made.xy[step, :, 1] = village.x[0], village.y[0]
        made.intent[step], made.target[step] = intents, targets
        made.hp[step], made.alive[step] = village.hp[0], village.alive[0]
        made.hour[step] = village.clock_s[0] / village.day_s[0] * 24.0
        made.tally[step] = [village.tally[0, :, column].sum() for column in (DEATHS, CRIMES, STOPPED)]
    return made


def _room(village: Village, steps: int) -> Recording:
    npcs = village.x.shape[1]

    def place(x: F32, y: F32) -> F32:
        return np.stack((x[0], y[0]), axis=-1)

    return Recording(
        role=village.role[0].copy(), home=place(village.home_x, village.home_y),
        work=place(village.work_x, village.work_y), food=place(village.food_x, village.food_y),
        xy=np.zeros((steps, npcs, 2), np.float32), intent=np.zeros((steps, npcs), np.int8),
        target=np.full((steps, npcs), -1, np.int32), hp=np.zeros((steps, npcs), np.float32),
        alive=np.zeros((steps, npcs), np.int8), hour=np.zeros(steps, np.float32), weather=float(village.weather[0]),
        tally=np.zeros((steps, 3), np.int32),
    )  # fmt: skip


def lively(recording: Recording) -> float:
    """How much there is to see: blows, flights and how near people come to each other's fate."""
    fights = float((recording.hp[1:] < recording.hp[:-1] - 0.02).sum())
    return fights + 20.0 * float(recording.tally[-1, 2]) + 5.0 * float(recording.tally[-1, 0])
