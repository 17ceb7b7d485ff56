"""Counts what engines of words do, and warns whoever keeps their keys.

It knows engines by their name in the profile, and no text, key or tenant.
"""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from app.core.ports import Log
from app.core.words import Usage
from app.telemetry.metrics import Metrics

NANO = 1e-9


class WordsMeter:
    """The metrics of one server's engines of words; children are looked up once, which takes longer than counting."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self._calls: dict[tuple[str, str], Counter] = {}
        self._spent: dict[str, tuple[Counter, Counter, Counter, Counter]] = {}
        self._first_text: dict[str, Histogram] = {}

    def called(self, engine: str, outcome: str, usage: Usage) -> None:
        calls = self._calls.get((engine, outcome))
        if calls is None:
            calls = self._calls[engine, outcome] = self._metrics.words_calls.labels(engine, outcome)
        calls.inc()
        if usage.tokens_in or usage.tokens_out or usage.cost_nano_usd:
            given, taken, cached, cost = self._spent.get(engine) or self._spent_by(engine)
            given.inc(usage.tokens_in)
            taken.inc(usage.tokens_out)
            cached.inc(usage.cached_tokens_in)
            cost.inc(usage.cost_nano_usd * NANO)

    def first_text(self, engine: str, seconds: float) -> None:
        found = self._first_text.get(engine)
        if found is None:
            found = self._first_text[engine] = self._metrics.words_first_text_seconds.labels(engine)
        found.observe(seconds)

    def hedged(self, engine: str, outcome: str) -> None:
        self._metrics.words_hedges.labels(engine, outcome).inc()

    def turned(self, engine: str, state: str) -> None:
        self._metrics.words_breaker_open.labels(engine).set(0 if state == "closed" else 1)

    def alerted(self, engine: str, reason: str) -> None:
        """Once for each time that a key or an account is refused: no waiting mends it."""
        self._log.warning("engine.alerted", engine=engine, reason=reason)
        self._metrics.words_alerts.labels(engine).inc()

    def _spent_by(self, engine: str) -> tuple[Counter, Counter, Counter, Counter]:
        given, taken, cached = (self._metrics.words_tokens.labels(engine, kind) for kind in ("in", "out", "cached_in"))
        found = self._spent[engine] = given, taken, cached, self._metrics.words_cost_usd.labels(engine)
        return found
