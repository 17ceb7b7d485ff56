"""The ladder: ordered ways to answer a request, best first.

A rung that fails, is late or has failed repeatedly just now gives way to the next one inside the
same deadline; the caller learns which rung answered. It knows nothing of engines or modules.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from app.core.clock import Clock, Deadline, within
from app.core.errors import Broken, DeadlineExceeded, EngineDown, Error, NotPermitted, OverBudget, Unavailable

Q = TypeVar("Q")
A = TypeVar("A")


class Watcher(Protocol):
    """Told of falls and recoveries, once each, never per request."""

    def rung_fell(self, module: str, rung: str, reason: str) -> None: ...
    def rung_rose(self, module: str, rung: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Rung(Generic[Q, A]):
    """One way to answer.

    `reserve_ms` is the time that it must leave for the rungs below. A rung with `last` set
    needs no network and no model, gets no time limit and must not fail.
    """

    name: str
    answer: Callable[[Q, Deadline], Coroutine[Any, Any, A]]
    reserve_ms: float = 0.0
    last: bool = False


@dataclass(slots=True)
class _Health:
    failures: int = 0
    closed_until_s: float = 0.0


class Ladder(Generic[Q, A]):
    """Tries rungs in order; a rung with `failures_max` failures in a row rests for `rest_ms`.

    After its rest one request tries it, while the others go on without it until that one is answered. An error that
    says when to come again shortens the rest.
    """

    def __init__(
        self,
        module: str,
        rungs: Sequence[Rung[Q, A]],
        *,
        clock: Clock,
        watcher: Watcher,
        failures_max: int = 3,
        rest_ms: float = 5_000.0,
    ) -> None:
        if not rungs:
            raise Broken(f"the ladder of {module!r} has no rung")
        self.module = module
        self.rungs = tuple(rungs)
        self._clock = clock
        self._watcher = watcher
        self._failures_max = failures_max
        self._rest_s = rest_ms / 1000.0
        self._health = {rung.name: _Health() for rung in rungs}

    async def run(self, request: Q, deadline: Deadline) -> tuple[A, str]:
        """The first answer and the name of its rung; raises EngineDown when every rung failed."""
        reason: Exception | None = None
        for rung in self.rungs:
            if not rung.last and not self._may_try(rung.name):
                continue
            try:
                answer = await self._attempt(rung, request, deadline)
            except (OverBudget, NotPermitted) as error:  # one tenant's empty purse says nothing about the rung
                reason = error
                continue
            except (Unavailable, Broken) as error:
                self._failed(rung.name, error)
                reason = error
                continue
            self._succeeded(rung.name)
            return answer, rung.name
        raise EngineDown(f"no rung of {self.module!r} answered: {reason}") from reason

    async def _attempt(self, rung: Rung[Q, A], request: Q, deadline: Deadline) -> A:
        if rung.last:
            return await rung.answer(request, deadline)
        mine = deadline.less_ms(rung.reserve_ms)
        mine.check(f"rung {rung.name!r}")
        try:
            return await within(mine.left_s(), rung.answer(request, mine))
        except TimeoutError as error:
            raise DeadlineExceeded(f"rung {rung.name!r} was late") from error

    def _may_try(self, name: str) -> bool:
        """Whether a rung does not rest; whoever ends its rest is alone until it is answered."""
        health = self._health[name]
        if health.failures < self._failures_max:
            return True
        now_s = self._clock.monotonic_s()
        if health.closed_until_s > now_s:
            return False
        health.closed_until_s = now_s + self._rest_s
        return True

    def _failed(self, name: str, error: Error) -> None:
        health = self._health[name]
        health.failures += 1
        if health.failures == 1:
            self._watcher.rung_fell(self.module, name, str(error))
        if health.failures >= self._failures_max:
            wait_s = self._rest_s if error.retry_after_s is None else min(self._rest_s, error.retry_after_s)
            health.closed_until_s = self._clock.monotonic_s() + wait_s

    def _succeeded(self, name: str) -> None:
        health = self._health[name]
        if health.failures:
            health.failures = 0
            health.closed_until_s = 0.0
            self._watcher.rung_rose(self.module, name)
