"""Budgets of replicas while the server dies, forgets or is cut off: nobody spends what another may have spent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio

from app.core.clock import SystemClock
from app.core.errors import OverBudget
from app.core.spending import Amount, Reservation, Spender
from app.stores.embedded.budgets import EmbeddedBudgets
from app.stores.redis.budgets import TELL_MS, RedisBudgets
from app.stores.redis.client import Client
from app.world.usage import day_of
from tests.doubles import ManualClock, SilentLog
from tests.stores.contracts.conftest import UNDECLARED, budgets_section
from tests.stores.contracts.servers import KINDS, KeyServer, key_server

CALL = Amount(nano_usd=1_000)
TOLD_S = TELL_MS / 1000.0 + 0.2


class Replica:
    """One process's budgets over a client of its own."""

    def __init__(self, server: KeyServer, *, alone: bool, clock: object = None, cap: int = 3_000) -> None:
        section = budgets_section(tenant_day_nano_usd_max=cap, hold_ms=60_000)
        self.client = Client(server.url, connections_max=4, command_ms=400, log=SilentLog(), prelude=UNDECLARED)
        near = EmbeddedBudgets(section, clock=clock or SystemClock(), log=SilentLog(), accounts_max=100)  # type: ignore[arg-type]  # a test's clock
        self.budgets = RedisBudgets(self.client, near, hold_ms=section.hold_ms, alone=alone)

    async def __aenter__(self) -> Replica:
        self.client.start()
        self.budgets.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.budgets.close()
        await self.client.close()

    async def tried(self, world: str = "w") -> Reservation | None:
        try:
            return await self.budgets.reserve(Spender(tenant="studio", world=world), CALL)
        except OverBudget:
            return None

    async def begin(self, world: str = "w") -> Reservation:
        """A reservation, as soon as there is one to be had."""
        async with asyncio.timeout(10):
            while (found := await self.tried(world)) is None:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.02)
            return found

    async def told(self) -> None:
        """Wait until what was settled has reached the server."""
        async with asyncio.timeout(5):
            while self.budgets._waiting:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture(params=KINDS)
async def own_server(request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]  # a fixture
    """A server that a test may kill."""
    with key_server(request.param, tmp_path) as server:
        yield server


async def test_two_replicas_at_once_let_exactly_the_budget_through(own_server: KeyServer) -> None:
    async with Replica(own_server, alone=False) as left, Replica(own_server, alone=False) as right:
        assert await left.tried() is None, "a server that has just begun lets nobody spend"
        await asyncio.sleep(TOLD_S)
        calls = [(left, "a"), (right, "b")] * 100
        held = await asyncio.gather(*(replica.tried(world) for replica, world in calls))
        assert sum(one is not None for one in held) == 3


async def test_a_server_that_lost_its_memory_is_told_what_every_replica_has_spent(own_server: KeyServer) -> None:
    async with Replica(own_server, alone=False) as left, Replica(own_server, alone=False) as right:
        for replica, world in ((left, "a"), (right, "b")):
            replica.budgets.settle(await replica.begin(world), CALL)
            await replica.told()
        own_server.kill()
        assert await left.tried("a") is None, "one of two replicas does not spend alone"
        own_server.start()
        assert isinstance(await left.begin("a"), Reservation)
        assert await left.tried("a") is None
        assert await right.tried("b") is None, "2 were spent before, and 1 is reserved"


async def test_the_only_replica_goes_on_by_its_own_accounts(own_server: KeyServer) -> None:
    async with Replica(own_server, alone=True) as only:
        only.budgets.settle(await only.begin(), CALL)
        await only.told()
        own_server.kill()
        second = await only.begin()
        only.budgets.settle(second, CALL)
        own_server.start()
        async with asyncio.timeout(5):
            while only.client.fault or only.budgets._waiting:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)
        assert await only.tried()
        assert await only.tried() is None, "what was spent while the server was gone counts"


async def test_a_cost_that_could_not_be_told_is_told_later_and_once(own_server: KeyServer) -> None:
    async with Replica(own_server, alone=True) as one, Replica(own_server, alone=True) as other:
        held = await one.begin("a")
        one.client.fault = "cut off"
        one.budgets.settle(held, CALL)
        await asyncio.sleep(0.05)
        one.client.fault = ""
        await one.told()
        assert [await other.tried("b") is not None for _ in range(3)] == [True, True, False]


async def test_a_restarted_process_is_held_to_what_its_log_says(own_server: KeyServer) -> None:
    today = day_of(SystemClock().wall_ms())
    async with Replica(own_server, alone=True) as only:
        only.budgets.know("studio", "w", [(today, "mira", "p1", Amount(nano_usd=2_500))])
        assert await only.tried() is None
        own_server.kill()
        assert await only.tried() is None


@pytest.mark.parametrize("hours", [-25, -1, 1, 25])
async def test_a_clock_that_is_wrong_spends_no_day_twice(own_server: KeyServer, hours: int) -> None:
    skewed = ManualClock(now_s=SystemClock().wall_ms() / 1000 + hours * 3_600)
    async with Replica(own_server, alone=True) as right, Replica(own_server, alone=True, clock=skewed) as wrong:
        held = [await replica.tried(world) for replica, world in ((right, "a"), (wrong, "b")) * 4]
        assert sum(one is not None for one in held) == 3


async def test_a_call_that_was_canceled_while_it_asked_gives_its_room_back(own_server: KeyServer) -> None:
    async with Replica(own_server, alone=True, cap=1_000) as only:
        for _ in range(5):
            asking = asyncio.create_task(only.tried())
            await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        assert isinstance(await only.begin(), Reservation)
