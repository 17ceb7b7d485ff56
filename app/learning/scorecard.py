"""How well a brain lives: survival, needs, order, profit and plausibility, with confidence intervals.

Every brain meets the same villages (same seeds) and the same company. Each role is measured in a mixed population,
where a coin decides by village whether another role is led by the policy or by the rules; a role in which the policy
is better than the rules is won. Then all people are led as they would be served: won roles by the policy, the others
by the rules. Pure measurement, no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.learning.envs.environment import DT_S, Brain, Environment
from app.learning.envs.village import CRIMES, GUARD, I8, MERCHANT, ROLES, STOPPED, VILLAGER

MEASURES = ("survival", "needs_met", "crime_stopped", "profit", "plausibility")
LIVES = ("reward", "survival", "needs_met", "plausibility")
"""What is told of each role: reward per NPC and minute, then as in MEASURES."""
PEOPLE = (GUARD, MERCHANT, VILLAGER)
RULES, CHANCE = "utility", "random"
NPCS = 48
Z_95 = 1.96
Bools = NDArray[np.bool_]
Values = NDArray[np.float64]
Start = Callable[[], Brain]
"""Called for each life, so that a brain with a memory begins anew."""
Outcome = Future[dict[str, Values]]


class Interval(msgspec.Struct, frozen=True):
    """A mean over villages with the half-width of its 95 % interval."""

    mean: float
    half: float

    @property
    def word(self) -> str:
        """Of a difference: better, worse, or even where the interval holds 0."""
        if abs(self.mean) <= self.half:
            return "even"
        return "better" if self.mean > 0.0 else "worse"


class Rival(msgspec.Struct, frozen=True, kw_only=True):
    """A baseline beside the policy; `difference` is policy minus baseline, paired by village."""

    mean: float
    half: float
    difference: Interval

    @property
    def word(self) -> str:
        """What the policy is beside it: better, worse or even."""
        return self.difference.word


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A policy beside every baseline on one measure."""

    policy: Interval
    rivals: dict[str, Rival]

    @property
    def rules(self) -> Interval:
        """The utility baseline's own value."""
        return Interval(self.rivals[RULES].mean, self.rivals[RULES].half)

    @property
    def difference(self) -> Interval:
        """Policy minus utility baseline."""
        return self.rivals[RULES].difference

    @property
    def word(self) -> str:
        """The policy against the utility baseline: better, even or worse."""
        return self.rivals[RULES].word


class Scorecard(msgspec.Struct, frozen=True, kw_only=True):
    """`measures` as served, all people led; `roles`: role -> LIVES of that role, the policy leads it alone."""

    villages: int
    minutes: float
    seed: int
    measures: dict[str, Verdict]
    roles: dict[str, dict[str, Verdict]]

    def winners(self) -> tuple[str, ...]:
        """Roles in which the policy earns more than the rules: these ship."""
        return tuple(role for role, verdicts in self.roles.items() if verdicts["reward"].word == "better")

    def count(self, word: str) -> int:
        """How many measures are better, even or worse than the utility baseline's."""
        return sum(verdict.word == word for verdict in self.measures.values())


def random_brain(seed: int) -> Brain:
    """Any allowed intent, no aim but the first slot that it may have."""
    generator = np.random.Generator(np.random.PCG64(seed))

    def decide(obs: NDArray[np.float32], mask: NDArray[np.uint8]) -> tuple[I8, I8]:
        intents = (generator.random(mask.shape) * mask).argmax(1).astype(np.int8)
        slots = np.array([0, 0, 2, -1, -1, -1, 2, -1, 2, -1, 2, -1], np.int8)[intents]
        return intents, slots

    return decide


Lead = tuple[Brain, Bools]
"""A brain and the NPCs (V, n) that it leads."""


class Life:
    """What a life in some villages came to, per NPC (V, n); the rules lead whom nobody of `leads` does."""

    def __init__(self, villages: int, seed: int, steps: int, rules: Brain, leads: Sequence[Lead]) -> None:
        self.environment = environment = Environment(villages, NPCS, seed)
        self.role = environment.village.role
        self.minutes = steps * DT_S / 60.0
        self._start = environment.village.gold.copy()
        self._reward, self._alive, self._needs, self._odd = (np.zeros(self.role.shape) for _ in range(4))
        rows = [(brain, np.flatnonzero(led.reshape(-1))) for brain, led in leads]
        for _ in range(steps):
            self._step(rules, [(brain, led) for brain, led in rows if len(led)])

    def _step(self, rules: Brain, leads: Sequence[tuple[Brain, NDArray[np.intp]]]) -> None:
        obs, mask = self.environment.observe()
        intents, slots = rules(obs, mask)
        for brain, led in leads:
            intents[led], slots[led] = brain(obs[led], mask[led])
        moment, village = self.environment.step(intents, slots), self.environment.village
        living = village.alive == 1
        self._reward += moment.reward
        self._alive += living
        self._needs += living & (village.hunger < 0.7) & (village.energy > 0.2) & (village.hp > 0.5)
        self._odd += moment.switched | moment.reckless | (moment.told & ~moment.obeyed)

    def of(self, rows: Bools) -> dict[str, Values]:
        """LIVES of the NPCs `rows` (V, n), the mean of each village (V,)."""
        steps = self.minutes * 60.0 / DT_S
        return {
            "reward": _mean(self._reward / self.minutes, rows),
            "survival": _mean(self._alive / steps, rows),
            "needs_met": _mean(self._needs / steps, rows),
            "plausibility": 1.0 - _mean(self._odd / np.maximum(1.0, self._alive), rows),
        }

    def measures(self) -> dict[str, Values]:
        """MEASURES of the people, of each village (V,)."""
        village = self.environment.village
        traders = (self.role == MERCHANT) | (self.role == VILLAGER)
        stopped, crimes = village.tally[:, :, STOPPED].sum(1), village.tally[:, :, CRIMES].sum(1)
        return {
            **self.of(self.role <= VILLAGER),
            "crime_stopped": np.asarray((stopped + 1.0) / (stopped + crimes + 2.0), np.float64),
            "profit": _mean((village.gold + village.stock - self._start) / self.minutes, traders),
        }


