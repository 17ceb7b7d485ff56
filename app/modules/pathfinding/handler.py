"""What each question about a map does: find the map, search in a thread, put the answer in the client's form.

It knows worlds, the planner and its deadlines; it does not compute on the event loop itself and never waits
past the call's deadline.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from app.core.errors import Invalid, NotFound, nearest
from app.core.ids import stable_hash
from app.core.module import Call
from app.modules.pathfinding import logic, messages
from app.modules.pathfinding.dangers import Dangers
from app.modules.pathfinding.grounds import Ground, Paths, Spots, Wish
from app.modules.pathfinding.planner import Planner
from app.modules.pathfinding.settings import Settings
from app.world.entities import StoredMap
from app.world.state import Worlds

if TYPE_CHECKING:
    from app.modules.pathfinding.live import Live

T = TypeVar("T")


class Maps:
    """The maps of all worlds, each as it stands."""

    def __init__(self, settings: Settings, worlds: Worlds, planner: Planner, dangers: Dangers) -> None:
        self.settings = settings
        self._worlds = worlds
        self._planner = planner
        self._dangers = dangers
        self.warmth = planner.warmth

    def walked(self, call: Call, request: messages.Find, paths: Paths) -> None:
        """Let the visits of newly found ways count where dangers are learned."""
        ends = paths.offsets[: self.settings.walks_counted_max + 1].tolist()
        ways = [paths.waypoints[begin:end] for begin, end in pairwise(ends) if end > begin]
        world = self._worlds.get(call.tenant, call.world)
        self._dangers.walked(world, request.map, request.agent_class, ways)

    def stored(self, call: Call, name: str) -> StoredMap:
        """The map's newest version as uploaded; raises NotFound."""
        maps = self._worlds.get(call.tenant, call.world).state.maps
        stored = maps.get(name)
        if stored is None:
            hint = f"{nearest(name, maps)}; upload one with path.upload"
            raise NotFound(f"no map {name!r} in world {call.world!r}", hint=hint)
        return stored

    async def live(self, call: Call, name: str) -> Live:
        """The map's newest version with what stands on it; raises NotFound."""
        world = self._worlds.get(call.tenant, call.world)
        return await self._planner.live(world, self.stored(call, name), call.deadline)

    async def run(self, call: Call, work: Callable[[], T]) -> T:
        """What `work` returns, from a thread."""
        return await self._planner.run(work, call.deadline)

    async def ask(self, call: Call, request: messages.MapRequest, work: Callable[[Live, Ground], T]) -> T:
        """What `work` makes, in a thread, of the map and of the ground of the request's class of agents."""
        live = await self.live(call, request.map)
        overlay: messages.Overlay = getattr(request, "overlay", "none")
        if overlay == "danger":
            self.warmth.require()
            self._dangers.ask(self._worlds.get(call.tenant, call.world), live)

        def answer() -> T:
            ground = live.ground(request.agent_class, overlay)
            call.notes.update(rung="exact", engine=ground.engine_name)
            return work(live, ground)

        return await self._planner.run(answer, call.deadline)


