"""Money: integer nano-dollars, rounded up, never below the truth."""

from __future__ import annotations

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
