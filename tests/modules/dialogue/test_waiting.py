"""What a player lives through while a model thinks, dies, or is cut short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from itertools import pairwise

import pytest

from app.core.clock import Deadline, SystemClock
from app.core.errors import NotFound
from app.core.words import Completion, WordsEvent
from app.engines.orchestration.members import Limits
from app.engines.orchestration.orchestrator import Orchestrator
from app.modules.dialogue import messages
from app.modules.dialogue.asides import load_asides
from app.modules.dialogue.settings import Settings
from app.world.events import MemoryNoted, ProposalOffered, WordsUsed
from tests.engines.conftest import open_at
from tests.modules.dialogue.test_bills import Paid
from tests.modules.dialogue.village import Script, Stage, Watch, make_stage, make_world, quest
from tests.standin import Fault, Standin

LINE = "Come in, come in. You look cold and wet to the bone. The stew is hot."
FILLERS = load_asides()["en"].filler


class Waiting(Script):
    """A script that says so much and then waits until it may go on."""

    def __init__(self, *arguments: object, says: int = 0) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]  # as Script
        self.says = says
        self.reached, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        at = 0
        async for event in super().stream(completion, deadline):
            if at > self.says:
                self.reached.set()
                await self.may_go_on.wait()
            at += 1
            yield event


async def cut(stage: Stage, script: Waiting, dialogue: str, text: str, *, by: str = "p1") -> messages.Said:
    """The reply to a line that is interrupted once the script has said what it should."""
    saying = asyncio.create_task(stage.say(dialogue, "p1", text))
    await asyncio.wait_for(script.reached.wait(), 3.0)
    answer = await stage.ask(messages.Interrupt(dialogue=dialogue, by=by))
    assert answer == messages.Interrupted(dialogue=dialogue, interrupted=True)
    return await saying


async def test_an_interrupted_line_ends_at_its_last_whole_sentence_and_the_rest_never_was() -> None:
    script = Waiting(lambda _: LINE, says=5)
    stage = make_stage(words=script)
    dialogue = await stage.open("mira", "p1")
    said = await cut(stage, script, dialogue, "Hello")
    assert (said.text, said.interrupted, said.next_speaker) == ("Come in, come in.", True, "p1")
    assert " ".join(chunk.text for chunk in stage.chunks) == said.text
    assert script.closed == 1, "the engine's stream is closed"
    remembered = [event.change.text for event in stage.journal.events if isinstance(event.change, MemoryNoted)]
    assert remembered == ["Hello", "Come in, come in."]
    script.says = 1_000
    await stage.say(dialogue, "p1", "You were saying?")
    shown = " ".join(part.text for part in script.asked[-1].parts)
    assert "Come in, come in." in shown
    assert "You look cold" not in shown
    explained = await stage.ask(messages.Explain(explain_id=said.explain_id))
    assert isinstance(explained, messages.Explained)
    assert explained.interrupted


async def test_an_act_that_was_not_spoken_of_is_not_offered() -> None:
    line = '{"act": "offer_quest", "arguments": {"quest": "q1"}}\nWell met. I have work for you, if you want it.'
    script = Waiting(lambda _: line, says=10)
    script.piece = 6
    stage = make_stage(words=script, world=make_world(quests=[quest("q1", giver="anna")]))
    said = await cut(stage, script, await stage.open("anna", "p1"), "Any work?")
    assert said.proposals == ()
    assert not [event for event in stage.journal.events if isinstance(event.change, ProposalOffered)]


async def test_a_line_cut_before_its_first_word_is_empty_and_what_was_heard_stays() -> None:
    script = Waiting(lambda _: LINE)
    stage = make_stage(words=script)
    said = await cut(stage, script, await stage.open("mira", "p1"), "Hello", by="")
    assert (said.text, said.interrupted) == ("", True)
    assert [event.change.text for event in stage.journal.events if isinstance(event.change, MemoryNoted)] == ["Hello"]
    assert (await stage.ask(messages.Explain(explain_id=said.explain_id))).line == ""  # type: ignore[attr-defined]  # Explained


async def test_what_an_interrupted_line_has_cost_is_billed() -> None:
    class Dear(Waiting, Paid):
        """Paid by the call."""

    script = Dear(lambda _: LINE, says=5)
    words = Orchestrator([script], clock=SystemClock(), watcher=Watch())
    stage = make_stage(words=words)
    said = await cut(stage, script, await stage.open("mira", "p1"), "Hello")
    assert said.text == "Come in, come in."
    (cost,) = [event.change for event in stage.journal.events if isinstance(event.change, WordsUsed)]
    assert (cost.cost_nano_usd, cost.estimated) == (1_200, True)


async def test_where_nobody_speaks_there_is_nothing_to_cut_and_only_who_takes_part_may() -> None:
    stage = make_stage()
    dialogue = await stage.open("mira", "p1")
    assert await stage.ask(messages.Interrupt(dialogue=dialogue)) == messages.Interrupted(
        dialogue=dialogue, interrupted=False
    )
    with pytest.raises(NotFound, match="not in dialogue"):
        await stage.ask(messages.Interrupt(dialogue=dialogue, by="p2"))


async def test_a_client_that_cancels_is_no_interruption() -> None:
    script = Waiting(lambda _: LINE, says=5)
    stage = make_stage(words=script)
    dialogue = await stage.open("mira", "p1")
    saying = asyncio.create_task(stage.say(dialogue, "p1", "Hello"))
    await script.reached.wait()
    saying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saying
    assert script.closed == 1
    script.may_go_on.set()
    assert (await stage.say(dialogue, "p1", "Hello again")).text == LINE


async def test_a_filler_bridges_a_silence_and_is_no_part_of_the_line() -> None:
    lines = iter((LINE, "Back again, are you? Sit by the fire then.", "Third time today. Is the road closed?"))
    script = Waiting(lambda _: next(lines))
    stage = make_stage(words=script, settings=Settings(filler_after_ms=20.0))
    dialogue = await stage.open("mira", "p1")
    told = []
    for _ in range(3):
        script.may_go_on.clear()
        stage.chunks.clear()
        saying = asyncio.create_task(stage.say(dialogue, "p1", "Hello"))
        async with asyncio.timeout(3):
            while not stage.chunks:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.005)
        script.may_go_on.set()
        said = await saying
        first, *rest = stage.chunks
        assert (first.filler, first.ai_generated, first.index) == (True, False, 0)
        assert said.rung == "words"
        assert " ".join(chunk.text for chunk in rest) == said.text
        assert [chunk.index for chunk in stage.chunks] == [*range(len(stage.chunks))]
        assert not any(chunk.filler for chunk in rest), "once a line"
        told.append(first.text)
    assert set(told) <= set(FILLERS)
    assert all(one != other for one, other in pairwise(told)), "never twice in a row"
    remembered = {event.change.text for event in stage.journal.events if isinstance(event.change, MemoryNoted)}
    assert not remembered & set(FILLERS)


async def test_an_npc_does_not_stall_for_another_where_no_player_hears() -> None:
    script = Waiting(lambda _: LINE)
    stage = make_stage(words=script, settings=Settings(filler_after_ms=10.0, first_token_ms=80.0))
    said = await stage.say(await stage.open("borin", "mira"), "borin")
    assert said.text
    assert not any(chunk.filler for chunk in stage.chunks)


async def test_every_provider_silent_gives_a_filler_and_then_the_authored_line() -> None:
    async with Standin(fault="hang") as one, Standin(fault="hang") as other:
        words = Orchestrator(
            [open_at("openai", one), open_at("anthropic", other)], clock=SystemClock(), watcher=Watch()
        )
        stage = make_stage(words=words, settings=Settings(filler_after_ms=50.0, first_token_ms=400.0))
        said = await stage.say(await stage.open("mira", "p1"), "p1", "Where is the smith?")
        assert one.asked_total == other.asked_total == 1, "the second is asked as well"
        await words.close()
    assert stage.chunks[0].filler
    assert said.rung == "authored"
    assert "Old Forge" in said.text


@pytest.mark.parametrize("fault", ["cut", "eof", "stall", "error_event", "broken_json"])
async def test_a_sentence_that_broke_is_finished_by_the_next_provider_and_said_once(fault: Fault) -> None:
    """The faults strike after the fifth word, in the middle of the second sentence."""
    line = "Come in. You look cold and wet. The stew is hot."
    seen = ""

    def go_on(body: dict[str, object]) -> str:
        nonlocal seen
        seen = str(body)
        return line

    async with Standin(say=lambda _: line, fault=fault) as first, Standin(say=go_on) as second:
        engines = [open_at("openai", first), open_at("anthropic", second)]
        quick = {"openai": Limits(gap_ms=150.0)}
        words = Orchestrator(engines, clock=SystemClock(), watcher=Watch(), limits=quick)
        stage = make_stage(words=words)
        said = await stage.say(await stage.open("mira", "p1"), "p1", "Hello")
        await words.close()
    assert (said.text, said.rung, said.interrupted) == (line, "words", False)
    assert [chunk.text for chunk in stage.chunks] == ["Come in.", "You look cold and wet.", "The stew is hot."]
    assert "Come in. You look cold" in seen, "it is told what was said, and the broken half"


async def test_a_half_sentence_that_went_out_already_is_led_over_to_the_authors_words() -> None:
    endless = "Long ago, when the mill still stood by the river and " + "the wind was wild and " * 30
    stage = make_stage(words=Script(lambda _: endless, fails_after=400))
    said = await stage.say(await stage.open("mira", "p1"), "p1", "Where is the smith?")
    assert said.rung == "authored"
    first, second = stage.chunks[0].text, stage.chunks[1].text
    assert first.startswith("Long ago")
    assert second.startswith("… ")
    assert " ".join(chunk.text for chunk in stage.chunks) == said.text
