"""Answers the messages of authors and of squads: steering, schedules, squads, formations. Changes go to the journal.

It orchestrates; rules are in `steering` and `schedules`, places in `formations`. What becomes of them in a tick is
the nudges' matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np

from app.core.errors import Invalid, NotFound, TooLarge, nearest
from app.core.messages import Change, Request, digest
from app.core.module import Call
from app.core.ports import Journal
from app.modules.behavior import formations, messages, steering
from app.modules.behavior.brains import RUNGS
from app.modules.behavior.formations import F64
from app.modules.behavior.nudges import Nudges
from app.modules.behavior.programs import Programs
from app.modules.behavior.rule import SteeringRule
from app.modules.behavior.settings import Settings
from app.modules.behavior.squads import is_shaken
from app.world.entities import Squad
from app.world.events import BoardWritten, BrainAssigned, ScheduleSet, SquadDisbanded, SquadSet, SteeringSet
from app.world.state import World, Worlds


class Groups:
    """One method for each message."""

    def __init__(
        self,
        settings: Settings,
        worlds: Worlds,
        journal: Journal,
        nudges: Mapping[str, Nudges],
        programs: Mapping[str, Programs],
    ) -> None:
        """`nudges` and `programs` by schema."""
        self._settings, self._worlds, self._journal, self._nudges = settings, worlds, journal, nudges
        self._programs = programs

    async def steer(self, call: Call, request: messages.Steer) -> messages.SteerAccepted:
        """Lay rules over a world; raises Invalid for one that does not fit, TooLarge for too many."""
        world = self._worlds.get(call.tenant, call.world)
        for rule in request.set:
            self._check(rule)
        own = {*world.state.steering, *(rule.name for rule in request.set)} - set(request.clear)
        if len(own) > self._settings.steering_rules_max:
            most = self._settings.steering_rules_max
            raise TooLarge(f"{len(own)} steering rules in one world, at most {most}", hint="clear some")
        changes: list[Change] = [SteeringSet(name=name) for name in request.clear]
        changes += [SteeringSet(name=rule.name, rule=steering.pack(rule)) for rule in request.set]
        seq = await self._commit(call, changes, request, key=request.key)
        files = tuple(rule.name for nudges in self._nudges.values() for rule in nudges.files)
        return messages.SteerAccepted(rules=tuple(world.state.steering), files=files, seq=seq)

    async def schedule(self, call: Call, request: messages.SetSchedule) -> messages.ScheduleAccepted:
        """Give NPCs a schedule; raises NotFound for one that no file has."""
        tables = [nudges.table for nudges in self._nudges.values() if nudges.table is not None]
        known = [name for table in tables for name in table.names]
        if request.schedule and request.schedule not in known:
            raise NotFound(f"no schedule {request.schedule!r}", hint=nearest(request.schedule, known))
        changes: list[Change] = [ScheduleSet(npc=npc, schedule=request.schedule) for npc in request.npcs]
        seq = await self._commit(call, changes, request, key=request.key)
        return messages.ScheduleAccepted(npcs=len(changes), schedule=request.schedule, seq=seq)

    async def assign(self, call: Call, request: messages.Assign) -> messages.Assigned:
        """Let a brain lead NPCs; raises NotFound for one that is not there, Invalid for one that is not sound."""
        if request.schema not in self._programs:
            raise Invalid(f"schema {request.schema!r} is not known", hint=nearest(request.schema, self._programs))
        if request.brain and request.brain not in RUNGS:
            await self._programs[request.schema].load(request.brain)
        changes: list[Change] = [BrainAssigned(npc=npc, brain=request.brain) for npc in request.npcs]
        seq = await self._commit(call, changes, request, key=request.key)
        return messages.Assigned(npcs=len(changes), brain=request.brain, seq=seq)

    async def board(self, call: Call, request: messages.WriteBoard) -> messages.BoardAccepted:
        """Write keys of blackboards; raises Invalid for a value that is no number, TooLarge for too many keys."""
        changes: list[Change] = [BoardWritten(npc=npc, values=request.values) for npc in request.npcs]
        seq = await self._commit(call, changes, request, key=request.key)
        return messages.BoardAccepted(npcs=len(changes), seq=seq)

    async def squad(self, call: Call, request: messages.SetSquad) -> messages.SquadAccepted:
        """Make a squad, or make it another; raises TooLarge when a world has too many."""
        world = self._worlds.get(call.tenant, call.world)
        most = self._settings.squads_max
        if request.id not in world.state.squads and len(world.state.squads) >= most:
            raise TooLarge(f"{most} squads are in this world already", hint="disband some")
        squad = Squad(**{name: getattr(request, name) for name in Squad.__struct_fields__})
        seq = await self._commit(call, [SquadSet(squad=squad)], request, key=request.key)
        return messages.SquadAccepted(id=squad.id, members=len(squad.members), seq=seq)

    async def squad_get(self, call: Call, request: messages.GetSquad) -> messages.SquadTold:
        """A squad with its fallen; raises NotFound."""
        world = self._worlds.get(call.tenant, call.world)
        squad = _squad(world, request.id)
        fallen = _fallen(world, squad)
        return messages.SquadTold(squad=squad, fallen=fallen, shaken=is_shaken(squad, fallen))

    async def disband(self, call: Call, request: messages.Disband) -> messages.Disbanded:
        """End a squad; raises NotFound."""
        seq = await self._commit(call, [SquadDisbanded(id=request.id)], request, key=request.key)
        return messages.Disbanded(id=request.id, seq=seq)

    async def formation(self, call: Call, request: messages.GetFormation) -> messages.Formed:
        """The places of squads around their leaders; raises NotFound for a squad that is none."""
        world = self._worlds.get(call.tenant, call.world)
        asked = [_Asked.of(world, pose, by=request.by) for pose in request.poses]
        found = await asyncio.to_thread(lambda: tuple(each.answer() for each in asked))
        return messages.Formed(squads=found)

    def _check(self, rule: SteeringRule) -> None:
        """Raise Invalid for a rule that fits no schema, with what the usual one has against it."""
        if not any(steering.fits(rule, nudges.schema) for nudges in self._nudges.values()):
            steering.check(rule, self._nudges[messages.DEFAULT].schema)

    async def _commit(
        self, call: Call, changes: list[Change], request: Request, *, key: str,
    ) -> int:  # fmt: skip
        if not changes:
            raise Invalid("nothing is set and nothing is cleared", hint="name a rule")
        events = await self._journal.append(call.tenant, call.world, changes, key=key, request=digest(request))
        call.notes.update(rung="journal", engine="journal")
        return events[-1].seq


class _Asked:
    """One pose with everything of the world that its answer needs, so that a thread can give it."""

    def __init__(self, pose: messages.Pose, squad: Squad, fallen: tuple[str, ...], stand: dict[str, F64]) -> None:
        self._pose, self._squad, self._fallen, self._stand = pose, squad, fallen, stand

    @classmethod
    def of(cls, world: World, pose: messages.Pose, *, by: str) -> _Asked:
        squad = _squad(world, pose.squad)
        stand: dict[str, F64] = {}
        positions = world.crowd.positions
        for member in squad.members if by == "way" else ():
            handle = world.state.handles[member]
            if handle < len(positions) and np.isfinite(positions[handle]).all():
                stand[member] = positions[handle].astype(np.float64)
        return cls(pose, squad, _fallen(world, squad), stand)

    def answer(self) -> messages.Places:
        """The slot and the place of every living member, by slot."""
        squad, pose = self._squad, self._pose
        seats = formations.seats(squad, self._fallen)
        frame = formations.offsets(squad.formation, len(squad.members), squad.spacing_cells)
        places = formations.placed(frame, pose.x, pose.y, pose.heading_rad)
        movers = [member for member, slot in seats.items() if slot and member in self._stand]
        if movers:
            slots = [seats[member] for member in movers]
            chosen = formations.by_way(np.array([self._stand[member] for member in movers]), places[slots])
            seats.update({member: slots[goal] for member, goal in zip(movers, chosen, strict=True)})
        order = sorted(seats, key=lambda member: seats[member])
        return messages.Places(
            squad=squad.id,
            members=tuple(order),
            slots=tuple(seats[member] for member in order),
            places=tuple((round(float(x), 4), round(float(y), 4)) for x, y in places[[seats[each] for each in order]]),
        )


def _squad(world: World, id: str) -> Squad:
    found = world.state.squads.get(id)
    if found is None:
        raise NotFound(f"no squad {id!r} in world {world.id!r}", hint=nearest(id, world.state.squads))
    return found


def _fallen(world: World, squad: Squad) -> tuple[str, ...]:
    npcs = world.state.npcs
    return tuple(id for id in squad.members if not npcs[id].alive)
