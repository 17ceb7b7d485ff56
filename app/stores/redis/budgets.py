"""Budgets that replicas share, with this process's own accounts underneath.

A call is let through by one script over all its accounts, after this process has found room on its own. What
calls have cost is told to the server by a task, in order, as often as it takes; a server that lost its memory
gets the sums of this process again. It knows no engine and no event.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from app.core.errors import OverBudget, Unavailable
from app.core.spending import Amount, Reservation, Spender
from app.stores.embedded.budgets import NOTHING, Account, EmbeddedBudgets
from app.stores.redis.client import Client
from app.stores.redis.commands import key_name
from app.stores.redis.scripts import RESERVE, SETTLE, TELL
from app.world.usage import DAY_MS

SETTLEMENTS_MAX = 65_536
"""Costs that wait to be told; past it the oldest is left to the sums, which tell it too."""
RETRY_S = 0.1
TELL_S = 0.5
TELL_MS = 2_000
"""How long a server without memory lets no replica spend, while each tells what its worlds have spent."""
KEEP_DAYS = 3


class RedisBudgets:
    """Implements app.core.ports.Budgets over a server.

    Without the server a process that stands alone goes on by its own accounts; one of several allows no paid
    call, since nobody can tell what the others spend. A world is told by one process at a time.
    """

    def __init__(self, client: Client, near: EmbeddedBudgets, *, hold_ms: int, alone: bool) -> None:
        self._client = client
        self._near = near
        self._hold_ms = hold_ms
        self._alone = alone
        self._waiting: deque[tuple[Reservation, Amount]] = deque(maxlen=SETTLEMENTS_MAX)
        self._wake = asyncio.Event()
        self._told: dict[str, Any] = {}
        """Tenant -> the server's memory that was told last, by when it began."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to tell the server what calls have cost."""
        self._task = asyncio.create_task(self._run(), name="budgets")

    async def close(self) -> None:
        """Tell what still waits, while the server answers, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._settle_all()

    async def reserve(self, spender: Spender, most: Amount) -> Reservation:
        day = self._near.today()
        for _ in range(2):
            here = self._near.hold(spender, most, day)
            accounts = self._near.accounts.of(spender, day)
            if not accounts:
                return here
            try:
                code, value = await self._ask(here, accounts)
            except Unavailable as error:
                if self._alone:
                    return here
                self._near.settle(here, NOTHING)
                raise OverBudget(f"nobody can tell what is left: {error.message}", hint=error.hint) from error
            except asyncio.CancelledError:
                self.settle(here, NOTHING)  # the server may hold it already
                raise
            if code == 1:
                return here
            self._near.settle(here, NOTHING)
            if code == 0:
                raise self._near.full(spender.tenant, accounts[value - 1])
            if code == -2:
                raise OverBudget(f"the replicas tell a new server what was spent, for {value} ms more")
            day = value
        raise OverBudget("the server's day changed twice in one call", hint="check its clock")

    def settle(self, reservation: Reservation, spent: Amount) -> None:
        self._near.settle(reservation, spent)
        self._waiting.append((reservation, spent))
        self._wake.set()

    def know(self, tenant: str, world: str, spent: Iterable[tuple[int, str, str, Amount]]) -> None:
        self._near.know(tenant, world, spent)

    async def _ask(self, here: Reservation, accounts: list[Account]) -> tuple[int, int]:
        spender, most = here.spender, here.most
        words: list[str | int] = [here.day, here.id, self._hold_ms, 0 if self._alone else TELL_MS]
        words += [spender.world, most.nano_usd, most.tokens]
        for account, known in zip(accounts, self._near.known(here), strict=True):
            words += [account.cap.nano_usd, account.cap.tokens, known.nano_usd, known.tokens, _keep_ms(account, here)]
        keys = [key_name(spender.tenant, "b", "since"), *_keys(spender.tenant, accounts)]
        code, value = await self._client.run(RESERVE, keys, words)
        return int(code), int(value)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(TELL_S):
                    await self._wake.wait()
            self._wake.clear()
            await self._settle_all()
            if not self._alone:
                await self._tell_all()
            if self._waiting:
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    async def _settle_all(self) -> None:
        """Tell what waits, oldest first, until the server does not answer."""
        while self._waiting and not self._client.fault:
            reservation, spent = self._waiting[0]
            try:
                await self._send(reservation, spent)
            except Unavailable:
                return
            if self._waiting and self._waiting[0][0] is reservation:
                self._waiting.popleft()

    async def _send(self, reservation: Reservation, spent: Amount) -> None:
        spender = reservation.spender
        accounts = self._near.accounts.of(spender, reservation.day)
        if not accounts:
            return
        words: list[str | int] = [reservation.id, spender.world, spent.nano_usd, spent.tokens]
        for account, known in zip(accounts, self._near.known(reservation), strict=True):
            words += [known.nano_usd, known.tokens, _keep_ms(account, reservation)]
        await self._client.run(SETTLE, _keys(spender.tenant, accounts), words)

    async def _tell_all(self) -> None:
        """Tell a server that has begun anew what every world of each tenant has spent."""
        for tenant in self._near.tenants():
            try:
                since = await self._client.call("GET", key_name(tenant, "b", "since"))
                if since == self._told.get(tenant):
                    continue
                for account in self._near.accounts.of(Spender(tenant=tenant, world=""), self._near.today()):
                    await self._tell(tenant, account)
            except Unavailable:
                return
            self._told[tenant] = since

    async def _tell(self, tenant: str, account: Account) -> None:
        words: list[str | int] = [(account.until_day - self._near.today() + KEEP_DAYS) * DAY_MS]
        for world, spent in self._near.worlds(tenant, account).items():
            words += [world, spent.nano_usd, spent.tokens]
        await self._client.run(TELL, _keys(tenant, [account]), words)


def _keys(tenant: str, accounts: Iterable[Account]) -> list[str]:
    return [key_name(tenant, "b", account.name) for account in accounts]


def _keep_ms(account: Account, reservation: Reservation) -> int:
    return (account.until_day - reservation.day + KEEP_DAYS) * DAY_MS
