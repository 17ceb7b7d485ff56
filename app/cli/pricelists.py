"""Two public lists of what models cost and take, as rows of ours: `genai-prices` (MIT) and the table of `litellm`.

It reads both without running either's code beyond its data, and says where they disagree. It writes no file.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from app.core.errors import Unavailable
from app.engines.prices import RATES, Price
from app.engines.providers.capabilities import Capability

VENDORS = ("openai", "anthropic")
OTHER = re.compile(
    r"audio|realtime|image|transcri|tts|embed|search|research|live|instruct|vision|davinci|computer|codex|cyber|"
    r"rosalind|ft[:-]|latest|oss|whisper|moderation|extended"
)
"""Models that write no lines, and names that move from model to model."""
TABLE = "model_prices_and_context_window_backup.json"
SECOND = {
    "input_usd": "input_cost_per_token",
    "output_usd": "output_cost_per_token",
    "cached_input_usd": "cache_read_input_token_cost",
    "cache_write_usd": "cache_creation_input_token_cost",
}
FIRST = {
    "input_usd": "input_mtok",
    "output_usd": "output_mtok",
    "cached_input_usd": "cache_read_mtok",
    "cache_write_usd": "cache_write_mtok",
}
SETTLED: Mapping[str, str] = {
    "claude-sonnet-4-5": "the second list leaves out the tier above 200,000 tokens; the dearer one holds",
}
"""Models over which the lists may disagree, and why the first of them is believed."""
REGIONAL = 1.1
"""What both vendors take for words that stay in a region, on every model that says so."""
LEAST_ROOM_TOKENS = 1_024
"""Beside the line, for a model that cannot be kept from thinking."""
HINT = "uv run --with genai-prices --with litellm manage.py prices …"


@dataclass(frozen=True, slots=True)
class Rates:
    """What one list says of a model, in US dollars a million tokens; a cost that it does not name is left out."""

    base: Mapping[str, float]
    long_tokens: int = 0
    long: Mapping[str, float] = field(default_factory=dict)

    def price(self, model: str, *, regional: float, batch_share: float, source: str, day: date) -> Price:
        """The row of ours: what has no rate of its own costs as input."""
        base = {name: self.base.get(name, self.base["input_usd"]) for name in RATES}
        long = {f"long_{name}": self.long.get(name, self.long["input_usd"]) for name in RATES} if self.long else {}
        return Price(
            model=model,
            long_tokens=self.long_tokens,
            regional=regional,
            batch_share=batch_share,
            source=source,
            date=day.isoformat(),
            **base,
            **long,
        )


def first(day: date) -> tuple[str, dict[str, Rates], dict[str, int]]:
    """(the name and version of genai-prices, its rates on that day, its context windows in tokens)."""
    try:
        data = importlib.import_module("genai_prices.data")
    except ImportError as error:
        raise Unavailable("the list genai-prices is not installed", hint=HINT) from error
    rates, windows = {}, {}
    for provider in data.providers:
        for model in provider.models if provider.id in VENDORS else ():
            found = _first_rates(_in_force(model.prices, day))
            if found is not None and not OTHER.search(model.id):
                rates[model.id], windows[model.id] = found, model.context_window or 0
    return f"genai-prices {importlib.metadata.version('genai-prices')}", rates, windows


def second() -> dict[str, dict[str, Any]]:
    """The rows of litellm's table, whose package is found and not run."""
    found = importlib.util.find_spec("litellm")
    if found is None or found.origin is None:
        raise Unavailable("the list of litellm is not installed", hint=HINT)
    table: dict[str, dict[str, Any]] = json.loads((Path(found.origin).parent / TABLE).read_text(encoding="utf-8"))
    return table


def second_rates(row: Mapping[str, Any]) -> Rates:
    """What a row of the second list says."""
    base = {name: _million(row[key]) for name, key in SECOND.items() if row.get(key) is not None}
    tiers: dict[int, dict[str, float]] = {}
    for name, key in SECOND.items():
        for other, value in row.items():
            tier = re.fullmatch(rf"{key}_above_(\d+)k_tokens", other)
            if tier is not None and value is not None:
                tiers.setdefault(int(tier[1]) * 1_000, {})[name] = _million(value)
    at = min(tiers, default=0)
    return Rates(base, at, tiers.get(at, {}))


def served(model: str, table: Mapping[str, Mapping[str, Any]], day: date) -> bool:
    """Whether anybody still runs the model: its vendor or Azure; one that the table does not know is."""
    rows = [row for row in (table.get(model), table.get(f"azure/{model}")) if row is not None]
    retired = [row.get("deprecation_date") or "9999" for row in rows]
    return not rows or any(until > day.isoformat() for until in retired)


