"""The manifest of the quests module."""

from __future__ import annotations

from app.core.clock import Clock
from app.core.module import Handler, Module, Scope
from app.core.ports import Journal
from app.core.prompts import Prompts
from app.core.words import Words
from app.modules.quests import messages
from app.modules.quests.auditing.handler import AuditHandler
from app.modules.quests.exports.handler import ExportHandler
from app.modules.quests.generation.casting import load_strategies
from app.modules.quests.generation.generator import Library
from app.modules.quests.handler import QuestHandler
from app.modules.quests.planning.domain import load_vocabulary
from app.modules.quests.prose.writer import load_grammar
from app.modules.quests.settings import Settings
from app.modules.quests.wording import Wording
from app.world.state import Worlds


def load_library() -> Library:
    """The module's data files, read and checked. Raises Broken when one is inconsistent."""
    return Library(vocabulary=load_vocabulary(), strategies=load_strategies(), grammar=load_grammar())


def build(
    *, settings: Settings, worlds: Worlds, journal: Journal, clock: Clock, words: Words | None, prompts: Prompts
) -> Module:
    """The module over its ports; reads its data files once. Raises Broken when one is inconsistent."""
    library = load_library()
    handler = QuestHandler(
        settings=settings,
        worlds=worlds,
        journal=journal,
        library=library,
        wording=Wording(settings, words, prompts, clock),
    )
    auditor = AuditHandler(settings=settings, worlds=worlds, library=library)
    reply, ms = messages.QuestReply, settings.deadline_ms
    exporter = ExportHandler(settings=settings, worlds=worlds, vocabulary=library.vocabulary)
    return Module(
        name="quests",
        handlers=(
            Handler(messages.Generate, reply, handler.generate, Scope.PLAY, ms),
            Handler(messages.Verify, messages.Verdict, handler.verify, Scope.READ, settings.verify_ms),
            Handler(messages.Audit, messages.Audited, auditor.audit, Scope.READ, settings.audit_ms),
            Handler(messages.Offer, reply, handler.offer, Scope.WRITE, settings.verify_ms),
            Handler(messages.Accept, reply, handler.accept, Scope.PLAY, ms),
            Handler(messages.Keep, messages.Kept, handler.keep, Scope.WRITE, settings.verify_ms),
            Handler(messages.Join, reply, handler.join, Scope.PLAY, ms),
            Handler(messages.Leave, reply, handler.leave, Scope.PLAY, ms),
            Handler(messages.Abandon, reply, handler.abandon, Scope.PLAY, ms),
            Handler(messages.Get, reply, handler.get, Scope.READ, ms),
            Handler(messages.List, messages.Listed, handler.list, Scope.READ, ms),
            Handler(messages.Export, messages.Exported, exporter.export, Scope.READ, ms),
        ),
        pushes=(messages.QuestUpdated,),
        react=handler.react,
        announce=handler.announce,
        close=handler.mending.close,
        describe=handler.describe,
        held=handler.held,
        forget=handler.forget,
    )
