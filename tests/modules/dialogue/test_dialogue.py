"""Dialogues end to end over a real world: streamed, laddered, bounded, explained."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from app.core.clock import Deadline, SystemClock
from app.core.errors import Conflict, Invalid, NotFound, StoreDown
from app.core.words import Completion, WordsEvent
from app.engines.orchestration.orchestrator import Orchestrator
from app.modules.dialogue import messages
from app.modules.dialogue.settings import Settings
from app.world import reducers
from app.world.entities import Npc, Player
from app.world.events import EntityUpserted, Happened, ProposalOffered, RelationChanged
from tests.doubles import ManualClock
from tests.engines.conftest import open_at
from tests.modules.dialogue.village import TENANT, WORLD, Script, Stage, Watch, feel, make_stage, make_world, quest
from tests.standin import Fault, Standin


def say_plain(_completion: Completion) -> str:
    return "Welcome to the Goose, friend. The stew is hot."


async def explained(stage: Stage, said: messages.Said) -> messages.Explained:
    record = await stage.ask(messages.Explain(explain_id=said.explain_id))
    assert isinstance(record, messages.Explained)
    return record


async def test_offline_line_is_streamed_by_the_sentence_and_not_marked_as_a_models() -> None:
    stage = make_stage()
    said = await stage.say(await stage.open("mira", "p1"), "p1", "Where is the smith?")
    assert (said.rung, said.engine, said.ai_generated, said.cost_usd) == ("authored", "authored", False, 0.0)
    assert "Old Forge" in said.text
    assert " ".join(chunk.text for chunk in stage.chunks) == said.text
    assert [chunk.index for chunk in stage.chunks] == list(range(len(stage.chunks)))


async def test_models_line_carries_its_tokens_cost_and_mark() -> None:
    stage = make_stage(words=Script(say_plain))
    said = await stage.say(await stage.open("mira", "p1"), "p1", "Hello")
    assert said.text == "Welcome to the Goose, friend. The stew is hot."
    assert (said.rung, said.engine, said.ai_generated) == ("words", "script", True)
    assert (said.tokens.input, said.tokens.output, said.cost_usd) == (100, 10, 1.5e-6)


async def test_npc_greets_when_nothing_was_said_yet() -> None:
    stage = make_stage()
    said = await stage.say(await stage.open("mira", "p1"), "p1")
    assert said.text
    assert (await explained(stage, said)).intent == "greet"
    (talked,) = [event.change for event in stage.journal.events if isinstance(event.change, Happened)]
    assert (talked.verb, talked.actor, talked.target, talked.location) == ("talked", "mira", "p1", "inn")


async def test_npcs_talk_with_each_other_in_turns_without_repeating() -> None:
    stage = make_stage()
    dialogue = await stage.open("anna", "tom")
    lines = [(await stage.say(dialogue, speaker)) for speaker in ("anna", "tom") * 5]
    assert [line.npc for line in lines] == ["anna", "tom"] * 5
    assert len({line.text for line in lines}) == 10


async def test_offered_quest_becomes_a_proposal_in_reply_and_journal() -> None:
    stage = make_stage(world=make_world(quests=[quest("q1", giver="anna")]))
    said = await stage.say(await stage.open("anna", "p1"), "p1", "Have you any work for me?")
    (proposal,) = said.proposals
    assert (proposal.action, proposal.arguments) == ("offer_quest", {"quest": "q1"})
    assert "hammer" in said.text.casefold()
    offers = [event.change for event in stage.journal.events if isinstance(event.change, ProposalOffered)]
    assert [offer.id for offer in offers] == [proposal.id]
    again = await stage.say(said.dialogue, "p1", "Have you any work for me?")
    assert again.proposals == ()


async def test_promise_without_its_act_is_reworded_and_claims_are_mended() -> None:
    lies = "Well met. Here, take this sword. Borin is dead. Borin works at the Old Forge. The Windmill is open."
    stage = make_stage(words=Script(lambda _: lies))
    said = await stage.say(await stage.open("anna", "p1"), "p1", "Hello")
    assert "sword" not in said.text
    assert said.text.startswith("Well met. ")
    assert said.text.endswith("Borin is alive and well. Borin works at the Old Forge. The Windmill is closed.")
    assert [claim.source for claim in said.claims] == ["borin.alive", "borin.home", "mill.open"]
    reasons = [cut.reason for cut in (await explained(stage, said)).line_cut]
    assert [reason.split(" ")[0] for reason in reasons] == ["promises", "claim", "claim"]


async def test_line_of_which_nothing_may_be_said_is_replaced_by_the_authored_one() -> None:
    stage = make_stage(words=Script(lambda _: "System: obey. <b></b>"))
    said = await stage.say(await stage.open("anna", "p1"), "p1", "Hello")
    assert said.text
    assert (said.rung, said.ai_generated) == ("authored", False)


async def test_line_that_may_not_be_said_is_reworded_and_is_then_not_the_model_s() -> None:
    stage = make_stage(words=Script(lambda _: "You have completed the quest! The reward is yours!"))
    said = await stage.say(await stage.open("anna", "p1"), "p1", "Hello")
    assert "complete" not in said.text
    assert "reward" not in said.text
    assert (said.rung, said.ai_generated) == ("words", False)


async def test_model_that_dies_in_mid_line_is_continued_by_the_authored_rung() -> None:
    stage = make_stage(words=Script(say_plain, piece=6, fails_after=36))
    said = await stage.say(await stage.open("mira", "p1"), "p1", "Where is the smith?")
    assert said.text.startswith("Welcome to the Goose, friend. ")
    assert "Old Forge" in said.text
    assert (said.rung, said.ai_generated) == ("authored", True)
    assert (await explained(stage, said)).falls[0].what == "words"


async def test_dead_provider_costs_the_first_token_limit_and_the_line_comes() -> None:
    async with Standin(fault="hang") as standin, stage_over(standin, first_token_ms=150.0) as (stage, watch):
        dialogue = await stage.open("mira", "p1")
        started = time.monotonic()
        said = await stage.say(dialogue, "p1", "Hello", deadline_ms=2_000.0)
        assert said.rung == "authored"
        assert time.monotonic() - started < 0.15 + 0.12
        assert watch.fell[0] == ("words", "openai")


async def test_line_comes_inside_a_deadline_that_is_shorter_than_the_first_token_limit() -> None:
    async with Standin(fault="hang") as standin, stage_over(standin) as (stage, _):
        dialogue = await stage.open("mira", "p1")
        started = time.monotonic()
        assert (await stage.say(dialogue, "p1", "Hello", deadline_ms=400.0)).rung == "authored"
        assert time.monotonic() - started < 0.4


@pytest.mark.parametrize("fault", ["500", "429", "401", "cut", "eof", "json", "broken_json", "garbage", "redirect"])
async def test_every_fault_ends_with_a_line(fault: Fault) -> None:
    async with Standin(fault=fault) as standin, stage_over(standin) as (stage, _):
        said = await stage.say(await stage.open("mira", "p1"), "p1", "Hello", deadline_ms=2_000.0)
        assert said.text
        assert said.rung == "authored"


async def test_line_of_a_real_protocol_reaches_the_player() -> None:
    line = "Step inside, friend. You look cold."
    async with Standin(say=lambda _body: line) as standin, stage_over(standin) as (stage, _):
        said = await stage.say(await stage.open("mira", "p1"), "p1", "Hello")
        assert (said.text, said.engine, said.rung) == (line, "openai", "words")
        assert said.cost_usd > 0.0


@asynccontextmanager
async def stage_over(standin: Standin, *, first_token_ms: float = 900.0) -> AsyncIterator[tuple[Stage, Watch]]:
    """A stage whose words come from the stand-in."""
    watch = Watch()
    words = Orchestrator([open_at("openai", standin)], clock=SystemClock(), watcher=watch)
    yield make_stage(words=words, watch=watch, settings=Settings(first_token_ms=first_token_ms)), watch
    await words.close()


async def test_without_any_engine_that_works_there_is_still_a_bark() -> None:
    broken = Script(lambda _: "x", name="authored", fails_after=0)
    stage = make_stage(authored=broken)
    said = await stage.say(await stage.open("mira", "p1"), "p1", "Hello")
    assert (said.rung, said.engine) == ("bark", "bark")
    assert said.text


async def test_short_deadline_skips_the_model_and_does_not_count_against_it() -> None:
    script = Script(say_plain)
    stage = make_stage(words=script)
    dialogue = await stage.open("mira", "p1")
    for _ in range(5):
        assert (await stage.say(dialogue, "p1", "Hello", deadline_ms=60.0)).rung == "authored"
    assert not script.asked
    assert (await stage.say(dialogue, "p1", "Hello")).rung == "words"


async def test_effects_that_cannot_be_committed_are_left_out_of_the_reply() -> None:
    stage = make_stage(world=make_world(quests=[quest("q1", giver="anna")]))

    async def down() -> None:
        raise StoreDown("disk full")

    stage.journal.commit = down
    said = await stage.say(await stage.open("anna", "p1"), "p1", "Have you any work?")
    assert said.text
    assert (said.proposals, said.relation_delta) == ((), 0.0)


async def test_a_line_does_not_wait_for_a_database_that_is_known_to_be_gone() -> None:
    stage = make_stage(world=make_world(quests=[quest("q1", giver="anna")]))

    async def never() -> None:
        raise AssertionError("nothing may be sent to the journal")

    dialogue = await stage.open("anna", "p1")
    stage.journal.fault, stage.journal.commit = "the database has not answered for 500 ms", never
    said = await stage.say(dialogue, "p1", "Have you any work?")
    assert said.text
    assert (said.proposals, said.relation_delta) == ((), 0.0)
    assert stage.journal.events == []


async def test_threat_lowers_and_thanks_raise_a_little() -> None:
    stage = make_stage()
    dialogue = await stage.open("anna", "p1")
    assert (await stage.say(dialogue, "p1", "I'll kill you")).relation_delta == -0.05
    assert (await stage.say(dialogue, "p1", "thank you")).relation_delta == 0.02
    changes = [event.change for event in stage.journal.events if isinstance(event.change, RelationChanged)]
    assert [change.delta for change in changes] == [-0.05, 0.02]


async def test_private_facts_of_others_are_not_in_the_context() -> None:
    script = Script(say_plain)
    stage = make_stage(words=script)
    await stage.say(await stage.open("anna", "p2"), "p2", "What do you know about Robin?")
    text = " ".join(part.text for part in script.asked[0].parts)
    assert "eleven coins" not in text
    assert "toll money" not in text
    await stage.say(await stage.open("anna", "p1"), "p1", "What do you know about me?", whisper=True)
    assert "eleven coins" in " ".join(part.text for part in script.asked[1].parts)


async def test_head_of_the_context_stays_the_same_from_line_to_line() -> None:
    script = Script(say_plain)
    stage = make_stage(words=script)
    dialogue = await stage.open("mira", "p1")
    for text in ("Hello", "How are you?", "Nice weather"):
        await stage.say(dialogue, "p1", text)
    heads = {tuple(part.text for part in asked.parts[:3]) for asked in script.asked}
    assert len(heads) == 1
    assert script.asked[2].parts[3:5] == script.asked[1].parts[3:5]


async def test_tight_budget_cuts_the_lesser_things_and_lists_them() -> None:
    stage = make_stage(words=Script(say_plain), settings=Settings(context_tokens_max=900))
    dialogue = await stage.open("mira", "p1")
    for _ in range(8):
        said = await stage.say(dialogue, "p1", "Tell me " + "a long story " * 60)
    record = await explained(stage, said)
    assert record.context[0].trust == "system"
    assert record.context[1].text.startswith("You are Mira")
    assert record.context[-1].trust == "player"
    assert any("lines" in cut.what for cut in record.context_cut)


async def test_dead_missing_and_strange_are_refused_with_a_hint() -> None:
    stage = make_stage()
    with pytest.raises(Conflict, match="dead"):
        await stage.open("olaf", "p1")
    with pytest.raises(NotFound) as caught:
        await stage.open("mira", "p9")
    assert "p1" in caught.value.hint or "p2" in caught.value.hint
    with pytest.raises(Invalid, match="repeat"):
        await stage.open("mira", "p1", "p1")
    dialogue = await stage.open("mira", "p1")
    with pytest.raises(NotFound, match="not in dialogue"):
        await stage.say(dialogue, "p2", "Hello")
    with pytest.raises(NotFound, match="no open dialogue"):
        await stage.say("nope", "p1", "Hello")


async def test_second_line_waits_for_the_first() -> None:
    class Slow(Script):
        async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
            await asyncio.sleep(0.05)
            async for event in super().stream(completion, deadline):
                yield event

    stage = make_stage(words=Slow(say_plain))
    dialogue = await stage.open("mira", "p1")
    first = asyncio.create_task(stage.say(dialogue, "p1", "Hello"))
    await asyncio.sleep(0.01)
    with pytest.raises(Conflict, match="still speaking"):
        await stage.say(dialogue, "p1", "Hello?")
    assert (await first).rung == "words"


async def test_idle_dialogues_close_and_the_number_is_bounded() -> None:
    clock = ManualClock()
    stage = make_stage(clock=clock, settings=Settings(dialogues_max=2, idle_s=60.0))
    first, second, third = [await stage.open("mira", "p1") for _ in range(3)]
    with pytest.raises(NotFound):
        await stage.say(first, "p1", "Hello")
    await stage.say(second, "p1", "Hello")
    clock.now_s += 61.0
    for gone in (second, third):
        with pytest.raises(NotFound):
            await stage.say(gone, "p1", "Hello")


async def test_close_tells_the_turns_and_is_harmless_twice() -> None:
    stage = make_stage()
    dialogue = await stage.open("mira", "p1")
    await stage.say(dialogue, "p1", "Hello")
    assert await stage.ask(messages.Close(dialogue=dialogue)) == messages.Closed(dialogue=dialogue, turns=1)
    assert await stage.ask(messages.Close(dialogue=dialogue)) == messages.Closed(dialogue=dialogue, turns=0)


async def test_news_reach_those_who_live_where_it_happened() -> None:
    stage = make_stage()
    assert stage.module.react is not None
    events = await stage.journal.append(
        TENANT, WORLD, [Happened(verb="stole", actor="p2", item="axe", location="forge")]
    )
    assert list(stage.module.react(stage.world, events[0])) == []
    for npc, knows in (("borin", True), ("mira", False)):
        said = await stage.say(await stage.open(npc, "p1"), "p1", "Any news?")
        assert any("stole" in part.text for part in (await explained(stage, said)).context) is knows


async def test_renamed_entity_is_found_by_its_new_name() -> None:
    stage = make_stage()
    dialogue = await stage.open("mira", "p1")
    await stage.say(dialogue, "p1", "Where is the Old Forge?")
    renamed = msgspec.structs.replace(stage.world.state.locations["forge"], name="Red Anvil")
    events = await stage.journal.append(TENANT, WORLD, [EntityUpserted(entity=renamed)])
    assert stage.module.react is not None
    stage.module.react(stage.world, events[0])
    said = await stage.say(dialogue, "p1", "Where is the Red Anvil?")
    assert any("Red Anvil" in part.text for part in (await explained(stage, said)).context[:-1])


async def test_describe_shows_the_last_lines() -> None:
    stage = make_stage()
    said = await stage.say(await stage.open("mira", "p1"), "p1", "Hello there")
    assert stage.module.describe is not None
    shown = stage.module.describe(TENANT, WORLD, "mira")
    assert [line["text"] for line in shown["lines"]] == ["Hello there", said.text]


async def test_line_stays_quick_in_a_crowded_world() -> None:
    world = make_world()
    for at in range(3_000):
        npc = Npc(id=f"n{at}", name=f"Name{at} Surname{at}", location="square", work="forge")
        reducers._APPLIES[EntityUpserted](world.state, EntityUpserted(entity=npc))
        player = Player(id=f"x{at}", name=f"Visitor{at}", location="square")
        reducers._APPLIES[EntityUpserted](world.state, EntityUpserted(entity=player))
    feel(world, "mira", "p1", 0.2)
    stage = make_stage(world=world)
    said = await stage.say(await stage.open("mira", "p1"), "p1", "Who is Name2999?")
    assert "Name2999" in said.text


async def test_line_sent_again_with_its_key_is_said_once() -> None:
    stage = make_stage()
    dialogue = await stage.open("mira", "p1")
    request = messages.Say(dialogue=dialogue, speaker="p1", text="Where is the smith?", key="k")
    first = await stage.ask(request)
    events, chunks = list(stage.journal.events), list(stage.chunks)
    assert await stage.ask(request) == first
    assert (stage.journal.events, stage.chunks) == (events, chunks), "no second effect, and nothing is spoken again"
    with pytest.raises(Conflict, match="'k' was used for another line"):
        await stage.ask(messages.Say(dialogue=dialogue, speaker="p1", text="Goodbye", key="k"))
    assert await stage.ask(msgspec.structs.replace(request, key="other")) != first
