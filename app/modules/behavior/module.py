"""The manifest of the behavior module."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.clock import Clock
from app.core.ladder import Watcher
from app.core.module import Binary, Handler, Module, Scope
from app.core.ports import Journal, Network
from app.modules.behavior import messages, raw
from app.modules.behavior.brains import RUNGS
from app.modules.behavior.handler import Behavior
from app.modules.behavior.minds import open_minds
from app.modules.behavior.settings import Settings
from app.world.state import Worlds


def build(
    *,
    settings: Settings,
    worlds: Worlds,
    journal: Journal,
    clock: Clock,
    watcher: Watcher,
    policy: Network | None,
    rungs: Sequence[str] = RUNGS,
) -> Module:
    """The module over its ports; without a policy the ladder starts at the utility rung. Reflex is always last."""
    minds = open_minds(settings=settings, clock=clock, watcher=watcher, policy=policy, rungs=rungs)
    handler = Behavior(settings=settings, worlds=worlds, journal=journal, minds=minds)

    def warm() -> None:
        for mind in minds.values():
            mind.warm()

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
        ),
        warm=warm,
        describe=handler.describe,
    )
