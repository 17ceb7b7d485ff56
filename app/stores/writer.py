"""The one writer: work from many callers, joined into one commit, acknowledged after it.

While the database fails, waiting work stays queued (bounded) and is tried again; nobody is acknowledged.
A short outage is bridged; in a longer one callers are told, new work is refused, and what is queued is kept.
A commit shows the claim under which its rows were made: what a world's former owner still wants to
write is refused, by itself. It knows nothing else of worlds: a batch is rows for named tables.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, and_, select

from app.core.clock import Clock
from app.core.errors import Overloaded, StoreDown
from app.core.ports import Log
from app.stores import repositories
from app.stores.bulk import Row, insert_rows
from app.stores.database import Database
from app.stores.failpoints import Reached, nothing
from app.stores.repositories import Claim
from app.telemetry.metrics import Metrics

Rows = Mapping[Table, Sequence[Row]]
RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class _Batch:
    rows: Rows
    events: int
    claim: Claim
    queued_s: float
    done: asyncio.Future[None]


class _Lost(Exception):
    """Worlds of the batches have another owner now; nothing was written."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        super().__init__()
        self.claims = claims


class Writer:
    """Owns a task that commits whatever waits, up to `batch_events_max` rows at a time."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        log: Log,
        metrics: Metrics,
        queue_events_max: int,
        batch_events_max: int,
        retry_ms: int,
        bridge_ms: int,
        reached: Reached = nothing,
    ) -> None:
        self._database = database
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._queue_events_max = queue_events_max
        self._batch_events_max = batch_events_max
        self._retry_s = retry_ms / 1000.0
        self._bridge_s = bridge_ms / 1000.0
        self._reached = reached
        self._waiting: deque[_Batch] = deque()
        self._waiting_events = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self.lost: Callable[[Claim], None] = _ignore
        """Told of a claim that no longer holds."""
        self._fault = ""
        self._failing_since_s = 0.0
        self._patient: set[asyncio.Future[None]] = set()
        """Whoever waits for a commit; an outage that is not short ends their wait."""

    @property
    def fault(self) -> str:
        """Why commits fail or hang now; empty while they succeed."""
        return self._fault or self._database.fault

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="writer")

    def require_room(self, events: int) -> None:
        """Raise Overloaded when `events` more would pass the queue's bound."""
        if self._closing:
            raise StoreDown("the server is stopping", hint="send it again after the restart")
        if self._waiting_events + events > self._queue_events_max:
            raise Overloaded(
                f"{self._waiting_events} events wait for a commit",
                hint="send fewer events at once, or wait",
                retry_after_s=self._retry_s,
            )
        if self._fault and self._failing_s() > self._bridge_s:
            raise _outage(self._fault)

    async def acknowledged(self, done: asyncio.Future[None]) -> None:
        """Wait for a commit; raises StoreDown when the database has failed for too long. The rows stay queued."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._patient.add(waiter)
        done.add_done_callback(lambda ended: _settle(waiter, ended.exception()))
        try:
            await waiter
        finally:
            self._patient.discard(waiter)

    def submit(self, rows: Rows, *, events: int, claim: Claim) -> asyncio.Future[None]:
        """Queue rows of a claimed world; the future ends after their commit, or with StoreDown when it was lost."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Batch(rows, events, claim, self._clock.monotonic_s(), done))
        self._count(events)
        self._wake.set()
        return done

    def behind_s(self) -> float:
        """How long the oldest event has waited for its turn to be committed; 0 while commits fail, which is no load."""
        if not self._waiting or self.fault:
            return 0.0
        return self._clock.monotonic_s() - self._waiting[0].queued_s

    async def close(self, *, patience_s: float) -> bool:
        """Commit what waits, for at most `patience_s`, and fail the rest with StoreDown; whether nothing was left."""
        self._closing = True
        self._wake.set()
        ended = True
        if self._task is not None:
            ended = bool((await asyncio.wait({self._task}, timeout=patience_s))[0])
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        clean = ended and not self._waiting and not self._fault
        while self._waiting:
            _fail(self._waiting.popleft(), "the server stopped before the commit")
        return clean

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                taken = self._take()
                try:
                    await self._commit(taken)
                finally:
                    for batch in taken:  # a commit that was cut short has told nobody yet
                        _fail(batch, "the server stopped before the commit")
            if self._closing:
                return

    def _take(self) -> list[_Batch]:
        taken = [self._waiting.popleft()]
        events = taken[0].events
        while self._waiting and events + self._waiting[0].events <= self._batch_events_max:
            taken.append(self._waiting.popleft())
            events += taken[-1].events
        return taken

    async def _commit(self, batches: list[_Batch]) -> None:
        tried = False
        while batches:
            started_s = self._clock.monotonic_s()
            try:
                self._reached("batch.taken")
                await self._database.run({batch.claim.tenant for batch in batches}, self._write(batches, tried=tried))
            except _Lost as error:
                batches = self._without(batches, error.claims)
                continue
            except StoreDown as error:
                self._failed(error)
                if self._closing:
                    return
                await asyncio.sleep(self._retry_s)
                tried = True
                continue
            self._reached("batch.committed")
            self._metrics.commit_seconds.observe(self._clock.monotonic_s() - started_s)
            self._succeeded()
            break
        for batch in batches:
            self._count(-batch.events)
            if not batch.done.done():
                batch.done.set_result(None)
        self._reached("batch.acknowledged")

    def _write(self, batches: Sequence[_Batch], *, tried: bool) -> Callable[[Connection], None]:
        """The work of one transaction; `tried` when an earlier one may have been committed unheard."""
        rows, claims = _join(batches), list({batch.claim for batch in batches})

        def write(connection: Connection) -> None:
            lost = repositories.lost_claims(connection, claims)
            if lost:
                raise _Lost(lost)
            if not (tried and _landed(connection, rows)):
                _insert(connection, rows)
            self._reached("batch.inserted")

        return write

    def _without(self, batches: Sequence[_Batch], claims: Sequence[Claim]) -> list[_Batch]:
        """Refuse what stands on lost claims; the rest is tried again."""
        for claim in claims:
            self._log.warning("world.moved", tenant=claim.tenant, world=claim.world, fence=claim.fence)
            self.lost(claim)
        for batch in batches:
            if batch.claim in claims:
                self._count(-batch.events)
                _fail(batch, f"world {batch.claim.world!r} has moved to another server")
        return [batch for batch in batches if batch.claim not in claims]

    def _failed(self, error: StoreDown) -> None:
        self._metrics.commits_failed.inc()
        if not self._fault:
            self._log.error("commit.failed", reason=error.message)
            self._failing_since_s = self._clock.monotonic_s()
        self._fault = error.message
        if self._failing_s() > self._bridge_s:
            for waiter in self._patient:
                _settle(waiter, _outage(self._fault))

    def _failing_s(self) -> float:
        return self._clock.monotonic_s() - self._failing_since_s

    def _succeeded(self) -> None:
        if self._fault:
            self._log.info("commit.recovered")
        self._fault = ""

    def _count(self, events: int) -> None:
        self._waiting_events += events
        self._metrics.writer_events.set(self._waiting_events)


