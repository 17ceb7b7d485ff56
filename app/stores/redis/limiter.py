"""Rate limits that replicas share, with this process's own count underneath."""

from __future__ import annotations

from app.core.errors import Unavailable
from app.core.rates import Rate, Verdict
from app.stores.embedded.limiter import EmbeddedLimiter, check
from app.stores.redis.client import Client
from app.stores.redis.commands import key_name
from app.stores.redis.scripts import TAKE


class RedisLimiter:
    """Implements app.core.rates.Limiter over a server.

    Every take is counted here as well. What this process alone has used up is denied without asking, and when
    the server is gone, or comes back empty, the process still knows what it granted: one process never
    grants more than the limit. While alone, a unit costs 1 / `alone_share`.
    """

    def __init__(self, client: Client, near: EmbeddedLimiter, *, alone_share: float) -> None:
        self._client = client
        self._near = near
        self._alone_share = alone_share

    async def take(self, tenant: str, key: str, rate: Rate, *, cost: int = 1) -> Verdict:
        unit_us = check(rate, cost)
        near = self._near.decide(tenant, key, rate, cost)
        if not near.allowed:
            return near
        try:
            allowed, wait_us = await self._client.run(
                TAKE, [key_name(tenant, "r", key)], [cost * unit_us, rate.burst * unit_us]
            )
        except Unavailable:
            return self._alone(tenant, key, rate, cost)
        if allowed:
            return near
        self._near.give_back(tenant, key, rate, cost)
        return Verdict(allowed=False, retry_after_s=wait_us / 1_000_000)

    def _alone(self, tenant: str, key: str, rate: Rate, cost: int) -> Verdict:
        """The verdict of this process, which stands for its share of the replicas."""
        more = min(rate.burst, round(cost / self._alone_share)) - cost
        if more <= 0:
            return Verdict(allowed=True)
        verdict = self._near.decide(tenant, key, rate, more)
        if not verdict.allowed:
            self._near.give_back(tenant, key, rate, cost)
        return verdict
