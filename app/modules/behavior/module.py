"""The manifest of the behavior module."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.clock import Clock
from app.core.ladder import Watcher
from app.core.module import Binary, Handler, Module, Scope
from app.core.ports import Journal, Log, Network, Words
from app.modules.behavior import considerations, frames, messages, schema
from app.modules.behavior.brains import RUNGS, Brains
from app.modules.behavior.groups import Groups
from app.modules.behavior.handler import Behavior
from app.modules.behavior.nudges import Nudges
from app.modules.behavior.planner import Planner
from app.modules.behavior.settings import Settings
from app.world.state import Worlds

SCHEMA = "open_world"


def build(
    *,
    settings: Settings,
    worlds: Worlds,
    journal: Journal,
    clock: Clock,
    watcher: Watcher,
    policy: Network | None,
    words: Words | None,
    log: Log,
    rungs: Sequence[str] = RUNGS,
) -> Module:
    """The module over its ports; without a policy the ladder starts at the utility rung. Reflex is always last."""
    layout = schema.load(SCHEMA)
    brains = Brains(
        layout,
        considerations.load(SCHEMA, layout),
        policy=policy,
        rungs=rungs,
        settings=settings,
        clock=clock,
        watcher=watcher,
    )
    nudges = Nudges(layout, settings)
    planner: Planner | None = None
    if settings.planner.enabled and (words is not None or settings.planner.alone):
        planner = Planner(
            settings.planner, worlds=worlds, journal=journal, nudges=nudges, rules=brains.rules, words=words,
            clock=clock, watcher=watcher, log=log,
        )  # fmt: skip
    handler = Behavior(
        settings=settings, worlds=worlds, journal=journal, brains=brains, nudges=nudges, planner=planner
    )  # fmt: skip
    groups = Groups(settings, worlds, journal, nudges)
    slow_ms = settings.explain_deadline_ms

    def warm() -> None:
        brains.warm()
        nudges.warm()

    return Module(
        name="behavior",
        rungs=brains.names,
        handlers=(
            Handler(
                messages.Decide,
                messages.Decided,
                handler.decide,
                Scope.PLAY,
                settings.deadline_ms,
                binary=Binary(frames.decode, frames.encode),
            ),
            Handler(messages.Explain, messages.Explained, handler.explain, Scope.READ, settings.explain_deadline_ms),
            Handler(
                messages.SetIntent, messages.IntentAccepted, handler.intent, Scope.WRITE, settings.explain_deadline_ms
            ),
            Handler(messages.Steer, messages.SteerAccepted, groups.steer, Scope.WRITE, slow_ms),
            Handler(messages.SetSchedule, messages.ScheduleAccepted, groups.schedule, Scope.WRITE, slow_ms),
            Handler(messages.SetSquad, messages.SquadAccepted, groups.squad, Scope.WRITE, slow_ms),
            Handler(messages.GetSquad, messages.SquadTold, groups.squad_get, Scope.READ, slow_ms),
            Handler(messages.Disband, messages.Disbanded, groups.disband, Scope.WRITE, slow_ms),
            Handler(messages.GetFormation, messages.Formed, groups.formation, Scope.PLAY, slow_ms),
        ),
        warm=warm,
        observe=nudges.rosters.observe,
        close=planner.close if planner is not None else None,
        describe=handler.describe,
    )
