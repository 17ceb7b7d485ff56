"""The manifest of the dialogue module."""

from __future__ import annotations

from typing import Any

from app.core.clock import Clock
from app.core.ladder import Watcher
from app.core.module import Handler, Module, Scope
from app.core.ports import Journal
from app.core.prompts import Prompts
from app.core.reports import Reports
from app.core.words import Words
from app.modules.dialogue import intents, logic, messages, reporting
from app.modules.dialogue.book import Book
from app.modules.dialogue.handler import RUNGS, DialogueHandler, Sources
from app.modules.dialogue.settings import Settings
from app.world.state import Worlds

LINES_SHOWN_MAX = 6
"""Last lines that the console shows of an NPC."""


def build(
    *,
    settings: Settings,
    worlds: Worlds,
    journal: Journal,
    clock: Clock,
    watcher: Watcher,
    words: Words | None,
    authored: Words,
    prompts: Prompts,
    reports: Reports,
    rungs: tuple[str, ...] = RUNGS,
    language: str = "en",
) -> Module:
    """The module over its ports; rungs keep their order, `words` needs an engine, `bark` is always last."""
    named = [rung for rung in rungs if rung in RUNGS and rung != "bark" and (rung != "words" or words is not None)]
    sources = Sources(
        words=words,
        authored=authored,
        rungs=(*named, "bark"),
        prompts=prompts,
        lexicon=intents.load(language),
        barks=logic.load_barks(),
    )
    book = Book(settings, clock)
    handler = DialogueHandler(settings, worlds, journal, clock, watcher, sources, book)

    async def find(tenant: str, world: str, id: str) -> messages.Explained:
        return book.explained(tenant, world, id)

    def describe(tenant: str, world: str, npc: str) -> dict[str, Any]:
        return _describe(book, tenant, world, npc)

    return Module(
        name="dialogue",
        rungs=sources.rungs,
        handlers=(
            Handler(messages.Open, messages.Opened, handler.open, Scope.PLAY, settings.say_deadline_ms),
            Handler(
                messages.Say, messages.Said, handler.say, Scope.PLAY, settings.say_deadline_ms, chunk=messages.Spoken
            ),
            Handler(messages.Close, messages.Closed, handler.close, Scope.PLAY, settings.say_deadline_ms),
            Handler(messages.Explain, messages.Explained, handler.explain, Scope.READ, settings.say_deadline_ms),
            reporting.handler_of(reports, worlds, find, clock, settings),
        ),
        react=book.observe,
        describe=describe,
        close=handler.finish,
        held=book.held,
        forget=book.forget,
    )


def _describe(book: Book, tenant: str, world: str, npc: str) -> dict[str, Any]:
    """The NPC's last lines, with what was said to it in the dialogue it is in."""
    dialogue = book.last_of(tenant, world, npc)
    lines = list(dialogue.lines)[-LINES_SHOWN_MAX:] if dialogue is not None else []
    return {
        "dialogue": dialogue.id if dialogue is not None else "",
        "lines": [
            {"name": line.name, "text": line.text, "npc": line.npc, "ai_generated": line.ai_generated} for line in lines
        ],
        "said_lately": [line._asdict() for line in book.lately(tenant, world, npc)[-LINES_SHOWN_MAX:]],
    }
