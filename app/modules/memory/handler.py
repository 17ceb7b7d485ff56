"""Answers the memory messages: every write goes through the journal, every read comes from RAM once it is there."""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.core.clock import Clock
from app.core.errors import Conflict, Invalid, NotFound, nearest
from app.core.ids import new_id
from app.core.memory import Cue
from app.core.messages import Change, Event, digest
from app.core.module import Call
from app.core.ports import Journal
from app.modules.memory import logic, messages
from app.modules.memory.holding import Holding
from app.modules.memory.minds import Minds
from app.modules.memory.reflection import Reflections
from app.modules.memory.settings import Settings
from app.world.events import MemoryForgotten, MemoryNoted
from app.world.memories import NOTE, emotion_of, importance_of
from app.world.state import World, Worlds

IDS_PER_EVENT = 256
"""Ids in one MemoryForgotten."""


class MemoryHandler:
    """Holds the ports that the messages need."""

    def __init__(
        self,
        settings: Settings,
        worlds: Worlds,
        journal: Journal,
        clock: Clock,
        minds: Minds,
        reflections: Reflections,
    ) -> None:
        self._settings = settings
        self._worlds = worlds
        self._journal = journal
        self._clock = clock
        self._minds = minds
        self._reflections = reflections

    async def note(self, call: Call, request: messages.Note) -> messages.Noted:
        world = self._worlds.get(call.tenant, call.world)
        holders = tuple(dict.fromkeys((request.npc, *request.also)))
        for holder in holders:
            _require_holder(world, holder)
        if request.game_s is not None and not math.isfinite(request.game_s):
            raise Invalid(f"game_s is {request.game_s!r}", hint="send the world's clock in seconds")
        if request.ttl_s is not None and not math.isfinite(request.ttl_s):
            raise Invalid(f"ttl_s is {request.ttl_s!r}", hint="leave it out for a memory that lasts")
        source, told_by = logic.source_of(request.source)
        if request.pinned:
            await self._require_room(world, holders)
        noted = MemoryNoted(
            id=new_id(self._clock.wall_ms()),
            holders=holders,
            source=source,
            text=request.text,
            told_by=told_by,
            tellers=(told_by,) if told_by else (),
            speaker=request.speaker,
            participants=request.participants,
            known_by=request.known_by,
            place=request.place,
            quest=request.quest,
            topic=request.topic,
            thread=request.thread,
            importance=self._weight(request),
            emotion=emotion_of(request.text),
            strength=self._settings.gossip.decay if told_by else 1.0,
            ttl_s=request.ttl_s,
            pinned=request.pinned,
        )
        written = await self._append(call, [noted], request, game_s=request.game_s)
        first: MemoryNoted = written[0].change
        return messages.Noted(id=first.id, seq=written[0].seq, importance=first.importance, emotion=first.emotion)

    async def recall(self, call: Call, request: messages.Recall) -> messages.Recalled:
        cue = Cue(
            text=request.text,
            listener=request.listener,
            participants=request.participants,
            place=request.place,
            quests=request.quests,
            but_thread=request.but_thread,
            most=request.most,
        )
        found = await self._minds.recall(call.tenant, call.world, request.npc, cue)
        pinned = await self._minds.pinned(call.tenant, call.world, request.npc, request.listener)
        return messages.Recalled(
            npc=request.npc,
            memories=tuple(logic.remembered(memory) for memory in found),
            pinned=tuple(logic.remembered(memory) for memory in pinned),
            ai_generated=any(memory.ai_generated for memory in (*found, *pinned)),
        )

    async def forget(self, call: Call, request: messages.Forget) -> messages.Forgot:
        if sum(map(bool, (request.ids, request.thread, request.about))) != 1:
            raise Invalid("ids, thread and about say what goes", hint="give exactly one of them")
        world = self._worlds.get(call.tenant, call.world)
        held = await self._holding(world, request.npc)
        if request.ids:
            ids = [id for id in dict.fromkeys(request.ids) if id in held.memories]
        else:
            ids = held.about(thread=request.thread, about=request.about)
        changes = [
            MemoryForgotten(holder=request.npc, ids=tuple(ids[at : at + IDS_PER_EVENT]))
            for at in range(0, len(ids), IDS_PER_EVENT)
        ]
        if not changes and not request.key:
            return messages.Forgot(npc=request.npc, forgotten=0, seq=world.state.seq)
        written = await self._append(call, changes, request)
        gone = sum(len(event.change.ids) for event in written if isinstance(event.change, MemoryForgotten))
        return messages.Forgot(npc=request.npc, forgotten=gone, seq=written[-1].seq if written else world.state.seq)

    async def tell(self, call: Call, request: messages.Tell) -> messages.Told:
        world = self._worlds.get(call.tenant, call.world)
        to = world.npc(request.to)
        if request.npc == request.to:
            raise Invalid(f"NPC {request.to!r} cannot tell itself", hint="name two NPCs")
        held = await self._holding(world, request.npc)
        memories = []
        for id in dict.fromkeys(request.ids):
            memory = held.memories.get(id)
            if memory is None:
                raise NotFound(f"NPC {request.npc!r} has no memory {id!r}", hint="ask memory.recall for what it has")
            if not logic.may_hear(memory, to.id, to.faction):
                raise Conflict(f"memory {id!r} is not for {to.id!r}", hint="only those of its known_by may be told")
            memories.append(memory)
        decay = self._settings.gossip.decay
        changes = [
            logic.hearsay(memory, request.npc, to.id, decay=decay) for memory in logic.usable(world.state, memories)
        ]
        written = await self._append(call, changes, request)
        ids = tuple(event.change.id for event in written if isinstance(event.change, MemoryNoted))
        return messages.Told(npc=request.npc, to=to.id, ids=ids)

    async def reflect(self, call: Call, request: messages.Reflect) -> messages.Reflected:
        world = self._worlds.get(call.tenant, call.world)
        world.npc(request.npc)
        return self._reflections.begin(world, request.npc, request.about, request.tokens_max)

    async def job(self, call: Call, request: messages.Job) -> messages.Reflected:
        return self._reflections.job(call.tenant, call.world, request.job)

    def _weight(self, request: messages.Note) -> float:
        if request.importance is not None:
            return request.importance
        return importance_of(request.text, emotion=emotion_of(request.text), least=NOTE if request.pinned else 0.2)

    async def _holding(self, world: World, npc: str) -> Holding:
        return self._minds.ready(world, world.npc(npc)) or await self._minds.read(world, npc)

    async def _require_room(self, world: World, holders: Sequence[str]) -> None:
        for holder in holders:
            if holder not in world.state.npcs:
                raise Invalid(f"{holder!r} is a faction", hint="pin a memory to NPCs")
            held = await self._holding(world, holder)
            if len(held.pinned) >= self._settings.pinned_max:
                raise Conflict(
                    f"NPC {holder!r} has {len(held.pinned)} pinned memories",
                    hint="forget some, or raise modules.memory.pinned_max",
                )

    async def _append(
        self, call: Call, changes: Sequence[Change], request: messages.Write, *, game_s: float | None = None
    ) -> Sequence[Event]:
        said = digest(request) if request.key else b""
        written = await self._journal.append(
            call.tenant, call.world, changes, key=request.key, request=said, game_s=game_s
        )
        call.notes["events"] = len(written)
        return written


def _require_holder(world: World, id: str) -> None:
    if id not in world.state.npcs and id not in world.state.factions:
        known = {**world.state.npcs, **world.state.factions}
        raise NotFound(f"{id!r} is neither NPC nor faction", hint=nearest(id, known))
