"""What a quest pays: a curve of what a level may earn, spread over the effort, with what the player spends paid back.

Pure: numbers in, numbers out. A reward never falls with the effort, never stays below what is handed over, and a
quest that can be had again pays no more an hour than the studio allows. Sources: Ayer et al. 1955 (pool adjacent
violators); the spread inside a level follows hand-written quests, whose coefficient of variation is about 0.45.
"""

from __future__ import annotations

import math
import statistics
import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from app.core.errors import Invalid
from app.modules.quests.planning.domain import Fact, data
from app.modules.quests.planning.facts import View
from app.modules.quests.planning.grounding import Operator
from app.modules.quests.quest import Reward
from app.modules.quests.settings import Settings
from app.world.entities import Item

HOUR_S = 3_600.0
EXPONENTS = (0.2, 3.0)
"""Least and greatest power of the effort that the spread is looked for between."""
Point = tuple[float, float]
"""(level, amount)"""


class _Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Efforts of generated quests, by the level of their player."""

    efforts: dict[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Curve:
    """An amount for each level, never falling: straight between its points, level beyond them."""

    points: tuple[Point, ...]

    def at(self, level: float) -> float:
        levels = [point[0] for point in self.points]
        after = bisect_right(levels, level)
        if after == 0 or after == len(levels):
            return self.points[max(0, after - 1)][1]
        (low, under), (high, over) = self.points[after - 1], self.points[after]
        return under + (over - under) * (level - low) / (high - low)


def monotone(pairs: Iterable[Point]) -> Curve:
    """The non-decreasing curve nearest to the pairs in least squares, by pooling adjacent violators.

    Pairs of one level are averaged first; raises Invalid without any.
    """
    levels: dict[float, list[float]] = {}
    for level, amount in pairs:
        levels.setdefault(level, []).append(amount)
    if not levels:
        raise Invalid("a curve needs a point", hint="give one as level=amount")
    blocks: list[tuple[float, int, list[float]]] = []  # (sum, weight, levels)
    for level in sorted(levels):
        amounts = levels[level]
        block = (math.fsum(amounts), len(amounts), [level])
        while blocks and blocks[-1][0] / blocks[-1][1] >= block[0] / block[1]:
            total, weight, pooled = blocks.pop()
            block = (total + block[0], weight + block[1], pooled + block[2])
        blocks.append(block)
    return Curve(tuple((level, total / weight) for total, weight, pooled in blocks for level in pooled))


def points_of(words: Iterable[str]) -> tuple[Point, ...]:
    """Points from a studio's `level=amount`; raises Invalid naming the one that is no such pair."""
    found: list[Point] = []
    for word in words:
        level, _, amount = word.partition("=")
        try:
            point = float(level), float(amount)
        except ValueError:
            raise Invalid(f"{word!r} is no level=amount", hint="such as 5=120") from None
        if not all(map(math.isfinite, point)) or point[1] <= 0.0:
            raise Invalid(f"{word!r} has no positive amount", hint="such as 5=120")
        found.append(point)
    return tuple(found)


@lru_cache(maxsize=1)
def _measured() -> tuple[Point, ...]:
    """The shipped pairs (level, effort)."""
    table = msgspec.convert(tomllib.loads(data("balance.toml").decode()), _Measured)
    return tuple((float(level), effort) for level, efforts in table.efforts.items() for effort in efforts)


@lru_cache(maxsize=1)
def _typical() -> Curve:
    return monotone(_measured())


@lru_cache(maxsize=8)
def _exponent(spread: float) -> float:
    """The power of the effort at which the shares of the shipped pairs vary as much as asked, by halving."""
    relative = [effort / _typical().at(level) for level, effort in _measured()]
    low, high = EXPONENTS
    for _ in range(40):
        middle = (low + high) / 2.0
        shares = [_steep(effort, middle) for effort in relative]
        low, high = (middle, high) if statistics.pstdev(shares) < spread * statistics.fmean(shares) else (low, middle)
    return low


@lru_cache(maxsize=8)
def _drawn(points: tuple[str, ...]) -> Curve:
    return monotone(points_of(points))


def _steep(effort: float, exponent: float) -> float:
    """The share of a typical reward for an effort in typical ones; never below the effort itself."""
    return max(effort, math.pow(effort, exponent))