def _join(batches: Sequence[_Batch]) -> dict[Table, list[Row]]:
    rows: dict[Table, list[Row]] = {}
    for batch in batches:
        for table, more in batch.rows.items():
            rows.setdefault(table, []).extend(more)
    return rows


def _insert(connection: Connection, rows: Rows) -> None:
    for table, values in rows.items():
        insert_rows(connection, table, values)


def _landed(connection: Connection, rows: Rows) -> bool:
    """Whether an earlier try was committed and only its answer was lost; a commit is whole, so one row tells."""
    table, values = next(iter(rows.items()))
    written = dict(zip(table.columns.keys(), values[0], strict=True))
    key = and_(*(column == written[column.name] for column in table.primary_key))
    found = connection.execute(select(table).where(key)).mappings().first()
    return found is not None and dict(found) == written


def _ignore(_claim: Claim) -> None:
    """Nobody asked to be told."""


def _fail(batch: _Batch, why: str) -> None:
    if not batch.done.done():
        batch.done.set_exception(StoreDown(why, hint="send it again with the same key"))


def _settle(waiter: asyncio.Future[None], error: BaseException | None) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)


def _outage(fault: str) -> StoreDown:
    return StoreDown(f"not committed: {fault}", hint="send it again with the same key", retry_after_s=RETRY_AFTER_S)
