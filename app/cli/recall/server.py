"""A server inside this process whose NPC listens to a conversation.

Every line goes through `memory.note`, every question through `memory.recall`. It knows how to open a server in a folder
that goes away again; it counts nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.build import MODULE_SETTINGS, ROOT, Innkeeper, build
from app.cli.recall.files import Conversation, Turn
from app.control.auth import Identity
from app.core.module import Scope
from app.core.profile import layers, load
from app.modules.memory.messages import Note, Noted, Recall, Recalled
from app.world.entities import Npc
from app.world.events import EntityUpserted

TENANT, NPC = "default", "listener"
_TEXT_MAX = 2_000
"""Characters that `memory.note` takes."""
_CALENDAR = "1970-01-01"
"""Sessions have Unix seconds for game seconds."""


class InServer:
    """What one NPC of one world remembers."""

    def __init__(self, innkeeper: Innkeeper, world: str) -> None:
        self._innkeeper = innkeeper
        self._world = world
        self._ids: dict[str, str] = {}
        self._told = 0
        self._caller = Identity(
            tenant=TENANT,
            actor="host",
            scopes=Scope.READ | Scope.PLAY | Scope.WRITE,
            since_ms=innkeeper.clock.wall_ms(),
        )

    async def note(self, turn: Turn) -> None:
        """Write one turn down, as the NPC heard it; the end of one that is too long for a memory is lost."""
        noted = await self._sent(
            Note(npc=NPC, text=turn.words[:_TEXT_MAX], speaker=turn.speaker, thread=turn.session, game_s=turn.at_s)
        )
        assert isinstance(noted, Noted)  # noqa: S101 - the reply of memory.note
        self._ids[noted.id] = turn.id

    async def recall(self, question: str, most: int) -> list[str]:
        """The ids of the turns that come to mind, best first."""
        found = await self._sent(Recall(npc=NPC, text=question, most=most))
        assert isinstance(found, Recalled)  # noqa: S101 - the reply of memory.recall
        return [self._ids[memory.id] for memory in found.memories]

    async def _sent(self, request: Note | Recall) -> object:
        self._told += 1
        router = self._innkeeper.router
        return await router.dispatch(
            router.routes[request.op], request, identity=self._caller, id=f"{self._world}-{self._told}",
            world=self._world, send=_unheard,
        )  # fmt: skip


async def _unheard(_: object) -> None:
    """Neither message streams."""


@asynccontextmanager
async def in_server(conversation: Conversation) -> AsyncIterator[InServer]:
    """A server of its own for a conversation."""
    with tempfile.TemporaryDirectory(prefix="innkeeper-recall-") as folder:
        flags = {
            "server.data_folder": folder,
            "telemetry.log_level": "error",
            "modules.memory.ranking.calendar_start": _CALENDAR,
        }
        sources = layers(ROOT / "profiles", mode=1, file=None, environment={}, flags=flags)
        innkeeper = await build(load(sources, MODULE_SETTINGS).profile)
        try:
            world = "conversation"
            await innkeeper.journal.create_world(TENANT, world)
            await innkeeper.journal.append(TENANT, world, [EntityUpserted(entity=Npc(id=NPC))])
            yield InServer(innkeeper, world)
        finally:
            await innkeeper.close()
