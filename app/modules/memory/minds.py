"""The memories of NPCs in RAM: read on first use, kept in step with the log, let go within bounds.

It implements the port `app.core.memory.Memory`. A mind is of one state of its world: when the world is turned back,
or comes from another process, it is read again. It knows the log through the port `Kept`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from app.core.errors import Unavailable
from app.core.memory import Cue, Kept, Recollection
from app.core.messages import Change, Event
from app.core.threads import resting
from app.modules.memory import logic
from app.modules.memory.embedding import Embedder
from app.modules.memory.gossip import Gossip, Ring
from app.modules.memory.holding import Holding
from app.modules.memory.index import Words
from app.modules.memory.settings import Settings
from app.world.entities import Npc
from app.world.events import MemoryForgotten, MemoryNoted
from app.world.state import State, World, Worlds, belongs

_Place = tuple[str, str, str]
FILL_AT_ONCE = 16
"""Memories that are taken up before others get their turn."""
SPARE = 2
"""How many times over memories are ranked while some may not be used."""


class _Reading:
    """An NPC's memories on their way from the log, and what is committed meanwhile."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.late: list[Event] = []
        self.stale = False
        self.task: asyncio.Task[Holding] | None = None


class Minds:
    """What every NPC remembers, for whoever asks in this process."""

    def __init__(
        self,
        settings: Settings,
        worlds: Worlds,
        kept: Kept,
        meanings: Words | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        """`meanings` is what words mean; without it only the same words are found. `embedder` is closed elsewhere."""
        self._embedder = embedder
        self._settings = settings
        self._meanings = meanings
        self._worlds = worlds
        self._kept = kept
        self._held: OrderedDict[_Place, Holding] = OrderedDict()
        self._reading: dict[_Place, _Reading] = {}
        self._memories = 0
        self._opened: dict[tuple[str, str], int] = {}
        """World -> the taking of it by this process after which its newest memories were asked for."""
        self._openings: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._readers = asyncio.Semaphore(settings.reading_max)
        self._gossip = Gossip(settings.gossip)

    async def recall(self, tenant: str, world: str, npc: str, cue: Cue) -> tuple[Recollection, ...]:
        """Implements Memory."""
        owned = self._worlds.get(tenant, world)
        meant = await self._embedder.cue(cue.text) if self._embedder and cue.text else None
        held = self.ready(owned, owned.npc(npc)) or await self.read(owned, npc)
        state = owned.state
        most = min(cue.most, self._settings.recalled_max)
        spare = most * (SPARE if state.withheld else 1)
        ranked = held.mind.rank(cue, now_s=state.game_s, day_s=self._settings.day_s, most=spare, meant=meant)
        faction = logic.faction_of(state, cue.listener)
        if faction and faction in held.ears:
            theirs = msgspec.structs.replace(cue, listener=faction)
            more = held.mind.rank(theirs, now_s=state.game_s, day_s=self._settings.day_s, most=spare, meant=meant)
            ranked = logic.merged(ranked, more)
        return logic.usable(state, ranked)[:most]

    async def pinned(self, tenant: str, world: str, npc: str, listener: str) -> tuple[Recollection, ...]:
        """Implements Memory."""
        owned = self._worlds.get(tenant, world)
        held = self.ready(owned, owned.npc(npc)) or await self.read(owned, npc)
        return self.pinned_of(owned.state, held, listener)

    def prepare(self, tenant: str, world: str, npcs: Sequence[str]) -> None:
        """Implements Memory."""
        owned = self._worlds.get(tenant, world)
        for id in npcs:
            npc = owned.state.npcs.get(id)
            if npc is not None and self.ready(owned, npc) is None and len(self._reading) < self._settings.waiting_max:
                self._begin(owned, id)

    def pinned_of(self, state: State, held: Holding, listener: str) -> tuple[Recollection, ...]:
        """What the holder always has in mind toward the listener, newest first."""
        found = [
            memory
            for memory in reversed(held.pinned.values())
            if (memory.until_s is None or memory.until_s > state.game_s)
            and (not listener or logic.may_hear(memory, listener, logic.faction_of(state, listener)))
        ]
        return logic.usable(state, found)

    def ready(self, world: World, npc: Npc) -> Holding | None:
        """The NPC's memories where they are at hand and of the world as it is now."""
        place = (world.tenant, world.id, npc.id)
        held = self._held.get(place)
        if held is None:
            return None
        if (held.fence, held.since_seq, held.faction) != (world.fence, world.state.since_seq, npc.faction):
            self._let_go(place)
            return None
        self._held.move_to_end(place)
        return held

    async def read(self, world: World, npc: str) -> Holding:
        """The NPC's memories from the log; whoever asks meanwhile waits for the same. Raises StoreDown."""
        return await asyncio.shield(self._begin(world, npc))

    def _begin(self, world: World, npc: str) -> asyncio.Task[Holding]:
        place = (world.tenant, world.id, npc)
        reading = self._reading.get(place)
        if reading is None or reading.world is not world:
            reading = self._reading[place] = _Reading(world)
            reading.task = asyncio.create_task(self._read(place, reading), name=f"mind {npc}")
            reading.task.add_done_callback(_heard)
        assert reading.task is not None  # noqa: S101  # set at once
        return reading.task

    async def _read(self, place: _Place, reading: _Reading) -> Holding:
        npc, world = place[2], reading.world
        try:
            async with self._readers:
                held, ring = await self._built(place, reading)
            if self._reading.get(place) is reading:  # else the world has moved, and another is read
                self._keep(place, held)
                self._gossip.put(world, npc, ring)
        finally:
            if self._reading.get(place) is reading:
                del self._reading[place]
        return held

    async def _built(self, place: _Place, reading: _Reading) -> tuple[Holding, Ring]:
        """What the log has of an NPC, and what came meanwhile. What is being built is nobody else's: a thread does."""
        tenant, world, npc = place
        while True:
            reading.late.clear()
            reading.stale = False
            state, who = reading.world.state, reading.world.npc(npc)
            held = Holding(
                self._settings, npc=npc, faction=who.faction, fence=reading.world.fence, since_seq=state.since_seq,
                meanings=self._meanings,
            )  # fmt: skip
            ring = self._gossip.ring(held.met)
            events = await self._kept.of(tenant, world, held.holders)
            seen = 0
            while events:
                await asyncio.to_thread(self._fill, held, ring, state, events)
                seen = max(seen, events[-1].seq)
                if len(reading.late) <= FILL_AT_ONCE:
                    break
                events = [event for event in reading.late if event.seq > seen]
                reading.late.clear()
            if not reading.stale and held.since_seq == state.since_seq:
                self._fill(held, ring, state, [event for event in reading.late if event.seq > seen], rest=False)
                return held, ring

    def _fill(self, held: Holding, ring: Ring, state: State, events: Sequence[Event], *, rest: bool = True) -> None:
        for event in resting(events, FILL_AT_ONCE) if rest else events:
            if belongs(state, event.seq):
                held.take(event)
                self._gossip.learn(ring, event, held.memories)

    def observe(self, world: World, events: Sequence[Event]) -> None:
        """Follow what was committed; without events the world has come from another process."""
        if not events:
            self._drop_all(world.tenant, world.id)
            self._gossip.forget(world.tenant, world.id)
            return
        self._open(world)
        for event in events:
            change = event.change
            if isinstance(change, MemoryNoted | MemoryForgotten) and belongs(world.state, event.seq):
                holders = change.holders if isinstance(change, MemoryNoted) else (change.holder,)
                self._take(world, event, holders)
                self._gossip.take(world, event)

    def react(self, world: World, event: Event) -> Sequence[Change]:
        """What is remembered of an event, and told on because of it."""
        return self._gossip.react(world, event)

    def forget(self, tenant: str, world: str, person: str) -> None:
        """Let go of everything that may be of a person; what is still in the log is read again."""
        self._drop_all(tenant, world)
        self._gossip.forget(tenant, world, person)
        opening = self._openings.get((tenant, world))
        if opening is not None:
            opening.cancel()

    def held(self, tenant: str, world: str, player: str) -> dict[str, Any]:
        """What a person said that is in RAM, each once."""
        found = {
            memory.id: memory
            for place, held in self._held.items()
            if place[:2] == (tenant, world)
            for memory in held.memories.values()
            if player in (memory.speaker, memory.told_by)
        }
        return {"memories": [{"id": memory.id, "text": memory.text} for memory in found.values()]}

    def describe(self, tenant: str, world: str, npc: str) -> dict[str, Any]:
        """How much the NPC remembers, as far as it is in RAM."""
        held = self._held.get((tenant, world, npc))
        if held is None:
            return {"memories": None, "pinned": None}
        return {"memories": len(held.memories), "pinned": len(held.pinned)}

    async def close(self) -> None:
        """End what is being read."""
        tasks: list[asyncio.Task[Any]] = [*self._openings.values()]
        tasks += [reading.task for reading in self._reading.values() if reading.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _open(self, world: World) -> None:
        """Learn what is told in a world that this process has just taken, once, beside what it does."""
        place = (world.tenant, world.id)
        if self._opened.get(place) != world.fence and self._settings.gossip.newest_max:
            self._opened[place] = world.fence
            self._openings[place] = asyncio.create_task(self._newest(world), name=f"gossip {world.id}")

    async def _newest(self, world: World) -> None:
        state, since_seq = world.state, world.state.since_seq
        task = asyncio.current_task()
        try:
            events = await self._kept.newest(world.tenant, world.id, self._settings.gossip.newest_max)
            rings = await asyncio.to_thread(self._gossip.rings_of, state, resting(events, FILL_AT_ONCE))
            if state.since_seq == since_seq and self._opened.get((world.tenant, world.id)) == world.fence:
                self._gossip.begin(world, rings)
        except Unavailable:
            pass  # an NPC that is asked learns its own
        finally:
            if self._openings.get((world.tenant, world.id)) is task:
                del self._openings[world.tenant, world.id]

    def _take(self, world: World, event: Event, holders: Sequence[str]) -> None:
        if not (self._held or self._reading):
            return
        factions = [holder for holder in holders if holder in world.state.factions]
        heads = dict.fromkeys(holders)
        if factions:
            heads |= dict.fromkeys(npc.id for npc in world.state.npcs.values() if npc.faction in factions)
        for npc in heads:
            place = (world.tenant, world.id, npc)
            reading = self._reading.get(place)
            if reading is not None:
                reading.late.append(event)
            held = self._held.get(place)
            if held is not None and (npc in holders or held.faction in holders):
                before = len(held.memories)
                held.take(event)
                self._memories += len(held.memories) - before
                if self._embedder and isinstance(event.change, MemoryNoted):
                    self._embedder.want(held, (event.change.id,))

    def _keep(self, place: _Place, held: Holding) -> None:
        self._let_go(place)
        self._held[place] = held
        self._memories += len(held.memories)
        if self._embedder:
            self._embedder.want(held, held.memories)
        while len(self._held) > 1 and (
            len(self._held) > self._settings.minds_max or self._memories > self._settings.memories_max
        ):
            self._let_go(next(iter(self._held)))

    def _let_go(self, place: _Place) -> None:
        held = self._held.pop(place, None)
        if held is not None:
            self._memories -= len(held.memories)

    def _drop_all(self, tenant: str, world: str) -> None:
        for place in [place for place in self._held if place[:2] == (tenant, world)]:
            self._let_go(place)
        for place, reading in self._reading.items():
            if place[:2] == (tenant, world):
                reading.stale = True


def _heard(task: asyncio.Task[Holding]) -> None:
    """Take note of how a reading ended for which nobody waits; who needs it reads again."""
    if not task.cancelled():
        task.exception()
