"""Makes items: affixes are searched so that all power together lies inside the budget of level and rarity.

Pure: the same seed, wish and names in use give the same items. It knows which names the world has, and no more of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import product

from app.core.ids import stable_hash
from app.modules.content.items.naming import key_names, names_of, proper_names
from app.modules.content.items.tables import Affix, Band, Tables, agree

TRIES_MAX = 32
"""Kinds and rarities that are drawn for one item until one can be made that is not there yet."""
COMBINATIONS_MAX = 64
"""Pairs of affixes that are looked at for one item."""
BEST = "legendary"


@dataclass(frozen=True, slots=True)
class Made:
    """An item before it has an id: `stats` are units by name, `band` is where `power` had to lie."""

    kind: str
    level: int
    rarity: str
    prefix: str
    suffix: str
    stats: Mapping[str, int]
    power: int
    band: Band
    value: float
    names: Mapping[str, str]
    unique: bool = False
    opens: str = ""

    @property
    def affixes(self) -> tuple[str, ...]:
        """The ids of its affixes."""
        return tuple(each for each in (self.prefix, self.suffix) if each)


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: empty kinds and rarity leave it to the seed."""

    level: int
    count: int
    kinds: tuple[str, ...] = ()
    rarity: str = ""
    opens: tuple[tuple[str, str], ...] = ()
    """(id, name) of each place that gets a key."""


@dataclass(slots=True)
class _Shelf:
    """What is taken already: names in any language, and the items of each kind, level and rarity."""

    names: set[str]
    models: dict[tuple[str, int, str], list[Made]] = field(default_factory=dict)

    def takes(self, made: Made) -> bool:
        """Put it there, unless its like is there already, or one of the two would be no worse in anything."""
        models = self.models.setdefault((made.kind, made.level, made.rarity), [])
        if any(
            made.affixes == other.affixes or no_better(made, other) or no_better(other, made) for other in models
        ) or (made.unique and any(name in self.names for name in made.names.values())):
            return False
        models.append(made)
        self.names |= set(made.names.values()) if made.unique else set()
        return True


def made_items(tables: Tables, order: Order, seed: int, taken: Set[str]) -> list[Made]:
    """The items of an order, fewer where there are no more that differ; keys first, one for each place."""
    shelf = _Shelf(names=set(taken))
    found = [_key(tables, order.level, id, name) for id, name in order.opens][: order.count]
    for number in range(order.count - len(found)):
        made = _one(tables, order, stable_hash(seed, "item", number), shelf)
        if made is None:
            break
        found.append(made)
    return found


def _one(tables: Tables, order: Order, seed: int, shelf: _Shelf) -> Made | None:
    for turn in range(TRIES_MAX):
        drawn = stable_hash(seed, turn)
        kind = _kind(tables, order, drawn)
        rarity = order.rarity or _rarity(tables, kind, drawn) if kind else ""
        if not rarity or rarity not in tables.ranks(kind):
            continue
        for made in _variants(tables, kind, order.level, rarity, drawn):
            if shelf.takes(made):
                return made
    return None


def _kind(tables: Tables, order: Order, seed: int) -> str:
    """A kind of the order's, by its id or its group; keys are made for places alone."""
    able = [
        id
        for id, kind in tables.kinds.items()
        if kind.main and (not order.kinds or id in order.kinds or kind.group in order.kinds)
    ]
    if order.rarity:
        able = [id for id in able if order.rarity in tables.ranks(id)]
    return able[stable_hash(seed, "kind") % len(able)] if able else ""


def _rarity(tables: Tables, kind: str, seed: int) -> str:
    ranks = tables.ranks(kind)
    weights = [tables.rarities[rank].weight for rank in ranks]
    drawn = stable_hash(seed, "rarity") % sum(weights)
    for rank, weight in zip(ranks, weights, strict=True):
        drawn -= weight
        if drawn < 0:
            return rank
    return ranks[0]


