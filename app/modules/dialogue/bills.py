"""What a line has cost, as events; and the bills of lines that were over before they could be written down.

A line that is spoken commits its own costs. One that was canceled, or whose effects were refused, leaves them here:
the provider was paid all the same. It knows neither prices nor caps.
"""

from __future__ import annotations

import asyncio

from app.core.errors import Refused, Unavailable
from app.core.messages import Change
from app.core.module import Call
from app.core.ports import Journal
from app.modules.dialogue.turn import Turn
from app.world.usage import charged

WAITING_MAX = 1_024
"""Bills that wait for a database; more are dropped, and told."""
RETRY_S = 0.5
TRIES_MAX = 240
CLOSE_S = 2.0


def used(turn: Turn) -> list[Change]:
    """An event for each engine that was paid."""
    completion = turn.completion
    return [charged(spent, npc=completion.npc, player=completion.player) for spent in turn.bill.items]


class Bills:
    """Commits what turns have left, in tasks of its own, as often as it takes."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, call: Call, turn: Turn) -> None:
        """Write down what the turn has not; under the line's own key, so that it is never written twice."""
        changes = used(turn)
        if not changes:
            return
        if len(self._tasks) >= WAITING_MAX:
            call.log.error("bill.dropped", dialogue=turn.dialogue.id, reason=f"{WAITING_MAX} wait already")
            return
        turn.bill.items.clear()
        task = asyncio.create_task(self._commit(call, changes, turn.explain_id), name="bill")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait a moment for what is being written, and leave the rest."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _commit(self, call: Call, changes: list[Change], key: str) -> None:
        reason = ""
        for _ in range(TRIES_MAX):
            try:
                await self._journal.append(call.tenant, call.world, changes, key=key)
            except Unavailable as error:
                reason = error.message
            except Refused as error:
                reason = error.message
                break
            else:
                return
            await asyncio.sleep(RETRY_S)
        call.log.error("bill.dropped", key=key, reason=reason)
