"""The quests module over a real world and a journal in RAM that lets it react, as the real one does."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.clock import Deadline, SystemClock
from app.core.messages import Change, Chunk, Event, Reply, Request
from app.core.module import Call, Module
from app.core.words import Words
from app.modules.quests.codec import read
from app.modules.quests.lifecycle.states import PLAYED
from app.modules.quests.messages import Accept, Generate, Quest, QuestReply, Step
from app.modules.quests.module import build
from app.modules.quests.settings import Settings
from app.world.events import Happened
from app.world.state import World, Worlds
from tests.doubles import ManualClock, RamJournal, SilentLog
from tests.modules.quests.villages import Hero
from tests.prompts import registry


@dataclass
class ReactingJournal(RamJournal):
    """Each applied event is shown to the module, and what that derives is applied at once."""

    module: Module | None = None

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
        events = await super().append(tenant, world, changes[:1], key=key, request=request, game_s=game_s)
        if not changes:
            return events
        assert self.module is not None
        assert self.module.react is not None
        queue = deque(self.module.react(self.worlds.get(tenant, world), events[0]))
        queue.extend(changes[1:])
        while queue:
            await self.append(tenant, world, [queue.popleft()], game_s=game_s)
        return events


class Stage:
    """A world, the module over it, and what a game server does with both."""

    def __init__(self, world: World, settings: Settings | None = None, words: Words | None = None) -> None:
        worlds = Worlds()
        worlds.add(world)
        self.world = world
        self.journal = ReactingJournal(worlds)
        self.module = build(
            settings=settings or Settings(),
            worlds=worlds,
            journal=self.journal,
            clock=SystemClock(),
            words=words,
            prompts=registry(),
        )
        self.journal.module = self.module
        self._runs = {handler.request: handler.run for handler in self.module.handlers}

    async def ask(self, request: Request) -> Reply:
        async def send(_chunk: Chunk) -> None: ...

        call = Call(
            id="call",
            tenant=self.world.tenant,
            world=self.world.id,
            deadline=Deadline.after_ms(60_000, ManualClock()),
            log=SilentLog(),
            send=send,
        )
        return await self._runs[type(request)](call, request)

    async def quest(self, request: Request) -> Quest:
        reply = await self.ask(request)
        assert isinstance(reply, QuestReply)
        return reply.quest

    async def begun(self, giver: str, seed: int, **more: object) -> Quest:
        """A generated quest that the player has accepted."""
        offered = await self.quest(Generate(giver=giver, player="hero", seed=seed, **more))  # type: ignore[arg-type]  # fields by name
        return await self.quest(Accept(quest=offered.id))

    async def post(self, *changes: Change, game_s: float | None = None) -> None:
        """Tell what happened, and wait until all that follows from it is recorded."""
        await self.journal.append(self.world.tenant, self.world.id, changes, game_s=game_s)
        await self.settled()

    async def settled(self) -> None:
        """Return when no worker looks for a way any more."""
        while tasks := [task for task in asyncio.all_tasks() if task.get_name().startswith("mend quests")]:
            await asyncio.gather(*tasks)

    def now(self, quest: str) -> Quest:
        """The quest as the world holds it."""
        return read(self.world.state.quests[quest])

    async def play(self, quest: Quest, *, hero: Hero | None = None) -> Quest:
        """A rule-abiding player does the open steps in order, as the quest names them at each moment."""
        hero = hero or Hero(self.world, quest.player)
        for _ in range(60):
            present = self.now(quest.id)
            step = next((step for step in present.steps if not step.done), None)
            if present.state not in PLAYED or step is None:
                return present
            await self.post(*self.walk_to(hero, step))
            await self.post(*hero.do(step))
        raise AssertionError("the quest never ends")

    def walk_to(self, hero: Hero, step: Step) -> list[Change]:
        """As `way_to`."""
        return way_to(self.world, hero, step)

    async def stray(self, quest: Quest, chance: random.Random) -> Quest:
        """As `play`, but before each of the first steps the player has a whim, someone dies or a rival is faster."""
        hero = Hero(self.world, quest.player)
        for turn in range(60):
            if turn < 8 and self.now(quest.id).state in PLAYED:
                event = chance.choice([*hero.whims(), *self.mishaps()])
                hero.learn(event)
                await self.post(event)
            present = self.now(quest.id)
            step = next((step for step in present.steps if not step.done), None)
            if present.state not in PLAYED or step is None:
                return present
            await self.post(*hero.do(step))
        raise AssertionError("the quest never ends")

    def mishaps(self) -> list[Happened]:
        """As `mishaps_in`."""
        return mishaps_in(self.world)


def way_to(world: World, hero: Hero, step: Step) -> list[Change]:
    """The way to where a step is done, for a player who was led elsewhere by another quest."""
    event, state = step.event, world.state
    other = event.target if event.actor == hero.player else event.actor
    place = state.npcs[other].location if other in state.npcs else event.location
    if event.verb in ("moved", "unlocked") or not place or place == hero.place:
        return []
    way = happened("moved", hero.player, location=place)
    return [] if hero.problem(way) else [way]


def mishaps_in(world: World) -> list[Happened]:
    """What may befall a world: anyone dies, a rival takes what lies about."""
    state = world.state
    lying = [item for item in state.items.values() if item.holder in state.locations]
    living = [npc.id for npc in state.npcs.values() if npc.alive]
    return [
        *(Happened(verb="died", actor=npc) for npc in living),
        *(Happened(verb="took", actor="rival", item=item.id, location=item.holder) for item in lying),
    ]


def happened(verb: str, actor: str = "hero", **roles: str) -> Happened:
    return Happened(verb=verb, actor=actor, **roles)  # type: ignore[arg-type]  # a verb of the closed list
