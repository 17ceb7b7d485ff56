"""Looks up idempotency keys that memory has dropped: all that are asked for at once, in one query.

A world that has forgotten one key must ask for every key that it does not know, so a query for each would cost a busy
game a round trip for every write. It knows no world and keeps nothing.
"""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import islice

from app.core.errors import StoreDown
from app.stores import repositories
from app.stores.database import Database

KEYS_PER_QUERY = 256
_Key = tuple[str, str, str]
_Call = tuple[int, int, bytes]


class Recall:
    """One query runs at a time; whoever comes meanwhile shares the next."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[_Key, asyncio.Future[_Call | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def find(self, tenant: str, world: str, key: str) -> _Call | None:
        """(first seq, last seq, digest of the request) of the call that had the key, or None; raises StoreDown."""
        found = self._waiting.get((tenant, world, key))
        if found is None:
            found = self._waiting[tenant, world, key] = asyncio.get_running_loop().create_future()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="recall")
        return await asyncio.shield(found)

    async def _run(self) -> None:
        while self._waiting:
            asked = {key: self._waiting.pop(key) for key in [*islice(self._waiting, KEYS_PER_QUERY)]}
            try:
                calls = await self._database.run(
                    {tenant for tenant, _, _ in asked}, partial(repositories.keyed_calls, keys=[*asked])
                )
            except StoreDown as error:
                for found in asked.values():
                    found.set_exception(error)
                    found.exception()  # a caller that was canceled will not ask
            else:
                for key, found in asked.items():
                    found.set_result(calls.get(key))
