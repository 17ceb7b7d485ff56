"""What many agents ask at once: fields of ways to common goals, flights from threats, one tick of a crowd.

It knows worlds' maps and the planner; it does not compute on the event loop itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.core.errors import TooLarge
from app.core.module import Call
from app.modules.pathfinding import logic, messages
from app.modules.pathfinding.grounds import Ground, Spots
from app.modules.pathfinding.handler import Maps

if TYPE_CHECKING:
    from app.modules.pathfinding.live import Live


class Flows:
    """One method for each message."""

    def __init__(self, maps: Maps) -> None:
        self._maps = maps
        self._settings = maps.settings

    async def field(self, call: Call, request: messages.Field) -> messages.FieldReady:
        """Fill a field for each set of goals, or find the one that is there."""
        self._maps.warmth.require()

        def work(live: Live, ground: Ground) -> messages.FieldReady:
            goals = [
                self._cells(live, f"goals[{index}]", places, request.format)
                for index, places in enumerate(request.goals)
            ]
            found = live.fields.ask(request.agent_class, request.overlay, goals)
            call.notes["queries"] = len(goals)
            return messages.FieldReady(
                map=live.name,
                version=live.version,
                fields=tuple(field.name for field in found),
                reached_cells=tuple(field.reached_cells for field in found),
                kept_s=self._settings.field_idle_s,
            )

        return await self._maps.ask(call, request, work)

    async def sample(self, call: Call, request: messages.Sample) -> messages.Sampled:
        """Read directions and costs."""
        self._maps.warmth.require()
        live = await self._maps.live(call, request.map)

        def work() -> messages.Sampled:
            live.sync()
            points = logic.read_points("points", request.points)
            logic.check_count(len(points), request.format == "lists", self._settings)
            directions, costs = live.fields.sample(request.field, points)
            call.notes.update(rung="exact", engine="field", queries=len(points))
            return messages.Sampled(
                map=live.name,
                version=live.version,
                direction=logic.pack_places(directions, request.format),
                cost=logic.pack_numbers(costs, request.format),
            )

        return await self._maps.run(call, work)

    async def flee(self, call: Call, request: messages.Flee) -> messages.Fled:
        """Find each agent a refuge."""
        self._maps.warmth.require()

        def work(live: Live, ground: Ground) -> messages.Fled:
            from app.modules.pathfinding.cells import cells_of

            agents = self._cells(live, "starts", request.starts, request.format)
            most = self._settings.flee_agents_max
            if len(agents) > most:
                raise TooLarge(f"{len(agents)!r} agents flee at once", hint=f"send at most {most} in one request")
            threats = self._cells(live, "threats", request.threats, request.format)
            refuge, away, cost, offsets, waypoints = cells_of(ground).flee(
                agents, threats, radius=request.radius_cells, sight_steps=request.sight_cells, steps=request.steps
            )
            call.notes["queries"] = len(agents)
            rows, places = logic.pack_ways(offsets, waypoints, request.format)
            return messages.Fled(
                map=live.name,
                version=live.version,
                refuge=logic.pack_places(refuge, request.format),
                away=logic.pack_numbers(away, request.format),
                cost=logic.pack_numbers(cost, request.format),
                offsets=rows,
                waypoints=places,
            )

        return await self._maps.ask(call, request, work)

    async def steer(self, call: Call, request: messages.Steer) -> messages.Steered:
        """One step of a crowd, on a map or on open ground."""
        self._maps.warmth.require()
        live = await self._maps.live(call, request.map) if request.map else None

        def work() -> messages.Steered:
            from app.modules.pathfinding.cells import cells_of
            from app.modules.pathfinding.crowds.crowd import Crowd, Outlook
            from app.modules.pathfinding.crowds.orca import steer

            positions = logic.read_vectors("positions", request.positions)
            count = len(positions)
            logic.check_count(count, False, self._settings)
            crowd = Crowd(
                positions,
                logic.read_vectors("velocities", request.velocities, count),
                logic.read_vectors("preferred", request.preferred, count),
                logic.read_numbers("radii", request.radii, count),
                logic.read_numbers("speeds_max", request.speeds_max, count),
            )
            outlook = Outlook(
                horizon_s=request.horizon_s,
                obstacle_horizon_s=request.wall_horizon_s,
                neighbors_max=request.neighbors_max,
                neighbor_radius=request.neighbor_radius,
                dt_s=request.dt_s,
            )
            walls = None if live is None else cells_of(live.ground(request.agent_class)).walls()
            call.notes.update(rung="exact", engine="orca", queries=count)
            return messages.Steered(velocities=logic.pack(steer(crowd, walls, outlook)))

        return await self._maps.run(call, work)

    def _cells(self, live: Live, name: str, places: messages.Places, format: messages.Shape) -> Spots:
        listed = format == "lists" or not isinstance(places, bytes)
        read = logic.read_places(name, places, live.prepared.kind)
        logic.check_count(len(read), listed, self._settings)
        return read
