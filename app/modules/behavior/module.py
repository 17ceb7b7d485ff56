"""The manifest of the behavior module."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.clock import Clock
from app.core.ladder import Watcher
from app.core.module import Binary, Handler, Module, Scope
from app.core.ports import Journal, Network
from app.modules.behavior import considerations, frames, messages, schema
from app.modules.behavior.brains import RUNGS, Brains
from app.modules.behavior.feedback import Feedbacks
from app.modules.behavior.handler import Behavior
from app.modules.behavior.recorder import Recorder
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
    rungs: Sequence[str] = RUNGS,
    recorder: Recorder | None = None,
) -> Module:
    """The module over its ports; without a policy the ladder starts at the utility rung. Reflex is always last.

    The module closes the `recorder`; without one no play is recorded.
    """
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
    handler = Behavior(settings=settings, worlds=worlds, journal=journal, brains=brains, recorder=recorder)
    feedbacks = Feedbacks(settings=settings.recording, worlds=worlds, recorder=recorder, clock=clock)
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
            Handler(
                messages.Feedback,
                messages.FeedbackRecorded,
                feedbacks.feedback,
                Scope.PLAY,
                settings.explain_deadline_ms,
            ),
        ),
        warm=brains.warm,
        close=recorder.close if recorder is not None else None,
        describe=handler.describe,
    )
