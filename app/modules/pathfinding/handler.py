"""Answers the messages of the pathfinding module.

It reads the world, has the planner search or prepare, and stores maps through the journal. It does
not search itself and never waits past the call's deadline.
"""

from __future__ import annotations

import asyncio
import functools

import msgspec

from app.core.errors import Conflict, Invalid, NotFound, nearest
from app.core.ids import stable_hash
from app.core.messages import digest
from app.core.module import Call
from app.core.ports import Journal
from app.modules.pathfinding import logic, messages
from app.modules.pathfinding.grids.graph import Graph
from app.modules.pathfinding.planner import Planner
from app.modules.pathfinding.settings import Settings
from app.world.entities import StoredMap
from app.world.events import MapStored
from app.world.state import World, Worlds


class Pathfinding:
    """One method for each message."""

    def __init__(self, *, settings: Settings, worlds: Worlds, journal: Journal, planner: Planner) -> None:
        self._settings = settings
        self._worlds = worlds
        self._journal = journal
        self._planner = planner
        self._storing = asyncio.Lock()

    async def upload(self, call: Call, request: messages.Upload) -> messages.Uploaded:
        """Prepare a map in a thread, then store it as the next version; raises Invalid naming what is wrong."""
        world = self._worlds.get(call.tenant, call.world)
        self._check_room(world, request.map)
        taken = await self._planner.take(request.map, request.format, request.data, call.deadline)
        async with self._storing:  # two uploads of one map must not both become the same version
            self._check_room(world, request.map)
            before = world.state.maps.get(request.map)
            stored = msgspec.structs.replace(taken.stored, version=before.version + 1 if before else 1)
            said = await asyncio.to_thread(digest, request) if request.key else b""  # a map may have many megabytes
            events = await self._journal.append(
                call.tenant, call.world, [MapStored(map=stored)], key=request.key, request=said
            )
        committed = next((event.change.map for event in events if isinstance(event.change, MapStored)), stored)
        call.notes.update(rung="exact", engine="subgoals", cells=stored.width * stored.height)
        return messages.Uploaded(
            map=request.map,
            version=committed.version,
            width=stored.width,
            height=stored.height,
            passable_cells=taken.passable_cells,
            components=taken.graph.regions,
            preprocess_ms=round(taken.preprocess_ms, 3),
        )

    def _check_room(self, world: World, map: str) -> None:
        most = self._settings.maps_max
        if map not in world.state.maps and len(world.state.maps) >= most:
            raise Conflict(f"world {world.id!r} has {most} maps already", hint="upload over one of them")

    async def find(self, call: Call, request: messages.Find) -> messages.Found:
        """Search all queries in a thread; each outcome is data in the reply."""
        starts, goals = logic.read_pairs(request.starts, request.goals, request.format, self._settings)
        max_cost = logic.read_cost(request.max_cost)
        stored, graph = await self._map(call, request.map)
        stop = call.deadline.less_ms(self._settings.reply_reserve_ms)

        def work() -> messages.Found:
            answers = self._planner.search(
                graph, starts, goals, max_cost=max_cost, partial=request.partial, deadline=stop
            )
            return logic.found(answers, request.format, map=stored.name, version=stored.version)

        call.notes.update(rung="exact", engine="subgoals", queries=len(starts))
        return await self._planner.run(work, call.deadline)

    async def reachable(self, call: Call, request: messages.Reachable) -> messages.ReachableAnswer:
        """Compare the labels of starts and goals."""
        starts, goals = logic.read_pairs(request.starts, request.goals, request.format, self._settings)
        stored, graph = await self._map(call, request.map)
        flags = logic.reachable(graph, starts, goals)
        call.notes.update(rung="exact", engine="labels", queries=len(starts))
        return messages.ReachableAnswer(
            map=stored.name, version=stored.version, reachable=logic.pack_flags(flags, request.format)
        )

    async def nearest(self, call: Call, request: messages.Nearest) -> messages.CellsAnswer:
        """Look around each cell for a passable one."""
        cells = logic.read_cells("cells", request.cells)
        listed = request.format == "lists" or not isinstance(request.cells, bytes)
        logic.check_count(len(cells), listed, self._settings)
        stored, graph = await self._map(call, request.map)
        region = logic.region_of(graph, "reach_from", request.reach_from)
        found = await self._planner.run(functools.partial(self._planner.nearest, graph, cells, region), call.deadline)
        call.notes.update(rung="exact", engine="labels", queries=len(cells))
        return messages.CellsAnswer(
            map=stored.name, version=stored.version, cells=logic.pack_cells(found, request.format)
        )

    async def random_point(self, call: Call, request: messages.RandomPoint) -> messages.CellsAnswer:
        """Draw cells by the request's seed, the world, the map and its version."""
        logic.check_count(request.count, request.format == "lists", self._settings)
        most = self._settings.radius_cells_max
        if request.radius_cells > most:
            raise Invalid(f"radius_cells is {request.radius_cells!r}", hint=f"send at most {most}")
        stored, graph = await self._map(call, request.map)
        region = logic.region_of(graph, "reach_from", request.reach_from)
        seed = stable_hash("path.random_point", call.world, stored.name, stored.version, request.seed)
        among = functools.partial(logic.candidates, graph, region, request.around, request.radius_cells)
        cells = await self._planner.run(lambda: logic.draw(among(), request.count, seed), call.deadline)
        call.notes.update(rung="exact", engine="labels", queries=request.count)
        return messages.CellsAnswer(
            map=stored.name, version=stored.version, cells=logic.pack_cells(cells, request.format)
        )

    async def _map(self, call: Call, name: str) -> tuple[StoredMap, Graph]:
        """The map's newest version, prepared; raises NotFound."""
        maps = self._worlds.get(call.tenant, call.world).state.maps
        stored = maps.get(name)
        if stored is None:
            raise NotFound(
                f"no map {name!r} in world {call.world!r}", hint=f"{nearest(name, maps)}; upload one with path.upload"
            )
        return stored, await self._planner.graph(stored, call.deadline)
