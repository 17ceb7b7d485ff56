"""What the game has told the server: a queue of changes, each told until it is acknowledged, and the game's own books.

The books are a world's state kept by the same rules as the server's, so the game always knows who holds
what. An acknowledged change must never be missing later: `check` compares with the server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile

from app.cli.demo.client import Link
from app.core.errors import Broken, Refused
from app.core.messages import Change, Event
from app.modules.world import messages
from app.world import reducers
from app.world.events import EntityRemoved, EntityUpserted, FactAsserted, Happened
from app.world.state import World

BATCH_MAX = 200
"""Changes in one message; the server commits them together."""
PAUSE_S = 0.1
"""Wait between two batches, so that a busy moment becomes one commit."""


@dataclass(frozen=True, slots=True)
class _Entry:
    change: Change
    done: asyncio.Future[bool]
    """For whoever told it; canceled with them."""
    settled: asyncio.Future[None]


@dataclass(slots=True)
class Ledger:
    """Tells changes in order. `run_id` makes the keys of this process unlike those of any other."""

    link: Link
    books: World
    run_id: str
    game_s: Callable[[], float]
    acknowledged: int = 0
    """Changes that the server has committed, since this process began."""
    newest_seq: int = 0
    """The newest event that was acknowledged to this game, in this run or an earlier one."""
    refused: int = 0
    lost: int = 0
    """Acknowledged events that the server no longer had; anything but 0 is a fault of the server."""
    _queue: deque[_Entry] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _batches: int = 0

    def tell(self, change: Change) -> asyncio.Future[bool]:
        """Enter a change in the books and queue it; the future is true once it is committed, false when refused."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        try:
            reducers.check(self.books, change)
        except Refused:
            self.refused += 1
            done.set_result(False)
            return done
        # The books keep no order of their own: `seq` stays that of the newest acknowledged event.
        reducers.apply(self.books.state, Event(seq=self.newest_seq, id="", wall_ms=0, game_s=0.0, change=change))
        self._queue.append(_Entry(change, done, asyncio.get_running_loop().create_future()))
        self._wake.set()
        return done

    @property
    def waiting(self) -> int:
        """Changes that are not acknowledged yet."""
        return len(self._queue)

    async def run(self) -> None:
        """Send what is queued, forever."""
        while True:
            await self._wake.wait()
            await self.flush()
            self._wake.clear()
            await asyncio.sleep(PAUSE_S)

    async def flush(self) -> None:
        """Send what is queued; for `run`, and for what must be there before it runs."""
        while self._queue:
            await self._send(self._batch())

    async def drain(self) -> None:
        """Wait until everything told is settled."""
        while self._queue:
            # `wait` leaves the futures alone when it is cut short; whoever told may still await them.
            await asyncio.wait({entry.settled for entry in self._queue})

    async def check(self) -> None:
        """Ask the server whether it still has everything that it acknowledged."""
        expected = self.newest_seq
        described = await self.link.insist(messages.Describe(), messages.Described)
        self.lost = max(self.lost, expected - described.seq)

    def _batch(self) -> list[_Entry]:
        """The longest run of one kind of change at the head of the queue."""
        kind = type(self._queue[0].change)
        return list(islice(takewhile(lambda entry: type(entry.change) is kind, self._queue), BATCH_MAX))

    async def _send(self, batch: list[_Entry]) -> None:
        self._batches += 1
        key = f"{self.run_id}-{self._batches}"
        try:
            await self._commit([entry.change for entry in batch], key)
        except (Refused, Broken):
            # One wrong change refuses its whole message: tell them one by one and drop what is wrong.
            for number, entry in enumerate(batch):
                self._settle(entry, kept=await self._commit_one(entry.change, f"{key}-{number}"))
            return
        for entry in batch:
            self._settle(entry, kept=True)

    async def _commit_one(self, change: Change, key: str) -> bool:
        try:
            await self._commit([change], key)
        except (Refused, Broken):
            return False
        return True

    async def _commit(self, changes: Sequence[Change], key: str) -> None:
        match changes[0]:
            case EntityUpserted():
                entities = tuple(change.entity for change in changes if isinstance(change, EntityUpserted))
                put = await self.link.insist(messages.Upsert(entities=entities, key=key), messages.Upserted)
                self.books.state.handles.update(put.handles)
                self.newest_seq = max(self.newest_seq, put.seq)
                return
            case FactAsserted():
                facts = tuple(change.fact for change in changes if isinstance(change, FactAsserted))
                request: messages.Assert | messages.Remove | messages.Post = messages.Assert(facts=facts, key=key)
            case EntityRemoved(entity_kind=kind):
                ids = tuple(change.id for change in changes if isinstance(change, EntityRemoved))
                request = messages.Remove(kind=kind, ids=ids, key=key)
            case _:
                told = tuple(change for change in changes if isinstance(change, Happened))
                request = messages.Post(events=told, game_s=self.game_s(), key=key)
        answer = await self.link.insist(request, messages.Acknowledged)
        self.newest_seq = max(self.newest_seq, answer.seq)

    def _settle(self, entry: _Entry, *, kept: bool) -> None:
        self._queue.popleft()
        entry.settled.set_result(None)
        self.acknowledged += kept
        self.refused += not kept
        if not entry.done.done():
            entry.done.set_result(kept)
