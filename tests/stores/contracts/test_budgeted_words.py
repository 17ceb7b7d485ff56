"""Budgets around the orchestrator: attempts, falls and hedges all have room reserved, in the process and on servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from app.core.engines import Hedging
from app.core.engines import Orchestrator as Settings
from app.core.errors import EngineDown, OverBudget
from app.core.spending import Budgets
from app.core.words import Bill, Completion
from app.engines.orchestration.members import Limits
from app.engines.orchestration.orchestrator import Orchestrator
from tests.engines.conftest import COMPLETION, drain, soon
from tests.engines.orchestration.scripts import COST, MOST, Engine, over

Open = Callable[..., Budgets]
CALLS = 200


def asked(tenant: str, **more: object) -> Completion:
    return msgspec.structs.replace(COMPLETION, tenant=tenant, world="w", npc="mira", player="p1", **more)


async def spoken(engines: Orchestrator, completion: Completion) -> bool:
    try:
        await drain(engines.stream(completion, soon(20_000.0)))
    except OverBudget:
        return False
    return True


async def test_of_200_requests_at_once_those_with_room_for_three_are_written(open_budgets: Open, tenant: str) -> None:
    engine = Engine("a", wait_s=0.5, cost_nano_usd=MOST)
    engines = over(engine, budgets=open_budgets(tenant_day_nano_usd_max=3 * MOST + MOST // 2))
    written = await asyncio.gather(*(spoken(engines, asked(tenant)) for _ in range(CALLS)))
    assert sum(written) == len(engine.asked) == 3


async def test_falls_and_what_they_cost_are_part_of_the_race(open_budgets: Open, tenant: str) -> None:
    """Every call falls from a first engine that is paid for what it wrote: never is more spent than the cap."""
    cap = 3 * MOST
    broken = Engine("a", pieces=["Well "], fault=EngineDown("a fell over", failure="incomplete"))
    engines = over(broken, Engine("b", wait_s=0.05), budgets=open_budgets(world_day_nano_usd_max=cap))
    bill = Bill()

    async def try_one() -> None:
        await asyncio.gather(drain(engines.stream(asked(tenant, bill=bill), soon(20_000.0))), return_exceptions=True)

    await asyncio.gather(*(try_one() for _ in range(CALLS)))
    spent = sum(item.usage.cost_nano_usd for item in bill.items)
    assert 0 < spent <= cap


async def test_a_hedge_needs_room_of_its_own(open_budgets: Open, tenant: str) -> None:
    settings = Settings(providers=("a", "b"), tight_ms=0.0, hedging=Hedging(spend_share_max=1.0, samples_min=4))
    first, second = Engine("a"), Engine("b")
    patient = {name: Limits(first_token_ms=5_000.0) for name in "ab"}
    budgets = open_budgets(npc_day_nano_usd_max=12 * COST + MOST + MOST // 2)
    engines = over(first, second, settings=settings, limits=patient, budgets=budgets)
    for _ in range(12):
        while not await spoken(engines, asked(tenant)):  # noqa: ASYNC110  # nothing tells when the server knows
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    first.wait_s = 0.2
    second.asked.clear()
    assert await spoken(engines, asked(tenant, first_token_ms=2_000.0))
    assert not second.asked, "there was room for one call, and it had begun"
