"""The limiter: never one more than the limit, whatever runs at once."""

from __future__ import annotations

import asyncio

import pytest

from app.core.errors import Invalid
from app.core.rates import Limiter, Rate

SLOW = Rate(units=10, period_ms=600_000, burst=10)


async def test_of_many_at_once_exactly_the_burst_is_admitted(limiter: Limiter, tenant: str) -> None:
    verdicts = await asyncio.gather(*(limiter.take(tenant, "k", SLOW) for _ in range(200)))
    assert sum(verdict.allowed for verdict in verdicts) == 10
    denied = next(verdict for verdict in verdicts if not verdict.allowed)
    assert 55 < denied.retry_after_s <= 60, "one unit takes a minute to come back"


async def test_a_denied_take_costs_nothing(limiter: Limiter, tenant: str) -> None:
    assert (await limiter.take(tenant, "k", SLOW, cost=8)).allowed
    for _ in range(5):
        assert not (await limiter.take(tenant, "k", SLOW, cost=3)).allowed
    assert (await limiter.take(tenant, "k", SLOW, cost=2)).allowed


async def test_units_come_back_with_time(limiter: Limiter, tenant: str) -> None:
    rate = Rate(units=4, period_ms=1000, burst=2)
    assert (await limiter.take(tenant, "k", rate, cost=2)).allowed
    verdict = await limiter.take(tenant, "k", rate)
    assert not verdict.allowed
    waited_s = 0.0
    while not verdict.allowed:
        # The server counts from when the take reached it, a little after this process.
        waited_s += verdict.retry_after_s
        await asyncio.sleep(verdict.retry_after_s)
        verdict = await limiter.take(tenant, "k", rate)
    assert 0.0 < waited_s < 0.5


async def test_keys_and_tenants_count_apart(limiter: Limiter, tenant: str) -> None:
    one = Rate(units=1, period_ms=600_000, burst=1)
    assert (await limiter.take(tenant, "a", one)).allowed
    assert (await limiter.take(tenant, "b", one)).allowed
    assert (await limiter.take(f"{tenant}2", "a", one)).allowed
    assert not (await limiter.take(tenant, "a", one)).allowed


@pytest.mark.parametrize("cost", [0, 11])
async def test_a_cost_that_could_never_be_paid_is_refused(limiter: Limiter, tenant: str, cost: int) -> None:
    with pytest.raises(Invalid, match=str(cost)):
        await limiter.take(tenant, "k", SLOW, cost=cost)
