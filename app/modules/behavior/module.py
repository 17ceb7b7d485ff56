"""The manifest of the behavior module."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.clock import Clock
from app.core.ladder import Watcher
from app.core.messages import Event
from app.core.module import Binary, Handler, Module, Scope
from app.core.ports import Journal, Log, Network
from app.core.prompts import Prompts
from app.core.words import Words
from app.modules.behavior import messages, raw
from app.modules.behavior.brains import RUNGS
from app.modules.behavior.feedback import Feedbacks
from app.modules.behavior.groups import Groups
from app.modules.behavior.handler import Behavior
from app.modules.behavior.minds import open_minds
from app.modules.behavior.planner import Planner
from app.modules.behavior.recorder import Recorder
from app.modules.behavior.settings import Settings
from app.world.state import World, Worlds


def build(
    *,
    settings: Settings,
    worlds: Worlds,
    journal: Journal,
    clock: Clock,
    watcher: Watcher,
    policy: Network | None,
    words: Words | None,
    prompts: Prompts,
    log: Log,
    rungs: Sequence[str] = RUNGS,
    recorder: Recorder | None = None,
) -> Module:
    """The module over its ports; without a policy the ladder starts at the utility rung. Reflex is always last.

    The module closes the `recorder`; without one no play is recorded.
    """
    minds = open_minds(settings=settings, clock=clock, watcher=watcher, policy=policy, rungs=rungs)
    usual = minds[messages.DEFAULT]
    planner: Planner | None = None
    if settings.planner.enabled and (words is not None or settings.planner.alone):
        planner = Planner(
            settings.planner, worlds=worlds, journal=journal, nudges=usual.nudges, rules=usual.brains.rules,
            words=words, prompts=prompts, clock=clock, watcher=watcher, log=log,
        )  # fmt: skip
    handler = Behavior(
        settings=settings, worlds=worlds, journal=journal, minds=minds, planner=planner, recorder=recorder
    )
    feedbacks = Feedbacks(settings=settings.recording, worlds=worlds, recorder=recorder, clock=clock)
    groups = Groups(
        settings,
        worlds,
        journal,
        {name: mind.nudges for name, mind in minds.items()},
        {name: mind.programs for name, mind in minds.items()},
    )
    slow_ms = settings.explain_deadline_ms

    def warm() -> None:
        for mind in minds.values():
            mind.warm()

    async def close() -> None:
        if planner is not None:
            await planner.close()
        if recorder is not None:
            await recorder.close()

    def observe(world: World, events: Sequence[Event]) -> None:
        for mind in minds.values():
            mind.nudges.rosters.observe(world, events)
        handler.observe(world, events)

    return Module(
        name="behavior",
        rungs=minds[messages.DEFAULT].brains.names,
        handlers=(
            Handler(
                messages.Decide,
                messages.Decided,
                handler.decide,
                Scope.PLAY,
                settings.deadline_ms,
                binary=Binary(raw.decode, raw.encode),
            ),
            Handler(messages.Explain, messages.Explained, handler.explain, Scope.READ, settings.explain_deadline_ms),
            Handler(
                messages.SetIntent, messages.IntentAccepted, handler.intent, Scope.WRITE, settings.explain_deadline_ms
            ),
            Handler(messages.Feedback, messages.FeedbackRecorded, feedbacks.feedback, Scope.PLAY, slow_ms),
            Handler(messages.Assign, messages.Assigned, groups.assign, Scope.WRITE, slow_ms),
            Handler(messages.WriteBoard, messages.BoardAccepted, groups.board, Scope.WRITE, slow_ms),
            Handler(messages.Steer, messages.SteerAccepted, groups.steer, Scope.WRITE, slow_ms),
            Handler(messages.SetSchedule, messages.ScheduleAccepted, groups.schedule, Scope.WRITE, slow_ms),
            Handler(messages.SetSquad, messages.SquadAccepted, groups.squad, Scope.WRITE, slow_ms),
            Handler(messages.GetSquad, messages.SquadTold, groups.squad_get, Scope.READ, slow_ms),
            Handler(messages.Disband, messages.Disbanded, groups.disband, Scope.WRITE, slow_ms),
            Handler(messages.GetFormation, messages.Formed, groups.formation, Scope.PLAY, slow_ms),
        ),
        warm=warm,
        observe=observe,
        close=close,
        describe=handler.describe,
    )
