"""The journal: changes go to RAM at once and to the log in the next group commit.

`append` is the only way to change a world. A call is applied whole or not at all; what modules
derive from its events is committed with them. Callers are acknowledged after the commit. It holds the worlds that
this process owns; who owns a world is decided in ownership.py.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import Connection, Table

from app.core.clock import Clock
from app.core.errors import Conflict, Error, Invalid, StoreDown
from app.core.ids import Ids
from app.core.messages import Change, Event
from app.core.ports import Log
from app.stores import memories, repositories, tables
from app.stores.bulk import Row
from app.stores.checkpoints import Checkpoints, save_checkpoint
from app.stores.database import Database
from app.stores.events import Stream
from app.stores.failpoints import Reached, nothing
from app.stores.loading import load_world
from app.stores.pieces import state_encoder
from app.stores.recall import Recall
from app.stores.repositories import Claim
from app.stores.sealing import Sealer
from app.stores.writer import Writer
from app.world import reducers
from app.world.events import QuestRecorded, SubjectErased, encoder
from app.world.personal import emptied, persons_of
from app.world.state import World, Worlds
from app.world.undo import Undo

REACTIONS_MAX = 256
"""Derived changes of one call; more is a module reacting to itself."""
EVENT_VERSION = 1
SUBJECT_KEYS_MAX = 65_536
"""Persons whose keys are at hand; one who has left gets a new key with the next thing that is said of them."""

Reaction = Callable[[World, Event], Sequence[Change]]
_Call = tuple[int, int, bytes, "asyncio.Future[None] | None"]
"""First and newest event of a call with a key, the digest of its request, and its commit while that is awaited."""
_Known = OrderedDict[str, _Call]


class WorldJournal:
    """Implements app.core.ports.Journal, WorldMaker and History over the database."""

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
        checkpoints: Checkpoints,
        owner: str = "",
        reached: Reached = nothing,
    ) -> None:
        """`owner` names this process among those that may own a world."""
        self._worlds = worlds
        self._database = database
        self._writer = writer
        self._stream = stream
        self._clock = clock
        self._log = log
        self._ids = Ids()
        self._sealer = Sealer(database.vault, keys_max=SUBJECT_KEYS_MAX)
        self._persons: dict[int, tuple[str, ...]] = {}
        """Place -> of whom, for the events of the call that is being applied that say something personal."""
        self._keys_max = idempotency_keys_max
        self._checkpoints = checkpoints
        self._owner = owner
        self._recalls = Recall(database)
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
        """Make an empty world; False when it exists. Raises StoreDown also when another process made it just now."""
        async with self._creating:
            if self._worlds.has(tenant, world):
                return False
            created_ms = self._clock.wall_ms()

            def insert(connection: Connection) -> Claim:
                found = repositories.insert_world(connection, tenant, world, created_ms, owner=self._owner)
                self._reached("world.inserted")
                return found

            made = await self._database.run(tenant, insert)
            self._reached("world.committed")
            if made.owner != self._owner:
                raise StoreDown(f"world {world!r} was made elsewhere just now", hint="ask again", retry_after_s=0.1)
            self._worlds.add(World(tenant, world, fence=made.fence))
            return True

    async def append(
        self,
        tenant: str,
        world: str,
        changes: Sequence[Change],
        *,
        key: str = "",
        request: bytes = b"",
        game_s: float | None = None,
    ) -> Sequence[Event]:
        if "\0" in key:  # PostgreSQL takes no such text, and a batch that it refuses would be tried for ever
            raise Invalid(f"key {key!r} holds NUL", hint="give visible characters")
        owned = self._worlds.get(tenant, world)
        known = self._keys.setdefault((tenant, world), OrderedDict())
        if key and key not in known and (tenant, world) in self._forgetful:
            await self._recall(owned, known, key)
        if key and key in known:
            _require_same(key, request, known[key][2])
            return await self._repeated(tenant, world, known[key])
        if not changes:
            return ()
        self._writer.require_room(len(changes))
        events = self._apply(owned, changes, game_s)
        self._reached("call.applied")
        claim = Claim(tenant, world, self._owner, owned.fence)
        done = self._writer.submit(self._rows(owned, events, key, request), events=len(events), claim=claim)
        if key:
            known[key] = (events[0].seq, events[-1].seq, request, done)
            self._forget(owned, known)
        done.add_done_callback(lambda ended: self._committed(owned, events, ended))
        await self._writer.acknowledged(done)
        return events

    async def newest_seq(self, tenant: str, world: str) -> int:
        """The place of the world's newest committed event, wherever the world is."""
        return await self._database.run(tenant, lambda connection: repositories.newest_seq(connection, tenant, world))

    async def events_after(
        self, tenant: str, world: str, seq: int, until_seq: int | None, *, events_max: int
    ) -> Sequence[Event]:
        """The newest `events_max` committed events after `seq`, up to `until_seq` where it is given, in order."""

        def read(connection: Connection) -> Sequence[Event]:
            last_seq = until_seq if until_seq is not None else repositories.newest_seq(connection, tenant, world)
            first_seq = max(seq, last_seq - events_max) + 1
            return tuple(repositories.events_between(connection, tenant, world, first_seq, last_seq))

        return await self._database.run(tenant, read)

    async def open(self, claim: Claim, *, before: Callable[[World], Awaitable[None]] | None = None) -> int:
        """Bring a world that this process owns into RAM and return how many events were replayed.

        `before` is awaited with the world that is about to be seen.
        """
        world, replayed = await load_world(self._database, claim)
        tenant, id = world.tenant, world.id
        keys = await self._database.run(tenant, lambda c: repositories.newest_keys(c, tenant, id, self._keys_max))
        self._keys[tenant, id] = OrderedDict((key, (first, last, said, None)) for key, first, last, said in keys)
        self._forgetful.discard((tenant, id))
        if len(keys) == self._keys_max:
            self._forgetful.add((tenant, id))
        if before is not None:
            await before(world)
        self._checkpoints.adopt(world, world.state.seq - replayed)
        self._worlds.add(world)
        return replayed

    def drop(self, tenant: str, id: str, fence: int) -> None:
        """Forget a world that another process owns, with all that it did not commit."""
        if self._worlds.has(tenant, id) and (world := self._worlds.get(tenant, id)).fence <= fence:
            self._worlds.drop(world)
            self._keys.pop((tenant, id), None)
            self._checkpoints.forget(tenant, id)
            self._sealer.forget(tenant, id)

    async def checkpoint(self) -> None:
        """Write every world's state, so that the next start replays nothing."""
        states = [(world.tenant, world.id, world.state) for world in self._worlds.all()]

        def save(connection: Connection) -> None:
            for tenant, world, state in states:
                save_checkpoint(connection, tenant, world, state_encoder.encode(state), state.seq)
            self._reached("checkpoint.replaced")

        if states:
            await self._database.run_long({tenant for tenant, _, _ in states}, save)

    def _forget(self, world: World, known: _Known) -> None:
        """Drop the oldest key when there are too many, unless the database does not have it yet."""
        if len(known) <= self._keys_max:
            return
        done = next(iter(known.values()))[3]
        if done is None or done.done():
            known.popitem(last=False)
            self._forgetful.add((world.tenant, world.id))

    async def _recall(self, world: World, known: _Known, key: str) -> None:
        """Look in the database for a key that RAM may have dropped."""
        call = await self._recalls.find(world.tenant, world.id, key)
        if call is not None:
            known.setdefault(key, (*call, None))
            self._forget(world, known)

    async def _repeated(self, tenant: str, world: str, known: _Call) -> Sequence[Event]:
        first_seq, last_seq, _, done = known
        if done is not None:
            await self._writer.acknowledged(done)
        return await self._database.run(
            tenant, lambda c: tuple(repositories.events_between(c, tenant, world, first_seq, last_seq))
        )

    def _apply(self, world: World, changes: Sequence[Change], game_s: float | None) -> list[Event]:
        # A single change is checked before it is applied, so only several need a way back.
        undo = Undo(world.state) if len(changes) > 1 else None
        events: list[Event] = []
        self._persons.clear()
        try:
            for change in changes:
                event = self._step(world, change, game_s, undo)
                events.append(event)
                events.extend(self._react(world, event, undo))
        except Error:
            if undo is not None:
                undo.back()
            raise
        return events

    def _step(self, world: World, change: Change, game_s: float | None, undo: Undo | None) -> Event:
        reducers.check(world, change)
        if undo is not None:
            undo.note(change)
        wall_ms = self._clock.wall_ms()
        persons = persons_of(world, change)
        if persons:
            if any(person in world.state.withheld for person in persons):
                change = _bare(change)
            else:
                self._persons[world.state.seq + 1] = persons
        event = Event(
            seq=world.state.seq + 1,
            id=self._ids.new(wall_ms),
            wall_ms=wall_ms,
            game_s=world.state.game_s if game_s is None else game_s,
            change=change,
        )
        reducers.apply(world.state, event)
        return event

    def _react(self, world: World, cause: Event, undo: Undo | None) -> list[Event]:
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
                    step = self._step(world, change, None, undo)
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

    def _rows(self, world: World, events: Sequence[Event], key: str, request: bytes) -> dict[Table, list[Row]]:
        tenant, id = world.tenant, world.id
        logged: list[Row] = []
        rows: dict[Table, list[Row]] = {tables.events: logged}
        for event in events:
            persons = self._persons.get(event.seq) if self._persons else None
            if persons is not None:
                sealed = self._sealer.seal(tenant, id, event, persons)
                body = sealed.body
                rows.setdefault(tables.sealed_events, []).append(sealed.row)
                if sealed.keys:
                    rows.setdefault(tables.subject_keys, []).extend(sealed.keys)
            else:
                body = encoder.encode(event.change)
                if type(event.change) is SubjectErased:
                    self._sealer.forget(tenant, id, event.change.subject, now_ms=event.wall_ms)
            held = memories.rows_of(tenant, id, event)
            if held:
                rows.setdefault(tables.minds, []).extend(held)
            logged.append((tenant, id, event.seq, event.id, event.wall_ms, event.game_s, EVENT_VERSION, body))
        if key:
            rows[tables.idempotency] = [(tenant, id, key, events[0].seq, events[-1].seq, request or None)]
        return rows


def _bare(change: Change) -> Change:
    """What may be noted while one of its persons is restricted; raises Conflict where nothing would be left."""
    if isinstance(change, QuestRecorded):
        raise Conflict("the quest's player is restricted", hint="lift the restriction first (privacy unrestrict)")
    return emptied(change)


def _require_same(key: str, request: bytes, first: bytes) -> None:
    """Raise Conflict when the key came with another request; earlier releases did not note which."""
    if request and first and request != first:
        raise Conflict(
            f"the key {key!r} was used for another request",
            hint="use a new key for each request, and the same one only to send it again",
        )
