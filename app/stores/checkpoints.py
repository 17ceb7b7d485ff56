"""Checkpoints: a world's state up to one of its events, so that a start replays the tail and not the log.

While the server runs, a twin of each world's state folds the events that are committed, in small steps; nothing is
ever copied on the loop. When enough of them have gone by, a thread encodes the twin slice by slice, and it is written
in parts, each a short transaction between those of the writer; the last part makes the checkpoint. A clean stop
writes the state in one part. Parts are sealed under a key of the tenant; what releases before that have written
is still read, and goes with the next checkpoint.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
from sqlalchemy import Connection, Table, delete, func, insert, select

from app.core.clock import Clock
from app.core.errors import StoreDown
from app.core.messages import Event
from app.core.ports import Log
from app.stores import repositories
from app.stores.database import Database
from app.stores.failpoints import Reached, nothing
from app.stores.pieces import parts_of
from app.stores.tables import checkpoint_parts, checkpoints, sealed_checkpoints
from app.stores.vault import CHECKPOINT, key_of, seal, unseal, vault_of
from app.world import reducers
from app.world.state import State, World, copied

PART_BYTES = 262_144
STEP_EVENTS = 32
STEP_S = 0.000_4
"""Events are folded for this long, STEP_EVENTS at a time, before others get the loop."""
PAGE_EVENTS = 500
"""Events read from the log at once, where the queue could not hold them."""
GATHER_S = 0.05
"""Committed events are folded this often."""

_decoder = msgspec.msgpack.Decoder(State)


@dataclass(slots=True)
class _Twin:
    """What a world's checkpoint will hold: its state after the newest event that was folded."""

    tenant: str
    world: str
    state: State
    saved_seq: int
    saved_s: float
    queue: deque[Event] = field(default_factory=deque)


