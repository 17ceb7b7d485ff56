"""The Prometheus metrics of one server; labels are closed sets, never ids or free text."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app.core.ports import Log

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Every metric by attribute; each server has a registry of its own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self._answered_by: dict[tuple[str, str], Counter] = {}
        self._answered_from: dict[str, Counter] = {}
        self.request_seconds = Histogram(
            "innkeeper_request_seconds",
            "Time from a request's arrival to its reply.",
            ("module", "verb", "outcome"),
            buckets=_SECONDS,
            registry=registry,
        )
        self.rung_answers = Counter(
            "innkeeper_rung_answers", "Answers by the rung that gave them.", ("module", "rung"), registry=registry
        )
        self.rung_falls = Counter(
            "innkeeper_rung_falls", "Times a rung began to fail.", ("module", "rung"), registry=registry
        )
        self.rung_down = Gauge(
            "innkeeper_rung_down", "1 while a rung is failing.", ("module", "rung"), registry=registry
        )
        self.responses = Counter(
            "innkeeper_responses", "What the response cache did, by outcome.", ("outcome",), registry=registry
        )
        self.engine_degraded = Gauge(
            "innkeeper_engine_degraded",
            "1 while an engine runs on less than the profile asks for, or hangs.",
            ("engine",),
            registry=registry,
        )
        self.sessions = Gauge("innkeeper_sessions", "Open sockets.", registry=registry)
        self.tasks = Gauge("innkeeper_tasks", "Tasks of the event loop that are not done.", registry=registry)
        self.inflight = Gauge("innkeeper_inflight", "Requests being answered.", registry=registry)
        self.requests_shed = Counter(
            "innkeeper_requests_shed", "Requests refused before their work began.", registry=registry
        )
        self.writer_events = Gauge("innkeeper_writer_queue_events", "Events waiting for a commit.", registry=registry)
        self.commit_seconds = Histogram(
            "innkeeper_commit_seconds", "Time of one group commit.", buckets=_SECONDS, registry=registry
        )
        self.commits_failed = Counter("innkeeper_commits_failed", "Group commits that failed.", registry=registry)
        self.words_calls = Counter(
            "innkeeper_words_calls",
            "Calls of an engine of words by how they ended.",
            ("engine", "outcome"),
            registry=registry,
        )
        self.words_first_text_seconds = Histogram(
            "innkeeper_words_first_text_seconds",
            "Time from the call of an engine to its first text.",
            ("engine",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.words_tokens = Counter(
            "innkeeper_words_tokens",
            "Tokens that engines of words took and gave; cached ones are part of those in.",
            ("engine", "kind"),
            registry=registry,
        )
        self.words_cost_usd = Counter(
            "innkeeper_words_cost_usd", "What engines of words have cost.", ("engine",), registry=registry
        )
        self.words_hedges = Counter(
            "innkeeper_words_hedges",
            "Second engines beside a slow one, by whether they were first; unfunded ones were not started.",
            ("engine", "outcome"),
            registry=registry,
        )
        self.words_breaker_open = Gauge(
            "innkeeper_words_breaker_open", "1 while an engine of words rests.", ("engine",), registry=registry
        )
        self.words_alerts = Counter(
            "innkeeper_words_alerts",
            "Times an engine's key or account was refused after it had worked.",
            ("engine",),
            registry=registry,
        )

    def answered_by(self, module: str, rung: str) -> Counter:
        """`rung_answers` of one rung; the library's own look-up takes longer than counting does."""
        found = self._answered_by.get((module, rung))
        if found is None:
            found = self._answered_by[module, rung] = self.rung_answers.labels(module, rung)
        return found

    def answered_from(self, outcome: str) -> Counter:
        """`responses` of one outcome."""
        found = self._answered_from.get(outcome)
        if found is None:
            found = self._answered_from[outcome] = self.responses.labels(outcome)
        return found

    def render(self) -> bytes:
        """The exposition text, version 0.0.4."""
        return generate_latest(self._registry)


class RungWatch:
    """Logs and counts each fall and recovery of a rung once; remembers which are down, for readiness."""

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self.down: dict[str, str] = {}

    def rung_fell(self, module: str, rung: str, reason: str) -> None:
        self.down[f"{module}.{rung}"] = reason
        self._log.warning("rung.fell", module=module, rung=rung, reason=reason)
        self._metrics.rung_falls.labels(module, rung).inc()
        self._metrics.rung_down.labels(module, rung).set(1)

    def rung_rose(self, module: str, rung: str) -> None:
        self.down.pop(f"{module}.{rung}", None)
        self._log.info("rung.rose", module=module, rung=rung)
        self._metrics.rung_down.labels(module, rung).set(0)
