"""Answers `quests.export`: a quest of a running world as a file of another tool. It reads, and changes nothing."""

from __future__ import annotations

import asyncio
from functools import partial

from app.core.errors import NotFound, TooLarge, nearest
from app.core.module import Call
from app.modules.quests import messages
from app.modules.quests.codec import draft_of, read
from app.modules.quests.draft import Draft
from app.modules.quests.exports import formats
from app.modules.quests.lifecycle.states import KEPT
from app.modules.quests.planning.domain import Vocabulary
from app.modules.quests.settings import Settings
from app.world.state import Worlds


class ExportHandler:
    """One method, for the one message."""

    def __init__(self, *, settings: Settings, worlds: Worlds, vocabulary: Vocabulary) -> None:
        self._settings = settings
        self._worlds = worlds
        self._vocabulary = vocabulary

    async def export(self, call: Call, request: messages.Export) -> messages.Exported:
        """The quest as a text; raises NotFound, Invalid where a column map is at fault, TooLarge."""
        call.deadline.check("exporting a quest")
        quests = self._worlds.get(call.tenant, call.world).state.quests
        if request.quest not in quests:
            raise NotFound(f"no quest {request.quest!r} in world {call.world!r}", hint=nearest(request.quest, quests))
        change = quests[request.quest]
        quest = read(change)
        if change.state in KEPT and request.format != "svg":
            drafts: tuple[Draft, ...] = (draft_of(change),)
            write = partial(formats.written, drafts, request.format, language=quest.language)
        else:
            write = partial(formats.written_quest, self._vocabulary, quest, request.format)
        text = await asyncio.to_thread(write, columns=request.columns)
        most = self._settings.export_bytes_max
        if (size := len(text.encode())) > most:
            raise TooLarge(f"quest {quest.id!r} as {request.format} has {size} bytes", hint=f"at most {most}")
        return messages.Exported(
            text=text,
            media_type=formats.MEDIA_TYPES[request.format],
            file=f"quests{formats.ENDINGS[request.format]}",
            ai_generated=quest.ai_generated,
        )
