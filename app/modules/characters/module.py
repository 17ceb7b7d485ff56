"""The manifest of the characters module."""

from __future__ import annotations

from app.core.clock import Clock
from app.core.module import Handler, Module, Scope
from app.core.ports import Journal
from app.core.prompts import Prompts
from app.core.words import Words
from app.modules.characters import messages
from app.modules.characters.handler import CharactersHandler
from app.modules.characters.library import load_library
from app.modules.characters.settings import Settings
from app.modules.characters.wording import Wording
from app.world.state import Worlds


def build(
    *, settings: Settings, worlds: Worlds, journal: Journal, clock: Clock, words: Words | None, prompts: Prompts
) -> Module:
    """The module over its ports; reads its data files once. Raises Broken when one is inconsistent."""
    handler = CharactersHandler(
        settings=settings,
        worlds=worlds,
        journal=journal,
        library=load_library(),
        wording=Wording(settings, words, prompts),
        clock=clock,
    )
    ms = settings.deadline_ms
    return Module(
        name="characters",
        handlers=(
            Handler(messages.Generate, messages.Cast, handler.generate, Scope.WRITE, ms),
            Handler(messages.Check, messages.Checked, handler.check, Scope.READ, ms),
        ),
    )