class Pathfinding:
    """One method for each message."""

    def __init__(self, maps: Maps) -> None:
        self._maps = maps
        self._settings = maps.settings

    async def find(self, call: Call, request: messages.Find) -> messages.Found:
        """Search all queries; each outcome is data in the reply."""
        wish = self._wish(request.max_cost, request.weight, partial=request.partial, smooth=request.smooth)
        stop = call.deadline.less_ms(self._settings.reply_reserve_ms)
        if request.smooth:
            self._maps.warmth.require()

        def work(live: Live, ground: Ground) -> tuple[Paths, messages.Found]:
            starts, goals = self._pairs(live, request.starts, request.goals, request.format)
            if request.walkers and len(request.walkers) != len(starts):
                raise Invalid(
                    f"{len(request.walkers)} walkers and {len(starts)} starts", hint="name one walker for each start"
                )
            paths = ground.find(starts, goals, wish, stop)
            if request.walkers:
                live.walk(request.walkers, paths)
            call.notes.update(queries=len(starts), rung=_worst(paths))
            overlay = live.overlay(request.agent_class) if request.overlay == "danger" else None
            version = overlay.version if overlay else 0
            return paths, logic.found(
                paths, request.format, map=live.name, version=live.version, overlay_version=version
            )

        paths, answer = await self._maps.ask(call, request, work)
        if request.walkers:
            self._maps.walked(call, request, paths)
        return answer

    async def distance(self, call: Call, request: messages.Distance) -> messages.DistanceAnswer:
        """As find, with the costs alone."""
        wish = self._wish(request.max_cost, request.weight, partial=False, smooth=False)
        stop = call.deadline.less_ms(self._settings.reply_reserve_ms)

        def work(live: Live, ground: Ground) -> messages.DistanceAnswer:
            starts, goals = self._pairs(live, request.starts, request.goals, request.format)
            paths = ground.find(starts, goals, wish, stop)
            call.notes.update(queries=len(starts), rung=_worst(paths))
            return messages.DistanceAnswer(
                map=live.name,
                version=live.version,
                status=logic.pack_status(paths.status, request.format),
                cost=logic.pack_numbers(paths.cost, request.format),
            )

        return await self._maps.ask(call, request, work)

    async def reachable(self, call: Call, request: messages.Reachable) -> messages.ReachableAnswer:
        """Compare the regions of starts and goals."""

        def work(live: Live, ground: Ground) -> messages.ReachableAnswer:
            starts, goals = self._pairs(live, request.starts, request.goals, request.format)
            flags = ground.reachable(starts, goals)
            call.notes["queries"] = len(starts)
            return messages.ReachableAnswer(
                map=live.name, version=live.version, reachable=logic.pack_flags(flags, request.format)
            )

        return await self._maps.ask(call, request, work)

    async def nearest(self, call: Call, request: messages.Nearest) -> messages.PlacesAnswer:
        """Look around each place for a passable one."""

        def work(live: Live, ground: Ground) -> messages.PlacesAnswer:
            places = self._places(live, "cells", request.cells, request.format)
            found = ground.nearest(places, _one(live, "reach_from", request.reach_from))
            call.notes["queries"] = len(places)
            return messages.PlacesAnswer(
                map=live.name, version=live.version, cells=logic.pack_places(found, request.format)
            )

        return await self._maps.ask(call, request, work)

    async def raycast(self, call: Call, request: messages.Raycast) -> messages.RaycastAnswer:
        """Walk along each line until something is in the way."""
        self._maps.warmth.require()

        def work(live: Live, ground: Ground) -> messages.RaycastAnswer:
            starts, ends = self._pairs(live, request.starts, request.ends, request.format)
            clear, last = ground.raycast(starts, ends)
            call.notes["queries"] = len(starts)
            return messages.RaycastAnswer(
                map=live.name,
                version=live.version,
                clear=logic.pack_flags(clear, request.format),
                last=logic.pack_places(last, request.format),
            )

        return await self._maps.ask(call, request, work)

    async def random_point(self, call: Call, request: messages.RandomPoint) -> messages.PlacesAnswer:
        """Draw places by the request's seed, the world, the map and its version."""
        logic.check_count(request.count, request.format == "lists", self._settings)
        most = self._settings.radius_cells_max
        if request.radius_cells > most:
            raise Invalid(f"radius_cells is {request.radius_cells!r}", hint=f"send at most {most}")

        def work(live: Live, ground: Ground) -> messages.PlacesAnswer:
            seed = stable_hash("path.random_point", call.world, live.name, live.version, request.seed)
            origin, around = _one(live, "reach_from", request.reach_from), _one(live, "around", request.around)
            places = ground.draw(request.count, seed, origin, around, request.radius_cells)
            call.notes["queries"] = request.count
            return messages.PlacesAnswer(
                map=live.name, version=live.version, cells=logic.pack_places(places, request.format)
            )

        return await self._maps.ask(call, request, work)

    def _wish(self, max_cost: float | None, weight: float | None, *, partial: bool, smooth: bool) -> Wish:
        quickest = math.inf if max_cost is None else 1.0  # a way that is a little too dear must not pass for none
        return Wish(
            max_cost=logic.read_cost(max_cost),
            partial=partial,
            weight=quickest if weight is None else weight,
            smooth=smooth,
            expansions_max=self._settings.expansions_max,
            chunk_pairs=self._settings.chunk_pairs,
        )

    def _places(self, live: Live, name: str, places: messages.Places, format: messages.Shape) -> Spots:
        listed = format == "lists" or not isinstance(places, bytes)
        read = logic.read_places(name, places, live.prepared.kind)
        logic.check_count(len(read), listed, self._settings)
        return read

    def _pairs(
        self, live: Live, starts: messages.Places, goals: messages.Places, format: messages.Shape
    ) -> tuple[Spots, Spots]:
        pairs = self._places(live, "starts", starts, format), self._places(live, "goals", goals, format)
        logic.check_pairs(*pairs)
        return pairs


def _one(live: Live, name: str, place: messages.Place | None) -> Spots | None:
    """A single place (1, k), or None."""
    return None if place is None else logic.read_places(name, (place,), live.prepared.kind)


def _worst(paths: Paths) -> str:
    """The lowest rung that any of the queries was answered on."""
    return messages.RUNGS[int(paths.rung.max(initial=0))]
