"""What is behind a line can be asked for after a restart, and the line can be made again from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from app.core.dialogue_records import Sheet
from app.core.errors import NotFound
from app.core.memory import Cue, Recollection
from app.core.words import fitted
from app.modules.dialogue import messages
from app.modules.dialogue.context import cost_of
from app.modules.dialogue.settings import Settings
from app.world import reducers
from app.world.entities import Fact, Player
from app.world.events import EntityRemoved, EntityUpserted, FactAsserted
from app.world.state import World
from tests.modules.dialogue.village import TENANT, WORLD, Script, Stage, make_stage, make_world, quest

OFFER = '{"act": "offer_quest", "arguments": {"quest": "q1"}}\n'


@dataclass
class Shelf:
    """LineRecords in a dict, made at once."""

    sheets: dict[tuple[str, str, str], Sheet] = field(default_factory=dict)

    def keep(self, tenant: str, world: str, id: str, make: Callable[[], Sheet]) -> None:
        self.sheets[tenant, world, id] = make()

    async def find(self, tenant: str, world: str, id: str) -> bytes | None:
        found = self.sheets.get((tenant, world, id))
        return found.body if found is not None else None

    def forget(self, tenant: str, world: str) -> None:
        return None


@dataclass
class Mind:
    """A memory that always holds the same."""

    memories: tuple[Recollection, ...]

    async def recall(self, tenant: str, world: str, npc: str, cue: Cue) -> tuple[Recollection, ...]:
        return self.memories

    async def pinned(self, tenant: str, world: str, npc: str, listener: str) -> tuple[Recollection, ...]:
        return ()

    def prepare(self, tenant: str, world: str, npcs: Sequence[str]) -> None:
        """It is always ready."""


def change(world: World, *changes: EntityUpserted | FactAsserted | EntityRemoved) -> None:
    for each in changes:
        reducers.check(world, each)
        reducers._APPLIES[type(each)](world.state, each)
        world.state.seq += 1


async def explained(stage: Stage, id: str) -> messages.Explained:
    found = await stage.ask(messages.Explain(explain_id=id))
    assert isinstance(found, messages.Explained)
    return found


async def replayed(stage: Stage, id: str) -> messages.Replayed:
    found = await stage.ask(messages.Replay(explain_id=id))
    assert isinstance(found, messages.Replayed)
    return found


async def test_a_line_is_explained_alike_after_a_restart() -> None:
    shelf = Shelf()
    memory = Recollection(
        id="m1", seq=3, text="Sly stole a goose.", source="told_by", told_by="tom", score=1.5, why={"words": 1.5}
    )
    stage = make_stage(records=shelf, memory=Mind((memory,)))
    said = await stage.say(await stage.open("anna", "p1"), "p1", "Hello there")
    before = await explained(stage, said.explain_id)
    after = await explained(make_stage(records=shelf), said.explain_id)
    assert after == before
    (told,) = after.recalled
    assert (told.id, told.told_by, told.score, told.why) == ("m1", "tom", 1.5, {"words": 1.5})
    assert "Heard from Tom" in "".join(part.text for part in after.context)


async def test_an_authored_line_is_made_again_word_for_word() -> None:
    shelf = Shelf()
    stage = make_stage(records=shelf, world=make_world(quests=[quest("q1", giver="anna")]))
    dialogue = await stage.open("anna", "p1")
    asked = ("Hello", "Any work for me?", "Where is the forge?", "Who is Borin?", "Thanks", "Farewell")
    ids = [(await stage.say(dialogue, "p1", text)).explain_id for text in asked]
    later = make_stage(records=shelf, world=make_world(quests=[quest("q1", giver="anna")]))
    for id in ids:
        again = await replayed(later, id)
        assert (again.equal, again.differs, again.rungs) == (True, (), ("authored",))
        assert again.recorded == again.replayed != ""


async def test_what_a_model_wrote_goes_through_the_gate_of_today() -> None:
    shelf = Shelf()
    world = make_world(quests=[quest("q1", giver="anna")])
    script = Script(lambda _completion: f"{OFFER}I have work for you. The Windmill is closed.")
    stage = make_stage(records=shelf, words=script, world=world)
    said = await stage.say(await stage.open("anna", "p1"), "p1", "Any work?")
    assert "closed" in said.text
    assert [proposal.action for proposal in said.proposals] == ["offer_quest"]
    same = await replayed(stage, said.explain_id)
    assert (same.equal, same.replayed) == (True, said.text)
    mill = world.state.locations["mill"]
    change(world, EntityUpserted(entity=type(mill)(id="mill", name=mill.name, map=mill.map, x=20, y=300, open=True)))
    changed = await replayed(stage, said.explain_id)
    assert not changed.equal
    assert "text" in changed.differs
    assert changed.recorded == said.text
    assert "closed" not in changed.replayed


async def test_a_line_that_two_rungs_have_spoken_is_made_again_whole() -> None:
    shelf = Shelf()
    script = Script(lambda _completion: "Good day to you, friend. I was just about to", fails_after=30)
    stage = make_stage(records=shelf, words=script)
    said = await stage.say(await stage.open("anna", "p1"), "p1", "Hello")
    assert said.rung == "authored"
    again = await replayed(stage, said.explain_id)
    assert (again.equal, again.replayed, again.rungs) == (True, said.text, ("words", "authored"))


async def test_a_replay_has_no_effect_and_is_heard_by_nobody() -> None:
    shelf = Shelf()
    world = make_world(quests=[quest("q1", giver="anna")])
    stage = make_stage(records=shelf, words=Script(lambda _completion: f"{OFFER}I have work for you."), world=world)
    said = await stage.say(await stage.open("anna", "p1"), "p1", "Any work?")
    before = (len(stage.journal.events), len(stage.chunks), world.state.seq)
    await replayed(stage, said.explain_id)
    assert (len(stage.journal.events), len(stage.chunks), world.state.seq) == before


async def test_a_record_is_about_everybody_who_could_be_named_in_it() -> None:
    shelf = Shelf()
    world = make_world()
    change(
        world,
        EntityUpserted(entity=Player(id="p3", name="Ada Lovelock")),
        EntityUpserted(entity=Player(id="p4", name="Nobody Here")),
        FactAsserted(fact=Fact(subject="inn", predicate="guest", value="ADA LOVELOCK sleeps upstairs")),
    )
    stage = make_stage(records=shelf, world=world)
    said = await stage.say(await stage.open("mira", "p1"), "p1", "Have you seen Sly?")
    assert shelf.sheets[TENANT, WORLD, said.explain_id].persons == {"p1", "p2", "p3"}


async def test_a_line_to_somebody_who_was_erased_meanwhile_is_not_kept() -> None:
    shelf = Shelf()
    world = make_world()

    def leave(_completion: object) -> str:
        change(world, EntityRemoved(entity_kind="player", id="p1"))
        return "Good day."

    stage = make_stage(records=shelf, words=Script(leave), world=world)
    await stage.say(await stage.open("anna", "p1"), "p1", "Hello")
    assert shelf.sheets == {}


async def test_a_line_of_another_world_or_of_none_is_not_found() -> None:
    stage = make_stage(records=Shelf())
    for ask in (messages.Explain(explain_id="none"), messages.Replay(explain_id="none")):
        with pytest.raises(NotFound):
            await stage.ask(ask)


async def test_a_persona_that_no_budget_holds_is_spoken_by_the_author_and_says_why() -> None:
    world = make_world()
    npc = world.npc("anna")
    long = type(npc.persona)(summary="x" * 2_000, goals=("y" * 2_000,) * 5)
    change(world, EntityUpserted(entity=type(npc)(id="anna", name="Anna", location="square", persona=long)))
    script = Script(lambda _completion: "Never asked.")
    stage = make_stage(words=script, world=world)
    said = await stage.say(await stage.open("anna", "p1"), "p1", "Hello")
    assert (said.rung, script.asked) == ("authored", [])
    (fall,) = (await explained(stage, said.explain_id)).falls
    assert "tokens too long" in fall.reason


async def test_an_engine_that_takes_less_is_given_less_of_the_same() -> None:
    script = Script(lambda _completion: "A fine day.")
    stage = make_stage(words=script, settings=Settings(context_tokens={"llama": 700}))
    dialogue = await stage.open("mira", "p1")
    for n in range(8):
        await stage.say(dialogue, "p1", f"This is a rather long thing to say about the weather, number {n}.")
    whole = script.asked[-1]
    small = fitted(whole, "llama")
    assert fitted(whole, "openai") is whole
    assert small.parts[:2] == whole.parts[:2]
    assert small.parts[-1] == whole.parts[-1]
    assert sum(map(cost_of, small.parts)) <= 700 < sum(map(cost_of, whole.parts))


async def test_an_authored_line_is_made_again_after_much_else_was_said() -> None:
    """What has gone round since then is no part of a line that was written before."""
    stage = make_stage(records=Shelf())
    said = []
    for _ in range(6):
        dialogue = await stage.open("anna", "p1")
        said += [await stage.say(dialogue, "p1", text) for text in ("Hello!", "How are you today?", "Thanks, bye")]
    assert len({line.text for line in said}) > len(said) // 2
    for line in said:
        again = await replayed(stage, line.explain_id)
        assert again.equal, (line.text, again.replayed)
