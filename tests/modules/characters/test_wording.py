"""A model may word a summary, and nothing that it makes up reaches the world."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import msgspec
import pytest

from app.core.clock import Deadline
from app.core.errors import EngineDown
from app.core.messages import Change, Chunk, Event
from app.core.module import Call
from app.core.ports import EngineStatus
from app.core.words import Completion, Spent, Usage, Words, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.modules.characters.messages import Cast, Check, Checked, Generate
from app.modules.characters.module import build
from app.modules.characters.settings import Settings
from app.world.entities import Fact, Npc
from app.world.events import WordsUsed
from app.world.state import World, Worlds, pair
from tests.doubles import ManualClock, RamJournal, SilentLog
from tests.modules.characters.test_made import village
from tests.prompts import registry


class Writer:
    """An engine of words that writes one text for whoever asks, and keeps what it was asked."""

    name = "writer"

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[Completion] = []

    def status(self) -> EngineStatus:
        return EngineStatus(name=self.name, kind="test", state="ready")

    async def close(self) -> None: ...

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        self.asked.append(completion)
        usage = Usage(tokens_in=50, tokens_out=20, cost_nano_usd=7)
        assert completion.bill is not None
        completion.bill.items.append(
            Spent(engine="writer", model="m", task=completion.task, usage=usage, outcome="ok", estimated=False)
        )
        if not self.text:
            raise EngineDown("no words today")
        yield WordsStart(engine="writer", model="m")
        yield WordsDelta(text=self.text)
        yield WordsEnd(reason="stop", usage=usage)


class OrderlyJournal(RamJournal):
    """Each change is checked against the world with those before it, as the real one does."""

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
        if not changes:
            return await super().append(tenant, world, (), key=key, request=request)
        events: list[Event] = []
        for change in changes:
            events += await RamJournal.append(self, tenant, world, [change])
        if key:
            self.answered[tenant, world, key] = (request, events)
        return events


class Stage:
    """The module over a village, with a writer."""

    def __init__(self, text: str, *, writer: Words | None = None) -> None:
        self.world: World = village()
        self.world.state.npcs["bet"] = Npc(
            id="bet", name="Bettina Crowe", archetype="innkeeper", home="row", work="lantern"
        )
        secret = Fact(
            subject="bet", predicate="past", value="Bettina Crowe was a spy for the baron.", known_by=("bet",)
        )
        self.world.state.facts[pair("bet", "past")] = (secret,)
        worlds = Worlds()
        worlds.add(self.world)
        self.journal = OrderlyJournal(worlds)
        self.writer = Writer(text)
        module = build(
            settings=Settings(),
            worlds=worlds,
            journal=self.journal,
            clock=ManualClock(),
            words=writer or self.writer,
            prompts=registry(),
        )
        self._runs = {handler.request: handler.run for handler in module.handlers}

    async def ask(self, **fields: object) -> Cast:
        wish = {"plan": "tavern", "count": 1, "place": "lantern", "seed": 3, "words": True, **fields}
        reply = await self._runs[Generate](self._call(), Generate(**wish))  # type: ignore[arg-type]  # fields by name
        assert isinstance(reply, Cast)
        return reply

    async def check(self, npc: Npc) -> Checked:
        reply = await self._runs[Check](self._call(), Check(npc=npc))
        assert isinstance(reply, Checked)
        return reply

    def _call(self) -> Call:
        async def send(_chunk: Chunk) -> None: ...

        deadline = Deadline.after_ms(10_000, ManualClock())
        return Call(id="c", tenant="studio", world="vale", deadline=deadline, log=SilentLog(), send=send)


async def test_a_summary_that_says_only_what_is_bound_is_used_and_marked() -> None:
    stage = Stage("Nobody at the Copper Lantern cooks as Bettina Crowe likes it, so the work never ends.")
    made = await stage.ask()
    one = made.characters[0]
    assert one.summary == stage.writer.text
    assert one.npc.attributes["ai_generated"] is True
    assert made.ai_generated
    assert stage.world.state.npcs[one.npc.id].persona.summary == stage.writer.text
    spent = [event.change for event in stage.journal.events if isinstance(event.change, WordsUsed)]
    assert [change.cost_nano_usd for change in spent] == [7]
    told = " ".join(part.text for part in stage.writer.asked[0].parts)
    assert one.npc.name in told
    assert all(str(fact.value) not in told for fact in one.facts if fact.known_by), "secrets are not sent away"
    assert "baron" not in told


@pytest.mark.parametrize(
    "text",
    [
        "She cooks at the Copper Lantern and owes money to Lord Varric of Duskhollow.",
        "She cooks at the Copper Lantern and has buried three husbands and 12 cats.",
        "She cooks at the Copper Lantern and sells the best of it at the Library.",
        "Bettina Crowe is dead, and the kitchen is cold.",
        "word " * 400,
        "",
    ],
)
async def test_what_a_model_makes_up_is_not_used(text: str) -> None:
    stage, plain = Stage(text), Stage("")
    made, authored = await stage.ask(), await plain.ask(words=False)
    assert made.characters[0].summary == authored.characters[0].summary
    assert not made.ai_generated
    assert "ai_generated" not in made.characters[0].npc.attributes
    assert any(isinstance(event.change, WordsUsed) for event in stage.journal.events), "it was paid all the same"


async def test_a_preview_pays_for_words_and_writes_nothing_else() -> None:
    stage = Stage("Nobody at the Copper Lantern cooks as Bettina Crowe likes it.")
    made = await stage.ask(commit=False)
    assert made.ai_generated
    assert not made.committed
    assert [type(event.change) for event in stage.journal.events] == [WordsUsed]
    assert set(stage.world.state.npcs) == {"bet"}


async def test_a_retry_gives_back_the_first_words() -> None:
    stage = Stage("Nobody at the Copper Lantern cooks as Bettina Crowe likes it.")
    first = await stage.ask(key="k")
    stage.writer.text = "Something else."
    again = await stage.ask(key="k")
    assert again.characters == first.characters
    assert again.ai_generated
    assert len(stage.writer.asked) == 1


async def test_people_who_no_longer_fit_are_made_anew() -> None:
    """While a model writes, somebody of the same name comes into the world."""
    stage = Stage("Nobody at the Copper Lantern cooks as Bettina Crowe likes it.")
    namesake = (await stage.ask(commit=False)).characters[0].npc

    class Slow(Writer):
        async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
            if namesake.id not in late.world.state.npcs:
                late.world.state.npcs[namesake.id] = msgspec.structs.replace(namesake, home="row", work="")
                late.world.state.seq += 1
            async for event in super().stream(completion, deadline):
                yield event

    late = Stage("", writer=Slow("Nobody at the Copper Lantern cooks as Bettina Crowe likes it."))
    late.world.state.seq = stage.world.state.seq - 1
    made = await late.ask()
    assert made.characters[0].npc.name.split()[0] != namesake.name.split()[0]
    assert (await late.check(made.characters[0].npc)).sound
