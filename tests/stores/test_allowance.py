"""Limits taken in batches: few round trips, nothing saved up, and a refusal that is remembered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from app.core.rates import Rate, Verdict
from app.stores.embedded.limiter import EmbeddedLimiter
from app.stores.redis.allowance import Allowance
from tests.doubles import ManualClock

RATE = Rate(units=1_000, period_ms=1_000, burst=1_000)


@dataclass
class Counted:
    """A shared limit that counts how often it is asked."""

    clock: ManualClock
    asked: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.limiter = EmbeddedLimiter(clock=self.clock, keys_max=10)

    async def take(self, tenant: str, key: str, rate: Rate, *, cost: int = 1) -> Verdict:
        self.asked.append(cost)
        await asyncio.sleep(0)
        return await self.limiter.take(tenant, key, rate, cost=cost)


def over(shared: Counted, *, keys_max: int = 10) -> Allowance:
    return Allowance(shared, clock=shared.clock, lease_ms=100, keys_max=keys_max)


async def admitted(allowance: Allowance, tries: int) -> int:
    return sum([(await allowance.take("t", "k", RATE)).allowed for _ in range(tries)])


async def test_a_batch_is_spent_without_asking_again() -> None:
    shared = Counted(ManualClock())
    assert await admitted(over(shared), 500) == 500
    assert shared.asked == [100] * 5


async def test_replicas_use_up_exactly_one_limit_together() -> None:
    shared = Counted(ManualClock())
    one, other = over(shared), over(shared)
    takes = [replica.take("t", "k", RATE) for _ in range(800) for replica in (one, other)]
    assert sum(verdict.allowed for verdict in await asyncio.gather(*takes)) == 1_000


async def test_units_that_were_not_spent_lapse() -> None:
    shared = Counted(ManualClock())
    allowance = over(shared)
    await admitted(allowance, 1)
    shared.clock.now_s += 10.0
    assert await admitted(allowance, 1_500) == 1_000, "the 99 of the old batch are not added to a whole burst"


async def test_a_refusal_is_remembered_until_its_unit_is_due() -> None:
    shared = Counted(ManualClock())
    allowance = over(shared)
    await admitted(allowance, 1_001)
    asked = len(shared.asked)
    assert await admitted(allowance, 100) == 0
    assert len(shared.asked) == asked
    shared.clock.now_s += 0.05
    assert await admitted(allowance, 100) == 50


async def test_with_too_many_busy_keys_the_shared_limit_is_asked_itself() -> None:
    shared = Counted(ManualClock())
    allowance = over(shared, keys_max=1)
    verdicts = await asyncio.gather(*(allowance.take("t", f"k{number}", RATE) for number in range(5)))
    assert all(verdict.allowed for verdict in verdicts)


async def test_whoever_waits_when_it_closes_is_told_no() -> None:
    shared = Counted(ManualClock())
    allowance = over(shared)
    waiting = asyncio.create_task(allowance.take("t", "k", RATE))
    await asyncio.sleep(0)
    await allowance.close()
    assert not (await waiting).allowed
