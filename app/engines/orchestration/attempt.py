"""One engine's stream under its three clocks: first text, gap, total; priced once, however it ends.

It knows one call of one engine. What is tried next, and what the caller has heard before, is the orchestrator's; of
what was said it knows only the seam.
"""

from __future__ import annotations

from app.core.clock import Deadline
from app.core.errors import DeadlineExceeded, EngineDown, Unavailable
from app.core.spending import Reservation
from app.core.words import (
    Completion,
    Spent,
    Usage,
    WordsDelta,
    WordsEnd,
    WordsEvent,
    WordsStart,
    WordsToolDelta,
)
from app.engines.orchestration.books import Books
from app.engines.orchestration.clocks import Alarm, Rang
from app.engines.orchestration.members import NOTHING, Member, outcome_of
from app.engines.orchestration.seam import Seam


class Attempt:
    """Made for one call; `first` once, then `next` until `ended`, and `close` in any case."""

    __slots__ = (
        "_alarm",
        "_books",
        "_completion",
        "_events",
        "_fair",
        "_first_s",
        "_gap_s",
        "_hold",
        "_owns_total",
        "_pending",
        "_probe",
        "_seam",
        "_settled",
        "_total_s",
        "_whole",
        "_written",
        "began_s",
        "blameless",
        "ended",
        "first_at_s",
        "member",
        "model",
        "usage",
        "variant",
    )

    def __init__(
        self,
        member: Member,
        completion: Completion,
        deadline: Deadline,
        *,
        variant: str,
        first_ms: float,
        fair: bool,
        probe: bool,
        hold: Reservation | None,
        seam: Seam | None,
        books: Books,
    ) -> None:
        """`first_ms` is the wait for the first text; where it is not `fair`, being late is not the engine's fault.

        `probe` where it shows whether the engine is well again; `seam` takes out what a continuation repeats.
        """
        limits, left_ms = member.limits, deadline.left_ms()
        self.member, self.variant, self.model = member, variant, ""
        self._completion, self._hold, self._books, self._seam = completion, hold, books, seam
        self._probe = probe
        self._alarm = Alarm()
        self.began_s = self._alarm.now_s()
        self.first_at_s: float | None = None
        self._owns_total = limits.total_ms < left_ms
        total_ms = min(left_ms, limits.total_ms)
        self._total_s = self.began_s + total_ms / 1000.0
        self._first_s = self.began_s + min(first_ms, limits.first_token_ms, total_ms) / 1000.0
        self._fair = fair or first_ms >= limits.first_token_ms
        self._gap_s = limits.gap_ms / 1000.0
        self._whole = completion.schema is not None
        self._written: list[str] = []
        self._pending: WordsEnd | None = None
        self._settled = self.ended = False
        self.blameless = False
        """Whether the lateness that ended it was the caller's."""
        self.usage = NOTHING
        total = deadline if not self._owns_total else Deadline.after_ms(total_ms, deadline.clock)
        self._events = member.engine.stream(completion, total)

    async def first(self) -> list[WordsEvent]:
        """The events up to the first that means something: text that is not blank, a call of a tool, or the end.

        Data with a schema comes whole, since half an object cannot be gone on with. Raises EngineDown and
        DeadlineExceeded; then nothing was heard of it.
        """
        held: list[WordsEvent] = []
        until_s = self._first_s
        while True:
            event = await self._pull(until_s)
            if isinstance(event, WordsStart):
                self.model = event.model
                held.append(event)
                continue
            if isinstance(event, WordsDelta) and not self._whole and self._seam is None and event.text.isspace():
                held.append(event)
                continue
            if self.first_at_s is None:
                self.first_at_s = self._alarm.now_s()
            fresh = self._fresh(event)
            if fresh is not None:
                held.append(fresh)
                if not self._whole or self.ended:
                    return held
            until_s = min(self._alarm.now_s() + self._gap_s, self._total_s)

    async def next(self) -> WordsEvent:
        """The next event; raises as `first` does."""
        if self._pending is not None:
            return self._finish(self._pending)
        while True:
            event = await self._pull(min(self._alarm.now_s() + self._gap_s, self._total_s))
            if (fresh := self._fresh(event)) is not None:
                return fresh

    def fail(self, error: Unavailable) -> None:
        """Take its failure into account; what was sent and not answered is paid all the same."""
        if self._settled:
            return
        late = isinstance(error, DeadlineExceeded)
        if self.blameless:
            self.member.breaker.leave(probe=self._probe)
        else:
            self.member.failed(error, probe=self._probe)
        worked = late or self.model or (isinstance(error, EngineDown) and error.failure == "incomplete")
        usage = self._guess() if worked else NOTHING
        self._settle(usage, outcome_of(error), estimated=True)

    def leave(self, outcome: str) -> None:
        """Nobody wants the rest: price what there is, and blame nobody."""
        if not self._settled:
            self.member.breaker.leave(probe=self._probe)
            self._settle(self._guess(), outcome, estimated=True)

    async def close(self) -> None:
        """End the call upstream."""
        self._alarm.stop()
        await self._events.aclose()

    def most(self) -> Usage:
        """The most that the call can consume."""
        return self.member.most(self._completion)

    def waited_ms(self) -> float:
        """Milliseconds since the call was made."""
        return (self._alarm.now_s() - self.began_s) * 1000.0

    def first_ms(self) -> float | None:
        """Milliseconds from the call to its first text."""
        return None if self.first_at_s is None else (self.first_at_s - self.began_s) * 1000.0

    async def _pull(self, until_s: float) -> WordsEvent:
        try:
            return await self._alarm.wait(self._events.__anext__(), until_s)
        except StopAsyncIteration:
            raise EngineDown(f"{self.member.name} ended without a finish", failure="incomplete") from None
        except Rang:
            self._judge(until_s)
            characters = sum(map(len, self._written))
            raise DeadlineExceeded(f"{self.member.name}, at {characters} characters, was late") from None
        except DeadlineExceeded:
            self._judge(self._total_s)
            raise

    def _judge(self, until_s: float) -> None:
        """Whose fault it is that this clock ran out."""
        if until_s >= self._total_s:
            self.blameless = not self._owns_total
        elif self.first_at_s is None:
            self.blameless = not self._fair

    def _fresh(self, event: WordsEvent) -> WordsEvent | None:
        """The event as the caller should see it; None where it says nothing new."""
        if type(event) is WordsDelta:
            self._written.append(event.text)
            if self._seam is None:
                return event
            text = self._seam.feed(event.text)
            return WordsDelta(text=text) if text else None
        if isinstance(event, WordsEnd):
            rest = self._seam.flush() if self._seam is not None else ""
            if not rest:
                return self._finish(event)
            self._pending = event
            return WordsDelta(text=rest)
        if isinstance(event, WordsToolDelta):
            self._written.append(event.name + event.arguments)
        return event

    def _finish(self, end: WordsEnd) -> WordsEnd:
        self.ended = True
        self.member.succeeded()
        self._settle(end.usage, end.reason, estimated=False)
        return end

    def _guess(self) -> Usage:
        return self.member.estimate(self._completion, "".join(self._written))

    def _settle(self, usage: Usage, outcome: str, *, estimated: bool) -> None:
        self._settled = True
        self.usage = usage
        spent = Spent(
            engine=self.member.name,
            model=self.model,
            task=self._completion.task,
            usage=usage,
            outcome=outcome,
            estimated=estimated,
            region=self.member.where,
        )
        self._books.book(self.member, self._completion, self._hold, spent)