def budget(level: int, settings: Settings) -> float:
    """Coins for a typical quest of that level: the studio's curve, or what generated quests ask for, grown by level."""
    if settings.reward_points:
        return _drawn(settings.reward_points).at(level)
    return _typical().at(level) * settings.coins_per_effort * _growth(level, settings)


def _growth(level: int, settings: Settings) -> float:
    return (1.0 + settings.reward_growth_per_level) ** max(0, level - 1)


def rate(level: int, settings: Settings) -> float:
    """Coins for one unit of effort, in a typical quest of that level."""
    return budget(level, settings) / _typical().at(level)


def price(item: Item, settings: Settings) -> float:
    """What an item counts as, in coins: by the studio's table of kinds, else its own value."""
    return max(0.0, settings.item_prices.get(item.item_kind, item.value))


def expenses(view: View, plan: Sequence[Operator], kinds: Iterable[str] = ()) -> float:
    """Coins that the player spends on what it then hands over or puts into something.

    Of `kinds` any item does; where one costs nothing, nothing is paid back for it.
    """
    replaceable = frozenset(kinds)
    spent = 0.0
    for number, operator in enumerate(plan):
        if operator.schema.name == "trade" and _consumed(operator.args[0], plan[number + 1 :]):
            item = view.items[operator.args[0]]
            spent += _cheapest(view, item) if item.item_kind in replaceable else price(item, view.settings)
    return spent


def _consumed(item: str, rest: Sequence[Operator]) -> bool:
    had: Fact = ("has", item)
    return any(
        tuple(operator.args[term] if isinstance(term, int) else term for term in pattern) == had
        for operator in rest
        for pattern in operator.schema.delete
    )


def _cheapest(view: View, item: Item) -> float:
    alike = [other for other in view.items.values() if other.item_kind == item.item_kind]
    return min(price(other, view.settings) if other.holder in view.npcs else 0.0 for other in alike)


def reward(
    effort: float, level: int, settings: Settings, *, spent: float = 0.0, repeat_s: float | None = None
) -> Reward:
    """Experience for the effort, and coins for it and what is spent on the way.

    Spending `rate(level)` coins counts as one unit of effort, so that coins never fall with `Reward.effort`, and
    never stay below `spent`. What can be had again after `repeat_s` game seconds pays no more an hour than
    `repeat_coins_per_hour_max` above what is spent.
    """
    typical, most = _typical().at(level), budget(level, settings)
    exponent = _exponent(settings.reward_spread)
    whole = effort + spent * typical / most
    coins = most * _steep(whole / typical, exponent)
    capped = coins
    if repeat_s is not None:
        capped = min(coins, spent + settings.repeat_coins_per_hour_max * repeat_s / HOUR_S)
    work = typical * _steep(effort / typical, exponent) * _growth(level, settings) * settings.experience_per_effort
    return Reward(
        experience=max(1, math.ceil(work * capped / coins - 1e-9)),
        coins=max(1, math.floor(capped) if repeat_s is not None else math.ceil(coins - 1e-9)),
        effort=round(whole, 3),
    )


def worth(view: View, reward: Reward) -> float:
    """What a reward is worth in coins: its own and its items' prices."""
    items = (view.items[id] for id in reward.items if id in view.items)
    return reward.coins + math.fsum(price(item, view.settings) for item in items)


def objections(
    view: View, reward: Reward, level: int, *, spent: float = 0.0, repeat_s: float | None = None
) -> tuple[str, ...]:
    """V7: why a reward cannot be promised; empty when it can.

    It is out of budget above `reward_over_budget_max` typical ones beyond what is spent, and a loop worth running
    when it can be had again and pays more an hour, beyond what is spent, than `repeat_coins_per_hour_max`.
    """
    settings = view.settings
    found: list[str] = []
    gain = worth(view, reward) - spent
    most = settings.reward_over_budget_max * budget(level, settings)
    if gain > most + 1.0:
        found.append(f"the reward is worth {gain:.0f} coins beyond expenses, and level {level} allows {most:.0f}")
    if repeat_s is not None and gain > settings.repeat_coins_per_hour_max * repeat_s / HOUR_S + 1.0:
        hourly = settings.repeat_coins_per_hour_max
        found.append(f"it can be had every {repeat_s:.0f} s for {gain:.0f} coins, more than {hourly:.0f} an hour")
    return tuple(found)
