"""Rate limits in the process, by the generic cell rate algorithm (GCRA, ITU-T I.371). It knows no server."""

from __future__ import annotations

from app.core.clock import Clock
from app.core.errors import Invalid
from app.core.rates import Rate, Verdict

SWEEP_S = 1.0


class EmbeddedLimiter:
    """Implements app.core.rates.Limiter for one process.

    One number a key: the time at which all that was taken is paid off (theoretical arrival time). When
    `keys_max` keys owe at once, a new one is denied: a limiter in doubt says no.
    """

    def __init__(self, *, clock: Clock, keys_max: int) -> None:
        self._clock = clock
        self._keys_max = keys_max
        self._paid_us: dict[tuple[str, str], int] = {}
        self._swept_s = float("-inf")

    async def take(self, tenant: str, key: str, rate: Rate, *, cost: int = 1) -> Verdict:
        return self.decide(tenant, key, rate, cost)

    def decide(self, tenant: str, key: str, rate: Rate, cost: int) -> Verdict:
        """As `take`, at once."""
        unit_us = check(rate, cost)
        now_us = int(self._clock.monotonic_s() * 1_000_000)
        known = self._paid_us.get((tenant, key))
        if known is None and not self._room(now_us):
            return Verdict(allowed=False, retry_after_s=SWEEP_S)
        paid_us = max(known or 0, now_us) + cost * unit_us
        wait_us = paid_us - rate.burst * unit_us - now_us
        if wait_us > 0:
            return Verdict(allowed=False, retry_after_s=wait_us / 1_000_000)
        self._paid_us[tenant, key] = paid_us
        return Verdict(allowed=True)

    def give_back(self, tenant: str, key: str, rate: Rate, cost: int) -> None:
        """Undo a take that was not granted elsewhere."""
        if (tenant, key) in self._paid_us:
            self._paid_us[tenant, key] -= cost * check(rate, cost)

    def _room(self, now_us: int) -> bool:
        if len(self._paid_us) < self._keys_max:
            return True
        now_s = now_us / 1_000_000
        if now_s - self._swept_s >= SWEEP_S:
            self._swept_s = now_s
            self._paid_us = {key: paid_us for key, paid_us in self._paid_us.items() if paid_us > now_us}
        return len(self._paid_us) < self._keys_max


def check(rate: Rate, cost: int) -> int:
    """Microseconds that one unit costs, rounded up so that the rate is never passed; raises Invalid."""
    if min(rate.units, rate.period_ms, rate.burst) < 1:
        raise Invalid(f"the rate is {rate!r}", hint="give 1 or more of each")
    if not 1 <= cost <= rate.burst:
        raise Invalid(f"cost is {cost!r} and the burst {rate.burst}", hint="take between 1 unit and a burst")
    return -(-rate.period_ms * 1000 // rate.units)
