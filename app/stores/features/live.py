"""The feature store of a running server: folds committed events soon after they are told, and keeps what it folded.

One task does all of it, in small steps on the loop, so that a read between two steps sees whole vectors.
What its bounded queue cannot hold it reads again from the log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock
from app.core.errors import Conflict, NotFound, StoreDown, nearest
from app.core.messages import Event
from app.core.ports import Log, Values
from app.stores.database import Database
from app.stores.features.history import History, folder_of
from app.stores.features.packed import key_head, require_ids
from app.stores.features.projection import Projection
from app.stores.features.view import View
from app.world.state import World, Worlds

STEP_EVENTS = 32
"""Events folded before others get the loop; well under a millisecond."""
SHARE_KEYS = 500
RETRY_S = 0.5
_Key = tuple[str, str]


class FeatureStore:
    """Implements app.core.ports.Features from RAM; `values` set, it also shares packed vectors."""

    def __init__(
        self,
        view: View,
        *,
        database: Database,
        root: Path,
        clock: Clock,
        log: Log,
        history: bool,
        queue_events_max: int,
        rows_max: int,
        keep_ms: int,
        values: Values | None = None,
    ) -> None:
        self._view = view
        self._database = database
        self._root = root
        self._clock = clock
        self._log = log
        self._history = history
        self._queue_events_max = queue_events_max
        self._rows_max = rows_max
        self._keep_s = keep_ms / 1000.0
        self._values = values
        self._projections: dict[_Key, Projection] = {}
        self._queues: dict[_Key, deque[Event]] = {}
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._faults: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return self._view.names

    @property
    def fault(self) -> str:
        """Why vectors or history lag now; empty while they do not."""
        return "; ".join(self._faults.values())

    def open(self, worlds: Worlds) -> None:
        """Take up what was saved of each world and start; the rest of the log follows behind the open port.

        Raises Conflict when another process writes the same history.
        """
        for world in worlds.all():
            self._open(world.tenant, world.id)
        self._task = asyncio.create_task(self._run(), name=f"features-{self._view.name}")
        self._wake.set()

    def take(self, world: World, events: Sequence[Event]) -> None:
        """Queue committed events; a subscriber of the stream. Never blocks."""
        queue = self._queues.setdefault((world.tenant, world.id), deque())
        if len(queue) + len(events) > self._queue_events_max:
            queue.clear()  # The newest one alone shows the gap, and the log fills it.
            queue.append(events[-1])
        else:
            queue.extend(events)
        self._wake.set()

    async def read(
        self, tenant: str, world: str, kind: str, ids: Sequence[str], *, now_s: float
    ) -> NDArray[np.float32]:
        require_ids(self._view, kind, ids)
        table = self._of(tenant, world).table
        return table.gather(kind, table.rows(kind, ids), now_s)

    def gather(self, tenant: str, world: str, handles: NDArray[np.integer], *, now_s: float) -> NDArray[np.float32]:
        """Features (n, features) float32 of NPCs by the world's handles (n,); NaN rows for those not there."""
        return self._of(tenant, world).table.gather("npc", handles, now_s)

    def seq(self, tenant: str, world: str) -> int:
        """The newest event that the world's vectors hold."""
        return self._of(tenant, world).table.seq

    async def close(self, *, patience_s: float) -> None:
        """Fold what waits and keep it, for at most `patience_s`; the log has whatever is cut off."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=patience_s)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for projection in self._projections.values():
            projection.close()

    def _of(self, tenant: str, world: str) -> Projection:
        found = self._projections.get((tenant, world))
        if found is None:
            known = (name for owner, name in self._projections if owner == tenant)
            raise NotFound(f"no vectors of world {world!r}", hint=nearest(world, known))
        return found

    def _open(self, tenant: str, world: str) -> Projection:
        folder = folder_of(self._root, tenant, world, self._view)
        history = History(folder, self._view) if self._history else None
        projection = Projection(self._view, tenant=tenant, world=world, folder=folder, history=history)
        projection.open()
        self._projections[tenant, world] = projection
        return projection

    async def _run(self) -> None:
        kept_s = self._clock.monotonic_s()
        while True:
            for tenant, world in {**self._projections, **self._queues}:
                await self._attempt(tenant, world)
            if self._closing or self._clock.monotonic_s() - kept_s >= self._keep_s:
                await self._keep()
                kept_s = self._clock.monotonic_s()
            if self._closing:
                return
            await self._rest()

    async def _rest(self) -> None:
        """Wait for events, for the next keep, or, after a fault, for the next try."""
        try:
            async with asyncio.timeout(RETRY_S if self._faults else self._keep_s):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _attempt(self, tenant: str, world: str) -> None:
        try:
            projection = self._projections.get((tenant, world)) or self._open(tenant, world)
            await self._drain(projection)
            await self._share(projection)
        except (StoreDown, Conflict) as error:
            self._tell("fold", error.message)
        else:
            self._tell("fold", "")

    async def _drain(self, projection: Projection) -> None:
        """Bring the table level with what was told; the log fills what was not."""
        queue = self._queues.setdefault((projection.tenant, projection.world), deque())
        while not projection.level or (queue and queue[0].seq > projection.table.seq + 1):
            page = await projection.page(self._database)
            for start in range(0, len(page), STEP_EVENTS):
                projection.fold(page[start : start + STEP_EVENTS], rows_max=self._rows_max)
                await asyncio.sleep(0)
            if len(projection.rows) > self._rows_max // 2:
                await projection.keep()
            if not page:
                projection.level = True
                break
        while queue and queue[0].seq <= projection.table.seq + 1:
            projection.fold([queue.popleft() for _ in range(min(STEP_EVENTS, len(queue)))], rows_max=self._rows_max)
            await asyncio.sleep(0)

    async def _share(self, projection: Projection) -> None:
        if self._values is None:
            return
        while projection.dirty:
            batch = [projection.dirty.popitem()[1] for _ in range(min(SHARE_KEYS, len(projection.dirty)))]
            values = {
                key_head(self._view, projection.world, found.kind) + found.id: projection.table.pack(found)
                for found in batch
            }
            try:
                await self._values.set_many(projection.tenant, values)
            except StoreDown:
                projection.dirty.update({(found.kind, found.row): found for found in batch})
                raise

    async def _keep(self) -> None:
        fault = ""
        for projection in self._projections.values():
            try:
                await projection.keep()
            except StoreDown as error:
                fault = error.message
            if projection.behind:
                fault = f"history of world {projection.world!r} lacks rows until the next start"
        self._tell("keep", fault)

    def _tell(self, what: str, fault: str) -> None:
        """Log a fault once when it begins, and once when it ends."""
        if fault and what not in self._faults:
            self._log.error("features.failed", view=self._view.name, what=what, reason=fault)
        elif not fault and self._faults.pop(what, ""):
            self._log.info("features.recovered", view=self._view.name, what=what)
        if fault:
            self._faults[what] = fault