class Checkpoints:
    """Owns a task that keeps the twins level and writes the checkpoints that are due."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        log: Log,
        events_min: int,
        interval_ms: int,
        queue_events_max: int,
        reached: Reached = nothing,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._database = database
        self._clock = clock
        self._log = log
        self._events_min = events_min
        self._interval_s = interval_ms / 1000.0
        self._queue_events_max = queue_events_max
        self._reached = reached
        self._part_bytes = part_bytes
        self._twins: dict[tuple[str, str], _Twin] = {}
        self._told: dict[tuple[str, str], None] = {}
        """Worlds with events to fold."""
        self._grown: dict[tuple[str, str], None] = {}
        """Worlds with enough events for a checkpoint."""
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.fault = ""
        """Why the last checkpoint could not be written; empty while they can."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="checkpoints")

    def adopt(self, world: World, checkpoint_seq: int) -> None:
        """Follow a world that was just loaded from the checkpoint at that event and the log after it.

        One that took a long replay gets a checkpoint at once.
        """
        key = (world.tenant, world.id)
        long = world.state.seq - checkpoint_seq >= self._events_min
        saved_s = -math.inf if long else self._clock.monotonic_s()
        twin = _Twin(world.tenant, world.id, copied(world.state), checkpoint_seq, saved_s)
        self._twins[key] = twin
        self._told[key] = None
        self._wake.set()

    def forget(self, tenant: str, world: str) -> None:
        """Follow a world no longer, since another process owns it or it is gone."""
        for known in (self._twins, self._told, self._grown):
            known.pop((tenant, world), None)

    def take(self, world: World, events: Sequence[Event]) -> None:
        """Queue committed events; a subscriber of the stream. Never blocks.

        A world that was not adopted is followed from its first event, which for a new one is this one.
        """
        key = (world.tenant, world.id)
        twin = self._twins.get(key)
        if twin is None:
            twin = self._twins[key] = _Twin(world.tenant, world.id, State(), 0, self._clock.monotonic_s())
        if len(twin.queue) + len(events) > self._queue_events_max:
            twin.queue.clear()  # The newest one alone shows the gap, and the log fills it.
            twin.queue.append(events[-1])
        else:
            twin.queue.extend(events)
        self._told[key] = None
        self._wake.set()

    async def renew(self, tenant: str) -> None:
        """Write checkpoints of the tenant's worlds now, up to what is committed; raises StoreDown."""
        async with self._writing:
            for twin in [twin for key, twin in self._twins.items() if key[0] == tenant]:
                await self._fold(twin)
                await self._write(twin)
                if self.fault:
                    raise StoreDown(self.fault)

    async def close(self) -> None:
        """Stop; what is half written is no checkpoint and goes with the next one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._rest()
            async with self._writing:
                await self._attend_all()

    async def _attend_all(self) -> None:
        told, self._told = self._told, {}
        for key in told:
            await self._attend(key)
        for key in [*self._grown]:
            twin = self._twins.get(key)
            if twin is not None and self._clock.monotonic_s() - twin.saved_s >= self._interval_s:
                del self._grown[key]
                await self._write(twin)

    async def _rest(self) -> None:
        """Wait for events, or for the moment when a checkpoint may be due."""
        try:
            async with asyncio.timeout(self._interval_s if self._grown or self._told else None):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(min(GATHER_S, self._interval_s))
        self._wake.clear()

    async def _attend(self, key: tuple[str, str]) -> None:
        twin = self._twins.get(key)
        if twin is None:
            return
        try:
            await self._fold(twin)
        except StoreDown as error:
            self._told[key] = None
            self._tell(error.message)
        except (KeyError, TypeError, ValueError) as error:  # what the log allowed, a true twin can fold
            self._log.error("checkpoint.twin_broke", world=twin.world, seq=twin.state.seq, reason=repr(error))
            self.forget(*key)
            return
        if twin.state.seq - twin.saved_seq >= self._events_min:
            self._grown[key] = None

    async def _fold(self, twin: _Twin) -> None:
        """Bring the twin level with what is told by now; the log gives what the queue could not hold."""
        last_seq = twin.queue[-1].seq if twin.queue else 0
        while twin.state.seq < last_seq:
            if twin.queue[0].seq > twin.state.seq + 1:
                events = deque(await self._database.run(twin.tenant, lambda c: _page(c, twin)))
            else:
                events = twin.queue
            await self._fold_some(twin.state, events, last_seq)

    async def _fold_some(self, state: State, events: deque[Event], last_seq: int) -> None:
        """Fold events up to `last_seq`, or up to a gap, which the queue may get at any pause."""
        until_s = self._clock.monotonic_s() + STEP_S
        while events and state.seq < last_seq and events[0].seq <= state.seq + 1:
            for _ in range(min(STEP_EVENTS, len(events))):
                event = events.popleft()
                if event.seq > state.seq:
                    reducers.apply(state, event)
            if self._clock.monotonic_s() >= until_s:
                await asyncio.sleep(0)
                until_s = self._clock.monotonic_s() + STEP_S
        await asyncio.sleep(0)

    async def _write(self, twin: _Twin) -> None:
        started_s = self._clock.monotonic_s()
        twin.saved_s = started_s
        seq = twin.state.seq
        bodies = await self._encode(twin.state)
        try:
            self._reached("checkpoint.encoded")
            for number, body in enumerate(bodies):
                part = Part(seq=seq, number=number, parts=len(bodies), body=body)
                await self._database.run(twin.tenant, partial(self._save, twin, part))
        except StoreDown as error:
            self._grown[twin.tenant, twin.world] = None
            self._tell(error.message)
            return
        twin.saved_seq = seq
        self._tell("")
        ms = round((self._clock.monotonic_s() - started_s) * 1000.0, 1)
        size = sum(map(len, bodies))
        self._log.debug("checkpoint.written", tenant=twin.tenant, world=twin.world, seq=seq, bytes=size, ms=ms)

    async def _encode(self, state: State) -> list[bytes]:
        """The parts of the state; only this task folds, so nothing changes it meanwhile."""
        waiting = parts_of(state, self._part_bytes)
        bodies: list[bytes] = []
        while body := await asyncio.to_thread(next, waiting, b""):
            bodies.append(body)
        return bodies

    def _save(self, twin: _Twin, part: Part, connection: Connection) -> None:
        save_part(connection, twin.tenant, twin.world, part)
        if part.last:
            self._reached("checkpoint.replaced")

    def _tell(self, fault: str) -> None:
        """Log a fault once when it begins, and once when it ends."""
        if fault and not self.fault:
            self._log.warning("checkpoint.failed", reason=fault)
        elif self.fault and not fault:
            self._log.info("checkpoint.recovered")
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the `parts` of a checkpoint at event `seq`."""

    seq: int
    number: int
    parts: int
    body: bytes

    @property
    def last(self) -> bool:
        return self.number == self.parts - 1


def save_checkpoint(connection: Connection, tenant: str, world: str, state: bytes, seq: int) -> None:
    """Put a whole encoded state in the place of every checkpoint of the world."""
    if not _may_write(connection, tenant, world, seq):
        return
    drop_checkpoints(connection, tenant, world)
    _insert(connection, tenant, world, Part(seq=seq, number=0, parts=1, body=state))


def save_part(connection: Connection, tenant: str, world: str, part: Part) -> None:
    """Put one part in; the last one makes the checkpoint and takes those before it away."""
    whole = _sealed_seq(connection, tenant, world)
    if whole == part.seq or not _may_write(connection, tenant, world, part.seq):
        return
    table = sealed_checkpoints
    ours = (table.c.tenant == tenant, table.c.world == world)
    if part.number == 0:  # what a kill left half written
        connection.execute(delete(table).where(*ours, table.c.seq != whole))
    _insert(connection, tenant, world, part)
    if part.last:
        connection.execute(delete(table).where(*ours, table.c.seq < part.seq))
        _drop_plain(connection, tenant, world)


def load_checkpoint(connection: Connection, tenant: str, world: str) -> State:
    """The newest checkpoint's state, or an empty one; raises StoreDown when it cannot be read."""
    return decode_checkpoint(checkpoint_body(connection, tenant, world), world)


