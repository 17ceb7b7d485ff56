"""One request on its way through engines: who is still to try, what was said, what it has cost, where its time went.

It keeps, and decides nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from app.core.clock import Clock, Deadline
from app.core.engines import Task, Variant
from app.core.errors import OverBudget, Unavailable
from app.core.words import Completion, Trace, WordsDelta, WordsEnd, WordsEvent, WordsStart, WordsToolDelta
from app.engines.orchestration.attempt import Attempt
from app.engines.orchestration.books import NOTHING, plus
from app.engines.orchestration.members import Member, outcome_of


@dataclass(frozen=True, slots=True)
class Choice:
    """A variant and the engine that it names."""

    variant: Variant
    member: Member


class Run:
    """Made when a request comes; `leave` ends it in any case."""

    __slots__ = (
        "_began_s",
        "_clock",
        "_first_by_s",
        "_first_call_s",
        "_first_text_s",
        "_said",
        "_started",
        "_total",
        "broke",
        "called",
        "completion",
        "current",
        "deadline",
        "heard",
        "hurried",
        "queue",
        "reasons",
        "refusal",
        "rests_s",
        "task",
        "trace",
    )

    def __init__(
        self, completion: Completion, deadline: Deadline, task: Task, clock: Clock, *, reasons: list[str]
    ) -> None:
        self.completion, self.deadline, self.task = completion, deadline, task
        self.queue: deque[Choice] = deque()
        self.trace = completion.trace or Trace()
        self.reasons = reasons
        """Why engines did not write, in full."""
        self.refusal: OverBudget | None = None
        self.rests_s: float | None = None
        """The shortest rest of an engine that was left out."""
        self.broke = self.heard = self.called = False
        """Whether an engine failed, the caller has text, and the caller has a call of a tool."""
        self.current: Attempt | None = None
        """Whoever writes now."""
        self._clock = clock
        self._began_s = clock.monotonic_s()
        patience_ms = completion.first_token_ms or task.first_token_ms
        self._first_by_s = self._began_s + patience_ms / 1000.0 if patience_ms else deadline.at_s
        self.hurried = deadline.at_s <= self._first_by_s
        """Whether the first text is due by the deadline itself, which any caller may set as short as it likes."""
        self._first_call_s: float | None = None
        self._first_text_s: float | None = None
        self._said: list[str] = []
        self._total = NOTHING
        self._started = False

    def said(self) -> str:
        """All text that the caller has."""
        return "".join(self._said)

    def patience_ms(self) -> float:
        """How long the caller waits for the next text; once it has some, until its deadline."""
        until_s = self.deadline.at_s if self.heard else min(self._first_by_s, self.deadline.at_s)
        return max(0.0, until_s - self._clock.monotonic_s()) * 1000.0

    def begun(self) -> None:
        """An engine is called."""
        if self._first_call_s is None:
            self._first_call_s = self._clock.monotonic_s()
            self.trace.route_ms = (self._first_call_s - self._began_s) * 1000.0

    def wrote(self, attempt: Attempt) -> None:
        """Its first text is there."""
        self.current = attempt
        trace = self.trace
        trace.engine, trace.variant, trace.region = attempt.member.name, attempt.variant, attempt.member.where
        if self._first_text_s is None and self._first_call_s is not None:
            self._first_text_s = self._clock.monotonic_s()
            trace.upstream_ms = (self._first_text_s - self._first_call_s) * 1000.0

    def out(self, event: WordsEvent) -> WordsEvent | None:
        """The event as the caller gets it: one start and one end, whoever wrote."""
        if type(event) is WordsDelta:
            self._said.append(event.text)
            self.heard = True
            return event
        if isinstance(event, WordsStart):
            first, self._started = not self._started, True
            return event if first else None
        if isinstance(event, WordsEnd):
            return WordsEnd(reason=event.reason, usage=plus(self._total, event.usage))
        self.called = self.called or isinstance(event, WordsToolDelta)
        return event

    def fell(self, attempt: Attempt, error: Unavailable) -> None:
        """An attempt failed."""
        self.broke = True
        self.reasons.append(error.message)
        self.trace.falls.append(f"{attempt.member.name}: {outcome_of(error)}")
        self.pay(attempt)

    def pay(self, attempt: Attempt) -> None:
        """What an attempt that did not write the end has cost is part of the whole."""
        self._total = plus(self._total, attempt.usage)

    async def leave(self) -> None:
        """End what still runs; where its caller left in mid-line, what was written is priced first."""
        if self._first_text_s is not None:
            self.trace.stream_ms = (self._clock.monotonic_s() - self._first_text_s) * 1000.0
        if self.current is not None:
            self.current.leave("closed")
            await self.current.close()
