"""How well a brain lives: survival, needs, order, profit and plausibility, with confidence intervals.

Every brain meets the same villages (same seeds) and the same opponents: it leads the people while the rules
lead the wild; and each role alone while the rules lead the rest. Pure measurement, no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.learning.envs.environment import DT_S, Brain, Environment
from app.learning.envs.village import CRIMES, GUARD, I8, MERCHANT, ROLES, STOPPED, VILLAGER

MEASURES = ("survival", "needs_met", "crime_stopped", "profit", "plausibility")
NPCS = 48


class Interval(msgspec.Struct, frozen=True):
    """A mean over villages with the half-width of its 95 % interval."""

    mean: float
    half: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A policy beside its rules on one measure; `difference` is paired by village."""

    policy: Interval
    rules: Interval
    random: Interval
    difference: Interval

    @property
    def word(self) -> str:
        """better, worse, or even where the interval of the difference holds 0."""
        if abs(self.difference.mean) <= self.difference.half:
            return "even"
        return "better" if self.difference.mean > 0.0 else "worse"


class Scorecard(msgspec.Struct, frozen=True, kw_only=True):
    """`measures`: the policy leads all people; `roles`: return per NPC and minute, the policy leads that role alone."""

    villages: int
    minutes: float
    measures: dict[str, Verdict]
    roles: dict[str, Verdict]

    def winners(self) -> tuple[str, ...]:
        """Roles in which the policy is better than the rules: these ship."""
        return tuple(role for role, verdict in self.roles.items() if verdict.word == "better")


def random_brain(seed: int) -> Brain:
    """Any allowed intent, no aim but the first slot that it may have."""
    generator = np.random.Generator(np.random.PCG64(seed))

    def decide(obs: NDArray[np.float32], mask: NDArray[np.uint8]) -> tuple[I8, I8]:
        intents = (generator.random(mask.shape) * mask).argmax(1).astype(np.int8)
        slots = np.array([0, 0, 2, -1, -1, -1, 2, -1, 2, -1, 2, -1], np.int8)[intents]
        return intents, slots

    return decide


def live(
    brain: Brain, rules: Brain, led: Sequence[int], *, villages: int, steps: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Run villages in which `brain` leads the roles `led`; every measure per village (villages,), and the return."""
    environment = Environment(villages, NPCS, seed)
    role = environment.village.role
    mine = np.isin(role, led)
    people = role <= VILLAGER
    start = environment.village.gold.copy()
    total = np.zeros(role.shape)
    alive = needs = odd = np.zeros(role.shape)
    for _ in range(steps):
        obs, mask = environment.observe()
        intents, slots = rules(obs, mask)
        own_intents, own_slots = brain(obs, mask)
        flat = mine.reshape(-1)
        moment = environment.step(np.where(flat, own_intents, intents), np.where(flat, own_slots, slots))
        village = environment.village
        living = village.alive == 1
        total = total + moment.reward
        alive = alive + living
        needs = needs + (living & (village.hunger < 0.7) & (village.energy > 0.2) & (village.hp > 0.5))
        odd = odd + (moment.switched | moment.reckless | (moment.told & ~moment.obeyed))
    tally = environment.village.tally
    minutes = steps * DT_S / 60.0
    stopped, crimes = tally[:, :, STOPPED].sum(1), tally[:, :, CRIMES].sum(1)
    traders = (role == MERCHANT) | (role == VILLAGER)
    worth = environment.village.gold + environment.village.stock - start

    def mean(values: NDArray[np.floating], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray((values * rows).sum(1) / np.maximum(1, rows.sum(1)), np.float64)

    return {
        "survival": mean(alive / steps, people),
        "needs_met": mean(needs / steps, people),
        "crime_stopped": np.asarray((stopped + 1.0) / (stopped + crimes + 2.0), np.float64),
        "profit": mean(worth / minutes, traders),
        "plausibility": 1.0 - mean(odd / np.maximum(1.0, alive), people),
        "return": mean(total / minutes, mine),
    }


def measure(policy: Brain, rules: Brain, *, villages: int = 48, steps: int = 960, seed: int = 9_001) -> Scorecard:
    """The whole card; takes about a minute."""
    chance = random_brain(seed)
    people = (GUARD, MERCHANT, VILLAGER)

    def verdicts(led: Sequence[int], names: Sequence[str]) -> dict[str, Verdict]:
        ran = [live(each, rules, led, villages=villages, steps=steps, seed=seed) for each in (policy, rules, chance)]
        return {name: _verdict(*(run[name] for run in ran)) for name in names}

    roles = {ROLES[role]: verdicts((role,), ("return",))["return"] for role in range(len(ROLES))}
    return Scorecard(
        villages=villages, minutes=steps * DT_S / 60.0, measures=verdicts(people, MEASURES), roles=roles
    )  # fmt: skip


def _verdict(policy: NDArray[np.float64], rules: NDArray[np.float64], random: NDArray[np.float64]) -> Verdict:
    return Verdict(
        policy=_interval(policy), rules=_interval(rules), random=_interval(random), difference=_interval(policy - rules)
    )


def _interval(values: NDArray[np.float64]) -> Interval:
    half = 1.96 * float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    return Interval(round(float(values.mean()), 4), round(half, 4))


def table(card: Scorecard) -> list[tuple[str, str, str, str, str, str]]:
    """Rows for people: measure, policy, rules, random, difference with interval, word."""
    rows = []
    groups: tuple[tuple[str, Mapping[str, Verdict]], ...] = (("", card.measures), ("role ", card.roles))
    for prefix, verdicts in groups:
        for name, verdict in verdicts.items():
            parts = (verdict.policy, verdict.rules, verdict.random)
            gap = f"{verdict.difference.mean:+.3f} ± {verdict.difference.half:.3f}"
            rows.append((prefix + name, *(f"{part.mean:.3f}" for part in parts), gap, verdict.word))
    return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows]
