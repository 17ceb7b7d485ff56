"""The manifest of the dialogue module."""

from __future__ import annotations

from typing import Any

from app.core.clock import Clock
from app.core.dialogue_records import LineRecords
from app.core.ladder import Watcher
from app.core.memory import Memory
from app.core.module import Handler, Module, Scope
from app.core.ports import Journal
from app.core.prompts import Prompts
from app.core.reports import Reports
from app.core.tenants import Rules
from app.core.words import Words
from app.modules.dialogue import intents, logic, messages, reporting
from app.modules.dialogue.asides import load_asides
from app.modules.dialogue.book import Book
from app.modules.dialogue.composing import Sources
from app.modules.dialogue.handler import RUNGS, DialogueHandler
from app.modules.dialogue.rated import Ratings
from app.modules.dialogue.records import Recorder
from app.modules.dialogue.settings import Settings
from app.modules.dialogue.stories import shelf
from app.modules.dialogue.stories.told import Stories
from app.world.gate.lexicon import lexicons
from app.world.loops import Governor
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
    memory: Memory | None = None,
    records: LineRecords | None = None,
    governor: Governor | None = None,
    rules: Rules | None = None,
) -> Module:
    """The module over its ports; rungs keep their order, `words` needs an engine, `bark` is always last.

    `governor` is the one that the authored engine asks. Raises Invalid for a rating that nobody knows.
    """
    named = [rung for rung in rungs if rung in RUNGS and rung != "bark" and (rung != "words" or words is not None)]
    lexicon = intents.load(language)
    sources = Sources(
        words=words,
        authored=authored,
        rungs=(*named, "bark"),
        prompts=prompts,
        lexicon=lexicon,
        barks=logic.load_barks(),
        asides=load_asides(),
        ratings=Ratings(settings.rating, rules),
        governor=governor or Governor(),
        memory=memory,
        stories=Stories(
            shelf.load(settings.content_folder, settings.stories),
            lexicon,
            settings.stories,
            day_s=settings.day_s,
            day_start_share=settings.day_start_share,
        ),
    )
    book = Book(settings, clock)
    recorder = Recorder(records)
    limit_ms = settings.say_deadline_ms
    handler = DialogueHandler(settings, worlds, journal, clock, watcher, sources, book, recorder)

    def warm() -> None:
        lexicons()

    def describe(tenant: str, world: str, npc: str) -> dict[str, Any]:
        return _describe(book, tenant, world, npc)

    def forget(tenant: str, world: str, player: str) -> None:
        book.forget(tenant, world, player)
        recorder.forget(tenant, world)
        sources.governor.forget(tenant, world)

    return Module(
        name="dialogue",
        rungs=sources.rungs,
        handlers=(
            Handler(messages.Open, messages.Opened, handler.open, Scope.PLAY, limit_ms),
            Handler(messages.Join, messages.Opened, handler.join, Scope.PLAY, limit_ms),
            Handler(messages.Leave, messages.Opened, handler.leave, Scope.PLAY, limit_ms),
            Handler(messages.Say, messages.Said, handler.say, Scope.PLAY, limit_ms, chunk=messages.Spoken),
            Handler(messages.Interrupt, messages.Interrupted, handler.interrupt, Scope.PLAY, limit_ms),
            Handler(messages.Bark, messages.Barked, handler.bark, Scope.PLAY, limit_ms),
            Handler(messages.Close, messages.Closed, handler.close, Scope.PLAY, limit_ms),
            Handler(messages.Explain, messages.Explained, handler.explain, Scope.READ, limit_ms),
            Handler(messages.Replay, messages.Replayed, handler.replay, Scope.READ, limit_ms),
            reporting.handler_of(reports, worlds, handler.line, clock, settings),
        ),
        react=book.observe,
        warm=warm,
        describe=describe,
        close=handler.finish,
        held=book.held,
        forget=forget,
    )


def _describe(book: Book, tenant: str, world: str, npc: str) -> dict[str, Any]:
    """The NPC's last lines, with what was said to it in the dialogue it is in."""
    dialogue = book.last_of(tenant, world, npc)
    lines = [told.line for told in dialogue.lines][-LINES_SHOWN_MAX:] if dialogue is not None else []
    return {
        "dialogue": dialogue.id if dialogue is not None else "",
        "lines": [
            {"name": line.name, "text": line.text, "npc": line.npc, "ai_generated": line.ai_generated} for line in lines
        ],
        "said_lately": [line._asdict() for line in book.lately(tenant, world, npc)[-LINES_SHOWN_MAX:]],
    }
