"""How many requests a key and a tenant may send, on both faces together, and how often an address may fail to sign in.

It counts requests, not what is in them. It knows neither sockets nor HTTP, and not where the counts live.
"""

from __future__ import annotations

from app.control.auth import Identity
from app.core.errors import Error, RateLimited, Unauthenticated
from app.core.ports import Limiter, Rate, Verdict
from app.core.quotas import Limits as Section

MINUTE_MS = 60_000


class Limits:
    """The profile's limits over a limiter that replicas may share."""

    def __init__(self, section: Section, limiter: Limiter, *, addresses: Limiter) -> None:
        """`addresses` counts failures in this process alone: strangers cost no round trip."""
        self._limiter = limiter
        self._addresses = addresses
        self._key = Rate(
            units=section.key_requests_max, period_ms=section.period_ms, burst=section.key_burst_requests_max
        )
        self._tenant = Rate(
            units=section.tenant_requests_max, period_ms=section.period_ms, burst=section.tenant_burst_requests_max
        )
        self._failures = Rate(units=section.failures_max, period_ms=MINUTE_MS, burst=section.failures_max)

    async def take(self, identity: Identity) -> None:
        """Count one request; raises RateLimited when its key or its tenant has sent too many.

        What another replica has sent on was counted there.
        """
        if identity.vouched:
            return
        verdict = await self._limiter.take(identity.tenant, identity.actor, self._key)
        if not verdict.allowed:
            raise _over("this key", self._key, verdict)
        verdict = await self._limiter.take(identity.tenant, "tenant", self._tenant)
        if not verdict.allowed:
            raise _over("this tenant", self._tenant, verdict)

    async def attempt(self, address: str, rate: Rate) -> None:
        """Count a try to sign in, before any work for it; raises RateLimited when the address tries too often."""
        verdict = await self._addresses.take("", f"sign-in:{address}", rate)
        if not verdict.allowed:
            raise RateLimited("too many tries to sign in", hint="wait", retry_after_s=verdict.retry_after_s)

    async def failed(self, address: str, error: Error) -> Error:
        """What to tell whoever failed to sign in: `error`, or RateLimited when the address has failed too often."""
        if not isinstance(error, Unauthenticated):
            return error
        verdict = await self._addresses.take("", address, self._failures)
        if verdict.allowed:
            return error
        return RateLimited("too many credentials that do not hold", hint="wait", retry_after_s=verdict.retry_after_s)


def _over(who: str, rate: Rate, verdict: Verdict) -> RateLimited:
    return RateLimited(
        f"{who} has sent more than {rate.units} requests in {rate.period_ms} ms",
        hint="send less often, or more in one message; see [limits]",
        retry_after_s=verdict.retry_after_s,
    )