def _mean(values: NDArray[np.floating], rows: Bools) -> Values:
    return np.asarray((values * rows).sum(1) / np.maximum(1, rows.sum(1)), np.float64)


def measure(
    policy: Brain, rules: Brain, *, others: Mapping[str, Start] | None = None, villages: int = 96, steps: int = 960,
    seed: int = 9_001, threads: int = 2, tell: Callable[[float], None] | None = None,
) -> Scorecard:  # fmt: skip
    """The whole card, a minute on two cores; `others` are further baselines that lead the people.

    `tell` hears what share of the lives has been lived.
    """
    baselines: dict[str, Start] = {RULES: lambda: rules, CHANCE: lambda: random_brain(seed), **(others or {})}
    role = Environment(villages, NPCS, seed).village.role
    brains: dict[str, Start] = {"policy": lambda: policy, **baselines}
    names = ("policy", RULES, CHANCE)
    with ThreadPoolExecutor(threads) as pool:
        lives = _Lives(pool, rules, (villages, steps, seed), len(ROLES) * len(names) + len(brains), tell)
        ran = [
            {name: lives.alone(policy, brains[name], number, role) for name in names} for number in range(len(ROLES))
        ]
        roles = {name: _verdicts(_results(each), LIVES) for name, each in zip(ROLES, ran, strict=True)}
        won = [ROLES.index(name) for name, verdicts in roles.items() if verdicts["reward"].word == "better"]
        people = role <= VILLAGER
        served = {name: lives.together(start, people) for name, start in baselines.items()}
        served["policy"] = lives.together(brains["policy"], people & np.isin(role, won))
        measures = _verdicts(_results(served), MEASURES)
    return Scorecard(villages=villages, minutes=steps * DT_S / 60.0, seed=seed, measures=measures, roles=roles)


@dataclass(slots=True)
class _Lives:
    """Lives in the same villages, some at once."""

    pool: ThreadPoolExecutor
    rules: Brain
    setting: tuple[int, int, int]
    """Villages, steps, seed."""
    count: int
    tell: Callable[[float], None] | None
    _ended: int = 0

    def alone(self, policy: Brain, start: Start, number: int, role: I8) -> Outcome:
        """LIVES of one role led by a brain; a coin gives each other role of a village to the policy or to the rules."""
        villages, _, seed = self.setting
        coin = np.random.Generator(np.random.PCG64(seed)).random((villages, len(ROLES))) < 0.5
        mine = role == number
        mixed = np.take_along_axis(coin, role.astype(np.intp), axis=1) & ~mine  # (V, n)
        return self._begin(lambda: self._live([(policy, mixed), (start(), mine)]).of(mine))

    def together(self, start: Start, led: Bools) -> Outcome:
        """MEASURES of the people, those of `led` (V, n) led by a brain and all others by the rules."""
        return self._begin(lambda: self._live([(start(), led)]).measures())

    def _live(self, leads: list[Lead]) -> Life:
        villages, steps, seed = self.setting
        return Life(villages, seed, steps, self.rules, leads)

    def _begin(self, work: Callable[[], dict[str, Values]]) -> Outcome:
        outcome = self.pool.submit(work)
        outcome.add_done_callback(self._end)
        return outcome

    def _end(self, outcome: Outcome) -> None:
        self._ended += 1
        if self.tell is not None:
            self.tell(min(1.0, self._ended / self.count))


def _results(outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, Values]]:
    return {name: outcome.result() for name, outcome in outcomes.items()}


def _verdicts(ran: Mapping[str, dict[str, Values]], names: Sequence[str]) -> dict[str, Verdict]:
    """The runs of each brain, "policy" among them, as one verdict for each measure."""
    found = {}
    for name in names:
        policy = ran["policy"][name]
        rivals = {}
        for rival, values in ran.items():
            if rival != "policy":
                own = _interval(values[name])
                rivals[rival] = Rival(mean=own.mean, half=own.half, difference=_interval(policy - values[name]))
        found[name] = Verdict(policy=_interval(policy), rivals=rivals)
    return found


def _interval(values: Values) -> Interval:
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return Interval(round(float(values.mean()), 4), round(Z_95 * spread / float(np.sqrt(len(values))), 4))


def table(card: Scorecard, *, of_roles: Sequence[str] = LIVES) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows for people: measure, policy, each baseline, the difference to the rules and its word.

    `of_roles` names what is told of each role.
    """
    names = list(next(iter(card.measures.values())).rivals)
    rows = [_row(name, verdict, names) for name, verdict in card.measures.items()]
    for role, verdicts in card.roles.items():
        rows += [_row(f"{role}: {name}", verdict, names) for name, verdict in verdicts.items() if name in of_roles]
    return ("measure", "policy", *names, f"against {RULES}", "verdict"), rows


def _row(title: str, verdict: Verdict, names: Sequence[str]) -> tuple[str, ...]:
    rivals = (f"{verdict.rivals[name].mean:.3f}" if name in verdict.rivals else "" for name in names)
    gap = f"{verdict.difference.mean:+.3f} ± {verdict.difference.half:.3f}"
    return (title, f"{verdict.policy.mean:.3f}", *rivals, gap, verdict.word)
