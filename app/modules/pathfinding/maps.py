"""How maps come in and change: uploads, and obstacles that are added, moved and removed.

It knows worlds, the journal and the planner: whatever changes is committed before it is answered.
"""

from __future__ import annotations

import asyncio

import msgspec

from app.core.errors import Conflict, NotFound, nearest
from app.core.messages import Event, Push, Request, digest
from app.core.module import Call
from app.core.ports import Journal
from app.modules.pathfinding import messages
from app.modules.pathfinding.options import Options
from app.modules.pathfinding.planner import Planner, Progress, Taken
from app.modules.pathfinding.settings import Settings
from app.world.entities import Obstacle, StoredMap
from app.world.events import MapStored, ObstaclesChanged
from app.world.state import World, Worlds, pair

TELL_S = 0.1
"""Between two chunks about the progress of an upload."""


class Cartography:
    """One method for each message that changes a map."""

    def __init__(self, settings: Settings, worlds: Worlds, journal: Journal, planner: Planner) -> None:
        self._settings = settings
        self._worlds = worlds
        self._journal = journal
        self._planner = planner
        self._storing = asyncio.Lock()

    async def upload(self, call: Call, request: messages.Upload) -> messages.Uploaded:
        """Prepare a map in a thread, then store it as the next version; raises Invalid naming what is wrong."""
        world = self._worlds.get(call.tenant, call.world)
        self._check_room(world, request.map)
        taken = await self._taken(call, request)
        async with self._storing:  # two uploads of one map must not both become the same version
            self._check_room(world, request.map)
            before = world.state.maps.get(request.map)
            stored = msgspec.structs.replace(taken.stored, version=before.version + 1 if before else 1)
            said = await asyncio.to_thread(digest, request) if request.key else b""  # a map may have many megabytes
            events = await self._journal.append(
                call.tenant, call.world, [MapStored(map=stored)], key=request.key, request=said
            )
        committed = next((event.change.map for event in events if isinstance(event.change, MapStored)), stored)
        return _uploaded(committed, taken)

    async def _taken(self, call: Call, request: messages.Upload) -> Taken:
        """The map, prepared; meanwhile chunks tell how far that is."""
        options = msgspec.msgpack.encode(Options(agent_classes=request.agent_classes)) if request.agent_classes else b""
        progress = Progress()
        work = asyncio.ensure_future(
            self._planner.take(request.map, request.format, request.data, options, progress, call.deadline)
        )
        told = None
        try:
            while not work.done():
                await asyncio.wait([work], timeout=TELL_S)
                if progress.now != told and not work.done():
                    told = progress.now
                    stage, agent_class, share = told
                    await call.send(messages.UploadProgress(stage=stage, agent_class=agent_class, share=share))
        finally:
            work.cancel()
        return await work

    def _check_room(self, world: World, map: str) -> None:
        most = self._settings.maps_max
        if map not in world.state.maps and len(world.state.maps) >= most:
            raise Conflict(f"world {world.id!r} has {most} maps already", hint="upload over one of them")

    async def add(self, call: Call, request: messages.AddObstacles) -> messages.ObstaclesAccepted:
        """Let obstacles stand; one that was there is replaced."""
        return await self._change(call, request, request.map, request.obstacles, ())

    async def move(self, call: Call, request: messages.MoveObstacles) -> messages.ObstaclesAccepted:
        """Put obstacles elsewhere, open or close them; raises NotFound when one is not there."""
        world = self._worlds.get(call.tenant, call.world)
        moved = []
        for move in request.moves:
            known = world.state.obstacles.get(pair(request.map, move.id))
            if known is None:
                raise NotFound(f"no obstacle {move.id!r} on map {request.map!r}", hint="add it with obstacle.add")
            told = {name: getattr(move, name) for name in ("x", "y", "z", "closed")}
            moved.append(
                msgspec.structs.replace(known, **{name: value for name, value in told.items() if value is not None})
            )
        return await self._change(call, request, request.map, tuple(moved), ())

    async def remove(self, call: Call, request: messages.RemoveObstacles) -> messages.ObstaclesAccepted:
        """Take obstacles away; raises NotFound when one is not there."""
        return await self._change(call, request, request.map, (), request.ids)

    async def _change(
        self, call: Call, request: Request, map: str, put: tuple[Obstacle, ...], removed: tuple[str, ...]
    ) -> messages.ObstaclesAccepted:
        world = self._worlds.get(call.tenant, call.world)
        stored = world.state.maps.get(map)
        if stored is None:
            raise NotFound(f"no map {map!r} in world {call.world!r}", hint=nearest(map, world.state.maps))
        live = await self._planner.live(world, stored, call.deadline)
        new = sum(pair(map, obstacle.id) not in world.state.obstacles for obstacle in put)
        most = self._settings.obstacles_max
        hit, standing = await self._planner.run(lambda: live.look(put), call.deadline)
        if standing + new > most:
            raise Conflict(f"map {map!r} has {standing} obstacles", hint=f"remove some; at most {most} may stand")
        key: str = getattr(request, "key", "")
        events = await self._journal.append(
            call.tenant,
            call.world,
            [ObstaclesChanged(map=map, put=put, removed=removed, hit=hit)],
            key=key,
            request=digest(request) if key else b"",
        )
        change = next((event.change for event in events if isinstance(event.change, ObstaclesChanged)), None)
        live.touch((*(obstacle.id for obstacle in put), *removed))
        self._planner.start(live.sync)
        call.notes.update(queries=len(put) + len(removed))
        return messages.ObstaclesAccepted(
            map=map, obstacles=standing + new - len(removed), hit=change.hit if change else hit
        )

    def announce(self, event: Event) -> tuple[Push, ...]:
        """Whose way an obstacle came into."""
        change = event.change
        if isinstance(change, ObstaclesChanged) and change.hit:
            return (messages.PathBlocked(map=change.map, walkers=change.hit),)
        return ()


def _uploaded(stored: StoredMap, taken: Taken) -> messages.Uploaded:
    prepared = taken.prepared
    return messages.Uploaded(
        map=stored.name,
        version=stored.version,
        width=stored.width,
        height=stored.height,
        layers=prepared.layers,
        polygons=prepared.polygons,
        links=prepared.links,
        passable_cells=prepared.passable_cells,
        components=prepared.components,
        terrains=prepared.terrains,
        prepared_bytes=prepared.bytes,
        preprocess_ms=round(taken.preprocess_ms, 3),
    )