def _variants(tables: Tables, kind: str, level: int, rarity: str, seed: int) -> Iterator[Made]:
    """Items of that kind, level and rarity: every pair of affixes that fits, in a drawn order, as far as the bound."""
    band = tables.band(level, rarity)
    unique = rarity == BEST
    for number, (prefix, suffix) in enumerate(_pairs(tables, kind, level, rarity, seed)):
        drawn = stable_hash(seed, number, prefix, suffix)
        stats = _stats(tables, kind, (tables.prefixes.get(prefix), tables.suffixes.get(suffix)), band, drawn)
        if stats is None:
            continue
        power = power_of(tables, stats)
        names = names_of(tables, kind, prefix, suffix)
        if unique:
            names = _proper(tables, tables.kinds[kind].group, drawn)
        yield Made(
            kind=kind, level=level, rarity=rarity, prefix=prefix, suffix=suffix, stats=stats, power=power, band=band,
            value=tables.value(kind, power), names=names, unique=unique,
        )  # fmt: skip


def _pairs(tables: Tables, kind: str, level: int, rarity: str, seed: int) -> list[tuple[str, str]]:
    """(prefix, suffix) with as many affixes as the rarity has; at one, the other is empty."""
    before = [id for id, affix in tables.prefixes.items() if tables.fits(affix, kind, level)]
    after = [id for id, affix in tables.suffixes.items() if tables.fits(affix, kind, level)]
    count = tables.rarities[rarity].affixes
    if count == 0:
        return [("", "")]
    if count == 1:
        able = [*((id, "") for id in before), *(("", id) for id in after)]
    else:
        able = [pair for pair in product(before, after) if agree(tables.prefixes[pair[0]], tables.suffixes[pair[1]])]
    return sorted(able, key=lambda pair: stable_hash(seed, "pair", *pair))[:COMBINATIONS_MAX]


def _stats(tables: Tables, kind: str, affixes: Sequence[Affix | None], band: Band, seed: int) -> dict[str, int] | None:
    """Units of each stat with all power inside the band, None where what the kind is for would get too little."""
    main = tables.kinds[kind].main
    price = tables.stats[main]
    stats: dict[str, int] = {main: 0}
    spent = 0
    for affix in affixes:
        if affix is None:
            continue
        low, high = affix.share
        share = low + (high - low) * (stable_hash(seed, affix.stat, "share") % 1_000) / 999
        units = max(1, int(band.most * share) // tables.stats[affix.stat])
        stats[affix.stat] = stats.get(affix.stat, 0) + units
        spent += units * tables.stats[affix.stat]
    slack = max(0, band.most - band.least - price + 1)
    units = (band.most - stable_hash(seed, "slack") % (slack + 1) - spent) // price
    stats[main] += units
    enough = units * price >= tables.budget.main_share * band.least
    return stats if enough and band.least <= power_of(tables, stats) <= band.most else None


def no_better(made: Made, other: Made) -> bool:
    """Whether `other` gives as much of everything as `made`, or more."""
    return all(other.stats.get(name, 0) >= units for name, units in made.stats.items())


def power_of(tables: Tables, stats: Mapping[str, int | float]) -> int:
    """The points that these units cost together, rounded up."""
    return -int(-sum(tables.stats[name] * units for name, units in stats.items()) // 1)


def _proper(tables: Tables, group: str, seed: int) -> dict[str, str]:
    endings = tables.names.endings[group]
    root = stable_hash(seed, "root") % len(tables.names.roots_en)
    return proper_names(tables, group, root, stable_hash(seed, "ending") % len(endings.en))


def _key(tables: Tables, level: int, place: str, name: str) -> Made:
    """A key opens the place that was named, and has no power."""
    return Made(
        kind="key", level=level, rarity="common", prefix="", suffix="", stats={}, power=0, band=Band(0, 0),
        value=tables.value("key", 0), names=key_names(name or place), opens=place,
    )  # fmt: skip
