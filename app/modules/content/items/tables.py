"""The tables that items are made of, read once and checked: kinds, affixes, rarities, what a stat costs.

All power is counted in points, whole numbers. It knows no world.
"""

from __future__ import annotations

import math
import tomllib
from functools import lru_cache
from importlib import resources
from typing import Literal, NamedTuple

import msgspec

from app.core.errors import Broken

Gender = Literal["m", "f", "n"]


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much power a level brings, and what power adds to a price."""

    base_points: int
    per_level_points: int
    value_points: int
    main_share: float


class Rarity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The part of a level's budget that it may use, its affixes, and how often it is drawn."""

    share_min: float
    share_max: float
    affixes: int
    weight: int


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an item is: its group, the stat that it is for, its price in coins without power, its nouns."""

    group: str
    main: str
    price: float
    en: str
    de: tuple[str, Gender]
    top: str


class Affix(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"kinds": "for", "excludes": "not"}):
    """A word that gives a stat. `share` is the least and the most of the budget that it may take."""

    sort: str
    stat: str
    share: tuple[float, float]
    kinds: tuple[str, ...]
    en: str
    de: str
    level: int = 1
    excludes: tuple[str, ...] = ()


class Endings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The second halves of proper names, in the same order in both languages."""

    en: tuple[str, ...]
    de: tuple[str, ...]


class Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What proper names are made of."""

    roots_en: tuple[str, ...]
    roots_de: tuple[str, ...]
    endings: dict[str, Endings]


class Band(NamedTuple):
    """The points that an item of a level and a rarity has, from `least` to `most`."""

    least: int
    most: int


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of it. Rarities stand poorest first."""

    budget: Budget
    rarities: dict[str, Rarity]
    stats: dict[str, int]
    kinds: dict[str, Kind]
    prefixes: dict[str, Affix]
    suffixes: dict[str, Affix]
    names: Names

    def band(self, level: int, rarity: str) -> Band:
        """What an item may be worth in points; grows with the level, and bands of two rarities never overlap."""
        points = self.budget.base_points + self.budget.per_level_points * level
        share = self.rarities[rarity]
        return Band(math.ceil(points * share.share_min), math.floor(points * share.share_max))

    def value(self, kind: str, power: int) -> float:
        """Coins for an item of this kind and power; grows with the power."""
        return float(round(self.kinds[kind].price * (1.0 + power / self.budget.value_points), 1))

    def ranks(self, kind: str) -> tuple[str, ...]:
        """The rarities that a kind comes in, poorest first."""
        names = tuple(self.rarities)
        return names[: names.index(self.kinds[kind].top) + 1]

    def fits(self, affix: Affix, kind: str, level: int) -> bool:
        """Whether an affix may stand on an item of that kind and level."""
        return level >= affix.level and (kind in affix.kinds or self.kinds[kind].group in affix.kinds)


def agree(first: Affix, second: Affix) -> bool:
    """Whether two affixes may stand on one item: neither excludes the other, and each gives a stat of its own."""
    return (
        first.stat != second.stat
        and first.sort != second.sort
        and first.sort not in second.excludes
        and second.sort not in first.excludes
    )


@lru_cache(1)
def load_tables() -> Tables:
    """The shipped tables; raises Broken where they are at odds with themselves."""
    text = (resources.files("app.modules.content") / "data" / "items.toml").read_text(encoding="utf-8")
    tables = msgspec.convert(tomllib.loads(text), Tables)
    for fault in _faults(tables):
        raise Broken(f"items.toml: {fault}")
    return tables


def _faults(tables: Tables) -> list[str]:
    known = {kind.group for kind in tables.kinds.values()} | tables.kinds.keys()
    found = [f"kind {id!r} is for no stat" for id, kind in tables.kinds.items() if kind.main not in {*tables.stats, ""}]
    for id, affix in {**tables.prefixes, **tables.suffixes}.items():
        found += [f"affix {id!r} gives no stat"] if affix.stat not in tables.stats else []
        found += [f"affix {id!r} is for {name!r}, which is no kind" for name in affix.kinds if name not in known]
    for one, two in zip(list(tables.rarities.values()), list(tables.rarities.values())[1:], strict=False):
        found += ["two rarities overlap"] if one.share_max >= two.share_min else []
    names = tables.names
    pairs = [(names.roots_en, names.roots_de), *((each.en, each.de) for each in names.endings.values())]
    found += ["a list of names is not as long in both languages" for en, de in pairs if len(en) != len(de)]
    return found
