"""The module with everything it stands on, and how tests ask it."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.clock import Clock, Deadline, SystemClock
from app.core.messages import Change, Chunk, Event, Push, Reply, Request
from app.core.module import Call, Module
from app.core.ports import Network
from app.modules.pathfinding import formats, messages, module
from app.modules.pathfinding.formats.agents import ground
from app.modules.pathfinding.grids.batch_fields import FieldEngine
from app.modules.pathfinding.settings import Settings
from app.modules.pathfinding.surfaces import AgentClass, Surface
from app.world.state import World, Worlds
from tests.doubles import RamJournal, SilentLog

MAP = b"..@..\n..@..\n.....\n@@@@@\n....."
DOOR = b"..@..\n.....\n.....\n@@@@@\n....."

A = TypeVar("A", bound=Reply)


class Log:
    """What has happened, as the log of a world tells it."""

    def __init__(self, journal: RamJournal) -> None:
        self._journal = journal

    async def newest_seq(self, tenant: str, world: str) -> int:
        return len(self._journal.events)

    async def events_after(
        self, tenant: str, world: str, seq: int, until_seq: int | None, *, events_max: int
    ) -> list[Event]:
        until = len(self._journal.events) if until_seq is None else until_seq
        return [event for event in self._journal.events if seq < event.seq <= until][-events_max:]


class Bench:
    """A module with everything it stands on."""

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        danger: Network | None = None,
        fields: FieldEngine | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.worlds = Worlds()
        self.worlds.add(World(tenant="studio", id="vale"))
        self.journal = RamJournal(self.worlds)
        self.settings = settings or Settings()
        self.danger = danger
        self.fields = fields
        self.module: Module = self.build()
        self.notes: dict[str, str | int | float] = {}
        self.chunks: list[Chunk] = []

    def build(self) -> Module:
        return module.build(
            settings=self.settings,
            worlds=self.worlds,
            journal=self.journal,
            history=Log(self.journal),
            danger=self.danger,
            fields=self.fields,
            clock=self.clock,
            log=SilentLog(),
        )

    async def ask(self, request: Request, reply: type[A], *, deadline_ms: float = 20_000) -> A:
        async def send(chunk: Chunk) -> None:
            self.chunks.append(chunk)

        handler = next(known for known in self.module.handlers if known.request is type(request))
        deadline = Deadline.after_ms(deadline_ms, self.clock)
        call = Call(id="1", tenant="studio", world="vale", deadline=deadline, log=SilentLog(), send=send)
        before = len(self.journal.events)
        answer = await handler.run(call, request)
        self.observe(before)
        self.notes = call.notes
        assert isinstance(answer, reply)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=reply) == answer
        return answer

    async def put(self, request: Request) -> None:
        """Ask as `ask` does, and look at nothing."""
        handler = next(known for known in self.module.handlers if known.request is type(request))
        deadline = Deadline.after_ms(20_000, self.clock)
        await handler.run(
            Call(id="1", tenant="studio", world="vale", deadline=deadline, log=SilentLog(), send=_ignore), request
        )

    async def tell(self, *changes: Change, game_s: float | None = None) -> None:
        """Let something happen in the world."""
        before = len(self.journal.events)
        await self.journal.append("studio", "vale", changes, game_s=game_s)
        self.observe(before)

    def observe(self, before: int) -> None:
        assert self.module.observe is not None
        self.module.observe(self.worlds.get("studio", "vale"), self.journal.events[before:])

    async def upload(
        self, data: bytes = MAP, *, map: str = "valley", key: str = "", format: messages.Format = "rows"
    ) -> messages.Uploaded:
        request = messages.Upload(map=map, format=format, data=data, key=key)
        return await self.ask(request, messages.Uploaded)

    async def find(self, *pairs: tuple[messages.Place, messages.Place], map: str = "valley") -> messages.Found:
        starts, goals = tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
        return await self.ask(messages.Find(map=map, starts=starts, goals=goals, format="lists"), messages.Found)

    async def close(self) -> None:
        assert self.module.close is not None
        await self.module.close()

    def pushes(self) -> list[Push]:
        """What clients were told of everything that has happened."""
        assert self.module.announce is not None
        return [push for event in self.journal.events for push in self.module.announce(event)]


async def _ignore(chunk: Chunk) -> None:
    """Whoever only measures reads nothing."""


def packed(*cells: messages.Place) -> bytes:
    return np.array(cells, "<i2").tobytes()


def bordered(data: bytes) -> NDArray[np.uint8]:
    """The passable cells of a Moving AI map, (rows + 2, columns + 2), with a blocked border."""
    content = formats.read(data, "movingai", Settings())
    assert isinstance(content, Surface)
    walked = ground(content, AgentClass())
    return walked.free.reshape(-1, walked.stride)
