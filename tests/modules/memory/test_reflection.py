"""Conclusions in the background: by rule, by a model within its budget, never for more ears than their sources."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from app.core.clock import Deadline
from app.core.errors import EngineDown, NotFound
from app.core.words import Completion, Spent, Usage, WordsDelta, WordsEnd, WordsEvent, WordsStart
from app.modules.memory.messages import Job, Note, Recall, Reflect
from app.world.entities import Item
from app.world.events import Happened, MemoryNoted, WordsUsed
from tests.modules.memory.hall import Hall


@dataclass
class Writer:
    """Writes the same conclusion each time, and keeps what it was asked."""

    text: str = "Ash is generous; I owe a favor."
    seen: list[Completion] = field(default_factory=list)
    broken: bool = False

    name: str = "writer"

    async def stream(self, completion: Completion, deadline: Deadline) -> AsyncGenerator[WordsEvent]:
        self.seen.append(completion)
        yield WordsStart(engine="writer", model="m")
        if self.broken:
            raise EngineDown("gone")
        yield WordsDelta(text=self.text)
        usage = Usage(tokens_in=100, tokens_out=10, cost_nano_usd=5)
        if completion.bill is not None:
            completion.bill.items.append(
                Spent(engine="writer", model="m", task=completion.task, usage=usage, outcome="ok", estimated=False)
            )
        yield WordsEnd(usage=usage, reason="stop")


async def full(words: Writer | None = None) -> Hall:
    """Ash gave Greta two things and spoke once in private; Bo attacked Tom in front of her."""
    hall = Hall(words=words)  # type: ignore[arg-type]  # as much of a Words as is asked for
    await hall.fill(*(Item(id=id, name=id, holder="ash") for id in ("ring", "apple")))
    for id in ("ring", "apple"):
        await hall.post(Happened(verb="gave", actor="ash", target="greta", item=id, location="inn"))
    await hall.post(Happened(verb="attacked", actor="bo", target="tom", location="inn"))
    await hall.ask(
        Note(npc="greta", text="I love this place", speaker="ash", participants=("ash",), known_by=("ash", "greta"))
    )
    return hall


def conclusions(hall: Hall) -> list[MemoryNoted]:
    changes = [event.change for event in hall.log.events]
    return [change for change in changes if isinstance(change, MemoryNoted) and change.source == "derived"]


async def test_without_a_model_gifts_and_meetings_are_counted_into_a_plain_sentence() -> None:
    hall = await full()
    job = await hall.reflect("greta", about="ash")
    assert (job.state, job.rung, job.error) == ("done", "rules", "")
    (noted,) = conclusions(hall)
    assert noted.text == "Ash gave me something twice and spoke with me once. I think well of Ash."
    assert len(noted.links) == 3
    assert set(noted.known_by) == {"ash", "greta"}, "no wider than the private line among its sources"
    told = await hall.ask(Recall(npc="greta", text="think well of Ash", listener="ash"))
    assert job.memories[0] in [memory.id for memory in told.memories]
    told = await hall.ask(Recall(npc="greta", text="think well of Ash", listener="bo"))
    assert job.memories[0] not in [memory.id for memory in told.memories]


async def test_everybody_who_was_met_is_thought_of_and_a_new_conclusion_takes_the_old_one_s_place() -> None:
    hall = await full()
    first = await hall.reflect("greta")
    assert len(first.memories) == 2, "Ash and Bo; Tom did nothing"
    await hall.reflect("greta", about="ash")
    texts = [memory.text for memory in (await hall.ask(Recall(npc="greta", text="think well of Ash"))).memories]
    assert len([text for text in texts if "think well" in text]) == 1
    assert any("be careful with Bo" in noted.text for noted in conclusions(hall))


async def test_a_model_writes_within_the_budget_and_is_marked_and_paid_for() -> None:
    writer = Writer()
    hall = await full(writer)
    job = await hall.reflect("greta", about="ash")
    assert (job.rung, job.tokens) == ("words", 110)
    (noted,) = conclusions(hall)
    assert noted.text == writer.text
    assert noted.ai_generated
    (asked,) = writer.seen
    assert asked.prompt.startswith("memory.reflect@")
    said = [part for part in asked.parts if part.text == "I love this place"]
    assert [part.trust for part in said] == ["player"], "what a player said is data"
    assert any(isinstance(event.change, WordsUsed) for event in hall.log.events)


async def test_a_budget_that_is_too_small_asks_nobody() -> None:
    writer = Writer()
    hall = await full(writer)
    job = await hall.reflect("greta", about="ash", tokens_max=10)
    assert (job.rung, job.tokens) == ("rules", 0)
    assert writer.seen == []


async def test_a_dead_model_leaves_it_to_the_rules() -> None:
    hall = await full(Writer(broken=True))
    assert (await hall.reflect("greta", about="ash")).rung == "rules"
    assert len(conclusions(hall)) == 1


async def test_the_answer_comes_before_the_work_and_nobody_else_s_job_is_seen() -> None:
    hall = await full()
    job = await hall.ask(Reflect(npc="greta"))
    assert job.state == "waiting"
    with pytest.raises(NotFound):
        await hall.ask(Job(job="none"))
    with pytest.raises(NotFound):
        await hall.ask(Reflect(npc="nobody"))
    await hall.close()
    await asyncio.sleep(0)


async def test_what_nobody_knows_comes_to_nothing() -> None:
    hall = await full()
    assert (await hall.reflect("fay", about="ash")).memories == ()
