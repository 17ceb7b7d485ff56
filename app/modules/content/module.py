"""The manifest of the content module."""

from __future__ import annotations

from app.core.clock import Clock
from app.core.module import Handler, Module, Scope
from app.core.ports import Journal
from app.core.prompts import Prompts
from app.core.words import Words
from app.modules.content import messages
from app.modules.content.handler import ContentHandler
from app.modules.content.logic import load_library
from app.modules.content.settings import Settings
from app.world.state import Worlds


def build(
    *, settings: Settings, worlds: Worlds, journal: Journal, clock: Clock, words: Words | None, prompts: Prompts
) -> Module:
    """The module over its ports; reads its data files once. Raises Broken when one is inconsistent."""
    handler = ContentHandler(
        settings=settings,
        worlds=worlds,
        journal=journal,
        clock=clock,
        library=load_library(),
        words=words,
        prompts=prompts,
    )
    ms = settings.deadline_ms
    return Module(
        name="content",
        handlers=(
            Handler(messages.Generate, messages.Generated, handler.generate, Scope.WRITE, ms),
            Handler(messages.Check, messages.Checked, handler.check, Scope.READ, ms),
        ),
    )
