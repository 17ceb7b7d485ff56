"""Looks again and again at what any replica may have changed in the database, and tells this process of it.

It knows when to look and what to do where nothing answers. What is looked at is its owner's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from app.core.errors import StoreDown
from app.core.ports import Log

POLL_S = 0.3


class Feed:
    """Owns the task that looks. `look` raises StoreDown; then what was known holds on."""

    def __init__(self, look: Callable[[], Awaitable[None]], *, name: str, unsure: str, log: Log) -> None:
        """`unsure` is the event that is logged where nothing answers."""
        self._look = look
        self._name = name
        self._unsure = unsure
        self._log = log
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look again and again."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def try_once(self) -> None:
        """Look now; without an answer what was known holds on."""
        try:
            await self._look()
        except StoreDown as error:
            self._log.debug(self._unsure, reason=error.message)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await self.try_once()
