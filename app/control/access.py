"""Keeps the authority up to date: asks the database a few times a second whether somebody's access has changed.

The command line, the REST resources and other replicas all change access in the database, so one way of learning
serves them all. While the database is gone the last known state holds, with whatever is known to be revoked.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from app.control.auth import Authority
from app.control.records import Records
from app.control.ring import LEARN_MS
from app.core.clock import Clock
from app.core.errors import StoreDown
from app.core.ports import Log
from app.core.profile import Security

UPKEEP_S = 60.0
DAY_MS = 86_400_000
KEPT_MS = 2 * DAY_MS
"""How long it is remembered that a sign-in has ended: longer than anything of it can last."""


class AccessWatch:
    """Owns a task. `learn` brings what was just changed here into force at once."""

    def __init__(
        self, authority: Authority, records: Records, *, clock: Clock, log: Log, settings: Security, version: int
    ) -> None:
        """`version` is the number of the newest change that the authority knows."""
        self._authority = authority
        self._records = records
        self._clock = clock
        self._log = log
        self._settings = settings
        self._version = version
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._run(), name="access")

    async def close(self) -> None:
        """Watch no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def learn(self) -> None:
        """Learn what has changed; a database that does not answer is asked again a moment later."""
        with suppress(StoreDown):
            await self._learn()

    async def _learn(self) -> None:
        async with self._turn:
            changes = await self._records.changes_after(self._version)
            if changes is not None:
                self._authority.learn(changes)
                self._version = changes.version

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        upkeep_s = loop.time() + UPKEEP_S
        while True:
            await asyncio.sleep(self._settings.access_poll_ms / 1000.0)
            try:
                await self.learn()
                if loop.time() >= upkeep_s:
                    upkeep_s = loop.time() + UPKEEP_S
                    await self.keep_up()
            except Exception as error:  # a watch that ended would go on letting in whoever is revoked
                self._log.error("access.unlearned", exc_info=error)

    async def keep_up(self) -> None:
        """Once a minute: days of use, a new signing key when the newest is old, and what is long over."""
        now_ms = self._clock.wall_ms()
        with suppress(StoreDown):
            await self._records.note_used(self._authority.take_used(), now_ms)
            older_ms = self._settings.signing_key_days * DAY_MS
            if await self._records.rotate_ring(now_ms, older_than_ms=older_ms, signs_ms=now_ms + LEARN_MS):
                self._log.info("signing_key.rotated")
                await self._learn()
            await self._records.tidy(now_ms - KEPT_MS)
        self._authority.forget_rules(now_ms - KEPT_MS)
