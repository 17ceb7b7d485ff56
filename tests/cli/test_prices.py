"""The price tables: made of two lists that agree, and never of lists that do not."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli import pricelists
from app.cli import prices as command
from app.engines import prices
from app.engines.providers import capabilities

DAY = date(2026, 11, 28)
ROW: dict[str, Any] = {
    "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2e-07, "output_cost_per_token": 1.2e-06,
    "cache_read_input_token_cost": 2e-08, "max_output_tokens": 128_000, "supports_reasoning": True,
    "supports_none_reasoning_effort": True, "supports_response_schema": True,
    "regional_processing_uplift_multiplier_eu": 1.1,
}  # fmt: skip
RATES = pricelists.Rates({"input_usd": 0.2, "output_usd": 1.2, "cached_input_usd": 0.02})


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The second list, which a test changes; the first says RATES of `gpt-x`. Tables are written to a folder."""
    table = {"gpt-x": dict(ROW)}
    monkeypatch.setattr(command, "first", lambda _day: ("list 1", {"gpt-x": RATES}, {"gpt-x": 400_000}))
    monkeypatch.setattr(command, "second", lambda: table)
    monkeypatch.setattr(command, "PRICES", tmp_path / "prices.toml")
    takes = tmp_path / "capabilities.toml"
    takes.write_text('[[capability]]\nmodel = "gpt-old"\n')
    monkeypatch.setattr(capabilities, "FILE", takes)
    return table


def run(*words: str) -> Result:
    capabilities.load.cache_clear()
    found = CliRunner().invoke(command.prices, words)
    capabilities.load.cache_clear()
    return found


def test_lists_that_agree_become_tables_that_are_read_again(lists: dict[str, dict[str, Any]]) -> None:
    assert run("build").exit_code == 0
    (row,) = prices.load(command.PRICES).rows
    assert (row.model, row.input_usd, row.cache_write_usd, row.regional, row.source) == (
        "gpt-x",
        0.2,
        0.2,
        1.1,
        "list 1",
    )
    takes = capabilities.of("gpt-x")
    assert (takes.context_tokens, takes.effort, takes.sampling) == (400_000, "none", "unthinking")
    assert run("check").exit_code == 0


@pytest.mark.parametrize("key", ["input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost"])
def test_lists_that_disagree_write_nothing_and_fail_the_check(lists: dict[str, dict[str, Any]], key: str) -> None:
    assert run("build").exit_code == 0
    before = command.PRICES.read_bytes()
    lists["gpt-x"][key] = 9e-06
    for words in ("build", "check"):
        failed = run(words)
        assert failed.exit_code != 0
        assert "gpt-x" in str(failed.exception)
        assert "9.0" in str(failed.exception)
    assert command.PRICES.read_bytes() == before


def test_a_table_that_is_not_what_the_lists_say_fails_the_check(lists: dict[str, dict[str, Any]]) -> None:
    assert run("build").exit_code == 0
    command.PRICES.write_text(command.PRICES.read_text().replace("input_usd = 0.2\n", "input_usd = 0.1\n", 1))
    assert "gpt-x" in str(run("check").exception)


def test_what_was_judged_of_a_models_thinking_is_kept(lists: dict[str, dict[str, Any]]) -> None:
    capabilities.FILE.write_text('[[capability]]\nmodel = "gpt-x"\nefforts = ["low"]\neffort = "low"\n')
    assert run("build").exit_code == 0
    assert capabilities.of("gpt-x").effort == "low"


def test_a_model_that_nobody_serves_any_more_has_no_row(lists: dict[str, dict[str, Any]]) -> None:
    lists["gpt-x"]["deprecation_date"] = "2026-01-01"
    assert not pricelists.served("gpt-x", lists, DAY)
    lists["azure/gpt-x"] = dict(ROW)
    assert pricelists.served("gpt-x", lists, DAY)


def test_the_price_of_today_is_the_last_that_is_in_force() -> None:
    def price(usd: float, start: date | None) -> SimpleNamespace:
        constraint = SimpleNamespace(start_date=start) if start else None
        return SimpleNamespace(constraint=constraint, prices=SimpleNamespace(input_mtok=usd, output_mtok=usd))

    found = [price(1.0, None), price(2.0, date(2026, 3, 1)), price(3.0, date(2027, 3, 1))]
    rates = pricelists._first_rates(pricelists._in_force(found, DAY))
    assert rates is not None
    assert rates.base == {"input_usd": 2.0, "output_usd": 2.0}


def test_tiers_of_both_lists_are_compared() -> None:
    tiered = {**ROW, **{f"{key}_above_272k_tokens": ROW[key] * 2 for key in pricelists.SECOND.values() if key in ROW}}
    long = {name: round(rate * 2, 6) for name, rate in RATES.base.items()}
    same = pricelists.Rates(RATES.base, 272_000, long)
    assert list(pricelists.disagreements("m", same, pricelists.second_rates(tiered))) == []
    assert list(pricelists.disagreements("m", same, pricelists.second_rates(ROW)))
    dearer = pricelists.Rates(RATES.base, 272_000, {**long, "output_usd": 9.0})
    assert list(pricelists.disagreements("m", dearer, pricelists.second_rates(tiered)))
