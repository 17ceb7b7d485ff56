"""Shared rate limits without a round trip for each request: units are granted in batches and spent here.

Units come from the shared limit before they are spent, so all replicas together never admit more than it allows.
What is not spent within the lease lapses, so that nobody saves units up. It knows no server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.core.clock import Clock
from app.core.rates import Limiter, Rate, Verdict
from app.stores.embedded.limiter import check

ALLOWED = Verdict(allowed=True)
DENIED = Verdict(allowed=False, retry_after_s=1.0)


@dataclass(slots=True)
class _Purse:
    """Units of one key that are granted and not spent, and who waits for more."""

    units: int = 0
    until_s: float = 0.0
    denied_until_s: float = 0.0
    waiting: deque[tuple[int, asyncio.Future[Verdict]]] = field(default_factory=deque)
    filling: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        return not self.waiting and self.filling is None


class Allowance:
    """Implements app.core.rates.Limiter over a slower one."""

    def __init__(self, limiter: Limiter, *, clock: Clock, lease_ms: int, keys_max: int) -> None:
        self._limiter = limiter
        self._clock = clock
        self._lease_ms = lease_ms
        self._keys_max = keys_max
        self._purses: dict[tuple[str, str], _Purse] = {}

    async def take(self, tenant: str, key: str, rate: Rate, *, cost: int = 1) -> Verdict:
        check(rate, cost)
        purse = self._purse(tenant, key)
        if purse is None:
            return await self._limiter.take(tenant, key, rate, cost=cost)
        now_s = self._clock.monotonic_s()
        if purse.until_s <= now_s:
            purse.units = 0
        if not purse.waiting and purse.units >= cost:
            purse.units -= cost
            return ALLOWED
        if purse.denied_until_s > now_s:  # not one unit comes back before then, whoever asks
            return Verdict(allowed=False, retry_after_s=purse.denied_until_s - now_s)
        verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        purse.waiting.append((cost, verdict))
        if purse.filling is None:
            purse.filling = asyncio.create_task(self._fill(purse, tenant, key, rate), name="allowance")
        return await verdict

    async def close(self) -> None:
        """End what is asked for; whoever waits is told no."""
        tasks = [purse.filling for purse in self._purses.values() if purse.filling is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for purse in self._purses.values():  # a task that was canceled before its first step has told nobody
            _tell_all(purse, DENIED)

    async def _fill(self, purse: _Purse, tenant: str, key: str, rate: Rate) -> None:
        """Ask for as much as is waited for or soon will be, then for half, until all is served or not one is left."""
        denial = DENIED
        try:
            most = min(rate.burst, max(self._batch(rate), sum(cost for cost, _ in purse.waiting)))
            while purse.waiting:
                verdict = await self._limiter.take(tenant, key, rate, cost=most)
                if verdict.allowed:
                    self._serve(purse, most)
                elif most == 1:
                    denial = verdict
                    purse.denied_until_s = self._clock.monotonic_s() + verdict.retry_after_s
                    return
                else:
                    most = max(1, most // 2)
        finally:
            purse.filling = None
            _tell_all(purse, denial)

    def _batch(self, rate: Rate) -> int:
        """The units that come back while a lease lasts."""
        return max(1, rate.units * self._lease_ms // rate.period_ms)

    def _serve(self, purse: _Purse, units: int) -> None:
        purse.units += units
        purse.until_s = self._clock.monotonic_s() + self._lease_ms / 1000.0
        while purse.waiting and purse.units >= purse.waiting[0][0]:
            cost, verdict = purse.waiting.popleft()
            if _tell(verdict, ALLOWED):
                purse.units -= cost

    def _purse(self, tenant: str, key: str) -> _Purse | None:
        """The key's purse; None while so many keys are busy that there is no room for it."""
        purse = self._purses.get((tenant, key))
        if purse is None and len(self._purses) >= self._keys_max:
            for found in list(self._idle())[: max(1, self._keys_max // 2)]:
                del self._purses[found]
        if purse is None and len(self._purses) < self._keys_max:
            purse = self._purses[tenant, key] = _Purse()
        return purse

    def _idle(self) -> Iterator[tuple[str, str]]:
        return (key for key, purse in self._purses.items() if purse.idle)


def _tell_all(purse: _Purse, verdict: Verdict) -> None:
    while purse.waiting:
        _tell(purse.waiting.popleft()[1], verdict)


def _tell(waiter: asyncio.Future[Verdict], verdict: Verdict) -> bool:
    """Whether anybody still waited."""
    if waiter.done():
        return False
    waiter.set_result(verdict)
    return True
