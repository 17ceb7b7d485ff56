"""The manifest of the pathfinding module; the only file that the composition root touches."""

from __future__ import annotations

from app.core.clock import Clock
from app.core.module import Handler, Module, Scope
from app.core.ports import Journal
from app.modules.pathfinding import messages
from app.modules.pathfinding.handler import Pathfinding
from app.modules.pathfinding.planner import Planner, warm
from app.modules.pathfinding.settings import Settings
from app.world.state import Worlds


def build(*, settings: Settings, worlds: Worlds, journal: Journal, clock: Clock) -> Module:
    """The module, ready to answer; its threads start with the first request."""
    planner = Planner(settings, clock)
    answers = Pathfinding(settings=settings, worlds=worlds, journal=journal, planner=planner)
    ms = settings.deadline_ms
    return Module(
        name="pathfinding",
        handlers=(
            Handler(messages.Upload, messages.Uploaded, answers.upload, Scope.WRITE, settings.upload_deadline_ms),
            Handler(messages.Find, messages.Found, answers.find, Scope.PLAY, ms),
            Handler(messages.Reachable, messages.ReachableAnswer, answers.reachable, Scope.PLAY, ms),
            Handler(messages.Nearest, messages.CellsAnswer, answers.nearest, Scope.PLAY, ms),
            Handler(messages.RandomPoint, messages.CellsAnswer, answers.random_point, Scope.PLAY, ms),
        ),
        warm=warm,
        close=planner.close,
    )
