"""Judges items that somebody made by hand: their power against the budget, their affixes, value and uniqueness.

It reads what an item says of itself in its attributes: `level`, `rarity`, `affixes` and the stats. Other attributes are
the game's own. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from app.core.errors import nearest
from app.modules.content.items.making import power_of
from app.modules.content.items.tables import Affix, Tables, agree
from app.world.entities import Item

VALUE_SHARE = 0.25
"""How far a price may be off the table before it is pointed out."""


class Judged(NamedTuple):
    """What is to be said of one item. An `error` breaks a rule of the tables, a `warning` deserves a look."""

    item: str
    level: str
    rule: str
    reason: str


def judge(
    tables: Tables, items: Sequence[Item], present: Mapping[str, Item], places: Mapping[str, object]
) -> list[Judged]:
    """All findings, item by item; `present` are the items of the world, `places` what a key may open."""
    names: dict[str, str] = {item.name.casefold(): item.id for item in present.values() if "unique" in item.tags}
    found: list[Judged] = []
    for item in items:
        found += _of_one(tables, item, places)
        if "unique" in item.tags and item.name:
            other = names.setdefault(item.name.casefold(), item.id)
            if other != item.id:
                found.append(Judged(item.id, "error", "unique", f"{other!r} has that name and is unique, too"))
    return found


def stats_of(tables: Tables, item: Item) -> dict[str, float]:
    """The numbers among an item's attributes that the tables have a price for."""
    return {
        name: float(value)
        for name, value in item.attributes.items()
        if name in tables.stats and isinstance(value, int | float) and not isinstance(value, bool)
    }


def level_of(item: Item) -> int:
    """The level that an item says it is of; 1 where it says none."""
    level = item.attributes.get("level", 1.0)
    return max(1, int(level)) if isinstance(level, int | float) else 1


def _of_one(tables: Tables, item: Item, places: Mapping[str, object]) -> Iterator[Judged]:
    opens = item.attributes.get("opens")
    if opens is not None and str(opens) not in places:
        hint = nearest(str(opens), places)
        yield Judged(item.id, "error", "opens", f"there is no place {opens!r}; {hint}")
    rarity = str(item.attributes.get("rarity", next(iter(tables.rarities))))
    if rarity not in tables.rarities:
        yield Judged(item.id, "error", "rarity", f"no rarity {rarity!r}; {nearest(rarity, tables.rarities)}")
        return
    if item.item_kind not in tables.kinds:
        yield Judged(item.id, "warning", "kind", f"no kind {item.item_kind!r}; {nearest(item.item_kind, tables.kinds)}")
    elif rarity not in tables.ranks(item.item_kind):
        yield Judged(item.id, "error", "rarity", f"a {item.item_kind} is at most {tables.kinds[item.item_kind].top}")
    yield from _power(tables, item, rarity)
    if item.item_kind in tables.kinds:
        yield from _affixes(tables, item, rarity)
        yield from _value(tables, item)


def _power(tables: Tables, item: Item, rarity: str) -> Iterator[Judged]:
    stats, level = stats_of(tables, item), level_of(item)
    power, band = power_of(tables, stats), tables.band(level, rarity)
    for name, units in stats.items():
        if units < 0:
            yield Judged(item.id, "warning", "stat", f"{name} is {units:g}; less than nothing pays for other stats")
    told = f"{power} points; a {rarity} item of level {level} has {band.least} to {band.most}"
    if power > band.most:
        yield Judged(item.id, "error", "budget", told)
    elif stats and power < band.least:
        yield Judged(item.id, "warning", "budget", told)


def _affixes(tables: Tables, item: Item, rarity: str) -> Iterator[Judged]:
    named = [word.strip() for word in str(item.attributes.get("affixes", "")).split(",") if word.strip()]
    known: dict[str, Affix] = {**tables.prefixes, **tables.suffixes}
    for name in named:
        if name not in known:
            yield Judged(item.id, "error", "affix", f"no affix {name!r}; {nearest(name, known)}")
        elif not tables.fits(known[name], item.item_kind, level_of(item)):
            yield Judged(item.id, "error", "affix", f"{name!r} is not for a {item.item_kind} of level {level_of(item)}")
    for one, two in combinations([name for name in named if name in known], 2):
        if not agree(known[one], known[two]):
            yield Judged(item.id, "error", "affix", f"{one!r} and {two!r} cannot stand together")
    most = tables.rarities[rarity].affixes
    if len(named) > most:
        yield Judged(item.id, "error", "affix", f"{len(named)} affixes; a {rarity} item has {most}")


def _value(tables: Tables, item: Item) -> Iterator[Judged]:
    should = tables.value(item.item_kind, power_of(tables, stats_of(tables, item)))
    if abs(item.value - should) > VALUE_SHARE * should:
        yield Judged(item.id, "warning", "value", f"{item.value:g} coins; {should:g} by the table")
