"""Play in the village for tests of learning: decisions of mixed quality with their rewards, put into a Collector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.learning.datasets import Collector
from app.learning.envs.environment import Brain, Environment
from app.learning.envs.village import WANDER
from app.modules.behavior import considerations, logic, schema

LAYOUT = schema.load("open_world")
NPCS = 48
GOOD_SHARE = 0.4


def rules() -> Brain:
    return logic.rule_brain(considerations.load("open_world", LAYOUT))


def distracted(seed: int) -> Brain:
    """The rules, but people forget in most decisions what they wanted, and wander."""
    generator, wise = np.random.default_rng(seed), rules()

    def decide(obs: NDArray[np.float32], mask: NDArray[np.uint8]) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        intents, slots = wise(obs, mask)
        people = obs[:, LAYOUT.role_columns[:3]].any(axis=1)
        forgot = (generator.random(len(obs)) > GOOD_SHARE) & people & (mask[:, WANDER] != 0)
        return np.where(forgot, WANDER, intents).astype(np.int8), np.where(forgot, -1, slots).astype(np.int8)

    return decide


def collect(*, villages: int, steps: int, seed: int, poisoned: bool = False) -> Collector:
    """A recording of the distracted; poisoned, with rewards that are no numbers and an NPC that earned 1e30."""
    environment, brain = Environment(villages, NPCS, seed), distracted(seed)
    rows = environment.rows
    collector, handles = Collector(LAYOUT.fingerprint), np.arange(rows, dtype=np.uint32)
    for step in range(steps):
        obs, mask = (part.copy() for part in environment.observe())
        intents, slots = brain(obs, mask)
        alive = environment.village.alive.reshape(-1) == 1
        moment = environment.step(intents, slots)
        reward, died = moment.reward.reshape(-1), moment.died.reshape(-1)
        if poisoned:  # one more NPC, that does as the first one did
            obs, mask, intents, slots = (np.vstack([part, part[:1]]) if part.ndim == 2 else np.append(part, part[:1])
                                         for part in (obs, mask, intents, slots))  # fmt: skip
        known = np.arange(len(obs), dtype=np.uint32)
        collector.tick(
            "w", step, LAYOUT.fingerprint, handles=known, obs=obs, mask=mask, intents=intents.view(np.uint8),
            targets=slots.view(np.uint8), confidence=np.ones(len(obs), np.float32), rungs=("utility",),
            rung_of=np.zeros(len(obs), np.uint8), broken=~np.append(alive, alive[:1])[: len(obs)],
        )  # fmt: skip
        for some, ends in ((alive & ~died, False), (died, True)):
            collector.reward("w", step, handles=handles[some], reward=reward[some], ends=ends)
        if poisoned:
            worth = np.array([1e30 if step == 9 else 0.1, np.nan, np.inf], np.float32)
            collector.reward("w", step, handles=np.array([rows, 3, 4], np.uint32), reward=worth, ends=False)
    return collector
