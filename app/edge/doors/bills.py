"""Where the cost of what was said at a door goes: into the log of the world that it was for, or else to the tenant.

A world that is not here, or does not take it, leaves its cost to the tenant's own book. It knows neither prices nor
caps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.core.clock import Clock
from app.core.errors import Refused, Unavailable
from app.core.ids import new_id
from app.core.ports import Journal, Places
from app.core.words import Completion, Spent
from app.world.usage import Used, charged, used_of

CLOSE_S = 2.0
RETRY_S = 0.5
TRIES_MAX = 240
"""After so many a world leaves its bill to the tenant."""
WAITING_MAX = 1_024
"""Bills that worlds are writing down; with more they go to the tenant at once."""

Add = Callable[[str, str, str, Used], None]
"""(tenant, world, engine, used)"""


class Bills:
    """Writes down what requests have cost; never makes one wait."""

    def __init__(self, journal: Journal, places: Places, add: Add, clock: Clock) -> None:
        self._journal = journal
        self._places = places
        self._add = add
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, completion: Completion) -> None:
        """Write down what the request has cost so far, once."""
        bill = completion.bill
        if bill is None or not bill.items:
            return
        items = tuple(bill.items)
        bill.items.clear()
        here = completion.world and self._places.here(completion.tenant, completion.world)
        if not here or len(self._tasks) >= WAITING_MAX:
            self._leave(completion, items)
            return
        task = asyncio.create_task(self._commit(completion, items), name="door bill")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait a moment for what is being written; what is late goes to the tenants."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _commit(self, completion: Completion, items: tuple[Spent, ...]) -> None:
        """Write a bill into the world's log, as often as it takes and under one key, so that it is there once."""
        changes = [charged(spent, player=completion.player) for spent in items]
        key = new_id(self._clock.wall_ms())
        try:
            for _ in range(TRIES_MAX):
                try:
                    await self._journal.append(completion.tenant, completion.world, changes, key=key)
                except Unavailable:
                    await asyncio.sleep(RETRY_S)
                except Refused:
                    break
                else:
                    return
        except asyncio.CancelledError:
            self._leave(completion, items)
            raise
        self._leave(completion, items)

    def _leave(self, completion: Completion, items: tuple[Spent, ...]) -> None:
        for spent in items:
            self._add(completion.tenant, completion.world, spent.engine, used_of(spent))
