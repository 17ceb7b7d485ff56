"""A small village to talk in, and a dialogue module over it with whatever engine a test gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from app.core.clock import Clock, Deadline, SystemClock
from app.core.dialogue_records import LineRecords
from app.core.errors import EngineDown
from app.core.memory import Memory
from app.core.messages import Chunk
from app.core.module import Call, Module
from app.core.ports import EngineStatus
from app.core.prompts import Prompts
from app.core.reports import Reports
from app.core.words import Completion, Usage, Words, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.engines.authored import open_authored
from app.modules.dialogue import messages
from app.modules.dialogue.module import build
from app.modules.dialogue.settings import Settings
from app.world import reducers
from app.world.entities import AnyEntity, Fact, Item, Location, Npc, Persona, Player
from app.world.events import EntityUpserted, FactAsserted, QuestRecorded, RelationChanged
from app.world.loops import Governor
from app.world.state import World, Worlds
from tests.doubles import RamJournal, RamReports, SilentLog
from tests.prompts import registry

TENANT, WORLD = "studio", "vale"

ENTITIES: tuple[AnyEntity, ...] = (
    Location(id="square", name="Market Square", map="vale", x=50, y=50, connects=("forge", "inn", "bridge")),
    Location(id="forge", name="Old Forge", map="vale", x=90, y=50, connects=("square",), tags=("smithy",)),
    Location(id="inn", name="Gilded Goose", map="vale", x=50, y=20, connects=("square",), tags=("inn", "tavern")),
    Location(id="bridge", name="Stone Bridge", map="vale", x=50, y=160, connects=("square", "mill")),
    Location(id="mill", name="Windmill", map="vale", x=20, y=300, connects=("bridge",), open=False),
    Npc(
        id="mira", name="Mira", archetype="innkeeper", location="inn", home="inn", work="inn",
        persona=Persona(summary="Keeps the inn, hears everything.", voice="warm, dry", traits=("warm",)),
    ),
    Npc(id="borin", name="Borin", archetype="blacksmith", location="forge", home="forge", work="forge"),
    Npc(id="anna", name="Anna", archetype="guard", location="square", home="inn", work="square"),
    Npc(id="tom", name="Tom", archetype="farmer", location="square", home="mill", work="mill"),
    Npc(id="olaf", name="Olaf", archetype="elder", location="square", home="inn", alive=False),
    Player(id="p1", name="Robin", location="square"),
    Player(id="p2", name="Sly", location="square"),
    Item(id="axe", name="iron axe", item_kind="axe", holder="borin", value=12.0),
    Item(id="crown", name="silver crown", item_kind="crown", holder="anna", value=900.0),
    Item(id="rope", name="rope", item_kind="rope", holder="p1", value=1.0),
)  # fmt: skip

FACTS = (
    Fact(subject="world", predicate="weather", value="light rain"),
    Fact(subject="world", predicate="hour", value=9.0),
    Fact(subject="inn", predicate="rumor", value="They say the cellar of the Gilded Goose is older than the village"),
    Fact(subject="anna", predicate="secret", value="Anna took the toll money", known_by=("anna",)),
    Fact(subject="p1", predicate="debt", value="Robin owes eleven coins", known_by=("anna", "p1")),
)


def quest(id: str, *, giver: str, state: str = "offered", player: str = "") -> QuestRecorded:
    """A quest record with the head that talk reads."""
    body = {
        "giver": giver, "player": player, "title": "The Lost Hammer",
        "description": "My best hammer went missing by the bridge. Find it and bring it back to me.",
        "goals": [{"text": "find the hammer at the Stone Bridge", "done": False}],
    }  # fmt: skip
    return QuestRecorded(id=id, state=state, body=msgspec.msgpack.encode(body))


def make_world(*, quests: Iterable[QuestRecorded] = ()) -> World:
    """The village on a rainy morning."""
    world = World(TENANT, WORLD)
    changes = [*(EntityUpserted(entity=entity) for entity in ENTITIES), *(FactAsserted(fact=fact) for fact in FACTS)]
    for change in (*changes, *quests):
        reducers.check(world, change)
        reducers._APPLIES[type(change)](world.state, change)
        world.state.seq += 1
    return world


def feel(world: World, npc: str, other: str, relation: float) -> None:
    """Let `npc` feel so about `other`."""
    change = RelationChanged(npc=npc, other=other, delta=relation - world.relation(npc, other))
    reducers._APPLIES[RelationChanged](world.state, change)


@dataclass
class Script:
    """A Words engine that says what a function makes of each request, in pieces of `piece` characters."""

    write: Callable[[Completion], str]
    name: str = "script"
    piece: int = 7
    fails_after: int | None = None
    asked: list[Completion] = field(default_factory=list)
    closed: int = 0

    def status(self) -> EngineStatus:
        return EngineStatus(name=self.name, kind="script", state="ready")

    async def close(self) -> None:
        return None

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        self.asked.append(completion)
        text = self.write(completion)
        try:
            yield WordsStart(engine=self.name, model="script-1")
            for at in range(0, len(text), self.piece):
                if self.fails_after is not None and at >= self.fails_after:
                    raise EngineDown(f"{self.name} broke at {at}")
                yield WordsDelta(text=text[at : at + self.piece])
            if self.fails_after is not None:
                raise EngineDown(f"{self.name} broke at its end")
            yield WordsEnd(reason="stop", usage=Usage(tokens_in=100, tokens_out=10, cost_nano_usd=1_500))
        finally:
            self.closed += 1


@dataclass
class Watch:
    """A Watcher that keeps what it was told."""

    fell: list[tuple[str, str]] = field(default_factory=list)
    rose: list[tuple[str, str]] = field(default_factory=list)

    def rung_fell(self, module: str, rung: str, reason: str) -> None:
        self.fell.append((module, rung))

    def rung_rose(self, module: str, rung: str) -> None:
        self.rose.append((module, rung))


@dataclass
class Stage:
    """A running dialogue module: open and say as a game server would."""

    module: Module
    world: World
    journal: RamJournal
    clock: Clock
    chunks: list[messages.Spoken] = field(default_factory=list)

    async def ask(self, request: object, *, deadline_ms: float = 5_000.0) -> object:
        """The reply of the handler for this request."""
        handler = next(each for each in self.module.handlers if each.request is type(request))
        return await handler.run(self.call(deadline_ms), request)

    def call(self, deadline_ms: float) -> Call:
        async def send(chunk: Chunk) -> None:
            assert isinstance(chunk, messages.Spoken)
            self.chunks.append(chunk)

        deadline = Deadline.after_ms(deadline_ms, self.clock)
        return Call(id="1", tenant=TENANT, world=WORLD, deadline=deadline, log=SilentLog(), send=send)

    async def open(self, npc: str, *participants: str) -> str:
        opened = await self.ask(messages.Open(npc=npc, participants=participants))
        assert isinstance(opened, messages.Opened)
        return opened.dialogue

    async def say(
        self,
        dialogue: str,
        speaker: str,
        text: str = "",
        *,
        to: str = "",
        whisper: bool = False,
        deadline_ms: float = 5_000.0,
    ) -> messages.Said:
        request = messages.Say(dialogue=dialogue, speaker=speaker, text=text, to=to, whisper=whisper)
        said = await self.ask(request, deadline_ms=deadline_ms)
        assert isinstance(said, messages.Said)
        return said


def make_stage(
    *,
    words: Words | None = None,
    authored: Words | None = None,
    world: World | None = None,
    settings: Settings | None = None,
    clock: Clock | None = None,
    watch: Watch | None = None,
    rungs: tuple[str, ...] = ("words", "authored", "bark"),
    prompts: Prompts | None = None,
    memory: Memory | None = None,
    records: LineRecords | None = None,
    reports: Reports | None = None,
) -> Stage:
    """A dialogue module over the village; without `words` it runs offline."""
    worlds, governor = Worlds(), Governor()
    village = world if world is not None else make_world()
    worlds.add(village)
    journal = RamJournal(worlds)
    ticking = clock if clock is not None else SystemClock()
    module = build(
        settings=settings or Settings(),
        worlds=worlds,
        journal=journal,
        clock=ticking,
        watcher=watch or Watch(),
        words=words,
        prompts=prompts or registry(),
        reports=reports or RamReports(),
        authored=authored or open_authored(governor=governor),
        rungs=rungs,
        memory=memory,
        records=records,
        governor=governor,
    )
    return Stage(module, village, journal, ticking)
