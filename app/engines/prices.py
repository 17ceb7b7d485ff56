"""What a model costs: the dated rows of models/prices.toml, in integer nano-dollars.

A model that no row names is charged at the dearest rate of all rows, so that a budget never overspends. An operator's
own rate stands before the table. It does not know what a model can do.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from app.core.errors import Invalid
from app.core.words import Usage

RATES = ("input_usd", "output_usd", "cached_input_usd", "cache_write_usd")


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model's price in US dollars per million tokens; `model` also stands for its dated snapshots.

    A prompt of more than `long_tokens` is charged at the long rates, all of it and its answer; 0 is no such tier.
    """

    model: str
    input_usd: float
    output_usd: float
    cached_input_usd: float
    cache_write_usd: float
    long_tokens: int = 0
    long_input_usd: float = 0.0
    long_output_usd: float = 0.0
    long_cached_input_usd: float = 0.0
    long_cache_write_usd: float = 0.0
    regional: float = 1.0
    """What the rates are multiplied with where the words must stay in a region."""
    batch_share: float = 1.0
    """What a batch's lines cost of the rates, where the vendor takes batches."""
    source: str
    date: str

    def cost_nano_usd(self, usage: Usage, *, cache_written: int = 0) -> int:
        """The cost of a completion, rounded up; cached tokens read and written are part of `tokens_in`."""
        cached = min(usage.cached_tokens_in, usage.tokens_in)
        written = min(cache_written, usage.tokens_in - cached)
        pico_usd = sum(
            round(usd_per_million * 1_000_000) * tokens
            for usd_per_million, tokens in zip(
                self._rates(usage.tokens_in),
                (usage.tokens_in - cached - written, usage.tokens_out, cached, written),
                strict=True,
            )
        )
        return -(-pico_usd // 1_000)

    def within_region(self) -> Price:
        """The price of words that must stay in a region."""
        if self.regional == 1.0:
            return self
        names = (*RATES, *(f"long_{name}" for name in RATES))
        dearer = {name: getattr(self, name) * self.regional for name in names}
        return msgspec.structs.replace(self, regional=1.0, **dearer)

    def _rates(self, tokens_in: int) -> tuple[float, ...]:
        """Dollars a million in the order of RATES."""
        if self.long_tokens and tokens_in > self.long_tokens:
            return self.long_input_usd, self.long_output_usd, self.long_cached_input_usd, self.long_cache_write_usd
        return self.input_usd, self.output_usd, self.cached_input_usd, self.cache_write_usd


FREE = Price(model="free", input_usd=0, output_usd=0, cached_input_usd=0, cache_write_usd=0, source="", date="")
"""Of a server that bills nobody."""


class Prices:
    """Prices by model name."""

    def __init__(self, rows: tuple[Price, ...]) -> None:
        if not rows:
            raise Invalid("the price table is empty", hint="models/prices.toml needs at least one [[price]]")
        self._rows = {row.model: row for row in rows}
        self._unknown = _dearest(rows)

    @property
    def rows(self) -> tuple[Price, ...]:
        return tuple(self._rows.values())

    def of(self, model: str) -> Price:
        """The row of a model or of the model that it is a snapshot of; the dearest rate where none is known."""
        name = model.rsplit("/", 1)[-1]
        while name:
            if name in self._rows:
                return self._rows[name]
            name, dash, last = name.rpartition("-")
            if not dash or not last.isdigit():
                return self._unknown
        return self._unknown


def _dearest(rows: tuple[Price, ...]) -> Price:
    """A row that is nowhere cheaper than any of `rows`."""
    most = {name: max(getattr(row, name) for row in rows) for name in RATES}
    long = {f"long_{name}": max(most[name], *(getattr(row, f"long_{name}") for row in rows)) for name in RATES}
    tiers = [row.long_tokens for row in rows if row.long_tokens]
    regional = max(row.regional for row in rows)
    return Price(
        model="unknown", source="", date="", long_tokens=min(tiers, default=0), regional=regional, **most, **long
    )


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    price: tuple[Price, ...]


def load(path: Path) -> Prices:
    """The price table of a TOML file; raises Invalid naming what is wrong in it."""
    try:
        return Prices(msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File).price)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Invalid(f"cannot read the prices in {path.name!r}: {error}", hint="see models/prices.toml") from error