def checkpoint_body(connection: Connection, tenant: str, world: str) -> bytes:
    """The newest checkpoint, opened and joined; empty without one, and where its key was destroyed.

    Raises StoreDown where a part was changed or moved.
    """
    row, plain = _row_seq(connection, tenant, world), _plain_seq(connection, tenant, world)
    sealed = _sealed_seq(connection, tenant, world)
    if sealed and sealed >= max(row, plain):
        return _opened(connection, tenant, world, sealed)
    if not (row or plain):
        return b""
    if row >= plain:
        query = select(checkpoints.c.state).where(checkpoints.c.tenant == tenant, checkpoints.c.world == world)
        return bytes(connection.execute(query).scalar_one())
    parts = checkpoint_parts
    of = (parts.c.tenant == tenant, parts.c.world == world, parts.c.seq == plain)
    return b"".join(connection.execute(select(parts.c.body).where(*of).order_by(parts.c.part)).scalars())


def decode_checkpoint(body: bytes, world: str) -> State:
    """The state in a checkpoint's bytes, an empty one of none; raises StoreDown when they cannot be read."""
    if not body:
        return State()
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise StoreDown(
            f"the newest checkpoint of world {world!r} cannot be read: {error}",
            hint="rebuild it from the log with manage.py events replay",
        ) from error


def drop_checkpoints(connection: Connection, tenant: str, world: str) -> None:
    """Take every checkpoint of the world away; the log can make them again."""
    table = sealed_checkpoints
    connection.execute(delete(table).where(table.c.tenant == tenant, table.c.world == world))
    _drop_plain(connection, tenant, world)


def newest_checkpoint(connection: Connection, tenant: str, world: str) -> int:
    """The event of the world's newest checkpoint; 0 without one."""
    plain = max(_row_seq(connection, tenant, world), _plain_seq(connection, tenant, world))
    return max(plain, _sealed_seq(connection, tenant, world))


def _drop_plain(connection: Connection, tenant: str, world: str) -> None:
    """Take away what releases before sealing have written."""
    for table in (checkpoints, checkpoint_parts):
        connection.execute(delete(table).where(table.c.tenant == tenant, table.c.world == world))


def _insert(connection: Connection, tenant: str, world: str, part: Part) -> None:
    key = vault_of(connection).data_key(connection, tenant, CHECKPOINT, time.time_ns() // 1_000_000)
    body = seal(key, _where(tenant, world, part.seq, part.number), part.body)
    values = {"seq": part.seq, "part": part.number, "parts": part.parts, "body": body}
    connection.execute(insert(sealed_checkpoints).values(tenant=tenant, world=world, **values))


def _opened(connection: Connection, tenant: str, world: str, seq: int) -> bytes:
    """The parts, opened; nothing where one of their keys was destroyed."""
    table, vault = sealed_checkpoints, vault_of(connection)
    query = select(table.c.part, table.c.body).where(
        table.c.tenant == tenant, table.c.world == world, table.c.seq == seq
    )
    bodies = []
    for row in connection.execute(query.order_by(table.c.part)).all():
        id = key_of(row.body)
        if not id:
            raise StoreDown(
                f"the newest checkpoint of world {world!r} cannot be read: it names no key",
                hint="rebuild it from the log with manage.py events replay",
            )
        key = vault.named_key(connection, tenant, CHECKPOINT, id)
        if key is None:
            return b""
        bodies.append(unseal(key, _where(tenant, world, seq, row.part), row.body))
    return b"".join(bodies)


def _where(tenant: str, world: str, seq: int, part: int) -> tuple[str | int, ...]:
    return (tenant, "sealed_checkpoints", "body", world, seq, part)


def _may_write(connection: Connection, tenant: str, world: str, seq: int) -> bool:
    """Whether a checkpoint at `seq` may be written: the one place that every write of one goes through."""
    return newest_checkpoint(connection, tenant, world) <= seq


def _row_seq(connection: Connection, tenant: str, world: str) -> int:
    query = select(checkpoints.c.seq).where(checkpoints.c.tenant == tenant, checkpoints.c.world == world)
    return int(connection.execute(query).scalar() or 0)


def _plain_seq(connection: Connection, tenant: str, world: str) -> int:
    return _whole_seq(connection, checkpoint_parts, tenant, world)


def _sealed_seq(connection: Connection, tenant: str, world: str) -> int:
    return _whole_seq(connection, sealed_checkpoints, tenant, world)


def _whole_seq(connection: Connection, table: Table, tenant: str, world: str) -> int:
    """The newest event of which all parts are there; 0 when none is."""
    query = select(table.c.seq).where(table.c.tenant == tenant, table.c.world == world)
    whole = query.group_by(table.c.seq, table.c.parts).having(func.count() == table.c.parts)
    return int(connection.execute(whole.order_by(table.c.seq.desc()).limit(1)).scalar() or 0)


def _page(connection: Connection, twin: _Twin) -> list[Event]:
    first, last = twin.state.seq + 1, min(twin.state.seq + PAGE_EVENTS, twin.queue[0].seq - 1)
    events = list(repositories.events_between(connection, twin.tenant, twin.world, first, last))
    if not events:
        raise StoreDown(f"the log of world {twin.world!r} has no event {first}", hint="see manage.py events replay")
    return events
