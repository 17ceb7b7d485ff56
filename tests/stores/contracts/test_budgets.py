"""Budgets: what is spent and what is reserved never pass a cap together, whatever runs at once or dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from app.core.clock import SystemClock
from app.core.errors import OverBudget
from app.core.spending import Amount, Budgets, Reservation, Spender
from app.world.usage import day_of
from tests.doubles import SilentLog

CALL = Amount(nano_usd=1_000, tokens=100)
Open = Callable[..., Budgets]


def talker(tenant: str, *, world: str = "w", npc: str = "mira", player: str = "p1") -> Spender:
    return Spender(tenant=tenant, world=world, npc=npc, player=player)


async def tried(budgets: Budgets, spender: Spender, most: Amount = CALL) -> Reservation | None:
    try:
        return await budgets.reserve(spender, most)
    except OverBudget:
        return None


async def eventually(budgets: Budgets, spender: Spender, most: Amount = CALL) -> Reservation:
    """A reservation, as soon as what was settled has reached the server."""
    async with asyncio.timeout(5):
        while (found := await tried(budgets, spender, most)) is None:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.01)
        return found


async def test_of_200_calls_at_once_exactly_those_with_room_begin(open_budgets: Open, tenant: str) -> None:
    budgets = open_budgets(tenant_day_nano_usd_max=3_500)
    held = await asyncio.gather(*(tried(budgets, talker(tenant)) for _ in range(200)))
    assert sum(one is not None for one in held) == 3


@pytest.mark.parametrize("scope", ["tenant", "world", "player", "npc"])
@pytest.mark.parametrize("period", ["day", "month"])
@pytest.mark.parametrize(("unit", "cap"), [("nano_usd", 1_999), ("tokens", 199)])
async def test_every_scope_period_and_unit_has_a_cap(
    open_budgets: Open, tenant: str, scope: str, period: str, unit: str, cap: int
) -> None:
    budgets = open_budgets(**{f"{scope}_{period}_{unit}_max": cap})
    assert await tried(budgets, talker(tenant))
    assert not await tried(budgets, talker(tenant))
    others = {
        "tenant": talker(f"{tenant}2"),
        "world": talker(tenant, world="other"),
        "player": talker(tenant, player="p2"),
        "npc": talker(tenant, npc="borin"),
    }
    assert await tried(budgets, others[scope]), "somebody else has an account of their own"


async def test_what_a_call_did_not_use_is_given_back(open_budgets: Open, tenant: str) -> None:
    budgets = open_budgets(npc_day_nano_usd_max=1_500)
    first = await budgets.reserve(talker(tenant), CALL)
    assert not await tried(budgets, talker(tenant))
    budgets.settle(first, Amount(nano_usd=400, tokens=10))
    second = await eventually(budgets, talker(tenant))
    budgets.settle(second, Amount(nano_usd=200))
    assert not await tried(budgets, talker(tenant))
    assert await eventually(budgets, talker(tenant), Amount(nano_usd=900))


async def test_a_call_that_cost_nothing_leaves_no_trace(open_budgets: Open, tenant: str) -> None:
    budgets = open_budgets(player_month_tokens_max=100)
    for _ in range(5):
        budgets.settle(await eventually(budgets, talker(tenant)), Amount())
    assert await eventually(budgets, talker(tenant))


async def test_a_refusal_on_one_account_takes_nothing_from_the_others(open_budgets: Open, tenant: str) -> None:
    budgets = open_budgets(tenant_day_nano_usd_max=2_000, npc_day_nano_usd_max=1_000)
    assert await tried(budgets, talker(tenant))
    for _ in range(5):
        assert not await tried(budgets, talker(tenant))
    assert await tried(budgets, talker(tenant, npc="borin"))


async def test_a_reservation_that_nobody_settles_ends_by_itself(open_budgets: Open, tenant: str) -> None:
    budgets = open_budgets(world_day_nano_usd_max=1_000, hold_ms=300)
    assert await tried(budgets, talker(tenant))
    assert not await tried(budgets, talker(tenant))
    await asyncio.sleep(0.35)
    assert await tried(budgets, talker(tenant))


async def test_what_the_log_says_is_spent_and_counts_once(open_budgets: Open, tenant: str) -> None:
    budgets = open_budgets(tenant_month_nano_usd_max=10_000, player_day_nano_usd_max=5_000)
    today = day_of(SystemClock().wall_ms())
    rows = [(today, "mira", "p1", Amount(nano_usd=3_000)), (today - 40, "mira", "p1", Amount(nano_usd=90_000))]
    budgets.know(tenant, "w", rows)
    budgets.know(tenant, "w", rows)
    assert not await tried(budgets, talker(tenant), Amount(nano_usd=2_001))
    assert await tried(budgets, talker(tenant), Amount(nano_usd=2_000))
    assert await tried(budgets, talker(tenant, player="p2"), Amount(nano_usd=5_000))


async def test_the_log_is_told_once_that_an_account_is_full(open_budgets: Open, tenant: str) -> None:
    log = SilentLog()
    budgets = open_budgets(log=log, npc_day_nano_usd_max=1_000)
    for _ in range(6):
        await tried(budgets, talker(tenant))
    told = [fields for _, event, fields in log.told if event == "budget.reached"]
    assert len(told) == 1
    assert str(told[0]["account"]).startswith("npc:")


async def test_without_caps_nothing_is_refused(open_budgets: Open, tenant: str) -> None:
    budgets = open_budgets()
    for _ in range(20):
        assert await tried(budgets, talker(tenant), Amount(nano_usd=1 << 50))
