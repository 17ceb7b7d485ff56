"""The manifest of the pathfinding module; the only file that the composition root touches."""

from __future__ import annotations

from app.core.clock import Clock
from app.core.module import Handler, Module, Scope
from app.core.ports import History, Journal, Log, Network
from app.modules.pathfinding import messages
from app.modules.pathfinding.dangers import Dangers
from app.modules.pathfinding.flows import Flows
from app.modules.pathfinding.grids.batch_fields import FieldEngine
from app.modules.pathfinding.handler import Maps, Pathfinding
from app.modules.pathfinding.maps import Cartography
from app.modules.pathfinding.planner import Planner
from app.modules.pathfinding.previews import Previews
from app.modules.pathfinding.settings import Settings
from app.world.state import Worlds


def build(
    *,
    settings: Settings,
    worlds: Worlds,
    journal: Journal,
    history: History,
    danger: Network | None,
    fields: FieldEngine | None,
    clock: Clock,
    log: Log,
) -> Module:
    """The module, ready to answer; its threads start with the first request. Without a network counts tell dangers."""
    planner = Planner(settings, clock, fields)
    dangers = Dangers(settings, planner=planner, history=history, network=danger, clock=clock, log=log)
    maps = Cartography(settings, worlds, journal, planner)
    known = Maps(settings, worlds, planner, dangers)
    answers, flows, previews = Pathfinding(known), Flows(known), Previews(known)
    ms = settings.deadline_ms

    async def close() -> None:
        await dangers.close()
        await planner.close()

    return Module(
        name="pathfinding",
        handlers=(
            Handler(
                messages.Upload,
                messages.Uploaded,
                maps.upload,
                Scope.WRITE,
                settings.upload_deadline_ms,
                chunk=messages.UploadProgress,
            ),
            Handler(messages.AddObstacles, messages.ObstaclesAccepted, maps.add, Scope.WRITE, ms),
            Handler(messages.MoveObstacles, messages.ObstaclesAccepted, maps.move, Scope.WRITE, ms),
            Handler(messages.RemoveObstacles, messages.ObstaclesAccepted, maps.remove, Scope.WRITE, ms),
            Handler(messages.Find, messages.Found, answers.find, Scope.PLAY, ms),
            Handler(messages.Distance, messages.DistanceAnswer, answers.distance, Scope.PLAY, ms),
            Handler(messages.Reachable, messages.ReachableAnswer, answers.reachable, Scope.PLAY, ms),
            Handler(messages.Nearest, messages.PlacesAnswer, answers.nearest, Scope.PLAY, ms),
            Handler(messages.Raycast, messages.RaycastAnswer, answers.raycast, Scope.PLAY, ms),
            Handler(messages.RandomPoint, messages.PlacesAnswer, answers.random_point, Scope.PLAY, ms),
            Handler(messages.Flee, messages.Fled, flows.flee, Scope.PLAY, ms),
            Handler(messages.Field, messages.FieldReady, flows.field, Scope.PLAY, ms),
            Handler(messages.Sample, messages.Sampled, flows.sample, Scope.PLAY, ms),
            Handler(messages.Steer, messages.Steered, flows.steer, Scope.PLAY, ms),
            Handler(messages.Preview, messages.Previewed, previews.preview, Scope.READ, settings.preview_deadline_ms),
        ),
        pushes=(messages.PathBlocked,),
        announce=maps.announce,
        warm=planner.warm,
        observe=dangers.observe,
        close=close,
    )
