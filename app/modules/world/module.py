"""The manifest of the world module."""

from __future__ import annotations

from app.core.module import Handler, Module, Scope
from app.core.ports import Journal, WorldMaker
from app.modules.world import logic, messages
from app.modules.world.handler import WorldHandler
from app.modules.world.settings import Settings
from app.world.state import Worlds


def build(*, settings: Settings, worlds: Worlds, journal: Journal, maker: WorldMaker) -> Module:
    """The module over its ports."""
    handler = WorldHandler(settings, worlds, journal, maker)
    write = settings.write_ms
    read = settings.read_ms
    acknowledged = messages.Acknowledged
    return Module(
        name="world",
        announce=logic.announce,
        handlers=(
            Handler(messages.Create, messages.Created, handler.create, Scope.WRITE, write),
            Handler(messages.Upsert, messages.Upserted, handler.upsert, Scope.WRITE, write),
            Handler(messages.Remove, acknowledged, handler.remove, Scope.WRITE, write),
            Handler(messages.Assert, acknowledged, handler.assert_, Scope.WRITE, write),
            Handler(messages.Post, acknowledged, handler.post, Scope.WRITE, write),
            Handler(messages.Confirm, acknowledged, handler.confirm, Scope.WRITE, write),
            Handler(messages.Save, acknowledged, handler.save, Scope.WRITE, write),
            Handler(messages.Restore, acknowledged, handler.restore, Scope.WRITE, write),
            Handler(messages.Discard, acknowledged, handler.discard, Scope.WRITE, write),
            Handler(messages.ListSaves, messages.Saves, handler.saves, Scope.READ, read),
            Handler(messages.Report, messages.Reported, handler.report, Scope.PLAY, read),
            Handler(messages.Get, messages.Got, handler.get, Scope.READ, read),
            Handler(messages.Describe, messages.Described, handler.describe, Scope.READ, read),
        ),
        pushes=(messages.ProposalPushed, messages.RestoredPushed),
    )
