"""Two engines for one first text: the second starts while the first is slower than it mostly is, the sooner one wins.

It knows attempts and tasks. Whether a second one may be paid, and what the loser has cost, is told to it and by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from app.core.errors import Unavailable
from app.core.words import WordsEvent
from app.engines.orchestration.attempt import Attempt

Entrant = asyncio.Task[list[WordsEvent]]


@dataclass(slots=True)
class Race:
    """Who runs, who fell, and who won."""

    running: dict[Entrant, Attempt] = field(default_factory=dict)
    fallen: list[tuple[Attempt, Unavailable]] = field(default_factory=list)
    """Those that failed, in their order."""

    def enter(self, attempt: Attempt) -> None:
        self.running[asyncio.create_task(attempt.first(), name=f"words.{attempt.member.name}")] = attempt

    async def ended(self, after_s: float | None = None) -> tuple[Attempt, list[WordsEvent]] | None:
        """The winner and its first events, None when none has won by then; raises the last failure where all failed."""
        while self.running:
            done, _ = await asyncio.wait(self.running, timeout=after_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return None
            for task in sorted(done, key=lambda one: one.exception() is not None):
                attempt = self.running.pop(task)
                error = task.exception()
                if error is None:
                    return attempt, task.result()
                if not isinstance(error, Unavailable):
                    raise error
                self.fallen.append((attempt, error))
        raise self.fallen[-1][1]

    async def stop(self) -> None:
        """Cancel whoever still runs, and end the calls of all that lost."""
        left, self.running = self.running, {}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        lost = (*left.values(), *(attempt for attempt, _ in self.fallen))
        await asyncio.gather(*(attempt.close() for attempt in lost), return_exceptions=True)


async def first_of(
    attempt: Attempt, after_s: float, second: Callable[[], Awaitable[Attempt | None]], race: Race
) -> tuple[Attempt, list[WordsEvent]]:
    """The first events of `attempt`, or of the one that `second` begins after `after_s` seconds if those come sooner.

    Raises what `attempt.first` raises, of the last that failed. Whoever still runs in `race` is the caller's to stop.
    """
    race.enter(attempt)
    won = await race.ended(after_s)
    if won is None and (other := await second()) is not None:
        race.enter(other)
    while won is None:
        won = await race.ended()
    return won
