"""The manifest of the memory module."""

from __future__ import annotations

from app.core.clock import Clock
from app.core.module import Handler, Module, Scope
from app.core.ports import Journal, Log
from app.core.prompts import Prompts
from app.core.words import Words
from app.modules.memory import messages
from app.modules.memory.handler import MemoryHandler
from app.modules.memory.minds import Minds
from app.modules.memory.reflection import Reflections
from app.modules.memory.settings import Settings
from app.world.state import Worlds


def build(
    *,
    settings: Settings,
    worlds: Worlds,
    journal: Journal,
    clock: Clock,
    minds: Minds,
    words: Words | None,
    prompts: Prompts,
    log: Log,
) -> Module:
    """The module over its ports; `minds` is the port `Memory` that other modules are given."""
    reflections = Reflections(
        settings.reflection, minds=minds, worlds=worlds, journal=journal, words=words, prompts=prompts, clock=clock,
        log=log,
    )  # fmt: skip
    handler = MemoryHandler(settings, worlds, journal, clock, minds, reflections)
    write, read = settings.write_ms, settings.read_ms

    async def close() -> None:
        await reflections.close()
        await minds.close()

    return Module(
        name="memory",
        handlers=(
            Handler(messages.Note, messages.Noted, handler.note, Scope.WRITE, write),
            Handler(messages.Recall, messages.Recalled, handler.recall, Scope.READ, read),
            Handler(messages.Forget, messages.Forgot, handler.forget, Scope.WRITE, write),
            Handler(messages.Tell, messages.Told, handler.tell, Scope.WRITE, write),
            Handler(messages.Reflect, messages.Reflected, handler.reflect, Scope.PLAY, read),
            Handler(messages.Job, messages.Reflected, handler.job, Scope.READ, read),
        ),
        observe=minds.observe,
        react=minds.react,
        close=close,
        held=minds.held,
        forget=minds.forget,
        describe=minds.describe,
    )
