"""Two hundred at once for one unit of anything that is limited: exactly one gets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.control.auth import ALL_SCOPES, Authority, Identity
from app.control.keys import Key, make_key
from app.control.records import Changes
from app.control.ring import Ring
from app.core.clock import SystemClock
from app.core.errors import Error
from app.core.quotas import Budgets, Caps
from app.core.rates import Rate
from app.core.spending import Amount, Spender
from app.stores.embedded.budgets import EmbeddedBudgets
from app.stores.embedded.limiter import EmbeddedLimiter
from app.stores.redis.allowance import Allowance
from app.stores.redis.budgets import RedisBudgets
from app.stores.redis.client import Client
from app.stores.redis.limiter import RedisLimiter
from tests.doubles import SilentLog
from tests.servers import Server, connect
from tests.stores.contracts.servers import KINDS, key_server

CLAIMS = 200
ONE = Rate(units=1, period_ms=3_600_000, burst=1)
Claim = Callable[[int], Awaitable[bool]]
"""The n-th claimant tries, and says whether it got the unit."""


async def winners(claim: Claim) -> int:
    """How many of all who try at once get the unit; a refusal is an Error of the tree."""

    async def one(number: int) -> bool:
        try:
            return await claim(number)
        except Error:
            return False

    return sum(await asyncio.gather(*(one(number) for number in range(CLAIMS))))


@pytest_asyncio.fixture(params=["embedded", *KINDS])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Client | None]:
    """A client of a real key server; None for the twin in the process."""
    if request.param == "embedded":
        yield None
        return
    with key_server(request.param, tmp_path) as server:
        opened = Client(server.url, connections_max=16, command_ms=5_000, log=SilentLog())
        opened.start()
        yield opened
        await opened.close()


def limiter(client: Client | None) -> Any:
    near = EmbeddedLimiter(clock=SystemClock(), keys_max=100)
    return near if client is None else RedisLimiter(client, near, alone_share=1.0)


async def test_one_unit_of_a_rate(client: Client | None) -> None:
    limits = limiter(client)

    async def claim(_number: int) -> bool:
        return bool((await limits.take("studio", "k", ONE)).allowed)

    assert await winners(claim) == 1


@pytest.mark.parametrize("replicas", [1, 3])
async def test_a_burst_of_twice_the_limit_admits_the_limit_and_not_one_more(
    client: Client | None, replicas: int
) -> None:
    """Replicas share a server; each asks for units in batches."""
    rate = Rate(units=100, period_ms=3_600_000_00, burst=100)
    if client is None:
        sides = [limiter(None)]
    else:
        sides = [
            Allowance(limiter(client), clock=SystemClock(), lease_ms=60_000, keys_max=100) for _ in range(replicas)
        ]

    async def claim(number: int) -> bool:
        return bool((await sides[number % len(sides)].take("studio", "k", rate)).allowed)

    admitted = await winners(claim)
    assert admitted == 100 if len(sides) == 1 else 90 <= admitted <= 100
    for side in sides:
        if client is not None:
            await side.close()


async def test_one_unit_of_a_budget_regression_14(client: Client | None) -> None:
    """What is spent and what is reserved never pass the cap together, and nothing is counted twice."""
    caps = Caps(day_tokens_max=10)
    section = Budgets(hold_ms=600_000, tenant=caps, world=Caps(), player=Caps(), npc=Caps())
    near = EmbeddedBudgets(section, clock=SystemClock(), log=SilentLog(), accounts_max=100)
    budgets: Any = near if client is None else RedisBudgets(client, near, hold_ms=600_000, alone=True)
    spender, most = Spender(tenant="studio", world="w"), Amount(tokens=10)
    held: list[Any] = []

    async def claim(_number: int) -> bool:
        held.append(await budgets.reserve(spender, most))
        return True

    assert await winners(claim) == 1
    budgets.settle(held[0], Amount(tokens=4))
    if client is not None:
        await budgets.close()
    assert await winners(claim) == 0, "what is left is less than a call may cost"
    small = Amount(tokens=6)
    assert await budgets.reserve(spender, small)
    with pytest.raises(Error):
        await budgets.reserve(spender, Amount(tokens=1))


def authority_of() -> tuple[Authority, Identity]:
    new = make_key(label="x", scopes=ALL_SCOPES, created_ms=0)
    authority = Authority(clock=SystemClock(), ring=Ring(token_ms=1), pepper=b"", token_minutes=15)
    authority.learn(Changes(1, keys=[Key.from_row({**new.row, "tenant": "studio"})]))
    return authority, authority.identify(new.text)


async def test_one_console_code() -> None:
    authority, identity = authority_of()
    code = authority.make_code(identity)

    async def claim(_number: int) -> bool:
        await asyncio.sleep(0)
        return authority.take_code(code) is not None

    assert await winners(claim) == 1


async def test_one_session_that_waits_to_be_resumed(server: Server, world: str) -> None:
    """Of many sockets that show one resume token, one goes on with the session."""
    async with connect(server, world=world) as link:
        token = link.hello["resume"]  # type: ignore[attr-defined]  # a test's shorthand
    await asyncio.sleep(0.2)
    async with AsyncExitStack() as stack:
        links = await asyncio.gather(
            *(stack.enter_async_context(connect(server, world=world, resume=token)) for _ in range(40))
        )
        assert sum(link.hello["resumed"] for link in links) == 1


async def test_one_effect_of_an_idempotency_key(server: Server, world: str) -> None:
    """Every claimant gets the one answer, and the log has the event once."""
    event = {"verb": "learned", "actor": "mara", "topic": "once"}
    before = server.get(f"/v1/worlds/{world}")[1]["seq"]
    async with AsyncExitStack() as stack:
        links = await asyncio.gather(*(stack.enter_async_context(connect(server, world=world)) for _ in range(10)))
        ids = [(link, await link.send("world.event", {"events": [event], "key": "k"})) for link in links * 20]
        replies = [await link.reply(id) for link, id in ids]
    assert {reply["data"]["seq"] for reply in replies} == {before + 1}
    assert server.get(f"/v1/worlds/{world}")[1]["seq"] == before + 1
