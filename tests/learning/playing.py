"""Play in the village for tests of learning: decisions of mixed quality with their rewards, put into a Collector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.learning.datasets import Collector
from app.learning.envs.environment import Brain, Environment
from app.modules.behavior import considerations, logic, schema

LAYOUT = schema.load("open_world")
NPCS = 48
GOOD_SHARE = 0.2
"""Of the decisions of people."""
HOLD_STEPS = 12
"""Steps between two decisions; what happens between them is rewarded all the same."""


def rules() -> Brain:
    return logic.rule_brain(considerations.load("open_world", LAYOUT))


def held(brain: Brain) -> Brain:
    """The brain asked every HOLD_STEPS, as a game with slow minds would; between, everyone goes on."""
    step, kept = 0, (np.zeros(0, np.int8), np.zeros(0, np.int8))

    def decide(obs: NDArray[np.float32], mask: NDArray[np.uint8]) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        nonlocal step, kept
        if step % HOLD_STEPS == 0:
            kept = brain(obs.copy(), mask.copy())
        step += 1
        return kept

    return decide


def distracted(seed: int) -> Brain:
    """The rules, but people forget in most decisions what they wanted, and do anything that they may."""
    generator, wise = np.random.default_rng(seed), rules()

    def decide(obs: NDArray[np.float32], mask: NDArray[np.uint8]) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        intents, slots = wise(obs, mask)
        people = obs[:, LAYOUT.role_columns[:3]].any(axis=1)
        forgot = (generator.random(len(obs)) > GOOD_SHARE) & people
        whim = (generator.random(mask.shape) * mask).argmax(axis=1)
        return np.where(forgot, whim, intents).astype(np.int8), np.where(forgot, -1, slots).astype(np.int8)

    return decide


def collect(*, villages: int, steps: int, seed: int, poisoned: bool = False) -> Collector:
    """A recording of the distracted; poisoned, with rewards that are no numbers and an NPC that earned 1e30."""
    environment, brain = Environment(villages, NPCS, seed), held(distracted(seed))
    rows = environment.rows
    collector, handles = Collector(LAYOUT.fingerprint), np.arange(rows, dtype=np.uint32)
    for step in range(steps):
        alive = environment.village.alive.reshape(-1) == 1
        obs, mask = (part.copy() for part in environment.observe())
        intents, slots = brain(obs, mask)
        if step % HOLD_STEPS == 0:
            _decided(collector, step, obs, mask, intents, slots, alive, twin=poisoned)
        moment = environment.step(intents, slots)
        reward, died = moment.reward.reshape(-1), moment.died.reshape(-1)
        for some, ends in ((alive & ~died, False), (died, True)):
            collector.reward("w", step, handles=handles[some], reward=reward[some], ends=ends)
        if poisoned:
            worth = np.array([1e30 if step == 9 else 0.1, np.nan, np.inf], np.float32)
            collector.reward("w", step, handles=np.array([rows, 3, 4], np.uint32), reward=worth, ends=False)
    return collector


def _decided(
    collector: Collector, step: int, obs: NDArray[np.float32], mask: NDArray[np.uint8], intents: NDArray[np.int8],
    slots: NDArray[np.int8], alive: NDArray[np.bool_], *, twin: bool,
) -> None:  # fmt: skip
    """Record a tick; with a `twin` there is one more NPC, which does as the first one does."""
    rows = np.append(np.arange(len(obs)), [0]) if twin else np.arange(len(obs))
    collector.tick(
        "w", step, LAYOUT.fingerprint, handles=np.arange(len(rows), dtype=np.uint32), obs=obs[rows], mask=mask[rows],
        intents=intents[rows].view(np.uint8), targets=slots[rows].view(np.uint8),
        confidence=np.ones(len(rows), np.float32), rungs=("utility",), rung_of=np.zeros(len(rows), np.uint8),
        broken=~alive[rows],
    )  # fmt: skip
