"""Answers the world messages: every write goes through the journal, every read comes from RAM."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from app.core.errors import Conflict, Invalid, NotFound, nearest
from app.core.ids import ID_LENGTH_MAX, SEGMENT
from app.core.messages import Change, digest
from app.core.module import Call
from app.core.ports import Journal, WorldMaker
from app.modules.world import logic, messages
from app.modules.world.settings import Settings
from app.world import events
from app.world.state import World, Worlds

_NAME = re.compile(SEGMENT.removesuffix("$") + r"\Z")


class WorldHandler:
    """Holds the ports that the messages need."""

    def __init__(self, settings: Settings, worlds: Worlds, journal: Journal, maker: WorldMaker) -> None:
        self._settings = settings
        self._worlds = worlds
        self._journal = journal
        self._maker = maker

    async def create(self, call: Call, _request: messages.Create) -> messages.Created:
        if not _NAME.match(call.world) or len(call.world) > ID_LENGTH_MAX:
            hint = f"give 1 to {ID_LENGTH_MAX} characters without / \\ and control characters"
            raise Invalid(f"world {call.world!r} is no id", hint=hint)
        exists = self._worlds.has(call.tenant, call.world)
        if not exists and len(self._worlds.of(call.tenant)) >= self._settings.worlds_max:
            raise Conflict(f"the tenant has {self._settings.worlds_max} worlds", hint="raise modules.world.worlds_max")
        created = await self._maker.create_world(call.tenant, call.world)
        world = self._worlds.get(call.tenant, call.world)
        return messages.Created(world=call.world, created=created, seq=world.state.seq)

    async def upsert(self, call: Call, request: messages.Upsert) -> messages.Upserted:
        world = self._worlds.get(call.tenant, call.world)
        logic.require_count("entities", len(request.entities), self._settings.changes_max)
        logic.require_bounded(request.entities, self._settings.list_items_max)
        new = {entity.id for entity in request.entities if world.entity(entity.id) is None}
        if logic.entities(world.state) + len(new) > self._settings.entities_max:
            raise Conflict(
                f"world {world.id!r} would pass {self._settings.entities_max} entities",
                hint="remove some, or raise modules.world.entities_max",
            )
        written = await self._append(
            call, [events.EntityUpserted(entity=entity) for entity in request.entities], request
        )
        handles = {
            entity.id: world.state.handles[entity.id] for entity in request.entities if entity.id in world.state.handles
        }
        return messages.Upserted(seq=written.seq, handles=handles)

    async def remove(self, call: Call, request: messages.Remove) -> messages.Acknowledged:
        logic.require_count("ids", len(request.ids), self._settings.changes_max)
        changes = [events.EntityRemoved(entity_kind=request.kind, id=id) for id in dict.fromkeys(request.ids)]
        return await self._append(call, changes, request)

    async def assert_(self, call: Call, request: messages.Assert) -> messages.Acknowledged:
        logic.require_count("facts", len(request.facts), self._settings.changes_max)
        logic.require_bounded(request.facts, self._settings.list_items_max)
        return await self._append(call, [events.FactAsserted(fact=fact) for fact in request.facts], request)

    async def post(self, call: Call, request: messages.Post) -> messages.Acknowledged:
        logic.require_count("events", len(request.events), self._settings.changes_max)
        logic.require_bounded(request.events, self._settings.list_items_max)
        if request.game_s is not None and not np.isfinite(request.game_s):
            raise Invalid(f"game_s is {request.game_s!r}", hint="send the world's clock in seconds")
        return await self._append(call, request.events, request, game_s=request.game_s)

    async def confirm(self, call: Call, request: messages.Confirm) -> messages.Acknowledged:
        settled = events.ProposalSettled(id=request.proposal, accepted=request.accepted, reason=request.reason)
        return await self._append(call, [settled], request)

    async def save(self, call: Call, request: messages.Save) -> messages.Acknowledged:
        saves = self._worlds.get(call.tenant, call.world).state.saves
        if request.slot not in saves and len(saves) >= self._settings.saves_max:
            kept = ", ".join(sorted(saves))
            hint = f"discard one of {kept}, or raise modules.world.saves_max"
            raise Conflict(f"world {call.world!r} has {len(saves)} saves", hint=hint)
        return await self._append(call, [events.WorldSaved(slot=request.slot)], request)

    async def restore(self, call: Call, request: messages.Restore) -> messages.Acknowledged:
        written = await self._append(call, [events.WorldRestored(slot=request.slot)], request)
        call.log.info("world.restored", world=call.world, seq=written.seq)
        return written

    async def discard(self, call: Call, request: messages.Discard) -> messages.Acknowledged:
        world = self._worlds.get(call.tenant, call.world)
        if request.slot not in world.state.saves:
            return messages.Acknowledged(seq=world.state.seq, events=0)
        return await self._append(call, [events.SaveDiscarded(slot=request.slot)], request)

    async def saves(self, call: Call, _request: messages.ListSaves) -> messages.Saves:
        saves = self._worlds.get(call.tenant, call.world).state.saves
        notes = [messages.SaveNote(slot=slot, seq=save.seq, game_s=save.game_s) for slot, save in saves.items()]
        return messages.Saves(saves=tuple(notes), most=self._settings.saves_max)

    async def report(self, call: Call, request: messages.Report) -> messages.Reported:
        world = self._worlds.get(call.tenant, call.world)
        handles, positions = logic.positions(request, world)
        world.crowd.report(handles, positions, request.game_s)
        return messages.Reported(npcs=len(handles))

    async def get(self, call: Call, request: messages.Get) -> messages.Got:
        world = self._worlds.get(call.tenant, call.world)
        entity = world.entity(request.id)
        if entity is None:
            raise NotFound(
                f"no entity {request.id!r} in world {world.id!r}", hint=nearest(request.id, world.state.npcs)
            )
        facts = tuple(world.facts_about(request.id))
        return messages.Got(entity=entity, facts=facts, position=_position(world, request.id))

    async def describe(self, call: Call, _request: messages.Describe) -> messages.Described:
        state = self._worlds.get(call.tenant, call.world).state
        return messages.Described(
            world=call.world,
            seq=state.seq,
            game_s=state.game_s,
            counts=logic.counts(state),
            maps={name: stored.version for name, stored in state.maps.items()},
        )

    async def _append(
        self, call: Call, changes: Sequence[Change], request: messages.Write, *, game_s: float | None = None
    ) -> messages.Acknowledged:
        said = digest(request) if request.key else b""
        written = await self._journal.append(
            call.tenant, call.world, changes, key=request.key, request=said, game_s=game_s
        )
        call.notes["events"] = len(written)
        return messages.Acknowledged(seq=written[-1].seq, events=len(written))


def _position(world: World, id: str) -> tuple[float, float] | None:
    handle = world.state.handles.get(id)
    if handle is None or handle >= len(world.crowd.positions):
        return None
    x, y = (float(value) for value in world.crowd.positions[handle])
    return None if np.isnan(x) else (x, y)