def disagreements(model: str, one: Rates, other: Rates) -> Iterator[str]:
    """Where two lists differ over a model, each as a sentence."""
    for name in RATES:
        if one.base.get(name) != other.base.get(name):
            yield f"{model} {name}: {one.base.get(name)} and {other.base.get(name)}"
    if one.long_tokens != other.long_tokens:
        yield f"{model} long_tokens: {one.long_tokens} and {other.long_tokens}"
    elif one.long != other.long:
        yield f"{model} above {one.long_tokens} tokens: {dict(one.long)} and {dict(other.long)}"


def regional(row: Mapping[str, Any]) -> float:
    """What words cost that must stay in a region, as a factor; a model without a row is believed to cost more."""
    if not row:
        return REGIONAL
    factors = [value for key, value in row.items() if key.startswith("regional_processing_uplift_multiplier")]
    own = row.get("provider_specific_entry") or {}
    return float(max([1.0, *factors, *([own["us"]] if "us" in own else [])]))


def batch_share(model: str, row: Mapping[str, Any]) -> float:
    """What a batch's line costs of the rates. Anthropic says half for every model, the list says it for the others."""
    if model.startswith("claude"):
        return 0.5
    pairs = (
        ("input_cost_per_token_batches", "input_cost_per_token"),
        ("output_cost_per_token_batches", "output_cost_per_token"),
    )
    return max((row[batched] / row[whole] if row.get(batched) and row.get(whole) else 1.0) for batched, whole in pairs)


def capability(model: str, row: Mapping[str, Any], window: int, kept: Capability | None) -> Capability:
    """What a model takes; how much it thinks at the least is a judgment that is kept where there is one."""
    anthropic = row.get("litellm_provider") == "anthropic" or model.startswith("claude")
    efforts = _efforts(row, anthropic=anthropic)
    effort, thinking, room = _least(row, efforts, anthropic=anthropic)
    if kept is not None:
        effort, thinking, room = kept.effort, kept.thinking, kept.thinking_tokens_max
    native = row.get("supports_native_structured_output" if anthropic else "supports_response_schema")
    reasoning, idle = row.get("supports_reasoning"), "none" in efforts
    sampling = "never" if anthropic else ("unthinking" if idle else "never") if reasoning else "always"
    known = bool(row)
    return Capability(
        model=model,
        context_tokens=window,
        output_tokens_max=int(row.get("max_output_tokens") or 0),
        cache_tokens_min=int(row.get("prompt_cache_min_tokens") or (0 if anthropic else 1_024)),
        sampling=sampling if known else "never",  # type: ignore[arg-type]  # one of the three words above
        prefill=bool(row.get("supports_assistant_prefill")),
        schema="strict" if native or not known else "tool",
        forced_tools=row.get("supports_forced_tool_use", known) is not False and known,
        efforts=tuple(dict.fromkeys((*efforts, *((effort,) if effort and effort not in efforts else ())))),
        effort=effort,
        thinking=thinking,
        thinking_tokens_max=room,
    )


def _efforts(row: Mapping[str, Any], *, anthropic: bool) -> tuple[str, ...]:
    """The words for effort that a model takes, from the least."""
    if not row.get("supports_output_config" if anthropic else "supports_reasoning"):
        return ()
    least = [word for word in ("none", "minimal") if row.get(f"supports_{word}_reasoning_effort")]
    most = [word for word in ("xhigh", "max") if row.get(f"supports_{word}_reasoning_effort")]
    return (*([] if anthropic else least), "low", "medium", "high", *most)


def _least(row: Mapping[str, Any], efforts: tuple[str, ...], *, anthropic: bool) -> tuple[str, str, int]:
    """(effort, thinking, thinking_tokens_max) that make a model think the least."""
    if anthropic:
        if row.get("thinking_always_on"):
            return ("low" if efforts else ""), "", LEAST_ROOM_TOKENS
        return "", ("disabled" if row.get("thinking_on_by_default") else ""), 0
    effort = efforts[0] if efforts else ""
    return effort, "", LEAST_ROOM_TOKENS if effort == "low" else 0


def _in_force(prices: Any, day: date) -> Any:
    """The prices of a model on a day; lists begin with what held from the first."""
    if not isinstance(prices, list):
        return prices
    held = [one for one in prices if getattr(one.constraint, "start_date", date.min) <= day]
    return held[-1].prices


def _first_rates(prices: Any) -> Rates | None:
    """What the first list says; None where it has no price of text."""
    found = {name: getattr(prices, key, None) for name, key in FIRST.items()}
    if found["input_usd"] is None or found["output_usd"] is None:
        return None
    base = {name: float(getattr(value, "base", value)) for name, value in found.items() if value is not None}
    tiers = {name: value.tiers[0] for name, value in found.items() if value is not None and hasattr(value, "tiers")}
    at = min((tier.start for tier in tiers.values()), default=0)
    return Rates(base, at, {name: float(tier.price) for name, tier in tiers.items()})


def _million(a_token: float) -> float:
    return round(a_token * 1_000_000, 6)
