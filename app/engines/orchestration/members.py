"""One engine among those of the orchestrator: where it is, how long it may take, and how it has been of late.

It tells of falls and recoveries when they happen, once each. It knows no request.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.core.clock import Clock
from app.core.engines import Orchestrator as Settings
from app.core.errors import DeadlineExceeded, EngineDown, Unavailable
from app.core.ladder import Watcher
from app.core.words import Words
from app.engines.orchestration.breaker import Breaker, State
from app.engines.orchestration.pace import Pace
from app.engines.orchestration.watch import Meter


@dataclass(frozen=True, slots=True)
class Limits:
    """One engine's three clocks: until its first text, between two pieces, until its end."""

    first_token_ms: float = 800.0
    gap_ms: float = 800.0
    total_ms: float = 20_000.0


class Member:
    """An engine, its clocks, its breaker and its pace. `region` is None on this machine."""

    __slots__ = ("_clock", "_group", "_meter", "_watcher", "breaker", "engine", "limits", "name", "pace", "region")

    def __init__(
        self,
        engine: Words,
        limits: Limits,
        region: str | None,
        *,
        settings: Settings,
        group: str,
        clock: Clock,
        watcher: Watcher,
        meter: Meter,
    ) -> None:
        """`group` is what the watcher knows the orchestrator as."""
        self.engine, self.name = engine, engine.name
        self.limits, self.region = limits, region
        self.breaker = Breaker(settings.breaker)
        self.pace = Pace(settings.first_token_stale_ms)
        self._group, self._clock, self._watcher, self._meter = group, clock, watcher, meter

    @property
    def where(self) -> str:
        """The region as it is written where spending is written; empty on this machine."""
        return "" if self.region is None else self.region or "unknown"

    def begin(self) -> bool | None:
        """Take a call: True for the probe after a rest, False for any other, None where none may be made now."""
        return self.breaker.begin(self._clock.monotonic_s())

    def succeeded(self) -> None:
        if self.breaker.succeed():
            self._watcher.rung_rose(self._group, self.name)
            self._meter.turned(self.name, State.CLOSED.value)

    def failed(self, error: Unavailable, *, probe: bool) -> None:
        """Take a failure into account; the request's own does not count."""
        now_s = self._clock.monotonic_s()
        before, alerted = self.breaker.state(now_s), bool(self.breaker.alert)
        failure = error.failure if isinstance(error, EngineDown) else ""
        first = self.breaker.fail(now_s, failure, error.message, probe=probe, retry_after_s=error.retry_after_s)
        if first:
            self._watcher.rung_fell(self._group, self.name, error.message)
        if (after := self.breaker.state(now_s)) is not before:
            self._meter.turned(self.name, after.value)
        if self.breaker.alert and not alerted:
            self._meter.alerted(self.name, error.message)

    def trouble(self, now_s: float) -> str:
        """How it is, for a person; empty while it is well."""
        breaker = self.breaker
        if not breaker.reason and not breaker.alert:
            return ""
        state, rest_s = breaker.state(now_s), breaker.rests_s(now_s)
        rests = f" for {rest_s:.0f} s" if state is State.OPEN else ""
        alert = " (look after its key and account)" if breaker.alert else ""
        return f"{self.name} is {state.value.replace('_', ' ')}{rests} after: {breaker.alert or breaker.reason}{alert}"


def outcome_of(error: Unavailable) -> str:
    """A failed call's outcome in one word of a closed set."""
    if isinstance(error, DeadlineExceeded):
        return "late"
    return (error.failure if isinstance(error, EngineDown) else "") or error.code
