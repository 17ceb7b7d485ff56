"""What models cost a world, folded from its events: by UTC day, NPC, player and engine.

Old days become months and old months one total, so that the table grows with who talks, not with time.
It knows tokens and nano-dollars, not caps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import msgspec

from app.core.words import Spent
from app.world.events import WordsUsed

DAY_MS = 86_400_000
DAYS_KEPT = 62
"""Days that stand alone: this month and the last one, whatever their lengths; older ones are told by the month."""
MONTHS_KEPT = 25
EVER = ""
"""The period of what is older than every month that is kept; it names engines, and no longer who talked."""
_EPOCH = date(1970, 1, 1).toordinal()


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and money of some calls; cached tokens are part of `tokens_in`."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cached_tokens_in: int = 0
    cost_nano_usd: int = 0

    def plus(self, other: Used) -> Used:
        return Used(**{name: getattr(self, name) + getattr(other, name) for name in Used.__struct_fields__})


Rows = dict[str, Used]
"""`row_key` -> what was used."""
Table = dict[str, Rows]
"""Period (`2026-10-03`, `2026-10` or EVER) -> its rows."""


def used_of(spent: Spent) -> Used:
    """What one call of an engine consumed."""
    usage = spent.usage
    return Used(
        calls=1,
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        cached_tokens_in=usage.cached_tokens_in,
        cost_nano_usd=usage.cost_nano_usd,
    )


def charged(spent: Spent, *, npc: str = "", player: str = "") -> WordsUsed:
    """The event by which a world's log holds what one call of an engine has cost."""
    usage = spent.usage
    return WordsUsed(
        npc=npc,
        player=player,
        engine=spent.engine,
        model=spent.model,
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        cached_tokens_in=usage.cached_tokens_in,
        cost_nano_usd=usage.cost_nano_usd,
        estimated=spent.estimated,
        region=spent.region,
    )


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table."""

    period: str
    npc: str
    player: str
    engine: str
    used: Used


def day_of(wall_ms: int) -> int:
    """The UTC day of a moment, in days since 1970."""
    return wall_ms // DAY_MS


def day_name(day: int) -> str:
    """`2026-10-03`."""
    return date.fromordinal(day + _EPOCH).isoformat()


def day_number(name: str) -> int:
    """The day of a name that `day_name` gave."""
    return date.fromisoformat(name).toordinal() - _EPOCH


def month_name(day: int) -> str:
    """`2026-10`."""
    return day_name(day)[:7]


def row_key(npc: str, player: str, engine: str) -> str:
    return "\x1f".join(part.replace("\x1f", " ") for part in (npc, player, engine))


def add(table: Table, wall_ms: int, key: str, used: Used) -> Table:
    """The table with `used` on top; the one given stays as it is, and so do its rows."""
    day = day_of(wall_ms)
    period = day_name(day)
    first = period not in table
    rows = table.get(period, {})
    more = {**table, period: {**rows, key: rows.get(key, Used()).plus(used)}}
    return _folded(more, day) if first else more


def rows_of(table: Table) -> Iterator[Row]:
    """Every line, in the table's own order."""
    for period, rows in table.items():
        for key, used in rows.items():
            npc, player, engine = key.split("\x1f")
            yield Row(period=period, npc=npc, player=player, engine=engine, used=used)


def summary(table: Table) -> dict[str, Any]:
    """Totals by day, month, NPC, player and engine, as `GET /v1/usage` shows them."""
    total, days, months = Used(), Rows(), Rows()
    npcs, players, engines = Rows(), Rows(), Rows()
    for row in rows_of(table):
        total = total.plus(row.used)
        if len(row.period) > len("2026-10"):
            _count(days, row.period, row.used)
        _count(months, row.period[:7], row.used)
        _count(npcs, row.npc, row.used)
        _count(players, row.player, row.used)
        _count(engines, row.engine, row.used)
    parts: Mapping[str, Rows] = {
        "days": days,
        "months": months,
        "npcs": npcs,
        "players": players,
        "engines": engines,
    }
    return {"total": total, **{name: dict(sorted(rows.items())) for name, rows in parts.items()}}


def joined(one: Table, other: Table) -> Table:
    """Both tables as one; those given stay as they are."""
    whole = {period: dict(rows) for period, rows in one.items()}
    for period, rows in other.items():
        for key, used in rows.items():
            _count(whole.setdefault(period, {}), key, used)
    return whole


def _count(rows: Rows, key: str, used: Used) -> None:
    rows[key] = rows.get(key, Used()).plus(used)


def _folded(table: Table, day: int) -> Table:
    """Days and months that are too old for the newest `day`, counted into what is coarser."""
    oldest_day = day_name(day - DAYS_KEPT)
    oldest_month = month_name(day - 31 * MONTHS_KEPT)
    folded: Table = {}
    for period, rows in table.items():
        coarse = period if len(period) < len("2026-10-03") or period >= oldest_day else period[:7]
        if coarse != EVER and coarse < oldest_month:
            coarse = EVER
        into = folded.setdefault(coarse, {})
        for key, used in rows.items():
            _count(into, key if coarse != EVER else row_key("", "", key.rpartition("\x1f")[2]), used)
    return folded
