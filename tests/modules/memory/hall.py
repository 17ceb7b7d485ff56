"""A hall full of NPCs and players over a log in RAM: the memory module as a server has it, without a database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.core.clock import Deadline, SystemClock
from app.core.messages import Change, Event, Request
from app.core.module import Call, Module
from app.core.prompts import Prompts
from app.core.words import Words
from app.modules.memory import module
from app.modules.memory.embedding import Embedder
from app.modules.memory.index import Words as Meanings
from app.modules.memory.messages import Job, Reflect, Reflected
from app.modules.memory.minds import Minds
from app.modules.memory.settings import Settings
from app.stores.memories import holders_of
from app.world import reducers
from app.world.entities import AnyEntity, Faction, Location, Npc, Player
from app.world.events import EntityUpserted, Happened
from app.world.state import World, Worlds
from tests.doubles import SilentLog
from tests.prompts import registry

CLOCK = SystemClock()


@dataclass
class Log:
    """A Journal and a Kept over one list of events: reactions run as in the real one, observers after them."""

    worlds: Worlds
    events: list[Event] = field(default_factory=list)
    modules: list[Module] = field(default_factory=list)
    keys: dict[str, Sequence[Event]] = field(default_factory=dict)
    fault: str = ""
    reads: int = 0

    async def append(
        self,
        tenant: str,
        world: str,
        changes: Sequence[Change],
        *,
        key: str = "",
        request: bytes = b"",
        game_s: float | None = None,
    ) -> Sequence[Event]:
        if key in self.keys:
            return self.keys[key]
        owned = self.worlds.get(tenant, world)
        added: list[Event] = []
        waiting = [(change, game_s) for change in changes]
        while waiting:
            change, at_s = waiting.pop(0)
            reducers.check(owned, change)
            seq = owned.state.seq + 1
            event = Event(
                seq=seq, id=f"e{seq}", wall_ms=seq, game_s=owned.state.game_s if at_s is None else at_s, change=change
            )
            reducers.apply(owned.state, event)
            added.append(event)
            derived = [one for each in self.modules if each.react for one in each.react(owned, event)]
            waiting = [*((one, None) for one in derived), *waiting]
        self.events += added
        for each in self.modules:
            if each.observe and added:
                each.observe(owned, added)
        if key:
            self.keys[key] = added
        return added

    async def of(self, tenant: str, world: str, holders: Sequence[str]) -> Sequence[Event]:
        self.reads += 1
        return [event for event in self.events if not set(holders).isdisjoint(holders_of(event.change))]

    async def newest(self, tenant: str, world: str, most: int) -> Sequence[Event]:
        return [event for event in self.events[-most:] if holders_of(event.change)]


class Hall:
    """Greta, Tom and Bert stand in the inn, far Fay at the mill; Ash and Bo are players."""

    embedder: Embedder | None = None

    def __init__(
        self, settings: Settings | None = None, words: Words | None = None, meanings: Meanings | None = None
    ) -> None:
        self.worlds = Worlds()
        self.world = World("t", "w")
        self.worlds.add(self.world)
        self.log = Log(self.worlds)
        self.settings = settings or Settings()
        self.words = words
        self.meanings = meanings
        self.restart()

    def restart(self) -> None:
        """What a new process has: nothing in RAM but the worlds."""
        self.minds = Minds(self.settings, self.worlds, self.log, self.meanings, self.embedder)
        prompts: Prompts = registry()
        self.module = module.build(
            settings=self.settings, worlds=self.worlds, journal=self.log, clock=CLOCK, minds=self.minds,
            words=self.words, prompts=prompts, log=SilentLog(),
        )  # fmt: skip
        self.handlers = {handler.request: handler.run for handler in self.module.handlers}
        self.log.modules = [self.module]

    async def fill(self, *more: AnyEntity) -> None:
        entities: tuple[AnyEntity, ...] = (
            Location(id="inn", name="the Sleeping Fox"), Location(id="mill", name="the mill"),
            Faction(id="guard", name="the guard"),
            Npc(id="greta", name="Greta", location="inn"), Npc(id="tom", name="Tom", location="inn", faction="guard"),
            Npc(id="bert", name="Bert", location="mill", faction="guard"), Npc(id="fay", name="Fay", location="mill"),
            Player(id="ash", name="Ash", location="inn"), Player(id="bo", name="Bo", location="inn"),
            Player(id="cy", name="Cy", location="mill"), *more,
        )  # fmt: skip
        await self.post(*(EntityUpserted(entity=entity) for entity in entities))

    async def post(self, *changes: Change) -> Sequence[Event]:
        return await self.log.append("t", "w", changes)

    async def talk(self, one: str, other: str) -> None:
        await self.post(Happened(verb="talked", actor=one, target=other))

    async def ask(self, request: Request) -> Any:
        async def send(_chunk: object) -> None:
            raise AssertionError("memory streams nothing")

        call = Call(id="c", tenant="t", world="w", deadline=Deadline.after_ms(5_000, CLOCK), log=SilentLog(), send=send)
        return await self.handlers[type(request)](call, request)

    async def reflect(self, npc: str, **more: object) -> Reflected:
        """The job of a reflection, when it is over."""
        job = await self.ask(Reflect(npc=npc, **more))  # type: ignore[arg-type]  # fields of Reflect
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == f"reflect {npc}"))
        return await self.ask(Job(job=job.job))

    async def close(self) -> None:
        assert self.module.close is not None
        await self.module.close()
