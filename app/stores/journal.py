"""The journal: changes go to RAM at once and to the log in the next group commit.

`append` is the only way to change a world. A call is applied whole or not at all; what modules
derive from its events is committed with them. Callers are acknowledged after the commit.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection, Table

from app.core.clock import Clock
from app.core.errors import Error
from app.core.ids import Ids
from app.core.messages import Change, Event
from app.core.ports import Log
from app.stores import repositories, tables
from app.stores.bulk import Row
from app.stores.database import Database
from app.stores.events import Stream
from app.stores.failpoints import Reached, nothing
from app.stores.writer import Writer
from app.world import reducers
from app.world.events import encoder
from app.world.state import State, World, Worlds

REACTIONS_MAX = 256
"""Derived changes of one call; more is a module reacting to itself."""
EVENT_VERSION = 1

Reaction = Callable[[World, Event], Sequence[Change]]
_Known = OrderedDict[str, "tuple[int, int, asyncio.Future[None] | None]"]


class WorldJournal:
    """Implements app.core.ports.Journal over the database, for the worlds in RAM."""

    def __init__(
        self,
        *,
        worlds: Worlds,
        database: Database,
        writer: Writer,
        stream: Stream,
        clock: Clock,
        log: Log,
        idempotency_keys_max: int,
        checkpoint_events: int,
        reached: Reached = nothing,
    ) -> None:
        self._worlds = worlds
        self._database = database
        self._writer = writer
        self._stream = stream
        self._clock = clock
        self._log = log
        self._ids = Ids()
        self._keys_max = idempotency_keys_max
        self._checkpoint_events = checkpoint_events
        self._keys: dict[tuple[str, str], _Known] = {}
        self._forgetful: set[tuple[str, str]] = set()
        """Worlds with older keys that only the database knows."""
        self._reached = reached
        self._creating = asyncio.Lock()
        self.reactions: list[Reaction] = []
        """What modules derive from events; set by the composition root before the first append."""

    @property
    def fault(self) -> str:
        return self._writer.fault

    async def create_world(self, tenant: str, world: str) -> bool:
        """Make an empty world; False when it exists."""
        async with self._creating:
            if self._worlds.has(tenant, world):
                return False
            created_ms = self._clock.wall_ms()

            def insert(connection: Connection) -> None:
                repositories.insert_world(connection, tenant, world, created_ms)
                self._reached("world.inserted")

            await self._database.run(insert)
            self._reached("world.committed")
            self._worlds.add(World(tenant, world))
            return True

    async def append(
        self, tenant: str, world: str, changes: Sequence[Change], *, key: str = "", game_s: float | None = None
    ) -> Sequence[Event]:
        owned = self._worlds.get(tenant, world)
        known = self._keys.setdefault((tenant, world), OrderedDict())
        if key and key not in known and (tenant, world) in self._forgetful:
            await self._recall(owned, known, key)
        if key and key in known:
            return await self._repeated(tenant, world, known[key])
        if not changes:
            return ()
        self._writer.require_room(len(changes))
        events = self._apply(owned, changes, game_s)
        self._reached("call.applied")
        done = self._writer.submit(_rows(owned, events, key), events=len(events))
        if key:
            known[key] = (events[0].seq, events[-1].seq, done)
            self._forget(owned, known)
        done.add_done_callback(lambda ended: self._committed(owned, events, ended))
        await self._writer.acknowledged(done)
        return events

    async def restore(self) -> int:
        """Bring every world of the database into RAM and return how many events were replayed."""
        loaded, replayed = await self._database.run_long(self._load)
        for world, keys in loaded:
            self._worlds.add(world)
            self._keys[world.tenant, world.id] = OrderedDict((key, (first, last, None)) for key, first, last in keys)
            if len(keys) == self._keys_max:
                self._forgetful.add((world.tenant, world.id))
        self._reached("worlds.restored")
        return replayed

    async def checkpoint(self) -> None:
        """Write every world's state, so that the next start replays nothing."""
        states = [(world.tenant, world.id, world.state) for world in self._worlds.all()]

        def save(connection: Connection) -> None:
            for tenant, world, state in states:
                repositories.save_checkpoint(connection, tenant, world, state)
            self._reached("checkpoint.replaced")

        await self._database.run_long(save)

    def _forget(self, world: World, known: _Known) -> None:
        """Drop the oldest key when there are too many, unless the database does not have it yet."""
        if len(known) <= self._keys_max:
            return
        done = next(iter(known.values()))[2]
        if done is None or done.done():
            known.popitem(last=False)
            self._forgetful.add((world.tenant, world.id))

    async def _recall(self, world: World, known: _Known, key: str) -> None:
        """Look in the database for a key that RAM may have dropped."""
        seqs = await self._database.run(lambda c: repositories.key_seqs(c, world.tenant, world.id, key))
        if seqs is not None:
            known.setdefault(key, (*seqs, None))
            self._forget(world, known)

    async def _repeated(
        self, tenant: str, world: str, known: tuple[int, int, asyncio.Future[None] | None]
    ) -> Sequence[Event]:
        first_seq, last_seq, done = known
        if done is not None:
            await self._writer.acknowledged(done)
        return await self._database.run(
            lambda c: tuple(repositories.events_between(c, tenant, world, first_seq, last_seq))
        )

    def _apply(self, world: World, changes: Sequence[Change], game_s: float | None) -> list[Event]:
        # A single change is checked before it is applied, so only several need a way back.
        before = _copy(world.state) if len(changes) > 1 else None
        events: list[Event] = []
        try:
            for change in changes:
                event = self._step(world, change, game_s)
                events.append(event)
                events.extend(self._react(world, event))
        except Error:
            if before is not None:
                _restore(world.state, before)
            raise
        return events

    def _step(self, world: World, change: Change, game_s: float | None) -> Event:
        reducers.check(world, change)
        wall_ms = self._clock.wall_ms()
        event = Event(
            seq=world.state.seq + 1,
            id=self._ids.new(wall_ms),
            wall_ms=wall_ms,
            game_s=world.state.game_s if game_s is None else game_s,
            change=change,
        )
        reducers.apply(world.state, event)
        return event

    def _react(self, world: World, cause: Event) -> list[Event]:
        """What modules derive from `cause`, applied; a reaction that fails is logged and left out."""
        derived: list[Event] = []
        causes = deque([cause])
        while causes:
            event = causes.popleft()
            for change in self._derive(world, event):
                if len(derived) == REACTIONS_MAX:
                    self._log.error("reaction.ran_away", seq=cause.seq, changes=len(derived))
                    return derived
                try:
                    step = self._step(world, change, None)
                except Error as error:  # a change before it in the same reaction took its ground away
                    self._log.error("reaction.failed", change=type(change).__name__, seq=event.seq, reason=repr(error))
                    continue
                derived.append(step)
                causes.append(step)
        return derived

    def _derive(self, world: World, event: Event) -> list[Change]:
        derived: list[Change] = []
        for reaction in self.reactions:
            try:
                changes = reaction(world, event)
                for change in changes:
                    reducers.check(world, change)
            except Exception as error:
                kind = type(event.change).__name__
                self._log.error("reaction.failed", change=kind, seq=event.seq, reason=repr(error))
                continue
            derived.extend(changes)
        return derived

    def _committed(self, world: World, events: Sequence[Event], ended: asyncio.Future[None]) -> None:
        if not ended.cancelled() and ended.exception() is None:
            self._stream.publish(world, events)
            self._reached("events.published")

    def _load(self, connection: Connection) -> tuple[list[tuple[World, list[tuple[str, int, int]]]], int]:
        loaded = []
        replayed = 0
        for tenant, id in repositories.world_ids(connection):
            world = World(tenant, id, repositories.load_checkpoint(connection, tenant, id))
            behind = 0
            for event in repositories.events_between(connection, tenant, id, world.state.seq + 1):
                reducers.apply(world.state, event)
                behind += 1
            if behind > self._checkpoint_events:
                repositories.save_checkpoint(connection, tenant, id, world.state)
                self._reached("checkpoint.replaced")
            keys = repositories.newest_keys(connection, tenant, id, self._keys_max)
            loaded.append((world, keys))
            replayed += behind
        return loaded, replayed


def _rows(world: World, events: Sequence[Event], key: str) -> dict[Table, list[Row]]:
    tenant, id = world.tenant, world.id
    rows: dict[Table, list[Row]] = {
        tables.events: [
            (tenant, id, event.seq, event.id, event.wall_ms, event.game_s, EVENT_VERSION, encoder.encode(event.change))
            for event in events
        ]
    }
    if key:
        rows[tables.idempotency] = [(tenant, id, key, events[0].seq, events[-1].seq)]
    return rows


def _copy(state: State) -> State:
    """The state with tables of its own; entities are frozen and shared."""
    tables_ = {name: dict(value) for name in State.__struct_fields__ if isinstance(value := getattr(state, name), dict)}
    return msgspec.structs.replace(state, **tables_)


def _restore(state: State, before: State) -> None:
    for name in State.__struct_fields__:
        setattr(state, name, getattr(before, name))
