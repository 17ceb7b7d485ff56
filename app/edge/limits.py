"""How many requests an address, a key, a tenant and a player may send, on both faces together.

It counts requests, not what is in them, and says no to a tenant that is suspended. It knows neither sockets nor HTTP,
and not where the counts live.
"""

from __future__ import annotations

from hashlib import blake2b

from app.control.audit import HOST
from app.control.auth import Identity
from app.control.repeats import Repeats
from app.core.errors import Error, Forbidden, RateLimited, Unauthenticated
from app.core.module import Scope
from app.core.quotas import Limits as Section
from app.core.rates import Limiter, Rate, Verdict
from app.core.tenants import NoRules, Rules, require_active

MINUTE_MS = 60_000
CALLERS_MAX = 8_192
DIGEST_BYTES = 16


class Callers:
    """Whose a credential was when it last held: a hint for fairness between tenants, and never a right."""

    def __init__(self) -> None:
        self._tenants: dict[bytes, str] = {}

    def note(self, credential: bytes, tenant: str) -> None:
        """Remember whose a credential is that was just found to hold."""
        if len(self._tenants) >= CALLERS_MAX:
            self._tenants.clear()
        self._tenants[_digest(credential)] = tenant

    def tenant(self, credential: bytes) -> str:
        """The tenant; empty for a credential that has not been seen to hold, so that strangers count as one."""
        return self._tenants.get(_digest(credential), "")


class Limits:
    """The profile's limits, and a tenant's own where those are lower, over a limiter that replicas may share."""

    def __init__(
        self, section: Section, limiter: Limiter, *, addresses: Limiter, repeats: Repeats, rules: Rules | None = None
    ) -> None:
        """`addresses` counts in this process alone: strangers cost no round trip. `repeats` notes refusals."""
        self._section = section
        self._repeats = repeats
        self._limiter = limiter
        self._addresses = addresses
        self._rules: Rules = rules or NoRules()
        self._failures = Rate(units=section.failures_max, period_ms=MINUTE_MS, burst=section.failures_max)
        self._address = _rate(section, "address", 0)
        self._known: dict[str, tuple[int, dict[str, Rate]]] = {}
        self.callers = Callers()

    async def take(self, identity: Identity) -> None:
        """Count one request; raises RateLimited when its key or its tenant has sent too many.

        What another replica has sent on was counted there. Raises TenantSuspended wherever it comes from.
        """
        self.require_active(identity.tenant)
        if identity.vouched:
            return
        await self._take(identity.tenant, identity.actor, "key")
        await self._take(identity.tenant, "tenant", "tenant")

    async def take_player(self, identity: Identity, world: str, player: str) -> None:
        """Count what is asked for one player of a world; raises RateLimited."""
        if player and not identity.vouched:
            await self._take(identity.tenant, f"player:{len(world)}:{world}:{player}", "player")

    async def arrive(self, address: str) -> None:
        """Count a request from an address, before anything else is known of it; raises RateLimited."""
        verdict = await self._addresses.take("", f"from:{address}", self._address)
        if not verdict.allowed:
            raise _over("this address", self._address, verdict)

    def active(self, tenant: str) -> bool:
        """Whether the tenant may do anything."""
        return not self._rules.of(tenant).suspended

    def require_active(self, tenant: str) -> None:
        """Raise TenantSuspended for a tenant that may do nothing for now."""
        require_active(self._rules.of(tenant))

    async def attempt(self, address: str, rate: Rate) -> None:
        """Count a try to sign in, before any work for it; raises RateLimited when the address tries too often."""
        verdict = await self._addresses.take("", f"sign-in:{address}", rate)
        if not verdict.allowed:
            raise RateLimited("too many tries to sign in", hint="wait", retry_after_s=verdict.retry_after_s)

    async def failed(self, address: str, error: Error) -> Error:
        """What to tell whoever failed to sign in: `error`, or RateLimited when the address has failed too often."""
        if not isinstance(error, Unauthenticated):
            return error
        self._repeats.count(HOST, f"address:{address}", "signin.failed", "server")
        verdict = await self._addresses.take("", address, self._failures)
        if verdict.allowed:
            return error
        return RateLimited("too many credentials that do not hold", hint="wait", retry_after_s=verdict.retry_after_s)

    def require(self, identity: Identity, scope: Scope, what: str) -> None:
        """Raise Forbidden, and note it, for a caller without `scope` who asks for `what`."""
        try:
            identity.require(scope)
        except Forbidden:
            self._repeats.count(identity.tenant, identity.actor, "access.refused", what)
            raise

    async def _take(self, tenant: str, key: str, scope: str) -> None:
        rate = self._rates(tenant)[scope]
        verdict = await self._limiter.take(tenant, key, rate)
        if not verdict.allowed:
            raise _over(f"this {scope}", rate, verdict)

    def _rates(self, tenant: str) -> dict[str, Rate]:
        """The tenant's rates by scope, made anew when it has set others."""
        held = self._rules.of(tenant)
        known = self._known.get(tenant)
        if known is None or known[0] != held.version:
            own = held.settings.rates
            rates = {
                scope: _rate(self._section, scope, getattr(own, f"{scope}_requests_max"))
                for scope in ("key", "tenant", "player")
            }
            if len(self._known) >= CALLERS_MAX:
                self._known.clear()
            known = self._known[tenant] = (held.version, rates)
        return known[1]


def _rate(section: Section, scope: str, own_max: int) -> Rate:
    """The profile's rate of a scope; a tenant's own has a burst of one period."""
    units: int = getattr(section, f"{scope}_requests_max")
    burst: int = getattr(section, f"{scope}_burst_requests_max")
    if own_max:
        units, burst = min(units, own_max), min(burst, own_max)
    return Rate(units=units, period_ms=section.period_ms, burst=burst)


def _digest(credential: bytes) -> bytes:
    return blake2b(credential, digest_size=DIGEST_BYTES).digest()


def _over(who: str, rate: Rate, verdict: Verdict) -> RateLimited:
    return RateLimited(
        f"{who} has sent more than {rate.units} requests in {rate.period_ms} ms",
        hint="send less often, or more in one message; see [limits]",
        retry_after_s=verdict.retry_after_s,
    )
