"""A small valley to make content for: two factions at odds, an inn with a past, a door that wants a key."""

from __future__ import annotations

from app.core.clock import Deadline
from app.core.messages import Chunk, Reply, Request
from app.core.module import Call
from app.core.words import Words
from app.modules.content.module import build
from app.modules.content.settings import Settings
from app.world import reducers
from app.world.entities import AnyEntity, Fact, Faction, Item, Location, Npc, Player
from app.world.events import EntityUpserted, FactAsserted
from app.world.state import World, Worlds
from tests.doubles import ManualClock, RamJournal, SilentLog
from tests.prompts import registry

TENANT, WORLD = "studio", "valley"
ENTITIES: tuple[AnyEntity, ...] = (
    Location(id="inn", name="the Gilded Goose", connects=("square",)),
    Location(id="square", name="Market Square", connects=("inn", "vault")),
    Location(id="vault", name="the old vault", open=False),
    Faction(id="carters", name="the Carters", relations={"watch": -0.6, "monks": 0.7}),
    Faction(id="watch", name="the Town Watch", relations={"carters": -0.4}),
    Faction(id="monks", name="the Gray Monks"),
    Npc(id="mira", name="Mira", archetype="innkeeper", faction="carters", work="inn", home="inn", location="inn"),
    Npc(id="tom", name="Tom", archetype="farmer", faction="carters", level=4, work="square", home="inn"),
    Npc(id="anna", name="Anna", archetype="guard", faction="watch", work="square", home="square"),
    Npc(id="olaf", name="Olaf", faction="watch", level=9, alive=False),
    Player(id="p1", name="Robin", location="inn"),
    Item(id="crown", name="silver crown", item_kind="crown", holder="anna", value=900.0, tags=("unique",)),
)
FACTS = (
    Fact(subject="square", predicate="built_year", value="long ago"),
    Fact(subject="inn", predicate="rumor", value="The cellar is older than the hill"),
    Fact(subject="anna", predicate="secret", value="She took the toll money", known_by=("anna",)),
)


def valley(*more: Fact) -> World:
    """The valley, and what else is said of it."""
    world = World(TENANT, WORLD)
    changes = (
        *(EntityUpserted(entity=entity) for entity in ENTITIES),
        *(FactAsserted(fact=fact) for fact in (*FACTS, *more)),
    )
    for change in changes:
        reducers.check(world, change)
        reducers._APPLIES[type(change)](world.state, change)
        world.state.seq += 1
    return world


class Stage:
    """The module over a world, a journal in RAM, and words where a test gives any."""

    def __init__(self, world: World, *, words: Words | None = None, settings: Settings | None = None) -> None:
        worlds = Worlds()
        worlds.add(world)
        self.world = world
        self.journal = RamJournal(worlds)
        self.module = build(
            settings=settings or Settings(),
            worlds=worlds,
            journal=self.journal,
            clock=ManualClock(),
            words=words,
            prompts=registry(),
        )
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
