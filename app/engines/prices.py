"""What a model costs: the dated rows of models/prices.toml, in integer nano-dollars.

A model that no row names is charged at the dearest rate of all rows, so that a budget never overspends.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from app.core.errors import Invalid
from app.core.words import Usage


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model's price in US dollars per million tokens; `model` also stands for its dated snapshots.

    Thinking is paid as output and delays the first word, so the row also says how little of it the model takes:
    `effort` and `thinking` are the vendor's own words, sent where they are given; `thinking_tokens_max` is the room
    that a model needs beside its line when it cannot be kept from thinking.
    """

    model: str
    input_usd: float
    output_usd: float
    cached_input_usd: float
    cache_write_usd: float
    source: str
    date: str
    effort: str = ""
    thinking: str = ""
    thinking_tokens_max: int = 0

    def cost_nano_usd(self, usage: Usage, *, cache_written: int = 0) -> int:
        """The cost of a completion, rounded up; cached tokens read and written are part of `tokens_in`."""
        cached = min(usage.cached_tokens_in, usage.tokens_in)
        written = min(cache_written, usage.tokens_in - cached)
        pico_usd = sum(
            round(usd_per_million * 1_000_000) * tokens
            for usd_per_million, tokens in (
                (self.input_usd, usage.tokens_in - cached - written),
                (self.cached_input_usd, cached),
                (self.cache_write_usd, written),
                (self.output_usd, usage.tokens_out),
            )
        )
        return -(-pico_usd // 1_000)


class Prices:
    """Prices by model name."""

    def __init__(self, rows: tuple[Price, ...]) -> None:
        if not rows:
            raise Invalid("the price table is empty", hint="models/prices.toml needs at least one [[price]]")
        self._rows = {row.model: row for row in rows}
        most = {
            name: max(getattr(row, name) for row in rows)
            for name in ("input_usd", "output_usd", "cached_input_usd", "cache_write_usd")
        }
        self._unknown = Price(model="unknown", source="", date="", **most)

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


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    price: tuple[Price, ...]


def load(path: Path) -> Prices:
    """The price table of a TOML file; raises Invalid naming what is wrong in it."""
    try:
        return Prices(msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File).price)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Invalid(f"cannot read the prices in {path.name!r}: {error}", hint="see models/prices.toml") from error
