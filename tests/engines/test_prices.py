"""Money: integer nano-dollars, rounded up, never below the truth."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Invalid
from app.core.words import Usage
from app.engines import prices
from tests.engines.conftest import PRICES

COUNT = st.integers(0, 10_000_000)


def test_snapshot_of_a_model_has_its_price() -> None:
    assert PRICES.of("gpt-6-luna-2026-09-01") == PRICES.of("openai/gpt-6-luna") == PRICES.of("gpt-6-luna")


@given(COUNT, COUNT, COUNT, COUNT)
def test_unknown_model_never_costs_less_than_a_known_one(fresh: int, out: int, cached: int, written: int) -> None:
    usage = Usage(tokens_in=fresh + cached + written, tokens_out=out, cached_tokens_in=cached)
    dear = PRICES.of("brand-new-model").cost_nano_usd(usage, cache_written=written)
    for model in ("gpt-5.5", "claude-fable-5-2", "claude-haiku-5-5"):
        assert PRICES.of(model).cost_nano_usd(usage, cache_written=written) <= dear


def test_cost_is_rounded_up_to_whole_nano_dollars() -> None:
    price = prices.Price(
        model="m", input_usd=0.0375, output_usd=0, cached_input_usd=0, cache_write_usd=0, source="s", date="2026-01-01"
    )
    assert price.cost_nano_usd(Usage(tokens_in=1)) == 38


def test_faulty_table_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('[[price]]\nmodel = "m"\n')
    with pytest.raises(Invalid, match="input_usd"):
        prices.load(tmp_path / "p.toml")


LONG = prices.Price(
    model="m",
    input_usd=1,
    output_usd=2,
    cached_input_usd=0.1,
    cache_write_usd=1.25,
    long_tokens=1_000,
    long_input_usd=5,
    long_output_usd=10,
    long_cached_input_usd=0.5,
    long_cache_write_usd=6.25,
    regional=1.1,
    source="s",
    date="2026-01-01",
)


def test_a_prompt_above_the_long_tier_is_dear_as_a_whole() -> None:
    assert LONG.cost_nano_usd(Usage(tokens_in=1_000, tokens_out=10)) == 1_000 * 1_000 + 10 * 2_000
    assert LONG.cost_nano_usd(Usage(tokens_in=1_001, tokens_out=10)) == 1_001 * 5_000 + 10 * 10_000


@given(COUNT, COUNT, COUNT)
def test_words_that_stay_in_a_region_cost_a_tenth_more(fresh: int, out: int, cached: int) -> None:
    usage = Usage(tokens_in=fresh + cached, tokens_out=out, cached_tokens_in=cached)
    assert LONG.within_region().cost_nano_usd(usage) == pytest.approx(1.1 * LONG.cost_nano_usd(usage), abs=1)
    assert LONG.within_region().within_region() == LONG.within_region()


def test_the_table_has_a_source_and_a_day_for_every_model() -> None:
    assert len(PRICES.rows) >= 40
    for row in PRICES.rows:
        assert row.source
        assert date.fromisoformat(row.date) <= datetime.now(UTC).date()
        assert 0 < row.cached_input_usd <= row.input_usd <= row.output_usd
        assert row.cache_write_usd >= row.input_usd
        assert (row.long_tokens > 0) == (row.long_input_usd > 0)
        assert row.long_input_usd >= (row.input_usd if row.long_tokens else 0)
