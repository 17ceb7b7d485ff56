"""Engines that do what a test says, in their own time and at their own price, and what they are asked under."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from app.core.clock import Deadline, SystemClock
from app.core.errors import Unavailable
from app.core.ports import EngineStatus
from app.core.spending import Amount, Reservation, Spender
from app.core.words import Completion, Usage, Words, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.engines.orchestration.orchestrator import Orchestrator
from tests.modules.dialogue.village import Watch

MOST, COST, GUESS = 10_000, 1_000, 700


@dataclass
class Engine:
    """Says `pieces` after `wait_s`; `fault` is raised after them instead of an end."""

    name: str
    pieces: Sequence[str | WordsEvent] = ("Well ", "met.")
    wait_s: float = 0.0
    fault: Unavailable | None = None
    most_nano_usd: int = MOST
    cost_nano_usd: int = COST
    asked: list[Completion] = field(default_factory=list)
    closed: int = 0

    def status(self) -> EngineStatus:
        return EngineStatus(name=self.name, kind="test", state="ready")

    async def close(self) -> None:
        return None

    def most(self, completion: Completion) -> Usage:
        return Usage(tokens_in=20, tokens_out=10, cost_nano_usd=self.most_nano_usd)

    def estimate(self, completion: Completion, written: str) -> Usage:
        return Usage(tokens_in=10, tokens_out=len(written), cost_nano_usd=min(GUESS, self.most_nano_usd))

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        self.asked.append(completion)
        try:
            if self.wait_s:
                await asyncio.sleep(self.wait_s)
            if self.fault is not None and not self.pieces:
                raise self.fault
            yield WordsStart(engine=self.name, model=f"{self.name}-1")
            for piece in self.pieces:
                yield WordsDelta(text=piece) if isinstance(piece, str) else piece
            if self.fault is not None:
                raise self.fault
            yield WordsEnd(reason="stop", usage=Usage(tokens_in=10, tokens_out=5, cost_nano_usd=self.cost_nano_usd))
        finally:
            self.closed += 1


@dataclass
class Ledger:
    """Budgets without caps that keep every reservation and what became of it."""

    held: dict[str, Amount] = field(default_factory=dict)
    settled: dict[str, Amount] = field(default_factory=dict)

    async def reserve(self, spender: Spender, most: Amount) -> Reservation:
        id = str(len(self.held))
        self.held[id] = most
        return Reservation(id=id, spender=spender, day=0, most=most)

    def settle(self, reservation: Reservation, spent: Amount) -> None:
        assert reservation.id not in self.settled, "a reservation is settled once"
        self.settled[reservation.id] = spent

    def know(self, tenant: str, world: str, spent: object) -> None:
        """There is nothing to know."""


@dataclass
class Tallies:
    """A Meter that keeps what it was told."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    hedges: list[tuple[str, str]] = field(default_factory=list)
    turns: list[tuple[str, str]] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    firsts: list[str] = field(default_factory=list)

    def called(self, engine: str, outcome: str, usage: Usage) -> None:
        self.calls.append((engine, outcome))

    def first_text(self, engine: str, seconds: float) -> None:
        self.firsts.append(engine)

    def hedged(self, engine: str, outcome: str) -> None:
        self.hedges.append((engine, outcome))

    def turned(self, engine: str, state: str) -> None:
        self.turns.append((engine, state))

    def alerted(self, engine: str, reason: str) -> None:
        self.alerts.append(engine)


def over(*engines: Words, **options: object) -> Orchestrator:
    """An orchestrator over the engines, with the machine's clock unless a test gives its own."""
    settings: dict[str, object] = {"clock": SystemClock(), "watcher": Watch(), **options}
    return Orchestrator(engines, **settings)  # type: ignore[arg-type]  # a test's shorthand
